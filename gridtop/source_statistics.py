"""What a source knows about how its data come: figures of the stream and of each device in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a source knows about how its data come: figures by name, of the stream and of each device in it.

    An int has been counted since `open`; a float is how it is now (NaN: not known). `words` are what there is
    to say of a device now, one line each; a device without trouble has none.
    """

    stream: Mapping[str, float]
    devices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
