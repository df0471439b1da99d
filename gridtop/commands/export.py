"""`gridtop export`: part of a recording in another format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.commands.options import Rows, chosen_stretch, open_configured, stretch_options
from gridtop.commands.outputs import progress_bar, spare
from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.recordings import Recording


@click.command()
@click.argument("recording", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write: .csv, .csv.gz, .parquet, .cfg for COMTRADE, or .gridtop.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="Take channels: and source: from this configuration.",
)
@stretch_options
@click.option("--channels", metavar="GLOB", multiple=True, help="Only these channels; !GLOB leaves some out.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "comtrade", "gridtop"]),
    help="The format.  [default: by the name of the output]",
)
@click.option(
    "--encoding",
    type=click.Choice(["FLOAT32", "ASCII", "BINARY"], case_sensitive=False),
    help="Of COMTRADE data.  [default: FLOAT32]",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def command(
    recording: Path,
    output: Path,
    config: Path | None,
    begin: str | None,
    end: str | None,
    rows: Rows,
    channels: tuple[str, ...],
    form: str | None,
    encoding: str | None,
    force: bool,
) -> int:
    """Write a recording, or part of it, in another format (docs/export.md).

    FILE is any recording: CSV, Parquet, COMTRADE. A point-on-wave record is exported as phasors. What comes
    out replays with the same values at the same times.
    """
    from gridtop.recordings.exporting import Selection, export, files_of, format_of

    chosen_form = format_of(output, form)
    if encoding is not None and chosen_form != "comtrade":
        raise click.UsageError("--encoding goes with COMTRADE only")
    if not output.parent.is_dir():
        raise GridtopError(f"there is no folder {output.parent}")
    opened, nominal = _opened(recording, config)
    selection = Selection(chosen_stretch(opened, begin, end, rows), channels)
    spare(force, *files_of(output, chosen_form), recording=recording)
    try:
        with progress_bar("exporting", selection.stretch.frames(opened)) as progress:
            exported = export(
                opened,
                output,
                chosen_form,
                selection,
                encoding=(encoding or "FLOAT32").upper(),  # type: ignore[arg-type]  # click has checked it
                nominal=nominal,
                progress=progress,
            )
    except OSError as error:
        raise GridtopError(f"cannot write {output}: {error.strerror or error}") from None
    size = sum(path.stat().st_size for path in exported.files) / 1e6
    what = f"{exported.frames} frame{'s' * (exported.frames != 1)} of {exported.channels} channels"
    click.echo(f"{output}: {what}, {size:.2f} MB", err=True)
    for note in exported.notes:
        click.echo(f"note: {note}", err=True)
    if exported.problem is not None:
        click.echo(f"gridtop: {exported.problem}\nOnly what comes before is in {output}.", err=True)
        return Exit.SOURCE
    return Exit.OK


def _opened(recording: Path, config: Path | None) -> tuple[Recording, float | None]:
    """The recording, read as the configuration says, and the nominal frequency if there is one."""
    from gridtop.naming import ChannelMap
    from gridtop.recordings import open_recording

    if config is None:
        return open_recording(recording, ChannelMap()), None
    from gridtop.config import load

    configuration = load(config, recording=recording, environment=os.environ)
    return open_configured(recording, configuration), configuration.site.frequency
