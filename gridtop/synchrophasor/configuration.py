"""Configuration frames CFG-1, CFG-2 and CFG-3, decoded and encoded.

CFG-1 says what a device could send, CFG-2 what it does send, CFG-3 the same with longer names, the
component that each phasor measures, and scale and offset of analogs (IEEE C37.118.2-2011, tables 9, 10 and
13).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace

from gridtop.synchrophasor.frames import (
    CONFIGURATIONS,
    LARGEST,
    SMALLEST,
    FrameError,
    FrameKind,
    Stamp,
    body,
    head,
    seal,
)
from gridtop.synchrophasor.pmus import (
    Analog,
    AnalogKind,
    Component,
    Configuration,
    Digital,
    Phasor,
    Place,
    Pmu,
    ServiceClass,
)

NAME_SIZE = 16
"""Bytes of a name in CFG-1 and CFG-2, padded with blanks."""
LONGEST_NAME = 255
"""Bytes of a name in CFG-3."""

_COMPONENTS: dict[int, Component] = {0: "0", 1: "+", 2: "-", 4: "A", 5: "B", 6: "C"}
_CODES = {component: code for code, component in _COMPONENTS.items()} | {"": 7}
_ANALOGS: dict[int, AnalogKind] = {0: "instant", 1: "rms", 2: "peak"}
_ANALOG_CODES = {kind: code for code, kind in _ANALOGS.items()} | {"other": 65}
_CURRENT = 8
"""Bit 3 of a phasor's type in CFG-3."""
_MOST_FRAGMENTS, _MOST_BYTES = 64, 1 << 20
"""Of one CFG-3; a thousand PMUs with all their names stay below."""


def decode_configuration(frame: bytes) -> Configuration:
    """The configuration in a whole CFG-1, CFG-2 or CFG-3 frame.

    Raises FrameError when it contradicts itself, or is a fragment: `Fragments` puts those together.
    """
    first = head(frame)
    if first.kind not in CONFIGURATIONS:
        raise FrameError("this is no configuration frame")
    if first.size != len(frame):
        raise FrameError(f"a configuration frame of {len(frame)} bytes says it has {first.size}")
    text = body(frame)
    if first.kind == FrameKind.CFG3:
        if text[:2] != b"\0\0":
            raise FrameError("this is a fragment of a CFG-3 frame")
        text = text[2:]
    return decode_body(first.kind, first.idcode, text)


def decode_body(kind: FrameKind, idcode: int, text: bytes) -> Configuration:
    """The configuration in a body, without CFG-3's CONT_IDX; FrameError when it contradicts itself."""
    reader = _Reader(text, long_names=kind == FrameKind.CFG3)
    time_base, count = reader.unpack(">IH")
    time_base &= 0xFFFFFF
    if not time_base:
        raise FrameError("the configuration divides seconds into 0 parts (TIME_BASE)")
    if not count:
        raise FrameError("the configuration has no PMU")
    pmus = tuple(_decode_pmu(reader, kind) for _ in range(count))
    (rate,) = reader.unpack(">h")
    if reader.left:
        raise FrameError(f"{reader.left} bytes are left over behind the configuration of {count} PMUs")
    configuration = Configuration(idcode, pmus, rate, time_base, kind)
    if configuration.data_size > LARGEST:
        raise FrameError(f"a data frame would have {configuration.data_size} bytes; {LARGEST} is the most")
    return configuration


def encode_configuration(
    configuration: Configuration,
    kind: FrameKind | None = None,
    stamp: Stamp = Stamp(),  # noqa: B008
    largest: int = LARGEST,
) -> list[bytes]:
    """The frames of a configuration: one, or of CFG-3 so many that none exceeds `largest` bytes.

    `kind` is the configuration's own when not given. What a kind cannot express is lost: CFG-1 and CFG-2 cut
    names to 16 ASCII characters, know no component, no angle offset, and scales in steps of 1e-5.
    """
    kind = configuration.kind if kind is None else kind
    if kind not in CONFIGURATIONS:
        raise FrameError(f"{kind.name} is no configuration frame")
    text = struct.pack(">IH", configuration.time_base, len(configuration.pmus))
    text += b"".join(_encode_pmu(pmu, kind) for pmu in configuration.pmus)
    text += struct.pack(">h", configuration.data_rate)
    if kind != FrameKind.CFG3:
        return [seal(kind, configuration.idcode, text, stamp)]
    room = largest - SMALLEST - 2
    parts = [text[at : at + room] for at in range(0, len(text), room)]
    numbers = [0] if len(parts) == 1 else [*range(1, len(parts)), 0xFFFF]
    return [
        seal(kind, configuration.idcode, number.to_bytes(2, "big") + part, stamp)
        for number, part in zip(numbers, parts, strict=True)
    ]


class Fragments:
    """Puts the fragments of CFG-3 frames together, in the order in which they come."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, frame: bytes) -> Configuration | None:
        """The configuration that a frame of any kind completes; None if more of it is to come.

        Raises FrameError when a fragment is missing or the whole contradicts itself; the next first fragment
        begins anew.
        """
        first = head(frame)
        text = body(frame)
        if first.kind != FrameKind.CFG3 or text[:2] == b"\0\0":
            self._forget()
            return decode_configuration(frame)
        if len(text) < 2 or first.size != len(frame):
            raise FrameError("a fragment of a CFG-3 frame is cut short")
        number = int.from_bytes(text[:2], "big")
        if number == 1:
            self._forget()
        elif number not in (len(self._parts) + 1, 0xFFFF) or not self._parts:
            self._forget()
            raise FrameError(f"fragment {number} of a CFG-3 frame comes out of turn")
        self._parts.append(text[2:])
        self._size += len(text)
        if len(self._parts) > _MOST_FRAGMENTS or self._size > _MOST_BYTES:
            self._forget()
            raise FrameError("a CFG-3 frame goes on without end")
        if number != 0xFFFF:
            return None
        whole = b"".join(self._parts)
        self._forget()
        return decode_body(FrameKind.CFG3, first.idcode, whole)

    def _forget(self) -> None:
        self._parts, self._size = [], 0


def renamed(configuration: Configuration, stations: Sequence[str]) -> Configuration:
    """The same configuration with other station names, one for each PMU."""
    pmus = (replace(pmu, station=name) for pmu, name in zip(configuration.pmus, stations, strict=True))
    return replace(configuration, pmus=tuple(pmus))


class _Reader:
    """Reads fields one behind the other and refuses to read beyond the end."""

    def __init__(self, text: bytes, long_names: bool) -> None:
        self._text, self._at = text, 0
        self._long_names = long_names

    @property
    def left(self) -> int:
        return len(self._text) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise FrameError("the configuration ends in the middle of a field")
        self._at += count
        return self._text[self._at - count : self._at]

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def floats(self, count: int) -> tuple[float, ...]:
        return struct.unpack(f">{count}f", self.take(4 * count))

    def name(self) -> str:
        if self._long_names:
            return self.take(self.take(1)[0]).decode("utf-8", "replace").strip(" \0")
        # Some devices end a name with a zero byte and leave old bytes behind it.
        return self.take(NAME_SIZE).split(b"\0", 1)[0].decode("utf-8", "replace").strip()

    def names(self, count: int) -> tuple[str, ...]:
        if count * (1 if self._long_names else NAME_SIZE) > self.left:
            raise FrameError(f"the configuration announces {count} names and has no room for them")
        return tuple(self.name() for _ in range(count))


def _decode_pmu(reader: _Reader, kind: FrameKind) -> Pmu:
    long = kind == FrameKind.CFG3
    station = reader.name()
    (idcode,) = reader.unpack(">H")
    global_id = reader.take(16) if long else bytes(16)
    form, phasors, analogs, digitals = reader.unpack(">HHHH")
    phasor_names, analog_names = reader.names(phasors), reader.names(analogs)
    digital_names = reader.names(16 * digitals)
    decode_phasor, decode_analog = (_phasor3, _analog3) if long else (_phasor2, _analog2)
    pmu = Pmu(
        station,
        idcode,
        tuple(decode_phasor(reader, name) for name in phasor_names),
        tuple(decode_analog(reader, name) for name in analog_names),
        tuple(
            Digital(digital_names[16 * word : 16 * word + 16], *reader.unpack(">HH"))
            for word in range(digitals)
        ),
        polar=bool(form & 1),
        float_phasors=bool(form & 2),
        float_analogs=bool(form & 4),
        float_frequency=bool(form & 8),
    )
    place = _decode_place(reader, global_id) if long else pmu.place
    nominal, changes = reader.unpack(">HH")
    return replace(pmu, place=place, nominal_frequency=50.0 if nominal & 1 else 60.0, change_count=changes)


def _phasor2(reader: _Reader, name: str) -> Phasor:
    (unit,) = reader.unpack(">I")
    return Phasor(name, unit >> 24 == 1, (unit & 0xFFFFFF) * 1e-5)


def _phasor3(reader: _Reader, name: str) -> Phasor:
    flags, kind, _ = reader.unpack(">HBB")
    scale, offset = reader.floats(2)
    component = _COMPONENTS.get(kind & 7, "")
    return Phasor(name, bool(kind & _CURRENT), scale, offset, component, flags)


def _analog2(reader: _Reader, name: str) -> Analog:
    (unit,) = reader.unpack(">I")
    scale = (unit & 0xFFFFFF) - ((unit & 0x800000) << 1)
    return Analog(name, _ANALOGS.get(unit >> 24, "other"), user_scale=scale)


def _analog3(reader: _Reader, name: str) -> Analog:
    scale, offset = reader.floats(2)
    return Analog(name, scale=scale, offset=offset)


def _decode_place(reader: _Reader, global_id: bytes) -> Place:
    latitude, longitude, elevation = (
        value if math.isfinite(value) else math.nan for value in reader.floats(3)
    )
    letter = reader.take(1)
    window, delay = reader.unpack(">ii")
    service: ServiceClass = "M" if letter == b"M" else "P" if letter == b"P" else ""
    return Place(latitude, longitude, elevation, service, window * 1e-6, delay * 1e-6, global_id)


def _encode_pmu(pmu: Pmu, kind: FrameKind) -> bytes:
    long = kind == FrameKind.CFG3
    name = _long_name if long else _short_name
    bits = (pmu.polar, pmu.float_phasors, pmu.float_analogs, pmu.float_frequency)
    form = sum(bit << place for place, bit in enumerate(bits))
    names = [phasor.name for phasor in pmu.phasors] + [analog.name for analog in pmu.analogs]
    for word in pmu.digitals:
        names += [*word.names, *[""] * 16][:16]
    text = name(pmu.station) + struct.pack(">H", pmu.idcode)
    if long:
        text += pmu.place.global_id
    text += struct.pack(">HHHH", form, len(pmu.phasors), len(pmu.analogs), len(pmu.digitals))
    text += b"".join(map(name, names))
    if long:
        text += b"".join(
            struct.pack(">HBBff", p.flags, _CODES[p.component] | _CURRENT * p.current, 0, p.scale, p.offset)
            for p in pmu.phasors
        )
        text += b"".join(struct.pack(">ff", analog.scale, analog.offset) for analog in pmu.analogs)
    else:
        text += b"".join(
            struct.pack(">I", p.current << 24 | min(0xFFFFFF, max(0, round(p.scale * 1e5))))
            for p in pmu.phasors
        )
        text += b"".join(
            struct.pack(">I", _ANALOG_CODES[a.kind] << 24 | a.user_scale & 0xFFFFFF) for a in pmu.analogs
        )
    text += b"".join(struct.pack(">HH", word.normal, word.valid) for word in pmu.digitals)
    if long:
        text += _encode_place(pmu.place)
    return text + struct.pack(">HH", pmu.nominal_frequency == 50.0, pmu.change_count & 0xFFFF)


def _encode_place(place: Place) -> bytes:
    where = (place.latitude, place.longitude, place.elevation)
    letter = place.service_class.encode() or b"\0"
    text = struct.pack(">fff", *(math.inf if math.isnan(value) else value for value in where))
    return text + letter + struct.pack(">ii", round(place.window * 1e6), round(place.group_delay * 1e6))


def _short_name(text: str) -> bytes:
    return text.encode("ascii", "replace")[:NAME_SIZE].ljust(NAME_SIZE)


def _long_name(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if len(data) > LONGEST_NAME:
        data = data[:LONGEST_NAME].decode("utf-8", "ignore").encode()
    return bytes([len(data)]) + data


__all__ = [
    "Analog",
    "AnalogKind",
    "Component",
    "Configuration",
    "Digital",
    "Fragments",
    "Phasor",
    "Place",
    "Pmu",
    "decode_body",
    "decode_configuration",
    "encode_configuration",
    "renamed",
]
