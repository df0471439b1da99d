"""What is wrong with a text that a person wrote: where, what, and the line itself with a caret."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridtop.errors import ConfigurationError
from gridtop.text import clean

KeyPath = tuple[str | int, ...]
"""The way to a setting from the top: keys of maps and positions in lists."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_PLAIN_KEY = re.compile(r"[^\s\".=\[\]]+")
_LONGEST_MESSAGE = 400
_WIDEST_EXCERPT = 150
_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Text:
    """A text under examination: what messages call it, and its lines."""

    name: str
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, content: str) -> Text:
        """The text `content`, cut into lines where YAML sees line breaks."""
        return cls(name, tuple(_LINE_BREAK.split(content)))


@dataclass(frozen=True, slots=True)
class Place:
    """A character of a text, line and column counted from 1; line 0 means the text as a whole."""

    text: Text
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        name = clean(self.text.name)
        return f"{name}:{self.line}:{self.column}" if self.line else name

    def excerpt(self) -> tuple[str, ...]:
        """The line and below it a caret, at most 150 columns wide; nothing when there is no such line."""
        if not 0 < self.line <= len(self.text.lines):
            return ()
        line = self.text.lines[self.line - 1].replace("\t", "→")
        start = max(0, self.column - 1 - _WIDEST_EXCERPT // 2) if len(line) > _WIDEST_EXCERPT else 0
        before = clean(line[start : self.column - 1])
        width = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in before)
        return clean(line[start : start + _WIDEST_EXCERPT]).rstrip(), " " * width + "^"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, which setting it is about, and what is wrong."""

    place: Place
    keys: KeyPath
    message: str

    def __str__(self) -> str:
        return "\n".join((self.headline, *self.place.excerpt()))

    @property
    def headline(self) -> str:
        """`file:line:column: path: message`."""
        return ": ".join(part for part in (str(self.place), dotted(self.keys), self.words) if part)

    @property
    def words(self) -> str:
        """The message on one line, without anything a terminal could mistake for a command."""
        return clean(" ".join(self.message.split()), _LONGEST_MESSAGE)


class InvalidConfiguration(ConfigurationError):
    """A configuration with mistakes: `problems` holds all of them, in the order they stand in the files."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        count = len(self.problems)
        super().__init__(f"the configuration has {count} mistake{'s' * (count != 1)}\n{self.listing()}")

    def listing(self) -> str:
        """Every problem with its line and caret, one below the other."""
        shown = [str(problem) for problem in self.problems[:_MOST_SHOWN]]
        left_out = len(self.problems) - len(shown)
        return "\n".join([*shown, *([f"... and {left_out} more"] if left_out else [])])


def dotted(keys: Sequence[str | int]) -> str:
    """The path as people write it: `limits.voltage.on[0]`, with quotes round keys that hold a dot."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            word = clean(key, 60)
            path += ("." if path else "") + (word if _PLAIN_KEY.fullmatch(word) else f'"{word}"')
    return path


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the known word that is most like `word`, else nothing."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold()[:100], by_folded, n=1)
    return f" (did you mean {by_folded[close[0]]!r}?)" if close else ""
