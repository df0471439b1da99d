"""Remembers who already took a batch that others refused, so that a retry sends no second copy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gridtop.api import Event


class Receipts:
    """Receivers by a number or a name of their own; only the batch tried last is remembered."""

    def __init__(self) -> None:
        self._batch: tuple[str, ...] = ()
        self._took: set[object] = set()

    def without(self, events: Sequence[Event], receivers: Iterable[object]) -> list[object]:
        """The receivers that have yet to get these events."""
        batch = tuple(event.id for event in events)
        if batch != self._batch:
            self._batch, self._took = batch, set()
        return [receiver for receiver in receivers if receiver not in self._took]

    def took(self, receiver: object) -> None:
        """A receiver has got the batch that `without` was asked for last."""
        self._took.add(receiver)
