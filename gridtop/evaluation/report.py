"""The report on detectors over many recordings: recall by event, delay, false alarms, and what they prove."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridtop.evaluation.intervals import clopper_pearson, poisson_upper, quantile
from gridtop.evaluation.matching import FALSE, Claim, Judgement, Run, Task, free_hours, judge, merged

WORST_OFFENDERS = 3
"""How many sources of false alarms a report names."""
TOGETHER = "any"
"""The name of all tasks taken as one."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How many events of a kind were found, and how soon.

    `delays` are in ms from the physical start, in order; a miss is infinite.
    """

    task: str
    kind: str
    delays: tuple[float, ...]

    @property
    def events(self) -> int:
        """How many there were."""
        return len(self.delays)

    @property
    def hits(self) -> int:
        """How many were found."""
        return sum(map(math.isfinite, self.delays))

    @property
    def share(self) -> float:
        """Hits by events; NaN without events."""
        return self.hits / self.events if self.events else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Clopper-Pearson)."""
        return clopper_pearson(self.hits, self.events)

    def delay(self, share: float) -> float:
        """The delay in ms that this share of the events does not exceed, misses counted as infinite."""
        return quantile(self.delays, share)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something came in how many hours."""

    count: int
    hours: float

    @property
    def per_day(self) -> float:
        """Its mean; NaN without hours."""
        return self.count * 24 / self.hours if self.hours else math.nan

    @property
    def at_most_per_day(self) -> float:
        """The upper bound of the mean with 95 % confidence (Poisson); infinite without hours."""
        return poisson_upper(self.count) * 24 / self.hours if self.hours else math.inf


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """What a task said without reason.

    rate       false alarms, merged within 5 s, over the hours in which no event accounts for its claims.
               Claims of a wrong place or type are among them although their hours are not: it errs upwards
    quiet      those that came while nothing whatever happened, over the hours of that
    misnamed   raises, of those above, that gave an event a wrong place or type
    during     raises, of those above, by the kind of event that was on; empty for those in quiet
    also       raises that were physically true during events of other kinds, by kind: counted nowhere else
    repeats    raises that named an event again
    offenders  who raised most of the false ones: `rule place class` and number of raises
    """

    task: str
    rate: Rate
    quiet: Rate
    misnamed: int
    during: Mapping[str, int]
    also: Mapping[str, int]
    repeats: int
    offenders: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What detectors were worth in recordings of `hours` altogether.

    recalls       a line for each task and kind it looks for, and one for any of them where several do
    false_alarms  a line for each task, and one for all
    unsought      kinds that no task looks for, with their number: hard negatives
    unclaimed     rules of which no task speaks, with their number of raises: they are judged nowhere
    """

    hours: float
    recordings: int
    recalls: tuple[Recall, ...]
    false_alarms: tuple[FalseAlarms, ...]
    unsought: tuple[tuple[str, int], ...]
    unclaimed: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; what is infinite or unknown is None."""
        return {
            "hours": self.hours,
            "recordings": self.recordings,
            "recall": [
                {
                    "task": recall.task,
                    "kind": recall.kind,
                    "events": recall.events,
                    "hits": recall.hits,
                    "recall": _finite(recall.share),
                    "interval": list(recall.interval),
                    "delay_p50_ms": _finite(recall.delay(0.5)),
                    "delay_p95_ms": _finite(recall.delay(0.95)),
                }
                for recall in self.recalls
            ],
            "false_alarms": [
                {
                    "task": false.task,
                    **_rate("", false.rate),
                    **_rate("quiet_", false.quiet),
                    "misnamed": false.misnamed,
                    "repeats": false.repeats,
                    "raised_falsely_during": dict(false.during),
                    "also_raised_during": dict(false.also),
                    "offenders": [{"who": who, "raises": raises} for who, raises in false.offenders],
                }
                for false in self.false_alarms
            ],
            "unsought_kinds": dict(self.unsought),
            "unclaimed_rules": dict(self.unclaimed),
        }


def evaluate(tasks: Sequence[Task], runs: Sequence[Run]) -> Report:
    """Judge all claims in all recordings, each recording by itself."""
    judged = {task.name: [judge(task, run) for run in runs] for task in tasks}
    everything = list(zip(*judged.values(), strict=True)) if tasks else []
    recalls = []
    for kind in sorted({truth.kind for run in runs for truth in run.truths}):
        seekers = [
            task for task in tasks if any(t.kind == kind and task.seeks(t) for r in runs for t in r.truths)
        ]
        recalls += [recall_of(task.name, kind, runs, [[j] for j in judged[task.name]]) for task in seekers]
        if len(seekers) > 1:
            recalls.append(recall_of(TOGETHER, kind, runs, everything))
    false = [_false_alarms(task.name, runs, [[j] for j in judged[task.name]]) for task in tasks]
    if len(tasks) > 1:
        false.append(_false_alarms(TOGETHER, runs, everything))
    unsought = Counter(
        truth.kind for run in runs for truth in run.truths if not any(task.seeks(truth) for task in tasks)
    )
    unclaimed = Counter(
        claim.rule for run in runs for claim in run.claims if not any(task.speaks(claim) for task in tasks)
    )
    hours = math.fsum(run.end - run.start for run in runs) / 3600
    return Report(hours, len(runs), tuple(recalls), tuple(false), *map(_sorted, (unsought, unclaimed)))


def recall_of(name: str, kind: str, runs: Sequence[Run], judged: Sequence[Sequence[Judgement]]) -> Recall:
    """How many events of a kind were found.

    `judged` holds for each run the judgements whose earliest hit counts.
    """
    delays = [
        1000 * min(found)
        for run, judgements in zip(runs, judged, strict=True)
        for i, truth in enumerate(run.truths)
        if truth.kind == kind
        and (found := [judgement.hits[i] for judgement in judgements if i in judgement.hits])
    ]
    return Recall(name, kind, tuple(sorted(delays)))


def _false_alarms(name: str, runs: Sequence[Run], judged: Sequence[Sequence[Judgement]]) -> FalseAlarms:
    count = quiet = 0
    hours: list[float] = []
    quiet_hours: list[float] = []
    offenders: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    also: Counter[str] = Counter()
    during: Counter[str] = Counter()
    for run, judgements in zip(runs, judged, strict=True):
        false = [claim for judgement in judgements for claim in judgement.false]
        count += len(merged(false))
        quiet += len(merged(claim for claim in false if not _within(claim, run)))
        # Of several tasks what is free for all of them: what accounts for one's alarms may not for another's.
        hours.append(free_hours(run, (window for judgement in judgements for window in judgement.windows)))
        quiet_hours.append(free_hours(run, ((truth.start, truth.latest) for truth in run.truths)))
        offenders.update(" ".join(filter(None, (c.rule, c.place, c.class_))) for c in false)
        for judgement in judgements:
            outcomes.update(outcome for _, outcome, _ in judgement.claims)
            during.update(kind for _, outcome, kind in judgement.claims if outcome in FALSE)
            also.update(kind for _, outcome, kind in judgement.claims if outcome == "also")
    return FalseAlarms(
        name,
        Rate(count, math.fsum(hours)),
        Rate(quiet, math.fsum(quiet_hours)),
        outcomes["misnamed"],
        dict(_most(during)),
        dict(_most(also)),
        outcomes["repeat"],
        tuple(_most(offenders)[:WORST_OFFENDERS]),
    )


def _within(claim: Claim, run: Run) -> bool:
    return any(truth.start <= claim.time <= truth.latest for truth in run.truths)


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first; equals in the order of their names."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _rate(prefix: str, rate: Rate) -> dict[str, float | None]:
    return {
        f"{prefix}false_alarms": rate.count,
        f"{prefix}hours": rate.hours,
        f"{prefix}per_day": _finite(rate.per_day),
        f"{prefix}at_most_per_day": _finite(rate.at_most_per_day),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _sorted(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items()))
