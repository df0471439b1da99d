"""The page the writer has open: a connection, whether it writes to disk or to memory, and what it counted."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping

from gridtop.subscriptions import Subscription

_WITHIN_REACH = "SELECT {columns} FROM main.{table} UNION ALL SELECT {columns} FROM disk.{table} AS there"
_DELIVERY = "seq, sink, incident, state, tries, due, reason"


class Sheet:
    """Where statements write to and read from.

    With the disk in order all is in the tables of `disk`. While it cannot be written (`degraded`), what is
    new or changed is in those of `main`, in memory: a delivery there stands for the one with the same key
    on the disk, which is `readable` or not. Counts and numbers count only when the transaction is `kept`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.subscriptions: Mapping[str, Subscription] = {}
        self.degraded = False
        self.readable = True
        self.last = 0
        """The newest sequence number given."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """What was done, by what and by sink."""
        self.quota = 0
        """Pages that the file may have."""
        self._before = 0
        self._pending: Counter[tuple[str, str]] = Counter()

    @property
    def target(self) -> str:
        """The schema that is written to."""
        return "main" if self.degraded else "disk"

    @property
    def schemas(self) -> tuple[str, ...]:
        """The schemas that are read, the one that has the last word first."""
        if not self.degraded:
            return ("disk",)
        return ("main", "disk") if self.readable else ("main",)

    @property
    def events(self) -> str:
        """All events, to stand behind FROM."""
        if len(self.schemas) == 1:
            return f"{self.schemas[0]}.event"
        return f"({_WITHIN_REACH.format(columns='seq, id, wall, body', table='event')})"

    @property
    def deliveries(self) -> str:
        """All deliveries as they are now, to stand behind FROM."""
        if len(self.schemas) == 1:
            return f"{self.schemas[0]}.delivery"
        return (
            f"({_WITHIN_REACH.format(columns=_DELIVERY, table='delivery')} WHERE NOT EXISTS (SELECT 1 FROM "
            "main.delivery AS here WHERE here.seq = there.seq AND here.sink = there.sink))"
        )

    def of_event(self, column: str, seq: str) -> str:
        """An expression for a column of the event with a sequence number."""
        found = [f"(SELECT {column} FROM {schema}.event WHERE seq = {seq})" for schema in self.schemas]
        return found[0] if len(found) == 1 else f"COALESCE({', '.join(found)})"

    def count(self, what: str, number: int, sink: str = "") -> None:
        """Something was done so many times."""
        self._pending[what, sink] += number

    def noted(self) -> tuple[int, Counter[tuple[str, str]]]:
        """What `forget` goes back to."""
        return self.last, self._pending.copy()

    def forget(self, noted: tuple[int, Counter[tuple[str, str]]]) -> None:
        """A part of the transaction was undone: with it what it counted and numbered."""
        self.last, self._pending = noted

    def begin(self) -> None:
        """Start a transaction, which has the disk from the beginning."""
        self._before = self.last
        self._pending.clear()
        self.connection.execute("BEGIN" if self.degraded else "BEGIN IMMEDIATE")

    def keep(self) -> None:
        """End the transaction: it is on disk when this returns, if there is a disk."""
        self.connection.execute("COMMIT")
        self.counts.update(self._pending)

    def abandon(self) -> None:
        """Undo the transaction, if one is under way, with all it counted and numbered."""
        self.last = self._before
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
