"""Which instants are given out when, and what of each source is in them; it has no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gridtop.api import Block, ChannelSet, Quality

from .clocks import Clocks
from .grid import SECOND, Grid
from .track import Track
from .union import prefixed

LARGEST = 256
"""Frames in one block of live data at most."""
LARGEST_RECORDED = 4096
SILENCE = 1.0
"""Seconds that nothing may come beyond `wait`, before instants are given out without values."""
LONGEST_FILL = 60
"""Seconds: a longer leap of time in all sources is left as it is."""

_DISTRACTED = 0.5
"""Seconds between two looks after which the second one cannot tell silence from a queue."""
_SLOWEST_PERIODS = 2.5
"""The quickest source is not silent between two of its frames."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One of the sources that are aligned: its name, its channels and how many frames a second it has."""

    name: str
    channels: ChannelSet
    rate: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """How live sources wait for each other, in seconds: see `AlignSettings`."""

    wait: float = 0.5
    disagreement: float = 2.0


@dataclass(slots=True)
class Counts:
    """What came of one source, in frames: all, those too late for their instant, those of a wrong clock.

    `behind` is by how many seconds the last frames were late, 0 when they were in time.
    """

    frames: int = 0
    late_frames: int = 0
    left_out_frames: int = 0
    behind: float = 0.0
    heard: float = -np.inf


@dataclass(slots=True)
class _Member:
    """A source, its columns in the stream, and whether more is to come."""

    at: int
    joined: Joined
    columns: slice
    track: Track
    counts: Counts = field(default_factory=Counts)
    ended: bool = False


class Alignment:
    """Makes frames of instants on a grid from the blocks of several sources.

    `channels` are those of the stream, in the order of the sources; `hold` is how many seconds the value of a
    source slower than the grid is shown. With `waiting`, sources are live: an instant is given out when all
    have reported up to it, or `wait` after the first has. Without, they are recordings, which wait for each
    other: then how they are cut into blocks changes nothing.

    Arrivals and `now` are seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        joined: Sequence[Joined],
        channels: ChannelSet,
        grid: Grid,
        hold: float,
        waiting: Waiting | None = None,
        prefix: bool = False,
    ) -> None:
        self._channels, self._grid, self._waiting, self._prefix = channels, grid, waiting, prefix
        self._members: dict[str, _Member] = {}
        at = 0
        for i, one in enumerate(joined):
            columns = slice(at, at := at + len(one.channels))
            track = Track(grid, one.rate, hold, certain=waiting is None)
            self._members[one.name] = _Member(i, one, columns, track)
        self._largest = LARGEST if waiting else LARGEST_RECORDED
        periods = [1.0 / one.rate for one in joined]
        self.clocks = Clocks(tuple(self._members), periods, waiting.disagreement if waiting else 1.0)
        self._patience = max(SILENCE, _SLOWEST_PERIODS * min(periods))
        self._next: int | None = None  # the first instant not given out
        self._row = 0
        self._labels: dict[str, tuple[_Member, str]] | None = None
        # Of live sources: the newest instant that any has reached, and when; and which were reached when.
        self._highest: int | None = None
        self._heard = (0.0, 0)
        self._seen: deque[tuple[float, int]] = deque()
        self._expired: int | None = None
        self._looked = -np.inf
        self.incomplete = 0
        """Frames given out in which a source has nothing, or only what is late."""
        self.silences = 0
        """How often all sources were silent, so that frames without values were given out."""
        self._silent = False

    @property
    def frames(self) -> int:
        """How many frames were given out."""
        return self._row

    def counts(self, name: str) -> Counts:
        """What came of a source."""
        return self._members[name].counts

    # What comes

    def put(self, name: str, block: Block, now: float = 0.0, wall: int = 0) -> None:
        """Take in a block of a source, which arrived at `now`, at `wall` by this computer's clock.

        Blocks of one source are put in their order, and those of live sources in the order of arrival.
        """
        if not len(block):
            return
        member = self._members[name]
        counts, times = member.counts, block.time.astype(np.int64)
        counts.frames += len(block)
        # Only what was measured tells of a clock: frames without values may be made up by their source.
        measured = self._waiting is not None and not np.isnan(block.values[-1]).all()
        if measured:
            counts.heard = now
        if measured and not self.clocks.admits(member.at, int(times[-1]), now, wall):
            counts.left_out_frames += len(block)
            return
        if self.clocks.wrong[member.at]:
            counts.left_out_frames += len(block)
            return
        instants = self._grid.nearest(times)
        late, behind = member.track.put(instants, block, self._next)
        counts.late_frames += late
        counts.behind = behind * self._grid.period / SECOND
        newest = int(instants[-1])
        if self._highest is None or newest > self._highest:
            self._highest, self._heard = newest, (now, int(times[-1]))
            self._silent = False
            self._seen.append((now, newest))

    def end(self, name: str, failed: bool) -> None:
        """Nothing more comes of a source. The last value of one that failed is not held any longer."""
        member = self._members[name]
        if failed and not member.ended:
            member.track.forget_held()
        member.ended = True

    def most_behind(self) -> str | None:
        """The source whose next block is needed most; None when all have ended."""
        waiting = [member for member in self._members.values() if not member.ended]
        least = min(
            waiting, key=lambda one: -np.inf if one.track.reach is None else one.track.reach, default=None
        )
        return least.joined.name if least else None

    # What is given out

    def take(self, now: float = 0.0) -> Iterator[Block]:
        """The frames that are known by now."""
        if self._waiting is None:
            end = self._complete()
            if end is not None:
                yield from self._give(end, fill=False)
            return
        self.clocks.judge(now)
        for member in self._members.values():
            if self.clocks.wrong[member.at] and member.track.newest is not None:
                member.track.forget()
        while self._seen and self._seen[0][0] + self._waiting.wait <= now:
            _, self._expired = self._seen.popleft()
        awake, self._looked = now - self._looked < _DISTRACTED, now
        if self._highest is None:
            return
        ends = [end for end in (self._reported(now), self._waited_for(now)) if end is not None]
        if ends:
            yield from self._give(max(ends), fill=False)
        silent_to = self._silent_to(now)
        if awake and silent_to > self._highest:
            self.silences += not self._silent
            self._silent = True
            yield from self._give(silent_to, fill=True)

    def finish(self) -> Iterator[Block]:
        """Everything that is left, when nothing more comes."""
        newest = [one.track.newest for one in self._members.values() if one.track.newest is not None]
        if newest:
            yield from self._give(max(newest), fill=False)

    def _complete(self) -> int | None:
        """The instant up to which all sources have reported that still can; None when one has not at all."""
        active = [one for one in self._members.values() if not one.ended and not self.clocks.wrong[one.at]]
        reached = [one.track.reach for one in active if one.track.reach is not None]
        if active:
            return min(reached) if len(reached) == len(active) else None
        newest = [one.track.newest for one in self._members.values() if one.track.newest is not None]
        return max(newest, default=None)

    def _reported(self, now: float) -> int | None:
        """The instant up to which all live sources have reported, and that is not still to come."""
        complete = self._complete()
        if complete is None or self._highest is None:
            return None
        # A slow source answers for instants in which none of its frames is due, and these may lie ahead.
        return min(complete, max(self._highest, self._grid.number_at(self._presumed(now))))

    def _waited_for(self, now: float) -> int | None:
        """The instant up to which the wait is over: since it was first reported, and by the clocks' time.

        The second keeps a source whose clock is a little ahead from making the frames of all others late.
        """
        assert self._waiting is not None
        if self._expired is None:
            return None
        time = self.clocks.time(now)
        if time is None:
            return self._expired
        return min(self._expired, self._grid.number_at(time - round(self._waiting.wait * SECOND)))

    def _silent_to(self, now: float) -> int:
        """The instant up to which nothing is to be hoped for, if nothing came after the newest frame."""
        assert self._waiting is not None
        time = self._presumed(now)
        if (right := self.clocks.time(now)) is not None:
            time = min(time, right)
        return self._grid.number_at(time - round((self._waiting.wait + self._patience) * SECOND))

    def _presumed(self, now: float) -> int:
        """What time it is by the newest frame."""
        heard, time = self._heard
        return time + round((now - heard) * SECOND)

    def _give(self, end: int, fill: bool) -> Iterator[Block]:
        """Frames up to an instant; `fill` says that those at the end for which there is nothing count too."""
        if self._next is None:
            first = self._first_from(-(1 << 62))
            if first is None:
                return
            self._next = first
        longest = round(LONGEST_FILL * float(self._grid.rate))
        while self._next <= end:
            first = self._first_from(self._next)
            if first is None or first > end:
                # In recordings it is not known yet how far the next frame is.
                if not fill:
                    return
                self._next = max(self._next, end - longest)
                yield from self._frames(end + 1)
            elif first > self._next:
                if first - self._next > longest:
                    self._next = first
                yield from self._frames(first)
            else:
                yield self._frame_block(min(self._largest, end + 1 - self._next), whole=False)

    def _frames(self, stop: int) -> Iterator[Block]:
        """Frames without values, up to an instant."""
        assert self._next is not None
        while self._next < stop:
            yield self._frame_block(min(self._largest, stop - self._next), whole=True)

    def _first_from(self, number: int) -> int | None:
        """The first instant from this one on for which any source has something."""
        first = None
        for member in self._members.values():
            found = member.track.first_from(number)
            if found == number:
                return found
            if found is not None and (first is None or found < first):
                first = found
        return first

    def _frame_block(self, count: int, whole: bool) -> Block:
        """The next frames; without `whole`, as many of them as follow each other with something in them."""
        assert self._next is not None
        numbers = np.arange(self._next, self._next + count)
        times = self._grid.times(numbers)
        values = np.full((count, len(self._channels)), np.nan)
        flags = np.full(values.shape, np.uint16(Quality.MISSING))
        anything, complete = np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
        for member in self._members.values():
            columns = member.columns
            there, good = member.track.place(numbers, times, values[:, columns], flags[:, columns])
            anything |= there
            complete &= good
        if not whole and not anything.all():
            count = max(1, int(anything.argmin()))
            numbers, times, values, flags = numbers[:count], times[:count], values[:count], flags[:count]
            complete = complete[:count]
        labels = {
            name: member.track.label(label, numbers)
            for name, (member, label) in self._labels_of_stream().items()
        }
        self.incomplete += count - int(np.count_nonzero(complete))
        block = Block(
            self._channels,
            times.view("datetime64[ns]"),
            values,
            flags if flags.any() else None,
            labels,
            self._row,
        )
        self._row += count
        self._next += count
        for member in self._members.values():
            member.track.passed(self._next)
        return block

    def _labels_of_stream(self) -> dict[str, tuple[_Member, str]]:
        """The labels that all blocks have, by what they are called: those that only one source has."""
        if self._labels is None:
            found: dict[str, list[tuple[_Member, str]]] = {}
            for name, member in self._members.items():
                for label in member.track.labels:
                    called = prefixed(name, label) if self._prefix else label
                    found.setdefault(called, []).append((member, label))
            self._labels = {called: owners[0] for called, owners in found.items() if len(owners) == 1}
        return self._labels
