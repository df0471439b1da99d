"""The other side in the live drill: PMUs, a broker with sensors, and networks that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NUMBERS = itertools.count(1)

_BROKER = """
import asyncio
from amqtt.broker import Broker

async def main():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": "HOST:PORT"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""

_SENSORS = """
import asyncio, random, time
import aiomqtt

async def main():
    chance = random.Random(1)
    while True:
        try:
            async with aiomqtt.Client("HOST", PORT, timeout=2, keepalive=2) as client:
                while True:
                    moment = time.time()
                    for meter in METERS:
                        await client.publish(f"grid/{meter}/f", 60 + chance.gauss(0, 0.002))
                        for phase in range(3):
                            await client.publish(f"grid/{meter}/v{phase}", 132790 + chance.gauss(0, 60))
                    await asyncio.sleep(max(0, 0.2 - (time.time() - moment)))
        except aiomqtt.MqttError:
            await asyncio.sleep(0.5)

asyncio.run(main())
"""


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass
class Process:
    """A process that can be killed, frozen and started again. `prefix` puts it into a network of its own."""

    command: Sequence[str]
    log: Path
    prefix: Sequence[str] = ()
    folder: Path | None = None
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [*self.prefix, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.folder,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.running is not None
        self.running.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL: nothing is said to anybody, but the kernel closes its connections."""
        self.send(signal.SIGKILL)
        assert self.running is not None
        await asyncio.to_thread(self.running.wait)

    async def end(self) -> None:
        """End it, however it is."""
        if self.running is not None and self.running.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.send(signal.SIGCONT)
                self.send(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.running.wait, 15)
            except subprocess.TimeoutExpired:
                await self.kill()

    async def says(self, words: str) -> float:
        """The moment when its log first has these words, by the monotonic clock."""
        while not self.log.exists() or words not in self.log.read_text(errors="replace"):
            await asyncio.sleep(0.02)
        return time.monotonic()

    async def listens(self, host: str, port: int) -> None:
        """Wait until somebody listens there."""
        end = time.monotonic() + 30
        probe = [sys.executable, "-c", f"import socket; socket.create_connection(({host!r}, {port}), 1)"]
        while time.monotonic() < end:
            if self.prefix:
                asked = await asyncio.to_thread(subprocess.run, [*self.prefix, *probe], capture_output=True)
                if asked.returncode == 0:
                    return
            else:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
                    return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"nobody listens at {host}:{port}: {self.log}")


def pmu(
    folder: Path, port: int, *options: str, host: str = "127.0.0.1", recording: Path | None = None
) -> Process:
    """`gridtop serve-pmu` at a port: a recording, or the simulated grid without disturbances."""
    served = ["--no-events"] if recording is None else [str(recording)]
    command = [sys.executable, "-m", "gridtop", "serve-pmu", *served, *options]
    return Process([*command, "--host", host, "--port", str(port), "--id", "7"], folder / "pmu.log")


def broker(folder: Path, port: int, host: str = "127.0.0.1") -> Process:
    """Mosquitto when it is installed, else a broker in Python."""
    if found := shutil.which("mosquitto"):
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {port} {host}\nallow_anonymous true\n")
        return Process([found, "-c", str(settings)], folder / "broker.log")
    script = folder / "broker.py"
    script.write_text(_BROKER.replace("HOST", host).replace("PORT", str(port)))
    return Process([sys.executable, str(script)], folder / "broker.log")


def sensors(folder: Path, port: int, meters: Sequence[str], host: str = "127.0.0.1") -> Process:
    """Publishes frequency and voltages of each meter five times a second."""
    script = folder / "sensors.py"
    text = _SENSORS.replace("HOST", host).replace("PORT", str(port)).replace("METERS", repr(tuple(meters)))
    script.write_text(text)
    return Process([sys.executable, str(script)], folder / "sensors.log")


class Network:
    """Two computers with a cable between them: network namespaces that nothing else can reach.

    The addresses are set aside for documentation (RFC 5737), and there is no way out of the two.
    """

    HERE, THERE = "192.0.2.1", "192.0.2.2"

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self._names = (f"gridtop-{os.getpid()}-{number}-here", f"gridtop-{os.getpid()}-{number}-there")
        self.here, self.there = (("ip", "netns", "exec", name) for name in self._names)

    def __enter__(self) -> Network:
        here, there = self._names
        try:
            for name in self._names:
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", there)
            for name, address in zip(self._names, (self.HERE, self.THERE), strict=True):
                _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
                _ip("-n", name, "link", "set", "cable", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "delete", name)

    def cut(self) -> None:
        """Pull the cable at the far end."""
        _ip("-n", self._names[1], "link", "set", "cable", "down")

    def mend(self) -> None:
        """Put it in again."""
        _ip("-n", self._names[1], "link", "set", "cable", "up")


def can_make_networks() -> bool:
    """Whether this computer lets us make network namespaces."""
    try:
        with Network():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Blackhole:
    """A way to a port that can be made to swallow everything, with its connections left open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Blackhole:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Swallow everything."""
        self._open.clear()

    def mend(self) -> None:
        """Pass on what comes from now on, over new connections and old."""
        self._open.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ways = [
                asyncio.create_task(self._pump(reader, far_writer)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            self._tasks.update(ways)
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                self._tasks.difference_update(ways)
                for end in (writer, far_writer):
                    end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(1 << 16):
                if self._open.is_set():
                    writer.write(received)
                    await writer.drain()
