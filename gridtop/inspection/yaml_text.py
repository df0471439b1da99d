"""The configuration that fits a recording: `source:`, `channels:` and `site:`, each line with its reason."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gridtop.documents import LARGEST_FILE
from gridtop.inspection.findings import Findings
from gridtop.inspection.guessing import Guess
from gridtop.inspection.line_guess import LineGuess
from gridtop.inspection.nominal import volts
from gridtop.inspection.site_guess import SiteGuess
from gridtop.text import clean
from gridtop.units import format_impedance
from gridtop.yaml_writing import OnOneLine, without_variables, yaml_of

_ROOM_BYTES = LARGEST_FILE - (128 << 10)
_REASON_LENGTH = 160
_COMMENT_COLUMN = 60
_MOST_BUSES = 200
_ENDLESS = 10 * LARGEST_FILE
"""Columns of a line of YAML: one that is never folded."""


def configuration_text(findings: Findings, folder: Path | None = None) -> str:
    """A complete configuration that replays the recording.

    Its path is written relative to `folder`, where the configuration will stand, if it lies in it; else in
    full.
    """
    source = _source(findings, folder)
    parts = [
        *source,
        "",
        *_channels(findings, _ROOM_BYTES - sum(len(line.encode()) for line in source)),
        "",
        *_site(findings),
        "",
        "limits: {}  # none yet: docs/limits.md has ready ones, docs/alarms.md says how to write them",
    ]
    return "\n".join(parts) + "\n"


def commented(lines: Sequence[str]) -> str:
    """Lines of text as comments."""
    return "\n".join(f"# {_comment(line, 2000)}".rstrip() for line in lines)


def dumped(key: str, value: Any) -> str:
    """One setting as YAML, on one line unless the key is very long; text that would be misread is quoted."""
    whole = OnOneLine(value) if isinstance(value, (dict, list)) else value
    return yaml_of({key: whole}, flow=False, width=_ENDLESS).rstrip("\n")


def _source(findings: Findings, folder: Path | None) -> list[str]:
    survey = findings.survey
    path = survey.path.absolute()
    if folder is not None and path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    lines = _entry("type", "replay", "plays a recording")
    # Behind a ~ a home directory would be looked for.
    lines += _entry("path", f"./{path}" if str(path).startswith("~") else str(path), "")
    if survey.given_names is not None:
        lines += _entry("columns", list(survey.given_names), "made up here: the file has no line with names")
    if survey.time is not None and not survey.time.usable and survey.time.mean_step > 0:
        rate = float(f"{1 / survey.time.mean_step:.4g}")
        lines += _entry("rate", rate, "frames/s in the mean: rows have no usable time")
    if survey.waveform is not None:
        lines += _entry("waveform", survey.waveform, "too short for phasors: the samples as they are")
    return ["source:", *lines]


def _channels(findings: Findings, room: int) -> list[str]:
    """What the columns mean, in at most `room` bytes."""
    said: list[tuple[str, Guess]] = []
    seen: set[str] = set()
    for guess in findings.guesses:
        if guess.written and guess.column.name not in seen:
            seen.add(guess.column.name)
            said.append((_pattern_of(guess.column.name), guess))
    names = {guess.column.name for guess in findings.guesses}
    if any(key in names and key != guess.column.name for key, guess in said):
        # The escaped form of one name is the name of another column: the longer key has to come first.
        said.sort(key=lambda entry: -len(entry[0]))
    lines, left = _fitting(said, room)
    comments = []
    if left:
        comments.append(
            f"  # {left} more columns would make this file too large; they stay without a meaning"
        )
    known = [guess for guess in findings.guesses if not guess.written and guess.channel is not None]
    by_scheme = [guess for guess in known if guess.meaning.quantity != "other"]
    others = [guess for guess in known if guess.meaning.quantity == "other"]
    if by_scheme:
        comments.append(f"  # {len(by_scheme)} more columns need no line: gridtop knows what they are")
    if others:
        shown = ", ".join(_comment(guess.column.name, 30) for guess in others[:12])
        more = f" and {len(others) - 12} more" if len(others) > 12 else ""
        comments.append(f"  # without a meaning (quantity other): {shown}{more}")
    if not lines:
        return ["channels: {}", *comments]
    return ["channels:", *lines, *comments]


def _pattern_of(name: str) -> str:
    """The glob that means the column of this name alone."""
    # As a key, << is a merge in YAML 1.1, which configurations are not allowed.
    return "[<]<" if name == "<<" else glob.escape(name)


def _fitting(said: list[tuple[str, Guess]], room: int) -> tuple[list[str], int]:
    """The lines of the columns, and how many found no room; what the recording needs to open comes first."""
    needed = {key for key, guess in said if guess.channel is None}
    chosen: dict[str, list[str]] = {}
    for key, guess in sorted(said, key=lambda entry: entry[0] not in needed):
        doubt = {"unsure": "unsure: "}.get(guess.sure, "")
        entry = _entry(key, guess.written, doubt + "; ".join(guess.why))
        size = sum(len(line.encode()) + 1 for line in entry)
        if size <= room:
            room -= size
            chosen[key] = entry
    lines = [line for key, _ in said for line in chosen.get(key, ())]
    return lines, len(said) - len(chosen)


def _entry(key: str, value: Any, comment: str, indent: str = "  ") -> list[str]:
    """One setting, its reason behind it."""
    lines = [indent + line for line in dumped(key, without_variables(value)).split("\n")]
    if comment:
        lines[-1] = f"{lines[-1]:<{_COMMENT_COLUMN}}  # {_comment(comment, _REASON_LENGTH)}"
    return lines


def _comment(text: str, longest: int = 400) -> str:
    """Text for a comment: nothing that ends a line, nothing a reader of YAML would refuse."""
    return yaml.reader.Reader.NON_PRINTABLE.sub("\ufffd", clean(text, longest))


def _site(findings: Findings) -> list[str]:
    site = findings.site
    lines = _nominal(site)
    lines += _buses(site)
    lines += _lines(site)
    lines += _terminals(site)
    if any(not line.lstrip().startswith("#") for line in lines):
        return ["site:", *lines]
    return ["site: {}", *lines]


def _nominal(site: SiteGuess) -> list[str]:
    lines = []
    if site.voltage_ll is not None:
        lines += _entry("voltage_ll", volts(site.voltage_ll.value), site.voltage_ll.why, "    ")
    if site.frequency is not None:
        lines += _entry("frequency", f"{site.frequency.value:g} Hz", site.frequency.why, "    ")
    if site.current is not None:
        lines += _entry("current", f"{site.current.value:g} A", site.current.why, "    ")
    if lines:
        lines.insert(0, "  nominal:")
    if site.voltage_ll is None and site.levels:
        levels = ", ".join(volts(level) for level in site.levels[:6])
        lines.append(f"  # names speak of {levels}; there is no voltage to check it by")
    return lines


def _buses(site: SiteGuess) -> list[str]:
    lines: list[str] = []
    usual = site.voltage_ll.value if site.voltage_ll else None
    taken = set(site.terminals)
    placed: set[str] = set()
    for bus in site.buses:
        name = _fresh("B" + "".join(bus.terminals), taken)
        settings: dict[str, Any] = {"terminals": list(bus.terminals)}
        level = site.voltages.get(bus.terminals[0])
        if level is not None and level != usual:
            settings = {"voltage_ll": volts(level), **settings}
        entry = _entry(name, settings, bus.why, "    ")
        lines += entry if bus.sure else _as_comments(entry, "unsure, so not said")
        placed.update(bus.terminals if bus.sure else ())
    apart = [
        (terminal, level)
        for terminal, level in site.voltages.items()
        if terminal in site.terminals and level != usual and terminal not in placed
    ]
    for terminal, level in apart[:_MOST_BUSES]:
        settings = {"voltage_ll": volts(level), "terminals": [terminal]}
        lines += _entry(_fresh(f"B_{terminal}", taken), settings, site.reasons[level], "    ")
    if len(apart) > _MOST_BUSES:
        lines.append(f"    # {len(apart) - _MOST_BUSES} more terminals have a nominal voltage of their own")
    return _headed("  buses:", lines)


def _lines(site: SiteGuess) -> list[str]:
    lines: list[str] = []
    taken = set(site.terminals)
    for number, line in enumerate(site.lines, start=1):
        settings: dict[str, Any] = {"ends": list(line.ends)}
        if line.z1 is not None:
            settings["z1"] = _impedance(line.z1)
        if line.b1 is not None:
            settings["b1"] = f"{line.b1 * 1e6:.4g} uS"
        entry = _entry(_fresh(f"L{number}", taken), settings, line.why[0], "    ")
        lines += entry if line.sure else _as_comments(entry, "unsure, so not said")
        lines += [f"    # {_comment(text)}" for text in (*line.why[1:], *_about_impedance(line))]
    return _headed("  lines:", lines)


def _about_impedance(line: LineGuess) -> list[str]:
    """What is known of z1: how well, or why it is not written."""
    varied = f"loading varied by {line.loading_variation:.1%}"
    if line.z1 is not None and line.z1_error is not None:
        resistance, reactance = line.z1_error
        return [f"z1: standard error {resistance:.2g} and {reactance:.2g} ohm; {varied}"]
    if line.z1_ratio is None or line.z1_ratio != line.z1_ratio:
        return []
    return [
        f"z1 is about {_impedance(line.z1_ratio)}, by voltage drop over current, instrument errors included; "
        f"{varied}: too little to fit it"
    ]


def _terminals(site: SiteGuess) -> list[str]:
    reversed_ = {
        end: direction
        for line in site.lines
        if line.sure
        for end, direction in line.directions.items()
        if direction == "out_of_line"
    }
    lines: list[str] = []
    for name, terminal in site.terminals.items():
        settings: dict[str, Any] = {}
        why = []
        if name in reversed_:
            settings["ct_direction"] = "out_of_line"
            why.append("its current has the sign of one that leaves the line")
        if terminal.rotation == "ACB":
            settings["rotation"] = "ACB"
            why.append(f"C follows A in {terminal.rotation_share:.0%} of rows")
        if settings:
            lines += _entry(name, settings, "; ".join(why), "    ")
    return _headed("  terminals:", lines)


def _headed(header: str, lines: list[str]) -> list[str]:
    """Lines under a header, which itself is a comment where all of them are."""
    if not lines:
        return []
    said = any(not line.lstrip().startswith("#") for line in lines)
    return [header if said else f"  # {header.strip()}", *lines]


def _as_comments(lines: list[str], why: str) -> list[str]:
    return [f"    # {line.strip()} ({why})" for line in lines]


def _fresh(name: str, taken: set[str]) -> str:
    """A name for a bus that nothing else has."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _impedance(z: complex) -> str:
    return format_impedance(complex(float(f"{z.real:.4g}"), float(f"{z.imag:.4g}")))
