"""The model card: what a trained model is, what it was made of, how well it did on what it had not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridtop.errors import ConfigurationError
from gridtop.learning.features import Feature, Scope
from gridtop.learning.nines import Nines, QuantileTable
from gridtop.text import clean

FORMAT: Literal[1] = 1
"""The version of the card: it rises when older engines cannot read it."""
NAME = r"^[^\W\d][\w-]{0,63}$"
"""What a model may be called: a letter and up to 63 more letters, digits, _ or -."""
LARGEST_CARD = 4 << 20
"""Bytes: no card of ours is larger."""

ModelKind = Literal["random_forest", "extra_trees", "gradient_boosting", "isolation_forest", "autoencoder"]
Recipe = Literal["transfer", "channels", "raw"]
Mode = Literal["frames", "events"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainedOn(_Part):
    """One recording that the model learned from."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    frames: int
    seconds: float
    clock: Literal["utc", "row"] = "utc"


class Score(_Part):
    """One honest figure: on frames or events that the model had not seen. `leaking` ones are not honest."""

    name: str
    value: float | None
    interval: tuple[float, float] | None = Field(None, description="95 %, over groups")
    groups: int | None = Field(None, description="events or files that the interval rests on")
    split: str = ""
    leaking: bool = False


class Output(_Part):
    """One column of scores: what it speaks of, and the classes whose probabilities it adds up.

    `at` is the place it speaks of: the line (or site), or the near or far end of the line.
    """

    name: str
    at: Literal["place", "near", "far"] = "place"
    classes: tuple[str, ...] = ()


class Windows(_Part):
    """How event windows are opened, measured and closed (gridtop/learning/windows.py); of mode `events`.

    `spreads` are, for each lag and feature that is measured, how far the feature usually changes within the
    lag while nothing happens; `held` how far it must be from the state before to keep a window open.
    """

    lags: tuple[float, ...] = Field((0.3, 3.0), min_length=1, description="seconds over which changes open")
    level: float = Field(gt=0, description="changes this many spreads large open a window")
    spreads: tuple[tuple[float, ...], ...]
    held: tuple[float, ...]
    before: float = Field(1.0, gt=0.25, description="seconds before the trigger that are the state before")
    ages: tuple[float, ...] = Field((0.1, 0.3, 0.7, 1.5, 3.0, 6.0, 12.0), min_length=1, description="seconds")
    rest: float = Field(3.0, gt=0, description="seconds before a window may close, or another take its place")
    calm: float = Field(1.0, gt=0, description="seconds near the state before that close a window")
    hold: float = Field(60.0, gt=0, description="seconds that a window stays open at most")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.spreads) != len(self.lags) or {len(row) for row in self.spreads} != {len(self.held)}:
            raise ValueError("the spreads of the windows are not one for each lag and feature")
        if list(self.ages) != sorted(set(self.ages)) or max(self.ages) >= self.hold:
            raise ValueError("the ages of the windows do not rise, or are beyond their hold")
        return self


class ModelCard(_Part):
    """Everything about a model but its numbers.

    A model judges frames of `features` (in order) at each place of its `scope`; missing ones are taken from
    `fill`. The autoencoder's features are scaled by `centre` and `spread`. `quantiles` are of scores while
    nothing happens, `nines` turns those of kinds without probabilities into nines. `files` are the files of
    the folder with their SHA-256.
    """

    format: Literal[1] = FORMAT
    name: str = Field(pattern=NAME)
    kind: ModelKind
    mode: Mode = "frames"
    recipe: Recipe
    scope: Scope
    features: tuple[Feature, ...] = Field(min_length=1)
    fill: tuple[float, ...]
    centre: tuple[float, ...] | None = None
    spread: tuple[float, ...] | None = None
    usual_errors: tuple[float, ...] | None = None
    windows: Windows | None = None
    classes: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = Field(min_length=1)
    calibration: dict[str, Any] | None = None
    nines: Nines | None = None
    quantiles: QuantileTable | None = None
    rate: float | None = Field(None, description="frames per second of what it was trained on")
    labels: str = ""
    split: str = ""
    seed: int
    settings: dict[str, Any] = Field(default_factory=dict)
    recordings: tuple[TrainedOn, ...] = ()
    scores: tuple[Score, ...] = ()
    parity: tuple[dict[str, Any], ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    trained: str = Field("", description="the day, ISO 8601")
    command: str = ""
    intended_use: str = ""
    limits: tuple[str, ...] = ()
    remarks: tuple[str, ...] = Field((), description="what the monitor says of it when it starts")
    notes: tuple[str, ...] = Field((), description="how it came about")
    files: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        width = len(self.features)
        for name in ("fill", "centre", "spread", "usual_errors"):
            numbers = getattr(self, name)
            if numbers is not None and name == "fill" and len(numbers) != width:
                raise ValueError(f"{name} has {len(numbers)} numbers for {width} features")
        if (self.mode == "events") != (self.windows is not None):
            raise ValueError("a model of events has windows, and no other has")
        unknown = {name for output in self.outputs for name in output.classes} - set(self.classes)
        if unknown:
            raise ValueError(f"an output adds up a class that is not there: {sorted(unknown)[0]}")
        return self

    @property
    def fills(self) -> npt.NDArray[np.float64]:
        """(f,) what missing features are taken to be."""
        return np.array(self.fill)

    def to_json(self) -> str:
        """The card as it is written, one line a value, keys in a fixed order."""
        return self.model_dump_json(indent=1, exclude_defaults=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """The card in a file; ConfigurationError says what is wrong with it."""
        try:
            if path.stat().st_size > LARGEST_CARD:
                raise ConfigurationError(f"{clean(str(path))}: too large for a model card")
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"{clean(str(path))}: cannot be read: {reason}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ConfigurationError(
                f"{clean(str(path))}: no model card: {clean(where)}: {clean(str(first['msg']))}"
            ) from None
