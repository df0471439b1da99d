"""What a service manager hears, on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtop.service import ServiceManager, keep_alive


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(place)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(os.fspath(tmp_path / "notify"))
    yield found
    found.close()


def told(manager: Manager, **environment: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": manager.place, **environment})


def test_the_life_of_an_engine_is_told(manager: Manager) -> None:
    service = told(manager)
    service.ready()
    service.reloading()
    service.status("2 alarms\nREADY=1")
    service.stopping()
    ready, reloading, status, stopping = manager.heard()
    assert ready == "READY=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert status.startswith("STATUS=2 alarms")
    assert "\n" not in status
    assert stopping == "STOPPING=1"


def test_without_a_manager_nothing_happens() -> None:
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": "/nobody/listens/here"}).ready()


def test_the_watchdog_is_that_of_this_process(manager: Manager) -> None:
    assert told(manager).watchdog is None
    assert told(manager, WATCHDOG_USEC="30000000").watchdog == 30
    assert told(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())).watchdog == 30
    assert told(manager, WATCHDOG_USEC="30000000", WATCHDOG_PID="1").watchdog is None
    assert told(manager, WATCHDOG_USEC="soon").watchdog is None


async def test_the_watchdog_is_fed_only_while_blocks_flow_or_none_is_meant_to(manager: Manager) -> None:
    # What a block counter shows at each look, and whether a replay stands still on purpose.
    looks = iter([(1, False), (2, False), (2, False), (2, True), (2, False), (3, False)])
    fed: list[bool] = []
    now = next(looks)

    async def sleep(seconds: float) -> None:
        nonlocal now
        assert seconds == 15
        fed.append("WATCHDOG=1" in manager.heard())
        try:
            now = next(looks)
        except StopIteration:
            raise asyncio.CancelledError from None

    service = told(manager, WATCHDOG_USEC="30000000")
    with pytest.raises(asyncio.CancelledError):
        await keep_alive(service, lambda: now[0], lambda: now[1], lambda: "well", sleep)
    assert fed == [True, True, False, True, False, True]
