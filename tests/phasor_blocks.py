"""Blocks of exact phasors, as four relays on two lines would report them without error."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Quality
from gridtop.channels import ChannelSet
from gridtop.naming import built_in
from gridtop.quantities import Quantities
from gridtop.simulation import Fault, ShortCircuit, Simulation
from gridtop.simulation.network import FaultKind, Line, sequences
from gridtop.site import Site
from tests.streams import times

Complexes = npt.NDArray[np.complexfloating[Any, Any]]
RELAYS = ("R1", "R2", "R3", "R4")
LINE = {"z1": "3.7+37j", "z0": "14+111j", "b1": "330 uS", "b0": "210 uS", "rating": "800 A"}


def site(**changes: Any) -> Site:
    """The simulated site, described in full; `changes` replace sections."""
    sections: dict[str, Any] = {
        "nominal": {"voltage_ll": "230 kV", "frequency": "60 Hz", "current": "400 A"},
        "system": {"base": "400 MVA"},
        "buses": {"B2": {"terminals": ["R2", "R3"]}},
        "lines": {"L1": {"ends": ["R1", "R2"], **LINE}, "L2": {"ends": ["R3", "R4"], **LINE}},
    }
    return Site.model_validate({**sections, **changes})


SITE = site()


def line_data(**changes: Any) -> dict[str, Any]:
    """The `lines:` section with other data for both lines; None takes one away."""
    data = {name: value for name, value in {**LINE, **changes}.items() if value is not None}
    return {"L1": {"ends": ["R1", "R2"], **data}, "L2": {"ends": ["R3", "R4"], **data}}


def relay_channels(relays: Sequence[str] = RELAYS) -> ChannelSet:
    """The channels of relays in the layout of the public data."""
    names: list[str] = []
    for relay in relays:
        for number in range(1, 13):
            kind = "V" if number <= 3 or 7 <= number <= 9 else "I"
            names += [f"{relay}-PA{number}:{kind}H", f"{relay}-PM{number}:{kind}"]
        names += [f"{relay}:F", f"{relay}-PA:Z", f"{relay}-PA:ZH"]
    return ChannelSet(tuple(built_in(name).channel(name) for name in names), 30.0)


def readings(
    phasors: Complexes, frequency: float = 60.0, *, flags: dict[str, Quality] | None = None, row: int = 0
) -> Block:
    """A block of what relays report of phasors (n, relays, 2, 3), V and I of A, B, C, in V and A.

    `flags` marks whole columns.
    """
    phasors = np.asarray(phasors, dtype=np.complex128)
    n, relays = phasors.shape[:2]
    channels = relay_channels(RELAYS[:relays])
    of_sequences = sequences(phasors)
    columns: list[npt.NDArray[np.float64]] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        impedance = of_sequences[:, :, 0, 0] / of_sequences[:, :, 1, 0]
    impedance[~np.isfinite(impedance)] = np.nan
    for relay in range(relays):
        for part in (phasors, of_sequences):
            for quantity in range(2):
                for phase in range(3):
                    value = part[:, relay, quantity, phase]
                    columns += [np.degrees(np.angle(value)), np.abs(value)]
        columns += [
            np.full(n, frequency),
            np.abs(impedance[:, relay]),
            np.degrees(np.angle(impedance[:, relay])),
        ]
    quality = None
    if flags:
        quality = np.zeros((n, len(channels)), dtype=np.uint16)
        for name, flag in flags.items():
            quality[:, channels.position(name)] |= np.uint16(flag)
    return Block(channels, times(n, 30.0, row), np.stack(columns, axis=1), quality, row=row)


class Derived:
    """What quantities make of a block, by name."""

    def __init__(self, block: Block, of: Site = SITE, **options: Any) -> None:
        self.quantities = Quantities(block.channels, of, **options)
        self.block = self.quantities.extend(block)

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        return self.block.values[:, self.block.channels.position(name)]

    def quality(self, name: str) -> npt.NDArray[np.uint16]:
        """(n,) the flags of a channel."""
        assert self.block.quality is not None
        return self.block.quality[:, self.block.channels.position(name)]

    def __contains__(self, name: str) -> bool:
        return name in self.block.channels.names


@functools.cache
def quiet_phasors(seconds: int = 4, seed: int = 3) -> Complexes:
    """(n, 4, 2, 3) exact phasors of normal operation."""
    return Simulation(seed=seed).read(30 * seconds).phasors


@functools.cache
def faulted_phasors(
    kind: FaultKind, line: Line = "L1", distance: float = 0.4, resistance: float = 10.0
) -> Complexes:
    """(2, 4, 2, 3) exact phasors of the last frame before a short circuit and of the first one in it."""
    event = ShortCircuit(2, Fault(line, kind, distance=distance, resistance=resistance))
    return Simulation(events=[event], seed=3).read(90).phasors[[59, 61]]


def balanced(voltage: complex, current: complex, n: int = 1) -> Complexes:
    """(n, 1, 2, 3) one relay with balanced phasors."""
    turn = np.exp(-2j * np.pi / 3 * np.arange(3))
    return np.broadcast_to(np.stack((voltage * turn, current * turn)), (n, 1, 2, 3)).copy()
