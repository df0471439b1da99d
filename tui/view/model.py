"""What the screen knows: the monitor's last answers, and what the person chose to see."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

from gridtop.client import Hello, Snapshot, Telemetry, TelemetryRequest
from gridtop.events import Event
from gridtop.tui.glyphs import Glyphs

from . import alarms, panels, seeking, status
from .alarms import Alarm
from .axis import Axis
from .log import LONGEST, EventLog, line_of, log_rows
from .panels import QUANTITIES, Choice, Panel
from .rows import Row

WINDOWS = (10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds that panels and charts may look back."""
_STALE_AFTER = 2.0
"""Seconds without an answer, or without a new frame from a live source, until a picture counts as old."""


class Model:
    """The state of the screen, without any of its looks.

    Every text from outside is made harmless where it becomes part of a view (`Alarm`, `Line`, `Panel`);
    names are kept as they came only to ask the monitor for them.
    """

    def __init__(self, glyphs: Glyphs, clock: Callable[[], float]) -> None:
        self.glyphs = glyphs
        self._clock = clock
        self.hello: Hello | None = None
        self.snapshot: Snapshot | None = None
        self.telemetry: Telemetry | None = None
        self.alarms: tuple[Alarm, ...] = ()
        self.log = EventLog()
        self.seq = 0
        """Sequence number of the newest event in the log."""
        self.choices: list[Choice] = []
        self.axes = [Axis() for _ in QUANTITIES]
        self.selected = 0
        self.window = 60.0
        self.notice = ""
        """An answer to the person's last order; stays until the next one."""
        self._failure = ""
        self._lost = ""
        self._moved = self._answered = clock()

    # What comes from the monitor

    def greet(self, hello: Hello) -> None:
        """Learn which channels there are."""
        self.hello = hello
        self.choices = [Choice(quantity, hello.channels) for quantity in QUANTITIES]

    def receive(self, snapshot: Snapshot) -> None:
        """Take in a new snapshot."""
        before, self._answered, self._lost = self.snapshot, self._clock(), ""
        if before is None:
            # A screen that comes late does not read the whole history.
            self.seq = max(0, snapshot.seq - LONGEST)
        elif snapshot.seq < self.seq:
            self.seq, self.log = 0, EventLog()
        if before is None or _place(before) != _place(snapshot):
            self._moved = self._answered
        self.snapshot = snapshot
        self.alarms = alarms.in_order(
            snapshot.alarms, self.hello.channels if self.hello else None, self.glyphs
        )

    def take(self, events: Sequence[Event]) -> None:
        """Put events into the log."""
        fresh = [event for event in events if event.seq > self.seq]
        self.log.add(line_of(event, self.glyphs) for event in fresh)
        self.seq = max((event.seq for event in fresh), default=self.seq)

    def fail(self, reason: str) -> None:
        """The monitor said that it cannot work: that stays."""
        self._failure = self.glyphs.plain(reason)

    def lose(self, reason: str) -> None:
        """The monitor did not answer this time."""
        self._lost = self.glyphs.plain(reason)

    # What the person chose

    @property
    def choice(self) -> Choice | None:
        """What the selected panel shows."""
        return self.choices[self.selected] if self.choices else None

    def select(self, panel: int) -> None:
        """Make a panel (0 to 3) the one that keys speak of."""
        self.selected = panel % len(QUANTITIES)

    def next_terminal(self, everywhere: bool) -> None:
        """Show the next terminal in the selected panel, or take all panels along."""
        if self.choice is None:
            return
        self.choice.next_terminal()
        if everywhere and self.choice.channel is not None:
            for choice in self.choices:
                choice.go_to(self.choice.channel.terminal)
        self.axes = [Axis() for _ in QUANTITIES]

    def next_phase(self, everywhere: bool) -> None:
        """Show the next phase in the selected panel, or in all."""
        for number, choice in enumerate(self.choices):
            if everywhere or number == self.selected:
                choice.next_phase()
                self.axes[number] = Axis()

    def widen(self, steps: int) -> None:
        """Look back further (positive) or less far."""
        at = WINDOWS.index(self.window) + steps
        self.window = WINDOWS[max(0, min(at, len(WINDOWS) - 1))]

    # What the screen asks

    def request(self, cells: int) -> TelemetryRequest | None:
        """What all panels need, at two buckets a cell; None when there is nothing to ask for."""
        names = panels.in_order(self.choices)
        return TelemetryRequest(names, self.window, 2 * cells) if names and cells > 0 else None

    def fingerprint(self) -> Hashable:
        """Equal as long as a new picture would be the same as the last one."""
        s = self.snapshot
        # NaN is not equal to itself, so the speed reached goes in as text.
        place = (_place(s), s.seq, f"{s.transport.reached:.2g}", s.counts) if s else None
        alarm_keys = [(a.id, a.severity, a.acknowledged, a.latched, a.message) for a in self.alarms]
        return place, tuple(alarm_keys), s.problems if s else (), self.seq, self.problem, self.stale

    @property
    def paused(self) -> bool:
        """Whether space would let the clock run on."""
        return self.snapshot is not None and self.snapshot.transport.state in ("paused", "ended")

    @property
    def stale(self) -> bool:
        """Whether what is on the screen is no longer what is."""
        if self.snapshot is None:
            return False
        since = self._moved if self.snapshot.transport.state == "live" else self._answered
        return self._clock() - since > _STALE_AFTER

    @property
    def failure(self) -> str:
        """Why the monitor cannot work, empty when it can."""
        if self._failure:
            return self._failure
        transport = self.snapshot.transport if self.snapshot else None
        if transport is not None and transport.state == "failed":
            return self.glyphs.plain(transport.problem) or "the source failed and did not say why"
        return ""

    @property
    def problem(self) -> str:
        """What the banner must say before any alarm, empty when nothing."""
        if self.failure:
            return f"FAILED  {self.failure}"
        if self._lost:
            return f"NO ANSWER  {self._lost}"
        return ""

    @property
    def by_row(self) -> bool:
        """Whether the recording has no clock, so that places in it are row numbers."""
        return self.hello is not None and self.hello.channels.clock == "row"

    @property
    def position(self) -> seeking.Position | None:
        """Where the replay stood at the last answer."""
        if self.snapshot is None:
            return None
        return seeking.Position.of(self.snapshot.transport, self.hello.channels if self.hello else None)

    # What the screen shows

    def status(self, width: int) -> Row:
        """The status line."""
        s, hello = self.snapshot, self.hello
        source = self.glyphs.plain(hello.source) if hello else ""
        if s is None:
            return status.connecting_row(width)
        return status.status_row(source, s.transport, s.counts, self.alarms, width, self.glyphs, self.by_row)

    def banner(self, width: int) -> Row:
        """The alarm banner."""
        notice = self.notice
        if not notice and not self.alarms and self.snapshot:
            if self.snapshot.transport.state == "ended":
                notice = "the recording has ended: space plays it again, 0 goes to its start"
            elif self.snapshot.problems:
                notice = "! " + self.glyphs.plain(self.snapshot.problems[0])
        return status.banner_row(self.alarms, self.problem, notice, width, self.glyphs)

    def events(self, width: int, height: int) -> Sequence[Row]:
        """The event log."""
        return log_rows(self.log, width, height, self.glyphs, "ROW" if self.by_row else "TIME UTC")

    def panel(self, number: int) -> Panel:
        """What a panel (0 to 3) shows."""
        quantity, selected = QUANTITIES[number], number == self.selected
        choice = self.choices[number] if self.choices else None
        channel = choice.channel if choice else None
        if choice is None or channel is None:
            return Panel(number + 1, quantity, "", selected=selected)
        severity, alarm = self._alarm_of(number)
        shown = Panel(
            number + 1,
            quantity,
            self.glyphs.plain(choice.place),
            self.glyphs.plain(channel.unit or quantity.unit),
            stale=self.stale,
            severity=severity,
            alarm=alarm,
            selected=selected,
            window=f"{self.window:.0f} s",
        )
        telemetry = self.telemetry
        if telemetry is None or channel.name not in telemetry.channels:
            return shown
        row = telemetry.channels.index(channel.name)
        return panels.measured(
            shown,
            float(telemetry.latest[row]),
            telemetry.minimum[row],
            telemetry.maximum[row],
            bool(telemetry.stale[row]) or not math.isfinite(telemetry.latest[row]),
        )

    def _alarm_of(self, number: int) -> tuple[str, str]:
        """Severity and word of the first alarm of a panel: of its channel, else of its quantity."""
        quantity, channel = QUANTITIES[number], self.choices[number].channel
        elsewhere = ""
        for alarm in self.alarms:
            source = alarm.source
            if source is None or channel is None or not quantity.concerns(source.quantity):
                continue
            same_phase = not source.phase or not channel.phase or source.phase == channel.phase
            if source.terminal == channel.terminal and same_phase:
                return alarm.severity, f"{alarm.mark} {alarm.direction}"
            place = self.glyphs.plain(f"{source.terminal or 'grid'} {source.phase}".rstrip())
            elsewhere = elsewhere or f"{alarm.mark} {place}"
        return "", elsewhere


def _place(snapshot: Snapshot) -> Hashable:
    transport = snapshot.transport
    return transport.state, transport.row, transport.pass_number, transport.speed, transport.frames
