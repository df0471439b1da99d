"""The samples of a COMTRADE record as columns of channels: chosen, scaled, and without error codes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gridtop.blocks import Flags, Floats, Quality
from gridtop.recordings.comtrade_channels import Series
from gridtop.recordings.comtrade_samples import Samples


def columns_of(samples: Samples, series: Iterable[Series]) -> tuple[Floats, Flags | None]:
    """(n, c) values and flags of the channels that come from samples."""
    chosen = tuple(series)
    columns = [one.column for one in chosen]
    values = np.hstack([samples.values, samples.statuses])[:, columns]
    flags: Flags | None = None
    if samples.flags is not None or not np.isfinite(values).all():
        analogs = (
            np.where(np.isnan(samples.values), np.uint16(Quality.MISSING), np.uint16(0))
            if samples.flags is None
            else samples.flags
        )
        missing = np.where(np.isnan(samples.statuses), np.uint16(Quality.MISSING), np.uint16(0))
        flags = np.hstack([analogs, missing])[:, columns].astype(np.uint16)
    for i, one in enumerate(chosen):
        if one.invalid:
            # Single precision holds -327.68 as another number.
            codes = np.array(one.invalid)
            errors = (np.abs(values[:, i, None] - codes) <= 1e-6 * np.abs(codes)).any(axis=1)
            if errors.any():
                flags = np.zeros(values.shape, dtype=np.uint16) if flags is None else flags
                values[errors, i], flags[errors, i] = np.nan, Quality.BAD
        if one.scale != 1.0 or one.offset != 0.0:
            values[:, i] = values[:, i] * one.scale + one.offset
    return values, flags
