"""From a configuration to channels: by components of CFG-3, else unit and name; `channels:` goes first."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gridtop.plugins.sources.c37118.phasor_names import phase_of

if TYPE_CHECKING:
    from gridtop.naming import ChannelMap, ChannelMeaning, Columns, Phase
    from gridtop.synchrophasor.pmus import Configuration, Phasor, Pmu

Kind = Literal["magnitude", "angle", "frequency", "rocof", "analog", "digital", "status"]

KINDS: tuple[Kind, ...] = ("magnitude", "angle", "frequency", "rocof", "analog", "digital", "status")
"""The parts of a table of readings, in its order."""


@dataclass(frozen=True, slots=True)
class Column:
    """One series of a stream. `at` is its place in its kind; of a digital, word times 16 plus bit.

    `key` tells it again in another configuration of the same device, where names may be cut to 16 characters.
    """

    kind: Kind
    at: int
    pmu: int
    name: str
    key: tuple[str, ...]
    phasor: Phasor | None = None


def terminals_of(configuration: Configuration, given: Mapping[str | int, str]) -> tuple[str, ...]:
    """The terminal of each PMU: the one that is given for its station name or IDCODE, else its station name.

    No two are alike: the IDCODE is added where they would be.
    """
    from gridtop.text import clean

    named = {str(key): terminal for key, terminal in given.items()}
    names = []
    for number, pmu in enumerate(configuration.pmus, start=1):
        station = clean(" ".join(pmu.station.split()))
        names.append(named.get(station) or named.get(str(pmu.idcode)) or station or f"PMU {number}")
    often = Counter(names)
    told = [
        name if often[name] == 1 else f"{name} {pmu.idcode}"
        for name, pmu in zip(names, configuration.pmus, strict=True)
    ]
    return tuple(_different(told))


def columns_of(configuration: Configuration, terminals: Iterable[str]) -> tuple[Column, ...]:
    """Every series of a configuration, PMU by PMU; digitals only where they are named and in use."""
    from gridtop.text import clean

    columns: list[Column] = []
    counts: Counter[Kind] = Counter()
    seen: Counter[tuple[str, ...]] = Counter()
    idcodes: Counter[int] = Counter()

    for number, (pmu, terminal) in enumerate(zip(configuration.pmus, terminals, strict=True)):
        idcodes[pmu.idcode] += 1
        device = f"{pmu.idcode}.{idcodes[pmu.idcode]}"

        def add(
            kind: Kind,
            name: str,
            raw: str,
            phasor: Phasor | None = None,
            at: int | None = None,
            number: int = number,
            device: str = device,
        ) -> None:
            short = raw.encode("ascii", "replace")[:16].decode().strip()
            key = (device, kind, short)
            seen[key] += 1
            place = counts[kind] if at is None else at
            columns.append(Column(kind, place, number, clean(name), (*key, str(seen[key])), phasor))
            counts[kind] += 1

        for phasor in pmu.phasors:
            letter = "I" if phasor.current else "V"
            name = _tidy(phasor.name) or f"phasor {counts['magnitude'] + 1}"
            add("magnitude", f"{terminal}-{name}:{letter}", phasor.name, phasor)
            add("angle", f"{terminal}-{name}:{letter}H", phasor.name, phasor)
        add("frequency", f"{terminal}:F", "")
        add("rocof", f"{terminal}:DF", "")
        for analog in pmu.analogs:
            add("analog", f"{terminal}-{_tidy(analog.name) or 'analog'}", analog.name)
        for bit, name in _digitals(pmu):
            word = sum(len(before.digitals) for before in configuration.pmus[:number])
            add("digital", f"{terminal}-{name}", name, at=16 * word + bit)
        add("status", f"{terminal}:S", "")
    names = _different([column.name for column in columns])
    return tuple(
        Column(c.kind, c.at, c.pmu, name, c.key, c.phasor) for c, name in zip(columns, names, strict=True)
    )


def resolve(columns: Iterable[Column], terminals: Iterable[str], channel_map: ChannelMap) -> Columns:
    """What becomes of the columns: what `channels:` says of them, else what they are by themselves.

    Raises ValueError as `ChannelMap.resolve` does.
    """
    from gridtop.naming import ChannelMap

    places, listed = tuple(terminals), tuple(columns)
    meanings = {
        glob.escape(column.name): channel_map.meaning(column.name) or _meaning(column, places[column.pmu])
        for column in listed
    }
    return ChannelMap(meanings).resolve([column.name for column in listed])


def _meaning(column: Column, terminal: str) -> ChannelMeaning:
    from gridtop.naming import ChannelMeaning

    match column.kind:
        case "magnitude" | "angle":
            return _phasor_meaning(column, terminal)
        case "frequency":
            return ChannelMeaning(quantity="frequency", unit="Hz", terminal=terminal)
        case "rocof":
            return ChannelMeaning(quantity="rocof", unit="Hz/s", terminal=terminal)
        case "digital":
            return ChannelMeaning(quantity="digital", terminal=terminal, part="status")
        case "status":
            return ChannelMeaning(quantity="status", terminal=terminal)
        case "analog":
            return ChannelMeaning(quantity="other", terminal=terminal)


def _phasor_meaning(column: Column, terminal: str) -> ChannelMeaning:
    from gridtop.naming import ChannelMeaning

    phasor = column.phasor
    assert phasor is not None
    phase: Phase = phasor.component or phase_of(phasor.name)
    quantity, unit = ("current", "A") if phasor.current else ("voltage", "V")
    reference = "line_to_neutral" if not phasor.current and phase in ("A", "B", "C", "+", "-", "0") else ""
    return ChannelMeaning(
        quantity=quantity,
        unit="deg" if column.kind == "angle" else unit,
        terminal=terminal,
        phase=phase,
        part=column.kind if column.kind == "angle" else "magnitude",
        reference="line_to_neutral" if reference else "",
    )


def _digitals(pmu: Pmu) -> Iterable[tuple[int, str]]:
    """The inputs in use that have a name; a mask that is empty is one that nobody has filled in."""
    for number, word in enumerate(pmu.digitals):
        for bit, name in enumerate(word.names[:16]):
            if _tidy(name) and (not word.valid or word.valid >> bit & 1):
                yield 16 * number + bit, _tidy(name)


def _tidy(name: str) -> str:
    return " ".join(name.split())


def _different(names: Iterable[str]) -> list[str]:
    """The names with a number behind those that have been before."""
    taken: set[str] = set()
    different = []
    for name in names:
        chosen, number = name, 1
        while chosen in taken:
            number += 1
            chosen = f"{name} {number}"
        taken.add(chosen)
        different.append(chosen)
    return different
