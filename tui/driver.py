"""The terminal driver, which can tell how much of the screen the terminal has not taken yet."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """Textual's driver. Its writer has a short queue and blocks the whole app when that is full."""

    def write(self, data: str) -> None:
        """Hand over to the writer; when that has died with its terminal, nobody takes the text any more."""
        if self._writer_thread is not None and self._writer_thread.is_alive():
            super().write(data)

    @property
    def backlog(self) -> int:
        """Writes the terminal has not taken yet: above two, painting more only makes the app wait."""
        writer = self._writer_thread
        return writer._queue.qsize() if writer is not None else 0
