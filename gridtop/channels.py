"""What the columns of a block mean: channels with quantity, unit, terminal, phase and part."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, overload

Part = Literal["magnitude", "angle", "value", "status"]
Reference = Literal["", "line_to_line", "line_to_neutral"]
Clock = Literal["utc", "row"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One named series of measurements.

    `name` is how the channel is addressed everywhere; it holds no control characters. `quantity` is a
    word such as `voltage`, `current`, `impedance`, `frequency`, `rocof`, `status`, `log`, `other`, or
    the name of a derived quantity (`voltage_pu`). `phase` is `A`, `B`, `C`, `AB`, `BC`, `CA`, a
    sequence component `+`, `-`, `0`, or empty. `reference` is only filled for voltages. `derived` is true
    of quantities, which are computed and not measured. `order` is the harmonic's (5 = fifth) of a
    `voltage_harmonic` or `current_harmonic`, else 0.
    """

    name: str
    quantity: str = "other"
    unit: str = ""
    terminal: str = ""
    phase: str = ""
    part: Part = "value"
    reference: Reference = ""
    derived: bool = False
    order: int = 0

    @property
    def base_name(self) -> str:
        """The name without its phase: `R1:voltage_pu` for `R1:voltage_pu.A`."""
        stem, dot, phase = self.name.rpartition(".")
        return stem if dot and phase == self.phase else self.name


@dataclass(frozen=True, slots=True)
class ChannelSet(Sequence[Channel]):
    """The channels of a stream, in the order of the columns of its blocks.

    `rate` is the nominal number of frames per second (None when unknown). `clock` says whether the
    time of a frame is a measured instant (`utc`) or made up from its row number (`row`); the events
    of a `row` stream carry no time.

    Raises ValueError when two channels have one name.
    """

    channels: tuple[Channel, ...]
    rate: float | None = None
    clock: Clock = "utc"
    _positions: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for position, channel in enumerate(self.channels):
            if self._positions.setdefault(channel.name, position) != position:
                raise ValueError(f"two channels are called {channel.name!r}")

    def __len__(self) -> int:
        return len(self.channels)

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.channels)

    @overload
    def __getitem__(self, index: int) -> Channel: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Channel, ...]: ...
    def __getitem__(self, index: int | slice) -> Channel | tuple[Channel, ...]:
        return self.channels[index]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all channels, in column order."""
        return tuple(channel.name for channel in self.channels)

    def position(self, name: str) -> int:
        """The column of the channel called `name`; KeyError when there is none."""
        return self._positions[name]

    def select(self, patterns: Iterable[str]) -> tuple[int, ...]:
        """The columns that the globs choose, in column order.

        A pattern that begins with `!` takes channels away again; patterns apply in order. A pattern
        without a phase takes all phases of a name (`R1:voltage_pu` takes `R1:voltage_pu.A`). Only a pattern
        with a colon means derived quantities, so that `*` and `R1*` are what was measured.
        """
        chosen: set[int] = set()
        for pattern in patterns:
            taken = {
                i for i, channel in enumerate(self.channels) if matches(channel, pattern.removeprefix("!"))
            }
            chosen = chosen - taken if pattern.startswith("!") else chosen | taken
        return tuple(sorted(chosen))

    def subset(self, columns: Sequence[int]) -> ChannelSet:
        """The channels of the given columns, as a set of their own on the same clock."""
        return ChannelSet(tuple(self.channels[i] for i in columns), self.rate, self.clock)

    def extended(self, more: Iterable[Channel]) -> ChannelSet:
        """This set with `more` channels behind its own; ValueError when a name is taken."""
        return ChannelSet((*self.channels, *more), self.rate, self.clock)


@functools.lru_cache(maxsize=65536)
def matches(channel: Channel, pattern: str) -> bool:
    """Whether a glob means this channel, by its full name or by its name without the phase.

    A derived quantity is only meant by a glob with a colon.
    """
    if channel.derived and ":" not in pattern:
        return False
    return any(name == pattern or fnmatchcase(name, pattern) for name in (channel.name, channel.base_name))
