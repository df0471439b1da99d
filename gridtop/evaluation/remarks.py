"""What to know before believing a figure: detectors that say nothing, alarms that never or always are on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridtop.evaluation.assessment import Figures

from gridtop.evaluation.judging import Judged
from gridtop.evaluation.observing import DetectorTrace

SILENT_SHARE = 0.5
"""Of all frames: a detector without an opinion on more of them is called out."""
ALWAYS_ON_SHARE = 0.95
"""Of all frames: an alarm that is on for more of them tells nothing."""
FEW_EVENTS = 20
"""Fewer events than this leave a recall open by 0.2 or more either way."""

Remark = tuple[str, str]
"""About whom, and what."""


def remarks_on(recordings: Sequence[Judged], together: Figures) -> tuple[Remark, ...]:
    """Everything that calls the figures of some recordings in question, what concerns all of them first."""
    return (*_on_the_truth(recordings, together), *_on_detectors(recordings), *_on_alarms(together))


def _on_the_truth(recordings: Sequence[Judged], together: Figures) -> Iterator[Remark]:
    if any(one.observation.clock == "row" for one in recordings):
        yield (
            "times",
            "the recording has no clock: delays and rates count its rows as if they were 1/rate apart",
        )
    from_labels = [one for one in recordings if one.labelled.source.startswith("column")]
    if from_labels:
        yield "delays", "they count from the first labelled frame, which need not be when the event began"
    brief = [truth.end == truth.start for one in from_labels for truth in one.labelled.truths]
    if sum(brief) > len(brief) / 2:
        yield "labels", f"{sum(brief)} of {len(brief)} events are a single frame: the labels flicker"
    if not together.events:
        yield "events", "there is none to be found: only false alarms can be counted"
    elif together.events < FEW_EVENTS:
        yield "events", f"there are but {together.events}: read the intervals, not the shares"
    if together.events and all(one.labelled.inside.all() for one in recordings):
        yield "events", "every frame is in one: false alarms cannot be counted"


def _on_detectors(recordings: Sequence[Judged]) -> Iterator[Remark]:
    traces: dict[str, list[DetectorTrace]] = {}
    for one in recordings:
        for trace in one.observation.detectors:
            traces.setdefault(trace.name, []).append(trace)
    for name, several in traces.items():
        for problem in dict.fromkeys(trace.problem for trace in several if trace.problem):
            yield name, problem
        score = np.concatenate([trace.score for trace in several])
        silent = float(np.count_nonzero(np.isnan(score)) / len(score))
        if silent == 1:
            yield name, "has no opinion on any frame"
        elif all(trace.is_constant for trace in several) and _one_value(several):
            yield name, f"scores all frames alike ({_one_value(several)}): it tells nothing apart"
        if SILENT_SHARE < silent < 1:
            yield (
                name,
                f"has no opinion on {100 * silent:.0f} % of the frames, which count as its lowest scores",
            )
        if all(trace.said is None for trace in several) and silent < 1:
            yield name, "has no alarm rule: it is judged by frame only"
        for remark in dict.fromkeys(text for trace in several for text in trace.remarks):
            yield name, remark


def _one_value(several: Sequence[DetectorTrace]) -> str:
    """The values that the outputs have on all frames, when each has one; else nothing."""
    values: dict[int, set[float]] = {}
    for trace in several:
        for i, value in enumerate(trace.lowest.tolist()):
            if not math.isnan(value):
                values.setdefault(i, set()).add(value)
    # Recordings may have different channels, and so the outputs different meanings: then one value is all.
    alike = len({len(trace.lowest) for trace in several}) == 1
    every = sorted(set().union(*values.values()))
    if any(len(some) > 1 for some in values.values()) or (not alike and len(every) > 1):
        return ""
    return ", ".join(f"{value:.6g}" for value in every[:3]) + (", ..." if len(every) > 3 else "")


def _on_alarms(together: Figures) -> Iterator[Remark]:
    for rule in together.rules:
        if rule.is_detector and not rule.speaks:
            yield rule.name, "its alarm never came on"
        shares = [share for share in (rule.in_normal, rule.in_events) if share == share]
        if shares and min(shares) >= ALWAYS_ON_SHARE:
            yield (
                rule.name,
                f"its alarm is on for {100 * min(shares):.0f} % of the frames or more, in events and without",
            )
