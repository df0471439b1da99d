"""What all detectors with a trained model have in common: the folder, the scores, and what these rest on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gridtop.api import Block, ChannelSet, Scores, Settings, Site, load_model, model_channels

Floats = npt.NDArray[np.float64]


class Trained:
    """Scores of the model in a folder, at every line of the site that it finds its channels at."""

    class Config(Settings):
        """Settings of a detector with a trained model."""

        model: Path = Field(description="the folder of the model, relative to the configuration")

    kinds: ClassVar[tuple[str, ...]] = ()
    """The kinds of models that it takes."""

    def __init__(self, config: Config, channels: ChannelSet, site: Site, inputs: Path) -> None:
        self._scorer = load_model(inputs / config.model, self.kinds, channels, site)
        self.outputs = self._scorer.outputs
        self.remarks = self._scorer.remarks
        """What to know before one relies on it, one line each."""

    @classmethod
    def wants(cls, config: Config, inputs: Path) -> tuple[str, ...]:
        """The channels that the model's card asks for."""
        return model_channels(inputs / config.model, cls.kinds)

    def score(self, block: Block) -> Scores:
        """(n, k) a column for each place and output of the model; NaN where too much is missing."""
        scores = self._scorer.score(block)
        return Scores(scores, note=self._scorer.note)

    def explain(self, frame: int, output: int) -> Floats:
        """(c,) the share of each channel in a score."""
        return self._scorer.explain(frame, output)

    def quantile(self, share: float) -> float:
        """The score that this share of ordinary frames stays below, as the card says."""
        return self._scorer.quantile(share)
