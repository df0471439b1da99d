"""What an engineer would know of a simulated grid: its site section, and the baseline of its quiet start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.baseline import Baseline
from gridtop.blocks import Block
from gridtop.commissioning import learn
from gridtop.naming import ChannelMap
from gridtop.recordings import open_recording
from gridtop.simulation.network import LINE_ENDS, GridParameters
from gridtop.site import Site

BASELINE_S = 60.0
"""Quiet seconds that the baseline is learned from, at most: those before the recording's first event."""


def site_of(grid: Mapping[str, Any], logs: bool) -> dict[str, Any]:
    """The `site:` section for an hour's grid: what an engineer has in the file of each line."""
    breakers = {f"R{i}": {"breaker": f"relay{i}_log"} if logs else {} for i in range(1, 5)}
    ohms = {name: complex(*grid[name]) for name in ("line_z1", "line_z0")}
    lines = {
        name: {
            "ends": list(ends),
            "z1": _complex(ohms["line_z1"] * scale),
            "z0": _complex(ohms["line_z0"] * scale),
            "b1": grid["line_b1"] * scale,
            "b0": grid["line_b0"] * scale,
            # The model has no lengths: 37 ohm are about 100 km.
            "length": f"{100 * ohms['line_z1'].imag * scale / GridParameters().line_z1.imag:.3f} km",
            "rating": {"normal": "800 A", "emergency": "960 A"},
        }
        for name, ends in LINE_ENDS.items()
        for scale in [1.0 if name == "L1" else grid["line_2"]]
    }
    buses = {"B1": ["R1"], "B2": ["R2", "R3"], "B3": ["R4"]}
    return {
        "nominal": {"voltage_ll": "230 kV", "frequency": f"{grid['frequency']} Hz", "current": "400 A"},
        "system": {"base": "400 MVA"},
        "buses": {name: {"terminals": terminals} for name, terminals in buses.items()},
        "lines": lines,
        "terminals": {name: {"rate": 30, **breaker} for name, breaker in breakers.items()},
    }


def quiet_seconds(document: Mapping[str, Any]) -> float:
    """How long a baseline may be learned from a recording with this list of events: until its first one."""
    first = min((event["start_ms"] for event in document["events"]), default=math.inf) / 1000
    return min(first - 1, BASELINE_S)


def quiet_baseline(recording: Path, site: Mapping[str, Any], seconds: float) -> Baseline:
    """What a commissioning engineer would learn from the first seconds.

    Raises ValueError, saying why, when nothing can be learned from them.
    """
    blocks = open_recording(recording, ChannelMap()).blocks()
    try:
        described = Site.model_validate(site)
        return learn(
            _first(blocks, seconds), described, recording=recording.name, sha256="", learned="2026-01-01"
        )
    finally:
        blocks.close()


def _first(blocks: Iterable[Block], seconds: float) -> Iterator[Block]:
    end: np.datetime64 | None = None
    for block in blocks:
        end = block.time[0] + np.timedelta64(round(seconds * 1e9), "ns") if end is None else end
        yield block.slice(0, int(np.searchsorted(block.time, end)))
        if block.time[-1] >= end:
            return


def _complex(value: complex) -> str:
    return f"{value.real:.6g}{value.imag:+.6g}j"
