"""What a configuration says of one plugin: the host's settings beside its own, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gridtop.alarms.rules import AlarmSettings
from gridtop.client import FASTEST, SLOWEST
from gridtop.subscriptions import Globs, Subscription
from gridtop.validation import describe


@dataclass(frozen=True, slots=True)
class PluginInstance:
    """One configured plugin: its name in the configuration, its class (`target`) and its own settings."""

    name: str
    type: str
    target: Any
    config: BaseModel = field(repr=False)  # may hold secrets
    sources: Mapping[str, PluginInstance] = field(default_factory=dict, kw_only=True)
    """Of a source that joins others: those, by name."""


@dataclass(frozen=True, slots=True)
class DetectorInstance(PluginInstance):
    """A configured detector: the channels it gets, and the rule its scores are judged by, if any."""

    channels: tuple[str, ...] = ("*",)
    alarm: AlarmSettings | None = None


@dataclass(frozen=True, slots=True)
class SinkInstance(PluginInstance):
    """A configured sink and what it wants to hear of."""

    subscription: Subscription = field(default_factory=Subscription)


class HostSettings(BaseModel):
    """Settings beside `type:` that belong to the host; every other one belongs to the plugin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="which plugin; gridtop plugins list names them")


def _speed(value: Any) -> float:
    try:
        speed = math.inf if value == "max" else float(value)
    except (TypeError, ValueError):
        speed = math.nan
    if isinstance(value, bool) or not (SLOWEST <= speed <= FASTEST or speed == math.inf):
        raise ValueError(f"should be max or a number from {SLOWEST:g} to {FASTEST:g}, not {describe(value)}")
    return speed


Speed = Annotated[
    float,
    BeforeValidator(_speed),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": SLOWEST, "maximum": FASTEST}, {"const": "max"}]}),
]


class SourceSettings(HostSettings):
    """The host's settings in `source:`."""

    speed: Speed = Field(1.0, description="times real time, 0.1 to 1000, or max; live sources ignore it")
    loop: bool = Field(False, description="start again at the end of a recording")


class JoinedSettings(HostSettings):
    """The host's settings in each of the `sources:` of a source that joins others."""


class DetectorSettings(HostSettings):
    """The host's settings in each of `detectors:`."""

    enabled: bool = Field(True, description="false: not loaded, and its other settings are not looked at")
    channels: Globs | None = Field(
        None,
        min_length=1,
        description="globs of the channels it gets; ! takes away; if not given, what the detector wants",
    )
    alarm: AlarmSettings | None = Field(
        None, description="the rule its scores are judged by; if not given, the one it brings, if any"
    )


class SinkSettings(HostSettings, Subscription):
    """The host's settings in each of `sinks:`."""

    enabled: bool = Field(True, description="false: not loaded, and its other settings are not looked at")


class PluginSettings(BaseModel):
    """The `plugins:` section: further plugins, and those to leave alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dirs: tuple[str, ...] = Field((), description="folders of one-file plugins, relative to this file")
    disable: tuple[str, ...] = Field((), description="plugins not to load, by the names of plugins list")
