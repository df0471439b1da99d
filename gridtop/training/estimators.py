"""One face for the kinds of models that are trained: fit on a dataset, score rows, raise alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.learning.card import ModelKind
from gridtop.learning.inference import Session
from gridtop.learning.reconstruction import reconstruction_score
from gridtop.training.datasets import Dataset
from gridtop.training.lessons import Marks

if TYPE_CHECKING:
    from gridtop.training.autoencoders import FittedAutoencoder
    from gridtop.training.forests import FittedForest

ANOMALY_KINDS: tuple[ModelKind, ...] = ("isolation_forest", "autoencoder")
"""Those that learn from ordinary frames only and know no classes."""
RAW_LAYERS = (128, 64, 128)
"""The hidden layers of the earlier system's autoencoder."""
TREES = 64
"""With 256 leaves each they stay well below 2 MB."""
ISOLATION_TREES = 100
"""Trees of 256 rows are small."""
HELD_OUT = 0.2
"""Share of the ordinary rows that set the threshold and are not learned from."""
_FEWEST = 20


@dataclass(frozen=True)
class Estimator:
    """What is fitted, and how."""

    kind: ModelKind
    seed: int = 1
    trees: int = TREES
    layers: tuple[int, ...] | None = None
    epochs: int = 100
    patience: int = 8

    @property
    def is_supervised(self) -> bool:
        """Whether it learns from labels."""
        return self.kind not in ANOMALY_KINDS

    def fit(self, data: Dataset) -> Fitted:
        """Fit it: a classifier to all rows, others to ordinary ones; GridtopError if they are too few."""
        if self.is_supervised:
            return Fitted(self, forest=self._classifier(data))
        ordinary = data.part(data.ordinary)
        if len(ordinary.x) < _FEWEST:
            raise GridtopError(
                f"only {len(ordinary.x)} rows are ordinary (without an event, and 5 s after any): too few to "
                "learn what is normal"
            )
        if self.kind == "autoencoder":
            from gridtop.training.autoencoders import fit_autoencoder

            fitted = fit_autoencoder(
                ordinary.x,
                seed=self.seed,
                groups=ordinary.group,
                names=[feature.name for feature in data.chosen.features],
                layers=self.layers,
                epochs=self.epochs,
                patience=self.patience,
            )
            return Fitted(self, network=fitted, held_out=ordinary.x[fitted.held_out])
        from gridtop.training.autoencoders import held_out_rows
        from gridtop.training.forests import fit_isolation_forest

        held = held_out_rows(len(ordinary.x), ordinary.group, HELD_OUT, self.seed)
        forest = fit_isolation_forest(ordinary.x[~held], seed=self.seed, trees=self.trees)
        return Fitted(self, forest=forest, held_out=ordinary.x[held])

    def _classifier(self, data: Dataset) -> FittedForest:
        from gridtop.training.forests import fit_gradient_boosting, fit_random_forest

        if self.kind == "gradient_boosting":
            return fit_gradient_boosting(data.x, data.y, classes=data.classes, seed=self.seed)
        return fit_random_forest(
            data.x,
            data.y,
            classes=data.classes,
            seed=self.seed,
            trees=self.trees,
            kind=cast(Any, self.kind),
        )


@dataclass(frozen=True)
class Fitted:
    """A fitted model; `held_out` (m, f) are ordinary rows that an anomaly model has not learned from."""

    estimator: Estimator
    forest: FittedForest | None = None
    network: FittedAutoencoder | None = None
    held_out: Floats | None = None

    @property
    def onnx(self) -> bytes:
        """The exported graph."""
        return self._fitted.onnx

    @property
    def centre(self) -> Floats | None:
        """(f,) what is taken off each feature before the graph; None when nothing is."""
        return None if self.network is None else self.network.centre

    @property
    def spread(self) -> Floats | None:
        """(f,) what each feature is divided by."""
        return None if self.network is None else self.network.spread

    def score(self, x: Floats) -> Floats:
        """(n, k) probabilities of the classes, or (n, 1) strangeness, of the exported model."""
        if self.network is None:
            assert self.forest is not None
            return self.forest.predict(x)
        return reconstruction_score(Session(self.onnx, self.centre, self.spread).run(x))[:, np.newaxis]

    def alarms(self, raw: Floats) -> tuple[Floats, Marks]:
        """(n,) one score a row, and whether it alarms: the likeliest class is an event, or beyond q99.9."""
        if self.estimator.is_supervised:
            return 1.0 - raw[:, 0], np.argmax(raw, axis=1) > 0
        assert self.held_out is not None
        limit = np.quantile(self.score(self.held_out)[:, 0], 0.999)
        return raw[:, 0], raw[:, 0] > limit

    @property
    def _fitted(self) -> FittedForest | FittedAutoencoder:
        found = self.forest or self.network
        assert found is not None
        return found
