"""What all quantities cost: replay with them against replay without, and microseconds by quantity.

Both replays run over the same recording in the same process. Then the quantities alone: microseconds a row
in blocks of 4096 frames, the dearest ones, and microseconds a block of three frames, as they come live, with
four terminals and with a hundred.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from gridtop import pipeline
from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.config import assignment, load
from gridtop.monitor import Monitor
from gridtop.naming import ChannelMap
from gridtop.quantities import Quantities
from gridtop.recordings import open_recording
from gridtop.site import Site

REPEATS = 3
BLOCK = 4096
COPIES = 12
TERMINALS = 100
LINE = "z1: 3.7+37j, z0: 14+111j, b1: 330 uS, rating: 800 A"
SITE = f"""\
site:
  nominal: {{voltage_ll: 230 kV, frequency: 60 Hz, current: 400 A}}
  system: {{base: 400 MVA}}
  buses: {{B2: {{terminals: [R2, R3]}}}}
  lines: {{L1: {{ends: [R1, R2], {LINE}}}, L2: {{ends: [R3, R4], {LINE}}}}}
"""
CONFIG = f"""\
source: {{type: replay, path: unset, speed: max}}
{SITE}
limits:
  frequency: {{on: "R*:F", high: {{critical: 61}}}}
"""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        _measure_replay(Path(folder))
        config = Path(folder) / "config.yaml"
        site = load(config, environment=os.environ).site
    block = next(iter(open_recording(_bundled(), ChannelMap({}), 30.0).blocks())).slice(0, BLOCK)
    quantities = Quantities(block.channels, site)
    count = len(quantities.channels) - len(block.channels)
    whole = _seconds(lambda: quantities.extend(block)) / len(block) * 1e6
    print(f"all {count} quantities  {whole:8.2f} microseconds a row, in blocks of {len(block)}")
    for name, cost in _by_quantity(block, site)[:10]:
        print(f"  {name:24}{cost:8.2f}")
    for terminals in (4, TERMINALS):
        live = _widened(block, terminals).slice(600, 603)
        derived = Quantities(live.channels, site)
        cost = _seconds(functools.partial(derived.extend, live), 20) * 1e6
        print(f"{terminals:3} terminals    {cost:8,.0f} microseconds a block of 3 rows")


def _measure_replay(folder: Path) -> None:
    recording, config = folder / "long.csv", folder / "config.yaml"
    config.write_text(CONFIG)
    with gzip.open(_bundled(), "rt") as file:
        header, *rows = (line.partition(",")[2] for line in file)  # without times: they would repeat
    with recording.open("w") as out:
        out.write(header)
        for _ in range(COPIES):
            out.writelines(rows)
    without, with_all = 0.0, 0.0
    for _ in range(REPEATS):  # in turn, so that a busy machine slows both
        without = max(without, asyncio.run(_replay(config, recording, [])))
        with_all = max(with_all, asyncio.run(_replay(config, recording, ["*:*"])))
    print(f"replay without quantities {without:10,.0f} rows/s")
    print(f"replay with all of them   {with_all:10,.0f} rows/s")
    print(f"share                     {with_all / without:10.2f}")


async def _replay(config: Path, recording: Path, wanted: list[str]) -> float:
    configuration = load(
        config, overrides=[assignment("source.path", str(recording))], environment=os.environ
    )
    # Asked for as if by rules, but without the cost of judging them.
    with mock.patch.object(pipeline, "_wanted", return_value=wanted):
        monitor = Monitor(configuration, stop_at_end=True, keep_history=False)
        started = time.perf_counter()
        await monitor.run()
    return monitor.snapshot().counts.frames / (time.perf_counter() - started)


def _bundled() -> Path:
    return Path(__file__).parent.parent / "data" / "two-line.csv.gz"


def _seconds(work: Callable[[], object], times: int = 1) -> float:
    """The processor time of one call, the best of several attempts."""

    def attempt() -> float:
        started = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - started) / times

    return min(attempt() for _ in range(5 * REPEATS))


def _by_quantity(block: Block, site: Site) -> list[tuple[str, float]]:
    """Microseconds a row of each quantity on its own, with the phasors it needs."""
    names = {c.quantity for c in Quantities(block.channels, site).channels if c.derived}
    costs = {name: _seconds(_one(block, site, name)) / len(block) * 1e6 for name in sorted(names)}
    return sorted(costs.items(), key=lambda item: -item[1])


def _one(block: Block, site: Site, name: str) -> Callable[[], object]:
    quantities = Quantities(block.channels, site, [f"*:{name}"])
    return lambda: quantities.extend(block)


def _widened(block: Block, terminals: int) -> Block:
    """The block with its four terminals repeated under new names until there are so many."""
    measured = [(i, c) for i, c in enumerate(block.channels) if c.terminal and c.quantity != "log"]
    columns: list[int] = []
    channels: list[Channel] = []
    for copy in range(terminals // 4):
        for column, channel in measured:
            tag = f"-{copy}" if copy else ""
            columns.append(column)
            channels.append(
                dataclasses.replace(channel, name=channel.name + tag, terminal=channel.terminal + tag)
            )
    values = np.ascontiguousarray(block.values[:, columns])
    return Block(ChannelSet(tuple(channels), block.channels.rate), block.time, values)


if __name__ == "__main__":
    main()
