"""What goes into the journal beside events, what comes back at a start, and what the journal counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridtop.events import Event


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a source stood, and all that a monitor needs to go on from there as if it had never stopped.

    `source` is the source's identity, `row` the next row to be read in pass `pass_number`; `finished` says
    that the pass had come to its end. `alarms` and `extra` are anything JSON can hold. `wall` is when it was
    saved (seconds since 1970); the journal fills it in.
    """

    source: str
    pass_number: int
    row: int
    finished: bool = False
    alarms: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a journal holds when it is opened.

    `instance` is random and belongs to the file: with the same instance, the same sequence number means the
    same event. `last` is the newest sequence number there has been (0: none). `saved` is what was saved
    last, of whichever source (`Journal.saved` finds that of one source). `notices` are events about the
    journal itself, to be published first of all: that a damaged file was put aside, for example.
    """

    instance: str
    last: int
    saved: Saved | None = None
    notices: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What the journal did since it was opened.

    `committed` events were published, `duplicates` were there already. `pruned` were removed because of
    their age or the size of the file. `expired` counts by sink what was owed to it and went with them.
    `suppressed` counts by sink what was only told in a digest. `unsaved` events are in memory now, because
    the disk cannot be written; `lost` are those for which there was no room in memory either.
    """

    committed: int = 0
    duplicates: int = 0
    pruned: int = 0
    expired: Mapping[str, int] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    unsaved: int = 0
    lost: int = 0
