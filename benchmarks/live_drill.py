"""PMUs, a broker and a network are killed, frozen and cut under a running monitor, which must take it well.

    python -m benchmarks.live_drill             # all drills; --only kill freeze, --together N, --outage S

Each drill has a monitor of its own (`gridtop run` with the rules of docs/live.md and the physical detectors),
fed by `gridtop serve-pmu` or by an MQTT broker with sensors, and looked at through its socket as a screen
does. Prints what was measured. Exit code 1 when a promise was broken:

- what does not come any more is shown as stale within two seconds, and as fresh soon after it is back;
- there is one alarm about data for each terminal concerned and each outage, and none about the grid, whether
  the data go or come back;
- every alarm clears by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.live_ground import (
    CALM_S,
    LOCAL,
    METERS,
    SETTLE_S,
    TERMINALS,
    Ground,
    Outcome,
    of_meters,
    of_one,
    of_pmus,
)
from benchmarks.live_processes import (
    Blackhole,
    Network,
    Process,
    broker,
    can_make_networks,
    free_port,
    pmu,
    sensors,
)


async def quiet(ground: Ground) -> Outcome:
    """Nothing happens, and nothing is told."""
    port = free_port()
    ground.started(pmu(ground.folder, port))
    return await ground.hold(of_pmus(f"{LOCAL}:{port}"), (), _nothing, _nothing)


async def kill(ground: Ground, pmus: int = 4, **how: Any) -> Outcome:
    """The concentrator is killed and started again."""
    port = free_port()
    device = ground.started(pmu(ground.folder, port, "--pmus", str(pmus)))
    await device.listens(LOCAL, port)
    address = f"{LOCAL}:{port}"
    configuration = of_pmus(address) if pmus > 1 else of_one(address)
    return await ground.hold(
        configuration, TERMINALS[:pmus], device.kill, partial(_again, device, port), **how
    )


async def kill_one(ground: Ground) -> Outcome:
    """A single PMU is killed and started again."""
    return await kill(ground, pmus=1)


async def kill_aligned(ground: Ground) -> Outcome:
    """One of three single PMUs that are aligned to one stream is killed and started again."""
    sources, devices = {}, []
    for terminal in TERMINALS[:3]:
        port = free_port()
        folder = ground.folder / terminal
        folder.mkdir()
        devices.append((ground.started(pmu(folder, port, "--pmus", "1")), port))
        await devices[-1][0].listens(LOCAL, port)
        address = f"{LOCAL}:{port}"
        sources[terminal.lower()] = {
            "type": "c37118",
            "address": address,
            "id": 7,
            "terminals": {"R1": terminal},
        }
    device, port = devices[1]
    # They are three grids, each with a frequency of its own.
    limits = {"profile": "tx60", "f_spread": {"enabled": False}}
    configuration = of_one("") | {"source": {"type": "align", "sources": sources}, "limits": limits}
    return await ground.hold(configuration, ("R2",), device.kill, partial(_again, device, port))


async def flap(ground: Ground) -> Outcome:
    """The concentrator is killed and started five times in a minute."""
    ground.outage = min(ground.outage, 5.0)
    return await kill(ground, outages=5, between=5.0)


async def come_and_go(ground: Ground) -> Outcome:
    """The same, but it is back long enough for the first alarm to clear; the second one stays."""
    ground.outage = min(ground.outage, 5.0)
    return await kill(ground, outages=4, between=20.0, most_alarms=2)


async def _again(device: Process, port: int) -> None:
    device.start()
    await device.listens(LOCAL, port)


async def freeze(ground: Ground) -> Outcome:
    """The PMU stops, with its connections open, and goes on."""
    port = free_port()
    device = ground.started(pmu(ground.folder, port))
    await device.listens(LOCAL, port)
    return await ground.hold(
        of_pmus(f"{LOCAL}:{port}"),
        TERMINALS,
        partial(_send, device, signal.SIGSTOP),
        partial(_send, device, signal.SIGCONT),
    )


async def cable(ground: Ground) -> Outcome:
    """The cable between monitor and PMU is pulled and put in again: two network namespaces."""
    network = ground.stack.enter_context(Network())
    device = pmu(ground.folder, 4712, host=network.THERE)
    device.prefix = network.there
    ground.started(device)
    await device.listens(network.THERE, 4712)
    return await ground.hold(
        of_pmus(f"{network.THERE}:4712"),
        TERMINALS,
        partial(_now, network.cut),
        partial(_now, network.mend),
        prefix=network.here,
        fresh_within=10.0,  # a connection that is being tried may have to run into its time-out first
    )


async def blackhole(ground: Ground) -> Outcome:
    """Nothing comes through any more, and nobody says so: a way that swallows everything."""
    port = free_port()
    device = ground.started(pmu(ground.folder, port))
    await device.listens(LOCAL, port)
    way = await ground.stack.enter_async_context(Blackhole(port))
    return await ground.hold(
        of_pmus(f"{LOCAL}:{way.port}"),
        TERMINALS,
        partial(_now, way.cut),
        partial(_now, way.mend),
        fresh_within=10.0,
    )


async def absent(ground: Ground) -> Outcome:
    """One PMU of a concentrator is absent for a while, the others go on."""
    recording, begin = ground.folder / "absent.csv", 2 * SETTLE_S
    seconds = begin + ground.outage + CALM_S + 3 * SETTLE_S
    await asyncio.to_thread(_record, recording, seconds, "R2", begin, begin + ground.outage)
    port = free_port()
    device = ground.started(pmu(ground.folder, port, recording=recording))
    await device.listens(LOCAL, port)
    asked = asyncio.create_task(device.says("wants data"))

    async def until(moment: float) -> None:
        await asyncio.sleep(await asked + moment - time.monotonic())

    return await ground.hold(
        of_pmus(f"{LOCAL}:{port}"),
        ("R2",),
        partial(until, begin),
        partial(until, begin + ground.outage),
    )


def _record(path: Path, seconds: float, terminal: str, begin: float, end: float) -> None:
    """A recording of a quiet grid, in which a terminal measures nothing from `begin` to `end`."""
    whole = path.with_name("whole.csv")
    command = [sys.executable, "-m", "gridtop", "simulate", "--no-events", "--duration", f"{seconds:g}s"]
    subprocess.run([*command, "-o", str(whole)], check=True, capture_output=True)
    with whole.open(newline="") as read, path.open("w", newline="") as written:
        rows, out = csv.reader(read), csv.writer(written)
        names = next(rows)
        out.writerow(names)
        gone = [i for i, name in enumerate(names) if name.startswith((f"{terminal}-", f"{terminal}:"))]
        for number, row in enumerate(rows):
            if begin <= number / 30 < end:
                for i in gone:
                    row[i] = ""
            out.writerow(row)


async def late_start(ground: Ground) -> Outcome:
    """The monitor is started while the PMU is down."""
    port = free_port()
    device = pmu(ground.folder, port)
    starting = asyncio.get_running_loop().call_later(10.0, lambda: ground.started(device))
    ground.stack.callback(starting.cancel)
    return await ground.hold(of_pmus(f"{LOCAL}:{port}"), (), _nothing, _nothing)


async def kill_broker(ground: Ground) -> Outcome:
    """The broker is killed and started again; its sensors find it again by themselves."""
    port = free_port()
    server = ground.started(broker(ground.folder, port))
    await server.listens(LOCAL, port)
    ground.started(sensors(ground.folder, port, METERS))
    again = partial(_again, server, port)
    # Between two attempts it waits up to ten seconds.
    return await ground.hold(of_meters(LOCAL, port), METERS, server.kill, again, fresh_within=15.0)


async def cut_broker(ground: Ground) -> Outcome:
    """The cable between monitor and broker is pulled and put in again."""
    network = ground.stack.enter_context(Network())
    server = broker(ground.folder, 1883, network.THERE)
    publishers = sensors(ground.folder, 1883, METERS, network.THERE)
    server.prefix = publishers.prefix = network.there
    ground.started(server)
    await server.listens(network.THERE, 1883)
    ground.started(publishers)
    return await ground.hold(
        of_meters(network.THERE, 1883, late_after="1s"),
        METERS,
        partial(_now, network.cut),
        partial(_now, network.mend),
        prefix=network.here,
        fresh_within=15.0,
    )


async def _nothing() -> None:
    """Nothing is done."""


async def _now(act: Callable[[], None]) -> None:
    await asyncio.to_thread(act)


async def _send(process: Process, number: signal.Signals) -> None:
    process.send(number)


DRILLS: dict[str, tuple[Callable[[Ground], Awaitable[Outcome]], bool]] = {
    "quiet": (quiet, False),
    "kill": (kill, False),
    "kill-one": (kill_one, False),
    "kill-aligned": (kill_aligned, False),
    "freeze": (freeze, False),
    "blackhole": (blackhole, False),
    "cable": (cable, True),
    "absent": (absent, False),
    "flap": (flap, False),
    "come-and-go": (come_and_go, False),
    "late-start": (late_start, False),
    "broker": (kill_broker, False),
    "broker-cable": (cut_broker, True),
}
"""The drills by name, and whether they need networks of their own."""


async def held(names: Sequence[str], outage: float, together: int, keep: Path | None) -> list[Outcome]:
    """The outcomes of some drills, so many of them at the same time."""
    free = asyncio.Semaphore(together)

    async def one(name: str) -> Outcome:
        async with free, contextlib.AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if keep is not None:
                folder = keep / name
                folder.mkdir(parents=True)
            try:
                return await DRILLS[name][0](Ground(name, folder, outage, stack))
            except Exception as error:
                return Outcome(name, 0, false=[f"the drill failed: {error!r}"])

    return await asyncio.gather(*map(one, names))


def main() -> int:
    """Drill and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(DRILLS), default=list(DRILLS), metavar="DRILL")
    parser.add_argument("--outage", type=float, default=20.0, help="seconds of an outage")
    parser.add_argument("--together", type=int, default=3, help="drills at the same time")
    parser.add_argument("--events", action="store_true", help="print every event as well")
    parser.add_argument("--keep", type=Path, help="an empty folder for the journals and logs")
    chosen = parser.parse_args()
    names = list(chosen.only)
    if not can_make_networks():
        left_out = [name for name in names if DRILLS[name][1]]
        names = [name for name in names if name not in left_out]
        print(f"no network namespaces here (they need root): left out {', '.join(left_out)}", file=sys.stderr)
    outcomes = asyncio.run(held(names, chosen.outage, chosen.together, chosen.keep))
    print("| drill | stale after | fresh after | alarms | steps | cleared after | notices | broken |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for outcome in outcomes:
        times = [outcome.stale, outcome.fresh, outcome.cleared] if outcome.concerned else []
        stale, fresh, cleared = [f"{seconds:.1f} s" for seconds in times] or ["", "", ""]
        alarms = f"{outcome.raised.total()} at {outcome.concerned}" if outcome.concerned else "none"
        cells = (outcome.name, stale, fresh, alarms, outcome.steps, cleared, outcome.notices)
        print(f"| {' | '.join(map(str, cells))} | {'; '.join(outcome.broken)} |")
    if chosen.events:
        for outcome in outcomes:
            print(f"\n{outcome.name}")
            for event in outcome.events:
                at = time.strftime("%H:%M:%S", time.gmtime(event.wall)) + f"{event.wall % 1:.1f}"[1:]
                print(f"  {at} {event.kind:<7} {event.transition:<9} {event.severity:<8} {event.message}")
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
