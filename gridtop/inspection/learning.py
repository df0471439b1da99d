"""Learns the commissioning baseline from a stretch of a recording, and says what was learned."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gridtop.baseline import Baseline
from gridtop.errors import SourceError
from gridtop.site import Site
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.recordings import Recording
    from gridtop.recordings.stretches import Stretch

_RESIDUALS = ("differential_current", "kvl_residual", "bus_mismatch", "power_residual", "sequence_residual")
_MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Learned:
    """A residual on the stretch: its median size without and with the baseline, in `unit`."""

    channel: str
    unit: str
    without: float
    with_baseline: float


def guessed_configuration(path: Path) -> Configuration:
    """The configuration that inspecting the recording prints."""
    import os

    from gridtop.config import load
    from gridtop.inspection.findings import inspect_recording
    from gridtop.inspection.yaml_text import configuration_text

    text = configuration_text(inspect_recording(path))
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "site.yaml"
        printed.write_text(text, encoding="utf-8")
        return load(printed, environment=os.environ)


def learn_baseline(recording: Recording, path: Path, stretch: Stretch, site: Site, day: str) -> Baseline:
    """The baseline of a stretch; SourceError with the reason when nothing can be learned from it."""
    from gridtop.commissioning import learn

    try:
        return learn(
            stretch.blocks(recording), site, recording=clean(path.name), sha256=_sha256(path), learned=day
        )
    except ValueError as error:
        raise SourceError(
            f"{clean(path.name)}: {error}; --rows A:B or --from and --to choose another stretch"
        ) from None


def what_was_learned(recording: Recording, stretch: Stretch, site: Site, baseline: Baseline) -> list[Learned]:
    """The residuals that the baseline is about, before and after."""
    from gridtop.quantities import Quantities

    wanted = tuple(f"*:{residual}" for residual in _RESIDUALS)
    both = [Quantities(recording.channels, site, wanted, each) for each in (None, baseline)]
    measured = len(recording.channels)
    stride = max(1, (recording.extent.frames if recording.extent else 0) // _MOST_ROWS)
    kept: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for block in stretch.blocks(recording):
        for quantities, values in zip(both, kept, strict=True):
            values.append(np.abs(quantities.extend(block).values[-block.row % stride :: stride, measured:]))
    without, with_baseline = (_medians(values) for values in kept)
    channels = both[0].channels[measured:]
    return [
        Learned(channel.name, channel.unit, float(raw), float(left))
        for channel, raw, left in zip(channels, without, with_baseline, strict=True)
        if raw == raw and left == left
    ]


def charging_currents(site: Site) -> dict[str, float]:
    """Line to its charging current in A, b1 U_n / sqrt(3), where both are known."""
    found = {}
    for name, line in site.lines.items():
        voltage = site.line_to_neutral(line.ends[0])
        if line.b1 is not None and voltage is not None:
            found[name] = line.b1 * voltage
    return found


def _medians(parts: list[np.ndarray]) -> np.ndarray:
    values = np.vstack(parts)
    return np.array(
        [
            np.median(column[~np.isnan(column)]) if not np.isnan(column).all() else np.nan
            for column in values.T
        ]
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
