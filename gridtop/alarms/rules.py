"""What an alarm rule is: the settings of limits and of detectors' alarms (docs/alarms.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gridtop.alarms.contradictions import check
from gridtop.alarms.quantiles import Number, NumberOrQuantile, Quantile
from gridtop.channels import Channel, matches
from gridtop.problems import did_you_mean
from gridtop.units import Duration, parse_duration

Level = Literal["warning", "critical"]
Direction = Literal["low", "high", "abs"]
AlarmClass = Literal["grid", "integrity", "data_quality"]
Wanted = Literal["good", "any"]
AlarmPriority = Literal["low", "medium", "high"]

LEVELS: tuple[Level, Level] = ("warning", "critical")
"""From the milder to the worse: the order of the level axis in every array."""
PRIORITIES: tuple[AlarmPriority, ...] = ("low", "medium", "high")
DIRECTIONS: tuple[Direction, ...] = ("abs", "high", "low")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class _PerLevel(_Section):
    """Something that may differ between the two levels; what is not given comes from below."""

    @model_validator(mode="before")
    @classmethod
    def _from_one(cls, value: Any) -> Any:
        """One value for both levels, as people write it; what is a mapping already passes."""
        if isinstance(value, (Mapping, cls)):
            return value
        return dict.fromkeys(LEVELS, cls._one(value))

    @classmethod
    def _one(cls, value: Any) -> Any:
        raise NotImplementedError


class ScoreLevels(_PerLevel):
    """The thresholds of a score: numbers, or quantiles such as q99.9; a level without one does not exist."""

    warning: NumberOrQuantile | None = Field(None, description="where the alarm becomes a warning")
    critical: NumberOrQuantile | None = Field(None, description="where the alarm becomes critical")

    @classmethod
    def _one(cls, value: Any) -> Any:
        raise ValueError(
            f"say which level {value!r} is: {{warning: {value}}} or {{critical: {value}}} or both"
        )

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("no level is given; write {warning: ..., critical: ...} or one of the two")
        return self

    @property
    def outer(self) -> float | Quantile | None:
        """The threshold that is met first: the warning's, or else the critical one."""
        return self.critical if self.warning is None else self.warning

    def resolved(self, scores: Mapping[Quantile, float]) -> Self:
        """These thresholds with numbers where quantiles stood; null stays null."""
        limits = {str(level): getattr(self, level) for level in LEVELS}
        return self.model_copy(
            update={level: scores[limit] for level, limit in limits.items() if isinstance(limit, Quantile)}
        )


class Levels(ScoreLevels):
    """The thresholds of one direction; a level without one does not exist."""

    warning: Number | None = Field(None, description="where the alarm becomes a warning")
    critical: Number | None = Field(None, description="where the alarm becomes critical")


class Delays(_PerLevel):
    """How long a condition must last: one duration, or one for each level."""

    warning: Duration | None = None
    critical: Duration | None = None

    @classmethod
    def _one(cls, value: Any) -> timedelta:
        return parse_duration(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        whole = {"type": ["string", "integer"], "examples": ["100ms", "10s"]}
        return _one_or_per_level(whole, core_schema, handler)


class Consecutive(_PerLevel):
    """How many samples in a row must exceed: one number, or one for each level."""

    warning: Annotated[int, Field(ge=1)] | None = None
    critical: Annotated[int, Field(ge=1)] | None = None

    @classmethod
    def _one(cls, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{value!r} is not a number of samples; write a whole number from 1")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return _one_or_per_level({"type": "integer", "minimum": 1}, core_schema, handler)


class Priorities(_PerLevel):
    """How soon somebody must respond, by consequence: one word, or one for each level."""

    warning: AlarmPriority | None = None
    critical: AlarmPriority | None = None

    @classmethod
    def _one(cls, value: Any) -> Any:
        if value not in PRIORITIES:
            raise ValueError(f"{str(value)[:20]!r} is no priority; write {', '.join(PRIORITIES)}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return _one_or_per_level({"type": "string", "enum": list(PRIORITIES)}, core_schema, handler)


class Gate(_Section):
    """The rule only looks while another quantity of the same place is within these bounds."""

    on: str = Field(description="name of the quantity, such as positive_current_pu; a glob")
    min: float | None = Field(None, description="closed below this")
    max: float | None = Field(None, description="closed above this")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the gate on {self.on!r} has no bound; write min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                f"the gate on {self.on!r} never opens: min {self.min:g} is above max {self.max:g}"
            )
        return self


class AlarmOverride(_Section):
    """The settings of a rule that may differ between its channels; only those written here count."""

    low: Levels | None = Field(None, description="alarm at or below these values")
    high: ScoreLevels | None = Field(None, description="alarm at or above these values")
    abs: Levels | None = Field(
        None, description="alarm when the size, whatever the sign, is at or above these"
    )
    deadband: float = Field(0.0, ge=0, description="how far back inside the limit a value must be to clear")
    on_delay: Delays | None = Field(None, description="how long the limit must be exceeded to raise")
    off_delay: Delays | None = Field(None, description="how long the value must be back inside to clear")
    consecutive: Consecutive | None = Field(None, description="how many samples must exceed to raise")
    priority: Priorities | None = Field(None, description="how soon somebody must respond")
    gate: Gate | None = Field(None, description="look only while another quantity is within bounds")
    inhibit_if: tuple[str, ...] = Field((), description="rules that silence this one in the same place")
    latch: bool = Field(False, description="hold the alarm until someone unlatches it")
    enabled: bool = Field(True, description="false: no alarms from this rule")
    class_: AlarmClass = Field("grid", alias="class", description="what the alarm is about")
    quality: Wanted | None = Field(
        None,
        description="good: doubtful values count as missing; any: they are judged as well; "
        "if not given, good, and any for the class data_quality",
    )


class LimitOverride(AlarmOverride):
    """The settings of a limit that may differ between its channels; only those written here count."""

    high: Levels | None = Field(None, description="alarm at or above these values")


class AlarmSettings(AlarmOverride):
    """An alarm rule: when a value or a score is an alarm, and when it is one no more."""

    overrides: Mapping[str, AlarmOverride] = Field(
        default_factory=dict,
        description="glob of channels to the settings that differ there; where several match, the later wins",
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        self._check()
        return self

    def _check(self) -> None:
        """Raise ValueError when the settings contradict each other, or an override contradicts them."""
        check(self)
        for pattern, override in self.overrides.items():
            try:
                self._changed(_laid_over(self, override))
            except ValueError as error:
                raise ValueError(f"with the override for {pattern!r}: {error}") from None

    def with_defaults(self, defaults: AlarmDefaults) -> Self:
        """This rule with the defaults where it says nothing."""
        changes: dict[str, Any] = {}
        for name in AlarmDefaults.model_fields:
            given, default = getattr(self, name), getattr(defaults, name)
            changes[name] = default if given is None else _merged(default, given)
        return self._changed(changes)

    def for_channel(self, channel: Channel) -> Self:
        """This rule as it is on one channel; ValueError when its overrides contradict each other there."""
        settings = self
        for pattern, override in self.overrides.items():
            if matches(channel, pattern):
                settings = settings._changed(_laid_over(settings, override))
        return settings

    @property
    def inhibitors(self) -> frozenset[str]:
        """The rules that silence this one, on any of its channels."""
        return frozenset(self.inhibit_if).union(
            *(override.inhibit_if for override in self.overrides.values())
        )

    @property
    def needs_good_values(self) -> bool:
        """Whether doubtful values count as missing."""
        if self.quality is None:
            return self.class_ != "data_quality"
        return self.quality == "good"

    def levels(self, direction: Direction) -> ScoreLevels | None:
        """The thresholds of one direction, None when the rule does not look that way."""
        levels: ScoreLevels | None = getattr(self, direction)
        return levels

    def quantiles(self) -> Iterator[tuple[tuple[str, ...], Quantile]]:
        """Each level that is a quantile, with the path of the setting."""
        places: list[tuple[tuple[str, ...], ScoreLevels | None]] = [((), self.high)]
        places += [(("overrides", name), override.high) for name, override in self.overrides.items()]
        for path, levels in places:
            for level in LEVELS:
                if levels is not None and isinstance(found := getattr(levels, level), Quantile):
                    yield (*path, "high", level), found

    def resolved(self, scores: Mapping[Quantile, float]) -> Self:
        """This rule with numbers where quantiles stood; ValueError when it then contradicts itself."""
        overrides = {
            name: override.model_copy(update={"high": override.high.resolved(scores)})
            if override.high
            else override
            for name, override in self.overrides.items()
        }
        high = self.high and self.high.resolved(scores)
        resolved = self.model_copy(update={"high": high, "overrides": overrides})
        resolved._check()
        return resolved

    def _changed(self, changes: dict[str, Any]) -> Self:
        changed = self.model_copy(update=changes)
        check(changed)
        return changed


class LimitSettings(AlarmSettings):
    """One entry of `limits:`: an alarm rule and the channels or quantities it looks at."""

    high: Levels | None = Field(None, description="alarm at or above these values")
    overrides: dict[str, LimitOverride] = Field(
        default_factory=dict,
        description="glob of channels to the settings that differ there; where several match, the later wins",
    )
    on: str | list[str] = Field(description="globs of channels or quantities; one with ! takes some away")

    @field_validator("on")
    @classmethod
    def _chooses(cls, on: str | list[str]) -> str | list[str]:
        patterns = [on] if isinstance(on, str) else on
        if not patterns or patterns[0].startswith("!"):
            raise ValueError(
                'nothing is chosen that ! could take away; begin with a glob such as "*:voltage_pu"'
            )
        return on

    @property
    def patterns(self) -> list[str]:
        """The globs, as a list."""
        return [self.on] if isinstance(self.on, str) else self.on


class AlarmDefaults(_Section):
    """The `alarms:` section: what a rule does that says nothing else."""

    on_delay: Delays = Field(
        Delays(warning=timedelta(milliseconds=100), critical=timedelta(milliseconds=100))
    )
    off_delay: Delays = Field(Delays(warning=timedelta(seconds=1), critical=timedelta(seconds=1)))
    consecutive: Consecutive = Field(Consecutive(warning=1, critical=1))
    priority: Priorities = Field(Priorities(warning="low", critical="high"))

    @field_validator("on_delay", "off_delay", "consecutive", "priority")
    @classmethod
    def _both_levels(cls, value: _PerLevel, info: Any) -> Any:
        return _merged(cls.model_fields[info.field_name].default, value)


def check_inhibition(rules: Mapping[str, AlarmSettings]) -> list[tuple[str, str]]:
    """What is wrong with the rules' `inhibit_if`, as (rule, problem).

    A rule that does not exist, and rules that inhibit each other in a ring.
    """
    problems = [
        (name, f"there is no rule called {other!r} to be inhibited by{did_you_mean(other, rules)}")
        for name, settings in rules.items()
        for other in sorted(settings.inhibitors - rules.keys())
    ]
    try:
        TopologicalSorter({name: sorted(settings.inhibitors) for name, settings in rules.items()}).prepare()
    except CycleError as error:
        ring = error.args[1]
        text = (
            "a rule cannot wait for itself" if len(set(ring)) == 1 else "rules inhibit each other in a ring"
        )
        problems.append((ring[0], f"{text}: {' -> '.join(reversed(ring))}; take one out of inhibit_if"))
    return problems


def _laid_over(below: AlarmSettings, override: AlarmOverride) -> dict[str, Any]:
    """What an override changes: the settings that were written in it, level by level."""
    return {
        name: _merged(getattr(below, name), getattr(override, name)) for name in override.model_fields_set
    }


def _merged(below: Any, above: Any) -> Any:
    """`above`, and the level it does not speak of from `below`. A null switches a limit off, nothing else."""
    if not isinstance(below, _PerLevel):
        return above
    null_counts = isinstance(below, ScoreLevels)
    if above is None:
        return None if null_counts else below
    written = {level: getattr(above, level) for level in above.model_fields_set}
    return below.model_copy(
        update={level: value for level, value in written.items() if value is not None or null_counts}
    )


def _one_or_per_level(
    whole: JsonSchemaValue, core_schema: CoreSchema, handler: GetJsonSchemaHandler
) -> JsonSchemaValue:
    reference = handler(core_schema)
    per_level = handler.resolve_ref_schema(reference)
    description = per_level.pop("description", "")
    copy = dict(per_level)
    per_level.clear()
    per_level.update({"description": description, "anyOf": [whole, copy]})
    return reference
