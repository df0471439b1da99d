"""How detection is judged: recall by event, delay from the physical start, false alarms over free hours."""

from gridtop.evaluation.event_lists import claims_of, right_places, truths_of
from gridtop.evaluation.frame_scores import FrameScores, cross_validation, scores_by_folds
from gridtop.evaluation.intervals import clopper_pearson, poisson_upper, quantile
from gridtop.evaluation.matching import Claim, Judgement, Run, Task, Truth, free_hours, judge, merged
from gridtop.evaluation.report import FalseAlarms, Rate, Recall, Report, evaluate
from gridtop.evaluation.tables import markdown

__all__ = [
    "Claim",
    "FalseAlarms",
    "FrameScores",
    "Judgement",
    "Rate",
    "Recall",
    "Report",
    "Run",
    "Task",
    "Truth",
    "claims_of",
    "clopper_pearson",
    "cross_validation",
    "evaluate",
    "free_hours",
    "judge",
    "markdown",
    "merged",
    "poisson_upper",
    "quantile",
    "right_places",
    "scores_by_folds",
    "truths_of",
]
