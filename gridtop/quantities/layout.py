"""Where everything is: which columns hold which phasor of which terminal, and how the site connects them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gridtop.baseline import Baseline
from gridtop.blocks import Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.site import Line, Site

Index = npt.NDArray[np.intp]
PHASES = ("A", "B", "C")
SEQUENCES = ("+", "-", "0")
EVERYWHERE = "system"

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

        present = set(self.terminals)
        self.lines = {name: line for name, line in site.lines.items() if present.issuperset(line.ends)}
        self.buses = {
            name: tuple(terminal for terminal in terminals if terminal in present)
            for name, terminals in site.terminals_of_buses.items()
        }

    @property
    def rate(self) -> float:
        """Frames per second; 30 where the stream does not say."""
        return self.channels.rate or 30.0

    def ends(self) -> Index:
        """(L, 2) the terminals at the ends of each line."""
        ends = [[self.terminals.index(end) for end in line.ends] for line in self.lines.values()]
        return np.array(ends, dtype=np.intp).reshape(-1, 2)

    def constants(self, of: Callable[[str], float | None]) -> Floats:
        """(T, 1) a number for each terminal, NaN where there is none."""
        numbers = [of(terminal) for terminal in self.terminals]
        return np.array([np.nan if number is None else number for number in numbers]).reshape(-1, 1)

    def line_constants(self, of: Callable[[Line], complex | None]) -> list[complex]:
        """A number for each line, NaN where there is none."""
        numbers = [of(line) for line in self.lines.values()]
        return [complex("nan") if number is None else complex(number) for number in numbers]

    def column(self, quantity: str, terminal: str, phase: str = "", part: str = "value") -> int:
        """The column that holds this, -1 for none."""
        return self._found.get((quantity, terminal, phase, part), -1)

    def scale(self, columns: Index) -> Floats:
        """(..., 1) what the values of columns are multiplied by to be in V or A: 1, or the base of a pu."""
        factors = [self._base(int(column)) for column in columns.ravel()]
        return np.array(factors, dtype=np.float64).reshape(*columns.shape, 1)

    def _base(self, column: int) -> float | None:
        channel = self.channels[column]
        if column < 0 or channel.unit != "pu":
            return 1.0
        of = self.site.rated_current if channel.quantity == "current" else self.site.line_to_neutral
        return of(channel.terminal)

    def _columns(self, quantity: str, phases: Sequence[str], part: str) -> Index:
        rows = [[self.column(quantity, place, phase, part) for phase in phases] for place in self.terminals]
        return np.array(rows, dtype=np.intp).reshape(len(self.terminals), len(phases))

    def _phasors(self, quantity: str, phases: Sequence[str]) -> Index:
        """(2, T, p) the columns of magnitudes and angles."""
        return np.stack([self._columns(quantity, phases, part) for part in ("magnitude", "angle")])


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
