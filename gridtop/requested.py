"""Quantities that only a screen asks for: computed from the history, then followed block by block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridtop.baseline import Baseline
from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import Telemetry, TelemetryRequest
from gridtop.history import History
from gridtop.quantities import Quantities
from gridtop.site import Site

MOST = 64
"""Quantities followed at once; the one that was asked for longest ago gives way."""
CAPACITY = 4 << 20
"""Bytes of values kept of them."""


class Requested:
    """What screens see beyond the channels that rules and detectors need.

    `measured` are the channels of the source, `known` all those the history holds already. `offered` are
    the quantities that could be asked for besides. Nothing is computed until something is asked for.
    """

    def __init__(
        self, measured: ChannelSet, known: ChannelSet, site: Site, baseline: Baseline | None = None
    ) -> None:
        self._measured, self._site, self._baseline = measured, site, baseline
        held = set(known.names)
        everything = Quantities(measured, site, baseline=baseline).channels
        self.offered = tuple(channel for channel in everything if channel.name not in held)
        self._names = {channel.name for channel in self.offered}
        self._asked: dict[str, None] = {}  # in the order of when they were last asked for
        self._quantities: Quantities | None = None
        self._history: History | None = None

    @property
    def followed(self) -> tuple[str, ...]:
        """The quantities that are computed at present, the one asked for longest ago first."""
        return tuple(self._asked)

    def add(self, block: Block) -> None:
        """Follow the next block of the stream; it has the measured channels first."""
        if self._quantities is None or self._history is None:
            return
        measured = range(len(self._measured))
        block = self._quantities.extend(block.pick(measured, self._measured))
        derived = range(len(measured), len(block.channels))
        self._history.add(block.pick(derived, self._history.channels))

    def clear(self) -> None:
        """A new pass begins."""
        if self._quantities is not None and self._history is not None:
            self._quantities.restart()
            self._history.clear()

    def telemetry(self, request: TelemetryRequest, history: History) -> Telemetry:
        """The envelope of channels of the history and of offered quantities."""
        answer = history.telemetry(request)
        wanted = {name: i for i, name in enumerate(request.channels) if name in self._names}
        if not wanted:
            return answer
        self._follow(wanted, history)
        assert self._history is not None
        own = self._history.telemetry(TelemetryRequest(tuple(wanted), request.window, request.buckets))
        rows = np.array(list(wanted.values()), dtype=np.intp)
        for name in ("minimum", "maximum", "latest", "lowest", "highest", "stale", "doubtful"):
            getattr(answer, name)[rows] = getattr(own, name)
        return answer if answer.end is not None else replace(answer, end=own.end)

    def _follow(self, wanted: dict[str, int], history: History) -> None:
        """See to it that these are followed; what is new is computed from the frames that are kept."""
        new = wanted.keys() - self._asked.keys()
        for name in wanted:
            self._asked.pop(name, None)
            self._asked[name] = None
        if not new:
            return
        for name in list(self._asked)[: max(0, len(self._asked) - MOST)]:
            del self._asked[name]
        self._quantities = Quantities(self._measured, self._site, tuple(self._asked), self._baseline)
        derived = range(len(self._measured), len(self._quantities.channels))
        self._history = History(self._quantities.channels.subset(derived), CAPACITY)
        if (past := history.frames(self._measured)) is not None:
            self.add(past)
