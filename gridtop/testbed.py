"""The physics of the two-line testbed: its network in phasors, and the two machines that feed it.

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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

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
        series = np.linalg.inv(three_phase(grid.line_z1, grid.line_z0))
        half_shunt = three_phase(1j * grid.line_b1, 1j * grid.line_b0) / 2
        source = np.linalg.inv(three_phase(grid.source_z1, grid.source_z0))
        admittance = np.eye(3 * len(_NODES), dtype=np.complex128) * _LEAK_SIEMENS
        # What the relays read, as a function of the node voltages: V then I of R1, of R2, ...
        readings = np.zeros((24, 3 * len(_NODES)), dtype=np.complex128)

        def connect(node: str, other: str, branch: Complexes | Floats) -> None:
            one, two = _NODE[node], _NODE[other]
            admittance[one, one] += branch
            admittance[two, two] += branch
            admittance[one, two] -= branch
            admittance[two, one] -= branch

        for line, ends in LINE_ENDS.items():
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
        for bus in _SOURCE_BUSES:
            admittance[_NODE[bus], _NODE[bus]] += source

        impedance = np.linalg.inv(admittance)
        # Columns: the two machines, each a balanced voltage behind the source impedance.
        driven = np.stack([impedance[:, _NODE[bus]] @ source @ _BALANCED for bus in _SOURCE_BUSES], axis=1)
        by_load = impedance[:, _NODE["B2"]]
        # The balanced part of the current out of each machine is what carries its power.
        machine_rows = np.zeros((2, 3 * len(_NODES)), dtype=np.complex128)
        for number, bus in enumerate(_SOURCE_BUSES):
            machine_rows[number, _NODE[bus]] = -_BALANCED.conj() @ source
        own = np.eye(2) * (_BALANCED.conj() @ source @ _BALANCED)

        self._fixed = np.concatenate([readings @ driven, own + machine_rows @ driven])
        self._by_load_current = np.concatenate([readings @ by_load, machine_rows @ by_load])
        self._unloaded = driven[_NODE["B2"]]
        self._seen_by_load = by_load[_NODE["B2"]]

    def response(self, load: Complexes) -> tuple[Complexes, Complexes]:
        """What follows from a load of `load` (n,) siemens per phase at B2.

        (n, 24, 2): per volt of each machine, the readings of the relays: V of phases A, B, C, then I,
        of R1, then of R2, and so on. (n, 2, 2): the admittance between the machines, in siemens summed
        over the phases: machine i gives Re(conj(E_i) * sum over j of Y_ij E_j) watts.
        """
        loads = load[:, None, None]
        load_voltage = np.linalg.solve(np.eye(3) + loads * self._seen_by_load, self._unloaded)
        everything = self._fixed - loads * (self._by_load_current @ load_voltage)
        return everything[:, :24], everything[:, 24:]


class Machines:
    """Two synchronous machines with governors, and the secondary control that they share.

    With speed w as a per-unit deviation, angle d, governor power g and secondary power s:
    dd/dt = 2 pi f0 w; 2H dw/dt = Pm + g - Pe - D w; Tg dg/dt = s - w / R - g; ds/dt = -K mean(w),
    powers per unit of a machine's rating; semi-implicit Euler with steps of `step` seconds. They start
    in step and in balance with `coupling`, the (2, 2) admittance between them.
    """

    def __init__(self, grid: GridParameters, coupling: Complexes, step: float, angle: float = 0.0) -> None:
        self._grid = grid
        self._step = step
        self._scale = (grid.source_voltage * grid.phase_voltage) ** 2 / grid.machine_rating
        self._angle = [angle, angle]
        self._speed = [0.0, 0.0]
        self._governor = [0.0, 0.0]
        self._secondary = 0.0
        self._mechanical = self._electrical(*self._real_terms(coupling[None])[0])

    def run(self, coupling: Complexes) -> Floats:
        """(n, 2) rotor angles in radians at the next n steps, for the admittances `coupling` (n, 2, 2)."""
        grid, step = self._grid, self._step
        turn = 2 * math.pi * grid.frequency * step
        angle, speed, governor = self._angle, self._speed, self._governor
        angles = np.empty((len(coupling), 2))
        for row, terms in enumerate(self._real_terms(coupling)):
            angles[row] = angle
            electrical = self._electrical(*terms)
            self._secondary -= grid.secondary_gain * step * (speed[0] + speed[1]) / 2
            for i in (0, 1):
                wanted = self._secondary - speed[i] / grid.droop
                governor[i] += step / grid.governor_time * (wanted - governor[i])
                surplus = self._mechanical[i] + governor[i] - electrical[i] - grid.damping * speed[i]
                speed[i] += step / (2 * grid.inertia) * surplus
                angle[i] += turn * speed[i]
        return angles

    def _real_terms(self, coupling: Complexes) -> Sequence[tuple[float, ...]]:
        """Own conductances, then mutual conductances and susceptances, per unit, as plain floats: the
        equations of motion are a loop, and arrays of two are slow."""
        scaled = coupling * self._scale
        own = scaled[:, (0, 1), (0, 1)].real
        mutual = scaled[:, (0, 1), (1, 0)]
        terms: list[tuple[float, ...]] = np.concatenate([own, mutual.real, mutual.imag], axis=1).tolist()
        return terms

    def _electrical(
        self, g11: float, g22: float, g12: float, g21: float, b12: float, b21: float
    ) -> tuple[float, float]:
        """Per-unit power of both machines: P_i = |E|^2 (g_ii + g_ij cos(d_j - d_i) - b_ij sin(d_j - d_i))."""
        lead = self._angle[1] - self._angle[0]
        cosine, sine = math.cos(lead), math.sin(lead)
        return g11 + g12 * cosine - b12 * sine, g22 + g21 * cosine + b21 * sine


def three_phase(one: complex, zero: complex) -> Complexes:
    """(3, 3) phase matrix of a balanced element from its positive (= negative) and zero sequence values."""
    return _FROM_SEQUENCES @ np.diag([zero, one, one]) @ _TO_SEQUENCES


def sequences(phases: Complexes) -> Complexes:
    """Positive, negative and zero sequence, in this order, of phasors whose last axis is A, B, C."""
    a, b, c = phases[..., 0], phases[..., 1], phases[..., 2]
    positive = (a + _TURN * b + _TURN**2 * c) / 3
    negative = (a + _TURN**2 * b + _TURN * c) / 3
    return np.stack([positive, negative, (a + b + c) / 3], axis=-1)
