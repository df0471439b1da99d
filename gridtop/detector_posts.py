"""A detector at its post: its thread, what it is busy with, and how it has been doing."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.contracts import Detector, Explains
from gridtop.detector_work import Answer, Jobs, Shares, Worker, are_texts, serve
from gridtop.errors import GridtopError, PluginError
from gridtop.explanations import MOST_SEARCHED
from gridtop.loading import explain
from gridtop.site import Site
from gridtop.text import clean

PATIENCE = 3
"""Failures in a row after which a detector is asked no more."""

EXPLAINED_ROWS, MOST_EXPLAINED = 256, 8
"""Of each so many rows of the stream, so many scores of a detector are explained: the first ones."""

T = TypeVar("T")
State = Literal["ok", "late", "failed", "quarantined"]


@dataclass(frozen=True, slots=True)
class Output:
    """One column of scores: the channel it makes (`zscore/R1:F`) and the channel it speaks of (`R1:F`)."""

    detector: str
    channel: Channel
    subject: Channel
    of_channel: bool = False
    """Whether what it speaks of is a channel of the stream, and not a place or a thing of its own."""


class Post:
    """One configured detector, with its thread, at most one block in flight, and how it has been doing."""

    def __init__(
        self,
        name: str,
        target: type,
        config: BaseModel,
        columns: Sequence[int],
        channels: ChannelSet,
        site: Site,
        inputs: Path = Path(),
    ) -> None:
        self.name = name
        self.outputs: tuple[Output, ...] = ()
        self.state: State = "ok"
        self.error = ""
        self.skipped = 0
        """Frames it was not given in this pass, because it was busy."""
        self.explains = False
        """Whether it says itself what its scores rest on."""
        self.remarks: tuple[str, ...] = ()
        """What to know before one relies on it."""
        self.channels = channels.subset(columns)
        """What it gets."""
        self._target, self._config = target, config
        self._columns, self._all, self._site, self._inputs = columns, channels, site, inputs
        self._side_by_side = _side_by_side(columns)
        self._places = {channel.terminal for channel in channels} | site.places | {"system"}
        self._failures = 0
        self._mute, self._complained = 0, False
        self._explained = (0, 0)
        self._jobs: Jobs | None = None
        self._block: Future[Answer] | None = None
        self._questions: list[Future[Shares]] = []
        self._since = 0.0

    @property
    def at_work(self) -> bool:
        """Whether it takes blocks."""
        return self._jobs is not None and self.state != "quarantined"

    @property
    def names(self) -> tuple[str, ...]:
        """The channels that its outputs make."""
        return tuple(output.channel.name for output in self.outputs)

    @property
    def busy(self) -> bool:
        """Whether it has not answered yet what it was asked last."""
        asked: list[Future[Any]] = [*self._questions, *([self._block] if self._block else [])]
        return any(not future.done() for future in asked)

    @property
    def in_flight(self) -> Future[Answer] | None:
        """The block it was given and whose scores nobody has taken yet."""
        return self._block

    def age(self, now: float) -> float:
        """Seconds since it was given what it is busy with."""
        return now - self._since

    def start(self) -> str:
        """Build the detector and start its thread; what prevented it, or nothing."""
        self.state, self.error, self._failures, self.skipped = "ok", "", 0, 0
        self._mute, self._complained, self._explained = 0, False, (0, 0)
        self._block, self._questions = None, []
        try:
            detector = self._built()
            outputs = self._describe(detector)
            # The columns are settled when the first pass begins; rules and screens know them by then.
            if self.outputs and outputs != self.outputs:
                raise PluginError("its outputs are not those of the first pass")
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            told = _told(error) if isinstance(error, GridtopError) else explain(error)
            self.state, self.error = "failed", f"cannot start: {told}"
        else:
            self.outputs = outputs
            self.remarks = _remarks(detector)
            self.explains = isinstance(detector, Explains)
            self._jobs = SimpleQueue()
            shared = (self._config, self.channels, self._site)
            worker = Worker(detector, len(outputs), self._built, self.searchable, shared)
            thread = threading.Thread(
                target=serve, args=(worker, self._jobs), name=f"detector {self.name}", daemon=True
            )
            thread.start()
        return self.error

    @property
    def searchable(self) -> bool:
        """Whether the host may look for the channels that a score rests on."""
        unknown = not all(output.of_channel for output in self.outputs)
        return unknown and not self.explains and len(self.channels) <= MOST_SEARCHED

    def stop(self) -> None:
        """Let the thread end after what it is at."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def submit(self, block: Block, now: float) -> Future[Answer]:
        """Hand a block to the thread, which picks its columns: several do so at the same time."""
        self._block, self._since = self._hand_over(lambda worker: worker.score(self._part(block))), now
        return self._block

    def skip(self, frames: int) -> None:
        """Go on without it: it is still busy."""
        self.skipped += frames
        self.state, self.error = "late", "its scores come a block late"
        if self.skipped:
            self.error = f"{self.skipped} frame{'s' * (self.skipped != 1)} skipped"

    def take(self, in_time: bool = True) -> Answer:
        """What came back for the block in flight, with the consequences for the detector drawn."""
        assert self._block is not None
        answer, self._block = self._block.result(), None
        if not answer.fault:
            self._failures = 0
            if in_time:
                self.state, self.error = "ok", ""
            elif self.state != "late":
                self.skip(0)
            return answer
        self._failures += 1
        self.state, self.error = "failed", answer.fault
        if self._failures == PATIENCE:
            self.state = "quarantined"
            self.error += f"; {PATIENCE} failures in a row, so it is asked no more"
            self.stop()
        return Answer(fault=self.error)

    def leave(self, budget: float) -> Answer:
        """Ask it no more: it is stuck."""
        self.state, self.error = "quarantined", f"no answer within {budget:g} s, so it is asked no more"
        self._block = None
        self.stop()
        return Answer(fault=self.error)

    def may_explain(self, row: int) -> bool:
        """Whether one more score may be explained at a row; the question counts. Rows never go back."""
        window, number = self._explained
        if row // EXPLAINED_ROWS != window:
            window, number = row // EXPLAINED_ROWS, 0
        self._explained = (window, number + 1)
        return self._mute < PATIENCE and number < MOST_EXPLAINED

    def ask_why(self, frame: int, output: int, patience: float, until: float, now: float) -> Future[Shares]:
        """Have the thread find the shares in one score of the block scored last, or by replacement.

        It gives up after `patience` seconds, or at the instant `until` of the monotonic clock.
        """
        if not self.busy:
            self._since = now
        future = self._hand_over(lambda worker: worker.shares(frame, output, patience, until))
        self._questions = [*(asked for asked in self._questions if not asked.done()), future]
        return future

    def told_why(self, shares: Shares) -> str:
        """Draw the consequences of an answer to the question why; what is to be reported, or nothing."""
        if not shares.fault:
            self._mute = 0
            return ""
        self._mute += 1
        report = f"cannot say why: {shares.fault}"
        if self._mute == PATIENCE:
            return f"{report}; {PATIENCE} failures in a row, so it is not asked again"
        first, self._complained = not self._complained, True
        return report if first else ""

    def quantile(self, share: float, patience: float) -> float:
        """The score that this share of ordinary frames stays below; ValueError in words when not known."""
        if not self.at_work:
            raise ValueError(self.error or "it is not at work")
        try:
            return self._hand_over(lambda worker: worker.quantile(share)).result(patience)
        except ValueError as error:
            raise ValueError(clean(str(error))) from None
        except TimeoutError:
            raise ValueError(f"no answer within {patience:g} s") from None
        except BaseException as error:
            raise ValueError(explain(error)) from None

    def _hand_over(self, work: Callable[[Worker], T]) -> Future[T]:
        """Have the thread do something, after what it has to do already."""
        assert self._jobs is not None
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # nobody can take it back

        def job(worker: Worker) -> None:
            try:
                result = work(worker)
            except BaseException as error:  # sys.exit in a detector ends nothing but its turn
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(job)
        return future

    def _part(self, block: Block) -> Block:
        """The columns it gets; without a copy where they stand side by side."""
        if self._side_by_side is None:
            return block.pick(self._columns, self.channels)
        values = block.values[:, self._side_by_side]
        quality = None if block.quality is None else block.quality[:, self._side_by_side]
        return Block(self.channels, block.time, values, quality, block.labels, block.row)

    def _built(self) -> Detector:
        asked = inspect.signature(self._target).parameters
        extras = {"site": self._site, "inputs": self._inputs}
        given = {name: value for name, value in extras.items() if name in asked}
        detector: Detector = self._target(self._config, self.channels, **given)
        return detector

    def _describe(self, detector: Detector) -> tuple[Output, ...]:
        """The outputs as channels; PluginError when `outputs` is not a list of different names."""
        names = getattr(detector, "outputs", None)
        if not are_texts(names):
            raise PluginError("its attribute outputs must be a list of names")
        outputs = tuple(self._output(clean(name)) for name in names)
        if len(set(outputs)) != len(outputs):
            raise PluginError("two of its outputs have one name")
        return outputs

    def _output(self, name: str) -> Output:
        of_channel = name in self._all.names
        if of_channel:
            subject = self._all[self._all.position(name)]
        else:
            place, colon, quantity = name.rpartition(":")
            if colon and place in self._places:
                subject = Channel(name, quantity, terminal=place)
            else:
                subject = Channel(f"{self.name}:{name}", "score")
        channel = Channel(f"{self.name}/{name}", "score", terminal=subject.terminal, phase=subject.phase)
        return Output(self.name, channel, subject, of_channel)


def _side_by_side(columns: Sequence[int]) -> slice | None:
    """The columns as a slice, if they are one."""
    first, stop = columns[0], columns[-1] + 1
    return slice(first, stop) if list(columns) == list(range(first, stop)) else None


def _remarks(detector: Detector) -> tuple[str, ...]:
    """What a detector has to say about itself; nothing where that is no list of texts."""
    remarks = getattr(detector, "remarks", ())
    return tuple(clean(" ".join(text.split())) for text in remarks) if are_texts(remarks) else ()


def _told(error: GridtopError) -> str:
    """What a mistake that a person can mend says, in one line."""
    return clean(" ".join(str(error).split()))
