"""Where a run stands in its stream: what of it is saved, and how the next run goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridtop.alarms.saved import VERSION
from gridtop.announcements import noticed
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.journal import Saved
from gridtop.journal_settings import JournalSettings
from gridtop.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a run begins: the first row to be judged, in which pass, and the row where that pass began.

    `saved` is what it goes on from, None when it begins anew.
    """

    row: int = 0
    pass_number: int = 1
    begun: int = 0
    saved: Saved | None = None

    def anew(self, live: bool) -> Beginning:
        """Where the run begins if what was saved cannot be used: a recording is played again, which tells
        nothing twice."""
        return Beginning(pass_number=self.pass_number if live else 1)


def beginning(saved: Saved | None, *, live: bool, resume: bool) -> Beginning:
    """Where a run begins whose source was `saved` last; without `resume` nothing is gone on with.

    A recording goes on at its row; one that had come to its end is played again. A live stream begins a new
    pass, for its rows count anew: always, because events of the same pass and row would have the same ids.
    """
    if saved is None:
        return Beginning()
    if live:
        return Beginning(0, saved.pass_number + 1, 0, saved if resume else None)
    if saved.finished or not resume:
        return Beginning()
    return Beginning(saved.row, saved.pass_number, min(int(saved.extra.get("begun", 0)), saved.row), saved)


def resume(
    pipeline: Pipeline, saved: Saved | None, live: bool, settings: JournalSettings, wall: float
) -> tuple[Beginning, list[Event]]:
    """Have a new pipeline go on where an earlier run of the same source stopped.

    Returns where the run begins, and the ends of alarms that do not go on: their rules have changed, or it is
    a live stream and they are too old at `wall` (seconds since 1970).
    """
    start, events = beginning(saved, live=live, resume=settings.resume), list[Event]()
    if start.saved is not None:
        stale = live and wall - start.saved.wall > settings.oldest_state.total_seconds()
        try:
            if start.saved.alarms.get("version") != VERSION:
                raise GridtopError("the saved state of the alarms is of another gridtop, or damaged")
            # What is too old ends in the pass it belongs to.
            number = start.saved.pass_number if stale else start.pass_number
            events = pipeline.restore(start.saved.alarms, start.saved.extra, number)
            if stale:
                events += pipeline.begin_pass(start.pass_number)
        except GridtopError as error:
            events, start = [noticed("journal", "warning", f"{error}; it begins anew")], start.anew(live)
    if start.saved is None:
        pipeline.restore({}, {}, start.pass_number)
    return start, events


class Standing:
    """Where the flow stands.

    `row` is the next row to be judged in pass `pass_number`, which began at row `begun`. While a block is
    judged the alarms know more than that.
    """

    def __init__(self, start: Beginning) -> None:
        self.row = start.row
        self.pass_number = start.pass_number
        self.begun = start.begun
        self.warming_up = start.row > start.begun
        """Whether detectors still learn what an earlier run had judged."""
        self.settled = True
        """Whether the alarms know what is before `row` and nothing else: nothing else can be saved."""
        self._kept: tuple[int, int, bool] | None = None

    def begin_pass(self, number: int, row: int) -> None:
        """Another pass, whose first row to be judged is `row`."""
        self.pass_number, self.begun, self.row = number, row, row
        self.warming_up, self.settled = False, True

    def judging(self) -> None:
        """The next block is being judged."""
        self.warming_up, self.settled = False, False

    def judged(self, row: int) -> None:
        """All before `row` is judged, and the events in it are known."""
        self.row, self.settled = row, True

    def to_save(
        self, source: str, finished: bool, alarms: Mapping[str, Any], remembered: Mapping[str, Any]
    ) -> Saved:
        """What to save now, with what the pipeline knows."""
        extra = {"begun": self.begun, **remembered}
        return Saved(source, self.pass_number, self.row, finished, alarms, extra)

    def is_kept(self, finished: bool) -> bool:
        """Whether there is nothing to save that has not been saved."""
        return not self.settled or self._kept == (self.pass_number, self.row, finished)

    def keep(self, saved: Saved) -> None:
        """This is on disk."""
        self._kept = saved.pass_number, saved.row, saved.finished
