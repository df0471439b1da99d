"""Runs the detectors beside the event loop, each on a thread of its own, and survives whatever they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from gridtop.blocks import Block, Floats
from gridtop.channels import ChannelSet
from gridtop.detected import Detected, Failure
from gridtop.detector_posts import Output, Post, State
from gridtop.detector_work import Answer, Shares
from gridtop.errors import ConfigurationError
from gridtop.events import Contribution
from gridtop.explanations import Cause, cause_of
from gridtop.late_scores import LateScores
from gridtop.problems import did_you_mean
from gridtop.site import UNDESCRIBED, Site

LIVE_BUDGET_S = 1.0
REPLAY_BUDGET_S = 30.0
"""How long a block may take before its detector is held to be stuck."""

LIVE_WAIT_S = 0.05
"""How long a live stream waits for its detectors: half of the time that a block of it spans."""

LIVE_EXPLAINING_S = 0.5
"""How long a live stream waits in all for the causes of the alarms in a block."""
REPLAY_EXPLAINING_S = 5.0
"""How long the search for one cause may take in a replay: long enough that only what is broken needs it."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a detector is. `quarantined` lasts until the next pass; `error` is the latest.

    `late` is one that a live stream does not wait for; `skipped` counts the frames of this pass that it
    was not given because it was busy.
    """

    name: str
    state: State
    error: str = ""
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class _Turn:
    """Who was given a block, and what came late from earlier ones."""

    given: dict[Post, Future[Answer]] = field(default_factory=dict)
    late: dict[Post, LateScores] = field(default_factory=dict)

    @property
    def futures(self) -> list[Future[Answer]]:
        return list(self.given.values())


class Detection:
    """The configured detectors at work on a stream with the given channels.

    `instances` gives for each detector its class, its settings and the globs of its channels; relative paths
    in settings start from `inputs`. One that
    cannot be built is reported with the first block and left out; so is, from then on, one that fails
    three times in a row or takes longer than `budget` seconds for a block (30, or 1 on a live stream).
    A thread cannot be killed: that of a stuck detector is abandoned.

    A replay waits for all of them. A live stream waits `patience` seconds (0.05): a detector that is busy
    then is given no more blocks until it has answered, and the worst of each of its scores stands in the
    first frame of the block at hand, for that is when it became known. `clock`, monotonic, tells how long
    a detector has been busy: for tests.

    Raises ConfigurationError when the globs of a detector match no channel.
    """

    def __init__(
        self,
        instances: Mapping[str, tuple[type, BaseModel, Sequence[str]]],
        channels: ChannelSet,
        live: bool,
        *,
        site: Site = UNDESCRIBED,
        inputs: Path = Path(),
        budget: float | None = None,
        patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget if budget is not None else LIVE_BUDGET_S if live else REPLAY_BUDGET_S
        self.patience = self.budget if not live else LIVE_WAIT_S if patience is None else patience
        self._live, self._clock = live, clock
        self._unreported: list[Failure] = []
        self._posts = [
            Post(name, target, config, _columns(name, globs, channels), channels, site, inputs)
            for name, (target, config, globs) in instances.items()
        ]
        self._start(self._posts)
        self.outputs = tuple(output for post in self._posts for output in post.outputs)
        """The columns of every `Detected.scores`, the same for the whole run."""
        self._places = [(post, i) for post in self._posts for i in range(len(post.outputs))]
        self._channels = self.extended(channels)
        self._subjects = _subjects(self.outputs, channels)

    def extended(self, channels: ChannelSet) -> ChannelSet:
        """The channels with those of the scores behind them; ConfigurationError when a name is taken."""
        try:
            return channels.extended(output.channel for output in self.outputs)
        except ValueError as error:
            raise ConfigurationError(f"{error}; give the detector of that name another name") from None

    def quantile(self, detector: str, share: float) -> float:
        """The score that this share of ordinary frames stays below, as a detector says.

        Raises ValueError, in words, when it does not know.
        """
        post = next(post for post in self._posts if post.name == detector)
        return post.quantile(share, REPLAY_BUDGET_S)

    async def score(self, block: Block) -> Detected:
        """Have every detector score the block, all at the same time, and wait for them off the loop."""
        turn = self._submit(block)
        await self._until_done(turn.futures, self.patience)
        return self._collect(block, turn)

    def score_now(self, block: Block) -> Detected:
        """The same for callers without an event loop."""
        turn = self._submit(block)
        wait(turn.futures, timeout=self.patience)
        return self._collect(block, turn)

    async def causes(self, detected: Detected, moments: Sequence[tuple[int, int]]) -> list[Cause]:
        """Why the scores in some (frame, column) of the block scored last are what they are, in their order.

        A score of one channel rests on that. Else the detector is asked, if it can `explain`; else its
        `parts` tell; else, where no note says why, its channels are replaced by their medians one by one,
        which is approximate. No more than eight of a detector in 256 rows, in the order of `moments`.
        """
        causes = [self._known(detected, frame, column) for frame, column in moments]
        asked: list[tuple[int, Post, Future[Shares]]] = []
        now = self._clock()
        each = LIVE_EXPLAINING_S if self._live else REPLAY_EXPLAINING_S
        until = time.monotonic() + LIVE_EXPLAINING_S if self._live else float("inf")
        for i, (frame, column) in enumerate(moments):
            post, output = self._places[column]
            if causes[i] is None and self._may_ask(post, detected, frame, column):
                asked.append((i, post, post.ask_why(frame, output, each, until, now)))
        most = max((sum(post is other for _, other, _ in asked) for post in self._posts), default=0)
        await self._until_done([future for *_, future in asked], each if self._live else each * most)
        for i, post, future in asked:
            shares = future.result() if future.done() else Shares(fault=f"no answer within {each:g} s")
            if report := post.told_why(shares):
                self._unreported.append(Failure(post.name, report))
            causes[i] = cause_of(shares.shares, post.channels.names, approximate=not post.explains)
        return [cause or Cause() for cause in causes]

    def restart(self) -> None:
        """Build every detector afresh for a new pass, the quarantined ones too.

        One that could not be built for the first pass has no columns to fill and stays out.
        """
        self.close()
        self._start([post for post in self._posts if post.outputs])

    def close(self) -> None:
        """Let the threads end; legal twice."""
        for post in self._posts:
            post.stop()

    def statuses(self) -> tuple[Status, ...]:
        """How each detector is, in the order of the configuration."""
        return tuple(Status(post.name, post.state, post.error, post.skipped) for post in self._posts)

    def problems(self) -> tuple[str, ...]:
        """One line for each detector that does not work."""
        return tuple(f"detector {post.name}: {post.error}" for post in self._posts if post.state != "ok")

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """What is to be known before one relies on a detector: its name, and one line."""
        return tuple((post.name, remark) for post in self._posts for remark in post.remarks)

    def _start(self, posts: Sequence[Post]) -> None:
        for post in posts:
            if fault := post.start():
                self._unreported.append(Failure(post.name, fault))

    async def _until_done(self, futures: Iterable[Future[Any]], seconds: float) -> None:
        """Wait off the loop until all are done, or for so long."""
        wrapped = [asyncio.wrap_future(future) for future in futures]
        waiting = set(wrapped)
        # The threads live in real time; the loop's clock need not.
        deadline = time.monotonic() + seconds
        try:
            while waiting and (left := deadline - time.monotonic()) > 0:
                _, waiting = await asyncio.wait(waiting, timeout=left)
        finally:
            for future in wrapped:
                future.cancel()  # only the waiting: what a thread has to do it does

    def _submit(self, block: Block) -> _Turn:
        """Give the block to all who are free, and take what came late from those who were not."""
        turn = _Turn()
        now = self._clock()
        for post in self._posts if len(block) else ():
            if post.at_work and self._live and post.busy:
                if post.age(now) > self.budget:
                    self._report(post, post.leave(self.budget))
                else:
                    self._skip(post, len(block))
                continue
            if post.at_work and post.in_flight is not None:
                answer = self._report(post, post.take(in_time=False))
                if answer.scores is not None:
                    turn.late[post] = LateScores.of(answer, post.names, post.name)
            if post.at_work:
                turn.given[post] = post.submit(block, now)
        return turn

    def _skip(self, post: Post, frames: int) -> None:
        if not post.skipped:
            limit = f"{self.patience * 1000:g} ms"
            text = f"late: no answer within {limit}; until there is one, frames are skipped for it"
            self._unreported.append(Failure(post.name, text))
        post.skip(frames)

    def _collect(self, block: Block, turn: _Turn) -> Detected:
        columns: list[Floats] = []
        notes: dict[str, Sequence[str]] = {}
        parts: dict[str, Floats] = {}
        came_late: list[int] = []
        for post in self._posts:
            answer = self._answer(post) if post in turn.given else Answer()
            first = sum(column.shape[1] for column in columns)
            scores = answer.scores
            if scores is None:
                scores = np.full((len(block), len(post.outputs)), np.nan)
            told: Mapping[str, Sequence[str]] = answer.notes(post.name)
            if post in turn.late:
                scores, told, entered = turn.late[post].entered(scores, told, post.names, post.name)
                came_late += [first + i for i in entered]
            if answer.parts is not None:
                parts[post.name] = answer.parts
            notes |= told
            columns.append(scores)
        scores = np.hstack(columns) if columns else np.empty((len(block), 0))
        failures, self._unreported = tuple(self._unreported), []
        late = frozenset(came_late)
        return Detected(
            self.outputs, scores, self._channels, self._subjects, notes, failures, parts, late, block.row
        )

    def _answer(self, post: Post) -> Answer:
        """What a detector said in time about the block at hand."""
        if post.in_flight is not None and post.in_flight.done():
            return self._report(post, post.take())
        return Answer() if self._live else self._report(post, post.leave(self.budget))

    def _report(self, post: Post, answer: Answer) -> Answer:
        if answer.fault:
            self._unreported.append(Failure(post.name, answer.fault))
        return answer

    def _known(self, detected: Detected, frame: int, column: int) -> Cause | None:
        """The cause of a score that nobody need be asked about; None when somebody must."""
        output, (post, _) = self.outputs[column], self._places[column]
        if output.of_channel:
            return Cause((Contribution(output.subject.name, 1.0),))
        if frame == 0 and column in detected.late:
            return Cause()  # the frame that it is about has gone
        if not post.explains and (parts := detected.parts.get(post.name)) is not None:
            return cause_of(parts[frame], post.channels.names)
        return None

    def _may_ask(self, post: Post, detected: Detected, frame: int, column: int) -> bool:
        """Whether a detector is asked, or tried, why it gave a score."""
        if not post.at_work or post.in_flight is not None:
            return False
        if not post.explains and (detected.note(frame, column) or not post.searchable):
            return False
        return post.may_explain(detected.row + frame)


def _subjects(outputs: Sequence[Output], channels: ChannelSet) -> npt.NDArray[np.intp]:
    """(2, s) the outputs that speak of one of the channels, and the columns of those."""
    columns = {channel.name: column for column, channel in enumerate(channels)}
    pairs = [
        (i, columns[output.subject.name])
        for i, output in enumerate(outputs)
        if output.subject.name in columns
    ]
    return np.array(pairs, dtype=np.intp).reshape(-1, 2).T


def _columns(detector: str, globs: Sequence[str], channels: ChannelSet) -> tuple[int, ...]:
    """The columns a detector gets; ConfigurationError when there are none."""
    columns = channels.select(globs)
    if not columns:
        hints = (did_you_mean(glob, channels.names) for glob in globs)
        hint = next((hint for hint in hints if hint), "")
        raise ConfigurationError(f"detectors.{detector}.channels: {_few(globs)} matches no channel{hint}")
    return columns


def _few(globs: Sequence[str]) -> str:
    """The first of several globs, and how many more there are."""
    shown = ", ".join(globs[:3])
    return f"{shown} and {len(globs) - 3} more" if len(globs) > 3 else shown
