"""The two machines that feed the testbed: their swing, their governors and the secondary control."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gridtop.simulation.network import Complexes, Floats, GridParameters


class Machines:
    """Two synchronous machines with governors, and the secondary control that they share.

    With speed w as a per-unit deviation, angle d, governor power g and secondary power s:
    dd/dt = 2 pi f0 w; 2H dw/dt = Pm + g - Pe - D w; Tg dg/dt = s - w / R - g; ds/dt = -K mean(w),
    powers per unit of a machine's rating; semi-implicit Euler with steps of `step` seconds. They start
    at one speed and in balance with `coupling`, the (2, 2) admittance between them.
    """

    def __init__(self, grid: GridParameters, coupling: Complexes, step: float, angle: float = 0.0) -> None:
        self._grid = grid
        self._step = step
        self._scale = (grid.source_voltage * grid.phase_voltage) ** 2 / grid.machine_rating
        self._angle = [angle, angle - math.radians(grid.transfer_angle)]
        self._speed = [0.0, 0.0]
        self._governor = [0.0, 0.0]
        self._secondary = 0.0
        self._mechanical = self._electrical(*self._real_terms(coupling[None])[0])

    def run(self, coupling: Complexes, drive: Floats | None = None, damping: Floats | None = None) -> Floats:
        """(n, 2) rotor angles in radians at the next n steps, for the admittances `coupling` (n, 2, 2).

        `drive` (n, 2) is mechanical power on top of what the governors give, per unit of a machine;
        `damping` (n,) takes the place of the grid's own.
        """
        grid, step = self._grid, self._step
        turn = 2 * math.pi * grid.frequency * step
        angle, speed, governor = self._angle, self._speed, self._governor
        angles = np.empty((len(coupling), 2))
        extra = [(0.0, 0.0)] * len(coupling) if drive is None else drive.tolist()
        dampings = [grid.damping] * len(coupling) if damping is None else damping.tolist()
        for row, terms in enumerate(self._real_terms(coupling)):
            angles[row] = angle
            electrical = self._electrical(*terms)
            self._secondary -= grid.secondary_gain * step * (speed[0] + speed[1]) / 2
            for i in (0, 1):
                wanted = self._secondary - speed[i] / grid.droop
                governor[i] += step / grid.governor_time * (wanted - governor[i])
                power = self._mechanical[i] + extra[row][i] + governor[i]
                surplus = power - electrical[i] - dampings[row] * speed[i]
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
