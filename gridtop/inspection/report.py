"""What was found, for people: a few lines on each subject."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from gridtop.channels import Channel
from gridtop.inspection.findings import Findings
from gridtop.inspection.guessing import Guess
from gridtop.inspection.nominal import volts
from gridtop.inspection.status_words import meaning_of
from gridtop.inspection.time_columns import TimeSurvey
from gridtop.text import clean

_MOST_NAMES = 8
_MOST_LINES = 12
_FIGURES = re.compile(r"[-+]?[0-9][0-9.,e]*")


def report(findings: Findings) -> list[str]:
    """The report, line by line, without line ends."""
    survey = findings.survey
    size = survey.path.stat().st_size
    lines = [
        f"{clean(survey.path.name)}: {survey.kind}, {_size(size)}, {survey.rows:,} rows, "
        f"{len(survey.columns):,} columns",
    ]
    if survey.given_names is not None:
        lines.append("no line with names: the names of the columns are made up here")
    if len(survey.sample) < survey.rows:
        lines.append(
            f"medians and all about pairs of channels: from {len(survey.sample):,} rows, evenly spread"
        )
    sections = {
        "time": _time(findings),
        "channels": _channels(findings),
        "values": _values(findings.guesses),
        "defects": _defects(findings),
        "labels": _labels(findings.guesses),
        "status words": _status(findings.guesses),
        "likely nominal values": _nominal(findings),
        "buses, lines and CT direction": _lines(findings),
        "impedance scale": _impedance(findings),
    }
    for title, content in sections.items():
        if content:
            lines += ["", f"{title}", *(f"  {line}" for line in content)]
    return lines


def _time(findings: Findings) -> list[str]:
    survey = findings.survey
    time = survey.time
    if time is None:
        if survey.rate:
            return [f"no dates; {survey.rate:g} frames/s as the file says"]
        return ["none: the rows carry no time and are replayed by number"]
    lines = [f"{_quoted(time.name)}: {time.why}, {_instant(time.first)} to {_instant(time.last)} UTC"]
    if time.median_step > 0:
        lines.append(_rate(time))
    if time.gaps and time.regular:
        lines.append(
            f"{time.gaps:,} gaps, the longest {time.longest:.4g} s before row {time.longest_row + 1:,}"
        )
    if not time.usable:
        told = {"repeats": time.repeats, "runs backwards": time.backward, "cannot be read": time.unreadable}
        shown = ", ".join(f"{what} in {count:,} rows" for what, count in told.items() if count)
        lines.append(f"{shown}: not usable, rows are replayed by number")
    lines += [
        f"{_quoted(survey.columns[other.position].name)} holds a time as well ({other.why})"
        for other in survey.other_times[:3]
    ]
    return lines


def _rate(time: TimeSurvey) -> str:
    spread = f"5 % to 95 %: {_seconds(time.q05_step)} to {_seconds(time.q95_step)}"
    if time.regular:
        return f"{1 / time.mean_step:.4g} frames/s: step {_seconds(time.median_step)}, {spread}"
    return (
        f"irregular: step {_seconds(time.median_step)} (median), {spread}, longest {_seconds(time.longest)}; "
        f"{1 / time.mean_step:.4g} frames/s in the mean"
    )


def _channels(findings: Findings) -> list[str]:
    by_quantity: dict[str, dict[str, list[Channel]]] = defaultdict(lambda: defaultdict(list))
    for guess in findings.guesses:
        if (channel := guess.channel) is not None:
            by_quantity[channel.quantity][channel.terminal].append(channel)
    lines: list[str] = []
    for quantity, terminals in sorted(by_quantity.items(), key=lambda item: item[0] == "other"):
        count = sum(len(found) for found in terminals.values())
        # Terminals that measure the same are told together.
        alike: dict[str, list[str]] = defaultdict(list)
        for terminal, found in terminals.items():
            alike[_parts(found)].append(clean(terminal, 40))
        places = "; ".join(
            (f"at {_some(names)}" if any(names) else "at no terminal") + (f": {phases}" if phases else "")
            for phases, names in alike.items()
        )
        if quantity == "other":
            lines += _unexplained(findings.guesses)
        else:
            lines.append(f"{quantity} ({count}) {places}")
    ignored = [guess for guess in findings.guesses if guess.meaning.ignore]
    lines += [
        f"left out: {_quoted(guess.column.name)}: {'; '.join(guess.why)}" for guess in ignored[:_MOST_LINES]
    ]
    if len(ignored) > _MOST_LINES:
        lines.append(f"left out: {len(ignored) - _MOST_LINES} more")
    return lines


def _parts(channels: Sequence[Channel]) -> str:
    """The phases that channels measure, and whether as phasors: `A B C, magnitudes and angles`."""
    phases = " ".join(dict.fromkeys(channel.phase for channel in channels if channel.phase))
    parts = {channel.part for channel in channels}
    told = ("magnitudes and angles" if len(parts) > 1 else "angles") if "angle" in parts else ""
    return ", ".join(part for part in (phases, told) if part)


def _unexplained(guesses: Sequence[Guess]) -> Iterator[str]:
    """The columns that stay without a meaning, by what is known of them all the same."""
    by_reason: dict[str, list[Guess]] = defaultdict(list)
    for guess in guesses:
        if guess.channel is not None and guess.channel.quantity == "other":
            by_reason[_FIGURES.sub("", guess.why[-1])].append(guess)
    for members in by_reason.values():
        names = [guess.column.name for guess in members]
        yield f"without a meaning ({len(names)}): {_some(names)}: {clean(members[0].why[-1])}"


def _values(guesses: Sequence[Guess]) -> list[str]:
    """By quantity, unit and reason: range and how the unit was found."""
    groups: dict[tuple[str, str, str], list[Guess]] = defaultdict(list)
    for guess in guesses:
        channel = guess.channel
        if channel is None or channel.quantity in ("other", "log", "status") or guess.column.numbers is None:
            continue
        quantity = f"{channel.quantity} {channel.part}" if channel.part == "angle" else channel.quantity
        if channel.phase in ("-", "0"):
            quantity += f" {channel.phase}"
        # One line for all whose reasons differ in figures only.
        reason = _FIGURES.sub("", guess.why[-1] if guess.why else "")
        groups[(quantity, guess.meaning.unit or channel.unit, reason)].append(guess)
    lines = []
    for (quantity, unit, _), members in list(groups.items())[: 2 * _MOST_LINES]:
        numbers = [guess.column.numbers for guess in members if guess.column.numbers is not None]
        least, most = min(n.least for n in numbers), max(n.most for n in numbers)
        middle = sorted(n.median for n in numbers)[len(numbers) // 2]
        doubt = ", unsure" if any(guess.sure == "unsure" for guess in members) else ""
        lines.append(
            f"{quantity} in {unit or '?'}: {least:.6g} to {most:.6g}, median {middle:.6g} "
            f"({_some([guess.column.name for guess in members], 2)}: {clean(members[0].why[-1])}{doubt})"
        )
    if len(groups) > 2 * _MOST_LINES:
        lines.append(f"and {len(groups) - 2 * _MOST_LINES} more kinds")
    return lines


def _defects(findings: Findings) -> list[str]:
    lines = []
    columns = findings.survey.columns
    for what in ("missing", "unreadable", "infinite"):
        shares = {
            column.name: getattr(column.numbers, what) / max(1, column.numbers.rows)
            for column in columns
            if column.numbers is not None and getattr(column.numbers, what)
        }
        if shares:
            worst = sorted(shares, key=lambda name: -shares[name])
            shown = ", ".join(f"{_quoted(name)} {_share(shares[name])}" for name in worst[:4])
            lines.append(f"{what} cells in {len(shares)} columns: {shown}{_more(len(worst) - 4)}")
    constant = [column for column in columns if column.numbers is not None and column.numbers.constant]
    if constant:
        lines.append(f"constant ({len(constant)}): {_some([column.name for column in constant])}")
    empty = [c.name for c in columns if c.numbers is not None and not c.numbers.values]
    if empty:
        lines.append(f"without a number ({len(empty)}): {_some(empty)}")
    if findings.duplicates:
        shown = "; ".join(
            " = ".join(_quoted(name) for name in group[:4]) for group in findings.duplicates[:4]
        )
        lines.append(f"the same in every row: {shown}{_more(len(findings.duplicates) - 4)}")
    twice = [name for name, count in Counter(column.name for column in columns).items() if count > 1]
    if twice:
        lines.append(f"names used more than once: {_some(twice)}")
    for found, told in ((findings.codes, "is an error code"), (findings.suspects, "may be an error code")):
        for position, codes in list(found.items())[:_MOST_LINES]:
            shown = ", ".join(f"{code:g}" for code in codes)
            lines.append(f"{_quoted(columns[position].name)}: {shown} {told}")
    return lines


def _labels(guesses: Sequence[Guess]) -> list[str]:
    lines = []
    for guess in guesses:
        if guess.meaning.quantity != "label":
            continue
        counts: Iterable[tuple[object, int]] = ()
        if guess.column.texts is not None and guess.column.texts.counts is not None:
            counts = guess.column.texts.counts.most_common()
        elif guess.column.numbers is not None and guess.column.numbers.counts is not None:
            counts = sorted(guess.column.numbers.counts.items(), key=lambda item: -item[1])
        told = [f"{_value(value)} {count:,}" for value, count in counts]
        why = f" ({guess.why[0]})" if guess.why else ""
        lines.append(
            f"{_quoted(guess.column.name)}: {', '.join(told[:_MOST_NAMES])}{_more(len(told) - 8)}{why}"
        )
    return lines


def _status(guesses: Sequence[Guess]) -> list[str]:
    """Words of the status columns; breaker positions of 0 and 1 need no explanation."""
    words: Counter[float] = Counter()
    for guess in guesses:
        numbers = guess.column.numbers
        if (
            guess.channel is None
            or guess.channel.quantity != "status"
            or numbers is None
            or not numbers.counts
        ):
            continue
        if set(numbers.counts) <= {0.0, 1.0} and not guess.column.name.endswith(("S", "STAT")):
            continue
        words.update(numbers.counts)
    return [
        f"{_value(word)}: {count:,} times, {meaning_of(word)}"
        for word, count in words.most_common(_MOST_LINES)
    ]


def _nominal(findings: Findings) -> list[str]:
    site = findings.site
    lines = []
    if site.voltage_ll is not None:
        lines.append(f"{volts(site.voltage_ll.value)} line to line: {site.voltage_ll.why}")
        others = sorted({level for level in site.voltages.values() if level != site.voltage_ll.value})
        for level in others[:_MOST_LINES]:
            places = [place for place, own in site.voltages.items() if own == level]
            lines.append(f"{volts(level)} at {_some(places)}: {site.reasons[level]}")
    elif site.levels:
        lines.append(f"names speak of {', '.join(volts(level) for level in site.levels[:6])}")
    if site.frequency is not None:
        lines.append(f"{site.frequency.value:g} Hz: {site.frequency.why}")
    if site.current is not None:
        lines.append(f"{site.current.value:g} A: {site.current.why}")
    return lines


def _lines(findings: Findings) -> list[str]:
    site = findings.site
    lines = [
        f"{' and '.join(clean(name) for name in bus.terminals)} share a bus{_doubt(bus.sure)}: {bus.why}"
        for bus in site.buses
    ]
    for line in site.lines:
        near, far = (clean(end) for end in line.ends)
        lines.append(f"{near} and {far} end one line{_doubt(line.sure)}: {'; '.join(line.why)}")
        if line.directions:
            told = ", ".join(f"{clean(end)} {way.replace('_', ' ')}" for end, way in line.directions.items())
            lines.append(f"  currents count {told}")
        lines += [f"  {text}" for text in _made_of(line.z1, line.z1_error, line.z1_ratio, line.b1)]
    rotations = {
        name: t.rotation for name, t in site.terminals.items() if t.rotation_share == t.rotation_share
    }
    for rotation in sorted(set(rotations.values())):
        lines.append(
            f"rotation {rotation}: {_some([name for name in rotations if rotations[name] == rotation])}"
        )
    return lines


def _made_of(
    z1: complex | None, error: tuple[float, float] | None, ratio: complex | None, b1: float | None
) -> Iterator[str]:
    if z1 is not None and error is not None:
        yield (
            f"z1 {z1.real:.3g} + j{z1.imag:.4g} ohm by regression, "
            f"standard errors {error[0]:.2g} and {error[1]:.2g}"
        )
    if ratio is not None and ratio == ratio:
        yield f"drop over current {ratio.real:.3g} + j{ratio.imag:.4g} ohm, instrument errors included"
    if b1 is not None:
        yield f"b1 {b1 * 1e6:.4g} uS"


def _impedance(findings: Findings) -> list[str]:
    lines = []
    for found in findings.site.impedances[:_MOST_LINES]:
        name = _quoted(findings.survey.columns[found.position].name)
        low, high = found.quartiles
        text = f"{name} is {found.factor:.4g} of V1/I1 (quartiles {low:.4g} to {high:.4g})"
        if found.rescale is not None:
            text += f": constant, so times {found.rescale:g} it is in primary ohms"
        elif not found.constant:
            text += ": not constant, so not V1/I1 in another unit"
        lines.append(text)
    return lines


def _doubt(sure: bool) -> str:
    return "" if sure else " (unsure)"


def _quoted(name: str) -> str:
    return repr(clean(name, 60))


def _some(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    shown = ", ".join(clean(name, 60) or "''" for name in names[:most])
    return f"{shown}{_more(len(names) - most)}"


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _value(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else clean(str(value), 40)


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "under 0.1 %"


def _seconds(step: float) -> str:
    return f"{step * 1e3:.4g} ms" if step < 1 else f"{step:.4g} s"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _instant(time: object) -> str:
    text = str(time)
    return text.rstrip("0").rstrip(".") if "." in text else text
