"""Several sources as one: opened together, aligned by measurement time, each in trouble by its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import ClassVar

import numpy as np

from gridtop.api import Block, ChannelSet, Counting, Host, Source, SourceError, Statistics

from .alignment import Alignment, Joined, Waiting
from .feeds import Feed, close_stream
from .grid import Grid
from .opening import open_all, rate_of
from .settings import AlignSettings
from .union import prefixed, union

TICK = 0.1
"""Seconds between two looks at what has come."""
FASTEST = 1000.0
"""Frames per second that a stream can have."""
_SILENT_AFTER = 2.0
_BEHIND = 0.001


class Align:
    """The frames of several sources, by measurement time. See `gridtop.api.Source` for its face.

    It is live when its sources are. `wall` is this computer's clock, nanoseconds since 1970.
    """

    Config: ClassVar[type[AlignSettings]] = AlignSettings
    joins = True

    def __init__(self, config: AlignSettings, host: Host, wall: Callable[[], int] = time.time_ns) -> None:
        self._config, self._log, self._wall = config, host.log, wall
        self._all: Mapping[str, Source] = host.sources
        self._opened: dict[str, Source] = {}
        self._left_out: dict[str, str] = {}
        self._joined: tuple[Joined, ...] = ()
        self._channels = ChannelSet(())
        self._grid = Grid.of(1)
        self._alignment: Alignment | None = None
        self._feeds: dict[str, Feed] = {}
        self._dropped: dict[str, int] = {}
        self._over: dict[str, str] = {}  # which have ended or failed, and what to say of it
        self._told: tuple[str, ...] = ()
        self._clock: Callable[[], float] = time.monotonic

    @property
    def live(self) -> bool:
        """Whether frames come as time passes; False for recordings."""
        return any(source.live for source in self._all.values())

    @property
    def identity(self) -> str:
        """Which data these are: those of all sources."""
        parts = [f"{name}={source.identity}" for name, source in self._all.items()]
        rate = f" rate={self._config.rate:g}" if self._config.rate else ""
        return f"align {' '.join(parts)}{rate}"

    async def open(self) -> ChannelSet:
        """The channels of all sources; SourceError names the source that cannot be opened, or joined."""
        live = {name for name, source in self._all.items() if source.live}
        if live and len(live) < len(self._all):
            recorded = ", ".join(name for name in self._all if name not in live)
            raise SourceError(
                f"{', '.join(sorted(live))}: live, and {recorded}: recorded. Align live sources with each "
                "other, or recordings with each other"
            )
        sets, self._left_out = await open_all(self._all, self._config.leave_out)
        self._opened = {name: self._all[name] for name in sets}
        try:
            await self._settle(sets)
        except BaseException:
            await self.close()
            raise
        for name, why in self._left_out.items():
            self._log.warning("%s is left out: %s", name, why)
        return self._channels

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """The frames from row `start` on, which means nothing live; SourceError when all sources fail."""
        if not self._opened:
            raise RuntimeError("blocks() comes after open()")
        config = self._config
        waiting = Waiting(config.wait.total_seconds(), config.disagreement.total_seconds())
        self._alignment = alignment = Alignment(
            self._joined,
            self._channels,
            self._grid,
            config.hold.total_seconds(),
            waiting if self.live else None,
            config.prefix,
        )
        self._over.clear()
        self._dropped.clear()
        frames = self._live(alignment) if self.live else self._recorded(alignment)
        try:
            async for block in frames:
                if self.live:
                    yield block
                elif block.row + len(block) > start:
                    yield block.slice(max(0, start - block.row), len(block))
        finally:
            await close_stream(frames)

    async def close(self) -> None:
        """Close all sources."""
        await self._stop_feeds()
        opened, self._opened = self._opened, {}
        await asyncio.gather(*(source.close() for source in opened.values()), return_exceptions=True)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now: with clocks, with sources that are gone, and what the sources say themselves."""
        found = [f"{name} is left out: {why}" for name, why in self._left_out.items()]
        found += [f"{name}: {why}" for name, why in self._trouble_of_end().items()]
        if self._alignment is not None:
            clocks = self._alignment.clocks
            found += [text for text in (*clocks.wrong, clocks.local_wrong) if text]
        # While they are opened, one of them may be what the others wait for.
        for name, source in (self._opened or self._all).items():
            found += [f"{name}: {text}" for text in getattr(source, "problems", ())]
        return tuple(found)

    def statistics(self) -> Statistics:
        """What was counted since `blocks` began, of the stream and of each source and its devices."""
        alignment = self._alignment
        devices: dict[str, dict[str, float]] = {}
        words: dict[str, str] = {}
        late = left_out = 0
        for i, joined in enumerate(self._joined):
            name, source = joined.name, self._opened.get(joined.name)
            own = devices.setdefault(name, {})
            if isinstance(source, Counting) and isinstance(inner := source.statistics(), Statistics):
                own |= inner.stream
                for device, figures in inner.devices.items():
                    devices[prefixed(name, device)] = dict(figures)
                words |= {prefixed(name, device): text for device, text in inner.words.items()}
            if alignment is None:
                continue
            counts = alignment.counts(name)
            own["frames"] = counts.frames
            own["late_frames"] = counts.late_frames
            own["left_out_frames"] = counts.left_out_frames
            own["dropped_frames"] = self._dropped.get(name, 0)
            if self.live:
                offset = alignment.clocks.offset(i)
                own["offset"] = np.nan if offset is None else offset
                own["seconds_since_data"] = self._silence_of(name)
            if text := self._word(i, name):
                words[name] = text
            late += counts.late_frames
            left_out += counts.left_out_frames
        stream = {
            "frames": alignment.frames if alignment else 0,
            "incomplete_frames": alignment.incomplete if alignment else 0,
            "late_frames": late,
            "left_out_frames": left_out,
            "dropped_frames": sum(self._dropped.values()),
            "silences": alignment.silences if alignment else 0,
        }
        return Statistics(stream, devices, words | self._left_out)

    # Opening

    async def _settle(self, sets: Mapping[str, ChannelSet]) -> None:
        """Fix the channels and the rate of the stream."""
        timeless = next((name for name, channels in sets.items() if channels.clock == "row"), None)
        if timeless is not None:
            raise SourceError(
                f"{timeless}: its frames carry no times, so nothing tells which belong together. Give it a "
                "column of times; of a live source of lines, `time: arrival` takes when they come"
            )
        channels = union(sets, self._config.prefix)
        rates = {name: each.rate or await self._measured(name) for name, each in sets.items()}
        rate = self._config.rate or max(rates.values())
        if rate > FASTEST:
            fastest = max(rates, key=lambda name: rates[name])
            raise SourceError(
                f"{fastest}: it has {rate:g} frames per second; say `rate`, {FASTEST:g} at most"
            )
        self._grid = Grid.of(rate)
        self._channels = ChannelSet(channels, float(self._grid.rate), "utc")
        self._joined = tuple(Joined(name, each, rates[name]) for name, each in sets.items())

    async def _measured(self, name: str) -> float:
        """The frames per second of a source that does not say, by its first frames."""
        if not self.live:
            return await rate_of(name, self._opened[name])
        self._feeds[name] = feed = Feed(name, self._opened[name], self._wall)
        return await rate_of(name, feed)

    # Live

    async def _live(self, alignment: Alignment) -> AsyncIterator[Block]:
        """What is known, ten times a second."""
        self._clock = clock = asyncio.get_running_loop().time
        for name, source in self._opened.items():
            if name not in self._feeds:
                self._feeds[name] = Feed(name, source, self._wall)
        begun, tick = clock(), 0
        try:
            while True:
                ended = self._take_in(alignment)
                for block in alignment.take(clock()):
                    yield block
                self._tell()
                if ended:
                    for block in alignment.finish():
                        yield block
                    self._raise_if_all_failed()
                    return
                # Ticks are counted from the beginning, so that no delay adds up.
                tick = max(tick, int((clock() - begun) / TICK)) + 1
                await asyncio.sleep(max(0.0, begun + tick * TICK - clock()))
        finally:
            await self._stop_feeds()

    def _take_in(self, alignment: Alignment) -> bool:
        """Hand over what has come, in the order of arrival; whether nothing more will."""
        done = [name for name, feed in self._feeds.items() if feed.done]
        self._dropped = {name: feed.dropped for name, feed in self._feeds.items()}
        arrivals = [(arrival, name) for name, feed in self._feeds.items() for arrival in feed.take()]
        for arrival, name in sorted(arrivals, key=lambda pair: pair[0].now):
            alignment.put(name, arrival.block, arrival.now, arrival.wall)
        for name in done:
            if name not in self._over:
                self._over[name] = self._feeds[name].failure
                alignment.end(name, failed=bool(self._feeds[name].failure))
        return len(done) == len(self._feeds)

    async def _stop_feeds(self) -> None:
        feeds, self._feeds = self._feeds, {}
        await asyncio.gather(*(feed.stop() for feed in feeds.values()))

    # Recordings

    async def _recorded(self, alignment: Alignment) -> AsyncIterator[Block]:
        """All frames, as far as the recordings reach: the one that is most behind is read next."""
        streams = {name: source.blocks(0) for name, source in self._opened.items()}
        try:
            while (name := alignment.most_behind()) is not None:
                block, failure = await _next(streams[name])
                if block is None:
                    self._over[name] = failure
                    alignment.end(name, failed=bool(failure))
                    self._tell()
                else:
                    alignment.put(name, block)
                for frames in alignment.take():
                    yield frames
            self._raise_if_all_failed()
        finally:
            for stream in streams.values():
                await close_stream(stream)

    # What there is to say

    def _raise_if_all_failed(self) -> None:
        if self._over and all(self._over.values()):
            raise SourceError("; ".join(f"{name}: {why}" for name, why in self._over.items()))

    def _trouble_of_end(self) -> dict[str, str]:
        """What to say of sources that are over; nothing when all have come to their end."""
        if len(self._over) == len(self._joined) and not any(self._over.values()):
            return {}
        return {
            name: f"its channels are missing from now on: {failure or 'it has ended'}"
            for name, failure in self._over.items()
        }

    def _tell(self) -> None:
        """Log what is new among the troubles, and what is over."""
        clocks = self._alignment.clocks if self._alignment else None
        troubles = [f"{name}: {why}" for name, why in self._trouble_of_end().items()]
        troubles += [text for text in (*clocks.wrong, clocks.local_wrong) if text] if clocks else []
        for text in troubles:
            if text not in self._told:
                self._log.warning("%s", text)
        for text in self._told:
            if text not in troubles:
                self._log.info("over: %s", text)
        self._told = tuple(troubles)

    def _silence_of(self, name: str) -> float:
        assert self._alignment is not None
        heard = self._alignment.counts(name).heard
        return self._clock() - heard if np.isfinite(heard) else np.nan

    def _word(self, source: int, name: str) -> str:
        """What there is to say of a source now."""
        assert self._alignment is not None
        if name in self._over:
            return self._trouble_of_end().get(name, "")
        if text := self._alignment.clocks.wrong[source]:
            return text
        if self.live and (silent := self._silence_of(name)) > max(
            _SILENT_AFTER, 3 / self._joined[source].rate
        ):
            return f"nothing has come for {silent:,.0f} s"
        if (behind := self._alignment.counts(name).behind) > _BEHIND:
            return f"its frames come {behind:.1f} s too late: a longer `wait` gives them time"
        return ""


async def _next(stream: AsyncIterator[Block]) -> tuple[Block | None, str]:
    """The next block; or None, and why there is none: empty when it is the end."""
    try:
        return await anext(stream, None), ""
    except SourceError as error:
        return None, str(error)
    except Exception as error:  # whatever a plugin raises ends this source and no other
        return None, f"reading failed: {error!r}"
