"""What the channels mean electrically: nominal values, buses, lines, terminals (docs/site.md)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gridtop.problems import did_you_mean
from gridtop.units import Amperes, Hertz, Metres, Ohms, Siemens, VoltAmperes, Volts, WattsPerHertz

USUAL_FREQUENCY_HZ = 60.0


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Nominal(_Section):
    """The values that 1.0 per unit stands for."""

    voltage_ll: Volts | None = Field(None, gt=0, description="nominal voltage, line to line, rms")
    voltage_ln: Volts | None = Field(None, gt=0, description="nominal voltage, line to neutral, rms")
    frequency: Hertz = Field(USUAL_FREQUENCY_HZ, gt=0, description="nominal frequency")
    current: Amperes | None = Field(
        None, gt=0, description="nominal current of the instruments, where no line gives a rating"
    )

    @model_validator(mode="after")
    def _agree(self) -> Nominal:
        if (
            self.voltage_ll
            and self.voltage_ln
            and not math.isclose(self.voltage_ll, self.voltage_ln * math.sqrt(3), rel_tol=0.01)
        ):
            raise ValueError(
                "voltage_ll must be the square root of 3 times voltage_ln; give only one of them"
            )
        return self

    @property
    def line_to_line(self) -> float | None:
        """Nominal line-to-line voltage in V, whichever of the two was given."""
        return self.voltage_ll or (self.voltage_ln and self.voltage_ln * math.sqrt(3))

    @property
    def line_to_neutral(self) -> float | None:
        """Nominal line-to-neutral voltage in V, whichever of the two was given."""
        return self.voltage_ln or (self.voltage_ll and self.voltage_ll / math.sqrt(3))


class System(_Section):
    """The system the site belongs to."""

    frequency: Hertz | None = Field(None, gt=0, description="nominal frequency; as nominal.frequency")
    base: VoltAmperes | None = Field(
        None, gt=0, description="base of per-unit powers, three-phase: 400 MVA; not a line's rating"
    )
    beta: WattsPerHertz | None = Field(
        None, gt=0, description="frequency response of the interconnection: 1200 MW/Hz"
    )
    power_factor_sign: Literal["load", "generator"] = Field(
        "load",
        description="load: a power factor is positive (lagging) where P and Q flow the same way; "
        "generator: positive (leading) where they flow opposite ways",
    )


class Bus(_Section):
    """Terminals that measure the same voltage."""

    voltage_ll: Volts | None = Field(None, gt=0, description="its nominal voltage, line to line")
    terminals: tuple[str, ...] = Field((), description="the terminals whose voltages are measured here")
    coupler: Literal["closed", "open"] = Field(
        "closed", description="open: the halves of the bus are not connected, so voltages are not compared"
    )


class Rating(_Section):
    """What a line may carry."""

    normal: Amperes = Field(gt=0, description="continuously; current_pu counts in it")
    emergency: Amperes | None = Field(None, gt=0, description="for a limited time")

    @model_validator(mode="after")
    def _agree(self) -> Rating:
        if self.emergency is not None and self.emergency < self.normal:
            raise ValueError("emergency: should not be below normal")
        return self


def _rating(value: Any) -> Any:
    return (
        {"normal": value} if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value
    )


class Line(_Section):
    """A line, the terminals at its two ends, and what it is made of."""

    ends: tuple[str, str] = Field(description="the terminals at its two ends")
    z1: Ohms | None = Field(None, description="positive-sequence series impedance of the whole line, ohm")
    z0: Ohms | None = Field(None, description="zero-sequence series impedance of the whole line, ohm")
    b1: Siemens | None = Field(None, ge=0, description="positive-sequence charging of the whole line: 330 uS")
    b0: Siemens | None = Field(None, ge=0, description="zero-sequence charging of the whole line")
    length: Metres | None = Field(None, gt=0, description="100 km")
    rating: Annotated[Rating | None, BeforeValidator(_rating)] = Field(
        None, description="800 A, or {normal: 800 A, emergency: 960 A}"
    )
    angle_limit: float | None = Field(
        None,
        gt=0,
        le=180,
        description="degrees between the ends that the line may have; limits scale with it",
    )

    @model_validator(mode="after")
    def _agree(self) -> Line:
        if self.ends[0] == self.ends[1]:
            raise ValueError(f"ends: both are {self.ends[0]!r}")
        if self.z1 is not None and not abs(self.z1) > 0:
            raise ValueError("z1: a line without impedance has no place for a fault")
        return self


class Terminal(_Section):
    """A measuring point: how it is wired, and how good its instruments are."""

    bus: str | None = Field(None, description="the bus whose voltage it measures; or say it at the bus")
    ct_direction: Literal["into_line", "out_of_line"] = Field(
        "into_line", description="which way a positive current flows"
    )
    vt_class: float | None = Field(
        None, gt=0, le=10, description="accuracy class of the voltage transformers"
    )
    ct_class: float | None = Field(
        None, gt=0, le=10, description="accuracy class of the current transformers"
    )
    rotation: Literal["ABC", "ACB"] = Field("ABC", description="the order of the phases")
    rate: float | None = Field(None, gt=0, description="frames a second that it is set to send")
    breaker: str | None = Field(None, description="the channel of the breaker's log or status")


class Baselines(_Section):
    """Where the commissioning baseline is kept."""

    from_: Path = Field(
        alias="from",
        description="the file that gridtop inspect --learn-baseline wrote, relative to this configuration",
    )


class Site(_Section):
    """The `site:` section. Every part is optional: what lacks its data stays off and says so."""

    nominal: Nominal = Nominal()
    system: System = System()
    buses: dict[str, Bus] = Field(default_factory=dict)
    lines: dict[str, Line] = Field(default_factory=dict)
    terminals: dict[str, Terminal] = Field(default_factory=dict)
    baselines: Baselines | None = None

    @model_validator(mode="after")
    def _agree(self) -> Site:
        given = "frequency" in self.nominal.model_fields_set
        if given and self.system.frequency not in (None, self.nominal.frequency):
            raise ValueError("system: frequency differs from nominal.frequency; give only one of them")
        measured_at: dict[str, str] = {}
        for name, bus in self.buses.items():
            for terminal in bus.terminals:
                if measured_at.setdefault(terminal, name) != name:
                    raise ValueError(f"buses: {terminal} is at {measured_at[terminal]} and at {name}")
        for name, wired in self.terminals.items():
            if wired.bus is None:
                continue
            if wired.bus not in self.buses:
                hint = did_you_mean(wired.bus, self.buses)
                raise ValueError(f"terminals: {name} is at bus {wired.bus!r}, which is not described{hint}")
            if measured_at.get(name, wired.bus) != wired.bus:
                raise ValueError(f"terminals: {name} is at {measured_at[name]} and at {wired.bus}")
        return self

    @property
    def frequency(self) -> float:
        """Nominal frequency in Hz."""
        return self.system.frequency or self.nominal.frequency

    @property
    def terminals_of_buses(self) -> dict[str, tuple[str, ...]]:
        """The terminals at each bus, from both sides of the description."""
        found = {name: list(bus.terminals) for name, bus in self.buses.items()}
        for name, terminal in self.terminals.items():
            if terminal.bus is not None and name not in found[terminal.bus]:
                found[terminal.bus].append(name)
        return {name: tuple(terminals) for name, terminals in found.items()}

    @property
    def places(self) -> frozenset[str]:
        """Everything that has a name: terminals, lines, buses."""
        ends = (end for line in self.lines.values() for end in line.ends)
        at_buses = (name for terminals in self.terminals_of_buses.values() for name in terminals)
        return frozenset((*self.terminals, *self.lines, *self.buses, *ends, *at_buses))

    def terminal(self, name: str) -> Terminal:
        """What is said of a terminal; the usual when nothing is."""
        return self.terminals.get(name, _UNSAID)

    def line_of(self, terminal: str) -> str | None:
        """The line that a terminal ends, None when it ends none."""
        return next((name for name, line in self.lines.items() if terminal in line.ends), None)

    def line_to_line(self, terminal: str) -> float | None:
        """Nominal line-to-line voltage at a terminal in V: its bus's, else the site's."""
        for name, terminals in self.terminals_of_buses.items():
            if terminal in terminals and self.buses[name].voltage_ll:
                return self.buses[name].voltage_ll
        return self.nominal.line_to_line

    def line_to_neutral(self, terminal: str) -> float | None:
        """Nominal line-to-neutral voltage at a terminal in V."""
        voltage = self.line_to_line(terminal)
        return voltage / math.sqrt(3) if voltage else None

    def rated_current(self, terminal: str) -> float | None:
        """What 1 pu of current is at a terminal in A: its line's rating, else the instruments' nominal."""
        line = self.lines.get(self.line_of(terminal) or "")
        return line.rating.normal if line is not None and line.rating is not None else self.nominal.current

    def scope(self, place: str) -> frozenset[str]:
        """The terminals a place covers: a line's two ends, a bus's terminals, or the terminal itself."""
        if line := self.lines.get(place):
            return frozenset(line.ends)
        if place in self.buses:
            return frozenset(self.terminals_of_buses[place]) or frozenset((place,))
        return frozenset((place,))


_UNSAID = Terminal()
UNDESCRIBED = Site()
"""A site of which nothing is said."""
