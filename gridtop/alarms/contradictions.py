"""Alarm rules that cannot be meant: levels in the wrong order, deadbands that no value ever leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridtop.alarms.quantiles import Quantile

if TYPE_CHECKING:
    from gridtop.alarms.rules import AlarmSettings, Direction, ScoreLevels


def check(rule: AlarmSettings) -> None:
    """Raise ValueError when the settings contradict each other.

    What a quantile and a number have to do with each other is not known until the quantile is.
    """
    limits = {"low": rule.low, "high": rule.high, "abs": rule.abs}
    given = {direction: levels for direction, levels in limits.items() if levels is not None}
    if not given:
        raise ValueError(
            "there is no limit; write low, high or abs, such as high: {warning: 1.05, critical: 1.1}"
        )
    for direction in ("abs", "high", "low"):
        if direction in given:
            _check_levels(direction, given[direction])
    low, high, size = (_outer(limits[direction]) for direction in ("low", "high", "abs"))
    if low is not None and high is not None:
        if low >= high:
            raise ValueError(
                f"low ({low:g}) must be below high ({high:g}): as it is, every value is an alarm"
            )
        if low + rule.deadband >= high - rule.deadband:
            raise ValueError(
                f"deadband {rule.deadband:g} is too wide: no value lies that far inside both "
                f"low ({low:g}) and high ({high:g}), so the alarms could never both be clear"
            )
    if size is not None and rule.deadband >= size:
        raise ValueError(
            f"deadband {rule.deadband:g} is too wide for abs ({size:g}): the alarm could never clear; "
            "make it smaller than the limit"
        )


def _check_levels(direction: Direction, levels: ScoreLevels) -> None:
    warning, critical = levels.warning, levels.critical
    if warning is None and critical is None:
        raise ValueError(f"{direction} has no level; write {direction}: null to switch the direction off")
    if _milder(critical, warning, direction):
        farther = "below" if direction == "low" else "above"
        raise ValueError(
            f"{direction}: critical ({_shown(critical)}) is less severe than warning ({_shown(warning)}); "
            f"it must be {farther} it"
        )
    if direction == "abs" and any(isinstance(limit, float) and limit <= 0 for limit in (warning, critical)):
        raise ValueError(
            "abs looks at the size of a value, which is never below 0; its limits must be above 0"
        )


def _milder(critical: float | Quantile | None, warning: float | Quantile | None, direction: str) -> bool:
    """Whether the critical level is met before the warning's; of a number and a quantile nobody knows."""
    if isinstance(critical, Quantile) and isinstance(warning, Quantile):
        return critical.percent < warning.percent
    if isinstance(critical, float) and isinstance(warning, float):
        return critical > warning if direction == "low" else critical < warning
    return False


def _outer(levels: ScoreLevels | None) -> float | None:
    """The level that is met first, where it is a number."""
    if levels is None:
        return None
    return None if isinstance(levels.outer, Quantile) else levels.outer


def _shown(level: float | Quantile | None) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)
