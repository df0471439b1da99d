"""Every miss and every false alarm with its second, to look it up in the recording."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gridtop.evaluation.assessment import Assessment
from gridtop.evaluation.matching import Task, judge
from gridtop.evaluation.truth_sources import ANYWHERE
from gridtop.text import clean


def misses_and_false(assessment: Assessment) -> Iterator[str]:
    """A line for each event that none of the judged rules found, and for each false raise of one of them."""
    tasks = [Task(rule.name, (rule.name,), ("*",)) for rule in assessment.together.rules]
    for one in assessment.recordings:
        name = clean(one.labelled.name)
        judged = [(task.name, judge(task, one.run)) for task in tasks]
        for i, truth in enumerate(one.run.truths):
            delays = [judgement.hits[i] for _, judgement in judged if i in judgement.hits]
            if delays and all(map(math.isinf, delays)):
                where = " ".join(sorted(truth.places - ANYWHERE)) or "anywhere"
                yield f"{name} {truth.start:10.3f} s  missed  {truth.kind} at {clean(where)}"
        false = [
            (claim.time, claim.rule, claim.place, claim.class_)
            for _, judgement in judged
            for claim, outcome, _ in judgement.claims
            if outcome == "false"
        ]
        for time, *what in sorted(false):
            yield f"{name} {time:10.3f} s  false   {clean(' '.join(filter(None, what)))}"
