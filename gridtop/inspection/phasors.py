"""The phasors of each terminal in the sample, and their positive sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.inspection.guessing import Guess
from gridtop.inspection.survey import Survey
from gridtop.naming import base_unit

Complexes = npt.NDArray[np.complex128]

_A = np.exp(2j * np.pi / 3)


@dataclass(slots=True)
class TerminalPhasors:
    """What one terminal measures in the sampled rows; NaN where something is missing.

    voltage, current  phase (A, B, C, +, -, 0) to (m,) phasors in V and A
    frequency         (m,) in Hz, None without
    """

    name: str
    voltage: dict[str, Complexes] = field(default_factory=dict)
    current: dict[str, Complexes] = field(default_factory=dict)
    frequency: Floats | None = None
    rotation: str = "ABC"
    rotation_share: float = np.nan
    """The share of rows whose phases follow one another in this order; NaN without three voltages."""

    def positive_voltage(self) -> Complexes | None:
        """(m,) positive-sequence voltage, line to neutral."""
        return self._positive(self.voltage)

    def positive_current(self) -> Complexes | None:
        """(m,) positive-sequence current as the instruments count it."""
        return self._positive(self.current)

    def power(self) -> Floats | None:
        """(m,) three-phase active power in W as the instruments count it."""
        voltage, current = self.positive_voltage(), self.positive_current()
        if voltage is None or current is None:
            return None
        power: Floats = 3 * (voltage * current.conj()).real
        return power

    def _positive(self, phases: dict[str, Complexes]) -> Complexes | None:
        if all(phase in phases for phase in "ABC"):
            a, b, c = (phases[phase] for phase in (self.rotation if self.rotation == "ABC" else "ACB"))
            positive: Complexes = (a + _A * b + _A * _A * c) / 3
            return positive
        return phases.get("+")


def terminals_of(survey: Survey, guesses: Sequence[Guess]) -> dict[str, TerminalPhasors]:
    """The terminals that the guesses name, with the phasors that magnitudes and angles make together."""
    magnitudes: dict[tuple[str, str, str], Floats] = {}
    angles: dict[tuple[str, str, str], Floats] = {}
    found: dict[str, TerminalPhasors] = {}
    for guess in guesses:
        channel = guess.channel
        position = guess.column.position
        if channel is None or not channel.terminal or position not in survey.sampled:
            continue
        terminal = found.setdefault(channel.terminal, TerminalPhasors(channel.terminal))
        values = survey.values(position) * factor_of(guess)
        if channel.quantity == "frequency":
            terminal.frequency = values if terminal.frequency is None else terminal.frequency
        if channel.quantity not in ("voltage", "current") or not channel.phase or channel.unit == "pu":
            continue
        key = (channel.terminal, channel.quantity, channel.phase)
        (angles if channel.part == "angle" else magnitudes).setdefault(key, values)
    for (name, quantity, phase), magnitude in magnitudes.items():
        angle = angles.get((name, quantity, phase))
        if angle is not None and len(phase) == 1:
            phases = found[name].voltage if quantity == "voltage" else found[name].current
            radians = np.radians(angle)
            phases[phase] = magnitude * np.cos(radians) + 1j * (magnitude * np.sin(radians))
    for terminal in found.values():
        _find_rotation(terminal)
    return found


def factor_of(guess: Guess) -> float:
    """What turns a value of the file into the channel's unit (an offset aside)."""
    if guess.column.known is not None:
        return 1.0
    return guess.meaning.scale * base_unit(guess.meaning.unit)[1]


def _find_rotation(terminal: TerminalPhasors) -> None:
    if not all(phase in terminal.voltage for phase in "ABC"):
        return
    a, b, c = (terminal.voltage[phase] for phase in "ABC")
    size = np.abs(a)
    with np.errstate(invalid="ignore"):
        live = (size > 0.5 * np.nanmedian(size)) & (np.abs(b) > 0.5 * size) & (np.abs(c) > 0.5 * size)
        turns = np.degrees(np.angle(b * a.conj()))[live]
    if not turns.size:
        return
    forward = float(np.mean(np.abs(turns + 120) < 30))
    backward = float(np.mean(np.abs(turns - 120) < 30))
    terminal.rotation = "ACB" if backward > max(forward, 0.5) else "ABC"
    terminal.rotation_share = max(forward, backward)
