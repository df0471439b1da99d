"""Which claims of a detector are hits and which are false: events and alarms of one recording, one to one.

A claim is a hit when it names the right class on the right line or terminal between the physical start
of an event and its end plus an allowance. An alarm before the start is false.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

ALLOWANCE_S = 2.0
"""How long after the end of an event it may still be named."""
OSCILLATION_ALLOWANCE_S = 30.0
"""The same for oscillations, which take several periods to be told from a push."""
MERGE_S = 5.0
"""False alarms that come this soon after the first of them are one to whoever has to look."""

Outcome = Literal["hit", "repeat", "also", "misnamed", "false"]
FALSE: tuple[Outcome, ...] = ("false", "misnamed")
"""What counts as a false alarm."""


@dataclass(frozen=True, slots=True)
class Truth:
    """An event that took place. Times are in seconds from any instant, the same for truths and claims.

    `places` are the lines and terminals where it may rightly be found; none means anywhere. `classes`
    are the names it may rightly be given by a task that is `exact`; none means any.
    """

    kind: str
    start: float
    end: float
    places: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()

    @property
    def latest(self) -> float:
        """When it may be named at the latest."""
        return self.end + (OSCILLATION_ALLOWANCE_S if "oscillation" in self.kind else ALLOWANCE_S)

    @property
    def order(self) -> tuple[object, ...]:
        """What truths are sorted by: the one that ends first comes first."""
        return self.latest, self.start, self.kind, sorted(self.places), sorted(self.classes)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a rule said at `time`: there is something at `place`, of `class_` unless that is empty."""

    rule: str
    place: str
    time: float
    class_: str = ""

    @property
    def order(self) -> tuple[float, str, str, str]:
        """What claims are sorted by."""
        return self.time, self.rule, self.place, self.class_


@dataclass(frozen=True, slots=True)
class Task:
    """What some rules are there for, and so what their alarms may mean.

    `rules` and `classes` are globs of the claims it speaks of. `finds` are the kinds of events that such a
    claim names: each of them that is not named is a miss. `explained_by` are kinds during which the claim is
    physically true without naming them (a low voltage during a fault): then it is neither hit nor false
    alarm, anywhere, until `aftermath` seconds after their end. Both are globs. Of an `exact` task the claim's
    class must besides be one of the event's: a fault AG that is called BG is not found.
    """

    name: str
    rules: tuple[str, ...]
    finds: tuple[str, ...] = ()
    explained_by: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("*",)
    aftermath: float = ALLOWANCE_S
    exact: bool = False

    def speaks(self, claim: Claim) -> bool:
        """Whether a claim belongs to this task."""
        return _any(claim.rule, self.rules) and _any(claim.class_, self.classes)

    def seeks(self, truth: Truth) -> bool:
        """Whether the event is one that it has to find."""
        return _any(truth.kind, self.finds)

    def excuses(self, truth: Truth) -> bool:
        """Whether the event makes its claims physically true."""
        return _any(truth.kind, self.explained_by)

    def window(self, truth: Truth) -> tuple[float, float] | None:
        """From when to when an event may account for claims, None when it never does."""
        latest = [truth.latest] if self.seeks(truth) else []
        if self.excuses(truth):
            latest.append(max(truth.latest, truth.end + self.aftermath))
        return (truth.start, max(latest)) if latest else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a task's claims in one recording were worth.

    hits     for each event to be found, by position in the truths: the delay of its hit in s, or infinity
    claims   every claim of the task in order, with its outcome and the kind of the event that accounts for
             it; of a false one, the kind that was on
    windows  from when to when (s) events may account for claims of the task
    """

    hits: Mapping[int, float]
    claims: tuple[tuple[Claim, Outcome, str], ...]
    windows: tuple[tuple[float, float], ...]

    @property
    def false(self) -> tuple[Claim, ...]:
        """The claims that nothing accounts for, those of a wrong place or class among them."""
        return tuple(claim for claim, outcome, _ in self.claims if outcome in FALSE)


@dataclass(frozen=True, slots=True)
class Run:
    """One recording as it was, and what was said of it. `start` and `end` are those of its frames, in s."""

    truths: Sequence[Truth]
    claims: Sequence[Claim]
    start: float
    end: float
    name: str = field(default="", compare=False)


def judge(task: Task, run: Run) -> Judgement:
    """Give every claim of a task at most one event, and every event at most one claim.

    Claims go in order of time, each to the event that ends first among those it names rightly and that
    no claim has hit yet. When all of those are hit, it is a repetition. An event that the recording's end
    cuts off need not be found; what is claimed during it is not false.
    """
    truths = sorted(enumerate(run.truths), key=lambda pair: pair[1].order)
    sought = [(i, truth) for i, truth in truths if task.seeks(truth) and truth.end <= run.end]
    hits = {i: math.inf for i, _ in sought}
    outcomes: list[tuple[Claim, Outcome, str]] = []
    for claim in sorted(filter(task.speaks, run.claims), key=lambda claim: claim.order):
        due = [(i, truth) for i, truth in sought if _on(truth, claim)]
        right = [(i, truth) for i, truth in due if _names(task, claim, truth)]
        fresh = next(((i, truth) for i, truth in right if math.isinf(hits[i])), None)
        if fresh is not None:
            hits[fresh[0]] = claim.time - fresh[1].start
            outcomes.append((claim, "hit", fresh[1].kind))
        elif right:
            outcomes.append((claim, "repeat", right[0][1].kind))
        elif excuse := _excuse(task, claim, run.end, truths):
            outcomes.append((claim, "also", excuse))
        elif due:
            outcomes.append((claim, "misnamed", due[0][1].kind))
        else:
            outcomes.append((claim, "false", next((t.kind for _, t in truths if _on(t, claim)), "")))
    windows = (task.window(truth) for _, truth in truths)
    return Judgement(hits, tuple(outcomes), tuple(window for window in windows if window))


def merged(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Claims in groups: one that comes later than 5 s after the first of a group begins the next.

    From the first and not from the one before: a rule that chatters for an hour is not one alarm.
    """
    groups: list[list[Claim]] = []
    for claim in sorted(claims, key=lambda claim: claim.order):
        if groups and claim.time - groups[-1][0].time <= MERGE_S:
            groups[-1].append(claim)
        else:
            groups.append([claim])
    return groups


def free_hours(run: Run, windows: Iterable[tuple[float, float]]) -> float:
    """Hours of a run that no window covers."""
    return math.fsum(stop - start for start, stop in _gaps(run, windows)) / 3600


def _gaps(run: Run, windows: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    reached = run.start
    for start, stop in sorted(windows):
        if min(start, run.end) > reached:
            yield reached, min(start, run.end)
        reached = max(reached, stop)
    if run.end > reached:
        yield reached, run.end


def _on(truth: Truth, claim: Claim) -> bool:
    """Whether the event may be named at the time of the claim."""
    return truth.start <= claim.time <= truth.latest


def _names(task: Task, claim: Claim, truth: Truth) -> bool:
    """Whether the claim gives the event a right class at a right place."""
    if truth.places and claim.place not in truth.places:
        return False
    return not task.exact or not truth.classes or claim.class_ in truth.classes


def _excuse(task: Task, claim: Claim, end: float, truths: Iterable[tuple[int, Truth]]) -> str:
    """The kind of the event that makes a claim true without being what it names, or that is cut off."""
    for _, truth in truths:
        window = task.window(truth) if task.excuses(truth) or truth.end > end else None
        if window and window[0] <= claim.time <= window[1]:
            return truth.kind
    return ""


def _any(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
