"""`gridtop run`: the monitor without a screen; events as JSON lines, an exit code that means something."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridtop.commands.options import chosen_configuration, monitor_options
from gridtop.errors import Exit

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.contracts import Sink
    from gridtop.monitor import Monitor

_log = logging.getLogger("gridtop")

_GLANCE = 0.25
"""Seconds between looks at the progress."""


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    from gridtop.units import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("run")
@monitor_options
@click.option("--until-end", is_flag=True, help="End with the recording, whatever loop: says.")
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    callback=_duration,
    help="End after this long, by the clock on the wall: 60s.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "critical"]),
    help="Exit with 1 when an alarm reaches this severity.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on standard error.")
def command(
    until_end: bool, duration: timedelta | None, fail_on: str | None, quiet: bool, **chosen: Any
) -> int:
    """Watch without a screen: one JSON line an event on standard output.

    Logs, progress and a summary go to standard error. Exit codes: docs/exit-codes.md.
    """
    configuration = chosen_configuration(**chosen)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="gridtop: %(message)s")
    return asyncio.run(_run(configuration, until_end, duration, fail_on, quiet))


async def _run(
    configuration: Configuration,
    until_end: bool,
    duration: timedelta | None,
    fail_on: str | None,
    quiet: bool,
) -> int:
    from gridtop.events import SEVERITIES
    from gridtop.monitor import Monitor

    monitor = Monitor(
        configuration,
        extra_sinks=_standard_output(configuration),
        keep_history=False,
        stop_at_end=until_end or not configuration.loop,
    )
    interrupted = _obey_signals(monitor)
    if duration is not None:
        asyncio.get_running_loop().call_later(duration.total_seconds(), monitor.stop)
    started = time.monotonic()
    progress = asyncio.create_task(_show_progress(monitor, quiet), name="progress")
    try:
        await monitor.run()
    finally:
        progress.cancel()
        await asyncio.gather(progress, return_exceptions=True)
        if not quiet:
            _show_summary(monitor, time.monotonic() - started)
    if interrupted:
        return Exit.INTERRUPTED
    failed = fail_on and monitor.worst and SEVERITIES.index(monitor.worst) >= SEVERITIES.index(fail_on)
    return Exit.ALARMS if failed else Exit.OK


def _standard_output(configuration: Configuration) -> dict[str, Sink]:
    """The sink that prints events, unless the configuration has a console sink of its own."""
    if any(instance.type == "console" for instance in configuration.sinks.values()):
        return {}
    from gridtop.contracts import Host
    from gridtop.registry import discover

    console: Any = discover().load("sink", "console")
    host = Host("stdout", configuration.directory, Path.cwd(), _log, configuration.channels)
    return {"stdout": console(console.Config(), host)}


def _obey_signals(monitor: Monitor) -> list[bool]:
    """Have SIGINT and SIGTERM end the run in order; the list is filled when it was SIGINT."""
    interrupted: list[bool] = []
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.append(True)
        monitor.stop()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    for name in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(name, monitor.stop)
    return interrupted


async def _show_progress(monitor: Monitor, quiet: bool) -> None:
    """A bar on standard error, when that is a terminal which no events are printed to."""
    if quiet or not sys.stderr.isatty() or sys.stdout.isatty():
        return
    await monitor.opened()
    length = monitor.snapshot().transport.frames
    with click.progressbar(length=length or 1, label="frames", file=sys.stderr) as bar:
        while True:
            transport = monitor.snapshot().transport
            bar.update((transport.row if length else 0) - bar.pos)
            await asyncio.sleep(_GLANCE)


def _show_summary(monitor: Monitor, seconds: float) -> None:
    snapshot = monitor.snapshot()
    counts = snapshot.counts
    if not counts.frames:
        return
    parts = [
        f"{counts.frames} frames in {seconds:.1f} s",
        f"{counts.events} events",
        f"{len(snapshot.alarms)} alarms still active",
    ]
    if monitor.worst:
        parts.append(f"worst: {monitor.worst}")
    cells = {"missing": counts.missing, "unreadable": counts.unreadable, "infinite": counts.infinite}
    parts += [f"{number} {kind} cells" for kind, number in cells.items() if number]
    if counts.dropped:
        parts.append(f"{counts.dropped} events not delivered")
    for line in (", ".join(parts), *snapshot.problems):
        click.echo(f"gridtop: {line}", err=True)
