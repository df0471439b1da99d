"""A changed configuration while the engine runs: what takes effect at once, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from gridtop.config import Configuration
from gridtop.configured import PluginInstance, SinkInstance
from gridtop.errors import GridtopError
from gridtop.problems import InvalidConfiguration

Instance = TypeVar("Instance", bound=PluginInstance)

AT_ONCE = ("limits", "detectors", "alarms", "sinks", "screen", "recording")
"""Sections that take effect while the engine runs."""

NEXT_START = ("source", "speed", "loop", "channels", "site", "quality", "journal", "api", "plugins")
"""What is only looked at when an engine starts: streams, journals and sockets are open already."""


def aligned(running: Configuration, changed: Configuration) -> Configuration:
    """The changed configuration, in which plugins whose settings are the same are those that run.

    Files of plugins are read anew with every configuration, which makes other classes of them; an engine
    keeps those it started with.
    """
    return replace(
        changed,
        source=_aligned(running.source, changed.source),
        detectors={n: _aligned(running.detectors.get(n), one) for n, one in changed.detectors.items()},
        sinks={n: _aligned(running.sinks.get(n), one) for n, one in changed.sinks.items()},
    )


def merged(running: Configuration, changed: Configuration) -> Configuration:
    """The configuration that is in force from now on: what can change is the changed one's."""
    fresh = {name: getattr(changed, name) for name in (*AT_ONCE, "plugin_problems", "profiles", "origins")}
    return replace(running, **fresh)


def exchanged(running: Configuration, changed: Configuration) -> tuple[dict[str, SinkInstance], set[str]]:
    """The sinks that are new or have changed, and the names of those that are gone."""
    fresh = {name: sink for name, sink in changed.sinks.items() if running.sinks.get(name) != sink}
    return fresh, set(running.sinks) - set(changed.sinks)


def difference(running: Configuration, changed: Configuration) -> str:
    """What is new in one sentence for people: `configuration reloaded: limits.voltage changed, ...`."""
    told: list[str] = []
    for section in ("limits", "detectors", "sinks"):
        told += _named(section, getattr(running, section), getattr(changed, section))
    told += [
        f"{section} changed"
        for section in ("alarms", "screen", "recording")
        if _differs(running, changed, section)
    ]
    later = [section for section in NEXT_START if _differs(running, changed, section)]
    words = "configuration reloaded: " + (", ".join(told) or "nothing to change")
    if later:
        words += f"; {', '.join(later)} changed as well: that takes effect at the next start"
    return words


def refusal(error: GridtopError) -> str:
    """Why a configuration is not taken, in one line: each mistake with its place."""
    if isinstance(error, InvalidConfiguration):
        why = "; ".join(problem.headline for problem in error.problems)
    else:
        why = "; ".join(line.strip() for line in str(error).splitlines())
    return f"the configuration was not reloaded, everything goes on as before: {why}"


def _aligned(running: Instance | None, changed: Instance) -> Instance:
    if running is None or running.type != changed.type:
        return changed
    if running.config.model_dump() != changed.config.model_dump():
        return changed
    sources = {name: _aligned(running.sources.get(name), one) for name, one in changed.sources.items()}
    return replace(changed, target=running.target, config=running.config, sources=sources)


def _differs(running: Configuration, changed: Configuration, name: str) -> bool:
    if name == "channels":  # a map of them is not comparable, what was written is
        return bool(running.document.get(("channels",)) != changed.document.get(("channels",)))
    return bool(getattr(running, name) != getattr(changed, name))


def _named(section: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    told = [f"{section}.{name} added" for name in after if name not in before]
    told += [f"{section}.{name} removed" for name in before if name not in after]
    told += [f"{section}.{name} changed" for name in after if name in before and after[name] != before[name]]
    return told
