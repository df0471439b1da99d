"""Making what waits for a later attempt due now, as `gridtop outbox retry` does on request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridtop.journal.letters import _change
from gridtop.journal.tables import DEAD


def hasten(path: Path, sink: str | None = None, seqs: Sequence[int] | None = None) -> int:
    """Make letters due now that were tried in vain and wait for the next attempt; how many there were.

    All of them, those of one sink, or some by sequence number. Their tries stay on their account.
    """
    return _change(path, f"UPDATE delivery SET due = 0 WHERE state < {DEAD} AND tries > 0 AND", sink, seqs)
