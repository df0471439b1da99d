"""Limits ready to use: the profiles that `limits: {profile: ...}` picks, and what of them fits a stream.

A profile lies beneath the rules written beside it, so that those change single values (docs/limits.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridtop import documents
from gridtop.alarms.lanes import BoundRule, bind_limits, gate_columns
from gridtop.alarms.rules import (
    LEVELS,
    AlarmDefaults,
    AlarmOverride,
    AlarmSettings,
    Gate,
    Levels,
    LimitSettings,
)
from gridtop.channels import Channel, ChannelSet, matches
from gridtop.documents import Document
from gridtop.layering import laid_over, only
from gridtop.problems import InvalidConfiguration, KeyPath, Place, Problem, did_you_mean
from gridtop.site import Site
from gridtop.text import clean
from gridtop.validation import Findings, describe

if TYPE_CHECKING:
    from gridtop.config import Configuration

KEY = "profile"
"""The key among the limits that names profiles; no rule can be called so."""
_PATH: KeyPath = ("limits", KEY)
_LINE_ANGLE = "angle_difference"
_PER_LEVEL = tuple(AlarmDefaults.model_fields)


class LimitProfile(BaseModel):
    """What a profile's file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str = Field(description="one sentence: which kind of site this is for")
    assumes: dict[str, str | float] = Field(
        default_factory=dict, description="nominal values it was written for; for people, nothing reads them"
    )
    limits: dict[str, Any] = Field(description="rules, in the form of the limits of a configuration")
    needs_baseline: tuple[str, ...] = Field(
        (),
        description="rules that mean nothing without a commissioning baseline: they are left out without one",
    )

    @model_validator(mode="after")
    def _known(self) -> LimitProfile:
        for rule in self.needs_baseline:
            if rule not in self.limits:
                raise ValueError(
                    f"needs_baseline: there is no rule {rule!r}{did_you_mean(rule, self.limits)}"
                )
        return self


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule comes from: its profile, and what it says there (None when it is not complete there)."""

    profile: str
    settings: LimitSettings | None
    needs_baseline: bool = False

    def leaves_out(self, settings: LimitSettings) -> bool:
        """Whether a rule may be left out where it matches nothing: it looks at what the profile says."""
        return self.settings is not None and self.settings.on == settings.on


@dataclass(frozen=True, slots=True)
class Layers:
    """A configuration with the rules of its profiles beneath its own.

    names     the profiles, as they were written, the lowest first
    origins   the rules that come from a profile, though values in them may be the user's
    problems  what is wrong with the choice of profiles, or keeps one from being read; without a profile's
              rules nothing can be said about those beside it
    """

    document: Document
    names: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def misspelt(self, rule: str) -> str:
        """Which rule of a profile was meant by one that only changes what is not there; else nothing."""
        settings = self.document.get(("limits", rule))
        if rule in self.origins or not isinstance(settings, dict) or "on" in settings:
            return ""
        hint = did_you_mean(rule, self.origins)
        which = ", ".join(dict.fromkeys(origin.profile for origin in self.origins.values()))
        return hint and f"no such rule in the profile {which}{hint}; a rule of your own needs on:"


def shipped() -> dict[str, Path]:
    """The profiles that come with gridtop, by name."""
    folder = Path(str(resources.files("gridtop.data") / "limits"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def laid_under(document: Document, directory: Path, environment: Mapping[str, str]) -> Layers:
    """A configuration with its profiles beneath its limits; as it was when it names none.

    Files are looked for from `directory`.
    """
    limits = document.get(("limits",))
    if not isinstance(limits, dict) or KEY not in limits:
        return Layers(document)
    findings = Findings(document)
    chosen = _chosen(limits[KEY], findings)
    problems = [problem for problem in findings.problems() if problem.keys[:2] == _PATH]
    names: list[str] = []
    origins: dict[str, str] = {}
    needing: set[str] = set()
    profiles: Document | None = None
    for path, name in chosen:
        names.append("***" if path in document.environment else clean(name))
        try:
            profile, head = _read(_file(name, directory), environment)
        except InvalidConfiguration as error:
            # A file that is not there is a mistake of whoever names it.
            problems += [p if p.place.line else _named(p, document.place(path), path) for p in error.problems]
            continue
        for rule in profile.get(("limits",)):
            origins[rule] = f"{origins[rule]}, {names[-1]}" if rule in origins else names[-1]
        needing.update(head.needs_baseline)
        profiles = profile if profiles is None else _laid_over(profile, profiles)
    if problems or profiles is None:
        return Layers(document, tuple(names), problems=tuple(problems))
    told = {
        rule: Origin(which, _settings(profiles, rule), rule in needing) for rule, which in origins.items()
    }
    return Layers(_laid_over(document, profiles), tuple(names), told)


def _chosen(wish: Any, findings: Findings) -> list[tuple[KeyPath, str]]:
    """Each profile that is asked for, with where; what cannot be one is noted."""
    known = shipped()
    wishes = list(enumerate(wish)) if isinstance(wish, list) else [(None, wish)]
    if not wishes:
        findings.add(_PATH, f"the list is empty; there are {', '.join(known)}")
    chosen: list[tuple[KeyPath, str]] = []
    for i, name in wishes:
        path = _PATH if i is None else (*_PATH, i)
        if not isinstance(name, str):
            rule = "; no rule can be called profile" if isinstance(name, dict) else ""
            whole = "the name of a profile" + ("" if isinstance(wish, list) else " or a list of them")
            findings.add(path, f"should be {whole}, not {describe(name)}{rule}")
        elif not _is_file(name) and name not in known:
            message = f"there is no profile {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            findings.add(path, f"{message}; a file of your own ends in .yaml")
        else:
            chosen.append((path, name))
    return chosen


def _is_file(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _file(name: str, directory: Path) -> Path:
    return directory / name if _is_file(name) else shipped()[name]


def _named(problem: Problem, place: Place, path: KeyPath) -> Problem:
    return Problem(place, path, f"{problem.place.text.name}: {problem.message}")


def _read(path: Path, environment: Mapping[str, str]) -> tuple[Document, LimitProfile]:
    """A profile, and its document with nothing but the limits; InvalidConfiguration when it is none."""
    document = documents.read(path, environment)
    findings = Findings(document)
    profile: LimitProfile | None = None
    if document.value is None:
        findings.add((), "the file is empty; a profile has about: and limits:")
    else:
        profile = findings.check(LimitProfile, document.value, ())
    if profile is not None and KEY in profile.limits:
        message = "a profile stands on its own; write a list where it is picked: profile: [tx60, this.yaml]"
        findings.add(_PATH, message, at_key=True)
    if profile is None or findings.found:
        raise InvalidConfiguration(*findings.problems())
    return only(document, "limits"), profile


def _laid_over(above: Document, below: Document) -> Document:
    """One layer on another. A delay of both levels beneath one of a single level is still the other's."""
    value, values, environment = dict(below.value), dict(below.values), set(below.environment)
    rules = value["limits"] = dict(value["limits"])
    for rule, settings in rules.items():
        for name in _PER_LEVEL if isinstance(settings, dict) else ():
            path = ("limits", rule, name)
            if isinstance(above.get(path), dict) and isinstance(whole := below.get(path), (str, int, float)):
                rules[rule] = rules[rule] | {name: dict.fromkeys(LEVELS, whole)}
                values |= {(*path, level): below.values[path] for level in LEVELS}
                environment |= {(*path, level) for level in LEVELS if path in environment}
    split = replace(below, value=value, values=values, environment=frozenset(environment))
    return laid_over(above, split)


def _settings(profiles: Document, rule: str) -> LimitSettings | None:
    try:
        return LimitSettings.model_validate(profiles.get(("limits", rule)))
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Fitted:
    """The limits on the channels of a stream, and a line for what of a profile has nothing to watch there."""

    rules: tuple[BoundRule, ...]
    notices: tuple[str, ...]


def fit(
    configuration: Configuration, channels: ChannelSet, scored: ChannelSet, missing: Sequence[str]
) -> Fitted:
    """Bind a configuration's limits; rules of a profile, and all of a configuration that is only borrowed,
    are left out where they have nothing to watch.

    `scored` are the channels with the detectors' scores behind them, where gates are looked for; `missing`
    says why quantities are not to be had, as `name of place: reason`. Raises ConfigurationError when a rule
    that is the user's own matches no channel.
    """
    origins = configuration.origins
    absent: dict[str, list[str]] = {}
    limits: dict[str, LimitSettings] = {}
    for name, settings in configuration.limits.items():
        columns = channels.select(settings.patterns) if settings.enabled else ()
        origin = origins.get(name)
        leaves_out = configuration.borrowed or (origin is not None and origin.leaves_out(settings))
        theirs = settings.enabled and leaves_out
        if theirs and not columns:
            absent.setdefault(_reason(settings.patterns[0], missing), []).append(name)
        elif theirs and origin and origin.needs_baseline and configuration.site.baselines is None:
            absent.setdefault("no commissioning baseline: site.baselines", []).append(name)
        elif origin and origin.settings and origin.settings.abs == settings.abs:
            limits[name] = _to_angle_limits(settings, [channels[i] for i in columns], configuration.site)
        else:
            limits[name] = settings
    rules: list[BoundRule] = []
    ungated: dict[str, list[str]] = {}
    for rule in bind_limits(limits, configuration.alarms, channels):
        kept, gates = _gated(rule, configuration, scored)
        if rule.columns and not kept.columns:
            absent.setdefault(_no_gate(gates[0][0], missing), []).append(rule.name)
            continue
        for gate, channel in gates:
            ungated.setdefault(_no_gate(gate, missing), []).append(f"{rule.name} on {channel}")
        rules.append(kept)
    return Fitted(tuple(rules), tuple(_notices(configuration, absent, ungated)))


def _gated(
    rule: BoundRule, configuration: Configuration, channels: ChannelSet
) -> tuple[BoundRule, list[tuple[str, str]]]:
    """A rule where its gates are to be had, and each (gate, channel) where the profile's own is not."""
    origin = configuration.origins.get(rule.name)
    if origin is None or origin.settings is None:
        return rule, []
    kept, lacking = [], []
    for column, subject in zip(rule.columns, rule.subjects, strict=True):
        gate = _gate(rule.settings, subject)
        as_there = gate == _gate(origin.settings, subject)
        if gate and as_there and not gate_columns(gate, subject, channels, configuration.site):
            lacking.append((gate.on, subject.name))
        else:
            kept.append((column, subject))
    columns, subjects = tuple(column for column, _ in kept), tuple(subject for _, subject in kept)
    return replace(rule, columns=columns, subjects=subjects), lacking


def _gate(settings: AlarmSettings, channel: Channel) -> Gate | None:
    """The gate of a rule on one channel."""
    gate = settings.gate
    for pattern, override in settings.overrides.items():
        if "gate" in override.model_fields_set and matches(channel, pattern):
            gate = override.gate
    return gate


def _to_angle_limits(settings: LimitSettings, channels: Iterable[Channel], site: Site) -> LimitSettings:
    """A profile's limits on the angle of a line, in proportion to what the site allows that line.

    Its `angle_limit` becomes the critical limit. What is overridden for a line by name comes first.
    """
    critical = settings.abs and settings.abs.critical
    if settings.abs is None or not critical:
        return settings
    scaled: dict[str, AlarmOverride] = {}
    for channel in channels:
        line = site.lines.get(channel.terminal)
        if channel.quantity == _LINE_ANGLE and line is not None and line.angle_limit is not None:
            warning = settings.abs.warning and settings.abs.warning * line.angle_limit / critical
            levels = Levels(warning=warning, critical=line.angle_limit)
            deadband = settings.deadband * min(1.0, line.angle_limit / critical)
            scaled[channel.name] = AlarmOverride(abs=levels, deadband=deadband)
    return settings.model_copy(update={"overrides": scaled | settings.overrides}) if scaled else settings


def _reason(pattern: str, missing: Sequence[str]) -> str:
    """Why there is nothing that a glob such as `*:rocof` means."""
    quantity = pattern.rpartition(":")[2]
    for line in missing:
        about, _, reason = line.partition(": ")
        if about == quantity or about.startswith(f"{quantity} of "):
            return reason
    return "no such quantity here"


def _no_gate(gate: str, missing: Sequence[str]) -> str:
    return f"no {gate} to gate with: {_reason(gate, missing)}"


def _notices(
    configuration: Configuration, absent: Mapping[str, list[str]], ungated: Mapping[str, list[str]]
) -> Iterable[str]:
    which = f"profile{'s' * (len(configuration.profiles) != 1)} {', '.join(configuration.profiles)}"
    names: Iterable[str] = configuration.origins
    if configuration.borrowed:
        which, names = "the configuration that comes with gridtop", configuration.limits
    if absent:
        watching = sum(configuration.limits[name].enabled for name in names)
        count = sum(map(len, absent.values()))
        have = "has" if count == 1 else "have"
        yield f"{which}: {count} of {watching} rules {have} nothing to watch here: {_listed(absent)}"
    if ungated:
        yield f"{which}: some rules do not watch everything: {_listed(ungated)}"


def _listed(by_reason: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
