"""Looks at one PMU over the network: asks for configuration and header, and takes its data for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gridtop.synchrophasor.configuration import Fragments
from gridtop.synchrophasor.frames import (
    CONFIGURATIONS,
    HEAD_SIZE,
    Command,
    FrameError,
    FrameKind,
    decode_header,
    encode_command,
    head,
)
from gridtop.synchrophasor.links import Arrival, Link, ProbeError, Way
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.status import CHANGE
from gridtop.text import clean

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long answers may take, in seconds.

    pause     between two commands: some devices lose one that comes at once behind another
    answer    for the configuration, each of `attempts` times
    extra     for what a device may do without: CFG-3 and the header
    data      for the first data frame, besides five frames' time
    """

    pause: float = 0.1
    answer: float = 2.0
    attempts: int = 3
    extra: float = 1.0
    data: float = 5.0


@dataclass(slots=True)
class Stretch:
    """Data frames that came under one configuration."""

    configuration: Configuration
    frames: list[Arrival] = field(default_factory=list)


@dataclass(slots=True)
class Observation:
    """What was seen of a PMU.

    configuration  its CFG-2, and `detailed` its CFG-3 if it has one; `header` its text, None if it has none
    stretches      the data frames in the order of their arrival, anew with each configuration
    begun, ended   when data were asked for and the looking ended, nanoseconds since 1970
    misfits        whole data frames of another length than the configuration says
    foreign        ids of frames that were not asked for
    bad_crc, skipped, size   damaged frames, bytes that were no part of a frame, and all bytes of the data
    hung_up        the other end closed the connection
    """

    way: Way
    idcode: int
    configuration: Configuration
    detailed: Configuration | None = None
    header: str | None = None
    stretches: list[Stretch] = field(default_factory=list)
    begun: int = 0
    ended: int = 0
    misfits: int = 0
    foreign: set[int] = field(default_factory=set)
    bad_crc: int = 0
    skipped: int = 0
    size: int = 0
    hung_up: bool = False


async def observe(
    way: Way,
    idcode: int,
    seconds: float = 5.0,
    *,
    patience: Patience = Patience(),
    wall: Callable[[], int] = time.time_ns,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    record: Callable[[int, bytes], object] = lambda arrival, data: None,
) -> Observation:
    """Ask a PMU what it is, and take its data for `seconds` from the first frame on.

    `wall` is the clock in nanoseconds since 1970; `record` is given all bytes as they come. Raises
    ProbeError, which says why and what to do, when it cannot be reached, is no PMU, does not answer to this
    id, or sends no data.
    """
    async with Link(way, wall, record) as link:
        return await _Visit(link, way, idcode, patience, wall, sleep).look(seconds)


class _Visit:
    """One visit of a PMU: what is asked, and what came."""

    def __init__(
        self,
        link: Link,
        way: Way,
        idcode: int,
        patience: Patience,
        wall: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._link, self._way, self._id, self._patience = link, way, idcode, patience
        self._wall, self._sleep = wall, sleep
        self._fragments = Fragments()
        self._frames_seen = 0
        self._foreign: set[int] = set()
        self._unreadable = ""

    async def look(self, seconds: float) -> Observation:
        patience = self._patience
        await self._ask(Command.STOP)
        configuration = None
        for _ in range(patience.attempts):
            await self._ask(Command.SEND_CFG2)
            configuration = await self._configuration((FrameKind.CFG2,), patience.answer)
            if configuration is not None or self._link.closed:
                break
        if configuration is None:
            raise ProbeError(self._why_no_answer())
        seen = Observation(self._way, self._id, configuration)
        await self._ask(Command.SEND_CFG3)
        seen.detailed = await self._configuration((FrameKind.CFG3,), patience.extra)
        await self._ask(Command.SEND_HEADER)
        seen.header = await self._header(patience.extra)
        await self._take_data(seen, seconds)
        if not any(stretch.frames for stretch in seen.stretches):
            raise ProbeError(self._why_no_data(seen))
        await self._ask(Command.STOP)
        return seen

    async def _ask(self, command: Command) -> None:
        self._link.send(encode_command(self._id, command))
        await self._sleep(self._patience.pause)

    async def _next(self, until: float) -> Arrival | None:
        """The next frame of the id that is asked; what others send is remembered."""
        loop = asyncio.get_running_loop()
        while (arrival := await self._link.receive(until - loop.time())) is not None:
            self._frames_seen += 1
            idcode = head(arrival.frame).idcode
            if idcode == self._id:
                return arrival
            self._foreign.add(idcode)
        return None

    async def _configuration(self, kinds: Sequence[FrameKind], seconds: float) -> Configuration | None:
        until = asyncio.get_running_loop().time() + seconds
        while (arrival := await self._next(until)) is not None:
            if head(arrival.frame).kind in kinds and (found := self._decoded(arrival.frame)):
                return found
        return None

    def _decoded(self, frame: bytes) -> Configuration | None:
        try:
            return self._fragments.add(frame)
        except FrameError as error:
            self._unreadable = str(error)
            return None

    async def _header(self, seconds: float) -> str | None:
        until = asyncio.get_running_loop().time() + seconds
        while (arrival := await self._next(until)) is not None:
            if head(arrival.frame).kind == FrameKind.HEADER:
                return decode_header(arrival.frame)
        return None

    async def _take_data(self, seen: Observation, seconds: float) -> None:
        link = self._link
        bad_crc, skipped, size = link.bad_crc, link.skipped, link.bytes_received
        period = 1.0 / (seen.configuration.rate or 1.0)
        loop = asyncio.get_running_loop()
        seen.begun = self._wall()
        await self._ask(Command.START)
        until = loop.time() + self._patience.data + 5 * period
        stretch = Stretch(seen.configuration)
        seen.stretches.append(stretch)
        first, asked, announced = True, False, False
        while (arrival := await self._next(until)) is not None:
            kind = head(arrival.frame).kind
            if kind in CONFIGURATIONS:
                now = self._decoded(arrival.frame) if kind != FrameKind.CFG3 else None
                if now is not None and now != stretch.configuration:
                    stretch = Stretch(now)
                    seen.stretches.append(stretch)
                asked = False
                continue
            if kind != FrameKind.DATA:
                continue
            if first:
                first = False
                until = loop.time() + seconds
            fits = len(arrival.frame) == stretch.configuration.data_size
            was_announced = announced
            if fits:
                stretch.frames.append(arrival)
                announced = _announces_change(arrival.frame, stretch.configuration)
            else:
                seen.misfits += 1
            if not asked and (not fits or (was_announced and not announced)):
                asked = True
                self._link.send(encode_command(self._id, Command.SEND_CFG2))
        seen.ended = self._wall()
        seen.hung_up = self._link.closed
        seen.foreign = self._foreign
        seen.bad_crc, seen.skipped = link.bad_crc - bad_crc, link.skipped - skipped
        seen.size = link.bytes_received - size

    def _why_no_answer(self) -> str:
        link, way = self._link, self._way
        patience = self._patience
        waited = f"{patience.attempts * (patience.answer + patience.pause):.2g} s"
        if self._unreadable:
            return f"{way} sent a configuration that cannot be read: {clean(self._unreadable)}"
        if self._foreign:
            ids = sorted(self._foreign)
            shown = ", ".join(map(str, ids[:5]))
            return f"{way} sends id {shown} and does not answer to id {self._id}: add --id {ids[0]}"
        if self._frames_seen:
            return f"{way} sends data under id {self._id}, but does not say of what: no configuration came"
        if link.bad_crc:
            return (
                f"{way} answers, but every frame is damaged (its CRC does not fit): look at the line, "
                "and at serial converters on the way"
            )
        if link.bytes_received:
            shown = clean(link.first_bytes.decode("ascii", "backslashreplace").strip())
            return (
                f"what answers at {way} does not speak C37.118; it sent {shown!r}: "
                "is it the port for synchrophasors?"
            )
        if link.closed:
            return (
                f"{way} hung up without a word: it may have as many clients as it takes, or accept only "
                f"addresses that it knows; or id {self._id} is wrong"
            )
        return (
            f"{way} does not answer to id {self._id} within {waited}: a PMU keeps silent when the id is "
            "another; look for the IDCODE of its data stream and give it as --id"
        )

    def _why_no_data(self, seen: Observation) -> str:
        way = self._way
        if seen.hung_up:
            return f"{way} hung up when data were asked for: it may send to one client only"
        if seen.misfits:
            return (
                f"{way} sends data frames that do not fit its configuration, {seen.misfits} of them: "
                "restart its data output, so that both are of one make"
            )
        waited = f"{self._patience.data:g} s"
        if way.data_port is not None:
            return (
                f"{way} gave its configuration, but no data came to UDP port {way.data_port} within "
                f"{waited}: is the PMU set to send to this computer and port, and does a firewall let it in?"
            )
        return (
            f"{way} gave its configuration, but stayed silent when data were asked for, for {waited}: its "
            "data output may be off, or go by UDP to a port of this computer (--udp-data PORT)"
        )


def _announces_change(frame: bytes, configuration: Configuration) -> bool:
    """Whether the STAT word of any PMU says that the configuration will change."""
    at = HEAD_SIZE
    for pmu in configuration.pmus:
        if int.from_bytes(frame[at : at + 2], "big") & CHANGE:
            return True
        at += pmu.size
    return False
