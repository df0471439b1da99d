"""Which colours to use: a calm dark theme, or the terminal's own sixteen."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

CALM = Theme(
    name="gridtop",
    primary="#7aa2b8",
    secondary="#8a949e",
    accent="#7fb4ca",
    warning="#e6b450",
    error="#ff6b5e",
    success="#8fb573",
    foreground="#b8c0c8",
    background="#0f1216",
    surface="#171b21",
    panel="#1d222a",
    dark=True,
)
"""Grey on near-black: colour is kept for what is not normal."""


def suited(environment: Mapping[str, str]) -> str:
    """The theme's name: the terminal's own colours unless it is known to have more, and with NO_COLOR."""
    true_colour = environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return CALM.name if true_colour and "NO_COLOR" not in environment else "ansi-dark"
