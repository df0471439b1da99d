"""Truths from a column of labels: which words mean that nothing happens, and runs of the others as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from gridtop.blocks import Floats, Labels
from gridtop.errors import GridtopError
from gridtop.evaluation.frame_metrics import Marks
from gridtop.evaluation.matching import Truth
from gridtop.text import clean

QUIET = frozenset(
    {"", "0", "0.0", "-", "benign", "false", "nan", "no", "noevent", "noevents", "none", "normal"}
)
"""Words that mean that nothing happens, without case and blanks. `Natural` is none of them: in the public
attack data it means natural events, and elsewhere normal operation, so people are asked."""
MERGE_S = 1.0
"""A shorter pause between two runs of one label, without another label in it, does not end the event."""
_MOST_SHOWN = 12


def is_quiet(label: str) -> bool:
    """Whether a word is one of those that mean, beyond doubt, that nothing happens."""
    return "".join(label.split()).casefold() in QUIET


def quiet_labels(column: str, labels: Labels, normal: Sequence[str]) -> frozenset[str]:
    """The values of a column during which nothing happens: those given, else those known by name.

    Raises GridtopError, naming the values there are, when one that is given does not occur anywhere or when
    none is known.
    """
    values, counts = np.unique(labels, return_counts=True)
    found = Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    if normal:
        return frozenset(normal)
    known = frozenset(value for value in found if is_quiet(value))
    if known:
        return known
    hint = next((value for value in found if value.strip().casefold() == "natural"), None)
    natural = (
        f". In the public attack data {clean(hint)!r} means natural events, which are no normal operation; "
        f"--normal {clean(hint)} asks how well the other labels are told from those"
        if hint
        else ""
    )
    raise GridtopError(
        f"column {clean(column)!r} holds {described(found)}: which of them mean that nothing happens? "
        f"Say so with --normal VALUE{natural}"
    )


def described(found: Counter[str]) -> str:
    """Labels with their numbers of frames, the most frequent first: `Attack (327 frames)`."""
    order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{clean(value, 40)!r} ({frames} frames)" for value, frames in order[:_MOST_SHOWN]]
    more = len(order) - _MOST_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def runs(labels: Labels, seconds: Floats, quiet: Iterable[str]) -> tuple[list[Truth], Marks]:
    """Events from the labels (n,) of frames at `seconds` (n,): a run of one value is one event of that kind.

    A run begins at its first frame and ends at its last. Two runs of one value that only frames of nothing
    part, for less than a second, are one. Beside the events: (n,) which frames carry a label of an event.
    """
    if not len(labels):
        return [], np.zeros(0, dtype=bool)
    eventful = ~np.isin(labels, sorted(quiet))
    starts = np.flatnonzero(np.concatenate(([True], labels[1:] != labels[:-1])))
    stops = np.concatenate((starts[1:], [len(labels)]))
    found: list[tuple[str, int, int]] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if not eventful[start]:
            continue
        value = str(labels[start])
        if found and found[-1][0] == value and seconds[start] - seconds[found[-1][2]] < MERGE_S:
            found[-1] = (value, found[-1][1], stop - 1)
        else:
            found.append((value, start, stop - 1))
    truths = [Truth(clean(value), float(seconds[a]), float(seconds[b])) for value, a, b in found]
    return truths, eventful
