"""`gridtop record`: live data into a file, without a monitor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridtop.commands.options import chosen_configuration, configuration_options, duration
from gridtop.errors import Exit, GridtopError, SourceError
from gridtop.stopping import until_stopped
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.contracts import Source
    from gridtop.recorder import Recorder

_log = logging.getLogger("gridtop")

Outcome = TypeVar("Outcome")

_GLANCE = 0.5
"""Seconds between looks at the progress."""


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    chosen = duration(context, parameter, value)
    if chosen == timedelta(0):
        raise click.BadParameter("0 is too short")
    return chosen


@click.command("record")
@configuration_options
@click.option(
    "--source",
    "recording",
    type=click.Path(path_type=Path),
    help="- reads lines from standard input instead of the configured source.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file; one that is there goes on.  [default: a new one in recording.folder]",
)
@click.option(
    "--size",
    type=click.IntRange(1, 10_000_000),
    metavar="MB",
    help="What the file may take; then its oldest frames make room.  [default: recording.size]",
)
@click.option(
    "--keep",
    metavar="DURATION",
    callback=_duration,
    help="What it holds at most, by measurement time: 24h.  [default: recording.keep]",
)
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    callback=_duration,
    help="End after this long, by the clock on the wall: 60s.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on standard error.")
def command(
    output: Path | None,
    size: int | None,
    keep: timedelta | None,
    duration: timedelta | None,
    quiet: bool,
    recording: Path | None,
    **chosen: Any,
) -> int:
    """Record the live source of the configuration: no detectors, no alarms, every frame as it came.

    The file can be read while it grows, and replayed: gridtop run --source FILE (docs/recording.md). To
    record and watch at once: gridtop run --record FILE.
    """
    configuration = chosen_configuration(recording=recording, speed=None, **chosen)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="gridtop: %(message)s")
    asked = {"size": size, "keep": keep}
    settings = configuration.recording.model_copy(
        update={name: value for name, value in asked.items() if value is not None}
    )
    return asyncio.run(_record(configuration, settings, output, duration, quiet))


async def _record(
    configuration: Configuration, settings: Any, output: Path | None, duration: timedelta | None, quiet: bool
) -> int:
    from gridtop.building import source_of, source_words
    from gridtop.loading import blaming
    from gridtop.recorder import Recorder, fresh_path

    source, words = source_of(configuration), source_words(configuration.source)
    if not source.live:
        raise GridtopError(f"{words} is a recording already; gridtop export copies one, or a part of it")
    stopping = _Stopping(duration)
    recorder: Recorder | None = None
    started = time.monotonic()
    try:
        with stopping.obeyed():
            with blaming(SourceError, "the source cannot be opened"):
                channels = await stopping.unless(source.open())
            if channels is not None:
                path = output or fresh_path(settings, words, time.time())
                recorder = await Recorder.begin(path, channels, settings, words)
                with blaming(SourceError, "the source failed"):
                    await stopping.unless(_flow(source, recorder, quiet))
    finally:
        try:
            await source.close()
        finally:
            if recorder is not None:
                await recorder.close()
                if not quiet:
                    _summarise(recorder, time.monotonic() - started)
    return Exit.INTERRUPTED if stopping.interrupted else Exit.OK


class _Stopping:
    """What ends a recording besides its source: signals and a duration."""

    def __init__(self, duration: timedelta | None) -> None:
        self.interrupted = False
        self._duration = duration
        self._stopped = asyncio.Event()

    @contextlib.contextmanager
    def obeyed(self) -> Iterator[None]:
        """While this lasts, SIGINT, SIGTERM and the end of the duration have it end in order."""
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            self.interrupted = True
            self._stopped.set()

        orders = {signal.SIGINT: interrupt, signal.SIGTERM: self._stopped.set}
        # What whoever started us chose to ignore stays ignored.
        orders = {name: order for name, order in orders.items() if signal.getsignal(name) != signal.SIG_IGN}
        for name, order in orders.items():
            loop.add_signal_handler(name, order)
        timer = loop.call_later(self._duration.total_seconds(), self._stopped.set) if self._duration else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            for name in orders:
                loop.remove_signal_handler(name)

    async def unless(self, work: Coroutine[Any, Any, Outcome]) -> Outcome | None:
        """The outcome of work, None when it was told to stop before."""
        return await until_stopped(self._stopped, work)


async def _flow(source: Source, recorder: Recorder, quiet: bool) -> None:
    """Hand over block by block, until the source ends."""
    beside = asyncio.create_task(_show_progress(recorder, quiet))
    blocks: Any = source.blocks()
    try:
        async with contextlib.aclosing(blocks):
            async for block in blocks:
                recorder.add(block)
    finally:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)


async def _show_progress(recorder: Recorder, quiet: bool) -> None:
    """One line on standard error, when that is a terminal."""
    if quiet or not sys.stderr.isatty():
        return
    try:
        while True:
            status = recorder.status()
            click.echo(f"\r\x1b[K{_told(recorder)}  {clean(status.problem, 60)}", err=True, nl=False)
            await asyncio.sleep(_GLANCE)
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)


def _told(recorder: Recorder) -> str:
    status = recorder.status()
    told = f"{status.frames:,} frames, {status.bytes / 1e6:.1f} MB"
    return f"{told}, {status.dropped:,} dropped" if status.dropped else told


def _summarise(recorder: Recorder, seconds: float) -> None:
    status = recorder.status()
    lines = [f"{clean(status.path, 1000)} holds {_told(recorder)}; recorded for {seconds:.1f} s"]
    lines += [f"{frames:,} frames {reason}" for reason, frames in recorder.losses.items()]
    if status.problem:
        lines.append(status.problem)
    for line in lines:
        click.echo(f"gridtop: {line}", err=True)
