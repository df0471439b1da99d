"""The keyboard when standard input is data: the terminal takes its place, as with `less` and `vim -`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from gridtop.errors import GridtopError

TERMINAL = os.ctermid()
"""The controlling terminal of whoever opens it: /dev/tty."""

_STANDARD_INPUT = 0


def reachable() -> bool:
    """Whether there is a controlling terminal."""
    try:
        os.close(_opened())
    except OSError:
        return False
    return True


@contextlib.contextmanager
def beside_data() -> Iterator[int]:
    """Make the controlling terminal standard input; what is given is a descriptor of what was it before.

    That descriptor is not inherited and is closed at the end. Standard input stays the terminal: if it were
    put back, this process would hold the pipe open, and whoever writes into it would never hear of the end.
    GridtopError when there is no controlling terminal.
    """
    try:
        keyboard = _opened()
    except OSError as error:
        raise GridtopError(
            f"standard input is the data here, so keys must come from {TERMINAL}, which cannot be opened "
            f"({error.strerror}); start it in a terminal (over ssh: ssh -t), or watch without a screen: "
            "gridtop run --source -"
        ) from error
    data = os.dup(_STANDARD_INPUT)
    try:
        os.dup2(keyboard, _STANDARD_INPUT)
        os.close(keyboard)
        yield data
    finally:
        os.close(data)


def _opened() -> int:
    return os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
