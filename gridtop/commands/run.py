"""`gridtop run`: the engine; events as JSON lines, screens served, an exit code that means something."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridtop.commands.options import chosen_configuration, monitor_options
from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.contracts import Sink
    from gridtop.monitor import Monitor
    from gridtop.sockets import Listening

_log = logging.getLogger("gridtop")

_GLANCE = 0.25
"""Seconds between looks at the progress."""

_HEAD_START = 1.0
"""Seconds that the source has to open before the server starts beside it."""


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
@click.option("--stay", is_flag=True, help="At the end of the recording, wait for what screens say.")
@click.option("--no-serve", is_flag=True, help="Let no screen and no other program attach.")
@click.option(
    "--socket",
    "place",
    metavar="PATH",
    help="Where screens attach: a path, or a name in the default folder [the process id].",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on standard error.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--lifeline-fd", type=int, hidden=True)
def command(
    until_end: bool,
    duration: timedelta | None,
    fail_on: str | None,
    stay: bool,
    no_serve: bool,
    place: str | None,
    quiet: bool,
    ready_fd: int | None,
    lifeline_fd: int | None,
    **chosen: Any,
) -> int:
    """Watch without a screen: one JSON line an event on standard output.

    Screens attach with gridtop attach (docs/attach.md), other programs over HTTP (docs/http-api.md).
    Logs, progress and a summary go to standard error. Exit codes: docs/exit-codes.md.
    """
    if place and no_serve:
        raise click.UsageError("--socket says where to serve, --no-serve says not to")
    if lifeline_fd is not None:
        from gridtop.engine import obey_lifeline

        obey_lifeline(lifeline_fd, Path(place).with_suffix(".log") if place else None)
    configuration = chosen_configuration(**chosen)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="gridtop: %(message)s")
    listening = None if no_serve else _listening(place)
    try:
        stop_at_end = until_end or not (stay or configuration.loop)
        orders = _Orders(stop_at_end, duration, fail_on, quiet, listening, ready_fd)
        return asyncio.run(_run(configuration, orders))
    finally:
        if listening is not None:
            listening.close()


@dataclass(frozen=True)
class _Orders:
    """What the command line asks of a run."""

    stop_at_end: bool
    duration: timedelta | None
    fail_on: str | None
    quiet: bool
    listening: Listening | None
    ready_fd: int | None


async def _run(configuration: Configuration, orders: _Orders) -> int:
    from gridtop.events import SEVERITIES
    from gridtop.monitor import Monitor

    monitor = Monitor(
        configuration,
        extra_sinks=_standard_output(configuration),
        keep_history=orders.listening is not None,
        stop_at_end=orders.stop_at_end,
    )
    interrupted = _obey_signals(monitor)
    if orders.duration is not None:
        asyncio.get_running_loop().call_later(orders.duration.total_seconds(), monitor.stop)
    started = time.monotonic()
    progress = asyncio.create_task(_show_progress(monitor, orders.quiet), name="progress")
    try:
        async with _served(monitor, orders):
            await monitor.run()
    finally:
        progress.cancel()
        await asyncio.gather(progress, return_exceptions=True)
        if not orders.quiet:
            _show_summary(monitor, time.monotonic() - started)
    if interrupted:
        return Exit.INTERRUPTED
    worst, limit = monitor.worst, orders.fail_on
    failed = limit and worst and SEVERITIES.index(worst) >= SEVERITIES.index(limit)
    return Exit.ALARMS if failed else Exit.OK


def _listening(place: str | None) -> Listening | None:
    """The socket for screens. Without one that was asked for the run fails; else it goes on unserved."""
    from gridtop import sockets

    try:
        return sockets.Listening(sockets.resolved(place) if place else sockets.fresh())
    except GridtopError as error:
        if place:
            raise
        _log.warning("screens cannot attach: %s", error)
        return None


@contextlib.asynccontextmanager
async def _served(monitor: Monitor, orders: _Orders) -> AsyncIterator[None]:
    """Serve the monitor while it runs, from the moment that the server is there."""
    if orders.listening is None:
        yield
        return
    serving = asyncio.create_task(_serve(monitor, orders.listening, orders.ready_fd), name="server")
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _serve(monitor: Monitor, listening: Listening, ready_fd: int | None) -> None:
    # The HTTP library takes a third of a second to import: measurements come first.
    try:
        await asyncio.wait_for(monitor.opened(), _HEAD_START)
    except TimeoutError:
        pass
    except GridtopError:
        return  # the run ends with it
    server: Any = None
    try:
        module = await asyncio.to_thread(importlib.import_module, "gridtop.server")
        server = module.Server(monitor)
        await server.start(listening.socket)
        if ready_fd is not None:
            from gridtop.engine import say_ready

            say_ready(ready_fd)
        await asyncio.Event().wait()
    except Exception:
        _log.exception("screens cannot attach")
        if ready_fd is not None:
            monitor.stop()  # whoever started this engine waits for it in vain
    finally:
        if server is not None:
            await server.close()


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
    """Have signals end the run in order; the list is filled when it was SIGINT.

    A signal that whoever started us chose to ignore (nohup) stays ignored.
    """
    interrupted: list[bool] = []
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.append(True)
        monitor.stop()

    orders = {signal.SIGINT: interrupt, signal.SIGTERM: monitor.stop, signal.SIGHUP: monitor.stop}
    for name, order in orders.items():
        if signal.getsignal(name) is not signal.SIG_IGN:
            loop.add_signal_handler(name, order)
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
