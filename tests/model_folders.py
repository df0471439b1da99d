"""Small real models in folders, trained on a few hundred rows, and a stream of two lines for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.learning.card import ModelCard, Output, Score, TrainedOn, Windows
from gridtop.learning.features import Feature, FeatureStream, bind
from gridtop.learning.folder import MODEL, TREES, write_folder
from gridtop.learning.nines import Nines
from gridtop.learning.windows import Columns
from gridtop.site import Site
from gridtop.training.forests import FittedForest, fit_isolation_forest, fit_random_forest
from tests.streams import times

RATE = 30.0
SITE = Site.model_validate({"lines": {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}}})
FEATURES = (
    Feature(channel="near:V", unit="V"),
    Feature(channel="far:V", unit="V"),
    Feature(channel="near:I", unit="A"),
    Feature(channel="near:V", statistic="range", window=0.2, unit="V"),
    Feature(channel="near:I", statistic="change", window=0.2, unit="A"),
)


def line_channels(terminals: Sequence[str] = ("R1", "R2", "R3", "R4")) -> ChannelSet:
    """A voltage and a current at each terminal."""
    kinds = (("V", "voltage", "V"), ("I", "current", "A"))
    return ChannelSet(
        tuple(
            Channel(f"{t}:{kind}", quantity, unit=unit, part="magnitude", terminal=t)
            for t in terminals
            for kind, quantity, unit in kinds
        ),
        RATE,
    )


def quiet(frames: int, *, seed: int = 0, channels: ChannelSet | None = None) -> Block:
    """Voltages about 100 V and currents about 10 A, with a hundredth of noise."""
    channels = channels or line_channels()
    usual = np.array([100.0 if c.quantity == "voltage" else 10.0 for c in channels])
    noise = np.random.default_rng(seed).standard_normal((frames, len(channels)))
    return Block(channels, times(frames, RATE), usual * (1 + 0.01 * noise))


def faulted(frames: int, *, start: int, stop: int, seed: int = 0, line: str = "L1") -> Block:
    """The same with a fault near the first end of a line: half the voltage, five times the current."""
    block = quiet(frames, seed=seed)
    values = block.values.copy()
    near = SITE.lines[line].ends[0]
    values[start:stop, block.channels.position(f"{near}:V")] *= 0.5
    values[start:stop, block.channels.position(f"{near}:I")] *= 5
    return Block(block.channels, block.time, values)


def features_of(block: Block, features: Sequence[Feature] = FEATURES) -> np.ndarray:
    """(n, f) the features of L1."""
    places = bind(features, "line", block.channels, SITE).places[:1]
    return FeatureStream(features, places, block.channels.rate)(block)[0]


@cache
def _rows() -> tuple[np.ndarray, np.ndarray]:
    block = faulted(400, start=200, stop=400, seed=1)
    rows = features_of(block)[10:]
    return rows, (np.arange(10, 400) >= 200).astype(np.int64)


@cache
def forest() -> FittedForest:
    """A random forest that knows faults."""
    return fit_random_forest(*_rows(), classes=("normal", "fault_AG"), seed=1, trees=10, max_depth=4)


def card(kind: str, **changes: Any) -> ModelCard:
    """A card of FEATURES."""
    rows, _ = _rows()
    plain: dict[str, Any] = {
        "name": kind,
        "kind": kind,
        "recipe": "transfer",
        "scope": "line",
        "features": FEATURES,
        "fill": tuple(np.median(rows[:190], axis=0).tolist()),
        "outputs": (Output(name="strangeness"),),
        "rate": RATE,
        "seed": 1,
        "split": "event",
        "recordings": (TrainedOn(name="quiet.csv", sha256="0" * 64, frames=390, seconds=13.0),),
        "scores": (
            Score(name="recall", value=0.9, interval=(0.8, 0.95), groups=12, split="event"),
            Score(name="recall", value=1.0, split="rows", leaking=True),
        ),
    }
    return ModelCard.model_validate({**plain, **changes})


def forest_folder(folder: Path, **changes: Any) -> Path:
    """The random forest in a folder; `changes` are those to its card."""
    fitted = forest()
    outputs = changes.pop("outputs", (Output(name="fault", classes=("fault_AG",)),))
    written = card("random_forest", **{"classes": fitted.classes, "outputs": outputs, **changes})
    write_folder(folder, written, {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()})
    return folder


def isolation_folder(folder: Path, **changes: Any) -> Path:
    """An isolation forest of ordinary rows in a folder."""
    fitted = fit_isolation_forest(features_of(quiet(600, seed=2))[10:], seed=1, trees=20, sample=64)
    usual = fitted.predict(features_of(quiet(3000, seed=3))[10:])[:, 0]
    written = card("isolation_forest", **{"nines": Nines.fit(usual, rate=RATE), **changes})
    write_folder(folder, written, {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()})
    return folder


def autoencoder_folder(folder: Path, **changes: Any) -> Path:
    """An autoencoder of ordinary rows in a folder; needs TensorFlow."""
    from gridtop.learning.inference import Session
    from gridtop.learning.reconstruction import reconstruction_score
    from gridtop.training.autoencoders import fit_autoencoder

    fitted = fit_autoencoder(features_of(quiet(600, seed=2))[10:], seed=1, epochs=3, layers=(4,))
    errors = Session(fitted.onnx, fitted.centre, fitted.spread).run(features_of(quiet(3000, seed=3))[10:])
    scaling: Mapping[str, Any] = {
        "centre": tuple(fitted.centre.tolist()),
        "spread": tuple(fitted.spread.tolist()),
        "usual_errors": tuple(fitted.usual_errors.tolist()),
        "nines": Nines.fit(reconstruction_score(errors), rate=RATE),
    }
    write_folder(folder, card("autoencoder", **{**scaling, **changes}), {MODEL: fitted.onnx})
    return folder


def events_folder(folder: Path, **changes: Any) -> Path:
    """A random forest of event windows: a sag at the near end is a fault, phase A to ground."""
    windows = Windows(level=8.0, lags=(0.2,), spreads=((1.0, 1.0, 0.1),), held=(10.0, 10.0, 1.0))
    width = Columns(FEATURES).width
    rows = np.random.default_rng(3).uniform(-60, 60, (600, width))
    numbers = np.where(rows[:, 0] < -25, 1, 0)
    classes = ("normal", "fault_AG", "fault_BG")
    fitted = fit_random_forest(rows, numbers, classes=classes, seed=1, trees=10, max_depth=4)
    output = Output(name="fault", classes=classes[1:])
    plain = {"kind": "random_forest", "mode": "events", "windows": windows, "classes": classes}
    written = card(**{**plain, "outputs": (output,), **changes})
    write_folder(folder, written, {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()})
    return folder
