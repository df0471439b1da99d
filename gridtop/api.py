"""Everything a plugin author imports. Names are added here, never taken away (a test holds the list).

Importing this module is cheap: each name is fetched from its room when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridtop.blocks import DOUBTFUL, NO_VALUE, Block, Quality, seconds_to_time
    from gridtop.channels import Channel, ChannelSet
    from gridtop.contracts import (
        Calibrated,
        Counting,
        Detector,
        Explains,
        Extent,
        Host,
        Scores,
        Seekable,
        Settings,
        Sink,
        Source,
    )
    from gridtop.errors import DeliveryError, ReceiverGone, SourceError, Undeliverable
    from gridtop.events import Event
    from gridtop.learning.scoring import load_model, model_channels
    from gridtop.site import Site
    from gridtop.source_statistics import Statistics
    from gridtop.specs import API, CommandSpec, DetectorSpec, SinkSpec, SourceSpec, hookimpl
    from gridtop.units import Amperes, Duration, Hertz, Volts

__all__ = [
    "API",
    "DOUBTFUL",
    "NO_VALUE",
    "Amperes",
    "Block",
    "Calibrated",
    "Channel",
    "ChannelSet",
    "CommandSpec",
    "Counting",
    "DeliveryError",
    "Detector",
    "DetectorSpec",
    "Duration",
    "Event",
    "Explains",
    "Extent",
    "Hertz",
    "Host",
    "Quality",
    "ReceiverGone",
    "Scores",
    "Seekable",
    "Settings",
    "Sink",
    "SinkSpec",
    "Site",
    "Source",
    "SourceError",
    "SourceSpec",
    "Statistics",
    "Undeliverable",
    "Volts",
    "hookimpl",
    "load_model",
    "model_channels",
    "seconds_to_time",
]

_ROOMS = {
    "gridtop.blocks": ("DOUBTFUL", "NO_VALUE", "Block", "Quality", "seconds_to_time"),
    "gridtop.channels": ("Channel", "ChannelSet"),
    "gridtop.contracts": (
        "Calibrated",
        "Counting",
        "Detector",
        "Explains",
        "Extent",
        "Host",
        "Scores",
        "Seekable",
        "Settings",
        "Sink",
        "Source",
    ),
    "gridtop.errors": ("DeliveryError", "ReceiverGone", "SourceError", "Undeliverable"),
    "gridtop.events": ("Event",),
    "gridtop.learning.scoring": ("load_model", "model_channels"),
    "gridtop.site": ("Site",),
    "gridtop.source_statistics": ("Statistics",),
    "gridtop.specs": ("API", "CommandSpec", "DetectorSpec", "SinkSpec", "SourceSpec", "hookimpl"),
    "gridtop.units": ("Amperes", "Duration", "Hertz", "Volts"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    try:
        room = _ROOM_OF[name]
    except KeyError:
        raise AttributeError(f"gridtop.api has no {name!r}; it has {', '.join(__all__)}") from None
    value = getattr(importlib.import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
