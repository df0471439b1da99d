"""From arrival to score, live, with a screen attached: the engine as its own process, and in the screen's.

    python benchmarks/latency.py [seconds]

A live source gives 128 channels 120 times a second, at one frame or at twenty (20 sites) a time, and writes
the moment into the block; a detector beside the z-score notes how long ago that was when it is called. Linux
only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.pseudo_terminal import PseudoTerminal

PLUGIN = '''
import asyncio, atexit, os, time
import numpy as np
from gridtop.api import Block, Channel, ChannelSet, DetectorSpec, Scores, Settings, SourceSpec, hookimpl

TICKS = 120
LATENCIES = []
atexit.register(lambda: LATENCIES and np.save(os.environ["LATENCIES"], np.array(LATENCIES)))


class Stamps:
    """Blocks of some frames, 120 times a second, whose last channel says when they arrived."""

    class Config(Settings):
        frames: int = 1

    live, identity = True, "stamps"

    def __init__(self, config, host):
        self.frames = config.frames

    async def open(self):
        kinds = ("voltage", "current", "impedance", "frequency")
        places = [(f"R{i // 4}", kinds[i % 4]) for i in range(127)]
        names = [Channel(f"{place}:{kind}", kind, terminal=place) for place, kind in places]
        self.channels = ChannelSet((*names, Channel("arrived")), 120.0 * self.frames)
        return self.channels

    async def blocks(self, start=0):
        random, row, begun = np.random.default_rng(1), 0, time.monotonic()
        origin = np.datetime64("2026-01-01", "ns")
        while True:
            await asyncio.sleep(max(0.0, begun + row / (TICKS * self.frames) - time.monotonic()))
            values = random.standard_normal((self.frames, 128))
            values[:, -1] = time.monotonic()
            steps = np.arange(row, row + self.frames) * round(1e9 / TICKS / self.frames)
            yield Block(self.channels, origin + steps.astype("timedelta64[ns]"), values, row=row)
            row += self.frames

    async def close(self):
        pass


class Stopwatch:
    """Notes the age of each block."""

    def __init__(self, config, channels):
        self.outputs = ("age",)

    def score(self, block):
        LATENCIES.append(time.monotonic() - block.values[-1, -1])
        return Scores(np.zeros((len(block), 1)))


@hookimpl
def gridtop_sources():
    return [SourceSpec("stamps", Stamps, "frames that know when they arrived")]


@hookimpl
def gridtop_detectors():
    return [DetectorSpec("stopwatch", Stopwatch, "the age of blocks")]
'''

CONFIGURATION = """
source: {{type: stamps, frames: {frames}}}
plugins: {{dirs: [plugins]}}
detectors:
  zscore: {{type: zscore, channels: ["R*"], alarm: {{high: {{warning: 8}}}}}}
  stopwatch: {{type: stopwatch, channels: [arrived]}}
"""

IN_THE_SCREEN = """
import os
from gridtop.in_process import InProcessClient
from gridtop.config import load
from gridtop.monitor import Monitor
from gridtop.tui.app import GridtopApp
GridtopApp(InProcessClient(Monitor(load(None, environment=os.environ)))).run()
"""

WARM_UP = 3.0


def main() -> None:
    """Measure both ways at both rates and print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    print(f"{'frames/s':>9}  {'engine of its own':>28}  {'in the screen':>28}  {'p99 ratio':>10}")
    for frames in (1, 20):
        apart = _latencies((sys.executable, "-m", "gridtop"), frames, seconds)
        together = _latencies((sys.executable, "-c", IN_THE_SCREEN), frames, seconds)
        texts = [
            f"p50 {np.quantile(x, 0.5):5.1f}  p99 {np.quantile(x, 0.99):6.1f} ms" for x in (apart, together)
        ]
        ratio = np.quantile(together, 0.99) / np.quantile(apart, 0.99)
        print(f"{120 * frames:9}  {texts[0]:>28}  {texts[1]:>28}  {ratio:10.1f}", flush=True)


def _latencies(command: tuple[str, ...], frames: int, seconds: float) -> np.ndarray:
    """Milliseconds from arrival to score, without the first seconds, in a terminal of 160 x 48."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugins").mkdir()
        (folder / "plugins" / "stamps.py").write_text(PLUGIN)
        (folder / "config.yaml").write_text(CONFIGURATION.format(frames=frames))
        result = folder / "latencies.npy"
        environment = {"LATENCIES": str(result), "XDG_RUNTIME_DIR": name}
        terminal = PseudoTerminal(command, 160, 48, environment, folder)
        terminal.wait_for("VOLTAGE")
        time.sleep(WARM_UP + seconds)
        terminal.press("q")
        until = time.monotonic() + 10
        while not result.exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.2)
        terminal.close()
        latencies: np.ndarray = np.load(result)
    return 1000 * latencies[round(WARM_UP * 120) :]


if __name__ == "__main__":
    main()
