"""What a configuration is made into: its source, its sinks and its journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gridtop.config import Configuration
from gridtop.configured import PluginInstance, SinkInstance
from gridtop.contracts import Host, Sink, Source
from gridtop.errors import ConfigurationError, GridtopError, SourceError
from gridtop.journal import Journal
from gridtop.loading import blaming
from gridtop.subscriptions import Subscription
from gridtop.text import clean


def source_of(configuration: Configuration) -> Source:
    """The source, not opened; SourceError with one line when its own code refuses."""
    source: Source = _built(configuration.source, configuration, SourceError)
    return source


def source_words(instance: PluginInstance) -> str:
    """The source in a few words for people: `two-line.csv.gz`, `c37118 192.0.2.10:4712`, `standard input`."""
    path = getattr(instance.config, "path", None)
    if path is not None:
        return "standard input" if str(path) == "-" else clean(Path(str(path)).name)
    place = getattr(instance.config, "address", None)
    return clean(f"{instance.type} {place}" if isinstance(place, str) else instance.type)


def sinks_of(
    configuration: Configuration, instances: Mapping[str, SinkInstance]
) -> dict[str, tuple[Sink, Subscription]]:
    """Some of the sinks with what they want, not opened; ConfigurationError when one refuses."""
    return {
        name: (_built(instance, configuration, ConfigurationError), instance.subscription)
        for name, instance in instances.items()
    }


def owed_to(configuration: Configuration) -> dict[str, Subscription]:
    """What the sinks want to which something can be owed."""
    return {
        name: instance.subscription
        for name, instance in configuration.sinks.items()
        if getattr(instance.target, "durable", True)
    }


def journal_of(
    configuration: Configuration, wall: Callable[[], float], clock: Callable[[], float]
) -> Journal:
    """The journal, not opened: in a file relative to the working directory, or in memory."""
    settings = configuration.journal
    path = None if settings.path is None else Path.cwd() / settings.path
    return Journal(path, settings, wall=wall, clock=clock)


def _built(instance: PluginInstance, configuration: Configuration, failure: type[GridtopError]) -> Any:
    log = logging.getLogger(f"gridtop.{instance.name}")
    joined = {name: _built(one, configuration, failure) for name, one in instance.sources.items()}
    host = Host(instance.name, configuration.directory, Path.cwd(), log, configuration.channels, joined)
    with blaming(failure, f"{instance.name} (type {instance.type}) cannot be built"):
        return instance.target(instance.config, host)
