"""Cuts bytes into lines, each with its number, in bounded memory."""

from __future__ import annotations

LONGEST = 1 << 20
"""Bytes of a line at most: a longer one is left out."""


class LineCutter:
    """Lines of the pieces it is fed. `number` is that of the line that ended last, from 1."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.number = 0
        self._longest = longest
        self._open: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[tuple[int, bytes | None]]:
        """The lines that end in this piece, without their ends; None for one that is too long."""
        *ended, rest = piece.split(b"\n")
        lines: list[tuple[int, bytes | None]] = []
        for end in ended:
            self._keep(end)
            lines.append(self._line())
        self._keep(rest)
        return lines

    def finish(self) -> list[tuple[int, bytes | None]]:
        """What is left when the stream ends without the end of a line; then it begins anew."""
        return [self._line()] if self._size else []

    def restart(self) -> None:
        """Forget the line that is open, and count from the beginning."""
        self.number = self._size = 0
        self._open.clear()

    def _keep(self, text: bytes) -> None:
        self._size += len(text)
        if self._size > self._longest:
            self._open.clear()
        elif text:
            self._open.append(text)

    def _line(self) -> tuple[int, bytes | None]:
        self.number += 1
        line = None if self._size > self._longest else b"".join(self._open).rstrip(b"\r")
        self._size = 0
        self._open.clear()
        return self.number, line
