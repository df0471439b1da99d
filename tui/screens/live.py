"""The base of screens that show the monitor: what they ask for, and how they are painted."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.screen import Screen

from gridtop.client import TelemetryRequest
from gridtop.tui.view import marks
from gridtop.tui.view.alarms import Alarm
from gridtop.tui.view.model import Model
from gridtop.tui.widgets.alarm_banner import AlarmBanner
from gridtop.tui.widgets.key_bar import KeyBar
from gridtop.tui.widgets.status_line import StatusLine


class LiveScreen(Screen[None]):
    """Status line and alarm banner at the top, keys at the bottom, something between them."""

    AUTO_FOCUS = ""
    MARKS: ClassVar[marks.Marks] = marks.OVERVIEW
    """What the help says of the marks on it."""
    shows_statistics: ClassVar[bool] = False
    """Whether it shows how the data come, which is asked for only then."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        # Kept, because looking widgets up costs more than painting them.
        self._frame = StatusLine(id="status"), AlarmBanner(id="banner"), KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        """The frame around the middle."""
        status, banner, key_bar = self._frame
        yield status
        yield banner
        yield from self.middle()
        yield key_bar

    def middle(self) -> ComposeResult:
        """The widgets between banner and keys."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether its widgets are on the screen: they come a moment after it, and go before it."""
        return all(widget.is_mounted and widget.is_attached for widget in self._frame)

    def wanted(self) -> TelemetryRequest | None:
        """The telemetry this screen shows, at its own resolution; None for none, or while it has no size."""
        return None

    @property
    def alarm_meant(self) -> Alarm | None:
        """The alarm that keys speak of: the one in the banner."""
        return self.model.in_banner

    @property
    def alarms_on_view(self) -> list[Alarm]:
        """The alarms that can be seen here: at least the one in the banner."""
        return [alarm for alarm in (self.model.in_banner,) if alarm is not None]

    def go_on(self) -> None:
        """The alarm that was meant is acknowledged: speak of the next."""

    def paint(self) -> bool:
        """Bring the screen up to date; False when something is left for the next tick."""
        for widget in self._frame:
            widget.paint(self.model)
        return True
