"""What each column of a recording means, guessed from its name and its values, with the reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from gridtop.channels import Channel
from gridtop.inspection.names import Reading, read_name, reads_like_label
from gridtop.inspection.nominal import match_frequency, match_voltage
from gridtop.inspection.statistics import Numbers
from gridtop.inspection.survey import Column, Survey
from gridtop.inspection.time_columns import is_called_time
from gridtop.naming import ChannelMeaning, base_unit, built_in
from gridtop.text import clean

Sureness = Literal["known", "likely", "unsure"]
_GROUND_TRUTH = {"phase", "spoofed"}
_MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column means, how sure that is, and why.

    `written` is what has to stand under `channels:`, empty where gridtop knows the name by itself.
    """

    column: Column
    meaning: ChannelMeaning
    written: dict[str, Any] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    sure: Sureness = "likely"

    @property
    def channel(self) -> Channel | None:
        """The channel that it becomes; None of a column that is time, a label or left out."""
        if self.meaning.ignore or self.meaning.quantity in ("time", "label"):
            return None
        return self.column.known or self.meaning.channel(self.column.name)


def guess_columns(survey: Survey) -> tuple[Guess, ...]:
    """What every column means, in the order of the file."""
    counted = Counter(column.name for column in survey.columns)
    truth = "marker" in counted
    names = frozenset(counted)
    usable_time = survey.time is not None and survey.time.usable
    guesses: list[Guess] = []
    readings: dict[int, Reading] = {}
    for column in survey.columns:
        guess = _special(survey, column, counted[column.name], truth, usable_time)
        if guess is None and column.known is None:
            readings[column.position] = read_name(column.name, names)
        guesses.append(guess or Guess(column, ChannelMeaning(quantity="other"), sure="unsure"))
    frequency = nominal_frequency(survey, readings)
    several = _places(readings)
    for i, column in enumerate(survey.columns):
        if (reading := readings.get(column.position)) is not None:
            known = _by_scheme(column, frequency)
            guesses[i] = known or _guess(survey, column, reading, frequency, several)
    return tuple(_with_unit_of_phases(guess, guesses) for guess in guesses)


def _with_unit_of_phases(guess: Guess, guesses: Sequence[Guess]) -> Guess:
    """A negative or zero sequence says too little by its size: it is in the unit of the phases beside it."""
    meaning = guess.meaning
    if (
        guess.written
        or meaning.quantity != "voltage"
        or meaning.phase not in ("-", "0")
        or meaning.unit != "V"
    ):
        return guess
    for other in guesses:
        beside = other.meaning
        if beside.terminal == meaning.terminal and beside.phase == "+" and beside.unit in ("kV", "pu"):
            written = meaning.model_dump(exclude_defaults=True) | {"unit": beside.unit}
            return _given(guess.column, written, f"in {beside.unit} as the positive sequence")
    return guess


def nominal_frequency(survey: Survey, readings: dict[int, Reading]) -> float | None:
    """50 or 60 Hz, by the columns that are, or are called, frequencies; None when there are none."""
    medians = []
    for column in survey.columns:
        reading = readings.get(column.position)
        known = column.known.quantity if column.known else built_in(column.name).quantity
        called = known == "frequency" or (reading is not None and reading.quantity == "frequency")
        if called and column.numbers is not None and (found := match_frequency(column.numbers.median)):
            medians.append(found)
    return Counter(medians).most_common(1)[0][0] if medians else None


def _special(survey: Survey, column: Column, same_name: int, truth: bool, usable_time: bool) -> Guess | None:
    """A column that is time, text, a label, a row number, or cannot be used; None for a measurement."""
    time = survey.time
    if column.known is not None:
        known = column.known
        meaning = ChannelMeaning.model_construct(quantity=known.quantity, unit=known.unit)
        return Guess(column, meaning, {}, ("the format says so",), "known")
    if same_name > 1:
        return _ignored(column, f"{same_name} columns have this name; put the header right")
    if time is not None and column.position == time.position:
        if not usable_time:
            return _ignored(column, _time_trouble(survey))
        return _given(column, {"quantity": "time", "unit": time.unit}, time.why, sure="known")
    if column.texts is not None:
        return _text(column)
    if column.numbers is None:
        return _ignored(column, "could not be read")
    if not column.numbers.values:
        why = "holds no number" if column.numbers.unreadable or column.numbers.infinite else "is empty"
        return (
            _ignored(column, why)
            if built_in(column.name).quantity == "other" or column.numbers.unreadable
            else None
        )
    if any(other.position == column.position for other in survey.other_times):
        return _ignored(column, "a second time")
    if is_called_time(column.name):
        return _ignored(column, "is called time, but does not hold a time that runs forward")
    return _label(survey, column, truth)


def _time_trouble(survey: Survey) -> str:
    assert survey.time is not None
    found = {
        "repeats": survey.time.repeats,
        "runs backwards": survey.time.backward,
        "is unreadable": survey.time.unreadable,
    }
    told = ", ".join(f"{what} in {count} row{'s' * (count != 1)}" for what, count in found.items() if count)
    return f"time {told}: replayed by row number"


def _text(column: Column) -> Guess:
    assert column.texts is not None
    if column.texts.of_day:
        return _ignored(column, "times of day without a date")
    counts = column.texts.counts
    if counts is None:
        return _ignored(column, "text of more than 64 kinds")
    if not counts:
        return _ignored(column, "is empty")
    kinds = len(counts)
    why = f"text of {kinds} kind{'s' * (kinds != 1)}"
    return _given(column, {"quantity": "label"}, why, sure="known")


def _label(survey: Survey, column: Column, truth: bool) -> Guess | None:
    """Ground truth written as numbers, and numbers that only count the rows."""
    numbers = column.numbers
    assert numbers is not None
    if built_in(column.name).quantity == "label" or (truth and column.name in _GROUND_TRUTH):
        return Guess(column, ChannelMeaning(quantity="label"), {}, ("gridtop knows the name",), "known")
    if built_in(column.name).quantity != "other" or not numbers.whole:
        return None
    counts_rows = numbers.most - numbers.least == numbers.rows - 1 and numbers.rises == numbers.rows - 1
    if (
        counts_rows
        and numbers.rows > 2
        and (column.blank or re.search("index|row|^id$|^n[or]$", column.name, re.I))
    ):
        return _ignored(column, "counts the rows")
    few = numbers.counts is not None and len(numbers.counts) <= _MOST_CLASSES
    if (word := reads_like_label(column.name)) and few:
        lowered = column.name.strip().lower()
        why = "by its name" if word == lowered else f"its name reads like {word!r}"
        return _given(column, {"quantity": "label"}, why)
    if column.blank and few and numbers.whole:
        why = "its header cell is blank and it holds a few whole numbers: perhaps the label"
        return _given(column, {"quantity": "label"}, why, sure="unsure")
    return None


def _by_scheme(column: Column, frequency: float | None) -> Guess | None:
    """A name that gridtop knows by itself; written out only where the values are in another unit."""
    meaning = built_in(column.name)
    if meaning.quantity == "other":
        return None
    numbers = column.numbers
    why = "gridtop knows the name"
    if meaning.quantity == "voltage" and meaning.unit == "V" and numbers is not None and numbers.median > 0:
        unit, reason = _voltage_unit(numbers, frequency, "line_to_neutral")
        if unit in ("kV", "pu") and meaning.phase not in ("-", "0"):
            written = meaning.model_dump(exclude_defaults=True) | {"unit": unit}
            return _given(column, written, reason)
    return Guess(column, meaning, {}, (why,), "known")


def _places(readings: dict[int, Reading]) -> bool:
    """Whether the names of unexplained columns could be those of places: no name says a quantity."""
    return not any(reading.quantity for reading in readings.values())


def _guess(
    survey: Survey, column: Column, reading: Reading, frequency: float | None, only_places: bool
) -> Guess:
    numbers = column.numbers
    assert numbers is not None
    if not reading.quantity and not reading.unit:
        return _by_values(column, numbers, only_places)
    written: dict[str, Any] = {"quantity": reading.quantity or "other"}
    why = [f"{', '.join(repr(clean(word, 30)) for word in dict.fromkeys(reading.because))} in the name"]
    sure: Sureness = "likely"
    unit, reference = reading.unit, ""
    angle = reading.part == "angle" or unit in ("deg", "rad")
    if angle:
        unit, reason = _angle_unit(numbers, unit)
        written["part"] = "angle"
        why.append(reason)
        if written["quantity"] == "other":
            written["quantity"] = "angle"
    elif reading.quantity == "voltage":
        phases = (
            "line_to_line" if len(reading.phase) == 2 else "line_to_neutral" if reading.phase in "ABC" else ""
        )
        if not unit:
            unit, reason = _voltage_unit(numbers, frequency, phases if reading.phase else "")
            why.append(reason)
        nominal = match_voltage(_high(numbers), frequency, (unit,)) if unit in ("V", "kV") else None
        reference = phases if reading.phase else nominal.reference if nominal else ""
        if nominal and not reading.phase:
            told = reference.replace("_", " ")
            why.append(f"{nominal.departure:+.1%} of {nominal.shown} {told}")
            sure = "unsure"
    elif reading.quantity == "frequency" and not unit:
        unit, reason = _frequency_unit(numbers)
        why.append(reason)
        if unit == "mHz":
            written["offset"] = 1e3 * (frequency or 50.0)
            sure = "unsure"
    elif reading.quantity in ("current", "power", "impedance") and not unit:
        unit = {"current": "A", "power": "W", "impedance": "ohm"}[reading.quantity]
        why.append(f"unit not stated: taken as {unit}")
        sure = "unsure" if reading.quantity == "power" else "likely"
    elif reading.quantity == "status" and (numbers.counts is None or not numbers.whole):
        return _by_values(column, numbers, only_places)
    written |= {"unit": unit, "terminal": reading.terminal, "phase": reading.phase, "reference": reference}
    return _given(column, written, *why, sure=sure)


def _by_values(column: Column, numbers: Numbers, only_places: bool) -> Guess:
    """What values say alone: a frequency, an angle that wraps; else the column stays as it is."""
    place = column.name if only_places else ""
    nominal = match_frequency(numbers.median)
    if (
        nominal
        and 0 < numbers.deviation < 0.5
        and numbers.counts is None
        and abs(numbers.median - nominal) < 0.3
    ):
        why = f"median {numbers.median:.2f}, moves by {numbers.deviation:.2g}: a frequency of {nominal:g} Hz"
        return _given(column, {"quantity": "frequency", "unit": "Hz", "terminal": place}, why)
    within = numbers.least >= -181 and numbers.most <= 361 and numbers.most - numbers.least <= 361
    if within and numbers.wraps >= 2 and numbers.counts is None:
        why = f"{numbers.least:.0f} to {numbers.most:.0f}, wraps {numbers.wraps} times: an angle in degrees"
        return _given(column, {"quantity": "angle", "unit": "deg", "terminal": place}, why)
    if re.fullmatch(r"column \d+", column.name) and _is_like_deviation(numbers):
        why = "lies about zero: if it is a deviation in mHz, {quantity: frequency, unit: mHz, offset: 50000}"
        return Guess(column, ChannelMeaning(quantity="other"), {}, (why,), "unsure")
    if only_places and within and numbers.counts is None and numbers.least < 0:
        why = f"within {numbers.least:.0f} and {numbers.most:.0f}: perhaps an angle in degrees"
        return Guess(column, ChannelMeaning(quantity="other"), {}, (why,), "unsure")
    return Guess(column, ChannelMeaning(quantity="other"), {}, ("nothing says what it is",), "unsure")


def _is_like_deviation(numbers: Numbers) -> bool:
    """Interconnected systems stay within +-200 mHz, and move by tens."""
    return numbers.counts is None and abs(numbers.median) < 10 < numbers.q95 - numbers.q05 < 200


def _high(numbers: Numbers) -> float:
    """The usual value while live: the median, or where most rows are dead, the 95 % quantile."""
    return numbers.median if numbers.median > 0.3 * numbers.q95 else numbers.q95


def _voltage_unit(numbers: Numbers, frequency: float | None, reference: str) -> tuple[str, str]:
    value = _high(numbers)
    if 0.8 <= value <= 1.2:
        return "pu", f"median {value:.4g}: per unit"
    if nominal := match_voltage(value, frequency, ("V", "kV"), reference):
        times = " x sqrt(3)" if nominal.reference == "line_to_neutral" else ""
        shown = f"median {value:.6g} {nominal.unit}{times} is {nominal.departure:+.1%} of {nominal.shown}"
        return nominal.unit, shown
    return "V", f"median {value:.4g} fits no standard voltage: taken as V"


def _frequency_unit(numbers: Numbers) -> tuple[str, str]:
    if match_frequency(numbers.median):
        return "Hz", f"median {numbers.median:.3f}"
    if match_frequency(numbers.median / 1e3):
        return "Hz", "taken as Hz"
    if abs(numbers.median) < 500 and numbers.least < 0 < numbers.most:
        return "mHz", "lies about zero: a deviation in mHz"
    return "Hz", "taken as Hz"


def _angle_unit(numbers: Numbers, stated: str) -> tuple[str, str]:
    if stated:
        return stated, f"in {stated}"
    if max(abs(numbers.least), abs(numbers.most)) <= 3.1416 and numbers.counts is None:
        return "rad", "within +-pi"
    return "deg", f"within {numbers.least:.0f} and {numbers.most:.0f}"


def _given(column: Column, written: dict[str, Any], *why: str, sure: Sureness = "likely") -> Guess:
    """A guess with a line of its own under `channels:`; what the host refuses is left out of it."""
    said = {key: value for key, value in written.items() if value not in ("", None)}
    usual = said.get("part") == "magnitude" or base_unit(str(said.get("unit", "")))[0] == "deg"
    if usual:
        said.pop("part", None)
    for leave_out in ((), ("unit",), ("unit", "reference", "phase", "part")):
        attempt = {key: value for key, value in said.items() if key not in leave_out}
        try:
            return Guess(column, ChannelMeaning.model_validate(attempt), attempt, why, sure)
        except ValidationError:
            continue
    return Guess(column, ChannelMeaning(quantity="other"), {}, ("nothing says what it is",), "unsure")


def _ignored(column: Column, why: str) -> Guess:
    return Guess(column, ChannelMeaning(ignore=True), {"ignore": True}, (why,), "known")
