"""The Textual application: one tick pulls what is new from the client and paints what changed."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from gridtop.client import Client, TelemetryRequest, Transport
from gridtop.errors import GridtopError

from . import keys
from .driver import TerminalDriver
from .glyphs import UNICODE, Glyphs
from .screens.chart import Chart
from .screens.goto import GoTo
from .screens.help import Help
from .screens.live import LiveScreen
from .screens.overview import Overview
from .theme import CALM
from .view import seeking
from .view.model import Model

TICKS_PER_SECOND = 4.0
"""Nobody reads numbers faster; what happens between two ticks shows in the envelope."""
_LONGEST_BACKLOG = 2
_QUIET, _CALM = 8, 4
"""After so many ticks without news, ticks come so many times slower; a key wakes them at once."""
_RETRY_SECONDS = 1.0
_SLOWEST, _FASTEST = 0.1, 1000.0

Order = Callable[[Transport], Awaitable[None]]
"""Something to tell the monitor, decided on where it stands when its turn comes."""


class GridtopApp(App[None]):
    """A screen for one monitor. It sees nothing but the client's face and holds no truth of its own."""

    TITLE = "gridtop"
    CSS_PATH = "grid.tcss"
    BINDINGS: ClassVar = [Binding("ctrl+c", "quit", "Quit", show=False, id="interrupt", priority=True)]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        client: Client,
        *,
        glyphs: Glyphs = UNICODE,
        theme: str = CALM.name,
        ticks_per_second: float = TICKS_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # NO_COLOR is honoured fully only if Textual knows from the start that the colours are the terminal's.
        super().__init__(driver_class=TerminalDriver, ansi_color=True if theme.startswith("ansi-") else None)
        self.register_theme(CALM)
        self.theme = theme
        self.animation_level = "none"
        self.client = client
        self.model = Model(glyphs, clock)
        self._clock = clock
        self._period = 1 / ticks_per_second
        self._orders: asyncio.Queue[tuple[str, Order]] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._painted: Hashable = None
        self._quiet = 0
        self._asked: TelemetryRequest | None = None

    def get_default_screen(self) -> Screen[None]:
        """The overview."""
        return Overview(self.model)

    async def on_mount(self) -> None:
        """Begin to watch; the first picture does not wait for the monitor."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            # In a thread that is not the main one there are no signals, and nobody to send them to.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self.exit)
        self.run_worker(self._watch(), name="watch")
        self.run_worker(self._obey(), name="obey")

    # Watching

    async def _watch(self) -> None:
        await self._greet()
        while True:
            self._wake.clear()
            await self.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._wake.wait(), self._period * (_CALM if self._quiet > _QUIET else 1)
                )

    async def _greet(self) -> None:
        while self.model.hello is None:
            try:
                self.model.greet(await self.client.hello())
            except GridtopError as error:
                self.model.fail(str(error))
                self._paint()
                return
            except Exception as error:
                self.model.lose(_reason(error))
                self._paint()
                await asyncio.sleep(_RETRY_SECONDS)

    async def tick(self) -> None:
        """Ask for what is new and paint it. A client that fails is a line on the screen, not the end."""
        try:
            await self._pull()
        except Exception as error:
            self.model.lose(_reason(error))
        picture = (self.model.fingerprint(), self._asked, self.model.log.following)
        self._quiet = self._quiet + 1 if picture == self._painted else 0
        if not self._quiet and not self._terminal_is_behind and self._paint():
            self._painted = picture

    async def _pull(self) -> None:
        before = self.model.fingerprint()
        snapshot = await self.client.snapshot()
        self.model.receive(snapshot)
        if snapshot.seq > self.model.seq:
            self.model.take(await self.client.events(after=self.model.seq))
        screen = self._live_screen
        wanted = screen.wanted() if screen is not None else None
        if wanted is not None and (wanted != self._asked or self.model.fingerprint() != before):
            self.model.telemetry = await self.client.telemetry(wanted)
            self._asked = wanted

    def _paint(self) -> bool:
        screen = self._live_screen
        if screen is None:
            return False
        with self.batch_update():
            return screen.paint()

    @property
    def _live_screen(self) -> LiveScreen | None:
        """The screen to paint: the top one, or the one behind a dialogue; none behind the help."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, LiveScreen):
                return screen if screen.ready else None
            if not screen.is_modal:
                return None
        return None

    @property
    def _terminal_is_behind(self) -> bool:
        driver = self._driver
        return isinstance(driver, TerminalDriver) and driver.backlog > _LONGEST_BACKLOG

    # Obeying

    async def _obey(self) -> None:
        while True:
            words, order = await self._orders.get()
            try:
                # A fresh look, because several keys may be pressed between two ticks.
                await order((await self.client.snapshot()).transport)
                self.model.notice = ""
            except Exception as error:
                self.model.notice = self.model.glyphs.plain(f"cannot {words}: {_reason(error)}")
            self._painted = None
            self._wake.set()

    def _order(self, words: str, order: Order) -> None:
        self._orders.put_nowait((words, order))

    def action_pause(self) -> None:
        """Pause, or go on."""

        async def order(transport: Transport) -> None:
            stands = transport.state in ("paused", "ended")
            await (self.client.resume() if stands else self.client.pause())

        self._order("pause", order)

    def action_step(self, frames: int) -> None:
        """One frame on or back; a replay that runs is paused first."""

        async def order(transport: Transport) -> None:
            if transport.state == "playing":
                await self.client.pause()
            await self.client.step(frames)

        self._order("step", order)

    def action_speed(self, factor: float) -> None:
        """Change the speed by a factor; 0 means real time."""

        async def order(transport: Transport) -> None:
            asked = (
                transport.speed if math.isfinite(transport.speed) else _FASTEST / factor if factor else 1.0
            )
            await self.client.speed(min(max(asked * factor, _SLOWEST), _FASTEST) if factor else 1.0)

        self._order("change the speed", order)

    def action_seek(self, seconds: float) -> None:
        """Go some seconds on or back."""

        async def order(transport: Transport) -> None:
            await self._go(self._position(transport).moved(seconds))

        self._order("seek", order)

    def action_start(self) -> None:
        """Go to the start of the recording."""
        self._order("go to the start", lambda _: self.client.seek(0))

    def action_go_to(self) -> None:
        """Ask where to go, and go there."""

        def go(target: seeking.Target | None) -> None:
            if target is not None:
                self._order("go there", lambda _: self._go(target))

        if self.model.position is not None:
            self.push_screen(GoTo(self.model.position), go)

    def action_acknowledge(self) -> None:
        """Acknowledge the alarm that the banner shows."""
        if self.model.alarms and not self.model.alarms[0].acknowledged:
            alarm = self.model.alarms[0].id
            self._order("acknowledge", lambda _: self.client.acknowledge(alarm))

    async def _go(self, target: seeking.Target) -> None:
        await (self.client.seek(target) if isinstance(target, int) else self.client.seek_time(target))

    def _position(self, transport: Transport) -> seeking.Position:
        return seeking.Position.of(transport, self.model.hello.channels if self.model.hello else None)

    # Choosing

    def action_select(self, panel: int) -> None:
        """Select a panel."""
        self.model.select(panel)
        self._chosen()

    def action_next_panel(self, steps: int) -> None:
        """Select the next panel, or the one before."""
        self.action_select(self.model.selected + steps)

    def action_terminal(self, everywhere: bool) -> None:
        """Show the next terminal."""
        self.model.next_terminal(everywhere)
        self._chosen()

    def action_phase(self, everywhere: bool) -> None:
        """Show the next phase."""
        self.model.next_phase(everywhere)
        self._chosen()

    def action_window(self, steps: int) -> None:
        """Look back further or less far."""
        self.model.widen(steps)
        self._chosen()

    def _chosen(self) -> None:
        self._painted = None
        self._paint()
        self._wake.set()

    # Going elsewhere

    def action_chart(self) -> None:
        """Open the selected panel as a large chart."""
        self.push_screen(Chart(self.model, self._clock))
        self._repaint_soon()

    def action_help(self) -> None:
        """Show every key."""
        self.push_screen(Help(self.screen.BINDINGS, self.model.glyphs))

    async def action_back(self) -> None:
        """Back to the screen before."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        self._repaint_soon()

    def _repaint_soon(self) -> None:
        self._painted = None
        self._wake.set()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every key binding of the screen, by name."""
        for binding in screen.BINDINGS:
            if isinstance(binding, Binding) and binding.tooltip:
                yield SystemCommand(
                    (binding.id or "").replace("-", " ").capitalize(),
                    f"{binding.tooltip} (key {keys.name_of(binding.key, self.model.glyphs)})",
                    lambda action=binding.action: self.call_later(self.run_action, action, screen),
                )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
