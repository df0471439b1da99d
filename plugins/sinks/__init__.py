"""Sinks that ship with gridtop."""
