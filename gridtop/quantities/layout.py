"""Where everything is: which columns hold which phasor of which terminal, and how the site connects them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gridtop.baseline import Baseline
from gridtop.blocks import Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.quantities.phasors import Phasors
from gridtop.site import Line, Site

Index = npt.NDArray[np.intp]
PHASES = ("A", "B", "C")
SEQUENCES = ("+", "-", "0")
POWER_UNITS = ("W", "var", "VA")
EVERYWHERE = "system"

_LINE_TO_NEUTRAL = 1 / math.sqrt(3)
_UNKNOWN = complex("nan+nanj")

Result = TypeVar("Result")
Columns = tuple[int, ...]
Need = Callable[["Layout", str], Columns | str]
"""What a quantity needs at a place: the columns it is found in, or in words why it is not to be had."""


class Layout:
    """The measured channels of a stream in electrical order.

    Arrays of columns have a row for each of `terminals` (T of them); -1 is "not measured". Of two channels
    with one meaning the first counts. Lines are those whose two ends are among the terminals.
    """

    def __init__(
        self,
        channels: ChannelSet,
        site: Site,
        baseline: Baseline | None = None,
        terminals: Sequence[str] | None = None,
    ) -> None:
        self.channels, self.site, self.baseline = channels, site, baseline
        places = dict.fromkeys(channel.terminal for channel in channels if channel.terminal)
        self.terminals = tuple(place for place in places if terminals is None or place in terminals)
        self._found: dict[tuple[str, str, str, str], int] = {}
        for column, channel in enumerate(channels):
            self._found.setdefault(_meaning(channel), column)

        self.voltage = self._phasors("voltage", PHASES)
        self.current = self._phasors("current", PHASES)
        self.voltage_sequences = self._phasors("voltage", SEQUENCES)
        self.current_sequences = self._phasors("current", SEQUENCES)
        self.frequency = self._columns("frequency", ("",), "value")[:, 0]
        self.impedance = self._phasors("impedance", ("",))[:, :, 0]
        self.power = self._power()
        self._scales: dict[bytes, Floats] = {}
        self._made: dict[Any, Any] = {}
        self._factors: dict[str, list[tuple[complex, ...]] | None] = {}

        present = set(self.terminals)
        self.lines = {name: line for name, line in site.lines.items() if present.issuperset(line.ends)}
        self.buses = {
            name: tuple(terminal for terminal in terminals if terminal in present)
            for name, terminals in site.terminals_of_buses.items()
        }

    def once(self, of: Callable[[Layout], Result]) -> Result:
        """What `of` makes of this layout, made when it is first asked for."""
        if of not in self._made:
            self._made[of] = of(self)
        made: Result = self._made[of]
        return made

    @property
    def rate(self) -> float:
        """Frames per second; 30 where the stream does not say."""
        return self.channels.rate or 30.0

    @cached_property
    def ends(self) -> Index:
        """(L, 2) the terminals at the ends of each line."""
        ends = [[self.terminals.index(end) for end in line.ends] for line in self.lines.values()]
        return np.array(ends, dtype=np.intp).reshape(-1, 2)

    @cached_property
    def has_phases(self) -> npt.NDArray[np.bool_]:
        """(T,) whether all three voltages and currents are measured, with angles."""
        return _complete_rows(self.voltage) & _complete_rows(self.current)

    @cached_property
    def has_phasors(self) -> npt.NDArray[np.bool_]:
        """(T,) whether there are V1 and I1: of three phases, or as measured."""
        voltage = _complete_rows(self.voltage) | _complete_rows(self.voltage_sequences[:, :, :1])
        return voltage & (_complete_rows(self.current) | _complete_rows(self.current_sequences[:, :, :1]))

    @cached_property
    def line_to_neutral(self) -> Floats:
        """(T, 1) the nominal voltage line to neutral in V."""
        return self.constants(self.site.line_to_neutral)

    @cached_property
    def rated_current(self) -> Floats:
        """(T, 1) what 1 pu of current is, in A."""
        return self.constants(self.site.rated_current)

    @cached_property
    def power_base(self) -> Floats:
        """(T, 1) what 1 pu of power is, in VA: the system's base, else √3 U_n I_rated."""
        return self.constants(lambda terminal: power_base(self.site, terminal))

    @cached_property
    def rated_power(self) -> Floats:
        """(T, 1) √3 U_n I_rated in VA."""
        return 3.0 * self.line_to_neutral * self.rated_current

    @cached_property
    def line_impedances(self) -> tuple[Phasors, Phasors]:
        """(T, 1) twice: z1 and z0 of the line that each terminal ends."""
        lines = [self.line_of(terminal) for terminal in self.terminals]
        z1 = [line.z1 if line and line.z1 is not None else _UNKNOWN for line in lines]
        z0 = [line.z0 if line and line.z0 is not None else _UNKNOWN for line in lines]
        return Phasors.constants(z1), Phasors.constants(z0)

    @cached_property
    def residual_compensation(self) -> Phasors:
        """(T, 1) k0 = (z0 - z1) / (3 z1) of the line that each terminal ends."""
        z1, z0 = self.line_impedances
        return (z0 - z1) / (z1 * np.float64(3.0))

    @cached_property
    def into_line(self) -> Floats | None:
        """(T, 1, 1) -1 where a positive current flows out of the line; None where it does nowhere."""
        out = [self.site.terminal(name).ct_direction == "out_of_line" for name in self.terminals]
        return np.where(out, -1.0, 1.0).reshape(-1, 1, 1) if any(out) else None

    @cached_property
    def rotation(self) -> Floats | None:
        """(T, 1) -1 where the phases follow each other as A, C, B; None where they do nowhere."""
        reverse = [self.site.terminal(name).rotation == "ACB" for name in self.terminals]
        return np.where(reverse, -1.0, 1.0).reshape(-1, 1) if any(reverse) else None

    def line_of(self, terminal: str) -> Line | None:
        """The line that a terminal ends."""
        return self.site.lines.get(self.site.line_of(terminal) or "")

    def factors(self, channel: str, places: Sequence[str], count: int) -> list[tuple[complex, ...]] | None:
        """The `count` learned factors of a quantity at each place, zeros where none are; None without any."""
        if channel not in self._factors:
            known = [
                self.baseline.of(f"{place}:{channel}", count) if self.baseline else None for place in places
            ]
            none = (0j,) * count
            self._factors[channel] = [found or none for found in known] if any(known) else None
        return self._factors[channel]

    def constants(self, of: Callable[[str], float | None]) -> Floats:
        """(T, 1) a number for each terminal, NaN where there is none."""
        numbers = [of(terminal) for terminal in self.terminals]
        return np.array([np.nan if number is None else number for number in numbers]).reshape(-1, 1)

    def line_constants(self, of: Callable[[Line], complex | None]) -> Phasors:
        """(L, 1) a number for each line, NaN where there is none."""
        numbers = [of(line) for line in self.lines.values()]
        return Phasors.constants([_UNKNOWN if number is None else complex(number) for number in numbers])

    def _of_first_ends(self, of_terminals: Floats) -> Floats:
        return of_terminals[self.ends[:, 0]]

    @cached_property
    def line_z1(self) -> Phasors:
        """(L, 1) the series impedance of each line in ohm."""
        return self.line_constants(lambda line: line.z1)

    @cached_property
    def line_susceptance(self) -> Floats:
        """(L, 1) the charging susceptance of each line in S; 0 where it is not given."""
        return np.nan_to_num(self.line_constants(lambda line: line.b1).re)

    @cached_property
    def line_rating(self) -> Floats:
        """(L, 1) the rated current of each line in A."""
        return self._of_first_ends(self.rated_current)

    @cached_property
    def line_voltage(self) -> Floats:
        """(L, 1) the nominal voltage of each line, line to neutral, in V."""
        return self._of_first_ends(self.line_to_neutral)

    @cached_property
    def line_power_base(self) -> Floats:
        """(L, 1) what 1 pu of power is on each line, in VA."""
        return self._of_first_ends(self.power_base)

    def column(self, quantity: str, terminal: str, phase: str = "", part: str = "value") -> int:
        """The column that holds this, -1 for none."""
        return self._found.get((quantity, terminal, phase, part), -1)

    def scale(self, columns: Index) -> Floats:
        """(..., 1) what the values of columns are multiplied by to be in V or A: 1, or the base of a pu."""
        key = columns.tobytes()
        if key not in self._scales:
            factors = np.array([self._base(int(column)) for column in columns.ravel()], dtype=np.float64)
            self._scales[key] = factors.reshape(*columns.shape, 1)
        return self._scales[key]

    def _base(self, column: int) -> float | None:
        channel = self.channels[column]
        if column < 0:
            return 1.0
        if channel.unit != "pu":
            return _LINE_TO_NEUTRAL if channel.reference == "line_to_line" else 1.0
        of = self.site.rated_current if channel.quantity == "current" else self.site.line_to_neutral
        return of(channel.terminal)

    def _columns(self, quantity: str, phases: Sequence[str], part: str) -> Index:
        rows = [[self.column(quantity, place, phase, part) for phase in phases] for place in self.terminals]
        return np.array(rows, dtype=np.intp).reshape(len(self.terminals), len(phases))

    def _power(self) -> Index:
        """(3, T) the columns of measured active, reactive and apparent power."""
        columns = np.full((len(POWER_UNITS), len(self.terminals)), -1, dtype=np.intp)
        rows = {terminal: row for row, terminal in enumerate(self.terminals)}
        for column, channel in enumerate(self.channels):
            if channel.quantity == "power" and not channel.phase and channel.unit in POWER_UNITS:
                at = POWER_UNITS.index(channel.unit), rows.get(channel.terminal, -1)
                if at[1] >= 0 and columns[at] < 0:
                    columns[at] = column
        return columns

    def _phasors(self, quantity: str, phases: Sequence[str]) -> Index:
        """(2, T, p) the columns of magnitudes and angles."""
        return np.stack([self._columns(quantity, phases, part) for part in ("magnitude", "angle")])


def power_base(site: Site, terminal: str) -> float | None:
    """What 1 pu of power is at a terminal in VA: the system's base, else √3 U_n I_rated."""
    voltage, current = site.line_to_line(terminal), site.rated_current(terminal)
    return site.system.base or (math.sqrt(3) * voltage * current if voltage and current else None)


def _complete_rows(columns: Index) -> npt.NDArray[np.bool_]:
    complete: npt.NDArray[np.bool_] = np.logical_and.reduce(columns >= 0, axis=(0, 2))
    return complete


def _meaning(channel: Channel) -> tuple[str, str, str, str]:
    return channel.quantity, channel.terminal, channel.phase, channel.part


def phase_voltages(layout: Layout, terminal: str) -> Columns | str:
    """Magnitude and angle of the voltages of all three phases."""
    return _complete(layout, layout.voltage, terminal, "the voltages of three phases with angles")


def phase_currents(layout: Layout, terminal: str) -> Columns | str:
    """Magnitude and angle of the currents of all three phases."""
    return _complete(layout, layout.current, terminal, "the currents of three phases with angles")


def _complete(layout: Layout, columns: Index, terminal: str, what: str) -> Columns | str:
    found = columns[:, layout.terminals.index(terminal)].ravel()
    if (found < 0).any():
        return f"{terminal} lacks {what}"
    return tuple(int(column) for column in found)


def positive_voltage(layout: Layout, terminal: str) -> Columns | str:
    """The positive-sequence voltage: of three phases, or as measured."""
    return _sequence(layout, terminal, 0, layout.voltage, layout.voltage_sequences, "voltage")


def positive_current(layout: Layout, terminal: str) -> Columns | str:
    """The positive-sequence current: of three phases, or as measured."""
    return _sequence(layout, terminal, 0, layout.current, layout.current_sequences, "current")


def all_voltage_sequences(layout: Layout, terminal: str) -> Columns | str:
    """Positive, negative and zero sequence of the voltage: of three phases, or as measured."""
    return _sequence(layout, terminal, slice(None), layout.voltage, layout.voltage_sequences, "voltage")


def all_current_sequences(layout: Layout, terminal: str) -> Columns | str:
    """Positive, negative and zero sequence of the current: of three phases, or as measured."""
    return _sequence(layout, terminal, slice(None), layout.current, layout.current_sequences, "current")


def _sequence(
    layout: Layout, terminal: str, which: int | slice, phases: Index, measured: Index, what: str
) -> Columns | str:
    row = layout.terminals.index(terminal)
    for found in (phases[:, row].ravel(), measured[:, row, which].ravel()):
        if (found >= 0).all():
            return tuple(int(column) for column in found)
    one = "the positive sequence of the" if which == 0 else "all sequences of the"
    return f"{terminal} lacks {one} {what} (or its three phases), with angles"


def frequency(layout: Layout, terminal: str) -> Columns | str:
    """The measured frequency."""
    column = int(layout.frequency[layout.terminals.index(terminal)])
    return (column,) if column >= 0 else f"{terminal} has no frequency"


def clock(layout: Layout, place: str) -> Columns | str:
    """Times that are measured and not made up from row numbers."""
    return () if layout.channels.clock == "utc" else "the recording has no times"


def nominal_voltage(layout: Layout, terminal: str) -> Columns | str:
    """What 1 pu of voltage is."""
    known = layout.site.line_to_line(terminal) is not None
    return () if known else f"the nominal voltage of {terminal} is not given (site.nominal.voltage_ll)"


def rated_current(layout: Layout, terminal: str) -> Columns | str:
    """What 1 pu of current is."""
    known = layout.site.rated_current(terminal) is not None
    hint = "site.lines.*.rating or site.nominal.current"
    return () if known else f"the rated current of {terminal} is not given ({hint})"


def at_both_ends(need: Need) -> Need:
    """The same need at both ends of a line."""

    def of_line(layout: Layout, line: str) -> Columns | str:
        found: list[int] = []
        for end in layout.lines[line].ends:
            columns = need(layout, end)
            if isinstance(columns, str):
                return columns
            found += columns
        return tuple(found)

    return of_line


def line_impedance(layout: Layout, line: str) -> Columns | str:
    """The line's positive-sequence impedance."""
    return () if layout.lines[line].z1 is not None else f"site.lines.{line}.z1 is not given"
