"""What a gridtop recording says about itself: its id, its channels, where it comes from."""

from __future__ import annotations

import json
import math
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, get_args

from gridtop import __version__
from gridtop.channels import Channel, ChannelSet, Clock, Part, Reference
from gridtop.recordings.native_chunks import MOST_CHANNELS, DamagedError
from gridtop.text import clean

COLUMNS = ("id", "rate", "clock", "source", "version", "channels")
"""Of the table that holds the head."""

LONGEST_CHANNELS = 64 << 20
"""Bytes of JSON that describe the channels."""
_LONGEST_NAME = 1000
_LARGEST_RATE = 1e9
_LARGEST_ORDER = 1_000_000
_ID = re.compile(r"[0-9a-f]{32}")
_DEFAULTS: dict[str, Any] = {name: value for name, value in asdict(Channel("")).items() if name != "name"}


@dataclass(frozen=True, slots=True)
class Head:
    """`id` is of this recording only, `source` says in words what was recorded, `version` is gridtop's."""

    id: str
    channels: ChannelSet
    source: str
    version: str


def new_head(channels: ChannelSet, source: str) -> Head:
    """The head of a new recording."""
    return Head(secrets.token_hex(16), channels, clean(source), __version__)


def to_row(head: Head) -> tuple[Any, ...]:
    """The head as a row of `COLUMNS`."""
    described = [asdict(channel) for channel in head.channels]
    channels = json.dumps(described, ensure_ascii=False, separators=(",", ":"))
    rate = None if head.channels.rate is None else float(head.channels.rate)
    return head.id, rate, head.channels.clock, head.source, head.version, channels


def from_row(row: tuple[Any, ...]) -> Head:
    """The head that such a row holds; DamagedError when it cannot be one."""
    number, rate, clock, source, version, described = row
    if not isinstance(number, str) or not _ID.fullmatch(number):
        raise DamagedError("it has no id")
    if rate is not None and not (isinstance(rate, float) and 0 < rate <= _LARGEST_RATE):
        raise DamagedError("an impossible frame rate")
    if clock not in get_args(Clock):
        raise DamagedError("an unknown clock")
    if not isinstance(source, str) or not isinstance(version, str) or not isinstance(described, str):
        raise DamagedError("its head is not text")
    try:
        read = json.loads(described)
    except (ValueError, RecursionError):
        raise DamagedError("its channels are no JSON") from None
    if not isinstance(read, list) or not 0 < len(read) <= MOST_CHANNELS:
        raise DamagedError("an impossible number of channels")
    try:
        channels = ChannelSet(tuple(map(_channel, read)), rate, clock)
    except ValueError as error:
        raise DamagedError(str(error)) from None
    return Head(number, channels, clean(source), clean(version))


def _channel(read: Any) -> Channel:
    """A channel; DamagedError when its fields are not those of one."""
    if not isinstance(read, dict) or not isinstance(read.get("name"), str) or not read["name"]:
        raise DamagedError("a channel without a name")
    told = clean(read["name"], 80)
    fields = {name: read.get(name, default) for name, default in _DEFAULTS.items()}
    if read.keys() - fields.keys() - {"name"} or any(
        type(value) is not type(_DEFAULTS[name]) for name, value in fields.items()
    ):
        raise DamagedError(f"channel {told!r} has fields that it should not have")
    if fields["part"] not in get_args(Part) or fields["reference"] not in get_args(Reference):
        raise DamagedError(f"channel {told!r} is of no known part or reference")
    if not 0 <= fields["order"] <= _LARGEST_ORDER:
        raise DamagedError(f"channel {told!r} is of an impossible order")
    texts = {name: clean(value) for name, value in fields.items() if isinstance(value, str)}
    return Channel(clean(read["name"], _LONGEST_NAME), **(fields | texts))


def is_kept(channels: ChannelSet) -> bool:
    """Whether these channels would come back as they are."""
    rate = channels.rate
    if rate is not None and not (math.isfinite(rate) and 0 < rate <= _LARGEST_RATE):
        return False
    try:
        return from_row(to_row(new_head(channels, ""))).channels == channels
    except DamagedError:
        return False
