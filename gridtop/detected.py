"""What the detectors think of a block: their scores and notes, and what went wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gridtop.blocks import DOUBTFUL, Block, Floats
from gridtop.channels import ChannelSet
from gridtop.detector_posts import Output

_PIECE = 256
"""Frames that are handed on together with their scores: as many as the alarm rules look at together."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a detector did wrong, in one line."""

    detector: str
    text: str


@dataclass(frozen=True, slots=True)
class Detected:
    """What all detectors think of one block of n frames.

    scores    (n, k)  a column for each of the k outputs, in their order; NaN is "no opinion"
    notes             by detector, or by the channel of one of its outputs, a reason in words per frame
    parts             by detector, (n, c) shares of its channels, where it gave any
    late              the columns whose first score is of earlier frames, because it came late
    failures          what went wrong since the last block
    channels          the block's channels with the k score channels behind them
    row               number of the first frame
    subjects          (2, s) the outputs that speak of a channel of the block, and the columns of those
    """

    outputs: tuple[Output, ...]
    scores: Floats
    channels: ChannelSet
    subjects: npt.NDArray[np.intp]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    parts: Mapping[str, Floats] = field(default_factory=dict)
    late: frozenset[int] = frozenset()
    row: int = 0

    def extend(self, block: Block) -> Block:
        """The block with the scores as further columns; one about a doubtful value is doubtful itself."""
        if not self.outputs:
            return block
        quality = block.quality
        if quality is not None:
            measured = quality.shape[1]
            extended = np.zeros((len(block), measured + len(self.outputs)), dtype=quality.dtype)
            extended[:, :measured] = quality
            of_subjects = np.take(quality, self.subjects[1], axis=1)
            extended[:, measured + self.subjects[0]] = of_subjects & np.uint16(DOUBTFUL)
            quality = extended
        values = np.hstack((block.values, self.scores))
        return Block(self.channels, block.time, values, quality, block.labels, block.row)

    def pieces(self, block: Block) -> Iterator[tuple[Block, dict[str, Sequence[str]]]]:
        """The extended block and the notes, a few rows at a time: what is written stays in the cache."""
        for first in range(0, len(block), _PIECE):
            rows = slice(first, first + _PIECE)
            piece = replace(self, scores=self.scores[rows], row=block.row + first)
            notes = {name: texts[rows] for name, texts in self.notes.items()}
            yield piece.extend(block.slice(rows.start, rows.stop)), notes

    def note(self, frame: int, column: int) -> str:
        """What the detector says in words about one of its scores, or nothing."""
        output = self.outputs[column]
        notes = self.notes.get(output.channel.name) or self.notes.get(output.detector)
        return notes[frame] if notes else ""
