"""The nominal values there are: standard voltages, frequencies and instrument currents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

# Line-to-line, in V. IEC 60038:2009 tables 1 to 5, and national series of 50 Hz beside them.
IEC_VOLTAGES = (
    400, 690, 1000, 3000, 3300, 6000, 6600, 10e3, 11e3, 15e3, 20e3, 22e3, 30e3, 33e3, 35e3, 66e3,
    110e3, 132e3, 150e3, 220e3, 275e3, 330e3, 380e3, 400e3, 500e3, 750e3,
)  # fmt: skip
# ANSI C84.1-2020 table 1, and IEC 60038 for the systems of 60 Hz.
ANSI_VOLTAGES = (
    208, 240, 480, 600, 2400, 4160, 4800, 6900, 8320, 12e3, 12.47e3, 13.2e3, 13.8e3, 20.78e3, 22.86e3, 23e3,
    24.94e3, 34.5e3, 46e3, 69e3, 115e3, 138e3, 161e3, 230e3, 345e3, 400e3, 500e3, 765e3,
)  # fmt: skip
# IEC 61869-2 clause 5.201 (10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75 and decimals), and IEEE C57.13 table 8.
CT_CURRENTS = tuple(
    sorted({base * scale for scale in (1, 10, 100) for base in (10, 12, 15, 20, 25, 30, 40, 50, 60, 75, 80)})
)
_CLOSE = 0.06
"""ANSI C84.1 service range B ends 5.8 % above nominal and 8.3 % below, where nobody stays for long."""
_VERY_CLOSE = 0.03

Reference = Literal["line_to_line", "line_to_neutral"]


@dataclass(frozen=True, slots=True)
class NominalVoltage:
    """A standard voltage that values fit: `line_to_line` in V, the unit they are in, and how far off."""

    line_to_line: float
    reference: Reference
    unit: str
    departure: float

    @property
    def shown(self) -> str:
        """`230 kV`."""
        return volts(self.line_to_line)


def match_voltage(
    value: float, frequency: float | None, units: tuple[str, ...] = ("V", "kV"), reference: str = ""
) -> NominalVoltage | None:
    """The standard voltage that a usual value stands for; None when there is none within 6 %.

    With a `frequency` of 60 Hz the American series is tried, with 50 Hz the European one, else both. A
    known `reference` excludes the other. The nearest wins; of units the first within 3 %, else again
    the nearest.
    """
    if frequency is None:
        series: tuple[float, ...] = (*IEC_VOLTAGES, *ANSI_VOLTAGES)
    else:
        series = IEC_VOLTAGES if frequency < 55 else ANSI_VOLTAGES
    references: tuple[tuple[Reference, float], ...] = (
        ("line_to_line", 1.0),
        ("line_to_neutral", math.sqrt(3)),
    )
    nearest: list[NominalVoltage] = []
    for unit in units:
        in_volts = value * (1e3 if unit == "kV" else 1.0)
        found = [
            NominalVoltage(float(nominal), name, unit, in_volts * factor / nominal - 1)
            for nominal in series
            for name, factor in references
            if reference in ("", name)
        ]
        nearest.append(min(found, key=lambda one: abs(one.departure)))
        if abs(nearest[-1].departure) < _VERY_CLOSE:
            return nearest[-1]
    best = min(nearest, key=lambda one: abs(one.departure))
    return best if abs(best.departure) < _CLOSE else None


def match_current(value: float) -> float | None:
    """The smallest usual primary current of instrument transformers, in A, that is at least `value`."""
    return next((float(current) for current in CT_CURRENTS if current >= value), None) if value > 5 else None


def match_frequency(value: float) -> float | None:
    """50 or 60 Hz when `value` is within 1.5 Hz of it."""
    return next((nominal for nominal in (50.0, 60.0) if abs(value - nominal) <= 1.5), None)


def volts(value: float) -> str:
    """`230 kV`, `480 V`."""
    return f"{value / 1e3:g} kV" if value >= 1000 else f"{value:g} V"
