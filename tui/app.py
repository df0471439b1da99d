"""The Textual application: one tick pulls what is new from the client and paints what changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import Binding
from textual.events import AppBlur, AppFocus
from textual.screen import Screen

from gridtop.client import Client, Hello, TelemetryRequest
from gridtop.errors import EngineReplaced, GridtopError

from . import ending, keys
from .choosing import Choosing
from .driver import TerminalDriver
from .glyphs import Glyphs
from .orders import Linked, reason
from .profile import Profile
from .screens.alarms import Alarms
from .screens.chart import Chart
from .screens.devices import Devices
from .screens.help import Help
from .screens.live import LiveScreen
from .screens.overview import Overview
from .theme import CALM
from .view.model import Model

_LONGEST_BACKLOG = 2
_QUIET, _CALM = 8, 4
"""After so many ticks without news, ticks come so many times slower; a key wakes them at once."""
_DOZE_SECONDS = 1.0
"""Between ticks when nothing is new, or over SSH when nobody looks; never less than a tick."""
_RETRY_SECONDS = 1.0
_STATISTICS_SECONDS = 1.0
"""Between looks at how the data come, while a screen shows that."""
_THEMES = (CALM.name, "ansi-dark", "ansi-light")


class GridtopApp(Choosing):
    """A screen for one monitor. It sees nothing but the client's face and holds no truth of its own."""

    TITLE = "gridtop"
    CSS_PATH = "grid.tcss"
    BINDINGS: ClassVar = [Binding("ctrl+c", "quit", "Quit", show=False, id="interrupt", priority=True)]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        client: Client,
        profile: Profile | None = None,
        *,
        glyphs: Glyphs | None = None,
        theme: str | None = None,
        ticks_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        profile = profile or Profile()
        profile = replace(profile, glyphs=glyphs or profile.glyphs, theme=theme or profile.theme)
        # NO_COLOR is honoured fully only if Textual knows from the start that the colours are the terminal's.
        ansi = True if profile.theme.startswith("ansi-") else None
        super().__init__(driver_class=TerminalDriver, ansi_color=ansi)
        self.register_theme(CALM)
        self.theme = profile.theme
        self.animation_level = "none"
        self.client = client
        self.profile = profile
        self.model = Model(profile.glyphs, clock, profile.words)
        self.model.read_only = self._only_looks
        self._linked = client if isinstance(client, Linked) else None
        self._clock = clock
        self._pace = ticks_per_second
        self._orders = asyncio.Queue()
        self._wake = asyncio.Event()
        self._signals = contextlib.ExitStack()
        self._painted: Hashable = None
        self._quiet = 0
        self._unseen = False
        self._asked: TelemetryRequest | None = None
        self._statistics_due = 0.0

    def get_default_screen(self) -> Screen[None]:
        """The overview."""
        return Overview(self.model)

    async def on_mount(self) -> None:
        """Begin to watch; the first picture does not wait for the monitor."""
        self._signals.enter_context(ending.by_signal(self.exit))
        self.run_worker(self._watch(), name="watch")
        self.run_worker(self.obey(), name="obey")

    def on_unmount(self) -> None:
        """Signals mean what they meant before."""
        self._signals.close()

    def on_app_blur(self, _: AppBlur) -> None:
        """Nobody looks: over SSH that saves what the line can carry."""
        self._unseen = True

    def on_app_focus(self, _: AppFocus) -> None:
        """Somebody looks again."""
        self._unseen = False
        self.wake()

    # Watching

    async def _watch(self) -> None:
        while True:
            if self.model.hello is None and not self.model.failure:
                await self._greet()
            self._wake.clear()
            await self.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._until_next_tick)

    @property
    def _until_next_tick(self) -> float:
        period = 1 / (self._pace or self.profile.ticks_per_second)
        if self._unseen and self.profile.over_ssh:
            return max(period, _DOZE_SECONDS)
        return max(period, min(_CALM * period, _DOZE_SECONDS)) if self._quiet > _QUIET else period

    async def _greet(self) -> None:
        while self.model.hello is None:
            self._look_at_link()
            try:
                self._welcome(await self._hello())
            except GridtopError as error:
                self.model.fail(str(error))
                self._paint()
                return
            except Exception as error:
                self.model.lose(reason(error))
                self._paint()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _RETRY_SECONDS)

    async def _hello(self) -> Hello:
        """Who is there. Why that takes so long is shown in the meantime."""
        asked = asyncio.ensure_future(self.client.hello())
        try:
            while not (await asyncio.wait((asked,), timeout=_RETRY_SECONDS))[0]:
                self._look_at_link()
                self._paint()
            return asked.result()
        finally:
            asked.cancel()

    def _welcome(self, hello: Hello) -> None:
        """Take in who answers."""
        self._grant(hello)
        self.model.greet(hello)

    def _grant(self, hello: Hello) -> None:
        """Grant what a configuration wants of screens."""
        self.profile = self.profile.granting(hello.screen)
        self.model.glyphs, self.model.profile = self.profile.glyphs, self.profile.words
        if self.profile.theme != self.theme and self.profile.theme in self.available_themes:
            self.theme = self.profile.theme
        self.model.keys = keys.keymap(hello.screen.keys)
        self.set_keymap(self.model.keys)

    async def tick(self) -> None:
        """Ask for what is new and paint it. A client that fails is a line on the screen, not the end."""
        try:
            await self._pull()
        except ConnectionError as error:
            self._lose(error)
        except Exception as error:
            self.model.lose(reason(error))
        self._look_at_link()
        picture = (self.model.fingerprint(), self._asked, self.model.log.following)
        self._quiet = self._quiet + 1 if picture == self._painted else 0
        if not self._quiet and not self._terminal_is_behind and self._paint():
            self._painted = picture

    def _lose(self, error: ConnectionError) -> None:
        # The client that raises it has been imported by then; other clients need not be.
        if isinstance(error, EngineReplaced):
            self.model.begin_anew()
            self.wake()
        else:
            self.model.lose(reason(error))

    def _look_at_link(self) -> None:
        if self._linked is not None:
            self.model.link, self.model.can_restart = self._linked.link, self._linked.can_restart

    async def _pull(self) -> None:
        before = self.model.fingerprint()
        snapshot = await self.client.snapshot()
        self.model.receive(snapshot)
        if snapshot.revision != self.model.revision:
            hello = await self.client.hello()
            self._grant(hello)
            self.model.learn(hello, snapshot.revision)
        if snapshot.seq > self.model.seq:
            self.model.take(await self.client.events(after=self.model.seq))
        screen = self._live_screen
        wanted = screen.wanted() if screen is not None and not self.model.frozen else None
        if wanted is None or wanted != self._asked or self.model.fingerprint() != before:
            self._asked = None  # until it is answered
            if wanted is not None:
                self.model.telemetry = await self.client.telemetry(wanted)
                self._asked = wanted
        await self._pull_statistics(screen is not None and screen.shows_statistics)

    async def _pull_statistics(self, shown: bool) -> None:
        """Ask how the data come, once a second, and only while somebody looks at that."""
        if not shown:
            self._statistics_due = self._clock()
        elif self._clock() >= self._statistics_due:
            self._statistics_due = self._clock() + _STATISTICS_SECONDS
            try:
                self.model.devices.take(await self.client.statistics(), self._clock())
            except GridtopError as error:
                self.model.devices.refuse(reason(error))

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

    # Looks

    def action_next_theme(self) -> None:
        """Other colours."""
        at = _THEMES.index(self.theme) + 1 if self.theme in _THEMES else 0
        self.theme = _THEMES[at % len(_THEMES)]
        self.profile = replace(self.profile, theme=self.theme, decided=self.profile.decided | {"theme"})

    def action_picture(self) -> None:
        """Save what is on the screen."""
        try:
            self.model.notice = self.model.glyphs.plain(f"saved {self.save_screenshot(path='.')}")
        except OSError as error:
            self.refuse("save the picture", error)
        self.show_choice()

    def show_choice(self) -> None:
        """What the person chose is on the screen at once, and its data are asked for."""
        self._paint()
        self.wake()

    # Going elsewhere

    def action_chart(self) -> None:
        """Open the selected panel as a large chart."""
        self.push_screen(Chart(self.model, self._clock))
        self.wake()

    def action_alarms(self) -> None:
        """Open the list of all alarms."""
        self._open(Alarms(self.model))

    def action_devices(self) -> None:
        """Open the list of devices: how the data come."""
        self._open(Devices(self.model))

    def _open(self, page: LiveScreen) -> None:
        """Show a page; it takes the place of another one, so that Esc leads back to the panels."""
        if isinstance(self.screen, Alarms | Devices):
            self.switch_screen(page)
        else:
            self.push_screen(page)
        self.wake()

    def action_help(self) -> None:
        """Show every key."""
        marks = getattr(self.screen, "MARKS", LiveScreen.MARKS)
        self.push_screen(Help(self.bindings_of(self.screen), self.model.glyphs, marks))

    async def action_back(self) -> None:
        """Back to the screen before."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        self.wake()

    def wake(self) -> None:
        """Look at the monitor at once, and paint."""
        self._painted = None
        self._wake.set()

    def bindings_of(self, screen: Screen[object]) -> list[Binding]:
        """The keys of a screen as they are now."""
        return keys.mapped(screen.BINDINGS, self.model.keys)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every key binding of the screen, by name."""
        for binding in self.bindings_of(screen):
            if binding.tooltip:
                yield SystemCommand(
                    (binding.id or "").replace("-", " ").capitalize(),
                    f"{binding.tooltip} (key {keys.name_of(binding.key, self.model.glyphs)})",
                    lambda action=binding.action: self.call_later(self.run_action, action, screen),
                )
