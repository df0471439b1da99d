"""What is wrong with single PMUs of a stream: what they say of themselves, and what none can measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridtop.blocks import Floats
from gridtop.synchrophasor.examination import Examination
from gridtop.synchrophasor.pmus import PLAUSIBLE_DEVIATION_HZ, Pmu
from gridtop.synchrophasor.status import MODIFIED, StatusWord, decode_status
from gridtop.text import clean

Weight = Literal["problem", "note"]

_WORST_TIME = 7
_MOST_NAMED = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know: a `problem`, or a `note` that is in order.

    code    a word for programs, such as `missing_frames`
    what    what was seen, with figures
    todo    what to do about it
    """

    code: str
    weight: Weight
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What STAT words may say, and what to do about it."""

    code: str
    says: Callable[[StatusWord], bool]
    what: str
    todo: str


_COMPLAINTS = (
    _Complaint(
        "pmu_error",
        lambda word: word.health == "error",
        "say that the PMU has an error and its data are not to be used",
        "look at the PMU's own display or log; gridtop leaves these values out",
    ),
    _Complaint(
        "pmu_error",
        lambda word: word.health == "no_information",
        "say that the PMU has an error and nothing is known of its data",
        "look at the PMU's own display or log; gridtop doubts these values",
    ),
    _Complaint(
        "absent_pmu",
        lambda word: word.health == "test",
        "say test mode, or data filled in for a PMU that is absent",
        "look whether the concentrator reaches the PMU; gridtop leaves these values out",
    ),
    _Complaint(
        "unsynchronised",
        lambda word: word.unsynchronised or word.time_quality == _WORST_TIME,
        "say that the clock is not locked to UTC",
        "look at the antenna or the time server; until then angles cannot be compared with those of other "
        "PMUs, and gridtop does not",
    ),
    _Complaint(
        "by_arrival",
        lambda word: word.by_arrival,
        "are sorted by arrival and not by time",
        "the concentrator does not trust the PMU's clock: look at its antenna or time server",
    ),
)


def pmu_findings(examination: Examination) -> Iterator[Finding]:
    """What is wrong with single PMUs; the same thing with several is said once."""
    together: dict[Finding, list[str]] = {}
    columns = 0
    for i, pmu in enumerate(examination.configuration.pmus):
        magnitude = examination.readings.magnitude[:, columns : columns + len(pmu.phasors)]
        columns += len(pmu.phasors)
        frequency = examination.readings.frequency[:, i]
        name = clean(pmu.station) or "(no name)"
        for finding in (*_said(examination.status[i]), *_measured(pmu, magnitude, frequency)):
            together.setdefault(finding, []).append(name)
    for finding, names in together.items():
        shown = ", ".join(names[:_MOST_NAMED])
        if len(names) > _MOST_NAMED:
            shown += f" and {len(names) - _MOST_NAMED} more"
        yield Finding(finding.code, finding.weight, f"{shown}: {finding.what}", finding.todo)


def _said(words: dict[int, int]) -> Iterator[Finding]:
    """What STAT words say, by how many frames had each."""
    total = sum(words.values())
    decoded = [(decode_status(word), frames) for word, frames in words.items()]
    for complaint in _COMPLAINTS:
        if count := sum(frames for word, frames in decoded if complaint.says(word)):
            share = "all frames" if count == total else f"{count} of {total} frames"
            yield Finding(complaint.code, "problem", f"{share} {complaint.what}", complaint.todo)
    if all(word.trigger for word, _ in decoded):
        yield Finding(
            "trigger_stuck",
            "note",
            "the trigger bit is set in every frame",
            "nothing: some devices have it set for ever, and gridtop heeds its rising edge only",
        )
    if any(word & MODIFIED for word in words):
        yield Finding("modified", "note", "values were modified on the way", "know that, and nothing else")


def _measured(pmu: Pmu, magnitude: Floats, frequency: Floats) -> Iterator[Finding]:
    """What no healthy PMU measures, from (n, p) magnitudes and (n,) frequencies."""
    off = np.abs(frequency - pmu.nominal_frequency) > PLAUSIBLE_DEVIATION_HZ
    if off.any():
        count = int(off.sum())
        yield Finding(
            "implausible_frequency",
            "problem",
            f"the frequency is {frequency[off][0]:.3f} Hz in {count} frame{'s' if count > 1 else ''}",
            "a concentrator fills in such a figure for a PMU that is absent, though STAT may say good: look "
            "whether the PMU is there",
        )
    if magnitude.size and (np.isnan(magnitude) | (magnitude == 0)).all():
        nothing = "no value" if np.isnan(magnitude).all() else "zero"
        yield Finding(
            "no_values",
            "problem",
            f"every phasor is {nothing} in every frame",
            "look whether the PMU is there, and whether its inputs are connected",
        )
        return
    never = [
        clean(phasor.name)
        for phasor, column in zip(pmu.phasors, magnitude.T, strict=True)
        if np.isnan(column).all()
    ]
    if never:
        yield Finding(
            "no_values",
            "problem",
            f"there is never a value of {', '.join(never[:_MOST_NAMED])}",
            "look whether these inputs are connected and set up",
        )
