"""From recordings to a model folder: judge on what was held out, fit, check the export, fill in the card."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from gridtop import __version__
from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.evaluation.splits import Split, segments
from gridtop.learning.card import ModelCard, Output
from gridtop.learning.features import fill
from gridtop.learning.folder import MODEL, TREES
from gridtop.learning.nines import Nines, QuantileTable
from gridtop.learning.recipes import RAW_WARNING
from gridtop.training.calibration import calibrate
from gridtop.training.datasets import Dataset, FeatureReader
from gridtop.training.estimators import Estimator, Fitted
from gridtop.training.held_out import SPLIT_NAMES, HeldOut, Step, cross_validated, own_file_scores
from gridtop.training.lessons import Lesson
from gridtop.training.plots import drawn, plot_confusion, plot_losses, plot_reliability, plot_scores

PARITY_ROWS = 20_000
CALIBRATION_SHARE = 4
"""One recording in so many is kept out of an anomaly model, to find out what its scores are usually like."""
_THRESHOLDS = (0.99, 0.999, 0.9999)
_MOST_CLASSES = 40
_PACKAGES = ("numpy", "scikit-learn", "tensorflow", "tensorflow-cpu", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Task:
    """What is to be taught under a name."""

    name: str
    estimator: Estimator
    split: Split | None
    command: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taught:
    """A model before it is written: its card and the files of its folder."""

    card: ModelCard
    files: dict[str, bytes]


def teach(
    task: Task, data: Dataset, recordings: Sequence[Lesson], test: Dataset | None, step: Step = lambda: None
) -> Taught:
    """Teach one model; GridtopError when it cannot be, ParityError when its export must not be used."""
    estimator = task.estimator
    names = tuple(lesson.name for lesson in recordings)
    judged = cross_validated(data, estimator, task.split, names, leaking=estimator.is_supervised, step=step)
    if estimator.is_supervised:
        taught = _classifier(task, data, judged, step)
    else:
        taught = _anomaly_model(task, data, recordings, judged, step)
    fitted, parts, files = taught
    scores = judged.scores
    if test is not None:
        scores += own_file_scores(fitted, test)
    fields: dict[str, Any] = {
        "name": task.name,
        "kind": estimator.kind,
        "recipe": data.chosen.recipe,
        "scope": data.chosen.scope,
        "features": data.chosen.features,
        "fill": tuple(data.fills.tolist()),
        "rate": data.rate,
        "labels": ", ".join(dict.fromkeys(lesson.source for lesson in recordings)),
        "split": SPLIT_NAMES[task.split] if task.split else "none",
        "seed": estimator.seed,
        "recordings": tuple(lesson.trained_on for lesson in recordings),
        "scores": scores,
        "versions": versions(estimator),
        "trained": today(),
        "command": task.command,
        "intended_use": _intended_use(data, estimator),
        "limits": _limits(data, estimator),
    }
    warnings = (*data.chosen.remarks, *parts.pop("remarks", ()), *_remarks(data, judged))
    notes = (*task.remarks, *data.remarks, *parts.pop("notes", ()), *_notes(data, judged))
    texts = {
        "remarks": tuple(dict.fromkeys(warnings)),
        "notes": tuple(note for note in dict.fromkeys(notes) if note not in warnings),
    }
    card = ModelCard.model_validate(fields | parts | texts)
    return Taught(card, files)


def _classifier(
    task: Task, data: Dataset, judged: HeldOut, step: Step
) -> tuple[Fitted, dict[str, Any], dict[str, bytes]]:
    estimator = task.estimator
    fitted = estimator.fit(data)
    step()
    assert fitted.forest is not None
    rows = _spaced(data.x, 2 * PARITY_ROWS)
    parities = fitted.forest.verify(rows[::2], rows[1::2], seed=estimator.seed)
    files = {MODEL: fitted.onnx, TREES: fitted.forest.trees.to_bytes()}
    parts: dict[str, Any] = {
        "classes": data.classes,
        "outputs": tuple(Output(name=name, classes=(name,)) for name in data.classes[1:]),
        "parity": tuple(parity.to_dict() for parity in parities),
        "settings": {"trees": estimator.trees, "rows": len(data.y)},
        "remarks": ("nothing was held out: its probabilities are not calibrated, and have no quantiles",),
    }
    if judged.tested.any():
        parts |= _calibrated(judged, files)
    return fitted, parts, files


def _calibrated(judged: HeldOut, files: dict[str, bytes]) -> dict[str, Any]:
    """What the held-out scores say about probabilities, with pictures of it."""
    raw, y = judged.raw[judged.tested], judged.data.y[judged.tested]
    calibration = calibrate(raw, y)
    probabilities = calibration.apply(raw)
    highest = probabilities[:, 1:].max(axis=1)
    found: dict[str, Any] = {
        "calibration": calibration.to_dict(),
        "remarks": (),
        "notes": (
            f"probabilities were calibrated on held-out rows of which {np.mean(y > 0):.0%} were of events: "
            "where events are rarer, they are too high",
        ),
    }
    if (y == 0).any():
        found["quantiles"] = quantiles = QuantileTable.fit(highest[y == 0])
        thresholds = _known_quantiles(quantiles.at)
        files["scores.svg"] = drawn(
            lambda path: plot_scores(highest[y == 0], highest[y > 0], thresholds, path, unit="probability")
        )
    event = 1.0 - probabilities[:, 0]
    files["reliability.svg"] = drawn(lambda path: plot_reliability(event, y > 0, path))
    if judged.confusion is not None and len(judged.data.classes) <= _MOST_CLASSES:
        matrix = judged.confusion
        files["confusion.svg"] = drawn(lambda path: plot_confusion(matrix.counts, matrix.classes, path))
    return found


def _anomaly_model(
    task: Task, data: Dataset, recordings: Sequence[Lesson], judged: HeldOut, step: Step
) -> tuple[Fitted, dict[str, Any], dict[str, bytes]]:
    estimator = task.estimator
    kept, begin = _kept_out(data, len(recordings), estimator.seed)
    learned = np.isin(data.file, kept, invert=True) | (data.seconds < begin)
    fitted = estimator.fit(data.part(learned))
    step()
    scores, groups, rate = _ordinary_scores(fitted, data, [recordings[k] for k in kept], begin)
    nines = Nines.fit(scores, rate=rate, groups=groups)
    files = {MODEL: fitted.onnx}
    limit = float(np.interp(3.0, nines.nines, nines.scores))
    parts: dict[str, Any] = {"outputs": (Output(name="anomaly"),), "nines": nines}
    rows = _spaced(data.x, 2 * PARITY_ROWS)
    remarks: tuple[str, ...] = ()
    if fitted.forest is not None:
        files[TREES] = fitted.forest.trees.to_bytes()
        parities = fitted.forest.verify(rows[::2], rows[1::2], threshold=limit, seed=estimator.seed)
        parts["settings"] = {"trees": estimator.trees, "rows": int(np.count_nonzero(learned & data.ordinary))}
    else:
        network = fitted.network
        assert network is not None
        parities = [network.check(rows, limit)]
        remarks = network.remarks
        parts |= {
            "centre": tuple(network.centre.tolist()),
            "spread": tuple(network.spread.tolist()),
            "usual_errors": tuple(network.usual_errors.tolist()),
            "settings": {
                "layers": list(network.layers),
                "activation": network.activation,
                "loss": network.loss,
                "clip": network.clip,
                "epoch": network.best_epoch,
                "rows": int(np.count_nonzero(learned & data.ordinary)),
            },
        }
        files["losses.svg"] = drawn(
            lambda path: plot_losses(network.training_loss, network.validation_loss, network.best_epoch, path)
        )
    quiet = nines.apply(scores[np.isfinite(scores)])
    events = nines.apply(fitted.score(data.x[~learned & data.truth])[:, 0])
    thresholds = {f"q{100 * share:g}": nines.quantile(share) for share in _THRESHOLDS}
    files["scores.svg"] = drawn(lambda path: plot_scores(quiet, events, thresholds, path, unit="nines"))
    names = ", ".join(recordings[k].name for k in kept)
    what = f"the last quarter of {names}" if np.isfinite(begin) else names
    parts["parity"] = tuple(parity.to_dict() for parity in parities)
    parts["notes"] = (
        *remarks,
        f"not learned from, but used to say how rare a score is: {what}",
    )
    return fitted, parts, files


def _kept_out(data: Dataset, recordings: int, seed: int) -> tuple[list[int], float]:
    """Which recordings an anomaly model is calibrated on, and from when on (-inf: from their beginning)."""
    if recordings > 1:
        count = max(1, recordings // CALIBRATION_SHARE)
        # A recording without ordinary frames says nothing about what is usual.
        useful = [k for k in range(recordings) if np.any(data.ordinary & (data.file == k))]
        chosen = sorted(np.random.default_rng(seed).permutation(useful)[:count].tolist())
        if len(useful) > len(chosen):
            return chosen, -np.inf
    ordinary = data.seconds[data.ordinary]
    if not len(ordinary):
        raise GridtopError("no row is ordinary: there is an event, or was one just before, in every frame")
    return [int(data.file[data.ordinary][-1])], float(np.quantile(ordinary, 1 - 1 / CALIBRATION_SHARE))


def _ordinary_scores(
    fitted: Fitted, data: Dataset, recordings: Sequence[Lesson], begin: float
) -> tuple[Floats, Floats, float | None]:
    """Scores of every frame one after the other, NaN where something happens, by recording and place."""
    parts: list[Floats] = []
    lengths: list[int] = []
    rates: set[float | None] = set()
    for lesson in recordings:
        usable = lesson.ordinary & (lesson.seconds >= begin)
        reader = FeatureReader(lesson, data.chosen.features, data.chosen, False)
        scores = np.full((len(reader.places), len(lesson.seconds)), np.nan)
        for frames, features in reader:
            at = frames[usable[frames]]
            for place in range(len(reader.places)) if len(at) else ():
                rows = fill(features[place, at - frames[0]], data.fills)
                scores[place, at] = fitted.score(rows)[:, 0]
        parts += list(scores)
        lengths += [scores.shape[1]] * len(scores)
        rates.add(lesson.channels.rate if lesson.channels.clock == "utc" else None)
    groups = np.repeat(np.arange(len(lengths)), lengths)
    joined = np.concatenate(parts)
    if not np.isfinite(joined).any():
        raise GridtopError("no ordinary frame is left to find out what scores are usually like")
    return joined, segments(groups).astype(np.float64), rates.pop() if len(rates) == 1 else None


def _known_quantiles(at: Callable[[float], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for share in _THRESHOLDS:
        try:
            found[f"q{100 * share:g}"] = at(share)
        except ValueError:
            break
    return found


def _spaced(x: Floats, most: int) -> Floats:
    return x[:: max(1, len(x) // most)]


def versions(estimator: Estimator) -> dict[str, str]:
    """What a model of this kind was made with, for its card."""
    found = {"gridtop": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        if package.startswith("tensorflow") and estimator.kind != "autoencoder":
            continue
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def today() -> str:
    """The day, or the one that a reproducible build is told (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return moment.date().isoformat()


def _intended_use(data: Dataset, estimator: Estimator) -> str:
    what = "each line of a site with measurements at both ends" if data.chosen.scope == "line" else "one site"
    if not estimator.is_supervised:
        return f"says of each frame of {what} how rare it is among ordinary ones; it does not say what it is"
    names = ", ".join(data.classes[1:6]) + (", ..." if len(data.classes) > 6 else "")
    return f"says of each frame of {what} how likely it is one of: {names}"


def _limits(data: Dataset, estimator: Estimator) -> tuple[str, ...]:
    limits = ["it knows nothing but grids, instruments and events like those it was trained on"]
    if estimator.is_supervised:
        limits.append("an event of a kind it was not shown may get any score")
    else:
        limits.append("normal operation that it was not shown is strange to it: train again when it changes")
    if data.chosen.scope == "site":
        limits.append("its features are the channels of one site: it cannot be used at another")
    return tuple(limits)


def _remarks(data: Dataset, judged: HeldOut) -> tuple[str, ...]:
    found: list[str] = []
    constant = np.ptp(data.x, axis=0) == 0
    if constant.any():
        names = [data.chosen.features[i].name for i in np.flatnonzero(constant).tolist()]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        found.append(
            f"{len(names)} of {len(constant)} features were constant in all rows "
            f"({', '.join(names[:4])}{more}): nothing was learned from them"
        )
    if judged.is_constant:
        found.append("in cross-validation it scored all rows alike: it has learned nothing")
    if data.chosen.recipe == "raw" and RAW_WARNING not in data.remarks:
        found.append(RAW_WARNING)
    return tuple(found)


def _notes(data: Dataset, judged: HeldOut) -> tuple[str, ...]:
    """How the model came about, for whoever reads its card."""
    if len(data.y) <= len(judged.data.y):
        return ()
    return (
        f"the scores are of models that were fitted to parts of {len(judged.data.y):,} rows; this one "
        f"was given {len(data.y):,}",
    )
