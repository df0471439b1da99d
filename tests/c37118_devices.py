"""PMUs for tests: configurations, readings, data frames, and one that answers commands on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gridtop.api import Block, ChannelSet
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.c37118.assembly import LARGEST, Assembly
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.frames import (
    Command,
    FrameKind,
    Splitter,
    decode_command,
    encode_header,
)
from gridtop.synchrophasor.pmus import Analog, Component, Configuration, Digital, Phasor, Pmu
from gridtop.synchrophasor.stream import Stream

START = np.datetime64("2026-01-01T00:00:00", "ns")
COMPONENTS: tuple[Component, ...] = ("A", "B", "C")


def pmu(
    station: str = "R1",
    idcode: int = 7,
    *,
    floats: bool = True,
    polar: bool = True,
    analogs: int = 0,
    nominal: float = 60.0,
    with_components: bool = False,
) -> Pmu:
    """Three voltages, three currents, and perhaps analog values."""
    phasors = tuple(
        Phasor(
            f"{letter}{phase}",
            letter == "I",
            1.0 if floats else (10.0 if letter == "V" else 0.05),
            component=phase if with_components else "",
        )
        for letter in "VI"
        for phase in COMPONENTS
    )
    return Pmu(
        station,
        idcode,
        phasors,
        tuple(Analog(f"MW {i}") for i in range(analogs)),
        (),
        polar,
        floats,
        floats,
        floats,
        nominal,
    )


def configuration(*pmus: Pmu, idcode: int = 7, rate: int = 30, **settings: object) -> Configuration:
    """A stream of some PMUs."""
    whole = Configuration(idcode, pmus or (pmu(),), rate)
    return replace(whole, **settings)  # type: ignore[arg-type]


def times(n: int, rate: float = 30.0, first: int = 0) -> np.ndarray:
    """n instants from frame `first` on."""
    steps = np.arange(first, first + n)
    return START + np.round(steps / rate * 1e9).astype("timedelta64[ns]")


def readings(of: Configuration, time: np.ndarray, **changes: np.ndarray) -> Readings:
    """Ordinary readings: 132 kV, 400 A, the nominal frequency; `changes` replaces fields."""
    n, m = len(time), len(of.pmus)
    phasors = [phasor for each in of.pmus for phasor in each.phasors]
    magnitude = np.tile([400.0 if p.current else 132e3 for p in phasors], (n, 1)).reshape(n, -1)
    angle = np.tile([-120.0 * (i % 3) % 360 for i in range(len(phasors))], (n, 1)).reshape(n, -1)
    angle = np.where(angle > 180, angle - 360, angle)
    made = Readings(
        time,
        np.zeros(n, np.uint8),
        np.zeros((n, m), np.uint16),
        magnitude,
        angle,
        np.tile([each.nominal_frequency for each in of.pmus], (n, 1)) + 0.01,
        np.full((n, m), 0.02),
        np.full((n, sum(len(each.analogs) for each in of.pmus)), 5.0),
        np.zeros((n, sum(len(each.digitals) for each in of.pmus)), np.uint16),
    )
    return replace(made, **changes)


def data(of: Configuration, n: int, first: int = 0, rate: float = 30.0, **changes: np.ndarray) -> list[bytes]:
    """n data frames."""
    return DataLayout(of).encode(readings(of, times(n, rate, first), **changes))


def statuses(n: int, of: Configuration, word: int) -> np.ndarray:
    """The same STAT word everywhere."""
    return np.full((n, len(of.pmus)), word, np.uint16)


class Feeding:
    """A stream and its assembly, fed with frames at instants in seconds since `START`."""

    def __init__(self, of: Configuration, channel_map: ChannelMap | None = None, **given: object) -> None:
        self.stream = Stream(of.idcode)
        self.stream.begin()
        self.now = 0.0
        terminals = given.pop("terminals", {})
        settings = {"silence": 1.0, "ahead": 86400.0} | given
        self.assembly = Assembly(
            self.stream,
            channel_map or ChannelMap(),
            terminals,  # type: ignore[arg-type]
            wall=lambda: int(START.astype(np.int64)) + round(self.now * 1e9),
            log=logging.getLogger("tests"),
            **settings,  # type: ignore[arg-type]
        )
        self.tell(of)
        assert self.stream.configuration is not None
        self.channels: ChannelSet = self.assembly.open(self.stream.configuration)
        self.assembly.begin()
        self.blocks: list[Block] = []

    def tell(self, of: Configuration, kind: FrameKind | None = None) -> None:
        for frame in encode_configuration(of, kind):
            self.stream.receive(frame, self.now)

    def feed(self, frames: Sequence[bytes], now: float) -> Block:
        """Frames that come at `now`, and the blocks that this gives, as one."""
        for frame in frames:
            self.stream.receive(frame, now)
        return self.look(now)

    def look(self, now: float) -> Block:
        self.now = now
        made = list(self.assembly.blocks(now))
        self.blocks += made
        assert all(0 < len(block) <= LARGEST for block in made)
        return joined(made, self.channels)

    def wait(self, until: float) -> Block:
        """Look ten times a second, as the source does."""
        blocks = []
        while self.now < until - 1e-9:
            block = self.look(round(self.now + 0.1, 6))
            blocks += [block] if len(block) else []
        return joined(blocks, self.channels)

    @property
    def all(self) -> Block:
        return joined(self.blocks, self.channels)


def joined(blocks: Sequence[Block], channels: ChannelSet) -> Block:
    if not blocks:
        return Block(channels, times(0), np.empty((0, len(channels))))
    zeros = [
        np.zeros(block.values.shape, np.uint16) if block.quality is None else block.quality
        for block in blocks
    ]
    time, values = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("time", "values"))
    return Block(channels, time, values, np.concatenate(zeros), {}, blocks[0].row)


class LoopbackPmu:
    """A PMU on loopback that answers commands, and sends what it is told to by `send`.

    `configurations` are what it answers with, by kind; `commands` what it was asked; `clients` those that
    are connected.
    """

    def __init__(self, of: Configuration, kinds: Sequence[FrameKind] = (FrameKind.CFG2,)) -> None:
        self.configuration, self.kinds = of, tuple(kinds)
        self.commands: list[int] = []
        self.clients: list[asyncio.StreamWriter] = []
        self.started = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> LoopbackPmu:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for client in self.clients:
                client.close()
            self.clients.clear()
            self._server = None
        self.started.clear()

    def send(self, frames: Sequence[bytes]) -> None:
        for client in self.clients:
            client.write(b"".join(frames))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer)
        splitter = Splitter()
        with contextlib.suppress(ConnectionError):
            while received := await reader.read(4096):
                for frame in splitter.feed(received):
                    self._answer(decode_command(frame), writer)
        with contextlib.suppress(ValueError):
            self.clients.remove(writer)
        writer.close()

    def _answer(self, command: int, writer: asyncio.StreamWriter) -> None:
        self.commands.append(command)
        asked = {
            Command.SEND_CFG1: FrameKind.CFG1,
            Command.SEND_CFG2: FrameKind.CFG2,
            Command.SEND_CFG3: FrameKind.CFG3,
        }
        if command == Command.START:
            self.started.set()
        elif command == Command.STOP:
            self.started.clear()
        elif command == Command.SEND_HEADER:
            writer.write(encode_header(self.configuration.idcode, "a PMU for tests"))
        elif (kind := asked.get(Command(command))) in self.kinds:
            writer.write(b"".join(encode_configuration(self.configuration, kind)))


async def eventually(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something has happened; TimeoutError when it has not."""
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.01)


__all__ = [
    "START",
    "Analog",
    "Digital",
    "Feeding",
    "LoopbackPmu",
    "Phasor",
    "configuration",
    "data",
    "eventually",
    "pmu",
    "readings",
    "statuses",
    "times",
]
