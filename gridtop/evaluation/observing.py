"""Runs a configuration over a recording as the monitor would, and keeps what its detectors thought."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gridtop.alarms import BoundRule
from gridtop.alarms.rules import DIRECTIONS
from gridtop.blocks import Block, Floats, Labels, Times
from gridtop.channels import ChannelSet, Clock
from gridtop.config import Configuration
from gridtop.configured import DetectorInstance
from gridtop.contracts import Host, Source
from gridtop.detected import Detected
from gridtop.errors import ConfigurationError, GridtopError, SourceError
from gridtop.evaluation.frame_metrics import Marks
from gridtop.events import Event
from gridtop.loading import blaming
from gridtop.pipeline import Pipeline
from gridtop.replay import LARGEST
from gridtop.text import clean

_log = logging.getLogger("gridtop.evaluation")


@dataclass(frozen=True, slots=True)
class DetectorTrace:
    """What one detector thought of n frames.

    score    (n,)  the largest of its outputs; NaN when none had an opinion
    said     (n,)  whether one of them reached the mildest level of its alarm; None without an alarm rule
    level          that level, None when outputs have different ones
    lowest, highest   (k,) of each output over all frames; NaN of one without opinions
    remarks        what the detector says of itself, of its model's limits for example
    problem        what does not work; empty when all is well
    """

    name: str
    type: str
    score: Floats
    said: Marks | None
    level: float | None
    lowest: Floats
    highest: Floats
    remarks: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_constant(self) -> bool:
        """Whether every output scored all frames alike, as far as it scored any."""
        known = ~np.isnan(self.lowest)
        return bool(known.any() and np.all(self.lowest[known] == self.highest[known]))


@dataclass(frozen=True, slots=True)
class Observation:
    """One recording, and what the monitor made of it.

    time     (n,) of the frames; made up from row numbers when `clock` is "row"
    labels   each (n,): the columns of labels
    rules    the names of everything that can speak, in the order of the configuration, with what it watches
    events   all of them, in order
    """

    name: str
    time: Times
    clock: Clock
    labels: Mapping[str, Labels]
    rules: tuple[str, ...]
    events: tuple[Event, ...]
    detectors: tuple[DetectorTrace, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """A recording before anything has judged it: times (n,), labels each (n,), and whether it has a clock."""

    time: Times
    clock: Clock
    labels: Mapping[str, Labels]
    channels: ChannelSet


async def survey(configuration: Configuration) -> Survey:
    """Read times and labels; SourceError when the recording cannot be read or never ends."""
    source = _source(configuration)
    try:
        with blaming(SourceError, "the source cannot be opened"):
            channels = await source.open()
        times: list[Times] = []
        labels: dict[str, list[Labels]] = {}
        async for block in source.blocks():
            times.append(block.time)
            for name, texts in block.labels.items():
                labels.setdefault(name, []).append(texts)
    finally:
        await source.close()
    if not times:
        raise SourceError("there are no frames to evaluate")
    joined = {name: np.concatenate(parts) for name, parts in labels.items()}
    return Survey(np.concatenate(times), channels.clock, joined, channels)


async def observe(
    configuration: Configuration, name: str, known: Survey, progress: Callable[[int], object]
) -> Observation:
    """Run the configuration's pipeline over its whole recording once, as fast as it goes.

    `progress` is told of every few more frames. Raises GridtopError as the monitor does.
    """
    source = _source(configuration)
    try:
        with blaming(SourceError, "the source cannot be opened"):
            channels = await source.open()
        pipeline = Pipeline(configuration, channels, source.identity, False)
        try:
            keeper = _Keeper(configuration, pipeline)
            async for whole in source.blocks():
                for block in _cut(whole):
                    result = await pipeline.process(block)
                    keeper.add(result.detected)
                    keeper.events += result.events
                    progress(len(block))
            # What is still on at the end stays on: nobody resets it.
            problems = pipeline.problems
        finally:
            pipeline.close()
    finally:
        await source.close()
    remarks = {
        name: tuple(text for speaker, text in pipeline.remarks if speaker == name)
        for name in configuration.detectors
    }
    traces = keeper.traces(len(known.time), remarks, problems)
    rules = _speaking(pipeline.rules, configuration)
    return Observation(
        name, known.time, known.clock, known.labels, rules, tuple(keeper.events), traces, problems
    )


def _source(configuration: Configuration) -> Source:
    instance = configuration.source
    host = Host(instance.name, configuration.directory, Path.cwd(), _log, configuration.channels)
    with blaming(SourceError, f"{instance.name} (type {instance.type}) cannot be built"):
        source: Source = instance.target(instance.config, host)
    if source.live:
        raise GridtopError(
            f"the configured source ({clean(instance.type)}) is live: it has no end and no truth to compare "
            "with. Name a recording: gridtop evaluate FILE"
        )
    return source


def _cut(block: Block) -> Iterator[Block]:
    if len(block) <= LARGEST:
        yield block
        return
    for start in range(0, len(block), LARGEST):
        yield block.slice(start, start + LARGEST)


def _speaking(rules: Sequence[BoundRule], configuration: Configuration) -> tuple[str, ...]:
    """The rules that watch anything, as the configuration orders them."""
    watching = {rule.name for rule in rules if rule.columns}
    return tuple(name for name in (*configuration.limits, *configuration.detectors) if name in watching)


@dataclass(slots=True)
class _Output:
    """What one column of scores was compared with: its levels by direction."""

    levels: dict[str, float]
    lowest: float = math.nan
    highest: float = math.nan


@dataclass
class _Detector:
    name: str
    type: str
    columns: list[int]
    outputs: list[_Output]
    scores: list[Floats] = field(default_factory=list)
    said: list[Marks] = field(default_factory=list)


class _Keeper:
    """Keeps of every block's scores what is needed later: not all outputs, which may be hundreds."""

    def __init__(self, configuration: Configuration, pipeline: Pipeline) -> None:
        self.events: list[Event] = []
        self._configuration = configuration
        self._levels = _levels(pipeline)
        self._first = len(pipeline.channels)
        self._detectors: dict[str, _Detector] = {}

    def add(self, detected: Detected) -> None:
        """Take in the scores of the next block."""
        if not self._detectors:
            self._detectors = self._described(detected)
        for detector in self._detectors.values():
            scores = detected.scores[:, detector.columns]
            reached = np.zeros(len(scores), dtype=bool)
            for i, output in enumerate(detector.outputs):
                column = scores[:, i]
                output.lowest = float(np.fmin.reduce(column, initial=output.lowest))
                output.highest = float(np.fmax.reduce(column, initial=output.highest))
                for direction, level in output.levels.items():
                    reached |= _reaches(column, direction, level)
            detector.scores.append(np.fmax.reduce(scores, axis=1, initial=np.nan))
            detector.said.append(reached)

    def traces(
        self, frames: int, remarks: Mapping[str, tuple[str, ...]], problems: Sequence[str]
    ) -> tuple[DetectorTrace, ...]:
        """What was kept of every configured detector; one that could not be built has no opinions."""
        return tuple(
            self._trace(instance, frames, remarks.get(name, ()), problems)
            for name, instance in self._configuration.detectors.items()
        )

    def _trace(
        self, instance: DetectorInstance, frames: int, remarks: tuple[str, ...], problems: Sequence[str]
    ) -> DetectorTrace:
        name = instance.name
        problem = next((text for text in problems if text.startswith(f"detector {name} ")), "")
        kept = self._detectors.get(name)
        if kept is None:
            nothing = np.full(frames, np.nan)
            return DetectorTrace(
                name, instance.type, nothing, None, None, np.empty(0), np.empty(0), remarks, problem
            )
        levels = {tuple(sorted(output.levels.items())) for output in kept.outputs if output.levels}
        only = next(iter(levels)) if len(levels) == 1 else ()
        return DetectorTrace(
            name,
            instance.type,
            np.concatenate(kept.scores),
            np.concatenate(kept.said) if levels else None,
            only[0][1] if len(only) == 1 else None,
            np.array([output.lowest for output in kept.outputs]),
            np.array([output.highest for output in kept.outputs]),
            remarks,
            problem,
        )

    def _described(self, detected: Detected) -> dict[str, _Detector]:
        detectors: dict[str, _Detector] = {}
        for column, output in enumerate(detected.outputs):
            instance = self._configuration.detectors[output.detector]
            one = detectors.setdefault(output.detector, _Detector(instance.name, instance.type, [], []))
            one.columns.append(column)
            one.outputs.append(_Output(self._levels.get(self._first + column, {})))
        return detectors


def _levels(pipeline: Pipeline) -> dict[int, dict[str, float]]:
    """By column of the scored block, the mildest threshold in each direction that a rule has on it."""
    found: dict[int, dict[str, float]] = {}
    for rule in pipeline.rules:
        for column, subject in zip(rule.columns, rule.subjects, strict=True):
            if column < len(pipeline.channels):
                continue
            settings = rule.settings.for_channel(subject)
            for direction in DIRECTIONS:
                levels = settings.levels(direction)
                if levels is not None and isinstance(levels.outer, (int, float)):
                    found.setdefault(column, {})[direction] = float(levels.outer)
    return found


def _reaches(score: Floats, direction: str, level: float) -> Marks:
    """Where scores (n,) reach a level, as the alarm engine compares them; NaN never does."""
    reached: Marks
    if direction == "low":
        reached = score <= level
    elif direction == "abs":
        reached = np.abs(score) >= level
    else:
        reached = score >= level
    return reached


def only(configuration: Configuration, chosen: Sequence[str]) -> Configuration:
    """The configuration with no other detectors than those chosen and those that alarms of theirs wait for.

    Raises ConfigurationError when a name is neither a detector nor a limit.
    """
    from gridtop.problems import did_you_mean

    names = (*configuration.detectors, *configuration.limits)
    for name in chosen:
        if name not in names:
            raise ConfigurationError(
                f"there is no detector or limit called {clean(name)!r}{did_you_mean(name, names)}; "
                f"there is {', '.join(names) or 'none'}"
            )
    rules = {**configuration.limits, **{n: d.alarm for n, d in configuration.detectors.items() if d.alarm}}
    needed, waiting = set(chosen), [*chosen, *configuration.limits]
    while waiting:
        if (rule := rules.get(waiting.pop())) is not None:
            waiting += sorted(rule.inhibitors - needed)
            needed |= rule.inhibitors
    kept = {name: detector for name, detector in configuration.detectors.items() if name in needed}
    return replace(configuration, detectors=kept)
