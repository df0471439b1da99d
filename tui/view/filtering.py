"""Which lines of the event log to show, as a person types it: `sag`, `@R3`, `!!`."""

from __future__ import annotations

from dataclasses import dataclass

from gridtop.events import SEVERITIES, Severity

EXAMPLES = "words   @R3 place   ! warnings and worse   !! critical"
_LEAST: dict[str, Severity] = {"!!": "critical", "!": "warning"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Every part of it must hold. Capitals do not matter."""

    words: tuple[str, ...] = ()
    """Each stands somewhere in rule, channel or message."""
    places: tuple[str, ...] = ()
    """The terminal is one of them."""
    least: Severity = "info"

    @classmethod
    def parse(cls, text: str) -> Filter:
        """What a person means; any text means something, an empty one everything."""
        words: list[str] = []
        places: list[str] = []
        least: Severity = "info"
        for word in text.casefold().split():
            if word in _LEAST:
                least = _LEAST[word]
            elif len(word) > 1 and word.startswith("@"):
                places.append(word[1:])
            else:
                words.append(word)
        return cls(tuple(words), tuple(places), least)

    def __bool__(self) -> bool:
        return self != Filter()

    def matches(self, severity: Severity, terminal: str, text: str) -> bool:
        """Whether a line of this severity, about this terminal, with this text is to be shown."""
        if SEVERITIES.index(severity) < SEVERITIES.index(self.least):
            return False
        if self.places and terminal.casefold() not in self.places:
            return False
        text = text.casefold()
        return all(word in text for word in self.words)

    def __str__(self) -> str:
        mark = next((mark for mark, least in _LEAST.items() if least == self.least), "")
        return " ".join(filter(None, (mark, *(f"@{place}" for place in self.places), *self.words)))
