"""Learning the commissioning baseline: what instruments and lines show on a quiet stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.baseline import Baseline
from gridtop.blocks import Block, Floats
from gridtop.quantities import CATALOGUE
from gridtop.quantities.layout import Layout
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.residuals import RESIDUALS, Residual
from gridtop.quantities.work import IDLE, Work
from gridtop.site import Site

Complexes = npt.NDArray[np.complexfloating[Any, Any]]

LEAST_FRAMES = 30
"""From fewer frames nothing is learned."""
_MOST_VALUES = 1 << 22
"""32 MiB: of a longer stretch every second, fourth, ... frame is kept."""
_OUTLIER = 4.0
"""Frames this many times farther off than the median one, and than usual noise, are left out."""
_FAULT_V2 = 0.05
"""Share of V1: healthy transmission has below 0.02 (IEC 61000-2-2)."""
_FAULT_VOLTAGE = 0.8
"""pu: below it is a sag (IEEE 1159 begins at 0.9) that no operator calls quiet."""
_FAULT_DIFFERENCE = 0.5
"""Share of the larger end's current that the two ends of a line may differ by; charging is less."""
_OPEN = 0.01
"""Share of rated current."""


def learn(blocks: Iterable[Block], site: Site, *, recording: str, sha256: str, learned: str) -> Baseline:
    """The baseline of a quiet stretch.

    For every residual and every place where `site` allows it: the factors that explain most, by complex least
    squares with the prior that instruments are within their class and line data within 20 %, without the few
    frames that fit badly. Doubtful values do not count. `recording`, `sha256` and
    `learned` are noted. Memory is bounded: of a long stretch every second, fourth, ... frame is used.

    Raises ValueError when the stretch is not quiet (two frames in a row with a fault, an open line or a dead
    bus), has fewer than 30 frames, or nothing can be learned from it.
    """
    sample = _Sample()
    quiet: _Quiet | None = None
    first = last = ""
    for block in blocks:
        if len(block) == 0:
            continue
        quiet = quiet or _Quiet(Layout(block.channels, site))
        quiet.check(block)
        sample.add(block)
        first = first or _named(block, 0)
        last = _named(block, len(block) - 1)
    if sample.frames < LEAST_FRAMES or quiet is None:
        raise ValueError(f"{sample.frames} frames are too few to learn from; {LEAST_FRAMES} are needed")
    coefficients = dict(_learned(sample.block(), quiet.layout))
    if not coefficients:
        raise ValueError(
            "nothing can be learned: describe lines and buses under site:, with the data that they need"
        )
    return Baseline(
        learned=learned,
        recording=recording,
        sha256=sha256,
        first=first,
        last=last,
        frames=sample.frames,
        coefficients=coefficients,
    )


def _named(block: Block, at: int) -> str:
    """How a frame is called: its time, or its row where the recording has no times."""
    if block.channels.clock == "row":
        return f"row {block.row + at}"
    return f"{np.datetime_as_string(block.time[at], unit='ms')}Z"


class _Sample:
    """Frames of the whole stretch, evenly spaced, however the stretch is cut into blocks."""

    def __init__(self) -> None:
        self.frames = 0
        self._seen = 0
        self._every = 1
        self._kept: list[Block] = []

    def add(self, block: Block) -> None:
        """Keep what belongs to the sample."""
        start = -self._seen % self._every
        self._seen += len(block)
        if start < len(block):
            self._kept.append(_thinned(block, start, self._every))
            self.frames += len(self._kept[-1])
        while self.frames > max(_MOST_VALUES // len(block.channels), 2 * LEAST_FRAMES):
            whole = self.block()
            self._every *= 2
            self._kept = [_thinned(whole, 0, 2)]
            self.frames = len(self._kept[0])

    def block(self) -> Block:
        """All that was kept."""
        channels = self._kept[0].channels
        quality = None
        if any(block.quality is not None for block in self._kept):
            quality = np.vstack(
                [
                    np.zeros(block.values.shape, np.uint16) if block.quality is None else block.quality
                    for block in self._kept
                ]
            )
        time = np.concatenate([block.time for block in self._kept])
        return Block(channels, time, np.vstack([block.values for block in self._kept]), quality)


def _thinned(block: Block, start: int, every: int) -> Block:
    quality = None if block.quality is None else block.quality[start::every].copy()
    return Block(block.channels, block.time[start::every].copy(), block.values[start::every].copy(), quality)


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What makes a stretch unquiet: for each place and frame whether it is there."""

    what: str
    places: tuple[str, ...]
    there: npt.NDArray[np.bool_]


class _Quiet:
    """Watches for faults and open lines: one bad frame is an instrument's, two in a row are the grid's."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._before: dict[str, npt.NDArray[np.bool_]] = {}

    def check(self, block: Block) -> None:
        """ValueError with the frame and the place when the grid is not quiet."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            troubles = list(_troubles(Work(self.layout, block).trusted_locally))
        for trouble in troubles:
            before = self._before.get(trouble.what, np.zeros((len(trouble.places), 1), dtype=np.bool_))
            joined = np.hstack((before, trouble.there))
            self._before[trouble.what] = joined[:, -1:]
            twice = joined[:, :-1] & joined[:, 1:]
            if twice.any():
                at = int(np.flatnonzero(twice.any(axis=0))[0])
                place = trouble.places[int(np.flatnonzero(twice[:, at])[0])]
                raise ValueError(
                    f"the stretch is not quiet: {trouble.what} at {place}, {_named(block, at)}; "
                    "a baseline is learned from normal operation, with all described lines in service"
                )


def _troubles(work: Work) -> Iterator[_Trouble]:
    layout = work.layout
    voltages, currents = work.voltage_magnitudes, work.current_magnitudes
    sagging = voltages[:, 0] < _FAULT_VOLTAGE * layout.line_to_neutral
    yield _Trouble("a fault (low voltage)", layout.terminals, sagging)
    unbalanced = voltages[:, 1] > _FAULT_V2 * voltages[:, 0]
    yield _Trouble("a fault (negative-sequence voltage)", layout.terminals, unbalanced)
    lines = tuple(layout.lines)
    if not lines:
        return
    first, second = (currents[layout.ends[:, end], 0] for end in (0, 1))
    opened = np.minimum(first, second) < _OPEN * layout.line_rating
    yield _Trouble("an open line", lines, opened)
    larger = np.maximum(first, second)
    carries = ~(larger < IDLE * layout.line_rating)
    differs = carries & (work.raw_differential.magnitude > _FAULT_DIFFERENCE * larger)
    yield _Trouble("a fault on the line, or one end open", lines, differs)


def _learned(block: Block, layout: Layout) -> Iterator[tuple[str, tuple[tuple[float, float], ...]]]:
    offered = {offer.channel.name for quantity in CATALOGUE for offer in quantity.offers(layout, [])}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        work = Work(layout, block).trusted
        for residual in RESIDUALS.values():
            places = residual.places(layout)
            names = [f"{place}:{residual.channel}" for place in places]
            if not offered.intersection(names):
                continue
            problem = _Problem.of(residual, work)
            for row, name in enumerate(names):
                if name in offered and (factors := problem.solve(row)) is not None:
                    yield name, tuple((float(c.real), float(c.imag)) for c in factors)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Least squares with a prior, for one residual at all its places."""

    raw: Phasors
    regressors: tuple[Phasors, ...]
    spreads: tuple[Floats, ...]
    noise: Floats

    @classmethod
    def of(cls, residual: Residual, work: Work) -> _Problem:
        raw = residual.raw(work)
        shape = raw.re.shape
        regressors = tuple(
            Phasors(np.broadcast_to(x.re, shape), np.broadcast_to(x.im, shape))
            for x in residual.regressors(work)
        )
        return cls(raw, regressors, residual.spreads(work.layout), residual.noise(work.layout))

    def solve(self, row: int) -> list[complex] | None:
        """The most likely factors at one place; None with too few good frames."""
        y = _complex(self.raw, row)
        x = np.stack([_complex(regressor, row) for regressor in self.regressors])
        good = np.isfinite(y) & np.isfinite(x).all(axis=0)
        if np.count_nonzero(good) < LEAST_FRAMES or not np.isfinite(self.noise[row, 0]):
            return None
        y, x = y[good], x[:, good]
        prior = np.diag([(self.noise[row, 0] / spread[row, 0]) ** 2 for spread in self.spreads])
        # Least squares follow a few wild frames. So begin with the half that lies nearest to the middle, and
        # then keep what the factors so found explain (concentration steps of least trimmed squares).
        off = np.abs(y - (np.median(y.real) + 1j * np.median(y.imag)))
        kept = off <= np.median(off)
        for _ in range(_PASSES):
            factors = _fit(x[:, kept], y[kept], prior)
            off = np.abs(y - factors @ x)
            kept = off <= _OUTLIER * max(float(np.median(off)), float(self.noise[row, 0]))
        factors = _fit(x[:, kept], y[kept], prior)
        return [complex(factor) for factor in factors]


_PASSES = 10


def _fit(x: Complexes, y: Complexes, prior: Floats) -> Complexes:
    factors: Complexes = np.linalg.solve(x.conj() @ x.T + prior, x.conj() @ y)
    return factors


def _complex(phasors: Phasors, row: int) -> Complexes:
    numbers: Complexes = phasors.re[row] + 1j * phasors.im[row]
    return numbers
