"""What the name of a column says: quantity, unit, phase, and what is left, which names the terminal."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\s_\-.:/|()\[\]{},;=]+")

_QUANTITIES = {
    "voltage": ("voltage", ""),
    "voltages": ("voltage", ""),
    "volt": ("voltage", "V"),
    "volts": ("voltage", "V"),
    "spannung": ("voltage", ""),
    "vrms": ("voltage", ""),
    "u": ("voltage", ""),
    "v": ("voltage", ""),
    "current": ("current", ""),
    "ampere": ("current", "A"),
    "amps": ("current", "A"),
    "amp": ("current", "A"),
    "amperes": ("current", "A"),
    "strom": ("current", ""),
    "irms": ("current", ""),
    "i": ("current", ""),
    "frequency": ("frequency", ""),
    "freq": ("frequency", ""),
    "frq": ("frequency", ""),
    "f": ("frequency", ""),
    "frequenz": ("frequency", ""),
    "rocof": ("rocof", "Hz/s"),
    "dfdt": ("rocof", "Hz/s"),
    "df": ("rocof", "Hz/s"),
    "impedance": ("impedance", ""),
    "z": ("impedance", ""),
    "power": ("power", ""),
    "p": ("power", ""),
    "q": ("power", "var"),
    "load": ("power", ""),
    "status": ("status", ""),
    "state": ("status", ""),
    "stat": ("status", ""),
    "breaker": ("status", ""),
    "temperature": ("temperature", ""),
    "temp": ("temperature", ""),
    "log": ("log", ""),
    "soc": ("state_of_charge", "%"),
    "irradiance": ("irradiance", ""),
    "setpoint": ("setpoint", ""),
}
_MODIFIERS = {"active": "", "real": "", "reactive": "var", "apparent": "VA"}
_UNITS = {
    "v": ("voltage", "V"),
    "kv": ("voltage", "kV"),
    "a": ("current", "A"),
    "ka": ("current", "kA"),
    "hz": ("frequency", "Hz"),
    "mhz": ("frequency", "mHz"),
    "w": ("power", "W"),
    "kw": ("power", "kW"),
    "mw": ("power", "MW"),
    "var": ("power", "var"),
    "kvar": ("power", "kvar"),
    "mvar": ("power", "Mvar"),
    "kva": ("power", "kVA"),
    "mva": ("power", "MVA"),
    "ohm": ("impedance", "ohm"),
    "ohms": ("impedance", "ohm"),
    "degc": ("temperature", "degC"),
    "celsius": ("temperature", "degC"),
    "pu": ("", "pu"),
    "percent": ("", "%"),
    "%": ("", "%"),
    "deg": ("", "deg"),
    "degree": ("", "deg"),
    "degrees": ("", "deg"),
    "rad": ("", "rad"),
}
_PARTS = {
    "angle": "angle",
    "ang": "angle",
    "phi": "angle",
    "theta": "angle",
    "delta": "angle",
    "arg": "angle",
    "mag": "magnitude",
    "magnitude": "magnitude",
    "rms": "magnitude",
    "abs": "magnitude",
    "amplitude": "magnitude",
}
_SYMBOL = re.compile(
    r"(?P<symbol>[vuiVUI])(?P<phase>ab|bc|ca|[abc]n?|l[123]|[rst]|[0123]|12|23|31|pos|neg|zero)?"
    r"(?P<part>m|mag|ang|angle|rms|ph)?",
    re.IGNORECASE,
)
_TRIPLES = (
    ("A", "B", "C"), ("AN", "BN", "CN"), ("L1", "L2", "L3"), ("R", "S", "T"), ("1", "2", "3"),
    ("AB", "BC", "CA"), ("12", "23", "31"), ("L12", "L23", "L31"),
)  # fmt: skip
_PHASES = (
    ("A", "B", "C"), ("A", "B", "C"), ("A", "B", "C"), ("A", "B", "C"), ("A", "B", "C"),
    ("AB", "BC", "CA"), ("AB", "BC", "CA"), ("AB", "BC", "CA"),
)  # fmt: skip
_SEQUENCES = {"0": "0", "1": "+", "2": "-", "pos": "+", "neg": "-", "zero": "0"}
_LABELS = (
    "label",
    "labels",
    "marker",
    "class",
    "target",
    "ground_truth",
    "groundtruth",
    "anomaly",
    "attack",
    "event",
)
_KILOVOLTS = re.compile(r"(\d+(?:\.\d+)?)\s*kv", re.IGNORECASE)


@dataclass(slots=True)
class Reading:
    """What a name says; empty where it says nothing. `because` are the parts of the name it was read from."""

    quantity: str = ""
    unit: str = ""
    phase: str = ""
    part: str = ""
    terminal: str = ""
    because: list[str] = field(default_factory=list)


def read_name(name: str, names: Collection[str]) -> Reading:
    """What `name` says. The other `names` of the file tell a phase from a number: A is one beside B and C."""
    reading = Reading()
    words = list(_WORD.finditer(name))
    used = [_use(word, i, words, name, names, reading) for i, word in enumerate(words)]
    if reading.quantity in ("status", "log", "temperature", "setpoint", "state_of_charge", "irradiance"):
        reading.phase = reading.part = ""
    if reading.quantity == "power" and reading.part == "angle":
        reading = Reading()
    if reading.quantity or reading.unit:
        reading.terminal = _rest(name, words, used)
    return reading


def reads_like_label(name: str) -> str | None:
    """The word for a ground truth that a name is, or nearly is (`Lable`); None when it is none."""
    lowered = re.sub(r"[\s\-]+", "_", name.strip().lower())
    near = difflib.get_close_matches(lowered, _LABELS, n=1, cutoff=0.8)
    return near[0] if near else None


def nominal_in(name: str) -> float | None:
    """The voltage in V that a name states (`I_CB1-66KV`), None when it states none."""
    match = _KILOVOLTS.search(name)
    return float(match[1]) * 1e3 if match else None


def _use(
    word: re.Match[str],
    index: int,
    words: list[re.Match[str]],
    name: str,
    names: Collection[str],
    found: Reading,
) -> bool:
    """Whether a word of the name is understood; what it says goes into the reading."""
    text = word[0]
    lowered = text.lower()
    last = index == len(words) - 1
    bracketed = name[: word.start()].rstrip().endswith(("(", "["))
    if (phase := _phase_of(text, word, name, names)) and not bracketed:
        return _set(found, text, phase=phase)
    if lowered in _PARTS:
        return _set(found, text, part=_PARTS[lowered])
    if lowered in _MODIFIERS and index + 1 < len(words) and words[index + 1][0].lower() in ("power", "p"):
        return _set(found, text, unit=_MODIFIERS[lowered], quantity="power")
    if (
        (last or bracketed)
        and lowered in _UNITS
        and (bracketed or found.quantity or lowered not in ("a", "w"))
    ):
        quantity, unit = _UNITS[lowered]
        unit = "mW" if text == "mW" else unit
        fits = not quantity or found.quantity in ("", quantity, "setpoint", "temperature")
        if not fits or (lowered in ("v", "a") and found.unit and not bracketed):
            return False
        return _set(found, text, unit=unit, quantity=found.quantity or quantity)
    if lowered in _QUANTITIES and (len(lowered) > 1 or not found.quantity):
        quantity, unit = _QUANTITIES[lowered]
        if quantity == "setpoint" or found.quantity in ("", "power") or quantity == "status":
            return _set(found, text, quantity=quantity, unit=unit)
        return False
    if (symbol := _SYMBOL.fullmatch(text)) and not found.quantity:
        return _use_symbol(symbol, word, name, names, found)
    return False


def _use_symbol(
    symbol: re.Match[str], word: re.Match[str], name: str, names: Collection[str], found: Reading
) -> bool:
    """`Ua`, `VAB`, `I1`, `VAm`: a symbol with its phase behind it."""
    written = symbol["phase"]
    if written is None:
        return False
    begin = word.start() + symbol.start("phase")
    phase = _among_three(written, begin, name, names)
    if phase is None and written.lower() in ("pos", "neg", "zero"):
        phase = _SEQUENCES[written.lower()]
    if (
        phase is None
        and written in "012"
        and all(_replaced(name, begin, written, other) in names for other in "012")
    ):
        phase = _SEQUENCES[written]
    if phase is None:
        return False
    quantity = "current" if symbol["symbol"].lower() == "i" else "voltage"
    part = (symbol["part"] or "").lower()
    part = "magnitude" if part in ("m", "mag", "rms") else "angle" if part else ""
    return _set(found, word[0], quantity=quantity, phase=phase, part=part)


def _phase_of(text: str, word: re.Match[str], name: str, names: Collection[str]) -> str | None:
    if len(text) == 1 and text.isdigit():
        return None
    return _among_three(text, word.start(), name, names)


def _among_three(written: str, begin: int, name: str, names: Collection[str]) -> str | None:
    """The phase that a part of a name is, when the names with the other two phases in its place exist."""
    for triple, phases in zip(_TRIPLES, _PHASES, strict=True):
        upper = written.upper()
        if upper not in triple:
            continue
        cased = triple if written == upper else tuple(one.lower() for one in triple)
        if written in cased and all(_replaced(name, begin, written, other) in names for other in cased):
            return phases[triple.index(upper)]
    return None


def _replaced(name: str, begin: int, written: str, other: str) -> str:
    return name[:begin] + other + name[begin + len(written) :]


def _set(found: Reading, because: str, **what: str) -> bool:
    for key, value in what.items():
        if value or key == "quantity":
            setattr(found, key, value)
    found.because.append(because)
    return True


def _rest(name: str, words: list[re.Match[str]], used: list[bool]) -> str:
    """The words that were not understood, joined as they are in the name."""
    left = [word for word, taken in zip(words, used, strict=True) if not taken]
    if not left:
        return ""
    joined = left[0][0]
    for before, word in itertools.pairwise(left):
        between = name[before.end() : word.start()]
        joined += (between if len(between) == 1 and between in "-_ ." else "_") + word[0]
    return joined
