"""What the terminals of a recording are to one another, and their nominal values: the `site:` section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gridtop.inspection.guessing import Guess
from gridtop.inspection.line_guess import BusGuess, LineGuess, guess_buses, guess_lines
from gridtop.inspection.names import nominal_in
from gridtop.inspection.nominal import match_current, match_frequency, match_voltage, volts
from gridtop.inspection.phasors import TerminalPhasors, factor_of, terminals_of
from gridtop.inspection.survey import Survey

_CONSTANT = 0.1


@dataclass(frozen=True, slots=True)
class Nominal:
    """A nominal value and the reason for it."""

    value: float
    why: str


@dataclass(frozen=True, slots=True)
class ImpedanceScale:
    """What a terminal's impedance channel says, as a share of V1/I1: `factor`, and its quartiles."""

    position: int
    factor: float
    quartiles: tuple[float, float]

    @property
    def constant(self) -> bool:
        """Whether the factor is one number, and the channel so an impedance in another unit."""
        return self.quartiles[1] - self.quartiles[0] < _CONSTANT * self.factor

    @property
    def rescale(self) -> float | None:
        """What the file's value must be multiplied with to be primary ohms; None where it is right."""
        if not self.constant or abs(self.factor - 1) < 0.05:
            return None
        return float(f"{1 / self.factor:.4g}")


@dataclass(frozen=True, slots=True)
class SiteGuess:
    """Everything the data says about the site; None and empty where it says nothing."""

    frequency: Nominal | None
    voltage_ll: Nominal | None
    current: Nominal | None
    voltages: Mapping[str, float] = field(default_factory=dict)
    """Terminal to its nominal line-to-line voltage in V."""
    reasons: Mapping[float, str] = field(default_factory=dict)
    """Nominal voltage to the reason for it."""
    terminals: Mapping[str, TerminalPhasors] = field(default_factory=dict)
    buses: Sequence[BusGuess] = ()
    lines: Sequence[LineGuess] = ()
    impedances: Sequence[ImpedanceScale] = ()
    levels: Sequence[float] = ()
    """Voltages in V that the names of columns state."""


def guess_site(survey: Survey, guesses: Sequence[Guess]) -> SiteGuess:
    """What the data of a survey says about its site."""
    frequency = _frequency(survey, guesses)
    terminals = terminals_of(survey, guesses)
    voltages, why = _voltages(survey, guesses, frequency.value if frequency else None)
    buses = guess_buses(terminals)
    usual = Counter(voltages.values()).most_common(1)
    return SiteGuess(
        frequency=frequency,
        voltage_ll=Nominal(usual[0][0], why[usual[0][0]]) if usual else None,
        current=_current(survey, guesses),
        voltages=voltages,
        reasons=why,
        terminals=terminals,
        buses=buses,
        lines=guess_lines(terminals, buses),
        impedances=_impedances(survey, guesses, terminals),
        levels=sorted({level for guess in guesses if (level := nominal_in(guess.column.name))}, reverse=True),
    )


def _frequency(survey: Survey, guesses: Sequence[Guess]) -> Nominal | None:
    medians = []
    for guess in guesses:
        channel = guess.channel
        if channel is not None and channel.quantity == "frequency" and guess.column.numbers is not None:
            median = (guess.column.numbers.median * guess.meaning.scale + guess.meaning.offset) * (
                1e-3 if guess.meaning.unit == "mHz" else 1.0
            )
            if not guess.meaning.offset and match_frequency(median):
                medians.append(median)
    if not medians:
        return None
    nominal = match_frequency(float(np.median(medians)))
    several = f"median of {len(medians)} channels" if len(medians) > 1 else "median"
    return Nominal(nominal, f"{several} {np.median(medians):.3f} Hz") if nominal else None


def _voltages(
    survey: Survey, guesses: Sequence[Guess], frequency: float | None
) -> tuple[dict[str, float], dict[float, str]]:
    """Terminal to nominal voltage, and for each voltage why."""
    found: dict[str, Counter[float]] = {}
    why: dict[float, str] = {}
    for guess in guesses:
        channel, position = guess.channel, guess.column.position
        if channel is None or channel.quantity != "voltage" or channel.part == "angle":
            continue
        if channel.unit != "V" or channel.phase in ("-", "0") or position not in survey.sampled:
            continue
        values = survey.values(position) * factor_of(guess)
        values = values[np.isfinite(values)]
        live = values[values > 0.3 * np.max(values, initial=0.0)]
        if not live.size:
            continue
        median = float(np.median(live))
        reference = channel.reference or ("line_to_neutral" if channel.phase in ("A", "B", "C", "+") else "")
        nominal = match_voltage(median, frequency, ("V",), reference)
        if nominal is None:
            continue
        place = channel.terminal or channel.name
        found.setdefault(place, Counter())[nominal.line_to_line] += 1
        times = " x sqrt(3)" if nominal.reference == "line_to_neutral" else ""
        text = f"median {median:,.6g} V{times} is {nominal.departure:+.1%} of {volts(nominal.line_to_line)}"
        why.setdefault(nominal.line_to_line, text)
    return {place: counts.most_common(1)[0][0] for place, counts in found.items()}, why


def _current(survey: Survey, guesses: Sequence[Guess]) -> Nominal | None:
    medians = []
    for guess in guesses:
        channel, numbers = guess.channel, guess.column.numbers
        if channel is None or channel.quantity != "current" or channel.part == "angle" or numbers is None:
            continue
        if channel.unit == "A" and channel.phase not in ("-", "0"):
            medians.append(abs(numbers.median) * factor_of(guess))
    live = [median for median in medians if median > 0.05 * max(medians)]
    if not live:
        return None
    usual = float(np.median(live))
    nominal = match_current(usual)
    why = f"smallest usual CT rating above the median of {usual:.0f} A; the rating plate knows better"
    return Nominal(nominal, why) if nominal else None


def _impedances(
    survey: Survey, guesses: Sequence[Guess], terminals: Mapping[str, TerminalPhasors]
) -> list[ImpedanceScale]:
    found = []
    for guess in guesses:
        channel, position = guess.channel, guess.column.position
        if channel is None or channel.quantity != "impedance" or channel.part == "angle":
            continue
        terminal = terminals.get(channel.terminal)
        voltage = terminal.positive_voltage() if terminal else None
        current = terminal.positive_current() if terminal else None
        if voltage is None or current is None or position not in survey.sampled:
            continue
        size = np.abs(current)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = survey.values(position) * factor_of(guess) / (np.abs(voltage) / size)
            share = share[(size > 0.1 * np.nanmedian(size)) & np.isfinite(share) & (share > 0)]
        if len(share) < 20:
            continue
        low, middle, high = (float(q) for q in np.quantile(share, [0.25, 0.5, 0.75]))
        found.append(ImpedanceScale(position, middle, (low, high)))
    return found
