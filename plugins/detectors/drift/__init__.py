"""Drift: what ages slowly, and when it reaches its threshold (docs/drift.md)."""

from gridtop.plugins.detectors.drift.scores import Drift

__all__ = ["Drift"]
