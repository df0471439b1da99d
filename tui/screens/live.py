"""The base of screens that show the monitor: what they ask for, and how they are painted."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.screen import Screen

from gridtop.client import TelemetryRequest
from gridtop.tui.view.model import Model
from gridtop.tui.widgets.alarm_banner import AlarmBanner
from gridtop.tui.widgets.key_bar import KeyBar
from gridtop.tui.widgets.status_line import StatusLine


class LiveScreen(Screen[None]):
    """Status line and alarm banner at the top, keys at the bottom, something between them."""

    AUTO_FOCUS = ""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def compose(self) -> ComposeResult:
        """The frame around the middle."""
        yield StatusLine(id="status")
        yield AlarmBanner(id="banner")
        yield from self.middle()
        yield KeyBar(id="keys")

    def middle(self) -> ComposeResult:
        """The widgets between banner and keys."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether its widgets exist: they come a moment after the screen."""
        return bool(self.query(KeyBar))

    def wanted(self) -> TelemetryRequest | None:
        """The telemetry this screen shows, at its own resolution; None while it has no size."""
        raise NotImplementedError

    def paint(self) -> bool:
        """Bring the screen up to date; False when something is left for the next tick."""
        self.query_one(StatusLine).paint(self.model)
        self.query_one(AlarmBanner).paint(self.model)
        self.query_one(KeyBar).paint(self.model)
        return True
