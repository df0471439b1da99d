"""Runs the detectors beside the event loop, each on a thread of its own, and survives whatever they do."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
from pydantic import BaseModel

from gridtop.blocks import DOUBTFUL, Block, Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.contracts import Detector, Scores
from gridtop.errors import ConfigurationError, PluginError
from gridtop.loading import explain
from gridtop.problems import did_you_mean
from gridtop.site import UNDESCRIBED, Site
from gridtop.text import clean

DIGITS = 6
"""Decimals kept of a score: model arithmetic differs in the last bits from one block size to another."""

LIVE_BUDGET_S = 1.0
REPLAY_BUDGET_S = 30.0
"""How long a block may take before its detector is held to be stuck."""

PATIENCE = 3
"""Failures in a row after which a detector is asked no more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a detector did wrong, in one line."""

    detector: str
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a detector is. `quarantined` lasts until the next pass; `error` is the latest."""

    name: str
    state: Literal["ok", "failed", "quarantined"]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """One column of scores: the channel it makes (`zscore/R1:F`) and the channel it speaks of (`R1:F`)."""

    detector: str
    channel: Channel
    subject: Channel


@dataclass(frozen=True, slots=True)
class Detected:
    """What all detectors think of one block of n frames.

    scores    (n, k)  a column for each of the k outputs, in their order; NaN is "no opinion"
    notes             by detector, or by the channel of one of its outputs, a reason in words per frame
    failures          what went wrong since the last block
    channels          the block's channels with the k score channels behind them
    """

    outputs: tuple[Output, ...]
    scores: Floats
    channels: ChannelSet
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()

    def extend(self, block: Block) -> Block:
        """The block with the scores as further columns; one about a doubtful value is doubtful itself."""
        if not self.outputs:
            return block
        quality = block.quality
        if quality is not None:
            flags = np.zeros(self.scores.shape, dtype=quality.dtype)
            columns = {channel.name: column for column, channel in enumerate(block.channels)}
            for i, output in enumerate(self.outputs):
                if (column := columns.get(output.subject.name)) is not None:
                    flags[:, i] = quality[:, column] & np.uint16(DOUBTFUL)
            quality = np.hstack((quality, flags))
        values = np.hstack((block.values, self.scores))
        return Block(self.channels, block.time, values, quality, block.labels, block.row)


class Detection:
    """The configured detectors at work on a stream with the given channels.

    `instances` gives for each detector its class, its settings and the globs of its channels. One that
    cannot be built is reported with the first block and left out; so is, from then on, one that fails
    three times in a row or takes longer than `budget` seconds for a block (30, or 1 on a live stream).
    A thread cannot be killed: that of a stuck detector is abandoned.

    Raises ConfigurationError when the globs of a detector match no channel.
    """

    def __init__(
        self,
        instances: Mapping[str, tuple[type, BaseModel, Sequence[str]]],
        channels: ChannelSet,
        live: bool,
        *,
        site: Site = UNDESCRIBED,
        budget: float | None = None,
    ) -> None:
        self.budget = budget if budget is not None else LIVE_BUDGET_S if live else REPLAY_BUDGET_S
        self._unreported: list[Failure] = []
        self._posts = [
            _Post(name, target, config, _columns(name, globs, channels), channels, site)
            for name, (target, config, globs) in instances.items()
        ]
        self._start(self._posts)
        self.outputs = tuple(output for post in self._posts for output in post.outputs)
        """The columns of every `Detected.scores`, the same for the whole run."""
        self._channels = self.extended(channels)

    def extended(self, channels: ChannelSet) -> ChannelSet:
        """The channels with those of the scores behind them; ConfigurationError when a name is taken."""
        try:
            return channels.extended(output.channel for output in self.outputs)
        except ValueError as error:
            raise ConfigurationError(f"{error}; give the detector of that name another name") from None

    async def score(self, block: Block) -> Detected:
        """Have every detector score the block, all at the same time, and wait for them off the loop."""
        jobs = self._submit(block)
        futures = [asyncio.wrap_future(future) for _, future in jobs]
        waiting = set(futures)
        # The threads live in real time; the loop's clock need not.
        deadline = time.monotonic() + self.budget
        try:
            while waiting and (left := deadline - time.monotonic()) > 0:
                _, waiting = await asyncio.wait(waiting, timeout=left)
        finally:
            for future in futures:
                future.cancel()
        return self._collect(block, jobs)

    def score_now(self, block: Block) -> Detected:
        """The same for callers without an event loop."""
        jobs = self._submit(block)
        wait([future for _, future in jobs], timeout=self.budget)
        return self._collect(block, jobs)

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
        return tuple(Status(post.name, post.state, post.error) for post in self._posts)

    def problems(self) -> tuple[str, ...]:
        """One line for each detector that does not work."""
        return tuple(f"detector {post.name}: {post.error}" for post in self._posts if post.state != "ok")

    def _start(self, posts: Sequence[_Post]) -> None:
        for post in posts:
            if fault := post.start():
                self._unreported.append(Failure(post.name, fault))

    def _submit(self, block: Block) -> list[tuple[_Post, Future[_Answer]]]:
        if not len(block):
            return []
        return [(post, post.submit(block)) for post in self._posts if post.at_work]

    def _collect(self, block: Block, jobs: Sequence[tuple[_Post, Future[_Answer]]]) -> Detected:
        answers = {post.name: post.answer(future, self.budget) for post, future in jobs}
        columns: list[Floats] = []
        notes: dict[str, Sequence[str]] = {}
        for post in self._posts:
            answer = answers.get(post.name, _Answer())
            if answer.fault:
                self._unreported.append(Failure(post.name, answer.fault))
            if isinstance(answer.note, Mapping):
                notes |= {f"{post.name}/{clean(output)}": texts for output, texts in answer.note.items()}
            elif answer.note is not None:
                notes[post.name] = answer.note
            silence = np.full((len(block), len(post.outputs)), np.nan)
            columns.append(silence if answer.scores is None else answer.scores)
        scores = np.hstack(columns) if columns else np.empty((len(block), 0))
        failures, self._unreported = tuple(self._unreported), []
        return Detected(self.outputs, scores, self._channels, notes, failures)


class _Answer(NamedTuple):
    """What comes back from a detector for one block: scores, or what went wrong."""

    scores: Floats | None = None
    note: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    fault: str = ""


class _Post:
    """One configured detector, with its thread, at most one block in flight, and how it has been doing."""

    def __init__(
        self,
        name: str,
        target: type,
        config: BaseModel,
        columns: Sequence[int],
        channels: ChannelSet,
        site: Site,
    ) -> None:
        self.name = name
        self.outputs: tuple[Output, ...] = ()
        self.state: Literal["ok", "failed", "quarantined"] = "ok"
        self.error = ""
        self._target, self._config = target, config
        self._columns, self._all, self._site = columns, channels, site
        self._places = {channel.terminal for channel in channels} | site.places | {"system"}
        self._subset = channels.subset(columns)
        self._failures = 0
        self._jobs: SimpleQueue[tuple[Block, Future[_Answer]] | None] | None = None

    @property
    def at_work(self) -> bool:
        """Whether it takes blocks."""
        return self._jobs is not None and self.state != "quarantined"

    def start(self) -> str:
        """Build the detector and start its thread; what prevented it, or nothing."""
        self.state, self.error, self._failures = "ok", "", 0
        try:
            detector: Detector = self._target(self._config, self._subset, **self._extras())
            outputs = self._describe(detector)
            # The columns are settled when the first pass begins; rules and screens know them by then.
            if self.outputs and outputs != self.outputs:
                raise PluginError("its outputs are not those of the first pass")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.state, self.error = "failed", f"cannot start: {explain(error)}"
        else:
            self.outputs = outputs
            self._jobs = SimpleQueue()
            thread = threading.Thread(
                target=_work,
                args=(detector, len(outputs), self._jobs),
                name=f"detector {self.name}",
                daemon=True,
            )
            thread.start()
        return self.error

    def _extras(self) -> dict[str, Any]:
        """What the detector's constructor asks for besides, by the names of its parameters."""
        return {"site": self._site} if "site" in inspect.signature(self._target).parameters else {}

    def stop(self) -> None:
        """Let the thread end after the block it is at."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def submit(self, block: Block) -> Future[_Answer]:
        """Hand a block to the thread."""
        assert self._jobs is not None
        future: Future[_Answer] = Future()
        self._jobs.put((block.pick(self._columns, self._subset), future))
        return future

    def answer(self, future: Future[_Answer], budget: float) -> _Answer:
        """What came back, with the consequences for the detector drawn."""
        if not future.done() or future.cancelled():
            self.state = "quarantined"
            self.error = f"no answer within {budget:g} s, so it is asked no more"
            self.stop()
            return _Answer(fault=self.error)
        answer = future.result()
        if not answer.fault:
            self.state, self._failures = "ok", 0
            return answer
        self._failures += 1
        self.state, self.error = "failed", answer.fault
        if self._failures == PATIENCE:
            self.state = "quarantined"
            self.error += f"; {PATIENCE} failures in a row, so it is asked no more"
            self.stop()
        return _Answer(fault=self.error)

    def _describe(self, detector: Detector) -> tuple[Output, ...]:
        """The outputs as channels; PluginError when `outputs` is not a list of different names."""
        names = getattr(detector, "outputs", None)
        if not _are_texts(names):
            raise PluginError("its attribute outputs must be a list of names")
        outputs = tuple(self._output(clean(name)) for name in names)
        if len(set(outputs)) != len(outputs):
            raise PluginError("two of its outputs have one name")
        return outputs

    def _output(self, name: str) -> Output:
        if name in self._all.names:
            subject = self._all[self._all.position(name)]
        else:
            place, colon, quantity = name.rpartition(":")
            if colon and place in self._places:
                subject = Channel(name, quantity, terminal=place)
            else:
                subject = Channel(f"{self.name}:{name}", "score")
        channel = Channel(f"{self.name}/{name}", "score", terminal=subject.terminal, phase=subject.phase)
        return Output(self.name, channel, subject)


def _work(detector: Detector, outputs: int, jobs: SimpleQueue[tuple[Block, Future[_Answer]] | None]) -> None:
    """Score blocks until there are no more: the life of a detector's thread."""
    while (job := jobs.get()) is not None:
        block, future = job
        if future.set_running_or_notify_cancel():
            future.set_result(_ask(detector, outputs, block))


def _ask(detector: Detector, outputs: int, block: Block) -> _Answer:
    try:
        with np.errstate(all="ignore"):
            result = detector.score(block)
            return _checked(result, len(block), outputs)
    except BaseException as error:  # sys.exit in a detector ends nothing but its turn
        return _Answer(fault=explain(error))


def _checked(result: object, frames: int, outputs: int) -> _Answer:
    """The answer of a detector that kept to its contract; PluginError for the others."""
    if not isinstance(result, Scores):
        raise PluginError(f"score() must return Scores, not {type(result).__name__}")
    score, note = result.score, result.note
    if not isinstance(score, np.ndarray) or score.dtype.kind not in "fiu":
        kind = score.dtype if isinstance(score, np.ndarray) else type(score).__name__
        raise PluginError(f"scores must be an array of numbers, not {kind}")
    if score.shape != (frames, outputs):
        raise PluginError(f"scores of shape {score.shape} for {frames} frames and {outputs} outputs")
    scores = score.astype(np.float64).round(DIGITS)
    if np.isinf(scores).any():
        raise PluginError("a score is infinite; NaN means no opinion")
    texts = list(note.values()) if isinstance(note, Mapping) else [note] if note is not None else []
    if not all(_are_texts(text) and len(text) == frames for text in texts):
        raise PluginError(f"a note must be a list of texts, one for each of the {frames} frames, or None")
    return _Answer(scores, note)


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    """Whether a value is a sequence of texts with something in it, and not a single text."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return len(value) > 0 and all(isinstance(text, str) for text in value)


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
