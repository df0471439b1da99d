"""Who spoke during events of which kind: the confusion matrix of events and alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gridtop.evaluation.judging import Judged
from gridtop.evaluation.matching import merged
from gridtop.text import clean


@dataclass(frozen=True, slots=True)
class Spoke:
    """In how many events of each kind which rule, or class of a rule, spoke: rows are kinds, columns who did.

    events   (k,) how many there were of each kind; `counts` is (k, c): in how many of them it spoke at all
    false    (c,) how often it spoke while none was on, merged within 5 s
    """

    kinds: tuple[str, ...]
    speakers: tuple[str, ...]
    events: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    false: tuple[int, ...]


def spoke(recordings: Sequence[Judged], rules: Sequence[str]) -> Spoke:
    """Who spoke during which events, wherever; what is ordinary comes behind, as `KIND (ordinary)`."""
    speakers = _speakers(recordings, rules)
    names = list(dict.fromkeys(speakers.values()))
    events: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    false: Counter[str] = Counter()
    for one in recordings:
        said = [(speakers[key], c) for c in one.run.claims if (key := (c.rule, c.class_)) in speakers]
        usual = [(f"{truth.kind} (ordinary)", truth) for truth in one.labelled.ordinary]
        every = [*((truth.kind, truth) for truth in one.labelled.truths), *usual]
        for kind, truth in every:
            events[kind] += 1
            during = {who for who, claim in said if truth.start <= claim.time <= truth.latest}
            counts.update((kind, who) for who in during)
        windows = [(truth.start, truth.latest) for _, truth in every]
        for name in names:
            free = [c for who, c in said if who == name and not any(a <= c.time <= b for a, b in windows)]
            false[name] += len(merged(free))
    kinds = sorted(events, key=lambda kind: (kind.endswith("(ordinary)"), kind))
    return Spoke(
        tuple(kinds),
        tuple(names),
        tuple(events[kind] for kind in kinds),
        tuple(tuple(counts[kind, who] for who in names) for kind in kinds),
        tuple(false[name] for name in names),
    )


def _speakers(recordings: Sequence[Judged], rules: Sequence[str]) -> dict[tuple[str, str], str]:
    """What to call who said what class: the rule's name, with the class where a rule says several."""
    said: dict[str, set[str]] = {rule: set() for rule in rules}
    for one in recordings:
        for claim in one.run.claims:
            if claim.rule in said:
                said[claim.rule].add(claim.class_)
    return {
        (rule, class_): f"{rule} {clean(class_, 40)}" if len(classes) > 1 else rule
        for rule, classes in said.items()
        for class_ in sorted(classes)
    }
