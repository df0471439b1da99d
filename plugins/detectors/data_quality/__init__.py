"""Data quality: what is wrong with the data of each device, and with the time of the stream."""

from gridtop.plugins.detectors.data_quality.scores import DataQuality

__all__ = ["DataQuality"]
