"""Detectors that ship with gridtop."""
