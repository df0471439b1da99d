"""The hooks of gridtop and the small records that plugins answer with. Read this to write a plugin.

A plugin names its parts here and is imported no further until the configuration uses one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pluggy

API = 1
"""The version of the plugin interface: it rises only when existing plugins must change."""

hookspec = pluggy.HookspecMarker("gridtop")
hookimpl = pluggy.HookimplMarker("gridtop")


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """One thing a plugin offers.

    name     how the configuration calls it: lower-case letters, digits and underscores
    target   where it is, `package.module:Name`, imported when it is first used; or the thing itself
    summary  one line for `gridtop plugins list`
    api      the version of the plugin interface it was written for
    needs    distributions that must be installed for it to work
    """

    name: str
    target: str | type
    summary: str
    api: int = API
    needs: tuple[str, ...] = ()


class SourceSpec(PluginSpec):
    """A class that fulfils `gridtop.api.Source`."""


class DetectorSpec(PluginSpec):
    """A class that fulfils `gridtop.api.Detector`."""


class SinkSpec(PluginSpec):
    """A class that fulfils `gridtop.api.Sink`."""


class CommandSpec(PluginSpec):
    """A click command; `name` is the word behind `gridtop`."""


class Hooks:
    """Every hook a plugin can implement, each marked with `@hookimpl`."""

    @hookspec
    def gridtop_sources(self) -> Iterable[SourceSpec]:
        """Where measurements come from: `return [SourceSpec("tail", "my.module:Tail", "follows a file")]`."""
        raise NotImplementedError

    @hookspec
    def gridtop_detectors(self) -> Iterable[DetectorSpec]:
        """What scores measurements: `return [DetectorSpec("rocof", "my.module:Rocof", "df/dt")]`."""
        raise NotImplementedError

    @hookspec
    def gridtop_sinks(self) -> Iterable[SinkSpec]:
        """Where events go: `return [SinkSpec("jsonl", "my.module:JsonLines", "a file of JSON lines")]`."""
        raise NotImplementedError

    @hookspec
    def gridtop_commands(self) -> Iterable[CommandSpec]:
        """Further commands: `return [CommandSpec("hello", "my.module:hello", "says hello")]`."""
        raise NotImplementedError
