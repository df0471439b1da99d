"""Physics: readings that no state of the grid explains, and which terminal they come from."""

from gridtop.plugins.detectors.physics.scores import Physics

__all__ = ["Physics"]
