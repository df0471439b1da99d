"""What aligning several PMUs costs, as a share of a core, against reading the same PMUs one by one.

    python -m benchmarks.align [seconds of data]

Ten streams of five PMUs each (105 channels) arrive in portions of 100 ms, as live sources give them. Read:
from bytes to blocks with quality, stream by stream. Aligned: the same, and all blocks made one stream. In the
second case half of the streams come at 30 frames/s and are held, and a third stops for 0.8 s every 3 s.
Figures are the best of three in processor time.
"""

from __future__ import annotations

import logging
import math
import sys
import time

import numpy as np

from benchmarks.c37118 import frames_of, pmu
from gridtop.api import ChannelSet
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.align.alignment import Alignment, Joined, Waiting
from gridtop.plugins.sources.align.grid import Grid
from gridtop.plugins.sources.c37118.assembly import Assembly
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.stream import Stream

STREAMS = 10
PMUS = 5
RATE = 60
RUNS = 3
LATE_BY = 8
"""Portions of 100 ms: more than the wait."""
EPOCH = int(np.datetime64("2026-01-01", "ns").astype(np.int64))


class Feeding:
    """A stream of frames that comes in portions of 100 ms."""

    def __init__(self, number: int, frames: list[bytes], rate: int) -> None:
        first = 1 + PMUS * number
        of = Configuration(7, tuple(pmu(first + i, floats=True) for i in range(PMUS)), rate)
        self.stream = Stream(of.idcode)
        self.stream.begin()
        self.assembly = Assembly(
            self.stream, ChannelMap(), {}, silence=1.0, ahead=1e9, wall=time.time_ns, log=logging.getLogger()
        )
        for frame in encode_configuration(of):
            self.stream.receive(frame, 0.0)
        self.channels: ChannelSet = self.assembly.open(of)
        each = rate // 10
        self.portions = [b"".join(frames[at : at + each]) for at in range(0, len(frames), each)]


def run(frames: dict[int, list[bytes]], rates: list[int], aligned: bool, late: bool) -> tuple[float, int]:
    """Processor seconds, and how many frames came out."""
    feedings = [Feeding(i, frames[rate], rate) for i, rate in enumerate(rates)]
    joined = [Joined(f"s{i}", feeding.channels, rates[i]) for i, feeding in enumerate(feedings)]
    channels = ChannelSet(tuple(channel for one in joined for channel in one.channels), float(RATE))
    alignment = Alignment(joined, channels, Grid.of(RATE), 5.0, Waiting(0.5, 2.0))
    behind = {i for i in range(len(feedings)) if late and i % 3 == 2}
    count = 0
    started = time.process_time()
    for k in range(len(feedings[0].portions) + LATE_BY):
        now, wall = k / 10, EPOCH + k * 100_000_000
        for i, feeding in enumerate(feedings):
            portions = range(k, k + 1)
            if i in behind:
                portions = (
                    range(k - LATE_BY, k + 1) if k % 30 == LATE_BY else range(k, k + (k % 30 > LATE_BY))
                )
            for at in portions:
                if 0 <= at < len(feeding.portions):
                    feeding.stream.receive(feeding.portions[at], now)
            for block in feeding.assembly.blocks(now):
                if aligned:
                    alignment.put(joined[i].name, block, now, wall)
                else:
                    count += len(block)
        if aligned:
            count += sum(map(len, alignment.take(now)))
    if aligned:
        count += sum(map(len, alignment.finish()))
    return time.process_time() - started, count


def main() -> None:
    """Read, align, compare, print."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    frames = {}
    for rate in (30, 60):
        of = Configuration(7, tuple(pmu(1 + i, floats=True) for i in range(PMUS)), rate)
        frames[rate] = frames_of(of, seconds)[:: RATE // rate]
    channels = Feeding(0, frames[60][:6], 60).channels
    print(f"{STREAMS} streams of {len(channels)} channels, {seconds} s of data in portions of 100 ms\n")
    print(f"{'share of a core':<44}{'read':>8}{'aligned':>10}{'aligning alone':>17}{'ratio':>8}")
    for rates, late, what in (
        ([60] * STREAMS, False, "60 frames/s, in time"),
        ([60, 30] * (STREAMS // 2), True, "60 and 30 frames/s, a third of them in bursts"),
    ):
        read = aligned = math.inf
        for _ in range(RUNS):
            read = min(read, run(frames, rates, False, late)[0])
            took, count = run(frames, rates, True, late)
            aligned = min(aligned, took)
            if not late and count != RATE * seconds:
                raise SystemExit(f"{count} frames came out of {RATE * seconds}")
        print(
            f"{what:<44}{read / seconds:>8.1%}{aligned / seconds:>10.1%}{(aligned - read) / seconds:>17.1%}"
            f"{aligned / read:>8.2f}"
        )
    print("\naligning alone: the difference. Detectors and quantities come on top")


if __name__ == "__main__":
    main()
