"""Alarm rules, the one place where decisions are made (docs/alarms.md).

`rules` is what a rule is, `lanes` binds rules to channels, `timing` and `conditions` do the arithmetic,
`engine` turns it into events and `wording` into sentences.
"""

from gridtop.alarms.engine import AlarmEngine
from gridtop.alarms.lanes import BoundRule, bind_limits, bind_scores
from gridtop.alarms.rules import check_inhibition

__all__ = ["AlarmEngine", "BoundRule", "bind_limits", "bind_scores", "check_inhibition"]
