"""When a device measures: frames at k/rate from the UTC second, as IEEE C37.118.2-2011 asks."""

from __future__ import annotations

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000
_LARGEST_RATE = 0x7FFF


@dataclass(frozen=True, slots=True)
class FrameClock:
    """The instants of the frames of one stream, numbered from 1970.

    `data_rate` is the DATA_RATE of a configuration: frames a second, or below zero seconds a frame. Times are
    nanoseconds since 1970, UTC.
    """

    data_rate: int

    @property
    def rate(self) -> float:
        """Frames a second."""
        return float(self.data_rate) if self.data_rate > 0 else -1.0 / self.data_rate

    def at(self, number: int) -> int:
        """When a frame is measured."""
        if self.data_rate > 0:
            return (number * NANOSECONDS + self.data_rate // 2) // self.data_rate
        return number * -self.data_rate * NANOSECONDS

    def next_after(self, time: int) -> int:
        """The number of the first frame after a moment."""
        if self.data_rate > 0:
            number = time * self.data_rate // NANOSECONDS
        else:
            number = time // (-self.data_rate * NANOSECONDS)
        while self.at(number) <= time:
            number += 1
        return number


def data_rate(rate: float) -> int:
    """The DATA_RATE that is nearest to so many frames a second; ValueError when there is none."""
    nearest = round(rate) if rate >= 1 else -round(1 / rate) if rate > 0 else 0
    if nearest == 0 or abs(nearest) > _LARGEST_RATE:
        raise ValueError(f"{rate:g} frames a second cannot be said in a frame: 32767 down to one in 32767 s")
    return nearest
