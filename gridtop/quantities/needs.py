"""What quantities can need of a site and its channels, beyond the phasors of a terminal."""

from __future__ import annotations

from gridtop.quantities.layout import (
    Columns,
    Layout,
    Need,
    phase_currents,
    phase_voltages,
    positive_current,
    positive_voltage,
    power_base,
)


def if_there_is(need: Need) -> Need:
    """The same, but a quantity does without."""

    def optional(layout: Layout, place: str) -> Columns | str:
        found = need(layout, place)
        return () if isinstance(found, str) else found

    return optional


def measured_sequence(quantity: str, sequence: int) -> Need:
    """A sequence component as the device reports it, magnitude and angle; 0, 1, 2 are +, -, 0."""

    def measured(layout: Layout, terminal: str) -> Columns | str:
        columns = layout.voltage_sequences if quantity == "voltage" else layout.current_sequences
        magnitude, angle = columns[:, layout.terminals.index(terminal), sequence]
        if magnitude < 0:
            name = ("positive", "negative", "zero")[sequence]
            return f"{terminal} does not report the {name} sequence of its {quantity}"
        return (int(magnitude), int(angle)) if angle >= 0 else (int(magnitude),)

    return measured


def sequences_twice(layout: Layout, terminal: str) -> Columns | str:
    """The positive sequence both as reported and from three phases, of voltages or of currents."""
    pairs = ((phase_voltages, "voltage"), (phase_currents, "current"))
    found: list[int] = []
    for phases, quantity in pairs:
        computed, reported = phases(layout, terminal), measured_sequence(quantity, 0)(layout, terminal)
        if isinstance(computed, str) or isinstance(reported, str) or len(reported) < 2:
            continue
        found += computed + reported
        for other in (1, 2):
            more = measured_sequence(quantity, other)(layout, terminal)
            found += more if not isinstance(more, str) and len(more) == 2 else ()
    return tuple(found) or f"{terminal} does not give both three phases and their positive sequence"


def power(layout: Layout, terminal: str) -> Columns | str:
    """Active power: of three phases, of the positive sequence, or as measured."""
    return _power(layout, terminal, 0)


def reactive_power(layout: Layout, terminal: str) -> Columns | str:
    """Reactive power, likewise."""
    return _power(layout, terminal, 1)


def apparent_power(layout: Layout, terminal: str) -> Columns | str:
    """Active and reactive power, or apparent power as measured."""
    columns: list[int] = []
    for unit in (0, 1):
        found = _power(layout, terminal, unit)
        if isinstance(found, str):
            column = int(layout.power[2, layout.terminals.index(terminal)])
            return (column,) if column >= 0 else found
        columns += found
    return tuple(dict.fromkeys(columns))


def _power(layout: Layout, terminal: str, unit: int) -> Columns | str:
    for needs in ((phase_voltages, phase_currents), (positive_voltage, positive_current)):
        found = [need(layout, terminal) for need in needs]
        if not any(isinstance(columns, str) for columns in found):
            return tuple(int(column) for columns in found for column in columns)
    column = int(layout.power[unit, layout.terminals.index(terminal)])
    what = ("active power in W", "reactive power in var")[unit]
    return (
        (column,) if column >= 0 else f"{terminal} has neither voltages and currents with angles nor {what}"
    )


def base_of_power(layout: Layout, terminal: str) -> Columns | str:
    """What 1 pu of power is."""
    if power_base(layout.site, terminal) is not None:
        return ()
    return f"the base of power of {terminal} is not given (site.system.base, or nominal voltage and rating)"


def impedance_of_line(layout: Layout, terminal: str) -> Columns | str:
    """The positive-sequence impedance of the line that a terminal ends."""
    line = layout.line_of(terminal)
    known = line is not None and line.z1 is not None
    return () if known else f"the impedance of the line at {terminal} is not given (site.lines.*.z1)"


def zero_impedance_of_line(layout: Layout, terminal: str) -> Columns | str:
    """Both impedances of the line that a terminal ends."""
    line = layout.line_of(terminal)
    known = line is not None and line.z1 is not None and line.z0 is not None
    return () if known else f"the impedances of the line at {terminal} are not given (site.lines.*.z1 and z0)"


def reported_impedance(layout: Layout, terminal: str) -> Columns | str:
    """The impedance that the device reports: its magnitude, and its angle if there is one."""
    magnitude, angle = layout.impedance[:, layout.terminals.index(terminal)]
    if magnitude < 0:
        return f"{terminal} reports no impedance"
    return (int(magnitude), int(angle)) if angle >= 0 else (int(magnitude),)


def bus_of(layout: Layout, terminal: str) -> str | None:
    """The bus at which a terminal measures the voltage."""
    return next((bus for bus, terminals in layout.buses.items() if terminal in terminals), None)


def shared_bus(layout: Layout, terminal: str) -> Columns | str:
    """The positive-sequence voltages of all terminals at its bus, two of them at least."""
    bus = bus_of(layout, terminal)
    if bus is None:
        return f"the bus of {terminal} is not given (site.buses.*.terminals)"
    if layout.site.buses[bus].coupler == "open":
        return f"the coupler of bus {bus} is open"
    found = [positive_voltage(layout, other) for other in layout.buses[bus]]
    if isinstance(own := positive_voltage(layout, terminal), str):
        return own
    others = [columns for columns in found if not isinstance(columns, str)]
    if len(others) < 2:
        return f"no other terminal at bus {bus} measures its voltage"
    return tuple(column for columns in (own, *others) for column in columns)
