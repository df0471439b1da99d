"""Phasor measurement units and concentrators over IEEE C37.118 (docs/live.md), and captures of them."""

from gridtop.plugins.sources.c37118.capture import Capture
from gridtop.plugins.sources.c37118.source import C37118

__all__ = ["C37118", "Capture"]
