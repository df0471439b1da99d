"""Dense autoencoders: fitted by TensorFlow on normal data only, run as an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.training.dense_graphs import Activation, Singles, reconstruction_graph
from gridtop.training.dense_networks import (
    Progress,
    dense_network,
    layers_of,
    load_tensorflow,
    reconstructed,
    train,
)

if TYPE_CHECKING:
    from gridtop.training.parity import Parity

Floats = npt.NDArray[np.float64]
CLIP_SPREADS = 10.0
"""Inputs further out are taken for this far: one wild channel may not drown what the others say."""
_LEAST_USUAL = 1e-4
"""Of a spread squared: below it a residual is rounding of float32 and of instruments, not knowledge."""
_NAMED = 8


@dataclass(frozen=True)
class FittedAutoencoder:
    """A trained network with what it takes to run it and to say how it was trained; f features.

    centre, spread   (f,) of the training rows, float64: the network sees (x - centre) / spread as float32
    constant         (f,) whether a feature was constant in training; its spread is 1 in its own unit
    usual_errors     (f,) mean squared errors of the held-out normal rows, as the graph gives them
    held_out         (n,) the normal rows that were kept out of training: calibrate on these
    onnx             the graph: x (n, f) scaled, not yet clipped; errors (n, f)
    """

    centre: Floats
    spread: Floats
    constant: npt.NDArray[np.bool_]
    layers: tuple[int, ...]
    activation: Activation
    loss: Literal["mse", "huber"]
    clip: float
    seed: int
    best_epoch: int
    training_loss: Floats
    validation_loss: Floats
    usual_errors: Floats
    held_out: npt.NDArray[np.bool_]
    remarks: tuple[str, ...]
    onnx: bytes = field(repr=False)
    weights: Floats | None
    _network: Any = field(repr=False)

    def reference(self, x: npt.ArrayLike) -> Floats:
        """(n, f) errors of unscaled features (n, f) by Keras itself, what the graph is held against."""
        scaled = _scaled(np.asarray(x, dtype=np.float64), self.centre, self.spread, self.clip)
        errors: Singles = np.square(reconstructed(self._network, scaled) - scaled)
        if self.weights is not None:
            errors *= self.weights.astype(np.float32)
        return errors.astype(np.float64)

    def check(self, x: npt.ArrayLike, threshold: float) -> Parity:
        """Holds the graph against Keras on rows (n, f), in every runtime; ParityError when they disagree.

        The largest difference of all runtimes is given, of scores as `comparable_score` makes them. Where
        errors are counted in usual errors, a difference in spreads counts as often as the smallest of these
        goes into a spread. No row further than that from `threshold` may change sides.
        """
        from gridtop.learning.inference import Session
        from gridtop.learning.runtimes import runtimes_at_hand
        from gridtop.training.parity import check, comparable_score, error_unit, relative_above_one, worst

        rows = np.asarray(x, dtype=np.float64)
        unit = error_unit(self.weights)
        reference = comparable_score(self.reference(rows), unit)
        limit = float(relative_above_one(np.array(threshold))) / unit
        sessions = [Session(self.onnx, self.centre, self.spread, runtime=name) for name in runtimes_at_hand()]
        return worst(
            check("autoencoder", reference, comparable_score(session.run(rows), unit), limit)
            for session in sessions
        )


def default_layers(features: int) -> tuple[int, int, int]:
    """Hidden layers for so many features: half as wide, a quarter of that in the middle (60: 32, 8, 32)."""
    wide = 1 << max(features // 2 - 1, 1).bit_length()
    wide = min(max(wide, 8), 128)
    return wide, max(wide // 4, 2), wide


def held_out_rows(rows: int, groups: npt.ArrayLike | None, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """(rows,) which rows to keep out of training: whole groups, chosen by `seed`, about `share` of the rows.

    `groups` (rows,) names the recording, run or hour of each row. With fewer than two groups, or where
    whole ones would take more than half of the rows, it is the last `share` of the rows, in one piece:
    rows picked at random would be the neighbours of training rows, and prove nothing.
    """
    names = np.zeros(rows, dtype=np.int64) if groups is None else np.asarray(groups)
    if names.shape != (rows,):
        raise ValueError(f"{rows} rows have groups {names.shape}")
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[before + sizes[order] / 2 <= share * rows]
    if not len(chosen):
        chosen = np.array([int(np.argmin(sizes))])
    mask: npt.NDArray[np.bool_] = np.isin(group, chosen)
    if len(sizes) < 2 or 2 * int(mask.sum()) > rows:
        mask = np.arange(rows) >= rows - max(1, round(share * rows))
    return mask


def fit_autoencoder(
    x_normal: npt.ArrayLike,
    *,
    seed: int,
    groups: npt.ArrayLike | None = None,
    names: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    activation: Activation = "tanh",
    loss: Literal["mse", "huber"] = "mse",
    errors_in: Literal["spread", "usual"] = "spread",
    clip: float = CLIP_SPREADS,
    epochs: int = 100,
    batch: int = 256,
    patience: int = 8,
    learning_rate: float = 1e-3,
    validation: float = 0.1,
    progress: Progress | None = None,
) -> FittedAutoencoder:
    """Fits a dense autoencoder to normal rows (n, f) and exports it; the same for the same seed.

    Training stops when the loss on the held-out rows has not fallen by a thousandth for `patience` epochs,
    and the best epoch counts. `groups` (n,) are contiguous stretches, held out whole (`held_out_rows`);
    `names` (f,) are for messages. `errors_in` says in what the graph counts errors: `spread` of the
    feature, or the `usual` error of the feature on held-out rows, which gives a feature that is always
    reconstructed well as much say as one that never is.

    Raises GridtopError when TensorFlow is not installed, when a row holds something that is not finite,
    when there are too few rows, or when every feature is constant. ValueError for settings out of range.
    """
    x = np.asarray(x_normal, dtype=np.float64)
    _check_settings(x, names, validation, epochs, batch, clip)
    hidden = tuple(layers) if layers is not None else default_layers(x.shape[1])
    if not hidden or min(hidden) < 1:
        raise ValueError(f"hidden layers are one or more positive numbers, not {hidden}")
    held_out = held_out_rows(len(x), groups, validation, seed)
    centre, spread, constant = _centre_and_spread(x[~held_out])
    remarks = _remarks(constant, names)
    scaled = _scaled(x, centre, spread, clip)

    tensorflow = load_tensorflow()
    network = dense_network(tensorflow, x.shape[1], hidden, activation, seed)
    losses, best = train(
        tensorflow,
        network,
        scaled[~held_out],
        scaled[held_out],
        loss=loss,
        epochs=epochs,
        batch=batch,
        patience=patience,
        learning_rate=learning_rate,
        seed=seed,
        progress=progress,
    )
    apart = np.square(reconstructed(network, scaled[held_out]) - scaled[held_out])
    usual = apart.mean(axis=0, dtype=np.float64)
    weights = None
    if errors_in == "usual":
        weights = 1.0 / np.maximum(usual, _LEAST_USUAL)
        usual = usual * weights
    return FittedAutoencoder(
        centre=centre,
        spread=spread,
        constant=constant,
        layers=hidden,
        activation=activation,
        loss=loss,
        clip=clip,
        seed=seed,
        best_epoch=best,
        training_loss=losses[:, 0],
        validation_loss=losses[:, 1],
        usual_errors=usual,
        held_out=held_out,
        remarks=remarks,
        onnx=reconstruction_graph(layers_of(network), activation, limit=clip, weights=weights),
        weights=weights,
        _network=network,
    )


def _check_settings(
    x: Floats, names: Sequence[str] | None, validation: float, epochs: int, batch: int, clip: float
) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"normal rows are (n, f), not {x.shape}")
    if names is not None and len(names) != x.shape[1]:
        raise ValueError(f"{x.shape[1]} features have {len(names)} names")
    if not (0.0 < validation < 0.5 and epochs >= 1 and batch >= 1 and clip > 0.0):
        raise ValueError("validation is a share below 0.5; epochs, batch and clip are positive")
    if len(x) < 20:
        raise GridtopError(f"an autoencoder cannot be trained on {len(x)} normal rows: give it more data")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0].tolist()
        raise GridtopError(
            f"normal row {row} of {_name(names, column)} is {x[row, column]:g}: leave out rows that are not "
            "complete before training"
        )


def _centre_and_spread(x: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """(f,) mean, standard deviation, and which are constant but for rounding, with a spread of 1."""
    centre = x.mean(axis=0)
    spread = x.std(axis=0)
    constant: npt.NDArray[np.bool_] = spread <= 1e-9 * np.maximum(np.abs(centre), 1e-3)
    if constant.all():
        raise GridtopError("every feature is constant in the normal data: there is nothing to learn from it")
    # The mean of equal numbers is off by rounding, which would be an error of its own on every row.
    return np.where(constant, x[0], centre), np.where(constant, 1.0, spread), constant


def _remarks(constant: npt.NDArray[np.bool_], names: Sequence[str] | None) -> tuple[str, ...]:
    which = np.flatnonzero(constant).tolist()
    if not which:
        return ()
    shown = ", ".join(_name(names, column) for column in which[:_NAMED])
    more = f" and {len(which) - _NAMED} more" if len(which) > _NAMED else ""
    return (
        f"{len(which)} of {len(constant)} features were constant in training ({shown}{more}): "
        "nothing was learned about them, and any change of one counts in its own unit",
    )


def _name(names: Sequence[str] | None, column: int) -> str:
    from gridtop.text import clean

    return f"feature {column}" if names is None else clean(names[column])


def _scaled(x: Floats, centre: Floats, spread: Floats, clip: float) -> Singles:
    scaled: Singles = np.clip((x - centre) / spread, -clip, clip).astype(np.float32)
    return scaled
