"""The detectors with a trained model: each takes its kinds of models and brings the alarm that fits."""

from __future__ import annotations

from typing import Any, ClassVar

from gridtop.plugins.detectors.models.base import Trained

_RARE: dict[str, Any] = {
    # One ordinary frame in 1,000 comes every half minute, hence the delay. The score of an isolation forest
    # is bounded: a higher warning may be one that no frame can reach.
    "high": {"warning": "q99.9", "critical": "q99.999"},
    "on_delay": "200ms",
    "off_delay": "1s",
}


class RandomForest(Trained):
    """Probabilities of classes by a random forest, extra trees or boosted trees."""

    kinds = ("random_forest", "extra_trees", "gradient_boosting")
    alarm: ClassVar[dict[str, Any]] = {
        "high": {"warning": 0.5, "critical": 0.8},
        "consecutive": 3,
        "off_delay": "1s",
    }


class IsolationForest(Trained):
    """How easily a frame is told from ordinary ones, in nines: 3 is reached by one ordinary frame in 1000."""

    kinds = ("isolation_forest",)
    alarm: ClassVar[dict[str, Any]] = _RARE


class Autoencoder(Trained):
    """How badly a network that knows ordinary frames can reconstruct one, in nines."""

    kinds = ("autoencoder",)
    alarm: ClassVar[dict[str, Any]] = _RARE
