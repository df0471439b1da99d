"""A configuration as it is in force, as YAML: defaults filled in, secrets masked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, SecretStr

from gridtop import limit_profiles
from gridtop.alarms.rules import AlarmDefaults, AlarmSettings
from gridtop.config import Configuration
from gridtop.configured import DetectorInstance, PluginInstance
from gridtop.naming import ChannelMeaning
from gridtop.problems import KeyPath, dotted
from gridtop.yaml_writing import without_variables, yaml_of

MASK = "***"
_PYDANTIC_MASK = str(SecretStr("x"))


def as_yaml(configuration: Configuration) -> str:
    """The settings in force, as a configuration that can be read again but for what is masked."""
    settings = without_variables(as_dict(configuration))
    if not configuration.profiles:
        return yaml_of(settings)
    before, limits, behind = _parted(settings, "limits")
    rules = [yaml_of({limit_profiles.KEY: limits.pop(limit_profiles.KEY)}, flow=False)]
    for name, rule in limits.items():
        rules += [*_provenance(configuration, name), yaml_of({name: rule})]
    return yaml_of(before) + "limits:\n" + textwrap.indent("".join(rules), "  ") + yaml_of(behind)


def as_dict(configuration: Configuration) -> dict[str, Any]:
    """The settings in force, as plain values; what came from the environment or is a secret is `***`.

    Of plugins that are switched off, only their type is known.
    """
    source: dict[str, Any] = {"speed": configuration.speed, "loop": configuration.loop}
    if math.isinf(configuration.speed):
        source["speed"] = "max"
    settings = {
        "source": _instance(configuration.source, source),
        "channels": {
            glob: _dumped(ChannelMeaning.model_validate(configuration.document.get(("channels", glob))))
            for glob in _names(configuration, "channels")
        },
        "site": _dumped(configuration.site),
        "quality": _dumped(configuration.quality),
        "limits": _profiles(configuration)
        | {name: _rule(limit, configuration.alarms) for name, limit in configuration.limits.items()},
        "detectors": {
            name: _detector(configuration.detectors[name], configuration.alarms)
            if name in configuration.detectors
            else _switched_off(configuration, "detectors", name)
            for name in _names(configuration, "detectors")
        },
        "alarms": _dumped(configuration.alarms),
        "sinks": {
            name: _instance(configuration.sinks[name], _dumped(configuration.sinks[name].subscription))
            if name in configuration.sinks
            else _switched_off(configuration, "sinks", name)
            for name in _names(configuration, "sinks")
        },
        "recording": _dumped(configuration.recording),
        "journal": _dumped(configuration.journal),
        "api": _dumped(configuration.api),
        "screen": _dumped(configuration.screen),
        "plugins": _dumped(configuration.plugins),
    }
    for path in configuration.document.environment:
        _mask(settings, path)
    return settings


def _names(configuration: Configuration, section: str) -> Iterable[str]:
    return configuration.document.get((section,)) or ()


def _profiles(configuration: Configuration) -> dict[str, Any]:
    """What the limits begin with, as it was written."""
    key = limit_profiles.KEY
    return {key: configuration.document.get(("limits", key))} if configuration.profiles else {}


def _provenance(configuration: Configuration, name: str) -> list[str]:
    """A comment that says from which profile a rule comes, and which of its settings do not."""
    origin = configuration.origins.get(name)
    if origin is None:
        return []
    if origin.settings is None:
        return [f"# profile {origin.profile}, completed here\n"]
    theirs, own = (
        _leaves(_rule(rule, configuration.alarms)) for rule in (origin.settings, configuration.limits[name])
    )
    changed = [
        dotted(path) for path in (*own, *(theirs.keys() - own.keys())) if theirs.get(path) != own.get(path)
    ]
    here = f"; here: {', '.join(sorted(changed))}" if changed else ""
    return [f"# profile {origin.profile}{here}\n"]


def _leaves(value: Any, path: KeyPath = ()) -> dict[KeyPath, Any]:
    """Every value within maps that is not a map itself."""
    if not isinstance(value, dict):
        return {path: value}
    return {at: leaf for key, inner in value.items() for at, leaf in _leaves(inner, (*path, key)).items()}


def _parted(settings: dict[str, Any], section: str) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The sections before one, it, and those behind it."""
    items = list(settings.items())
    at = list(settings).index(section)
    return dict(items[:at]), items[at][1], dict(items[at + 1 :])


def _switched_off(configuration: Configuration, section: str, name: str) -> dict[str, Any]:
    return {"type": configuration.document.get((section, name, "type")), "enabled": False}


def _instance(plugin: PluginInstance, host: dict[str, Any]) -> dict[str, Any]:
    joined = {name: _instance(one, {}) for name, one in plugin.sources.items()}
    return {"type": plugin.type, **host, **_dumped(plugin.config), **({"sources": joined} if joined else {})}


def _detector(detector: DetectorInstance, defaults: AlarmDefaults) -> dict[str, Any]:
    host: dict[str, Any] = {"channels": list(detector.channels)}
    alarm = {} if detector.alarm is None else {"alarm": _rule(detector.alarm, defaults)}
    return _instance(detector, host) | alarm


def _rule(rule: AlarmSettings, defaults: AlarmDefaults) -> dict[str, Any]:
    overrides = rule.model_dump(mode="json", by_alias=True, include={"overrides"}, exclude_unset=True)
    # An override speaks only of what is written in it, so nothing is filled in there.
    dumped = _dumped(rule.with_defaults(defaults)) | overrides
    return {key: dumped[key] for key in sorted(dumped, key=lambda key: key != "on")}


def _dumped(model: BaseModel) -> dict[str, Any]:
    """The settings of a model with their defaults, without those that are null because nobody wrote them."""
    with_defaults = model.model_dump(mode="json", by_alias=True, warnings=False)
    written = model.model_dump(mode="json", by_alias=True, warnings=False, exclude_defaults=True)
    dumped: dict[str, Any] = _without_unwritten_nulls(with_defaults, written)
    return dumped


def _without_unwritten_nulls(value: Any, written: Any) -> Any:
    if not isinstance(value, dict):
        return MASK if value == _PYDANTIC_MASK else value
    inner = written if isinstance(written, dict) else {}
    return {
        key: _without_unwritten_nulls(item, inner.get(key))
        for key, item in value.items()
        if item is not None or key in inner
    }


def _mask(settings: Any, path: KeyPath) -> None:
    """Hide the value at a path, or what has taken its place: the nearest thing above it."""
    for depth, key in enumerate(path):
        last = depth == len(path) - 1
        inner = settings.get(key) if isinstance(settings, dict) else settings[key]
        if last or not isinstance(inner, (dict, list)):
            settings[key] = MASK
            return
        settings = inner
