"""What the channels mean electrically: nominal values and which terminals end which line."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gridtop.units import Amperes, Hertz, Volts


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Nominal(_Section):
    """The values that 1.0 per unit stands for."""

    voltage_ll: Volts | None = Field(None, gt=0, description="nominal voltage, line to line, rms")
    voltage_ln: Volts | None = Field(None, gt=0, description="nominal voltage, line to neutral, rms")
    frequency: Hertz = Field(60.0, gt=0, description="nominal frequency")
    current: Amperes | None = Field(None, gt=0, description="nominal current of the instruments")

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


class Line(_Section):
    """A line and the terminals at its two ends."""

    ends: tuple[str, str]


class Site(_Section):
    """The `site:` section."""

    nominal: Nominal = Nominal()
    lines: dict[str, Line] = Field(default_factory=dict)

    def scope(self, terminal: str) -> frozenset[str]:
        """The terminals a place covers: a line's two ends, or the terminal itself."""
        line = self.lines.get(terminal)
        return frozenset(line.ends) if line else frozenset((terminal,))
