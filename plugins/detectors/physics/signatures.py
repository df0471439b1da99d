"""What readings of one terminal show by themselves: blown fuses, open circuits, swapped phases, sags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .laws import Told
from .readings import PHASES, Bools, Frames, any_of

HEALTHY = (0.85, 1.15)
"""pu, between which a phase voltage is that of a grid without a short circuit."""
SAG, UNBALANCE = 0.9, 0.02
"""pu, and of the positive sequence: below and above which a voltage is that of a short circuit."""
BLOWN = 0.7
"""pu: what a blown fuse leaves at most; loads between phases feed back a half and more."""
CERTAIN = 3.0
"""The score of what needs no measure."""


def sagging(frames: Frames, terminal: str) -> Bools:
    """(n,) where the voltages of a terminal are low or unbalanced, as a short circuit makes them."""
    low = frames.phases("voltage_pu", terminal).min(axis=1) < SAG
    unbalanced = frames("negative_voltage", terminal) > UNBALANCE * frames("positive_voltage", terminal)
    either: Bools = low | unbalanced
    return either


def named_causes(
    frames: Frames, terminal: str, other: str, at_bus: Sequence[str], shaken: Bools
) -> dict[str, Told]:
    """What readings of one terminal show by themselves, by cause.

    The reasoning is that of protection practice (fuse failure supervision): one voltage is gone while the
    currents go on and neighbours still have it; one current is gone while the voltages and the current at
    the far end go on; or the negative sequence takes the place of the positive one.
    """
    voltage, current = frames.phases("voltage_pu", terminal), frames.phases("current_pu", terminal)
    far = other != terminal
    neighbours = [frames.phases("voltage_pu", t) for t in (at_bus or ([other] if far else []))]
    far_current = frames.phases("current_pu", other) if far else current
    healthy = (voltage > HEALTHY[0]) & (voltage < HEALTHY[1])
    steady = ~(frames("current_step", terminal) > 0.3) & ~shaken
    blown, lost = np.zeros_like(healthy), np.zeros_like(healthy)
    for i in range(3):
        rest = [j for j in range(3) if j != i]
        carried = current[:, rest].min(axis=1)
        theirs = any_of([~(v[:, i] > HEALTHY[0]) for v in neighbours], frames.number)
        gone = healthy[:, rest].all(axis=1) & (voltage[:, i] < BLOWN) & (current[:, i] > 0.5 * carried)
        blown[:, i] = gone & steady & ~theirs
        goes_on = far_current[:, i] > 0.5 * far_current[:, rest].min(axis=1)
        open_ = (current[:, i] < 0.1 * carried) & (carried > 0.1) & healthy.all(axis=1)
        lost[:, i] = open_ & ~shaken & (goes_on | (not far))
    swapped = np.stack(
        [
            # Three healthy voltages: no short circuit, whatever its signature says of such readings.
            (frames(f"negative_{kind}", terminal) > 3.0 * frames(f"positive_{kind}", terminal))
            & healthy.all(axis=1)
            & (sizes.min(axis=1) > least)
            for kind, sizes, least in (("voltage", voltage, 0.5), ("current", current, 0.1))
        ],
        axis=1,
    )
    return {
        "vt_fuse": _certain(blown, [f"VT fuse failure, phase {phase}" for phase in PHASES]),
        "open_ct": _certain(lost, [f"open CT, phase {phase}" for phase in PHASES]),
        "swapped_phases": _certain(
            swapped, [f"two phases of its {kind}s are swapped" for kind in ("voltage", "current")]
        ),
    }


def _certain(seen: Bools, words: Sequence[str]) -> Told:
    """The score of what is seen or not, in one of several forms (n, k)."""
    score = np.where(seen.any(axis=1), CERTAIN, 0.0)
    return Told(score, lambda i: words[int(seen[i].argmax())])
