"""The mistakes gridtop explains to people, and the exit codes it ends with (docs/exit-codes.md)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the exit status of every gridtop command means."""

    OK = 0
    ALARMS = 1
    """An alarm at or above `--fail-on` was raised."""
    USAGE = 2
    SOURCE = 3
    """The source failed: no such recording, unreadable data, lost connection."""
    PROBE = 69
    CONFIGURATION = 78
    INTERRUPTED = 130


class GridtopError(Exception):
    """Something a person can put right; its text says what is wrong, where, and what to do.

    It is shown as one clear message, never as a traceback, and ends the command with `code`.
    """

    code = Exit.USAGE


class SourceError(GridtopError):
    """The source cannot deliver: the message names file, row and column where there are such."""

    code = Exit.SOURCE


class ConfigurationError(GridtopError):
    """The configuration cannot be used; every problem found is in the message, one a line."""

    code = Exit.CONFIGURATION


class PluginError(GridtopError):
    """A plugin cannot be used: it is missing, broken or speaks another API."""

    code = Exit.CONFIGURATION


class DeliveryError(GridtopError):
    """A sink did not deliver, and may later: the events stay owed to it.

    `retry_after` is how many seconds the receiver asks us to wait, None when it says nothing.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Undeliverable(GridtopError):
    """A sink cannot deliver these events, now or later: they become dead letters (`gridtop outbox`)."""


class ReceiverGone(Undeliverable):
    """The receiver says that it wants nothing any more (HTTP 410): the sink is switched off."""


class EngineLost(ConnectionError):
    """The engine was not reached this time. The client tries again when it is asked again."""


class EngineReplaced(ConnectionError):
    """Another engine answers at the socket: what was learnt from the one before is void.

    Forget all events and snapshots, ask `hello()`, and begin anew. Every other question raises this
    until then, so nothing of the two is ever mixed.
    """
