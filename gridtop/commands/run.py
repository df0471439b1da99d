"""`gridtop run`: the engine; events as JSON lines, screens served, an exit code that means something."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridtop.commands.options import chosen_configuration, duration, monitor_options
from gridtop.commands.serving import listening_at, served, with_token
from gridtop.errors import Exit, GridtopError
from gridtop.service import ServiceManager, keep_alive

if TYPE_CHECKING:
    from gridtop.api_settings import ApiSettings
    from gridtop.config import Configuration
    from gridtop.contracts import Sink
    from gridtop.monitor import Monitor
    from gridtop.sockets import Listening

_log = logging.getLogger("gridtop")

_GLANCE = 0.25
"""Seconds between looks at the progress."""


@click.command("run")
@monitor_options
@click.option("--until-end", is_flag=True, help="End with the recording, whatever loop: says.")
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    callback=duration,
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
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Keep events in this file.")
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Record live data into this file."
)
@click.option("--fresh", is_flag=True, help="Do not go on where the last run of the same source stopped.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Serve the HTTP API over TCP as well.")
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
    journal: Path | None,
    record: Path | None,
    fresh: bool,
    listen: str | None,
    quiet: bool,
    ready_fd: int | None,
    lifeline_fd: int | None,
    **chosen: Any,
) -> int:
    """Watch without a screen: one JSON line an event on standard output.

    Screens attach with gridtop attach (docs/attach.md), other programs over HTTP (docs/http-api.md).
    Logs, progress and a summary go to standard error. With --journal nothing is lost on a crash, and the next
    run goes on where this one stopped (docs/journal.md). SIGHUP has the configuration read again
    (docs/operation.md). Exit codes: docs/exit-codes.md.
    """
    if no_serve and (place or listen):
        raise click.UsageError("--socket and --listen say where to serve, --no-serve says not to")
    if lifeline_fd is not None:
        from gridtop.engine import obey_lifeline

        obey_lifeline(lifeline_fd, Path(place).with_suffix(".log") if place else None)
    read = functools.partial(chosen_configuration, **_with_overrides(chosen, journal, fresh, listen))
    configuration = read()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="gridtop: %(message)s")
    _warn_of_what_a_crash_takes(configuration)
    with contextlib.ExitStack() as places:
        listening, api = None, configuration.api
        if not no_serve and (listening := listening_at(place, needed=api.listen is not None)):
            places.callback(listening.close)
            api = with_token(api, listening, places)
        stop_at_end = until_end or not (stay or configuration.loop)
        orders = _Orders(stop_at_end, duration, fail_on, quiet, record, listening, api, ready_fd, read)
        return asyncio.run(_run(configuration, orders))


def _warn_of_what_a_crash_takes(configuration: Configuration) -> None:
    """Without a journal on disk, what sinks are owed is in memory."""
    from gridtop.building import owed_to

    owed = owed_to(configuration)
    if owed and configuration.journal.path is None:
        _log.warning(
            "what %s is owed is in memory: a crash would lose it; --journal FILE, or journal: {path: ...}, "
            "keeps it",
            " and ".join(owed),
        )


def _with_overrides(
    chosen: Mapping[str, Any], journal: Path | None, fresh: bool, listen: str | None
) -> dict[str, Any]:
    """What the command line says of the configuration, as settings of it."""
    from gridtop.config import assignment

    overrides = list(chosen["overrides"])
    if journal is not None:
        overrides.append(assignment("journal.path", str(journal)))
    if fresh:
        overrides.append("journal.resume=false")
    if listen is not None:
        overrides.append(assignment("api.listen", listen))
    return {**chosen, "overrides": tuple(overrides)}


@dataclass(frozen=True)
class _Orders:
    """What the command line asks of a run."""

    stop_at_end: bool
    duration: timedelta | None
    fail_on: str | None
    quiet: bool
    record: Path | None
    listening: Listening | None
    api: ApiSettings
    ready_fd: int | None
    read: Callable[[], Configuration]


async def _run(configuration: Configuration, orders: _Orders) -> int:
    from gridtop.events import SEVERITIES
    from gridtop.monitor import Monitor

    monitor = Monitor(
        configuration,
        streams=_standard_output(configuration),
        keep_history=orders.listening is not None,
        stop_at_end=orders.stop_at_end,
        record=orders.record,
    )
    manager = ServiceManager()
    interrupted = _obey_signals(monitor, orders.read, manager)
    if orders.duration is not None:
        asyncio.get_running_loop().call_later(orders.duration.total_seconds(), monitor.stop)
    started = time.monotonic()
    beside = (
        asyncio.create_task(_show_progress(monitor, orders.quiet), name="progress"),
        asyncio.create_task(_serve_manager(monitor, manager), name="service manager"),
    )
    try:
        async with served(monitor, configuration, orders.listening, orders.api, orders.ready_fd):
            await monitor.run()
    finally:
        manager.stopping()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if not orders.quiet:
            _show_summary(monitor, time.monotonic() - started)
    if interrupted:
        return Exit.INTERRUPTED
    worst, limit = monitor.worst, orders.fail_on
    failed = limit and worst and SEVERITIES.index(worst) >= SEVERITIES.index(limit)
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


def _obey_signals(monitor: Monitor, read: Callable[[], Configuration], manager: ServiceManager) -> list[bool]:
    """Have signals end the run in order; the list is filled when it was SIGINT.

    SIGHUP has the configuration read again; from a terminal that was closed it is the end. A signal that
    whoever started us chose to ignore (nohup) stays ignored.
    """
    interrupted: list[bool] = []
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.append(True)
        monitor.stop()

    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        manager.reloading()
        try:
            await monitor.reload(read)
        except GridtopError:
            pass  # it never opened: the run ends with that
        except Exception:
            _log.exception("the configuration was not reloaded")
        finally:
            manager.ready()

    def hang_up() -> None:
        if sys.stdin is not None and sys.stdin.isatty():
            monitor.stop()
            return
        task = asyncio.create_task(reload(), name="reload")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    orders = {signal.SIGINT: interrupt, signal.SIGTERM: monitor.stop, signal.SIGHUP: hang_up}
    for name, order in orders.items():
        if signal.getsignal(name) is not signal.SIG_IGN:
            loop.add_signal_handler(name, order)
    return interrupted


async def _serve_manager(monitor: Monitor, manager: ServiceManager) -> None:
    """Tell a service manager that the engine is ready, and that it is alive while blocks flow."""
    await monitor.opened()
    manager.ready()

    def resting() -> bool:
        return monitor.snapshot().transport.state in ("paused", "ended")

    def words() -> str:
        snapshot = monitor.snapshot()
        told = [f"{snapshot.counts.frames} frames", f"{len(snapshot.alarms)} alarms", *snapshot.problems]
        return ", ".join(told)

    def progress() -> tuple[int, int]:
        # Frames from before a restart, from which detectors learn, are not counted; they move the row.
        snapshot = monitor.snapshot()
        return snapshot.counts.frames, snapshot.transport.row

    await keep_alive(manager, progress, resting, words)


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
