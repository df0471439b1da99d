"""An event as one syslog message: RFC 5424, with structured data."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from gridtop.api import Event
from gridtop.plugins.sinks.wording import one_line

FACILITIES = {"user": 1, "daemon": 3} | {f"local{number}": 16 + number for number in range(8)}
_SEVERITIES = {"info": 6, "warning": 4, "critical": 2}
_PARAMETERS = (
    *("id", "seq", "time", "kind", "rule", "severity", "priority"),
    *("channel", "terminal", "quantity", "value", "limit", "unit", "incident", "parent"),
)
_BOM = b"\xef\xbb\xbf"
_LONGEST_VALUE = 128
"""Characters of one value of the structured data."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: facility number, host, application and the enterprise number of the structured data."""

    facility: int
    host: str
    app_name: str
    enterprise_number: int

    def message(self, event: Event, longest: int) -> bytes:
        """The message, its text cut where it would be longer than so many bytes.

        `longest` is at least 480, what every receiver takes (RFC 5424, 6.1).
        """
        head = self._head(event)
        data = self._data(_parameters(event))
        if len(head) + len(data) + len(_BOM) + 1 > longest:
            data = self._data([("id", event.id)])  # texts of many bytes a character
        text = one_line(f"{event.rule}: {event.message}").encode("utf-8", "replace")
        room = max(0, longest - len(head) - len(data) - len(_BOM) - 1)
        if len(text) > room:
            # Not within a character.
            text = text[:room].decode("utf-8", "ignore").encode()
        return head + data + b" " + _BOM + text

    def _head(self, event: Event) -> bytes:
        priority = 8 * self.facility + _SEVERITIES[event.severity]
        time = "-"
        if event.wall:
            time = datetime.fromtimestamp(event.wall, UTC).isoformat(timespec="milliseconds")
            time = time.replace("+00:00", "Z")
        fields = (
            time,
            printable(self.host, 255),
            printable(self.app_name, 48),
            str(os.getpid()),
            printable(event.transition, 32),
        )
        return f"<{priority}>1 {' '.join(fields)} ".encode()

    def _data(self, parameters: list[tuple[str, str]]) -> bytes:
        inner = "".join(f' {name}="{_escaped(value)}"' for name, value in parameters)
        return f"[gridtop@{self.enterprise_number}{inner}]".encode("utf-8", "replace")


def _parameters(event: Event) -> list[tuple[str, str]]:
    """What an event says besides its text, without what is empty."""
    fields = event.to_dict()
    return [(name, str(fields[name])) for name in _PARAMETERS if fields[name] not in (None, "")]


def printable(text: str, longest: int) -> str:
    """A field of the head: ASCII without spaces (RFC 5424, 6), `-` when nothing is left."""
    return re.sub(r"[^\x21-\x7e]", "", text)[:longest] or "-"


def _escaped(value: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", one_line(value, _LONGEST_VALUE))
