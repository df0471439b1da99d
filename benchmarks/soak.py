"""A day at 120 frames/s through the engine, as fast as it goes: memory must stay flat.

    python benchmarks/soak.py [hours]

Sixteen noisy channels, of which one steps over a limit every eleven minutes. Prints the resident memory after
the first hour and at the end, and their ratio. Linux only.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from gridtop.config import load
from gridtop.monitor import Monitor

PLUGIN = '''
import numpy as np
from gridtop.api import Block, Channel, ChannelSet, Settings, SourceSpec, hookimpl

CHUNK = 4096


class Noise:
    """Noise at 120 frames/s with a step of a second now and then."""

    class Config(Settings):
        hours: float

    live, identity = False, "noise"

    def __init__(self, config, host):
        self.frames = round(config.hours * 3600 * 120)

    async def open(self):
        names = [Channel(f"R{i}:F", "frequency", "Hz", f"R{i}") for i in range(16)]
        self.channels = ChannelSet(tuple(names), 120.0)
        return self.channels

    async def blocks(self, start=0):
        random, origin = np.random.default_rng(1), np.datetime64("2026-01-01", "ns")
        noise = 60 + 0.01 * random.standard_normal((CHUNK, 16))
        for row in range(0, self.frames, CHUNK):
            values = noise.copy()
            if row % (20 * CHUNK) == 0:
                values[:120, row // CHUNK % 16] += 0.5
            steps = np.round(np.arange(row, row + CHUNK) * (1e9 / 120)).astype("timedelta64[ns]")
            yield Block(self.channels, origin + steps, values, row=row)

    async def close(self):
        pass


@hookimpl
def gridtop_sources():
    return [SourceSpec("noise", Noise, "a long noisy day")]
'''

CONFIGURATION = """
source: {{type: noise, hours: {hours}, speed: max}}
plugins: {{dirs: [plugins]}}
limits: {{frequency: {{on: "*:frequency_deviation", abs: {{warning: 0.2, critical: 0.4}}}}}}
detectors: {{zscore: {{type: zscore, alarm: {{high: {{warning: 12}}}}}}}}
"""


def main() -> None:
    """Run the day and print."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
    asyncio.run(_soak(hours))


async def _soak(hours: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugins").mkdir()
        (folder / "plugins" / "noise.py").write_text(PLUGIN)
        (folder / "config.yaml").write_text(CONFIGURATION.format(hours=hours))
        monitor = Monitor(load(folder / "config.yaml", environment=os.environ), stop_at_end=True)
        started = time.perf_counter()
        run = asyncio.create_task(monitor.run())
        first = 0.0
        while not run.done():
            await asyncio.sleep(0.2)
            if not first and monitor.snapshot().counts.frames > 3600 * 120:
                first = _resident_mebibytes()
        await run
        counts, last = monitor.snapshot().counts, _resident_mebibytes()
        rate = counts.frames / (time.perf_counter() - started)
        print(f"{counts.frames:,} frames, {counts.events:,} events, {rate:,.0f} frames/s")
        print(f"memory after one hour {first:.0f} MiB, at the end {last:.0f} MiB, ratio {last / first:.2f}")


def _resident_mebibytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
