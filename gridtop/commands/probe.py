"""`gridtop probe`: looks at one PMU, and says what it sends, how well, and what is wrong with it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.synchrophasor.examination import Examination
    from gridtop.synchrophasor.links import Way

USUAL_PORT = 4712


def host_and_port(text: str, usual: int = USUAL_PORT) -> tuple[str, int]:
    """Host and port from `HOST`, `HOST:PORT` or `[IPv6]:PORT`; click.BadParameter when it is none."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if rest else str(usual)
        good = bool(bracket)
    else:
        host, colon, port = text.partition(":")
        port, good = (port if colon else str(usual)), ":" not in port
    if not good or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(
            f"{text!r} is no address; write 192.168.1.7:4712, pmu.example:4712 or [2001:db8::7]:4712"
        )
    return host, int(port)


def finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """A number, or none at all; click takes `nan` for one in every range."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("it has to be a number")
    return value


def _address(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, int]:
    return host_and_port(value)


@click.command()
@click.argument("address", metavar="HOST[:PORT]", callback=_address)
@click.option(
    "--id",
    "idcode",
    type=click.IntRange(1, 65534),
    default=1,
    show_default=True,
    help="The IDCODE of the stream.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 86_400),
    default=5.0,
    show_default=True,
    callback=finite,
    help="How long to take data.",
)
@click.option("--udp", is_flag=True, help="Commands and data by UDP.")
@click.option(
    "--udp-data",
    "data_port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Commands by TCP, and data by UDP to this port of this computer.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every figure.")
@click.option(
    "--capture",
    type=click.Path(path_type=Path),
    help="Write all bytes that come into this new file; it replays as a source.",
)
def command(
    address: tuple[str, int],
    idcode: int,
    seconds: float,
    udp: bool,
    data_port: int | None,
    as_json: bool,
    capture: Path | None,
) -> None:
    """Look at a PMU or a concentrator that speaks IEEE C37.118, and say what is wrong with it.

    It asks for configuration and header, takes data for some seconds, and stops them again. Port 4712 is
    meant when none is given. It ends with 69 when there is nothing to look at (docs/live.md).
    """
    from gridtop.synchrophasor.links import Way

    if udp and data_port is not None:
        raise click.UsageError("--udp and --udp-data cannot go together")
    way = Way(*address, udp=udp, data_port=data_port)
    try:
        examination = _look(way, idcode, seconds, capture)
    except GridtopError as error:
        if as_json and error.code == Exit.PROBE:
            click.echo(json.dumps({"ok": False, "address": str(way), "id": idcode, "error": str(error)}))
        raise
    from gridtop.synchrophasor.findings import findings
    from gridtop.synchrophasor.probe_report import as_dict, report

    found = findings(examination)
    if as_json:
        click.echo(json.dumps(as_dict(examination, found), ensure_ascii=False, allow_nan=False))
        return
    for line in report(examination, found):
        click.echo(line)
    if capture is not None:
        click.echo(f"captured into {capture}", err=True)


def _look(way: Way, idcode: int, seconds: float, capture: Path | None) -> Examination:
    from gridtop.synchrophasor.captures import CaptureWriter
    from gridtop.synchrophasor.examination import examine
    from gridtop.synchrophasor.probing import observe

    with ExitStack() as open_files:
        record: Callable[[int, bytes], object] = _nowhere
        if capture is not None:
            try:
                record = open_files.enter_context(CaptureWriter(capture)).write
            except FileExistsError:
                raise GridtopError(f"{capture} exists already; a capture takes a new file") from None
            except OSError as error:
                raise GridtopError(f"cannot write {capture}: {error.strerror or error}") from None
        return examine(asyncio.run(observe(way, idcode, seconds, record=record)))


def _nowhere(arrival: int, data: bytes) -> None:
    """Without --capture nothing is kept."""
