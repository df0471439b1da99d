"""The few characters the screen is drawn with, in two sets: Unicode and plain ASCII."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gridtop.text import clean

from . import braille


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of characters. Severity never depends on it: `!!`, `!`, `?` and `~` are ASCII in both."""

    draw: Callable[[braille.Floats, braille.Floats, int, float, float], list[str]]
    selected: str
    ellipsis: str
    rule: str
    played: str
    here: str
    record: str
    """Something is being recorded."""
    latest: str
    """Points from the right at the newest value."""
    limit: str
    """Fills the row of a limit."""
    axis: str
    tick: str
    curves: tuple[str, str, str]
    """How the first, second and third of several curves are drawn."""
    behind: str
    """Before an alarm that stands behind the one above it."""
    left: str
    right: str
    only_ascii: bool

    def plain(self, text: str) -> str:
        """Text from outside made harmless, and printable in this set."""
        text = clean(text)
        return text.encode("ascii", "replace").decode() if self.only_ascii else text


UNICODE = Glyphs(
    braille.braille,
    selected="▌",
    ellipsis="…",
    rule="─",
    played="━",
    here="●",
    record="●",
    latest="◂",
    limit="┈",
    axis="│",
    tick="┤",
    curves=("━", "╍", "┅"),
    behind="└",
    left="←",
    right="→",
    only_ascii=False,
)
ASCII = Glyphs(
    braille.ascii_art,
    selected=">",
    ellipsis="..",
    rule="-",
    played="=",
    here="O",
    record="*",
    latest="<",
    limit="-",
    axis="|",
    tick="+",
    curves=("", "-", "."),
    behind="\\",
    left="<-",
    right="->",
    only_ascii=True,
)


def suited(environment: Mapping[str, str], encoding: str | None) -> Glyphs:
    """The set that a terminal can show.

    ASCII when the output cannot carry Unicode, when the locale names another character set, and on the
    Linux console, whose fonts have no braille.
    """
    locale = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    unicode_output = (encoding or "").lower().replace("-", "").startswith("utf")
    foreign = bool(locale) and "utf" not in locale.lower()
    return ASCII if not unicode_output or foreign or environment.get("TERM") == "linux" else UNICODE
