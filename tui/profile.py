"""How the screen suits its terminal: colours, characters, pace and mouse, unless someone chooses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gridtop.client import ScreenWishes

from . import glyphs, theme
from .glyphs import ASCII, UNICODE, Glyphs

TICKS_PER_SECOND = 4.0
"""Nobody reads numbers faster; what happens between two ticks shows in the envelope."""
SLOW = 1.0
"""For a line that carries little: `--slow`."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a screen is drawn with. `decided` names what the command line said, which nothing overrides."""

    glyphs: Glyphs = UNICODE
    theme: str = theme.CALM.name
    ticks_per_second: float = TICKS_PER_SECOND
    mouse: bool = False
    over_ssh: bool = False
    decided: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """What the status line says of it: nothing when there is nothing special."""
        pace = f"{self.ticks_per_second:g} Hz"
        if self.over_ssh:
            return f"ssh {pace}"
        return "" if self.ticks_per_second == TICKS_PER_SECOND else pace

    def granting(self, wishes: ScreenWishes) -> Profile:
        """This profile with what the configuration wants where the command line said nothing."""
        granted = self
        if wishes.theme != "auto" and "theme" not in self.decided:
            granted = replace(granted, theme=wishes.theme)
        if wishes.glyphs != "auto" and "glyphs" not in self.decided:
            granted = replace(granted, glyphs=ASCII if wishes.glyphs == "ascii" else UNICODE)
        if wishes.rate is not None and "pace" not in self.decided:
            granted = replace(granted, ticks_per_second=wishes.rate)
        return granted


def suited(
    environment: Mapping[str, str],
    encoding: str | None,
    *,
    only_ascii: bool = False,
    theme_name: str | None = None,
    mouse: bool | None = None,
    slow: bool = False,
) -> Profile:
    """The profile for a terminal; the options are those of the command line."""
    over_ssh = "SSH_CONNECTION" in environment
    said = {"glyphs": only_ascii, "theme": theme_name is not None, "pace": slow}
    return Profile(
        ASCII if only_ascii else glyphs.suited(environment, encoding),
        theme_name or theme.suited(environment),
        SLOW if slow else TICKS_PER_SECOND,
        not over_ssh if mouse is None else mouse,
        over_ssh,
        frozenset(name for name, is_said in said.items() if is_said),
    )
