"""What is broken, where, and who is to blame: the laws along lines and at buses, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .readings import Bools, Floats

JUMP = 0.1
"""pu, of current or of a fifth of the voltage: from here on a change is no load's."""
CLEARED, SUSPECTED = 0.5, 0.7
"""Of the limit at a bus: below the one its terminals clear each other, above the other they do not."""


class Told(NamedTuple):
    """(n,) a score, and the reason for it in a frame."""

    score: Floats
    words: Callable[[int], str]

    def notes(self) -> list[str]:
        """A reason for each frame that has one."""
        written = [""] * len(self.score)
        for i in np.flatnonzero(self.score >= 1.0).tolist():
            written[i] = self.words(i)
        return written


def always(score: Floats, words: str) -> Told:
    """A score with one reason."""
    return Told(score, lambda i: words)


class Laws(NamedTuple):
    """(n,) each: how far the laws along a line are broken, and what that looks like."""

    voltage: Floats
    current: Floats
    gain: Floats
    turn: Floats
    """As if one end were turned against the other, as a wrong clock does; 0 where nothing looks like that."""
    degrees: Floats
    shaken: Bools
    """Where there is a short circuit on the line."""
    switched: Bools
    """Where it opened or closed."""
    sudden: Bools
    """Where the turn came at once: clocks drift, they do not jump."""

    @property
    def clock(self) -> Floats:
        """(n,) how far the clocks at the ends disagree."""
        return np.where(self.sudden & ~np.isnan(self.turn), 0.0, self.turn)

    @property
    def broken(self) -> Floats:
        """(n,) the law that is broken most; 0 where a clock explains it."""
        jump = np.where(self.sudden, self.turn, np.nan)
        broken: Floats = np.fmax.reduce([self.voltage, self.current, self.gain, jump])
        return np.where((self.clock >= 1) & ~np.isnan(broken), 0.0, broken)

    @property
    def worst(self) -> Floats:
        """(n,) the same, clocks counted."""
        worst: Floats = np.fmax(self.broken, self.clock)
        return worst

    def turned(self, i: int) -> str:
        """What one frame says of the clocks."""
        return f"clock: angles {abs(self.degrees[i]):.3g} degrees off (GPS drift?)"

    def words(self, i: int) -> str:
        """What one frame shows."""
        if self.sudden[i] and self.turn[i] >= 1:
            return f"suspicious data, its angles jumped by {abs(self.degrees[i]):.3g} degrees"
        told = [
            (self.voltage[i], "the voltage law along the line is broken"),
            (self.current[i], "the currents at the ends differ"),
            (self.gain[i], "more power comes out of the line than goes in"),
        ]
        worst, what = max((pair for pair in told if pair[0] >= 1), default=(np.nan, ""))
        return f"suspicious data, {what}, {worst:.2g} times the limit" if what else "suspicious data"


def told_of(place: str, law: Laws, blamed: Bools, before: str = "") -> dict[str, Told]:
    """The scores of a place for the laws of a line, 0 where it is not to blame."""

    def score(of: Floats) -> Floats:
        return np.where(np.isnan(of), np.nan, np.where(blamed, of, 0.0))

    return {
        f"{place}:clock": Told(score(law.clock), lambda i: before + law.turned(i)),
        f"{place}:suspicious": Told(score(law.broken), lambda i: before + law.words(i)),
    }


class Evidence(NamedTuple):
    """What is broken where, and whose readings jumped: each (n,)."""

    laws: dict[str, Laws]
    buses: dict[str, Floats]
    jumps: dict[str, Floats]

    def jumped(self, terminal: str, other: str) -> Bools:
        """Where a terminal's readings jumped and the other's did not."""
        jump = self.jumps[terminal]
        jumped: Bools = (jump > JUMP) & (jump > 3.0 * self.jumps[other])
        return jumped

    def mine(self, terminal: str, other: str) -> Bools:
        """Where one end of a line is to blame: it jumped, or its bus suspects it, or clears the other."""
        bus, far_bus = self.buses[terminal], self.buses[other]
        by_bus = ((far_bus < CLEARED) & ~(bus < CLEARED)) | ((bus >= SUSPECTED) & ~(far_bus >= SUSPECTED))
        mine: Bools = self.jumped(terminal, other) | (by_bus & ~self.jumped(other, terminal))
        return mine
