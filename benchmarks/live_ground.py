"""Where a live drill takes place: configurations, how an outage is held, and what is judged of it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.live_processes import Process
from benchmarks.live_watching import Watched
from gridtop.events import Event

STALE_S = 2.0
"""What does not come any more is shown as stale within this time."""
FRESH_S = 5.0
"""What is back is shown as fresh within this time, counted from when somebody listens again."""
LONG_S, PAUSE_S = 30.0, 30.0
"""After a longer outage a source may pause for so long between two attempts to connect."""
SETTLE_S = 15.0
"""The monitor runs so long before anything is done to it."""
CALM_S = 120.0
"""After the return of the data every alarm clears within this time."""
LOCAL = "127.0.0.1"

TERMINALS = ("R1", "R2", "R3", "R4")
METERS = ("R1", "R2", "R3")
_LINE = {
    "z1": "3.7+37j",
    "z0": "14+111j",
    "b1": "330 uS",
    "b0": "210 uS",
    "length": "100 km",
    "rating": {"normal": "800 A", "emergency": "960 A"},
}
NOMINAL = {"voltage_ll": "230 kV", "frequency": "60 Hz", "current": "400 A"}
SITE: dict[str, Any] = {
    "nominal": NOMINAL,
    "system": {"base": "400 MVA"},
    "buses": {"B1": {"terminals": ["R1"]}, "B2": {"terminals": ["R2", "R3"]}, "B3": {"terminals": ["R4"]}},
    "lines": {"L1": {"ends": ["R1", "R2"], **_LINE}, "L2": {"ends": ["R3", "R4"], **_LINE}},
}
DETECTORS: dict[str, Any] = {
    "quality": {"type": "data_quality"},
    "physics": {"type": "physics"},
    "excursion": {
        "type": "frequency_excursion",
        "alarm": {"high": {"warning": 1, "critical": 3}, "on_delay": "0s", "off_delay": "2s"},
    },
    "command": {
        "type": "command_plausibility",
        "alarm": {"high": {"warning": 0.5, "critical": 1}, "on_delay": "0s"},
    },
}

Step = Callable[[], Awaitable[None]]


@dataclass
class Outcome:
    """What was seen in one drill; times in seconds.

    stale, fresh   the longest time until a screen showed it, of all outages and terminals
    cleared        from the last return of the data to the last alarm that cleared
    raised, ended  alarms about data by terminal
    steps          how often one of them became worse or less bad
    notices        what else was told: that a connection is lost, and back
    false          what was told of the grid, or of terminals that were not concerned
    """

    name: str
    concerned: int
    stale: float = 0.0
    fresh: float = 0.0
    cleared: float = 0.0
    raised: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    notices: int = 0
    false: list[str] = field(default_factory=list)
    left: tuple[str, ...] = ()
    events: Sequence[Event] = ()
    fresh_within: float = FRESH_S
    most_alarms: int = 1
    most_notices: int = 2

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        found = [] if self.stale <= STALE_S else [f"stale after {self.stale:.1f} s"]
        if self.fresh > self.fresh_within:
            found.append(f"fresh after {self.fresh:.1f} s")
        if len(self.raised) != self.concerned:
            found.append(f"alarms at {len(self.raised)} of {self.concerned} terminals")
        found += [f"{n} alarms at {place}" for place, n in self.raised.items() if n > self.most_alarms]
        if self.notices > self.most_notices:
            found.append(f"{self.notices} notices")
        if self.raised != self.ended:
            found.append("not as many cleared as raised")
        return found + self.false[:3] + [f"still there: {alarm}" for alarm in self.left[:3]]


@dataclass
class Ground:
    """Where a drill takes place: a folder and, where one is needed, a network; how long an outage lasts."""

    name: str
    folder: Path
    outage: float
    stack: contextlib.AsyncExitStack

    def started(self, process: Process) -> Process:
        """A process that is started now and ended with the drill."""
        process.start()
        self.stack.push_async_callback(process.end)
        return process

    async def hold(
        self,
        configuration: Mapping[str, Any],
        concerned: Sequence[str],
        lose: Step,
        restore: Step,
        *,
        prefix: Sequence[str] = (),
        outages: int = 1,
        between: float = 0.0,
        fresh_within: float = FRESH_S,
        most_alarms: int = 1,
    ) -> Outcome:
        """Watch a monitor settle, lose and restore its data as often as that, and calm down.

        `concerned` are the terminals that lose their data, `between` the seconds between two outages.
        """
        outcome = Outcome(self.name, len(concerned), fresh_within=fresh_within, most_alarms=most_alarms)
        if self.outage > LONG_S:
            outcome.fresh_within += PAUSE_S
        outcome.most_notices = 2 * max(1, outages)
        watched = Watched(self.folder, dict(configuration), prefix)
        await self.stack.enter_async_context(watched.run())
        await watched.ready({place: f"{place}:F" for place in concerned})
        await watched.watch(SETTLE_S)
        back = time.monotonic()
        for number in range(outages):
            await watched.watch(between if number else 0.0)
            lost = await watched.during(lose())
            await watched.watch(self.outage)
            outcome.stale = max(outcome.stale, watched.sight.after(lost, True))
            back = await watched.during(restore())
            await watched.calm(outcome.fresh_within + self.outage, alarms=False)
            outcome.fresh = max(outcome.fresh, watched.sight.after(back, False))
        await watched.calm(CALM_S)
        await watched.watch(SETTLE_S)
        return _judged(outcome, watched, concerned, back + time.time() - time.monotonic())


def _judged(outcome: Outcome, watched: Watched, concerned: Sequence[str], back: float) -> Outcome:
    """The outcome with what the monitor has told; `back` is when the data were, in seconds since 1970."""
    outcome.events, outcome.left = tuple(watched.events), watched.alarms
    for event in watched.events:
        if event.rule != "quality" or event.terminal not in concerned:
            if event.kind in ("alarm", "data", "fault") and event.transition in ("raised", "noticed"):
                outcome.false.append(f"{event.kind}: {event.message}")
            outcome.notices += event.kind in ("source", "system")
        elif event.transition == "raised":
            outcome.raised[event.terminal] += 1
        elif event.transition == "cleared":
            outcome.ended[event.terminal] += 1
            outcome.cleared = event.wall - back
        else:
            outcome.steps += 1
    return outcome


def of_pmus(address: str) -> dict[str, Any]:
    """A monitor of a concentrator."""
    return {
        "source": {"type": "c37118", "address": address, "id": 7},
        "site": SITE,
        "detectors": DETECTORS,
        "limits": {"profile": "tx60"},
    }


def of_one(address: str) -> dict[str, Any]:
    """A monitor of one PMU, as docs/live.md has it."""
    return {
        "source": {"type": "c37118", "address": address, "id": 7},
        "site": {"nominal": {"voltage_ll": "230 kV"}},
        "detectors": {"quality": {"type": "data_quality"}},
        "limits": {"profile": "tx60"},
    }


def of_meters(host: str, port: int, late_after: str = "5s") -> dict[str, Any]:
    """A monitor of sensors at a broker."""
    topics = {"F": "f", "PM1:V": "v0", "PM2:V": "v1", "PM3:V": "v2"}
    readings = {
        f"{meter}{':' if name == 'F' else '-'}{name}": {"topic": f"grid/{meter}/{topic}"}
        for meter in METERS
        for name, topic in topics.items()
    }
    source = {"type": "mqtt", "host": host, "port": port, "rate": 5, "late_after": late_after}
    return {
        "source": {**source, "readings": readings},
        "site": {"nominal": NOMINAL},
        "detectors": {"quality": {"type": "data_quality"}},
        "quality": {"repeated_frames": False},
        "limits": {"profile": "tx60"},
    }
