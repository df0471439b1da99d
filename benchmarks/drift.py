"""How good the drift detector is, on seeded series: run lengths, delays, intervals, dates that mean nothing.

    python -m benchmarks.drift           # the tables of docs/drift.md, in about a minute
    python -m benchmarks.drift --quick   # a tenth of the runs

Each channel is a series of its own, so one detector judges hundreds of them. Means are made of few frames:
what counts afterwards is how means follow each other, and that is told in each line.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.plugins.detectors.drift import Drift
from gridtop.plugins.detectors.drift.page_hinkley import PageHinkley
from gridtop.plugins.detectors.drift.reference import Reference
from gridtop.plugins.detectors.drift.scores import LEARNED_ERRORS
from gridtop.plugins.detectors.drift.trend import line_through

Floats = npt.NDArray[np.float64]

DAY = 1440
"""One-minute means in a day."""
LEARN = 60
ALLOWANCE = 0.25
SEED = 20260101
FRAMES_A_BLOCK = 4096


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    runs = 100 if parser.parse_args().quick else 1000
    began = time.monotonic()
    run_lengths(runs // 5)
    delays(runs // 5)
    coverage(runs)
    dates_without_drift(runs)
    print(f"\n{time.monotonic() - began:.0f} s")


def run_lengths(runs: int) -> None:
    """How long until a false drift, by lambda, kind of means and length of the reference."""
    lambdas = (10.0, 15.0, 20.0)
    print("Run length without change, in means\n")
    print(f"One-minute means of AR(1) 0.8 frames at 30/s have a correlation of {neighbours(0.8, 1800):.4f}")
    print("with their neighbours: they count as independent.\n")
    print("| means | reference | lambda | median | a false drift within 1440 means | within 43200 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, make in (
        ("independent", lambda: autoregressive(0.0, runs)),
        ("of 6 frames AR(1) 0.5", lambda: means_of_frames(0.5, 6, runs)),
        ("of 6 frames AR(1) 0.8", lambda: means_of_frames(0.8, 6, runs)),
    ):
        for learn in (0, 60, 240, 1440) if kind == "independent" else (60,):
            first = first_drifts(make(), learn, lambdas, runs, 30 * DAY)
            for evidence, after in zip(lambdas, first, strict=True):
                shares = [f"{np.mean(after <= within):.1%}" for within in (DAY, 30 * DAY)]
                reference = f"{learn} means" if learn else "known, allowance 0.25"
                print(f"| {kind} | {reference} | {evidence:g} | {_median(after)} | {' | '.join(shares)} |")


def neighbours(memory: float, frames: int) -> float:
    """The correlation of neighbouring means of so many frames AR(1)."""
    left = 1.0 - memory**frames
    return memory * left**2 / (frames * (1.0 - memory**2) - 2.0 * memory * left)


def first_drifts(
    series: Callable[[int], Floats], learn: int, lambdas: tuple[float, ...], runs: int, means: int
) -> Floats:
    """(lambdas, runs) after how many means each series without a change scored 1; infinite if it did not.

    Of the detector's parts and not the detector, which says more than it takes here. Without `learn` the mean
    is known to be 0 and the standard deviation 1.
    """
    reference = Reference(runs, max(learn, 1), 0.0)
    allowance = ALLOWANCE + (LEARNED_ERRORS / math.sqrt(learn) if learn else 0.0)
    statistics = [PageHinkley(runs, allowance, evidence) for evidence in lambdas]
    first = np.full((len(lambdas), runs), np.inf)
    for number in range(0, learn + means, FRAMES_A_BLOCK):
        for i, values in enumerate(series(FRAMES_A_BLOCK), number + 1 - learn):
            standardised = reference.standardised(values) if learn else values
            for page_hinkley, found in zip(statistics, first, strict=True):
                page_hinkley(standardised, i)
                found[(page_hinkley.score >= 1.0) & np.isinf(found)] = i
    return first


def delays(runs: int) -> None:
    """How many means until a shift or a ramp is seen."""
    print("\nDelay in means, independent means (median, 95th percentile, share seen within 1440)\n")
    print("| change, in standard deviations of a mean | learn 60 | learn 240 | learn 1440 |")
    print("| --- | --- | --- | --- |")
    changes: dict[str, Callable[[Floats], Floats]] = {
        "shift 0.5": lambda n: np.full_like(n, 0.5),
        "shift 1": lambda n: np.full_like(n, 1.0),
        "shift 3": lambda n: np.full_like(n, 3.0),
        "shift 10": lambda n: np.full_like(n, 10.0),
        "ramp 0.001 a mean": lambda n: 0.001 * n,
        "ramp 0.01 a mean": lambda n: 0.01 * n,
        "ramp 0.1 a mean": lambda n: 0.1 * n,
    }
    for name, change in changes.items():
        cells = []
        for learn in (60, 240, 1440):
            random = np.random.default_rng(SEED)
            values = random.standard_normal((learn + DAY, runs))
            values[learn:] += change(np.arange(1.0, DAY + 1))[:, np.newaxis]
            detector, channels = made(runs, learn=learn)
            score = np.vstack([detector.score(block).score for block in blocks(values, channels)])[learn:]
            hit = score >= 1.0
            delay = np.where(hit.any(axis=0), hit.argmax(axis=0) + 1.0, np.inf)
            late = np.quantile(delay, 0.95, method="higher")
            cells.append(f"{_median(delay)}, {_number(late)}, {np.isfinite(delay).mean():.1%}")
        print(f"| {name} | {' | '.join(cells)} |")


def coverage(runs: int) -> None:
    """How often the 90 % interval holds the truth, and how wide it is."""
    print("\nThe 90 % interval: 100 - 0.03 t reaches 95 at 166.7; noise of 0.3 AR(1) 0.8 a sample\n")
    print("| samples | means they are made into | told | covers the truth | median width |")
    print("| --- | --- | --- | --- | --- |")
    for samples, per_mean in ((2000, 1), (2000, 10), (600, 10), (600, 30)):
        told, covered, widths = 0, 0, list[float]()
        at = np.arange(1, samples + 1) / samples * 100.0
        noise = autoregressive(0.8, runs)(samples) * 0.3 / 0.6
        for run in range(runs):
            values = 100.0 - 0.03 * at + noise[:, run]
            crossing = crossing_of(at, values, per_mean, 95.0)
            if crossing is not None:
                told += 1
                covered += crossing[0] <= 5.0 / 0.03 <= crossing[1]
                widths.append(crossing[1] - crossing[0])
        share = f"{covered / told:.1%}" if told else "-"
        width = f"{np.median(widths):.0f}" if widths else "-"
        print(f"| {samples} | {samples // per_mean} | {told / runs:.1%} | {share} | {width} |")


def crossing_of(at: Floats, values: Floats, per_mean: int, level: float) -> tuple[float, float] | None:
    """The interval for the crossing from one look at the whole series, on the axis `at`."""
    means = values.reshape(-1, per_mean).mean(axis=1)
    positions = np.round(at.reshape(-1, per_mean).mean(axis=1) * 1e6).astype(np.int64)
    line = line_through(positions, means)
    crossing = None if line is None else line.reaches(level)
    if crossing is None:
        return None
    last = float(positions[-1]) / 1e6
    return last + crossing.earliest / 1e6, last + crossing.latest / 1e6


def dates_without_drift(runs: int) -> None:
    """How often a date is told where nothing drifts."""
    print("\nDates told without a trend\n")
    print("| case | share with a date |")
    print("| --- | --- |")
    for samples, per_mean in ((2000, 1), (2000, 10), (600, 30)):
        noise = autoregressive(0.8, runs)(samples) * 0.3 / 0.6
        at = np.arange(1, samples + 1) / samples * 100.0
        dates = sum(crossing_of(at, 100.0 + noise[:, run], per_mean, 95.0) is not None for run in range(runs))
        print(
            f"| one look at {samples} samples AR(1) 0.8, {samples // per_mean} means | {dates / runs:.1%} |"
        )
    for name, memory, step in (
        ("the detector, 7 days of independent means, nothing happens", 0.0, 0.0),
        ("the detector, 7 days after a step of 3 deviations", 0.0, 3.0),
        ("the same, AR(1) 0.5 means", 0.5, 3.0),
    ):
        share = dated(memory, step, max(runs // 4, 25))
        print(f"| {name} | {share:.1%} |")


def dated(memory: float, step: float, runs: int, days: int = 7) -> float:
    """The share of series without a trend for which a date is told at any time."""
    series = autoregressive(memory, runs)
    detector, channels = made(runs, thresholds={"*": {"low": -30.0, "high": 30.0}}, soon="365d")
    due = np.zeros(runs, dtype=bool)
    for row in range(0, LEARN + days * DAY, 512):
        values = series(512)
        values[max(LEARN - row, 0) :] += step
        score = detector.score(block_of(values, channels, row)).score
        due |= (score >= 2.0).any(axis=0)
    return float(due.mean())


def made(number: int, **settings: Any) -> tuple[Drift, ChannelSet]:
    """A detector for so many channels, of which each frame is a mean."""
    channels = ChannelSet(tuple(Channel(f"c{i}") for i in range(number)), 1 / 60)
    config = Drift.Config.model_validate({"mean_over": "1m", "learn": LEARN, "floor": 0, **settings})
    return Drift(config, channels), channels


def autoregressive(memory: float, runs: int) -> Callable[[int], Floats]:
    """Gives the next n samples (n, runs) of series of unit variance that remember so much of the last one."""
    random = np.random.default_rng(SEED)
    last = random.standard_normal(runs)
    fresh = np.sqrt(1.0 - memory**2)

    def more(number: int) -> Floats:
        nonlocal last
        values = random.standard_normal((number, runs))
        if memory:
            for i in range(number):
                last = memory * last + fresh * values[i]
                values[i] = last
        return values

    return more


def means_of_frames(memory: float, frames: int, runs: int) -> Callable[[int], Floats]:
    """Gives the next n means (n, runs) of so many frames that remember so much of the last one."""
    series = autoregressive(memory, runs)
    return lambda number: series(number * frames).reshape(number, frames, runs).mean(axis=1)


def block_of(values: Floats, channels: ChannelSet, row: int) -> Block:
    """A block of one-minute frames."""
    rows = np.arange(row, row + len(values))
    time = np.datetime64("2026-01-01", "ns") + rows * np.timedelta64(60_000_000_000, "ns")
    return Block(channels, time, values, row=row)


def blocks(values: Floats, channels: ChannelSet) -> Iterator[Block]:
    """The whole series in blocks."""
    for row in range(0, len(values), FRAMES_A_BLOCK):
        yield block_of(values[row : row + FRAMES_A_BLOCK].copy(), channels, row)


def _median(values: Floats) -> str:
    return _number(float(np.quantile(values, 0.5, method="higher")))


def _number(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "never"


if __name__ == "__main__":
    main()
