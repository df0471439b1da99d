"""One block in progress: what several quantities need of it, computed once, when the first asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gridtop.blocks import DOUBTFUL, Block, Flags, Floats, Quality
from gridtop.quantities.layout import Index, Layout
from gridtop.quantities.memory import Memory
from gridtop.quantities.phasors import Phasors, fortescue

Result = TypeVar("Result")
DEAD = 0.1
"""Below this share of nominal voltage a bus is dead: an interruption by IEEE 1159."""
IDLE = 0.05
"""Below this share of rated current angles and ratios of currents say nothing."""


class Work:
    """The phasors of one block of n frames, by terminal (T) and phase or sequence; time is the last axis.

    Phasors of what is not measured are NaN. Phases are in the order A, B, C, sequences +, -, 0.
    """

    def __init__(self, layout: Layout, block: Block, memory: Memory | None = None) -> None:
        self.layout = layout
        self._memory = memory or Memory(layout)
        self.time: npt.NDArray[np.int64] = block.time.astype("datetime64[ns]", copy=False).view(np.int64)
        self.row = block.row
        self._values, self._quality = block.values, block.quality
        self._made: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.time)

    def once(self, of: Callable[[Work], Result]) -> Result:
        """What `of` makes of this work, made when it is first asked for: for results that are not here."""
        if of not in self._made:
            self._made[of] = of(self)
        made: Result = self._made[of]
        return made

    def shared(self, kind: Callable[[Layout], Callable[[Work], Result]]) -> Result:
        """What the pass's one `kind`, which may remember, makes of this work.

        Who asks must ask in every block of the pass, so that it remembers the same whoever else asks.
        """
        if kind not in self._made:
            self._made[kind] = self._memory.of(kind)(self)
        made: Result = self._made[kind]
        return made

    @cached_property
    def _by_column(self) -> Floats:
        """(c, n) the values, each channel's together."""
        return np.ascontiguousarray(self._values.T)

    def column(self, columns: Index) -> Floats:
        """(..., n) the values of columns, NaN for column -1."""
        taken = self._by_column[columns]
        if (columns < 0).any():
            taken[columns < 0] = np.nan
        return taken

    def flagged(self, columns: Index, flags: Quality) -> npt.NDArray[np.bool_] | None:
        """(..., n) where values have any of the flags; None when none has."""
        if self._quality is None:
            return None
        seen = (self._quality.T[columns] & np.uint16(flags)) != 0
        seen[columns < 0] = False
        return seen if seen.any() else None

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
        work._made = {}
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
    def positive_voltage(self) -> Phasors:
        """(T, n) V1 in V."""
        return self.voltage_sequences[:, 0]

    @cached_property
    def positive_current(self) -> Phasors:
        """(T, n) I1 in A, positive into the line."""
        return self.current_sequences[:, 0]

    @cached_property
    def voltage_magnitudes(self) -> Floats:
        """(T, 3, n) |V1|, |V2|, |V0| in V."""
        return self.voltage_sequences.magnitude

    @cached_property
    def current_magnitudes(self) -> Floats:
        """(T, 3, n) |I1|, |I2|, |I0| in A."""
        return self.current_sequences.magnitude

    @cached_property
    def dead(self) -> npt.NDArray[np.bool_]:
        """(T, n) where a bus has no voltage to speak of; false where voltage or nominal are unknown."""
        dead: npt.NDArray[np.bool_] = self.voltage_magnitudes[:, 0] < DEAD * self.layout.line_to_neutral
        return dead

    @cached_property
    def idle(self) -> npt.NDArray[np.bool_]:
        """(T, n) where no current to speak of flows; false where current or rating are unknown."""
        idle: npt.NDArray[np.bool_] = self.current_magnitudes[:, 0] < IDLE * self.layout.rated_current
        return idle

    @cached_property
    def frequency(self) -> Floats:
        """(T, n) frequency in Hz; NaN on a dead bus, where a device counts noise."""
        frequency = self.column(self.layout.frequency)
        if (self.layout.voltage_sequences[0, :, 0] >= 0).any() or (self.layout.voltage[0] >= 0).any():
            np.putmask(frequency, self.dead, np.nan)
        return frequency

    @cached_property
    def power(self) -> Phasors:
        """(T, n) P + jQ in W and var, positive into the line; `re` is P, `im` is Q.

        Of three phases, else 3 V1 I1*, else as measured.
        """
        layout = self.layout
        if layout.has_phases.all():
            return self._power_of_phases
        power = self.positive_voltage * self.positive_current.conjugate * np.float64(3.0)
        if layout.has_phases.any():
            phases, of_phases = layout.has_phases, self._power_of_phases
            power.re[phases], power.im[phases] = of_phases.re[phases], of_phases.im[phases]
        if not layout.has_phasors.all():
            without = ~layout.has_phasors
            power.re[without] = self.column(layout.power[0])[without]
            power.im[without] = self.column(layout.power[1])[without]
        return power

    @cached_property
    def _power_of_phases(self) -> Phasors:
        v, i = self.voltage, self.current
        active = v.re * i.re
        active += v.im * i.im
        reactive = v.im * i.re
        reactive -= v.re * i.im
        return Phasors(_over_phases(active), _over_phases(reactive))

    @cached_property
    def apparent_power(self) -> Floats:
        """(T, n) |P + jQ| in VA, or as measured."""
        apparent = self.power.magnitude
        columns = self.layout.power
        measured = ~self.layout.has_phasors & (columns[2] >= 0) & (columns[:2] < 0).any(axis=0)
        if measured.any():
            apparent[measured] = self.column(columns[2])[measured]
        return apparent

    @cached_property
    def impedance(self) -> Phasors:
        """(T, n) V1 / I1 in ohm, NaN without current."""
        ratio = self.positive_voltage / self.positive_current
        np.putmask(ratio.re, self.idle, np.nan)
        np.putmask(ratio.im, self.idle, np.nan)
        return ratio

    @cached_property
    def line_to_line_voltage(self) -> Phasors:
        """(T, 3, n) V_ab, V_bc, V_ca in V."""
        return _between_phases(self.voltage)

    @cached_property
    def phase_loop(self) -> tuple[Phasors, Phasors]:
        """(T, 3, n) voltage and current of the loops AB, BC, CA."""
        return self.line_to_line_voltage, _between_phases(self.current)

    @cached_property
    def ground_loop(self) -> tuple[Phasors, Phasors]:
        """(T, 3, n) voltage and current of the loops A, B, C, the current with k0 3 I0 of the line."""
        residual = self.current_sequences[:, 2] * self.layout.residual_compensation * np.float64(3.0)
        return self.voltage, self.current + residual[:, np.newaxis]

    @cached_property
    def angle_difference(self) -> Floats:
        """(L, n) degrees by which the voltage of a line's first end leads the second's, in (-180, 180]."""
        first, second = self.of_ends(self.positive_voltage)
        return (first * second.conjugate).degrees

    def of_ends(self, phasors: Phasors) -> tuple[Phasors, Phasors]:
        """(L, n) twice: phasors (T, n) at the first and at the second end of each line."""
        first, second = self.layout.ends[:, 0], self.layout.ends[:, 1]
        return phasors[first], phasors[second]

    @cached_property
    def line_voltages(self) -> tuple[Phasors, Phasors]:
        """(L, n) twice: V1 at the first and at the second end."""
        return self.of_ends(self.positive_voltage)

    @cached_property
    def line_currents(self) -> tuple[Phasors, Phasors]:
        """(L, n) twice: I1 at the first and at the second end, each into the line."""
        return self.of_ends(self.positive_current)

    @cached_property
    def series_currents(self) -> tuple[Phasors, Phasors]:
        """(L, n) twice: the same without the charging of the half of the line that is nearer."""
        half = self.layout.line_susceptance * 0.5
        if not half.any():
            return self.line_currents
        # I - j b/2 V; a line whose susceptance is not given has none, whatever its voltage
        charged = half[:, 0] > 0
        series = []
        for voltage, current in zip(self.line_voltages, self.line_currents, strict=True):
            re, im = current.re + voltage.im * half, current.im - voltage.re * half
            if not charged.all():
                re[~charged], im[~charged] = current.re[~charged], current.im[~charged]
            series.append(Phasors(re, im))
        return series[0], series[1]

    @cached_property
    def line_idle(self) -> npt.NDArray[np.bool_]:
        """(L, n) where neither end of a line carries current to speak of."""
        first, second = self.layout.ends[:, 0], self.layout.ends[:, 1]
        idle: npt.NDArray[np.bool_] = self.idle[first] & self.idle[second]
        return idle

    @cached_property
    def line_closed(self) -> npt.NDArray[np.bool_]:
        """(L, n) where both ends of a line carry current to speak of."""
        first, second = self.layout.ends[:, 0], self.layout.ends[:, 1]
        closed: npt.NDArray[np.bool_] = ~(self.idle[first] | self.idle[second])
        return closed

    @cached_property
    def raw_differential(self) -> Phasors:
        """(L, n) the sum of a line's currents without its charging, in A."""
        first, second = self.series_currents
        return first + second

    @cached_property
    def raw_kvl(self) -> Phasors:
        """(L, n) V1 of the first end less that of the second and the drop along the line, in V."""
        first, second = self.line_voltages
        return first - second - self.series_currents[0] * self.layout.line_z1

    @cached_property
    def losses(self) -> Floats:
        """(L, n) the active power that goes into a line and does not come out, in W."""
        first, second = self.of_ends(self.power)
        losses: Floats = first.re + second.re
        return losses

    @cached_property
    def line_power_in(self) -> Floats:
        """(L, n) the active power that goes into a line at either end, in W."""
        first, second = self.of_ends(self.power)
        total: Floats = np.maximum(first.re, 0.0) + np.maximum(second.re, 0.0)
        return total

    @cached_property
    def expected_losses(self) -> Floats:
        """(L, n) 3 R |I|² of the series impedance, in W."""
        first, second = self.series_currents
        expected: Floats = (first - second).squared * (0.75 * self.layout.line_z1.re)
        return expected

    def _phasors(self, columns: Index) -> Phasors:
        magnitude = self.column(columns[0])
        scale = self.layout.scale(columns[0])
        if (scale != 1.0).any():
            magnitude *= scale
        return Phasors.polar(magnitude, self.column(columns[1]))

    def _into_line(self, current: Phasors) -> Phasors:
        direction = self.layout.into_line
        return current if direction is None else current * direction

    def _sequences(self, phases: Phasors, columns: Index, measured: Callable[[], Phasors]) -> Phasors:
        computed = fortescue(phases, self.layout.rotation)
        lacking = (columns < 0).any(axis=(0, 2))
        if lacking.any():
            reported = measured()
            computed.re[lacking], computed.im[lacking] = reported.re[lacking], reported.im[lacking]
        return computed


def _between_phases(phases: Phasors) -> Phasors:
    """(T, 3, n) A - B, B - C, C - A."""
    differences = []
    for part in (phases.re, phases.im):
        difference = np.empty_like(part)
        for i in range(3):
            np.subtract(part[:, i], part[:, (i + 1) % 3], out=difference[:, i])
        differences.append(difference)
    return Phasors(*differences)


def _over_phases(values: Floats) -> Floats:
    total: Floats = values[:, 0] + values[:, 1]
    total += values[:, 2]
    return total
