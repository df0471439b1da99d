"""What a stream of synchrophasors carries: PMUs with their phasors, analog values and digital words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from gridtop.synchrophasor.frames import SMALLEST, TIME_BASE, FrameKind

PLAUSIBLE_DEVIATION_HZ = 5.0
"""A frequency that is further from nominal is a filling, such as the 65.536 Hz of absent PMUs."""

Component = Literal["", "0", "+", "-", "A", "B", "C"]
AnalogKind = Literal["instant", "rms", "peak", "other"]
ServiceClass = Literal["", "M", "P"]


@dataclass(frozen=True, slots=True)
class Phasor:
    """One phasor. `scale` is V or A per count; with floats it only applies in CFG-3, where it is usually 1.

    `offset` is an angle in radians that is subtracted (CFG-3). `component` is empty when not known: CFG-1 and
    CFG-2 do not tell. `flags` are CFG-3's, which say how the device has modified the phasor.
    """

    name: str
    current: bool = False
    scale: float = 1.0
    offset: float = 0.0
    component: Component = ""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Analog:
    """One analog value: the number sent times `scale` plus `offset`, of which only CFG-3 speaks.

    `user_scale` is CFG-1's and CFG-2's signed 24-bit number "for user-defined scaling". What it means is up
    to the maker, so it is not applied.
    """

    name: str
    kind: AnalogKind = "instant"
    scale: float = 1.0
    offset: float = 0.0
    user_scale: int = 0


@dataclass(frozen=True, slots=True)
class Digital:
    """A word of 16 digital inputs: names from bit 0 on, their normal states, and which of them are in use."""

    names: tuple[str, ...]
    normal: int = 0
    valid: int = 0xFFFF


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What CFG-3 says about a PMU beyond its channels; NaN where it is not said. Degrees, metres, seconds.

    Two places of which the same is not said are the same place.
    """

    latitude: float = math.nan
    longitude: float = math.nan
    elevation: float = math.nan
    service_class: ServiceClass = ""
    window: float = 0.0
    group_delay: float = 0.0
    global_id: bytes = bytes(16)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def _said(self) -> tuple[object, ...]:
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(None if isinstance(value, float) and math.isnan(value) else value for value in values)


@dataclass(frozen=True, slots=True)
class Pmu:
    """One PMU of a stream: how it writes its numbers, and its channels in the order of the frame.

    polar, float_phasors, float_analogs, float_frequency   the four bits of FORMAT
    nominal_frequency                                      50 or 60 Hz
    change_count                                           CFGCNT, which rises with each change
    """

    station: str
    idcode: int
    phasors: tuple[Phasor, ...] = ()
    analogs: tuple[Analog, ...] = ()
    digitals: tuple[Digital, ...] = ()
    polar: bool = True
    float_phasors: bool = True
    float_analogs: bool = True
    float_frequency: bool = True
    nominal_frequency: float = 60.0
    change_count: int = 0
    place: Place = field(default_factory=Place)

    @property
    def size(self) -> int:
        """Bytes of this PMU in a data frame."""
        phasors = len(self.phasors) * (8 if self.float_phasors else 4)
        analogs = len(self.analogs) * (4 if self.float_analogs else 2)
        return 2 + phasors + (8 if self.float_frequency else 4) + analogs + 2 * len(self.digitals)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a stream carries. `data_rate`: frames per second, or if negative seconds per frame."""

    idcode: int
    pmus: tuple[Pmu, ...]
    data_rate: int
    time_base: int = TIME_BASE
    kind: FrameKind = FrameKind.CFG2

    @property
    def data_size(self) -> int:
        """Bytes of a data frame."""
        return SMALLEST + sum(pmu.size for pmu in self.pmus)

    @property
    def rate(self) -> float | None:
        """Frames per second; None when the device does not say."""
        if not self.data_rate:
            return None
        return float(self.data_rate) if self.data_rate > 0 else -1.0 / self.data_rate
