"""What the channels of a COMTRADE record mean: quantity, unit, phase and terminal, and their names here.

The `channels:` section comes first, then the naming schemes known without it, then what the CFG says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gridtop.channels import Channel, Part, Reference
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap, ChannelMeaning, Phase, base_unit, built_in
from gridtop.recordings.comtrade_header import AnalogChannel, DigitalChannel, Header
from gridtop.text import clean

_UNITS = {
    "volt": "V", "volts": "V", "v": "V", "kv": "kV", "mv": "mV", "ampere": "A", "amperes": "A", "amp": "A",
    "amps": "A", "a": "A", "ka": "kA", "ma": "mA", "hertz": "Hz", "hz": "Hz", "mhz": "mHz", "hz/s": "Hz/s",
    "deg": "deg", "degs": "deg", "degree": "deg", "degrees": "deg", "°": "deg", "rad": "rad", "ohm": "ohm",
    "ohms": "ohm", "Ω": "ohm", "w": "W", "kw": "kW", "mw": "MW", "var": "var", "kvar": "kvar", "mvar": "Mvar",
    "va": "VA", "kva": "kVA", "mva": "MVA", "pu": "pu", "p.u.": "pu", "%": "%", "none": "", "-": "",
}  # fmt: skip
"""Units as makers write them, in lower case; one that is written as it should be is taken first."""
_RIGHT = re.compile(r"[mkMG]?(?:V|A|Hz|Hz/s|ohm|W|var|VA)|deg|rad|pu|%")
_QUANTITIES = {
    "V": "voltage", "A": "current", "Hz": "frequency", "Hz/s": "rocof", "ohm": "impedance", "W": "power",
    "var": "power", "VA": "power",
}  # fmt: skip
_PHASES: dict[str, Phase] = {
    "A": "A", "B": "B", "C": "C", "R": "A", "S": "B", "T": "C", "Y": "B", "L1": "A", "L2": "B", "L3": "C",
    "1": "A", "2": "B", "3": "C", "AB": "AB", "BC": "BC", "CA": "CA", "RS": "AB", "ST": "BC", "TR": "CA",
    "L1L2": "AB", "L2L3": "BC", "L3L1": "CA", "L12": "AB", "L23": "BC", "L31": "CA", "12": "AB", "23": "BC",
    "31": "CA", "+": "+", "-": "-", "0": "0",
}  # fmt: skip
_NEUTRAL = re.compile(r"N|G|E|NG|4|3[IVU]0|RES", re.IGNORECASE)
_NAMED_PHASE = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:[VUI])[_ -]?(?:L)?(A|B|C|R|S|T|[1-3]|AB|BC|CA|12|23|31|RS|ST|TR)(?![A-Za-z0-9])"
    r"|(?:^|\s)(?:phase|ph|fase)[ _-]?(A|B|C|R|S|T|L?[1-3])(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""VA, Ia, UL1, I_A, `V1 Phase B`; the last word wins."""
_DIRECT = re.compile(r"(?:^|[^A-Za-z])[VUI]?_?DC(?![A-Za-z])", re.IGNORECASE)
_ANGLE, _DISTORTION = " angle", " THD"
_HARMONIC = re.compile(r"(.+) harmonic ([2-9]|[1-9][0-9])")


@dataclass(frozen=True, slots=True)
class Series:
    """A channel made from one column of the record, which is `value * scale + offset`.

    `column` counts the analog channels, and behind them the status channels. `invalid` are values before
    scaling that stand for an error.
    """

    column: int
    channel: Channel
    scale: float = 1.0
    offset: float = 0.0
    invalid: tuple[float, ...] = ()


def series_of(header: Header, channel_map: ChannelMap, waveform: bool) -> list[Series]:
    """The channels of a record, those that `channels:` ignores left out.

    Of a point-on-wave record (`waveform`) the voltages and currents have the part `magnitude`, and what is
    not alternating, `value`. Raises SourceError when nothing is left or a meaning cannot be had.
    """
    names = _names(header)
    analogs = len(header.analogs)
    series: list[Series] = []
    for column, name in enumerate(names):
        given = channel_map.meaning(name)
        if given is not None and given.ignore:
            continue
        if given is not None and given.quantity in ("label", "time"):
            raise SourceError(
                f"{header.shown}: channel {name!r} is mapped to {given.quantity}; a COMTRADE channel is a "
                "number, and the record has its own times; map it as something else or {ignore: true}"
            )
        if column < analogs:
            series.append(_analog(column, name, names, header, given, waveform))
        else:
            digital = header.digitals[column - analogs]
            meaning = given or _known(name)
            channel = Channel(
                name, "status", terminal=_terminal(digital.component, header), part="status"
            ) if meaning is None else meaning.channel(name)  # fmt: skip
            scale, offset = (given.scale, given.offset) if given else (1.0, 0.0)
            series.append(Series(column, channel, scale, offset, given.invalid if given else ()))
    if not series:
        raise SourceError(f"{header.shown}: no channel is left: all are ignored")
    return series


def _analog(
    column: int, name: str, names: Sequence[str], header: Header, given: ChannelMeaning | None, waveform: bool
) -> Series:
    described = header.analogs[column]
    unit = (given.unit if given else "") or unit_of(described.unit)
    base, factor = base_unit(unit)
    meaning = given or _known(name)
    if meaning is not None:
        channel = meaning.channel(name)
        if base and (given is None or not given.unit):
            # What the file says about its numbers counts more than a naming scheme.
            channel = replace(channel, unit=base)
    else:
        channel = _guess(name, names, described, base, header, waveform)
    if waveform:
        alternating = channel.quantity in ("voltage", "current") and not (
            given is None and not channel.phase and _DIRECT.search(name)
        )
        part: Part = "magnitude" if alternating else "value"
        channel = replace(channel, part=part)
    scale, offset = (given.scale, given.offset) if given else (1.0, 0.0)
    invalid = given.invalid if given else ()
    return Series(column, channel, factor * scale, factor * offset, invalid)


def unit_of(text: str) -> str:
    """The unit as gridtop writes it; an unknown one comes back as it is, but harmless."""
    text = text.strip()
    return text if _RIGHT.fullmatch(text) else _UNITS.get(text.lower(), clean(text, 20))


def phase_of(phase: str, name: str) -> Phase:
    """The phase from the CFG's field, or else from the channel's name; "" for neutral and for unknown."""
    phase = phase.strip().upper()
    if phase in _PHASES:
        return _PHASES[phase]
    if _NEUTRAL.fullmatch(phase):
        return ""
    for text in (phase, name):  # some makers repeat the name in the field of the phase
        found = _NAMED_PHASE.findall(text)
        if found:
            return _PHASES.get("".join(found[-1]).upper(), "")
    return ""


def _guess(
    name: str, names: Sequence[str], described: AnalogChannel, unit: str, header: Header, waveform: bool
) -> Channel:
    quantity = _QUANTITIES.get(unit, "other")
    part: Part = "magnitude" if quantity in ("voltage", "current", "impedance") else "value"
    order = 0
    whole = next((name.removesuffix(end) for end in (_ANGLE, _DISTORTION) if name.endswith(end)), name)
    if unit == "deg":
        part = "angle"
        quantity = _by_letter(whole)
    elif unit == "%" and name.endswith(_DISTORTION) and whole in names:
        quantity = "thd_current" if _by_letter(whole, header, names) == "current" else "thd_voltage"
    elif (match := _HARMONIC.fullmatch(name)) and match[1] in names and quantity in ("voltage", "current"):
        quantity, order = f"{quantity}_harmonic", int(match[2])
    elif unit in ("pu", ""):
        quantity = _by_letter(whole) if unit == "pu" else "other"
        part = "magnitude" if quantity in ("voltage", "current") else "value"
    phase = phase_of(described.phase, whole) if quantity != "other" or described.phase else ""
    if quantity in ("frequency", "rocof"):
        phase = ""
    reference: Reference = ""
    if quantity == "voltage" and phase:
        reference = "line_to_line" if phase in ("AB", "BC", "CA") else "line_to_neutral"
    return Channel(
        name, quantity, unit, _terminal(described.component, header), phase, part, reference, order=order
    )


def _by_letter(name: str, header: Header | None = None, names: Sequence[str] = ()) -> str:
    """Voltage or current, from the unit of the channel of this name, or else from its name."""
    if header is not None and name in names and (column := list(names).index(name)) < len(header.analogs):
        quantity = _QUANTITIES.get(base_unit(unit_of(header.analogs[column].unit))[0])
        if quantity:
            return quantity
    found = re.match(r"(?:.*[^A-Za-z0-9])?(?:3?([VUIE])(?=[A-CRSTN0-9L_ -]|\d|$))", name, re.IGNORECASE)
    if not found:
        return "other"
    return "current" if found[1].upper() == "I" else "voltage"


def _known(name: str) -> ChannelMeaning | None:
    """What the built-in schemes say, if they know the name."""
    meaning = built_in(name)
    return None if meaning.quantity in ("other", "label") else meaning


def _terminal(component: str, header: Header) -> str:
    """The monitored component, or else the station, without the colon that names of quantities use."""
    place = component or header.station
    return clean(" ".join(place.split()), 60).replace(":", "-")


def _names(header: Header) -> list[str]:
    """A name of its own for each channel; those that share one are told apart by their number."""
    analogs, digitals = len(header.analogs), len(header.digitals)
    numbers = [*(f"A{i + 1}" for i in range(analogs)), *(f"D{i + 1}" for i in range(digitals))]
    described: list[AnalogChannel | DigitalChannel] = [*header.analogs, *header.digitals]
    plain = [clean(" ".join(channel.name.split())) for channel in described]
    plain = [name or number for name, number in zip(plain, numbers, strict=True)]
    shared = {name for name, times in Counter(plain).items() if times > 1}
    names = [
        f"{name} ({number})" if name in shared else name for name, number in zip(plain, numbers, strict=True)
    ]
    taken: set[str] = set()
    for i, name in enumerate(names):
        while name in taken:
            name = f"{name} ({numbers[i]})"
        taken.add(name)
        names[i] = name
    return names
