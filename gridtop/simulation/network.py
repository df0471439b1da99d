"""The network of the two-line testbed, solved in phasors: lines, sources, load, breakers and a fault.

    G1 - B1 - R1 --- L1 --- R2 - B2 - R3 --- L2 --- R4 - B3 - G2
         |                       |                       |
         |                     load                      |
         +------------ tie: the rest of the grid --------+

The layout is that of the public power-system attack data of Mississippi State University and Oak
Ridge. Phasors are rms, line to neutral, in the order A, B, C; a current is positive into its line.
Everything is SI: volts, amperes, ohms, siemens, watts, seconds, radians.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

Complexes = npt.NDArray[np.complexfloating[Any, Any]]
Floats = npt.NDArray[np.float64]
Line = Literal["L1", "L2"]
Relay = Literal["R1", "R2", "R3", "R4"]
FaultKind = Literal["AG", "BG", "CG", "AB", "BC", "CA", "ABC"]

RELAYS: tuple[Relay, ...] = get_args(Relay)
LINE_ENDS: dict[Line, tuple[Relay, Relay]] = {"L1": ("R1", "R2"), "L2": ("R3", "R4")}
ALL_CLOSED = (True, True, True, True)

_TURN = cmath.exp(2j * math.pi / 3)
_BALANCED = np.array([1, _TURN**2, _TURN])
_FROM_SEQUENCES = np.array([[1, 1, 1], [1, _TURN**2, _TURN], [1, _TURN, _TURN**2]])
"""Phases A, B, C from the zero, positive and negative sequence (Fortescue 1918)."""
_TO_SEQUENCES = np.linalg.inv(_FROM_SEQUENCES)

_BREAKER_SIEMENS = 1e3
"""A closed breaker is 1 milliohm."""
_LEAK_SIEMENS = 1e-9
"""From every node to ground, so that a part of the network that is cut off has a voltage at all."""

# A line is two pieces that meet at its fault node, each end behind a breaker.
_NODES = ("B1", "L1 R1", "L1 fault", "L1 R2", "B2", "L2 R3", "L2 fault", "L2 R4", "B3")
_NODE = {name: slice(3 * i, 3 * i + 3) for i, name in enumerate(_NODES)}
_BUS_OF: dict[Relay, str] = {"R1": "B1", "R2": "B2", "R3": "B2", "R4": "B3"}
_SOURCE_BUSES = ("B1", "B3")


@dataclass(frozen=True, slots=True)
class GridParameters:
    """What the testbed is made of; the defaults resemble normal operation in the public data.

    Impedances `z1` and `z0` are positive and zero sequence in ohm, susceptances `b1` and `b0` are of
    the whole line in siemens, `load` is P + jQ of all three phases in VA at nominal voltage.
    """

    frequency: float = 60.0
    """Hz"""
    voltage: float = 230e3
    """Nominal, line to line, in V."""
    line_z1: complex = 3.7 + 37j
    line_z0: complex = 14 + 111j
    line_b1: float = 330e-6
    line_b0: float = 210e-6
    source_z1: complex = 1.5 + 35j
    source_z0: complex = 1 + 24j
    tie_z1: complex = 2 + 30j
    tie_z0: complex = 8 + 90j
    source_voltage: float = 1.005
    """Behind the source impedance, per unit."""
    load: complex = 315e6 + 0j
    load_sigma: float = 0.03
    """Standard deviation of the load's slow random change, as a share of the load."""
    load_time: float = 15.0
    """Correlation time of that change, s."""
    machine_rating: float = 400e6
    """VA, of each machine."""
    inertia: float = 4.0
    """H, s"""
    damping: float = 10.0
    """Per unit power per per-unit speed."""
    droop: float = 0.05
    governor_time: float = 0.5
    """s"""
    secondary_gain: float = 2.0
    """Per unit power per second and per-unit speed: brings the frequency back to nominal."""
    line_2: float = 1.0
    """Length of L2 as a multiple of that of L1, to which the line's constants above belong."""
    source_2: float = 1.0
    """Impedance of the second source as a multiple of that of the first."""
    transfer_angle: float = 0.0
    """Lead of the first machine over the second, degrees: what flows through from B1 to B3."""
    daily_depth: float = 0.0
    """Half the difference between the highest and the lowest load of a day, as a share of the load."""
    start_hour: float = 0.0
    """Hour of the day of the first frame; the load is highest at 18 h and lowest at 6 h."""

    @property
    def phase_voltage(self) -> float:
        """Nominal voltage, line to neutral, in V."""
        return self.voltage / math.sqrt(3)


@dataclass(frozen=True, slots=True)
class Fault:
    """A short circuit: on which line, between which phases (G is ground), where, and through what.

    `distance` is the share of the line's length from its first end (R1 or R3), between 0.01 and 0.99;
    `resistance` is in ohm, at least 0.001. Raises ValueError outside of these.
    """

    line: Line
    kind: FaultKind = "AG"
    distance: float = 0.5
    resistance: float = 20.0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if self.line not in LINE_ENDS or self.kind not in get_args(FaultKind):
            raise ValueError(f"no such fault: {self.kind} on {self.line}")
        if not 0.01 <= self.distance <= 0.99:
            raise ValueError(f"a fault lies between 0.01 and 0.99 of a line, not at {self.distance}")
        if not self.resistance >= 1e-3:
            raise ValueError(f"a fault resistance is at least 0.001 ohm, not {self.resistance}")

    @property
    def admittance(self) -> Floats:
        """(3, 3) siemens, as seen by the three phases of the fault node."""
        phases = ["ABC".index(phase) for phase in self.kind if phase != "G"]
        matrix = np.zeros((3, 3))
        matrix[phases, phases] = 1 / self.resistance
        if len(phases) == 2:
            matrix[phases, phases[::-1]] = -1 / self.resistance
        return matrix


class Network:
    """The network with its breakers in one position and at most one fault.

    Every node but the load is eliminated once (Kron reduction), so that any number of load values
    costs one 3x3 solution each. `closed` says for R1 to R4 whether the breaker is closed.
    """

    def __init__(
        self,
        grid: GridParameters,
        closed: tuple[bool, bool, bool, bool] = ALL_CLOSED,
        fault: Fault | None = None,
    ) -> None:
        sources = [
            np.linalg.inv(three_phase(grid.source_z1 * scale, grid.source_z0 * scale))
            for scale in (1.0, grid.source_2)
        ]
        admittance = np.eye(3 * len(_NODES), dtype=np.complex128) * _LEAK_SIEMENS
        # What the relays read, as a function of the node voltages: V then I of R1, of R2, ...
        readings = np.zeros((24, 3 * len(_NODES)), dtype=np.complex128)

        def connect(node: str, other: str, branch: Complexes | Floats) -> None:
            one, two = _NODE[node], _NODE[other]
            admittance[one, one] += branch
            admittance[two, two] += branch
            admittance[one, two] -= branch
            admittance[two, one] -= branch

        for (line, ends), length in zip(LINE_ENDS.items(), (1.0, grid.line_2), strict=True):
            series = np.linalg.inv(three_phase(grid.line_z1 * length, grid.line_z0 * length))
            half_shunt = three_phase(1j * grid.line_b1 * length, 1j * grid.line_b0 * length) / 2
            distance = fault.distance if fault and fault.line == line else 0.5
            middle = _NODE[f"{line} fault"]
            for relay, share in zip(ends, (distance, 1 - distance), strict=True):
                end = f"{line} {relay}"
                connect(end, f"{line} fault", series / share)
                admittance[_NODE[end], _NODE[end]] += half_shunt
                number = RELAYS.index(relay)
                if closed[number]:
                    connect(_BUS_OF[relay], end, np.eye(3) * _BREAKER_SIEMENS)
                voltage, current = slice(6 * number, 6 * number + 3), slice(6 * number + 3, 6 * number + 6)
                readings[voltage, _NODE[_BUS_OF[relay]]] = np.eye(3)
                readings[current, _NODE[end]] = series / share + half_shunt
                readings[current, middle] = -series / share
            if fault and fault.line == line:
                admittance[middle, middle] += fault.admittance
        connect(*_SOURCE_BUSES, np.linalg.inv(three_phase(grid.tie_z1, grid.tie_z0)))
        for bus, source in zip(_SOURCE_BUSES, sources, strict=True):
            admittance[_NODE[bus], _NODE[bus]] += source

        impedance = np.linalg.inv(admittance)
        # Columns: the two machines, each a balanced voltage behind the source impedance.
        by_source = zip(_SOURCE_BUSES, sources, strict=True)
        driven = np.stack(
            [impedance[:, _NODE[bus]] @ source @ _BALANCED for bus, source in by_source], axis=1
        )
        by_load = impedance[:, _NODE["B2"]]
        # The balanced part of the current out of each machine is what carries its power.
        machine_rows = np.zeros((2, 3 * len(_NODES)), dtype=np.complex128)
        for number, (bus, source) in enumerate(zip(_SOURCE_BUSES, sources, strict=True)):
            machine_rows[number, _NODE[bus]] = -_BALANCED.conj() @ source
        own = np.diag([_BALANCED.conj() @ source @ _BALANCED for source in sources])

        self._fixed = np.concatenate([readings @ driven, own + machine_rows @ driven])
        self._by_load_current = np.concatenate([readings @ by_load, machine_rows @ by_load])
        self._unloaded = driven[_NODE["B2"]]
        self._seen_by_load = by_load[_NODE["B2"]]

    def response(self, load: Complexes) -> tuple[Complexes, Complexes]:
        """What follows from a load at B2 of `load` siemens: (n,) in each phase, or (n, 3) phase by phase.

        (n, 24, 2): per volt of each machine, the readings of the relays: V of phases A, B, C, then I,
        of R1, then of R2, and so on. (n, 2, 2): the admittance between the machines, in siemens summed
        over the phases: machine i gives Re(conj(E_i) * sum over j of Y_ij E_j) watts.
        """
        if load.ndim == 1:
            loads = load[:, None, None]
            load_voltage = np.linalg.solve(np.eye(3) + loads * self._seen_by_load, self._unloaded)
            everything = self._fixed - loads * (self._by_load_current @ load_voltage)
        else:
            load_voltage = np.linalg.solve(np.eye(3) + self._seen_by_load * load[:, None, :], self._unloaded)
            everything = self._fixed - self._by_load_current @ (load[:, :, None] * load_voltage)
        return everything[:, :24], everything[:, 24:]


def three_phase(one: complex, zero: complex) -> Complexes:
    """(3, 3) phase matrix of a balanced element from its positive (= negative) and zero sequence values."""
    return _FROM_SEQUENCES @ np.diag([zero, one, one]) @ _TO_SEQUENCES


def sequences(phases: Complexes) -> Complexes:
    """Positive, negative and zero sequence, in this order, of phasors whose last axis is A, B, C."""
    a, b, c = phases[..., 0], phases[..., 1], phases[..., 2]
    positive = (a + _TURN * b + _TURN**2 * c) / 3
    negative = (a + _TURN**2 * b + _TURN * c) / 3
    return np.stack([positive, negative, (a + b + c) / 3], axis=-1)
