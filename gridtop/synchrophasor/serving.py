"""A PMU, or a concentrator of several, on the network: commands are answered and frames leave on time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gridtop.errors import SourceError
from gridtop.synchrophasor.datagrams import Address, Postman
from gridtop.synchrophasor.device import Device
from gridtop.synchrophasor.faults import Fault, FaultyLine
from gridtop.synchrophasor.frame_clock import NANOSECONDS
from gridtop.synchrophasor.frames import Command, FrameError, FrameKind, Splitter, decode_command, head
from gridtop.text import clean

MOST_RECEIVERS = 64
"""Receivers at the same time; more are turned away."""

_MOST_WAITING_BYTES = 1 << 20
"""What may wait for one slow receiver; data frames that come after it are dropped and counted."""
_CONFIGURATION_EVERY_S = 60
"""How often a PMU that sends without being asked says what it sends."""
_READ_BYTES = 4096
_LEAD_S = 0.1
"""The first frame is measured so long after data were asked for: it has to be made ready."""
_OVER_S = 5
"""A data frame that is so late is not sent any more."""
_FAREWELL_S = 1.0
"""How long a receiver may take to get what is under way when the server ends."""
_PORTION_S = 0.5
"""Frames of so many seconds are made ready at once."""

_CONFIGURATIONS = {
    int(Command.SEND_CFG1): FrameKind.CFG1,
    int(Command.SEND_CFG2): FrameKind.CFG2,
    int(Command.SEND_CFG3): FrameKind.CFG3,
}


@dataclass(slots=True)
class Counters:
    """What has happened to a server so far.

    frames    data frames that were due
    sent      data frames that were sent, to each receiver counted
    dropped   data frames that a slow receiver did not get, or that were far too late
    commands  commands that were obeyed
    wrong_id  commands for another id, which stay unanswered, as the standard asks
    late      data frames that left more than one frame's time after they were due
    """

    frames: int = 0
    sent: int = 0
    dropped: int = 0
    commands: int = 0
    wrong_id: int = 0
    late: int = 0


@dataclass(eq=False, slots=True)
class _Receiver:
    """Someone at the other end, how to reach them, and whether they want data."""

    name: str
    answer: Callable[[bytes], None]
    send: Callable[[bytes], None]
    close: Callable[[], None]
    busy: Callable[[], bool]
    wants_data: bool = False
    splitter: Splitter = field(default_factory=Splitter)


@dataclass(frozen=True, slots=True)
class _Portion:
    """Frames that follow each other, of which the same is wrong: what is to be done with all of them."""

    numbers: range
    elapsed: float
    changed: bool
    delay: int
    frames: asyncio.Future[list[bytes]]


class PmuServer:
    """Serves a device at `host`:`port` over TCP, or over UDP when `udp` is true; port 0 is any free one.

    `data_port`: TCP for commands, and the data by UDP to that port of whoever asks. `send_to`: nobody is
    listened to; data go by UDP to that address, and the configuration once a minute. `wall` is the clock in
    nanoseconds since 1970, `sleep` waits so many seconds, and `tell` is told in words what happens.

    The first data frame is made when data are first wanted; from then on the device measures for ever, or to
    the end of its recording, whoever listens.
    """

    def __init__(
        self,
        device: Device,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        udp: bool = False,
        data_port: int | None = None,
        send_to: Address | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 1,
        wall: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tell: Callable[[str], object] = lambda words: None,
    ) -> None:
        self._device = device
        self._host, self.port = host, port
        self._udp, self._data_port, self._send_to = udp, data_port, send_to
        self._line = FaultyLine(faults, seed)
        self._wall, self._sleep, self._tell = wall, sleep, tell
        self._receivers: dict[object, _Receiver] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._refusing = False
        self._told = -_CONFIGURATION_EVERY_S * NANOSECONDS
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._postman = Postman(self._datagram)
        self.counters = Counters()

    async def __aenter__(self) -> PmuServer:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; `port` is then the one that is listened at. SourceError when that cannot be."""
        try:
            if self._send_to is not None:
                await self._open_datagrams(remote=self._send_to)
                self._add_receiver("", self._by_datagram(self._send_to, None)).wants_data = True
                self._wanted.set()
            elif self._udp:
                await self._open_datagrams(local=(self._host, self.port))
            else:
                self._server = await asyncio.start_server(self._greet, self._host, self.port)
                self.port = self._server.sockets[0].getsockname()[1]
                if self._data_port is not None:
                    await self._open_datagrams(local=(self._host, 0))
        except OSError as error:
            raise SourceError(
                f"{self._host}:{self.port} cannot be listened at: {_reason(error)}; "
                "choose another with --port and --host"
            ) from None

    async def run(self) -> None:
        """Measure and send, from when data are first wanted to the end of the feed, if it has one."""
        await self._wanted.wait()
        clock = self._device.clock
        first = clock.next_after(self._wall() + round(_LEAD_S * NANOSECONDS))
        ahead = self._prepared(first, first)
        try:
            while frames := await ahead.frames:
                now, ahead = ahead, self._prepared(ahead.numbers.stop, first)
                await self._send(now, frames)
        finally:
            ahead.frames.cancel()

    def _prepared(self, number: int, first: int) -> _Portion:
        """The frames from `number` on, up to where a fault begins or ends, made by another thread."""
        clock, line = self._device.clock, self._line
        elapsed = (number - first) / clock.rate
        until_edge = (line.next_edge(elapsed) - elapsed) * clock.rate
        count = max(1, math.ceil(min(until_edge, clock.rate * _PORTION_S) - 1e-6))
        numbers = range(number, number + count)
        changed = line.active("configuration", elapsed) is not None
        making = asyncio.to_thread(
            self._device.data_frames,
            numbers,
            shift=round(line.sum_of("time", elapsed) * NANOSECONDS),
            quality=line.time_quality(elapsed),
            status=line.status(elapsed),
            changed=changed,
        )
        delay = round(line.sum_of("delay", elapsed) * NANOSECONDS)
        return _Portion(numbers, elapsed, changed, delay, asyncio.ensure_future(making))

    async def _send(self, portion: _Portion, frames: Sequence[bytes]) -> None:
        for number, frame in zip(portion.numbers, frames, strict=False):
            due = self._device.clock.at(number)
            await self._wait_until(due + portion.delay)
            self._device.changed = portion.changed
            self._refuse(self._line.active("disconnect", portion.elapsed) is not None)
            if self._send_to is not None and due - self._told >= _CONFIGURATION_EVERY_S * NANOSECONDS:
                self._told = due
                for told in self._device.configuration_frames(FrameKind.CFG2, self._wall()):
                    self._broadcast(told)
            self.counters.frames += 1
            if self._wall() - due - portion.delay > _OVER_S * NANOSECONDS:
                self.counters.dropped += 1  # the computer slept: nobody waits for what is long past
                continue
            for piece in self._line.pieces(frame, portion.elapsed):
                self._broadcast(piece)

    async def close(self) -> None:
        """Hang up, after what is under way has been sent, and let go of the ports; legal twice."""
        if self._server is not None:
            self._server.close()
        for receiver in tuple(self._receivers.values()):
            receiver.close()
        if self._handlers:
            _, slow = await asyncio.wait(self._handlers, timeout=_FAREWELL_S)
            for handler in slow:
                handler.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        if self._datagrams is not None:
            self._datagrams.close()

    async def _wait_until(self, due: int) -> None:
        while (left := due - self._wall()) > 0:
            await self._sleep(left / NANOSECONDS)
        if -left > NANOSECONDS / self._device.clock.rate:
            self.counters.late += 1
            await asyncio.sleep(0)  # however late we are, commands are heard

    def _broadcast(self, piece: bytes) -> None:
        for receiver in tuple(self._receivers.values()):
            if not receiver.wants_data:
                continue
            if receiver.busy():
                self.counters.dropped += 1
                continue
            receiver.send(piece)
            self.counters.sent += 1

    def _refuse(self, refusing: bool) -> None:
        if refusing and not self._refusing:
            for receiver in tuple(self._receivers.values()):
                receiver.close()
        self._refusing = refusing

    def _obey(self, receiver: _Receiver, frame: bytes) -> None:
        asked = head(frame)
        if asked.kind != FrameKind.COMMAND:
            return
        if asked.idcode != self._device.idcode:
            self.counters.wrong_id += 1
            self._tell(f"{receiver.name} asks for id {asked.idcode}, and this is {self._device.idcode}")
            return
        try:
            command = decode_command(frame)
        except FrameError:  # no room for a command word
            return
        self.counters.commands += 1
        if command == Command.STOP:
            receiver.wants_data = False
        elif command == Command.START:
            if not receiver.wants_data:
                self._tell(f"{receiver.name} wants data")
            receiver.wants_data = True
            self._wanted.set()
        elif command == Command.SEND_HEADER:
            receiver.answer(self._device.header_frame(self._wall()))
        elif kind := _CONFIGURATIONS.get(command):
            for answer in self._device.configuration_frames(kind, self._wall()):
                receiver.answer(answer)

    def _add_receiver(self, key: object, receiver: _Receiver) -> _Receiver:
        self._receivers[key] = receiver
        return receiver

    # TCP

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._connected(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: Address = (writer.get_extra_info("peername") or ("somebody", 0))[:2]
        name = f"{peer[0]}:{peer[1]}"
        if self._refusing or len(self._receivers) >= MOST_RECEIVERS:
            writer.close()
            return
        data = self._by_datagram((peer[0], self._data_port), None) if self._data_port is not None else None
        receiver = _Receiver(
            name,
            answer=writer.write,
            send=data.send if data is not None else writer.write,
            close=writer.close,
            busy=lambda: writer.transport.get_write_buffer_size() > _MOST_WAITING_BYTES,
        )
        self._add_receiver(writer, receiver)
        self._tell(f"{name} is connected")
        try:
            while received := await reader.read(_READ_BYTES):
                for frame in receiver.splitter.feed(received):
                    self._obey(receiver, frame)
                await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._receivers.pop(writer, None)
            self._tell(f"{name} has gone")
            writer.close()
            with contextlib.suppress(OSError):  # TimeoutError is one
                await asyncio.wait_for(writer.wait_closed(), _FAREWELL_S)

    # UDP

    async def _open_datagrams(self, local: Address | None = None, remote: Address | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(
            lambda: self._postman, local_addr=local, remote_addr=remote
        )
        if self._udp:
            self.port = self._datagrams.get_extra_info("sockname")[1]

    def _by_datagram(self, address: Address, key: object) -> _Receiver:
        transport = self._datagrams
        assert transport is not None
        # A connected socket takes no address.
        target = None if self._send_to is not None else address

        def send(frame: bytes) -> None:
            transport.sendto(frame, target)

        def forget() -> None:
            self._receivers.pop(key, None)

        return _Receiver(
            f"{clean(address[0])}:{address[1]}",
            answer=send,
            send=send,
            close=forget,
            busy=lambda: self._postman.full,
        )

    def _datagram(self, received: bytes, address: Address) -> None:
        if not self._udp or self._refusing:
            return
        receiver = self._receivers.get(address) or self._by_datagram(address, address)
        for frame in Splitter().feed_datagram(received):
            self._obey(receiver, frame)
        if not receiver.wants_data:
            self._receivers.pop(address, None)
        elif address not in self._receivers:
            if len(self._receivers) >= MOST_RECEIVERS:  # nobody hangs up on UDP: the oldest has to go
                del self._receivers[next(iter(self._receivers))]
            self._add_receiver(address, receiver)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has the port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address is not of this computer"
    return (error.strerror or str(error)).lower()
