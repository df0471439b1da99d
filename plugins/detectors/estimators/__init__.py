"""Estimators of scikit-learn, PyOD and river as detectors, each named in one line of the configuration."""

from gridtop.plugins.detectors.estimators.batches import Pyod, Sklearn
from gridtop.plugins.detectors.estimators.stream import River

__all__ = ["Pyod", "River", "Sklearn"]
