"""Times as files write them, ISO 8601 or numbers since 1970, as datetime64[ns] in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Times
from gridtop.naming import TimeUnit

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_LIMIT = 2**63
"""Nanoseconds a datetime64[ns] cannot hold any more: it reaches from 1677 to 2262."""
_MICROSECOND = 1_000
_MOST_DIGITS = 20


def frames_per_second(steps: npt.NDArray[np.timedelta64]) -> float | None:
    """The rate from (n - 1,) steps between n times, to four digits; None when there is no step forward.

    The mean of the steps near their median: stamps cut to milliseconds make steps of 33 and 34, and the
    median alone would say 30.3 instead of 30. Gaps do not count. Of an even number of steps it is the lower
    median: between a step and a gap there may be no step at all.
    """
    seconds = steps.astype("timedelta64[ns]").astype(np.float64) / 1e9
    seconds = seconds[seconds > 0]
    if not seconds.size:
        return None
    middle = (seconds.size - 1) // 2
    median = float(np.partition(seconds, middle)[middle])
    near = seconds[np.abs(seconds - median) <= median / 2]
    return float(f"{1 / near.mean():.4g}")


def guess_unit(cell: str) -> TimeUnit:
    """The unit of a time column from one of its cells: the epoch number's size tells s, ms, us and ns apart.

    Seconds stay below 10^11 until the year 5138.
    """
    number = _decimal(cell)
    if number is None:
        return "iso"
    size = abs(number)
    return "s" if size < 10**11 else "ms" if size < 10**14 else "us" if size < 10**17 else "ns"


def times_from_text(cells: Sequence[str], unit: TimeUnit) -> Times:
    """(n,) times from n cells, exact to the nanosecond; NaT where a cell is not a time."""
    if unit == "iso":
        return _from_iso(cells)
    nanoseconds = np.full(len(cells), np.datetime64("NaT", "ns"))
    for i, cell in enumerate(cells):
        number = _decimal(cell)
        if number is not None and abs(number) * _NANOSECONDS[unit] < _LIMIT:
            nanoseconds[i] = np.datetime64(round(number * _NANOSECONDS[unit]), "ns")
    return nanoseconds


def times_from_numbers(numbers: npt.NDArray[np.number], unit: TimeUnit) -> Times:
    """(n,) times from numbers since 1970; NaT where a number is not finite or out of range.

    Floating-point numbers are taken to the microsecond: a double holds no more of today's date.
    """
    if unit == "iso":
        return np.full(len(numbers), np.datetime64("NaT", "ns"))
    factor = _NANOSECONDS[unit]
    valid = (numbers > -_LIMIT // factor) & (numbers < _LIMIT // factor)  # False for NaN
    numbers = np.where(valid, numbers, 0)
    if numbers.dtype.kind == "f":
        whole = np.floor(numbers)
        fraction = np.round((numbers - whole) * (factor / _MICROSECOND)).astype(np.int64) * _MICROSECOND
        nanoseconds = whole.astype(np.int64) * factor + fraction
    else:
        nanoseconds = numbers.astype(np.int64) * factor
    return np.where(valid, nanoseconds.view("datetime64[ns]"), np.datetime64("NaT", "ns"))


def _decimal(cell: str) -> Decimal | None:
    if not cell.isascii() or "_" in cell:  # both mean something to Decimal and nothing in a file
        return None
    try:
        number = Decimal(cell.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < _MOST_DIGITS else None


def _from_iso(cells: Sequence[str]) -> Times:
    import pandas as pd

    # pandas would read words such as "now", too.
    dated = [cell if cell.lstrip()[:1].isdigit() else "" for cell in cells]
    read = pd.to_datetime(pd.Series(dated, dtype=object), format="ISO8601", utc=True, errors="coerce")
    representable = (read > pd.Timestamp.min.tz_localize("UTC")) & (
        read < pd.Timestamp.max.tz_localize("UTC")
    )
    return read.where(representable).dt.tz_localize(None).to_numpy("datetime64[ns]")
