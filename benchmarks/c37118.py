"""How fast C37.118 data frames become blocks, against reading field by field, and the share of a core.

    python benchmarks/c37118.py [seconds of data]

Three cases: 100 PMUs in one concentrator's stream, 100 streams of one PMU each, and one PMU alone. Both ways
decode the same frames in the same run; figures are the best of three in processor time. The share of a core
is for 60 frames/s in blocks of 100 ms, as the live source makes them, from bytes to blocks with quality.
"""

from __future__ import annotations

import logging
import math
import struct
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from gridtop.naming import ChannelMap
from gridtop.plugins.sources.c37118.assembly import Assembly
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.pmus import Analog, Configuration, Phasor, Pmu
from gridtop.synchrophasor.stream import Stream

RATE = 60
RUNS = 3
PER_BLOCK = 6
"""Frames in 100 ms."""
NAMES = ("VA", "VB", "VC", "V1", "IA", "IB", "IC", "I1")


def pmu(number: int, floats: bool) -> Pmu:
    """Eight phasors, two analogs; polar floats, or rectangular integers."""
    phasors = tuple(Phasor(name, name[0] == "I", 10.0 if name[0] == "V" else 0.05) for name in NAMES)
    analogs = (Analog("MW"), Analog("MVAR"))
    return Pmu(f"R{number}", number, phasors, analogs, (), floats, floats, floats, floats)


def frames_of(stream: Configuration, seconds: int) -> list[bytes]:
    """Data frames of plausible values."""
    n, m = RATE * seconds, len(stream.pmus)
    random = np.random.default_rng(1)
    step = np.timedelta64(1_000_000_000 // RATE, "ns")
    readings = Readings(
        np.datetime64("2026-01-01", "ns") + np.arange(n) * step,
        np.zeros(n, np.uint8),
        np.zeros((n, m), np.uint16),
        np.tile([132e3] * 4 + [400.0] * 4, (n, m)) * random.uniform(0.99, 1.01, (n, 8 * m)),
        random.uniform(-180, 180, (n, 8 * m)),
        random.normal(60, 0.01, (n, m)),
        random.normal(0, 0.02, (n, m)),
        random.normal(100, 1, (n, 2 * m)),
        np.zeros((n, 0), np.uint16),
    )
    return DataLayout(stream).encode(readings)


def field_by_field(frames: Sequence[bytes], stream: Configuration) -> list[list[float]]:
    """The baseline: struct.unpack for each field, as most decoders do it."""
    rows = []
    for frame in frames:
        seconds, fraction = struct.unpack_from(">II", frame, 6)
        row, at = [seconds + (fraction & 0xFFFFFF) / stream.time_base], 14
        for pmu in stream.pmus:
            row.append(struct.unpack_from(">H", frame, at)[0])
            at += 2
            for phasor in pmu.phasors:
                if pmu.float_phasors:
                    first, second = struct.unpack_from(">ff", frame, at)
                    at += 8
                else:
                    first, second = struct.unpack_from(">hh", frame, at)
                    first, second = first * phasor.scale, second * phasor.scale
                    at += 4
                if not pmu.polar:
                    first, second = math.hypot(first, second), math.atan2(second, first)
                row += (first, math.degrees(second))
            if pmu.float_frequency:
                row += struct.unpack_from(">ff", frame, at)
                at += 8
            else:
                deviation, rocof = struct.unpack_from(">hh", frame, at)
                row += (pmu.nominal_frequency + deviation / 1000, rocof / 100)
                at += 4
            for _ in pmu.analogs:
                row.append(struct.unpack_from(">f" if pmu.float_analogs else ">h", frame, at)[0])
                at += 4 if pmu.float_analogs else 2
        rows.append(row)
    return rows


def seconds_of(work: Callable[[], object]) -> float:
    """The best processor time of some runs."""
    best = math.inf
    for _ in range(RUNS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def live(stream: Configuration, frames: Sequence[bytes]) -> tuple[float, int]:
    """Processor seconds from bytes to blocks in portions of 100 ms, and the frames that came out."""
    one = Stream(stream.idcode)
    one.begin()
    assembly = Assembly(
        one, ChannelMap(), {}, silence=1.0, ahead=1e9, wall=time.time_ns, log=logging.getLogger()
    )
    for frame in encode_configuration(stream):
        one.receive(frame, 0.0)
    assembly.open(stream)
    portions = [b"".join(frames[at : at + PER_BLOCK]) for at in range(0, len(frames), PER_BLOCK)]
    started, count = time.process_time(), 0
    for k, portion in enumerate(portions):
        one.receive(portion, k / 10)
        count += sum(map(len, assembly.blocks(k / 10)))
    return time.process_time() - started, count


def main() -> None:
    """Decode, compare, print."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(
        f"{seconds} s of data at {RATE} frames/s; 8 phasors and 2 analogs a PMU; frames/s of processor time\n"
    )
    print(f"{'':<36}{'field by field':>15}{'arrays':>12}{'':>8}{'share of a core':>18}")
    for floats in (True, False):
        form = "polar floats" if floats else "rectangular integers"
        for pmus, streams in ((100, 1), (1, 100), (1, 1)):
            stream = Configuration(7, tuple(pmu(number + 1, floats) for number in range(pmus)), RATE)
            frames = frames_of(stream, seconds)
            layout = DataLayout(stream)
            plain = seconds_of(lambda frames=frames, stream=stream: field_by_field(frames, stream))  # type: ignore[misc]
            blocks = [frames[at : at + PER_BLOCK] for at in range(0, len(frames), PER_BLOCK)]
            arrays = seconds_of(lambda blocks=blocks, layout=layout: [layout.decode(each) for each in blocks])  # type: ignore[misc]
            took, count = min(live(stream, frames) for _ in range(RUNS))
            if count != len(frames):
                raise SystemExit("frames were lost")
            what = f"{streams} x {pmus} PMU{'s' * (pmus > 1)}, {form}"
            share = took * streams / seconds
            print(
                f"{what:<36}{len(frames) / plain:>15,.0f}{len(frames) / arrays:>12,.0f}"
                f"{plain / arrays:>7.1f}x{share:>17.1%}"
            )
    print("\nshare of a core: all streams together, from bytes to blocks with quality, detectors apart")


if __name__ == "__main__":
    main()
