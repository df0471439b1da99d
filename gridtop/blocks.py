"""Block: consecutive frames as read-only arrays, the only thing that travels through the monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from gridtop.channels import ChannelSet

Times = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint16]
Labels = npt.NDArray[np.str_]


class Quality(IntFlag):
    """Why a value is not to be trusted; 0 is good. One bit a reason, in `Block.quality`.

    A value with one of `NO_VALUE` is NaN. One with any of `DOUBTFUL` is there, but must not raise an alarm
    about the grid: it says something about instruments, clocks and links. Names after the measurement
    states of the Grid Solutions Framework.
    """

    MISSING = 1
    """The recording or the device gave no value."""
    UNREADABLE = 2
    """There was a value, but it is not a number."""
    INFINITE = 4
    """The value was plus or minus infinity (an impedance without current, for example)."""
    BAD = 8
    """The device gave a value and says that it is not to be used, or it is an instrument's error code."""
    OUT_OF_RANGE = 16
    """Beyond what is plausible for its quantity."""
    FLATLINE = 32
    """The value has not changed for seconds while its neighbours moved."""
    LATE = 64
    """The value belongs to an earlier instant, or was put in order by arrival."""
    UNSYNCHRONISED = 128
    """The device's clock is not locked to UTC: angles cannot be compared with those of other terminals."""
    SUSPECT = 256
    """The device or the concentrator doubts the value for another reason."""
    CALCULATED = 512
    """Calculated from doubtful values."""


NO_VALUE = Quality.MISSING | Quality.UNREADABLE | Quality.INFINITE | Quality.BAD
DOUBTFUL = (
    Quality.OUT_OF_RANGE
    | Quality.FLATLINE
    | Quality.LATE
    | Quality.UNSYNCHRONISED
    | Quality.SUSPECT
    | Quality.CALCULATED
)


@dataclass(frozen=True, slots=True)
class Block:
    """n consecutive frames of c channels.

    time     (n,)    measurement time, UTC, datetime64[ns], strictly increasing
    values   (n, c)  float64 in the channel's unit; NaN is missing, infinities do not occur
    quality  (n, c)  `Quality` flags, or None when every value is good
    labels   each (n,) text: the ground truth of a labelled recording; often empty
    row      number of the first frame in its recording or stream, from 0

    The arrays are made read-only. Raises ValueError when the shapes do not agree.
    """

    channels: ChannelSet
    time: Times
    values: Floats
    quality: Flags | None = None
    labels: Mapping[str, Labels] = field(default_factory=dict)
    row: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.time), len(self.channels))
        if self.time.ndim != 1 or self.values.shape != shape:
            raise ValueError(
                f"a block of {shape[0]} frames and {shape[1]} channels got values {self.values.shape}"
            )
        if self.quality is not None and self.quality.shape != shape:
            raise ValueError(f"values are {shape} but quality is {self.quality.shape}")
        for name, label in self.labels.items():
            if label.shape != self.time.shape:
                raise ValueError(f"label {name!r} has shape {label.shape} for {shape[0]} frames")
        for array in (self.time, self.values, self.quality, *self.labels.values()):
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """(n,) the row number of each frame."""
        return np.arange(self.row, self.row + len(self), dtype=np.int64)

    def slice(self, start: int, stop: int) -> Block:
        """Frames start to stop (exclusive, counted within the block) as views, without copying."""
        start, stop, _ = slice(start, stop).indices(len(self))
        cut = slice(start, stop)
        return Block(
            self.channels,
            self.time[cut],
            self.values[cut],
            None if self.quality is None else self.quality[cut],
            {name: label[cut] for name, label in self.labels.items()},
            self.row + start,
        )

    def pick(self, columns: Sequence[int], channels: ChannelSet | None = None) -> Block:
        """The same frames with only the given columns."""
        index = list(columns)
        return Block(
            channels or self.channels.subset(columns),
            self.time,
            self.values[:, index],
            None if self.quality is None else self.quality[:, index],
            self.labels,
            self.row,
        )


def seconds_to_time(seconds: npt.ArrayLike, epoch: str = "1970-01-01") -> Times:
    """(n,) seconds since `epoch` as datetime64[ns], rounded to the nanosecond."""
    nanoseconds = np.round(np.asarray(seconds, dtype=np.float64) * 1e9).astype("timedelta64[ns]")
    times: Times = np.datetime64(epoch, "ns") + nanoseconds
    return times
