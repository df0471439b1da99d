"""What the screen knows: the monitor's last answers, and what the person chose to see."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from gridtop.client import Hello, Link, Snapshot, Telemetry
from gridtop.events import Event
from gridtop.tui.glyphs import Glyphs

from . import alarms, health, link_words, panels, seeking, status
from .alarm_rows import alarm_rows
from .alarms import Alarm
from .chosen import Chosen
from .device_list import DeviceList
from .filtering import Filter
from .freshness import Freshness
from .graph import Curve, Limit
from .limits import by_channel
from .log import LONGEST, EventLog, line_of, log_rows
from .panels import Panel
from .recording import recording_row
from .rows import Row
from .timeline import Stretch, Timeline, timeline_row

_NOTICE_SECONDS = 10.0
"""For which an answer to the person keeps an alarm from the banner."""


class Model:
    """The state of the screen, without any of its looks.

    Every text from outside is made harmless where it becomes part of a view (`Alarm`, `Line`, `Panel`);
    names are kept as they came only to ask the monitor for them. `profile` says in a word or two how
    the screen suits its terminal.
    """

    def __init__(self, glyphs: Glyphs, clock: Callable[[], float], profile: str = "") -> None:
        self.glyphs = glyphs
        self.profile = profile
        self._clock = clock
        self.chosen = Chosen()
        self.notice = ""
        self.keys: dict[str, str] = {}
        """The keys that the configuration gives, by the ids of the bindings."""
        self.read_only = False
        """Whether this screen may look and not touch."""
        self.can_restart = False
        """Whether the engine is this screen's own, so that it can start another."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything the monitor said: another one answers."""
        self.hello: Hello | None = None
        self.snapshot: Snapshot | None = None
        self.telemetry: Telemetry | None = None
        self.link: Link | None = None
        self.alarms: tuple[Alarm, ...] = ()
        self.devices = DeviceList(self.glyphs)
        self.log = EventLog()
        self.timeline = Timeline()
        self.seq = 0
        """Sequence number of the newest event in the log."""
        self.revision = 0
        """Of the configuration that `hello` speaks of."""
        self.frozen = False
        """Whether the picture of a live source stands still while events still come."""
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._stretch: Stretch | None = None
        self._failure = ""
        self._lost = ""
        self.freshness = Freshness(self._clock)

    # What comes from the monitor

    def greet(self, hello: Hello) -> None:
        """Learn which channels there are."""
        self.hello = hello
        self.chosen.offer((*hello.channels, *hello.offered), hello.screen.panels)
        self._limits = by_channel(hello.limits)
        self.freshness.expect(hello.channels.rate)

    def learn(self, hello: Hello, revision: int) -> None:
        """Take in what is new after a reload; what the person chose stays."""
        self.hello, self.revision = hello, revision
        self.chosen.renew((*hello.channels, *hello.offered))
        self._limits = by_channel(hello.limits)

    def receive(self, snapshot: Snapshot) -> None:
        """Take in a new snapshot."""
        before, self._lost = self.snapshot, ""
        if before is None:
            # A screen that comes late does not read the whole history.
            self.seq = max(0, snapshot.seq - LONGEST)
            self.revision = snapshot.revision
            self._suit_window(snapshot)
        elif snapshot.seq < self.seq:
            self.seq, self.log, self.timeline = 0, EventLog(), Timeline()
        self.freshness.answer(snapshot.transport)
        self.snapshot = snapshot
        self.frozen &= snapshot.transport.state == "live"
        self.alarms = alarms.in_order(
            snapshot.alarms, self.hello.channels if self.hello else None, self.glyphs
        )

    def _suit_window(self, snapshot: Snapshot) -> None:
        first, last = snapshot.transport.first, snapshot.transport.last
        if first is not None and last is not None and last > first:
            self.chosen.suit((last - first) / np.timedelta64(1, "s"))

    def take(self, events: Sequence[Event]) -> None:
        """Put events into the log."""
        fresh = [event for event in events if event.seq > self.seq]
        self.log.add(line_of(event, self.glyphs) for event in fresh)
        self.timeline.add(fresh)
        self.seq = max((event.seq for event in fresh), default=self.seq)

    def fail(self, reason: str) -> None:
        """The monitor said that it cannot work: that stays."""
        self._failure = self.glyphs.plain(reason)

    def lose(self, reason: str) -> None:
        """The monitor did not answer this time."""
        self._lost = self.glyphs.plain(reason)

    @property
    def in_banner(self) -> Alarm | None:
        """The alarm that the banner shows, None when there is none to announce."""
        return self.alarms[0] if self.alarms and self.alarms[0].announced else None

    def alarm(self, id: str) -> Alarm | None:
        """The alarm of this id, if it is not normal yet."""
        return next((alarm for alarm in self.alarms if alarm.id == id), None)

    def filter(self, text: str) -> None:
        """Show only some events."""
        self.log.choose(Filter.parse(self.glyphs.plain(text)))

    def freeze(self) -> None:
        """Let the picture stand still, or go on."""
        self.frozen = not self.frozen
        if self.frozen:
            self.log.following = False
        else:
            self.log.follow()

    # What the screen asks

    def fingerprint(self) -> Hashable:
        """Equal as long as a new picture would be the same as the last one."""
        s = self.snapshot
        # NaN is not equal to itself, so the speed reached goes in as text.
        place = (_place(s), s.seq, f"{s.transport.reached:.2g}", s.counts) if s else None
        around = (s.flood, health.health_words(s.journal, s.sinks, roomy=True)) if s else None
        recorded = recording_row(s.recording, self.glyphs) if s and s.recording else None
        ages = (self.freshness.age_words, self.freshness.silence_words)
        about = (around, self.problems, self.problem, recorded, ages, self.notice, self.devices.revision)
        return place, self.alarms, about, self.seq, self.frozen, self.revision

    @property
    def paused(self) -> bool:
        """Whether space would let the clock run on."""
        return self.frozen or (
            self.snapshot is not None and self.snapshot.transport.state in ("paused", "ended")
        )

    @property
    def live(self) -> bool:
        """Whether the source is one that nobody can stop or play again."""
        if self.hello is not None and self.hello.live:
            return True
        return self.snapshot is not None and self.snapshot.transport.state == "live"

    @property
    def of_live_source(self) -> bool:
        """Whether the engine watches a live source, whether or not it runs just now."""
        return self.hello is not None and self.hello.live

    @property
    def recording(self) -> bool:
        """Whether live data are being recorded."""
        return self.snapshot is not None and self.snapshot.recording is not None

    @property
    def notice(self) -> str:
        """An answer to the person's last order; it stays until the next one, but not long before an alarm."""
        age = self._clock() - self._noticed
        return "" if self.in_banner is not None and age > _NOTICE_SECONDS else self._notice

    @notice.setter
    def notice(self, words: str) -> None:
        self._notice, self._noticed = words, self._clock()

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
        if self.link is not None and (
            words := link_words.problem(self.link, self._clock(), self.can_restart)
        ):
            return self.glyphs.plain(words)
        return f"NO ANSWER  {self._lost}" if self._lost else ""

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not work, one line each."""
        return tuple(map(self.glyphs.plain, health.problems(self.snapshot))) if self.snapshot else ()

    @property
    def last_words(self) -> tuple[str, ...]:
        """What the engine wrote before it ended, empty while it lives."""
        if self.link is None or self.link.state != "ended":
            return ()
        return tuple(self.glyphs.plain(line) for line in self.link.log)

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

    def row_at(self, x: int) -> int | None:
        """The row that a column of the timeline stands for."""
        return self._stretch.row(x) if self._stretch is not None else None

    # What the screen shows

    def status(self, width: int) -> Row:
        """The status line."""
        s, hello = self.snapshot, self.hello
        if s is None:
            return status.connecting_row(width)
        about = status.About(
            self.glyphs.plain(hello.source) if hello else "",
            self.by_row,
            self.frozen,
            self.freshness.age_words if self._lost or self.problem else "",
            self.freshness.silence_words,
            self.profile,
            self.read_only,
        )
        return status.status_row(about, s, self.alarms, width, self.glyphs)

    def banner(self, width: int) -> Row:
        """The alarm banner."""
        notice = self.notice
        if self.snapshot is None and not notice and not self.problem:
            return status.empty_row(width)  # nobody knows yet whether there are alarms
        flood = self.snapshot.flood if self.snapshot else None
        if not notice and not self.in_banner and not flood and self.snapshot:
            if self.snapshot.transport.state == "ended":
                again = "the recording has ended: space plays it again, 0 goes to its start"
                notice = "the input has ended" if self.live else again
            elif self.problems:
                notice = f"! {self.problems[0]}"
        return status.banner_row(self.alarms, self.problem, notice, flood, width, self.glyphs)

    def alarm_list(self, width: int, height: int) -> Sequence[Row]:
        """The alarms, the worst first."""
        return alarm_rows(self.alarms, self.problems, width, height, self.glyphs)

    def time_line(self, width: int) -> Row:
        """The timeline."""
        if self.snapshot is None:
            return ()
        rate = self.hello.channels.rate if self.hello else None
        words = f"{self.chosen.window_words}  {self.chosen.scale}"
        row, self._stretch = timeline_row(
            self.timeline, self.snapshot.transport, rate, words, width, self.glyphs
        )
        return row

    def events(self, width: int, height: int) -> Sequence[Row]:
        """The event log; the last words of an engine that is gone instead, when there are any."""
        if self.last_words:
            return link_words.log_rows(self.last_words, width, height)
        return log_rows(self.log, width, height, self.glyphs, "ROW" if self.by_row else "TIME UTC")

    def panel(self, number: int) -> Panel:
        """What a panel (0 to 3) shows."""
        chosen = self.chosen
        quantity, selected = chosen.quantity(number), number == chosen.selected
        choice = chosen.choices[number] if chosen.choices else None
        channel = choice.channel if choice else None
        if choice is None or channel is None:
            return Panel(number + 1, quantity, "", selected=selected)
        severity, alarm = self._alarm_of(number)
        shown = Panel(
            number + 1,
            quantity,
            self.glyphs.plain(choice.place),
            self.glyphs.plain(channel.unit or quantity.unit),
            stale=self.freshness.stale,
            severity=severity,
            alarm=alarm,
            selected=selected,
            window=chosen.window_words,
            limits=self._limits.get(channel.name, ()),
            scale=chosen.scale,
        )
        curve, good = self._curve(channel.name, channel.phase)
        if curve is None:
            return shown
        others = (
            [self._curve(other.name, other.phase)[0] for other in choice.others] if chosen.overlay else []
        )
        return panels.measured(shown, curve, tuple(other for other in others if other), not good)

    def _curve(self, name: str, phase: str) -> tuple[Curve | None, bool]:
        """The envelope of a channel, and whether its newest frame has a value beyond doubt."""
        telemetry = self.telemetry
        if telemetry is None or name not in telemetry.channels:
            return None, False
        row = telemetry.channels.index(name)
        latest = float(telemetry.latest[row])
        curve = Curve(self.glyphs.plain(phase), latest, telemetry.minimum[row], telemetry.maximum[row])
        return curve, math.isfinite(latest) and not (telemetry.stale[row] or telemetry.doubtful[row])

    def _alarm_of(self, number: int) -> tuple[str, str]:
        """Severity and word of the first alarm of a panel: of its channel, else of its quantity."""
        quantity, channel = self.chosen.quantity(number), self.chosen.choices[number].channel
        elsewhere = ""
        for alarm in self.alarms:
            source = alarm.source if alarm.holds else None
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
