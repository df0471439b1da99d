"""Detectors that score with a model that was trained beforehand (docs/models.md)."""

from gridtop.plugins.detectors.models.detectors import Autoencoder, IsolationForest, RandomForest

__all__ = ["Autoencoder", "IsolationForest", "RandomForest"]
