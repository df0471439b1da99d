"""Floods of alarms: more new ones than anybody can follow, and which of them came first (docs/alarms.md)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gridtop.alarms.timing import SECOND

MOST = 10
"""A flood begins with more new alarms than this within the window (EEMUA 191, ISA-18.2)."""
FEWEST = 5
"""It ends as soon as there are fewer than this."""
WINDOW = 600
"""Seconds."""
BURST = 10 * SECOND
"""An alarm belongs to the same burst as one that was raised at most so long before, in nanoseconds."""


@dataclass(slots=True)
class Burst:
    """Alarms that follow each other closely: the first one, the first critical one, when the last came."""

    first: str
    critical: str
    last: int

    def head(self, level: int) -> str:
        """The first one that is no milder than a level."""
        return self.critical if level else self.first


@dataclass(slots=True)
class FloodSoFar:
    """A flood: when it began (nanoseconds) and in which row, its alarms, how many stand behind another."""

    since: int
    since_row: int
    alarms: int
    collapsed: int


class Floods:
    """Counts what is raised, second by second of measurement time.

    Alarms of the grid and problems of the data have bursts of their own: lost data must not hide the grid.
    """

    def __init__(self) -> None:
        self.now: FloodSoFar | None = None
        self.due: int | None = None
        """When the flood is over if nothing is raised until then, in nanoseconds; None without one."""
        self._seconds: deque[tuple[int, int, int]] = deque()  # second, raised, of these collapsed
        self._bursts: dict[str, Burst] = {}

    def raised(self, time: int, row: int, kind: str, incident: str, level: int) -> tuple[str, bool]:
        """Count a new alarm: the incident that stands for it (empty for none), and whether a flood begins."""
        begins = self.now is None and self.recent(time)[0] >= MOST
        parent = self._parent(time, kind, incident, level)
        if self.now is None and not begins:
            parent = ""
        if begins:
            self.now = FloodSoFar(time, row, self.recent(time)[0], 0)
        if self.now is not None:
            self.now.alarms += 1
            self.now.collapsed += bool(parent)
        self._count(time // SECOND, bool(parent))
        self.due = self._end() if self.now is not None else None
        return parent, begins

    def worsened(self, incident: str) -> None:
        """An alarm has become critical: now it may stand for critical ones."""
        for burst in self._bursts.values():
            if burst.first == incident and not burst.critical:
                burst.critical = incident

    def recent(self, time: int) -> tuple[int, int]:
        """How many were raised within the window that ends at a time, and how many of these collapsed."""
        within = [entry for entry in self._seconds if entry[0] > time // SECOND - WINDOW]
        return sum(raised for _, raised, _ in within), sum(collapsed for _, _, collapsed in within)

    def over(self) -> FloodSoFar:
        """End the flood and say what it was."""
        flood, self.now, self.due = self.now, None, None
        if flood is None:
            raise ValueError("there is no flood")
        return flood

    def saved(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "now": None if self.now is None else asdict(self.now),
            "seconds": [list(entry) for entry in self._seconds],
            "bursts": {kind: asdict(burst) for kind, burst in self._bursts.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with what `saved` said; KeyError, TypeError or ValueError for anything else."""
        self.now = None if state["now"] is None else FloodSoFar(**state["now"])
        self._seconds = deque((second, raised, collapsed) for second, raised, collapsed in state["seconds"])
        self._bursts = {kind: Burst(**burst) for kind, burst in state["bursts"].items()}
        self.due = self._end() if self.now is not None else None

    def _parent(self, time: int, kind: str, incident: str, level: int) -> str:
        burst = self._bursts.get(kind)
        if burst is None or time - burst.last > BURST:
            self._bursts[kind] = Burst(incident, incident if level else "", time)
            return ""
        burst.last = time
        if level and not burst.critical:
            burst.critical = incident
            return ""
        return burst.head(level)

    def _count(self, second: int, collapsed: bool) -> None:
        while self._seconds and self._seconds[0][0] <= second - WINDOW:
            self._seconds.popleft()
        if self._seconds and self._seconds[-1][0] == second:
            _, raised, before = self._seconds.pop()
            self._seconds.append((second, raised + 1, before + collapsed))
        else:
            self._seconds.append((second, 1, int(collapsed)))

    def _end(self) -> int:
        """When fewer than `FEWEST` of what was counted so far will be within the window."""
        left = sum(raised for _, raised, _ in self._seconds)
        for second, raised, _ in self._seconds:
            left -= raised
            if left < FEWEST:
                return (second + WINDOW) * SECOND
        raise AssertionError("a flood has alarms")
