"""What is wrong with a PMU that was looked at, and what to do about each thing."""

from __future__ import annotations

from collections.abc import Iterator

from gridtop.synchrophasor.examination import Examination
from gridtop.synchrophasor.frames import TIME_BASE
from gridtop.synchrophasor.pmu_findings import Finding, pmu_findings
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.status import CHANGE
from gridtop.text import clean

SLOW_S = 0.15
"""A latency above this is worth a word: a PMU of class M needs up to 7 frames' time of its own."""
CLOCK_APART_S = 1.0
"""A latency above this is hardly one: the two clocks differ."""
CLOCK_AHEAD_S = 0.02
"""Frames that come so much before their instant come from a clock that is ahead."""
_DAY_S = 86_400.0
_RATE_TOLERANCE = 0.02
_CLOCK_UNSURE = 8
"""From this code of the message's time quality on the clock may be 10 ms off or more."""


def findings(examination: Examination) -> tuple[Finding, ...]:
    """Everything worth saying, problems first."""
    found = [finding for look in _LOOKS for finding in look(examination)]
    return tuple(sorted(found, key=lambda finding: finding.weight != "problem"))


def _line(examination: Examination) -> Iterator[Finding]:
    """What happened between the PMU and here."""
    seen, counts = examination.observation, examination.counts
    if seen.hung_up:
        yield Finding(
            "disconnected",
            "problem",
            f"the connection was closed {examination.seconds:.1f} s after the first frame",
            "look whether another client takes the PMU's only connection, and at its log",
        )
    if examination.pauses:
        longest = max(examination.pauses, key=lambda pause: pause.seconds)
        times = f"{len(examination.pauses)} times, longest" if len(examination.pauses) > 1 else "once,"
        yield Finding(
            "silence",
            "problem",
            f"no frames {times} for {longest.seconds:.2g} s, {longest.begin:.1f} s after the first frame",
            "look at the network between (a switch, a radio link), and at the load of the PMU",
        )
    if examination.hold_ups:
        longest = max(examination.hold_ups, key=lambda pause: pause.seconds)
        yield Finding(
            "held_up",
            "problem",
            f"frames were held up for {longest.seconds:.2g} s and came together, {longest.begin:.1f} s after "
            "the first frame",
            "look at the network between, and at the load of the PMU and of this computer",
        )
    damaged = seen.bad_crc
    if damaged:
        yield Finding(
            "damaged_frames",
            "problem",
            f"{_count(damaged, 'frame')} came damaged: the CRC does not fit",
            "TCP delivers what was sent, so look at serial lines and converters before it, and at the PMU",
        )
    lost = counts.missing - counts.silent - damaged - seen.misfits
    if lost > 0:
        yield Finding(
            "missing_frames",
            "problem",
            f"{lost} of {counts.expected} frames never came ({100 * counts.completeness:.1f} % did)",
            "over UDP, look at the network's losses; over TCP, the PMU or a concentrator before it drops "
            "them: look at its load and its waiting time",
        )
    stray = seen.skipped - damaged * examination.configuration.data_size
    if stray > 0:
        yield Finding(
            "stray_bytes",
            "problem",
            f"{_count(stray, 'byte')} between the frames belonged to none",
            "another protocol shares the line, or a converter adds its own: give the PMU a port of its own",
        )
    if seen.misfits and len(seen.stretches) == 1:
        yield Finding(
            "misfitting_frames",
            "problem",
            f"{_count(seen.misfits, 'frame')} had another length than the configuration says",
            "the configuration was changed while data flowed: clients have to ask for it again",
        )
    if seen.foreign:
        ids = ", ".join(map(str, sorted(seen.foreign)[:5]))
        yield Finding(
            "foreign_frames",
            "problem",
            f"frames of another id came, too: {ids}",
            "two streams share the port: give each its own",
        )


def _order(examination: Examination) -> Iterator[Finding]:
    counts = examination.counts
    if counts.out_of_order:
        yield Finding(
            "out_of_order",
            "problem",
            f"{_count(counts.out_of_order, 'frame')} came behind a later one",
            "over UDP, two ways lead here: prefer TCP; else a concentrator before it does not sort",
        )
    if counts.repeated:
        yield Finding(
            "repeated_frames",
            "problem",
            f"{_count(counts.repeated, 'frame')} came of an instant that had come already",
            "two streams are sent to the same port, or a switch mirrors one: send it once",
        )
    stated = counts.stated
    if counts.step and stated and abs(counts.step * stated - 1) > _RATE_TOLERANCE:
        yield Finding(
            "wrong_rate",
            "problem",
            f"frames are {1 / counts.step:.4g} a second and not the {stated:g} of the configuration",
            "set the PMU's rate again: clients judge completeness by it",
        )
    elif counts.uneven and not counts.jumps:
        yield Finding(
            "uneven_times",
            "problem",
            f"{_count(counts.uneven, 'frame')} measured at no instant of k/{stated or 0:g} s from the second",
            "frames of several PMUs will not meet: have the PMU measure in step with UTC seconds",
        )


def _clock(examination: Examination) -> Iterator[Finding]:
    latency, counts = examination.latency, examination.counts
    if counts.jumps:
        yield Finding(
            "clock_jumped",
            "problem",
            f"the PMU's clock was put forward or back {_count(counts.jumps, 'time')}",
            "look at its antenna or its time server; what it sent before and after does not join",
        )
    behind = latency.median
    if abs(behind) > _DAY_S:
        instant = str(examination.readings.time[0])[:19]
        yield Finding(
            "wrong_time",
            "problem",
            f"the PMU says it is {instant} UTC: it has no time, or this computer has none",
            "look at the PMU's antenna or time server, and at this computer's clock (timedatectl)",
        )
    elif behind > CLOCK_APART_S:
        yield Finding(
            "wrong_time",
            "problem",
            f"measurement times are {behind:.3g} s behind this computer's clock",
            "look whether this computer's clock is right (timedatectl), then at the PMU's; if both are, the "
            "frames are held up so long on the way",
        )
    elif latency.least < -CLOCK_AHEAD_S:
        yield Finding(
            "wrong_time",
            "problem",
            f"measurement times are {-latency.least:.3g} s ahead of this computer's clock",
            "nothing arrives before it is measured: look whether this computer's clock is right "
            "(timedatectl), then at the PMU's",
        )
    elif behind > SLOW_S:
        yield Finding(
            "slow",
            "problem",
            f"frames come {1000 * behind:.0f} ms after their instant",
            "a concentrator waits so long, the way is long, or one of the two clocks is wrong; whoever joins "
            "several PMUs has to wait as long",
        )
    unsure = sum(n for byte, n in examination.time_quality.items() if byte & 15 >= _CLOCK_UNSURE)
    if unsure:
        yield Finding(
            "clock_unsure",
            "problem",
            f"{_count(unsure, 'frame')} say themselves that their time may be 10 ms off or more",
            "look at the PMU's antenna or time server",
        )


def _configurations(examination: Examination) -> Iterator[Finding]:
    seen = examination.observation
    configurations = [stretch.configuration for stretch in seen.stretches]
    if len(configurations) > 1:
        yield Finding(
            "configuration_changed",
            "problem",
            f"the configuration changed meanwhile: {_difference(configurations[0], configurations[-1])}",
            "somebody is at work at the PMU, or a PMU came or went at the concentrator: probe again later",
        )
    elif any(word & CHANGE for words in examination.status for word in words):
        yield Finding(
            "configuration_announced",
            "problem",
            "STAT says that the configuration will change within a minute",
            "probe again in a minute",
        )
    now = configurations[-1]
    if now.time_base != TIME_BASE:
        yield Finding(
            "time_base",
            "note",
            f"seconds are divided into {now.time_base} parts, which is unusual but in order",
            "nothing here; some other tools expect 1000000",
        )
    names = [pmu.station for pmu in now.pmus]
    if twice := sorted({clean(name) or "(no name)" for name in names if names.count(name) > 1}):
        yield Finding(
            "same_names",
            "note",
            f"several PMUs have the same name: {', '.join(twice[:5])}",
            "give each its own name, so that alarms name one",
        )
    if seen.detailed is None:
        yield Finding(
            "no_cfg3",
            "note",
            "the PMU knows no CFG-3",
            "look whether the phases below are right: they are read from names and units",
        )


def _difference(before: Configuration, after: Configuration) -> str:
    said = []
    if len(before.pmus) != len(after.pmus):
        said.append(f"{len(before.pmus)} PMUs became {len(after.pmus)}")
    for old, new in zip(before.pmus, after.pmus, strict=False):
        parts = [
            f"{name} {len(was)} -> {len(now)}"
            for name, was, now in (
                ("phasors", old.phasors, new.phasors),
                ("analog values", old.analogs, new.analogs),
                ("digital words", old.digitals, new.digitals),
            )
            if len(was) != len(now)
        ]
        if old.change_count != new.change_count:
            parts.append(f"change count {old.change_count} -> {new.change_count}")
        if parts:
            said.append(f"{clean(new.station)}: {', '.join(parts)}")
    if before.data_rate != after.data_rate:
        said.append(f"rate {before.data_rate} -> {after.data_rate}")
    return "; ".join(said[:5]) or "names, units or formats"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_LOOKS = (_line, _order, _clock, pmu_findings, _configurations)
