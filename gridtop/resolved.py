"""A configuration as it is in force, as YAML: defaults filled in, secrets masked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from gridtop.alarms.rules import AlarmDefaults, AlarmSettings
from gridtop.config import Configuration, DetectorInstance, PluginInstance
from gridtop.documents import CORE_SCALARS
from gridtop.naming import ChannelMeaning
from gridtop.problems import KeyPath

MASK = "***"
_PYDANTIC_MASK = str(SecretStr("x"))


def as_yaml(configuration: Configuration) -> str:
    """The settings in force, as a configuration that can be read again but for what is masked."""
    settings = _escaped(as_dict(configuration))
    return yaml.dump(
        settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


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
        "limits": {name: _rule(limit, configuration.alarms) for name, limit in configuration.limits.items()},
        "detectors": {
            name: _detector(configuration.detectors[name], configuration.alarms)
            if name in configuration.detectors
            else _switched_off(configuration, "detectors", name)
            for name in _names(configuration, "detectors")
        },
        "alarms": _dumped(configuration.alarms),
        "sinks": {
            name: _instance(configuration.sinks[name], {})
            if name in configuration.sinks
            else _switched_off(configuration, "sinks", name)
            for name in _names(configuration, "sinks")
        },
        "screen": _dumped(configuration.screen),
        "plugins": _dumped(configuration.plugins),
    }
    for path in configuration.document.environment:
        _mask(settings, path)
    return settings


def _names(configuration: Configuration, section: str) -> Iterable[str]:
    return configuration.document.get((section,)) or ()


def _switched_off(configuration: Configuration, section: str, name: str) -> dict[str, Any]:
    return {"type": configuration.document.get((section, name, "type")), "enabled": False}


def _instance(plugin: PluginInstance, host: dict[str, Any]) -> dict[str, Any]:
    return {"type": plugin.type, **host, **_dumped(plugin.config)}


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


def _escaped(value: Any) -> Any:
    """`value` with every text written so that reading it substitutes nothing."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) and ("${" in value or "$$" in value) else value


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 would read as something else than text, and nothing more."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, PyYAML fills in a copy

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern in CORE_SCALARS.items():
    if _name != "str":
        _Dumper.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern.pattern})\Z"), None
        )
