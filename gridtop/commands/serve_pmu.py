"""`gridtop serve-pmu`: a PMU of one's own, from the simulated grid or a recording, with faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.commands.probe import USUAL_PORT, finite, host_and_port
from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.synchrophasor.faults import Fault
    from gridtop.synchrophasor.feeds import Feed
    from gridtop.synchrophasor.serving import PmuServer


def _faults(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> list[Fault]:
    from gridtop.synchrophasor.faults import parse_fault

    try:
        return [parse_fault(text) for text in value]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _receiver(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    return None if value is None else host_and_port(value, USUAL_PORT + 1)


def _list_faults(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value:
        return
    from gridtop.synchrophasor.faults import KINDS

    for kind, meaning in KINDS.items():
        click.echo(f"{kind:<15} {meaning}")
    context.exit()


@click.command()
@click.argument("recording", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=USUAL_PORT, show_default=True, help="0: any free one."
)
@click.option(
    "--id",
    "idcode",
    type=click.IntRange(1, 65534),
    default=1,
    show_default=True,
    help="The IDCODE of the stream; several PMUs have those after it.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Frames per second.  [default: the recording's, else 30]",
)
@click.option(
    "--pmus",
    type=click.IntRange(1, 500),
    help="So many PMUs; more than there are repeat them.  [default: one a terminal]",
)
@click.option("--once", is_flag=True, help="End with the recording instead of beginning it again.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of grid and faults.")
@click.option("--events/--no-events", default=True, help="The simulated grid with disturbances, or quiet.")
@click.option("--rectangular", is_flag=True, help="Phasors as real and imaginary part.")
@click.option("--integer", is_flag=True, help="Phasors and frequency in 16 bits.")
@click.option("--udp", is_flag=True, help="Listen for commands by UDP, and send data so.")
@click.option(
    "--udp-data",
    "data_port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Commands by TCP, data by UDP to this port of whoever asks.",
)
@click.option(
    "--send-to", metavar="HOST:PORT", callback=_receiver, help="Send data by UDP to there, unasked."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    callback=_faults,
    help="What is wrong: drop=5%, silence@10s+3s, ...; may be repeated.",
)
@click.option(
    "--list-faults",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_faults,
    help="What can be wrong, and end.",
)
@click.option("--time-base", type=click.IntRange(1, 0xFFFFFF), default=1_000_000, help="Parts of a second.")
def command(
    recording: Path | None,
    host: str,
    port: int,
    idcode: int,
    rate: float | None,
    pmus: int | None,
    once: bool,
    seed: int,
    events: bool,
    rectangular: bool,
    integer: bool,
    udp: bool,
    data_port: int | None,
    send_to: tuple[str, int] | None,
    faults: list[Fault],
    time_base: int,
) -> int:
    """Be a PMU that speaks IEEE C37.118: serve RECORDING, again and again, or the simulated grid.

    For trying gridtop and other tools without a substation; data begin with the first client that asks for
    them. A fault is KIND, KIND=AMOUNT, and with @AFTER+FOR it begins and ends: --fault silence@10s+3s.
    """
    if sum((udp, data_port is not None, send_to is not None)) > 1:
        raise click.UsageError("--udp, --udp-data and --send-to cannot go together")
    if recording is None and once:
        raise click.UsageError("--once goes with a recording; the simulated grid has no end")
    from gridtop.synchrophasor.device import Device, Form
    from gridtop.synchrophasor.serving import PmuServer

    form = Form(polar=not rectangular, floating=not integer)
    try:
        device = Device(
            _feed(recording, rate, seed, events, pmus), idcode, form, loop=not once, time_base=time_base
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rate") from None
    server = PmuServer(
        device,
        host,
        port,
        udp=udp,
        data_port=data_port,
        send_to=send_to,
        faults=faults,
        seed=seed,
        tell=lambda words: click.echo(words, err=True),
    )
    where = f"sends to {send_to[0]}:{send_to[1]}" if send_to else None
    return asyncio.run(_serve(server, device.title, host, idcode, where))


def _feed(recording: Path | None, rate: float | None, seed: int, events: bool, pmus: int | None) -> Feed:
    from gridtop.synchrophasor import feeds

    if recording is not None:
        feed = feeds.recorded(recording, rate=rate)
    else:
        rate = feeds.DEFAULT_RATE if rate is None else rate
        if rate != int(rate) or not 10 <= rate <= 120:
            raise GridtopError(f"the simulated grid has 10 to 120 frames per second, not {rate:g}")
        feed = feeds.simulated(int(rate), seed, events=events)
    return feed if pmus is None else feeds.concentrated(feed, pmus)


async def _serve(server: PmuServer, title: str, host: str, idcode: int, where: str | None) -> int:
    interrupted = False
    async with server:
        running = asyncio.create_task(server.run())

        def stop(by: signal.Signals) -> None:
            nonlocal interrupted
            interrupted = by == signal.SIGINT
            running.cancel()

        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop, name)
        click.echo(f"{title}; id {idcode} {where or f'at {host}:{server.port}'}", err=True)
        with contextlib.suppress(asyncio.CancelledError):
            await running
    counters = server.counters
    click.echo(
        f"{counters.frames} frames, {counters.late} of them late; {counters.commands} commands, "
        f"{counters.wrong_id} for another id",
        err=True,
    )
    return Exit.INTERRUPTED if interrupted else Exit.OK
