"""The way from the PMUs into the recording: stuck channels, and frames lost, late, repeated or reordered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridtop.simulation.events import (
    Event,
    LateFrames,
    MissingFrames,
    ReorderedFrames,
    RepeatedFrames,
    StuckChannel,
)
from gridtop.simulation.instruments import COLUMNS_PER_RELAY, NUMERIC_COLUMNS
from gridtop.simulation.network import RELAYS, Floats, Relay

SORTED_BY_ARRIVAL = 0x1000
"""STAT bit 12 of IEEE C37.118.2-2011: the data are sorted by arrival, not by time."""

Rows = npt.NDArray[np.int64]
_Shuffle = MissingFrames | RepeatedFrames | ReorderedFrames


class Transmission:
    """The concentrator of the four PMUs, second by second."""

    def __init__(self, rate: int, random: np.random.Generator) -> None:
        self._rate = rate
        self._random = random
        self._previous: Floats | None = None
        self._held: dict[StuckChannel, float] = {}

    def deliver(self, values: Floats, events: Sequence[Event], time: Floats) -> tuple[Floats, Rows]:
        """A second's readings (rate, 128) as they arrive, and which frame each row of the stream is.

        `time` (rate,) is that of the frames in seconds. What becomes of whole rows is in the second result:
        it skips those that are lost, names twice those that are repeated, and changes the order of others.
        """
        sent = values
        rows: Rows = np.arange(self._rate)
        for event in events:
            on = (time >= event.start) & (time < event.end)
            match event:
                case StuckChannel():
                    values = self._stuck(values, event, on)
                case LateFrames():
                    values = self._late(values, sent, event, on)
                case MissingFrames() | RepeatedFrames() | ReorderedFrames():
                    # Drawn for every frame of the second, so that nothing depends on when it was asked for.
                    struck = on & (self._random.uniform(size=self._rate) < event.share)
                    if event.relays:
                        values = self._shuffled(values, sent, event, struck)
                    else:
                        rows = _shuffled_rows(rows, event, struck)
        self._previous = sent
        return values, rows

    def _stuck(self, values: Floats, event: StuckChannel, on: npt.NDArray[np.bool_]) -> Floats:
        if not on.any():
            self._held.pop(event, None)
            return values
        column = NUMERIC_COLUMNS.index(event.column)
        values = values.copy()
        values[on, column] = self._held.setdefault(event, float(values[np.argmax(on), column]))
        return values

    def _late(self, values: Floats, sent: Floats, event: LateFrames, on: npt.NDArray[np.bool_]) -> Floats:
        late = round(event.delay * self._rate)
        columns = _columns(event.relay)
        both = np.concatenate([self._before(sent), sent])
        earlier = both[self._rate - late : len(both) - late, columns]
        values = values.copy()
        values[on, columns] = earlier[on]
        return _sorted_by_arrival(values, event.relay, on)

    def _shuffled(
        self, values: Floats, sent: Floats, event: _Shuffle, struck: npt.NDArray[np.bool_]
    ) -> Floats:
        values = values.copy()
        before = np.concatenate([self._before(sent)[-1:], sent[:-1]])
        for relay in event.relays:
            columns = _columns(relay)
            match event:
                case MissingFrames():
                    values[struck, columns] = np.nan
                case RepeatedFrames():
                    values[struck, columns] = before[struck, columns]
                case ReorderedFrames():
                    order = _swapped(np.arange(self._rate), struck)
                    values[:, columns] = values[order, columns]
                    values = _sorted_by_arrival(values, relay, order != np.arange(self._rate))
        return values

    def _before(self, sent: Floats) -> Floats:
        """The second before; of the very first one, its first frame all along."""
        return np.repeat(sent[:1], self._rate, axis=0) if self._previous is None else self._previous


def _shuffled_rows(rows: Rows, event: _Shuffle, struck: npt.NDArray[np.bool_]) -> Rows:
    result: Rows
    match event:
        case MissingFrames():
            result = rows[~struck[rows]]
        case RepeatedFrames():
            result = np.repeat(rows, 1 + struck[rows])
        case ReorderedFrames():
            result = _swapped(rows, struck[rows])
    return result


def _swapped(rows: Rows, struck: npt.NDArray[np.bool_]) -> Rows:
    """Rows 0 and 1, 2 and 3, ... in the other order where the first of them is struck."""
    pairs = np.flatnonzero(struck[: len(rows) // 2 * 2 : 2]) * 2
    swapped = rows.copy()
    swapped[pairs], swapped[pairs + 1] = rows[pairs + 1], rows[pairs]
    return swapped


def _columns(relay: Relay) -> slice:
    number = RELAYS.index(relay)
    return slice(COLUMNS_PER_RELAY * number, COLUMNS_PER_RELAY * (number + 1))


def _sorted_by_arrival(values: Floats, relay: Relay, on: npt.NDArray[np.bool_]) -> Floats:
    status = NUMERIC_COLUMNS.index(f"{relay}:S")
    words = values[on, status]
    known = ~np.isnan(words)
    words[known] = words[known].astype(np.int64) | SORTED_BY_ARRIVAL
    values[on, status] = words
    return values
