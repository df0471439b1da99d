"""Fitting, exporting and checking models: the heavy side, used by `gridtop train` only (extra `train`)."""
