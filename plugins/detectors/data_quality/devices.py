"""Devices: the columns of each terminal, what is wrong with them in a frame, and how to say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.api import Channel, ChannelSet, Quality, Site

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEAD_VOLTAGE_PU = 0.1
"""Without more voltage there is no frequency, and that it is empty is no defect (IEEE 1159: interruption)."""

_MESSENGERS = ("status", "log", "label", "time", "digital")
_DOUBTFUL = Quality.SUSPECT | Quality.LATE | Quality.OUT_OF_RANGE
_REPEATED = 1 << 12
"""Stands for LATE in the notes where a frame is that of the row before; no flag has this bit."""
_SEQUENCES = {"+": "positive-sequence", "-": "negative-sequence", "0": "zero-sequence"}


@dataclass(frozen=True, slots=True)
class Facts:
    """(n, k) for each frame and device.

    missing   cells without a value
    bad       how many of these the device or an error code gave up
    doubtful  0, or 1 + the first column concerned, times the flags there
    flat      0, or 1 + the first column that stands still
    unlocked  0 or 1
    repeated  0 or 1: late, and all values are those of the frame before
    """

    missing: Counts
    bad: Counts
    doubtful: Counts
    flat: Counts
    unlocked: Counts
    repeated: Counts

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Facts:
        """Nothing is wrong."""
        return cls(*np.zeros((6, *shape), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Device:
    """A terminal: its columns (k,), and which of them are what.

    `counts` (k,) are the cells that must be there, `undefined` (k,) those that need a voltage to exist;
    `voltages` (v,) and `limits` (v,) say when there is none.
    """

    name: str
    columns: npt.NDArray[np.intp]
    channels: tuple[Channel, ...]
    counts: Bools
    undefined: Bools
    voltages: npt.NDArray[np.intp]
    limits: Floats

    @property
    def counted(self) -> int:
        """How many cells of a frame must be there."""
        return max(1, int(self.counts.sum()))

    def gather(
        self,
        i: int,
        facts: Facts,
        values: Floats,
        flags: npt.NDArray[np.uint16],
        before: Floats,
        awaited: Bools | None = None,
    ) -> None:
        """Note in column `i` of the facts what (n, k) values and flags of this device say.

        `before` (k,) are the values of the frame before the first one, `awaited` (n, k) what is not missing
        yet because it may still come for the first time.
        """
        gone = np.isnan(values)
        if awaited is not None:
            gone[awaited & ((flags & np.uint16(Quality.BAD)) == 0)] = False
        gone[:, ~self.counts] = False
        gone[(flags & np.uint16(Quality.INFINITE)) != 0] = False
        doubtful = (flags & _DOUBTFUL).astype(np.uint16)
        excused = self._dead(values)[:, np.newaxis] & self.undefined
        gone[excused] = False
        doubtful[excused] &= ~np.uint16(Quality.SUSPECT)
        repeated = _repeated(values, flags, before)
        late = repeated[:, np.newaxis] & ((doubtful & Quality.LATE) != 0)
        doubtful[late] ^= np.uint16(Quality.LATE | _REPEATED)
        facts.repeated[:, i] = repeated
        facts.missing[:, i] = np.count_nonzero(gone, axis=1)
        facts.bad[:, i] = np.count_nonzero(gone & ((flags & Quality.BAD) != 0), axis=1)
        facts.doubtful[:, i] = _first(doubtful)
        facts.flat[:, i] = _first(flags & np.uint16(Quality.FLATLINE)) % (len(self.channels) + 1)
        facts.unlocked[:, i] = (flags & np.uint16(Quality.UNSYNCHRONISED)).any(axis=1)

    def _dead(self, values: Floats) -> Bools:
        """(n,) where the device has a voltage to measure and there is none."""
        voltages = values[:, self.voltages]
        low = voltages <= self.limits
        return np.logical_and(low.any(axis=1), (low | np.isnan(voltages)).all(axis=1))

    def reason(
        self, defect: int, now: int, bad: int, share: int, standing: int, *, window: str, short: str
    ) -> str:
        """The defect in words: `R1: 12 of 28 values missing`; both windows in words, too.

        `standing` is for how many tenths of a second the device has given no new values, 0 when it has.
        """
        if standing and defect in (1, 4):
            return f"{self.name}: no new values for {standing / 10:g} s"
        if defect == 0:
            if not now:
                return f"{self.name}: {share / 10:g} % of the values of the last {window} are missing"
            if 2 * bad > now:
                return f"{self.name}: {bad} of {self.counted} values are marked as not to be used"
            return f"{self.name}: {now} of {self.counted} values missing"
        if defect == 1:
            return f"{self._doubt(now)}, {share / 10:g} % of the frames of the last {window}"
        if defect == 2:
            return f"{self._called(now - 1)} stands still while its neighbours move"
        if defect == 4:
            return f"{self.name}: {share} repeated frames in {short}"
        return f"{self.name}: the clock is not synchronised, for {share} s"

    def _doubt(self, now: int) -> str:
        flags, column = divmod(now, len(self.channels) + 1)
        if flags & Quality.OUT_OF_RANGE:
            return f"{self._called(column - 1)} is not plausible"
        if flags & _REPEATED:
            return f"{self.name}: repeated frames"
        if flags & Quality.LATE:
            return f"{self.name}: frames late or sorted by arrival"
        return f"{self.name}: values that the device doubts" if flags else f"{self.name}: doubtful values"

    def _called(self, column: int) -> str:
        """`R2 B voltage angle`."""
        channel = self.channels[column]
        words = _words(channel)
        unclear = channel.quantity == "other" or sum(_words(other) == words for other in self.channels) > 1
        return channel.name if unclear or not channel.terminal else f"{self.name} {words}"


def devices_of(channels: ChannelSet, site: Site) -> list[Device]:
    """The terminals and their columns; channels without a terminal belong to the system."""
    of_device: dict[str, list[int]] = {}
    for column, channel in enumerate(channels):
        if channel.quantity not in _MESSENGERS and channel.part != "status" and not channel.derived:
            of_device.setdefault(channel.terminal or "system", []).append(column)
    devices = []
    for name, columns in of_device.items():
        mine = tuple(channels[i] for i in columns)
        nominal = site.line_to_neutral(name) or 0.0
        voltages = [
            i
            for i, channel in enumerate(mine)
            if channel.quantity == "voltage" and channel.part != "angle" and channel.phase not in ("-", "0")
        ]
        # Between two lines it is larger by the root of 3; for a dead bus the smaller base will do.
        limits = [DEAD_VOLTAGE_PU * (1.0 if mine[i].unit == "pu" else nominal) for i in voltages]
        devices.append(
            Device(
                name,
                np.array(columns, dtype=np.intp),
                mine,
                np.array([channel.quantity != "impedance" for channel in mine]),
                np.array([channel.quantity in ("frequency", "rocof") for channel in mine]),
                np.array(voltages, dtype=np.intp),
                np.array(limits),
            )
        )
    return devices


def _words(channel: Channel) -> str:
    """`B voltage angle`."""
    phase, quantity = _SEQUENCES.get(channel.phase, channel.phase), channel.quantity.replace("_", " ")
    angle = "angle" if channel.part == "angle" else ""
    return " ".join(word for word in (phase, quantity, angle) if word)


def _repeated(values: Floats, flags: npt.NDArray[np.uint16], before: Floats) -> Bools:
    """(n,) which late frames of (n, k) values are, bit for bit, the one before."""
    repeated: Bools = ((flags & np.uint16(Quality.LATE)) != 0).any(axis=1)
    late = np.flatnonzero(repeated)
    if len(late):
        now, then = values[late], values[late - 1]
        if late[0] == 0:
            then[0] = before
        there = ~np.isnan(now)
        same = ((now == then) | (~there & np.isnan(then))).all(axis=1)
        repeated[late] = same & there.any(axis=1)
    return repeated


def _first(flags: npt.NDArray[np.uint16]) -> Counts:
    """(n,) of (n, k) flags: 0 for none, else 1 + the first column with any, and (k + 1) times its flags."""
    column = (flags != 0).argmax(axis=1)
    found = np.take_along_axis(flags, column[:, np.newaxis], axis=1)[:, 0].astype(np.int64)
    return np.where(found > 0, 1 + column + found * (flags.shape[1] + 1), 0)
