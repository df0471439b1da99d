"""Keys that tell an alarm something: acknowledge, shelve and so on (gridtop/orders.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from gridtop.errors import GridtopError
from gridtop.orders import Order

from .orders import Obeying
from .screens.ask import Ask
from .screens.live import LiveScreen
from .view import shelving
from .view.alarms import Alarm


@runtime_checkable
class Limited(Protocol):
    """A client that may be one that only looks."""

    @property
    def read_only(self) -> bool:
        """Whether orders are refused."""
        ...


class Operating(Obeying):
    """An app that passes an operator's orders on. Which alarm is meant, the screen on view says."""

    @property
    def _live_screen(self) -> LiveScreen | None:
        raise NotImplementedError

    @property
    def _only_looks(self) -> bool:
        return isinstance(self.client, Limited) and self.client.read_only

    def action_acknowledge(self) -> None:
        """Acknowledge the alarm that is meant, and go on to the next."""
        alarm, screen = self._meant("acknowledge"), self._live_screen
        if alarm is None or screen is None:
            return
        if alarm.unseen:
            self._tell(Order("acknowledge", alarm.id))
            screen.go_on()

    def action_acknowledge_all(self) -> None:
        """Acknowledge the alarms on view, and no other: nobody has seen those."""
        screen = self._live_screen
        if screen is not None and self._meant("acknowledge") is not None:
            for alarm in screen.alarms_on_view:
                if alarm.unseen:
                    self._tell(Order("acknowledge", alarm.id))

    def action_shelve(self) -> None:
        """Ask for how long and why, and put the alarm aside."""
        alarm = self._meant("shelve")
        if alarm is None:
            return

        def for_how_long(seconds: float | None) -> None:
            if seconds is not None:
                self._ask_why(
                    "Shelve it, why?",
                    lambda why: self._tell(Order("shelve", alarm.id, reason=why, seconds=seconds)),
                )

        self.push_screen(
            Ask(
                f"Shelve for how long: {named(alarm)}",
                shelving.EXAMPLES,
                shelving.parse,
                shelving.USUAL,
                True,
            ),
            for_how_long,
        )

    def action_unshelve(self) -> None:
        """Take the alarm back from the shelf."""
        alarm = self._meant("unshelve")
        if alarm is not None:
            self._tell(Order("unshelve", alarm.id))

    def action_unlatch(self) -> None:
        """Let go of a latched alarm."""
        alarm = self._meant("unlatch")
        if alarm is not None:
            self._tell(Order("unlatch", alarm.id))

    def action_service(self) -> None:
        """Take the alarm out of service, which wants a reason, or put it back."""
        alarm = self._meant("take it out of service")
        if alarm is None:
            return
        if alarm.state == "out_of_service":
            self._tell(Order("put-in-service", alarm.id))
            return
        self._ask_why(
            f"Out of service, why: {named(alarm)}",
            lambda why: self._tell(Order("take-out-of-service", alarm.id, reason=why)),
        )

    def _meant(self, what: str) -> Alarm | None:
        """The alarm that the screen speaks of; None when there is none, or when this screen only looks."""
        screen = self._live_screen
        alarm = screen.alarm_meant if screen is not None else None
        if alarm is not None and self._only_looks:
            self.refuse(what, GridtopError("this screen only reads (--read-only)"))
            self.wake()
            return None
        return alarm

    def _ask_why(self, question: str, then: Callable[[str], None]) -> None:
        def given(why: str | None) -> None:
            if why is not None:
                then(why)

        self.push_screen(Ask(question, shelving.REASONS, shelving.reason), given)

    def _tell(self, order: Order) -> None:
        """Tell an alarm something."""
        self._order(order.action.replace("-", " "), lambda _: self.client.operate(order))


def named(alarm: Alarm) -> str:
    """An alarm by its rule and channel, for a question."""
    return f"{alarm.rule} {alarm.channel}"
