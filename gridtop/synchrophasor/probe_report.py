"""A probe's result for people, as lines, and for programs, as plain values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gridtop.synchrophasor.examination import Examination, Spread
from gridtop.synchrophasor.pmu_findings import Finding
from gridtop.synchrophasor.pmus import Configuration, Pmu
from gridtop.synchrophasor.status import describe_status, describe_time_quality
from gridtop.text import clean

_MOST_STATIONS = 8
"""PMUs whose values are shown; the others are in --json."""
_MOST_WORDS = 5
"""Different STAT words of one PMU that are shown."""


def report(examination: Examination, findings: Sequence[Finding]) -> Iterator[str]:
    """The lines of a report."""
    seen, configuration = examination.observation, examination.configuration
    pmus = configuration.pmus
    yield f"{seen.way} id {seen.idcode}: {_count(len(pmus), 'PMU')}, {_stated_rate(configuration)}"
    yield f"header: {clean(seen.header)}" if seen.header is not None else "header: none"
    detailed = (seen.detailed or configuration).pmus
    yield ""
    for pmu in pmus[:_MOST_STATIONS]:
        yield _about(pmu)
    yield from _more(pmus)
    yield ""
    yield from _timing(examination)
    yield ""
    for i, pmu in enumerate(pmus[:_MOST_STATIONS]):
        yield from _status_lines(pmu, examination.status[i])
    yield from _more(pmus)
    for byte, frames in sorted(examination.time_quality.items()):
        if said := describe_time_quality(byte):
            yield f"time quality 0x{byte:02X} in {_count(frames, 'frame')}: {', '.join(said)}"
    yield ""
    yield f"first values, measured at {_instant(examination)} UTC"
    for i, pmu in enumerate(pmus[:_MOST_STATIONS]):
        fuller = detailed[i] if len(detailed) == len(pmus) else pmu
        yield from _values(examination, i, fuller)
    yield from _more(pmus)
    yield ""
    problems = sum(finding.weight == "problem" for finding in findings)
    yield f"{_count(problems, 'problem')} found" if problems else "no problem found"
    for finding in findings:
        yield f"{finding.weight}: {finding.what}"
        yield f"  what to do: {finding.todo}"


def as_dict(examination: Examination, findings: Sequence[Finding]) -> dict[str, Any]:
    """The same as plain values for JSON; None stands for what is not there."""
    seen, counts = examination.observation, examination.counts
    return {
        "ok": True,
        "address": str(seen.way),
        "id": seen.idcode,
        "header": clean(seen.header) if seen.header is not None else None,
        "rate": {
            "stated": counts.stated,
            "seen": _plain(counts.rate),
            "by_times": _plain(1 / counts.step) if counts.step else None,
        },
        "time_base": examination.configuration.time_base,
        "cfg3": seen.detailed is not None,
        "frames": {
            "received": counts.received,
            "expected": counts.expected,
            "missing": counts.missing,
            "completeness": _plain(counts.completeness),
            "repeated": counts.repeated,
            "out_of_order": counts.out_of_order,
            "damaged": seen.bad_crc,
            "misfitting": seen.misfits,
            "stray_bytes": seen.skipped,
        },
        "pauses": [{"begin": pause.begin, "seconds": pause.seconds} for pause in examination.pauses],
        "latency_s": _spread(examination.latency),
        "jitter_s": _spread(examination.jitter),
        "bits_per_second": _plain(examination.bits_per_second),
        "first_time": f"{_instant(examination)}Z",
        "time_quality": {f"0x{byte:02X}": n for byte, n in sorted(examination.time_quality.items())},
        "pmus": [_pmu_dict(examination, i) for i in range(len(examination.configuration.pmus))],
        "findings": [
            {"code": each.code, "weight": each.weight, "what": each.what, "todo": each.todo}
            for each in findings
        ],
    }


def _about(pmu: Pmu) -> str:
    bits = sum(bin(word.valid).count("1") for word in pmu.digitals)
    numbers = "float" if pmu.float_phasors else "16-bit"
    shape = "polar" if pmu.polar else "rectangular"
    return (
        f"{_name(pmu)} (id {pmu.idcode}): {_count(len(pmu.phasors), 'phasor')} ({shape}, {numbers}), "
        f"{_count(len(pmu.analogs), 'analog value')}, {_count(bits, 'digital input')}; "
        f"{pmu.nominal_frequency:g} Hz; configuration changed {_count(pmu.change_count, 'time')}"
    )


def _timing(examination: Examination) -> Iterator[str]:
    seen, counts = examination.observation, examination.counts
    yield (
        f"frames      {counts.received} in {examination.seconds:.1f} s, {_rate(counts.rate)} a second; "
        f"complete {100 * counts.completeness:.1f} %"
    )
    yield (
        f"            {counts.missing} missing, {counts.repeated} repeated, {counts.out_of_order} out of "
        f"order, {seen.bad_crc} damaged, {seen.skipped} bytes skipped"
    )
    latency, jitter = examination.latency, examination.jitter
    yield (
        f"latency     {_ms(latency.median)} (least {_ms(latency.least)}, most {_ms(latency.most)}), if both "
        "clocks are right"
    )
    yield f"jitter      95 % within {_ms(jitter.p95)} of that, most {_ms(jitter.most)}"
    yield f"bandwidth   {examination.bits_per_second / 1000:.1f} kbit/s"


def _status_lines(pmu: Pmu, words: Counter[int]) -> Iterator[str]:
    for word, frames in words.most_common(_MOST_WORDS):
        said = ", ".join(describe_status(word)) or "good"
        yield f"{_name(pmu)}: STAT 0x{word:04X} in {_count(frames, 'frame')}: {said}"
    if len(words) > _MOST_WORDS:
        yield f"{_name(pmu)}: and {len(words) - _MOST_WORDS} other STAT words"


def _values(examination: Examination, index: int, pmu: Pmu) -> Iterator[str]:
    readings, pmus = examination.readings, examination.configuration.pmus
    mine = pmus[index]
    phasor = sum(len(each.phasors) for each in pmus[:index])
    analog = sum(len(each.analogs) for each in pmus[:index])
    word = sum(len(each.digitals) for each in pmus[:index])
    frequency, rocof = float(readings.frequency[0, index]), float(readings.rocof[0, index])
    yield f"{_name(pmu)}  {_number(frequency, 3)} Hz  {_number(rocof, 2)} Hz/s"
    for i, each in enumerate(mine.phasors):
        named = pmu.phasors[i] if i < len(pmu.phasors) else each
        unit = "A" if each.current else "V"
        magnitude, angle = (
            float(readings.magnitude[0, phasor + i]),
            float(readings.angle[0, phasor + i]),
        )
        component = f"  ({named.component})" if named.component else ""
        yield (
            f"  {clean(named.name):<16} {_number(magnitude, 1):>12} {unit} {_number(angle, 2):>8} deg"
            f"{component}"
        )
    for i, value in enumerate(mine.analogs):
        yield f"  {clean(value.name):<16} {_number(float(readings.analog[0, analog + i]), 4):>12}"
    for i, digital in enumerate(mine.digitals):
        bits = int(readings.digital[0, word + i])
        on = [clean(name) for bit, name in enumerate(digital.names) if bits >> bit & 1 and name]
        yield f"  digital word {i + 1}   0x{bits:04X}" + (f": {', '.join(on)}" if on else "")


def _pmu_dict(examination: Examination, index: int) -> dict[str, Any]:
    readings, seen = examination.readings, examination.observation
    pmus = examination.configuration.pmus
    pmu = pmus[index]
    detailed = seen.detailed.pmus if seen.detailed is not None else ()
    fuller = detailed[index] if len(detailed) == len(pmus) else pmu
    phasor = sum(len(each.phasors) for each in pmus[:index])
    analog = sum(len(each.analogs) for each in pmus[:index])
    word = sum(len(each.digitals) for each in pmus[:index])
    return {
        "station": clean(fuller.station),
        "id": pmu.idcode,
        "nominal_frequency": pmu.nominal_frequency,
        "change_count": pmu.change_count,
        "polar": pmu.polar,
        "float_phasors": pmu.float_phasors,
        "float_analogs": pmu.float_analogs,
        "float_frequency": pmu.float_frequency,
        "status": [
            {"word": f"0x{value:04X}", "frames": frames, "says": list(describe_status(value))}
            for value, frames in examination.status[index].most_common()
        ],
        "frequency": _plain(float(readings.frequency[0, index])),
        "rocof": _plain(float(readings.rocof[0, index])),
        "phasors": [
            {
                "name": clean(named.name),
                "unit": "A" if each.current else "V",
                "component": named.component or None,
                "magnitude": _plain(float(readings.magnitude[0, phasor + i])),
                "angle": _plain(float(readings.angle[0, phasor + i])),
            }
            for i, (each, named) in enumerate(zip(pmu.phasors, fuller.phasors, strict=False))
        ],
        "analogs": [
            {"name": clean(each.name), "value": _plain(float(readings.analog[0, analog + i]))}
            for i, each in enumerate(pmu.analogs)
        ],
        "digitals": [
            {
                "names": [clean(name) for name in each.names],
                "normal": each.normal,
                "valid": each.valid,
                "word": int(readings.digital[0, word + i]),
            }
            for i, each in enumerate(pmu.digitals)
        ],
    }


def _more(pmus: Sequence[Pmu]) -> Iterator[str]:
    if len(pmus) > _MOST_STATIONS:
        yield f"... and {len(pmus) - _MOST_STATIONS} more (--json shows all)"


def _stated_rate(configuration: Configuration) -> str:
    rate = configuration.data_rate
    if not rate:
        return "no rate stated"
    return f"{rate} frames a second stated" if rate > 0 else f"a frame in {-rate} s stated"


def _name(pmu: Pmu) -> str:
    return clean(pmu.station) or "(no name)"


def _instant(examination: Examination) -> str:
    return str(examination.readings.time[0].astype("datetime64[us]"))


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "--"


def _rate(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "--"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if abs(seconds) < 10 else f"{seconds:.4g} s"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _spread(spread: Spread) -> dict[str, float | None]:
    return {
        "least": _plain(spread.least),
        "median": _plain(spread.median),
        "p95": _plain(spread.p95),
        "most": _plain(spread.most),
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
