"""Which lines of the event log to show, as a person types it: `sag`, `@R3`, `!!`, `=shelved`."""

from __future__ import annotations

from dataclasses import dataclass

from gridtop.events import SEVERITIES, Severity

EXAMPLES = "words  @R3 place  ! warnings  !! critical  =shelved  =system"
_LEAST: dict[str, Severity] = {"!!": "critical", "!": "warning"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Every part of it must hold. Capitals do not matter."""

    words: tuple[str, ...] = ()
    """Each stands somewhere in rule, channel or message."""
    places: tuple[str, ...] = ()
    """The terminal is one of them."""
    least: Severity = "info"
    sorts: tuple[str, ...] = ()
    """Its kind or what happened begins like one of them."""

    @classmethod
    def parse(cls, text: str) -> Filter:
        """What a person means; any text means something, an empty one everything."""
        words: list[str] = []
        places: list[str] = []
        sorts: list[str] = []
        least: Severity = "info"
        for word in text.casefold().split():
            if word in _LEAST:
                least = _LEAST[word]
            elif len(word) > 1 and word.startswith("@"):
                places.append(word[1:])
            elif len(word) > 1 and word.startswith("="):
                sorts.append(word[1:].replace("_", "-"))
            else:
                words.append(word)
        return cls(tuple(words), tuple(places), least, tuple(sorts))

    def __bool__(self) -> bool:
        return self != Filter()

    def matches(self, severity: Severity, terminal: str, text: str, sorts: tuple[str, ...] = ()) -> bool:
        """Whether a line of this severity, about this terminal, with this text, of these sorts is to be
        shown."""
        if SEVERITIES.index(severity) < SEVERITIES.index(self.least):
            return False
        if self.places and terminal.casefold() not in self.places:
            return False
        if self.sorts and not any(sort.startswith(self.sorts) for sort in sorts):
            return False
        text = text.casefold()
        return all(word in text for word in self.words)

    def __str__(self) -> str:
        mark = next((mark for mark, least in _LEAST.items() if least == self.least), "")
        places, sorts = (f"@{place}" for place in self.places), (f"={sort}" for sort in self.sorts)
        return " ".join(filter(None, (mark, *places, *sorts, *self.words)))
