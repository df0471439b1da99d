"""The channels of several sources as those of one stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gridtop.api import Channel, ChannelSet, SourceError

_PREFIX = "`prefix: true` puts the name of its source before each"


def prefixed(source: str, name: str) -> str:
    """What is called `name` in a source, in a stream of several."""
    return f"{source}/{name}"


def union(sources: Mapping[str, ChannelSet], prefix: bool) -> tuple[Channel, ...]:
    """All channels, in the order of the sources.

    Raises SourceError when two of them have one name.
    """
    channels: dict[str, Channel] = {}
    owners: dict[str, str] = {}
    twice: list[tuple[str, str, str]] = []
    for source, of in sources.items():
        for each in of:
            channel = _renamed(each, source) if prefix else each
            owner = owners.setdefault(channel.name, source)
            if owner == source:
                channels[channel.name] = channel
            else:
                twice.append((channel.name, owner, source))
    if twice:
        name, first, second = twice[0]
        others = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise SourceError(
            f"the channel {name}{others} of {first} is in {second} as well: {_PREFIX}, "
            "or `terminals:` of a c37118 source calls its PMUs something else"
        )
    return tuple(channels.values())


def _renamed(channel: Channel, source: str) -> Channel:
    terminal = prefixed(source, channel.terminal) if channel.terminal else ""
    return replace(channel, name=prefixed(source, channel.name), terminal=terminal)
