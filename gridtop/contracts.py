"""The contracts a plugin fulfils: Source, Detector, Sink, and what passes between them and the host."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.events import Event
from gridtop.source_statistics import Statistics

if TYPE_CHECKING:
    from gridtop.naming import ChannelMap


class Settings(BaseModel):
    """The base of every plugin's `Config`: unknown settings are errors and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a detector thinks of a block of n frames.

    score  (n, k)  one column per output; bigger is stranger, NaN is "not ready" or "no opinion"
    parts  (n, c)  the share of each channel in the score, or None
    note   (n,)    a reason in words per frame, or by output such reasons, or None
    """

    score: npt.NDArray[np.float64]
    parts: npt.NDArray[np.float64] | None = None
    note: Sequence[str] | Mapping[str, Sequence[str]] | None = None


@runtime_checkable
class Detector(Protocol):
    """Turns a block into scores. It knows no thresholds, raises no alarms, and never looks at a wall clock.

    `channels` are those its configuration chose; they are fixed for its life. `outputs` names the k
    columns of `score`: a channel's name where a column speaks of one channel, else a name of its own;
    `R1:mismatch` speaks of the terminal, line or bus R1. Cutting the stream differently may not change a
    score. The input is never modified.

    What a class may add. Further parameters of its constructor: `site` is given the site's description
    (`gridtop.api.Site`), `inputs` the folder that relative paths in its settings start from. A class
    attribute `wants`, globs: the channels and quantities it gets where the configuration gives it no
    `channels`; or a class method `wants(config, inputs)` that returns them, where they depend on its
    settings: a ValueError it raises is a mistake in the configuration (the text may begin with the setting:
    `model: ...`). A class attribute `alarm`, a dict: the alarm rule of its scores where the configuration
    gives none. An attribute `remarks`, texts: what to know before one relies on it, told once when the
    monitor starts.
    """

    Config: ClassVar[type[BaseModel]]
    outputs: Sequence[str]

    def __init__(self, config: Any, channels: ChannelSet) -> None: ...

    def score(self, block: Block) -> Scores:
        """(n, k) scores of the block's n frames."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A detector that can say which channels a score rests on. It is asked only when an alarm is raised."""

    def explain(self, frame: int, output: int) -> npt.NDArray[np.float64]:
        """(c,) the share of each channel in the score of one output at one frame of the block scored last.

        Shares are 0 or more and add up to 1, or are all 0 when nothing can be said. How the stream was cut
        may not change them.
        """
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A detector that knows what its scores are like when nothing is wrong: rules may say `q99.9`."""

    def quantile(self, share: float) -> float:
        """The score that this share (0 to 1) of ordinary frames stays below; ValueError when not known."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """What a source or a sink is told about the place it works in.

    `instance` is its name in the configuration, `inputs` the folder that relative input paths start
    from (the configuration's), `outputs` the one for files it writes (the working directory).
    `channel_map` is the configuration's `channels:` section, for sources of columns. `sources` are those that
    a source with `joins` puts together, by their names in the configuration: built and not opened.
    """

    instance: str
    inputs: Path
    outputs: Path
    log: logging.Logger
    channel_map: ChannelMap
    sources: Mapping[str, Source] = field(default_factory=dict)


@runtime_checkable
class Source(Protocol):
    """Yields blocks. `live` sources pace themselves; the others are paced by the replay loop.

    `open` finds out which channels there are and raises SourceError when it cannot. `blocks` starts at
    a row (live sources ignore it) and may be called again to start anew. `close` is legal without
    `open` and legal twice. `identity` names the data, the same for the same data: it is part of the
    ids of events.

    What a class may add. A class attribute `joins = True`: in the configuration it has a map `sources:` of
    further sources, which it is given as `host.sources`. An attribute `problems`, texts: what is wrong with
    it now, one line each (`pmu1:4712: the connection is lost`); what is new in it becomes an event.
    """

    Config: ClassVar[type[BaseModel]]
    live: bool
    identity: str

    def __init__(self, config: Any, host: Host) -> None: ...

    async def open(self) -> ChannelSet:
        """The channels of the stream."""
        ...

    def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """The blocks from row `start` on, of whatever size suits the source."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a recording reaches: its number of frames and the times of its first and last frame."""

    frames: int
    first: np.datetime64
    last: np.datetime64


@runtime_checkable
class Seekable(Protocol):
    """A source that knows its length and can find a row by time, so that screens can offer to seek."""

    @property
    def extent(self) -> Extent | None:
        """Known after `open`, or later for large files; None until then."""
        ...

    async def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A source that counts what goes wrong on the way, for `/metrics` and the screen's page of devices."""

    def statistics(self) -> Statistics:
        """The figures at this moment; cheap enough to ask for a few times a second."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Delivers events, each at least once; `event.id` tells a repetition.

    What a class may add, as class attributes: `durable = False` for a stream that ends with the process
    (standard output): it gets events as they are published and nothing is kept for it. `batch` is the
    largest number of events in one `send` (1 where a receiver takes them one by one; 64 when not given),
    `at_once` how many `send`s may be under way at the same time (1 when not given; events of one incident
    never are). `patience` is how many seconds one `send` may take (30 when not given), `usual_rate` how many
    events a minute it gets where the configuration gives no `rate` (no bound when not given).
    """

    Config: ClassVar[type[BaseModel]]

    def __init__(self, config: Any, host: Host) -> None: ...

    async def open(self) -> None:
        """Prepare to send; raise OSError or GridtopError when that cannot work.

        A receiver that cannot be reached is no reason to refuse: it may come back.
        """
        ...

    async def send(self, events: Sequence[Event]) -> None:
        """Deliver the events in order; raise when they were not delivered.

        DeliveryError and every other exception mean that it may work later; Undeliverable that it never
        will with these events; ReceiverGone that the receiver wants no more at all.
        """
        ...

    async def close(self) -> None:
        """Flush and let go of everything; legal without `open` and legal twice."""
        ...
