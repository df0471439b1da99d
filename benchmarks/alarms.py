"""How fast the alarm engine is: 60 channels with two levels each, against a bare `values > limit`.

Run with `python benchmarks/alarms.py`. Trust the ratios; the absolute figures are of one machine.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import numpy as np

from gridtop.alarms import AlarmEngine, bind_limits
from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.site import Site

ROWS, CHANNELS, RATE = 65_536, 60, 30.0
RULE = {
    "on": "*:voltage_pu",
    "low": {"warning": 0.95, "critical": 0.9},
    "deadband": 0.01,
    "on_delay": {"warning": "10s", "critical": "100ms"},
}


def channel_set() -> ChannelSet:
    """Sixty voltages of twenty terminals."""
    return ChannelSet(
        tuple(
            Channel(f"R{i // 3}:voltage_pu.{'ABC'[i % 3]}", "voltage_pu", "pu", f"R{i // 3}", "ABC"[i % 3])
            for i in range(CHANNELS)
        ),
        RATE,
    )


def signal(sags_per_minute: float) -> np.ndarray:
    """(rows, channels) of quiet voltages, with sags of half a second in three channels at a time."""
    random = np.random.default_rng(1)
    values = random.normal(1.0, 0.005, (ROWS, CHANNELS))
    for _ in range(round(ROWS / RATE / 60 * sags_per_minute)):
        start, place = random.integers(ROWS - 15), 3 * random.integers(CHANNELS // 3)
        values[start : start + 15, place : place + 3] -= 0.2
    return values


def blocks(values: np.ndarray, size: int, channels: ChannelSet) -> list[Block]:
    """The signal in blocks of one size."""
    time = np.datetime64("2026-01-01", "ns") + (np.arange(ROWS) * 1e9 / RATE).astype("timedelta64[ns]")
    whole = Block(channels, time, values)
    return [whole.slice(start, start + size) for start in range(0, ROWS, size)]


def seconds(work: Callable[[], object]) -> float:
    """The best of five runs."""
    return min(timeit.repeat(work, number=1, repeat=5))


def main() -> None:
    """Print a line for each kind of signal and block size."""
    channels = channel_set()
    rules = bind_limits({"voltage": LimitSettings.model_validate(RULE)}, AlarmDefaults(), channels)
    print(
        f"{'signal':>14} {'block':>6} {'rules rows/s':>13} {'bare rows/s':>14} {'ratio':>6} {'us/block':>9}"
    )
    for name, values in {
        "quiet": signal(0),
        "1 sag/min": signal(1),
        "60 sags/min": signal(60),
        "always low": np.full((ROWS, CHANNELS), 0.85),
    }.items():
        for size in (1, 16, 256, 4096):
            count = min(ROWS // size, 8192)
            stream = blocks(values, size, channels)[:count]

            def alarms(stream: list[Block] = stream) -> None:
                engine = AlarmEngine(rules, channels, Site(), "benchmark")
                for block in stream:
                    engine.process(block)

            def bare(stream: list[Block] = stream) -> None:
                for block in stream:
                    for limit in (0.95, 0.9):
                        block.values > limit  # noqa: B015

            rows = size * count
            took, least = seconds(alarms), seconds(bare)
            print(
                f"{name:>14} {size:>6} {rows / took:>13,.0f} {rows / least:>14,.0f} {least / took:>6.3f} "
                f"{took / count * 1e6:>9.1f}"
            )


if __name__ == "__main__":
    main()
