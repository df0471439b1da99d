"""What the columns of a recording hold, gathered block by block in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats

MOST_VALUES = 64
"""Different values of a column that are counted one by one; a column with more is continuous."""
_SAMPLE_CELLS = 3_000_000
_SAMPLE_ROWS = 20_000
_HALF_TURN_DEG = 300.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a column of numbers holds. `median`, `q05` and `q95` are those of the sample; NaN without values.

    `counts` is how often each value occurs, None when there are more than 64. `rises` and `falls` count the
    steps up and down between rows, `wraps` those of more than 300. Columns of the same `fingerprint` hold
    the same in every row.
    """

    rows: int
    missing: int
    unreadable: int
    infinite: int
    least: float
    most: float
    mean: float
    deviation: float
    median: float
    q05: float
    q95: float
    whole: bool
    counts: dict[float, int] | None
    rises: int
    falls: int
    wraps: int
    fingerprint: int

    @property
    def values(self) -> int:
        """Rows with a finite number."""
        return self.rows - self.missing - self.unreadable - self.infinite

    @property
    def constant(self) -> bool:
        """Whether every row that has a number has the same one."""
        return self.values > 0 and self.least == self.most


class Gathering:
    """Statistics of k columns and a sample of their rows, evenly spread over the recording.

    The sample keeps every row of a short recording, every second of one beyond its size, every fourth of
    one beyond twice that, and so on: at most 20,000 rows and 3 million numbers.
    """

    def __init__(self, columns: int) -> None:
        self._rows = 0
        self._missing = np.zeros(columns, np.int64)
        self._unreadable = np.zeros(columns, np.int64)
        self._infinite = np.zeros(columns, np.int64)
        self._least = np.full(columns, np.inf)
        self._most = np.full(columns, -np.inf)
        self._origin = np.full(columns, np.nan)
        self._sum = np.zeros(columns)
        self._squares = np.zeros(columns)
        self._whole = np.ones(columns, np.bool_)
        self._rises = np.zeros(columns, np.int64)
        self._falls = np.zeros(columns, np.int64)
        self._wraps = np.zeros(columns, np.int64)
        self._fingerprint = np.zeros(columns, np.uint64)
        self._last = np.full(columns, np.nan)
        self._counts: list[dict[float, int] | None] = [{} for _ in range(columns)]
        self._sample = _Sample(columns)

    def add(self, values: Floats, unreadable: npt.NDArray[np.bool_] | None) -> None:
        """Take the next n rows: (n, k) numbers, infinities as they are, NaN where there is none."""
        if not len(values):
            return
        if unreadable is not None:
            self._unreadable += unreadable.sum(axis=0)
            self._missing -= unreadable.sum(axis=0)
        infinite = np.isinf(values)
        self._infinite += infinite.sum(axis=0)
        self._missing += np.isnan(values).sum(axis=0)
        self._add_fingerprint(values)
        finite = np.where(infinite, np.nan, values)
        self._least = np.fmin(self._least, np.fmin.reduce(finite, axis=0))
        self._most = np.fmax(self._most, np.fmax.reduce(finite, axis=0))
        self._add_moments(finite)
        self._whole &= ~np.any(finite != np.round(finite), axis=0, where=~np.isnan(finite))
        self._add_steps(finite)
        self._add_counts(finite)
        self._sample.add(finite, self._rows)
        self._rows += len(values)

    @property
    def rows(self) -> int:
        """Rows taken so far."""
        return self._rows

    @property
    def sample(self) -> Floats:
        """(m, k) the sampled rows, NaN for a cell without a finite number."""
        return self._sample.values

    @property
    def sample_rows(self) -> npt.NDArray[np.int64]:
        """(m,) the row number of each sampled row."""
        return self._sample.rows

    def results(self) -> list[Numbers]:
        """What each of the k columns holds."""
        found = self._rows - self._missing - self._unreadable - self._infinite
        count = np.maximum(found, 1)
        mean = self._sum / count
        deviation = np.sqrt(np.maximum(self._squares / count - mean**2, 0.0))
        quantiles = _quantiles(self.sample)
        results = []
        for i in range(len(self._missing)):
            empty = not found[i]
            results.append(
                Numbers(
                    rows=self._rows,
                    missing=int(self._missing[i]),
                    unreadable=int(self._unreadable[i]),
                    infinite=int(self._infinite[i]),
                    least=np.nan if empty else float(self._least[i]),
                    most=np.nan if empty else float(self._most[i]),
                    mean=np.nan if empty else float(self._origin[i] + mean[i]),
                    deviation=np.nan if empty else float(deviation[i]),
                    median=float(quantiles[1, i]),
                    q05=float(quantiles[0, i]),
                    q95=float(quantiles[2, i]),
                    whole=bool(self._whole[i]) and not empty,
                    counts=self._counts[i],
                    rises=int(self._rises[i]),
                    falls=int(self._falls[i]),
                    wraps=int(self._wraps[i]),
                    fingerprint=int(self._fingerprint[i]),
                )
            )
        return results

    def _add_moments(self, finite: Floats) -> None:
        # From the first value: sums of squares about zero would drown the noise of 131,800.0 V.
        first = finite[np.argmax(~np.isnan(finite), axis=0), np.arange(finite.shape[1])]
        self._origin = np.where(np.isnan(self._origin), first, self._origin)
        with np.errstate(over="ignore"):
            departure = np.nan_to_num(finite - self._origin, nan=0.0, posinf=0.0, neginf=0.0)
            self._sum += departure.sum(axis=0)
            self._squares += (departure * departure).sum(axis=0)

    def _add_steps(self, finite: Floats) -> None:
        with np.errstate(over="ignore"):
            steps = np.diff(np.vstack([self._last, finite]), axis=0)
        self._rises += (steps > 0).sum(axis=0)
        self._falls += (steps < 0).sum(axis=0)
        self._wraps += (np.abs(steps) > _HALF_TURN_DEG).sum(axis=0)
        self._last = finite[-1].copy()

    def _add_counts(self, finite: Floats) -> None:
        for i, counts in enumerate(self._counts):
            if counts is None:
                continue
            if len(set(finite[:200, i].tolist())) > 3 * MOST_VALUES:  # spares sorting what is continuous
                self._counts[i] = None
                continue
            values, occurrences = np.unique(finite[:, i], return_counts=True)
            for value, occurred in zip(values.tolist(), occurrences.tolist(), strict=True):
                if value == value:
                    counts[value] = counts.get(value, 0) + occurred
            if len(counts) > MOST_VALUES:
                self._counts[i] = None

    def _add_fingerprint(self, values: Floats) -> None:
        """Add up a mix of each number with its row: the same whatever the blocks."""
        rows = np.arange(self._rows, self._rows + len(values), dtype=np.uint64)
        mixed = (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64) ^ mixed[:, np.newaxis]
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        self._fingerprint += (bits ^ (bits >> np.uint64(31))).sum(axis=0, dtype=np.uint64)


@dataclass(slots=True)
class _Sample:
    """Every `stride`-th row; the stride doubles whenever the room is full."""

    columns: int
    stride: int = 1
    kept: list[Floats] = field(default_factory=list)
    numbers: list[npt.NDArray[np.int64]] = field(default_factory=list)
    size: int = 0

    @property
    def room(self) -> int:
        return max(200, min(_SAMPLE_ROWS, _SAMPLE_CELLS // max(1, self.columns)))

    @property
    def values(self) -> Floats:
        return np.vstack(self.kept) if self.kept else np.empty((0, self.columns))

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        return np.concatenate(self.numbers) if self.numbers else np.empty(0, np.int64)

    def add(self, values: Floats, row: int) -> None:
        begin = -row % self.stride
        self.kept.append(values[begin :: self.stride].copy())
        self.numbers.append(np.arange(row + begin, row + len(values), self.stride))
        self.size += len(self.kept[-1])
        while self.size > self.room:
            self.stride *= 2
            numbers, whole = self.rows, self.values
            chosen = numbers % self.stride == 0
            self.kept, self.numbers = [whole[chosen]], [numbers[chosen]]
            self.size = int(chosen.sum())


def _quantiles(sample: Floats) -> Floats:
    """(3, k) the 5 %, 50 % and 95 % quantiles of each column; NaN where it holds no number."""
    result = np.full((3, sample.shape[1]), np.nan)
    for i in range(sample.shape[1]):
        values = sample[:, i]
        values = values[~np.isnan(values)]
        if values.size:
            result[:, i] = np.quantile(values, [0.05, 0.5, 0.95])
    return result
