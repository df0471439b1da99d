"""Detectors of a few lines that tests share, and a pipeline around them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.alarms.rules import AlarmSettings
from gridtop.api import Block, ChannelSet, Scores, Settings
from gridtop.config import load
from gridtop.configured import DetectorInstance
from gridtop.events import Event
from gridtop.pipeline import Pipeline

HIGH = {"high": {"warning": 5, "critical": 20}, "on_delay": "0s", "off_delay": "0s"}


class Total:
    """One score for all channels: how far they are from the mean of the four frames before, in sum."""

    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = ["total"]
        self.kept = np.full((4, len(channels)), np.nan)

    def score(self, block: Block) -> Scores:
        score = np.full((len(block), 1), np.nan)
        self.apart = np.zeros(block.values.shape)
        for i, row in enumerate(block.values):
            self.apart[i] = np.nan_to_num(np.abs(row - self.kept.mean(axis=0)))
            score[i] = np.nan if np.isnan(self.kept).all() else self.apart[i].sum()
            self.kept = np.vstack((self.kept[1:], row))
        return Scores(score)


class Telling(Total):
    """The same, and it says itself why."""

    def explain(self, frame: int, output: int) -> np.ndarray:
        apart = self.apart[frame]
        return apart / apart.sum()


class Parting(Total):
    """The same, with the parts of every frame."""

    def score(self, block: Block) -> Scores:
        return Scores(super().score(block).score, parts=np.where(self.apart == 0, np.nan, self.apart))


class Noting(Total):
    """The same, with a reason in words."""

    def score(self, block: Block) -> Scores:
        return Scores(super().score(block).score, note=["that is why"] * len(block))


class Each:
    """A score for every channel: its size."""

    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = channels.names

    def score(self, block: Block) -> Scores:
        return Scores(np.abs(block.values))


@contextmanager
def pipeline_of(
    detectors: Mapping[str, tuple[type, Mapping[str, Any]]],
    channels: ChannelSet,
    live: bool = False,
    limits: str = "{}",
) -> Iterator[Pipeline]:
    """A pipeline with these detectors and their alarm rules, and no limits if none are given."""
    base = load(
        Path(__file__).parent.parent / "config.yaml",
        overrides=[f"limits={limits}", "detectors={}", "quality={}"],
        environment={"GRIDTOP_NO_PLUGINS": "1"},
    )
    instances = {
        name: DetectorInstance(name, name, target, Settings(), ("*",), AlarmSettings.model_validate(alarm))
        for name, (target, alarm) in detectors.items()
    }
    pipeline = Pipeline(replace(base, detectors=instances), channels, "test", live)
    try:
        yield pipeline
    finally:
        pipeline.close()


async def judged(pipeline: Pipeline, block: Block, cuts: list[int]) -> list[Event]:
    """The events of a block that comes in pieces."""
    edges = sorted({0, len(block), *(cut % (len(block) + 1) for cut in cuts)})
    events: list[Event] = []
    for start, stop in itertools.pairwise(edges):
        events += (await pipeline.process(block.slice(start, stop))).events
    return events


def alarms(events: list[Event]) -> list[Event]:
    """Those of alarms."""
    return [event for event in events if event.kind == "alarm"]
