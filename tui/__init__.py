"""The terminal screen of gridtop."""
