"""One block in progress: what several quantities need of it, computed once, when the first asks."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from gridtop.blocks import DOUBTFUL, Block, Flags, Floats, Quality
from gridtop.quantities.layout import Index, Layout
from gridtop.quantities.phasors import Phasors

_HALF_ROOT_3 = 0.5 * 3.0**0.5


class Work:
    """The phasors of one block of n frames, by terminal (T) and phase or sequence; time is the last axis.

    Phasors of what is not measured are NaN. Phases are in the order A, B, C, sequences +, -, 0.
    """

    def __init__(self, layout: Layout, block: Block) -> None:
        self.layout = layout
        self.time: npt.NDArray[np.int64] = block.time.astype("datetime64[ns]", copy=False).view(np.int64)
        self.row = block.row
        self._values, self._quality = block.values, block.quality

    def __len__(self) -> int:
        return len(self.time)

    def column(self, columns: Index) -> Floats:
        """(..., n) the values of columns, NaN for column -1."""
        taken = self._values.T[columns]
        if (columns < 0).any():
            taken[columns < 0] = np.nan
        return taken

    @cached_property
    def trusted(self) -> Work:
        """The same block with doubtful values missing: what a window remembers."""
        return self._without(DOUBTFUL)

    @cached_property
    def trusted_locally(self) -> Work:
        """The same, but with angles of a clock that runs wrong: a terminal's own angles stay comparable."""
        return self._without(DOUBTFUL & ~Quality.UNSYNCHRONISED)

    def _without(self, flags: Quality) -> Work:
        quality: Flags | None = self._quality
        if quality is None or not (doubtful := quality & np.uint16(flags)).any():
            return self
        work = Work.__new__(Work)
        work.layout, work.time, work.row = self.layout, self.time, self.row
        work._values, work._quality = np.where(doubtful, np.nan, self._values), None
        return work

    @cached_property
    def voltage(self) -> Phasors:
        """(T, 3, n) phase voltages in V, line to neutral."""
        return self._phasors(self.layout.voltage)

    @cached_property
    def current(self) -> Phasors:
        """(T, 3, n) phase currents in A, positive into the line."""
        return self._into_line(self._phasors(self.layout.current))

    @cached_property
    def measured_voltage_sequences(self) -> Phasors:
        """(T, 3, n) the sequences as the device reports them, in V."""
        return self._phasors(self.layout.voltage_sequences)

    @cached_property
    def measured_current_sequences(self) -> Phasors:
        """(T, 3, n) the sequences as the device reports them, in A, positive into the line."""
        return self._into_line(self._phasors(self.layout.current_sequences))

    @cached_property
    def voltage_sequences(self) -> Phasors:
        """(T, 3, n) V1, V2, V0 of the three phases by Fortescue; as measured where there are none."""
        return self._sequences(self.voltage, self.layout.voltage, lambda: self.measured_voltage_sequences)

    @cached_property
    def current_sequences(self) -> Phasors:
        """(T, 3, n) I1, I2, I0 of the three phases by Fortescue; as measured where there are none."""
        return self._sequences(self.current, self.layout.current, lambda: self.measured_current_sequences)

    @cached_property
    def frequency(self) -> Floats:
        """(T, n) frequency in Hz."""
        return self.column(self.layout.frequency)

    def _phasors(self, columns: Index) -> Phasors:
        magnitude = self.column(columns[0])
        scale = self.layout.scale(columns[0])
        if (scale != 1.0).any():
            magnitude = magnitude * scale
        return Phasors.polar(magnitude, self.column(columns[1]))

    def _into_line(self, current: Phasors) -> Phasors:
        out = [
            self.layout.site.terminal(name).ct_direction == "out_of_line" for name in self.layout.terminals
        ]
        if not any(out):
            return current
        return current * np.where(out, -1.0, 1.0).reshape(-1, 1, 1)

    def _sequences(self, phases: Phasors, columns: Index, measured: object) -> Phasors:
        rotations = [
            -1.0 if self.layout.site.terminal(name).rotation == "ACB" else 1.0
            for name in self.layout.terminals
        ]
        computed = fortescue(phases, np.array(rotations).reshape(-1, 1))
        lacking = (columns < 0).any(axis=(0, 2))
        if not lacking.any():
            return computed
        assert callable(measured)
        reported: Phasors = measured()
        chosen = lacking.reshape(-1, 1, 1)
        return Phasors(np.where(chosen, reported.re, computed.re), np.where(chosen, reported.im, computed.im))


def fortescue(phases: Phasors, rotation: Floats | float = 1.0) -> Phasors:
    """(..., 3, n) positive, negative and zero sequence of (..., 3, n) phases A, B, C.

    V1 = (Va + a Vb + a² Vc) / 3, V2 = (Va + a² Vb + a Vc) / 3, V0 = (Va + Vb + Vc) / 3 with
    a = 1 ∠ 120°; `rotation` is -1 where the phases follow each other as A, C, B.
    Source: C. L. Fortescue, Method of symmetrical co-ordinates, AIEE 1918.
    """
    a, b, c = (phases[..., i, :] for i in range(3))
    total, apart = b + c, b - c
    # a Vb + a² Vc = -(Vb + Vc) / 2 + j (√3 / 2) (Vb - Vc)
    turned = Phasors(-apart.im * _HALF_ROOT_3 * rotation, apart.re * _HALF_ROOT_3 * rotation)
    mean = a - total * np.float64(0.5)
    sequences = ((mean + turned), (mean - turned), (a + total))
    return Phasors(
        np.stack([s.re for s in sequences], axis=-2) / 3.0, np.stack([s.im for s in sequences], axis=-2) / 3.0
    )
