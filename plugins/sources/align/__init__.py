"""Several sources made into one stream of frames, by measurement time (docs/align.md)."""

from gridtop.plugins.sources.align.source import Align

__all__ = ["Align"]
