"""`gridtop inspect`: what a recording is, a configuration that fits it, and its commissioning baseline."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

import click

from gridtop.commands.options import ALL_ROWS, Rows, chosen_stretch, open_configured, stretch_options
from gridtop.commands.outputs import spare
from gridtop.errors import GridtopError
from gridtop.text import clean


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yaml", "only_yaml", is_flag=True, help="Print the configuration without the report.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the configuration here, with paths relative to its folder; or the baseline [baseline.json].",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.option("--learn-baseline", "learn", is_flag=True, help="Learn the commissioning baseline instead.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="For the baseline: channels: and site: of this configuration [what is guessed].",
)
@stretch_options
def command(
    file: Path,
    only_yaml: bool,
    as_json: bool,
    output: Path | None,
    force: bool,
    learn: bool,
    config: Path | None,
    begin: str | None,
    end: str | None,
    rows: Rows,
) -> None:
    """Say what a recording is, and print the configuration that fits it.

    It reads FILE once. What is printed is a complete configuration with the report as its comments:
    gridtop inspect FILE > site.yaml, then gridtop run -c site.yaml. See docs/inspect.md.
    --learn-baseline takes the whole recording, or what --from, --to and --rows choose.
    """
    if sum((only_yaml, as_json, learn)) > 1:
        raise click.UsageError("--yaml, --json and --learn-baseline exclude each other")
    if not learn and (config or begin or end or rows != ALL_ROWS):
        raise click.UsageError("-c, --from, --to and --rows are for --learn-baseline")
    if learn and output is None:
        output = Path("baseline.json")
    if output is not None:
        spare(force, output, recording=file)
    if output is not None and learn:
        _learn(file, config, begin, end, rows, output)
    else:
        _inspect(file, only_yaml, as_json, output)


def _inspect(file: Path, only_yaml: bool, as_json: bool, output: Path | None) -> None:
    from gridtop.inspection import inspect_recording
    from gridtop.inspection.document import as_dict
    from gridtop.inspection.report import report
    from gridtop.inspection.yaml_text import commented, configuration_text

    findings = inspect_recording(file)
    text = configuration_text(findings, output.parent if output is not None else None)
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise GridtopError(f"{output}: {(error.strerror or str(error)).lower()}") from None
    if as_json:
        click.echo(json.dumps(as_dict(findings), indent=2, ensure_ascii=False, allow_nan=False))
    elif output is None:
        click.echo(text if only_yaml else f"{commented(report(findings))}\n\n{text}", nl=False)
    elif not only_yaml:
        click.echo("\n".join((*report(findings), "", f"written to {output}; gridtop run -c {output}")))


def _learn(
    file: Path,
    config: Path | None,
    begin: str | None,
    end: str | None,
    rows: Rows,
    output: Path,
) -> None:
    from gridtop.config import load
    from gridtop.inspection.learning import (
        charging_currents,
        guessed_configuration,
        learn_baseline,
        what_was_learned,
    )

    configuration = (
        load(config, recording=file, environment=os.environ) if config else guessed_configuration(file)
    )
    recording = open_configured(file, configuration)
    stretch = chosen_stretch(recording, begin, end, rows)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    baseline = learn_baseline(recording, file, stretch, configuration.site, today)
    try:
        baseline.write(output)
    except OSError as error:
        raise GridtopError(f"{output}: {(error.strerror or str(error)).lower()}") from None
    click.echo(f"learned from {baseline.frames:,} frames, {baseline.first} to {baseline.last}")
    if config is None:
        click.echo("the site is a guess of gridtop inspect; -c CONFIG takes a described one")
    for line, current in charging_currents(configuration.site).items():
        click.echo(f"{clean(line)}: charging current {current:.3g} A, by b1")
    for found in what_was_learned(recording, stretch, configuration.site, baseline):
        before, after = f"{found.without:.3g}", f"{found.with_baseline:.3g}"
        click.echo(f"{clean(found.channel)}: median {before} {found.unit}, with the baseline {after}")
    shown = json.dumps(str(output), ensure_ascii=False)
    click.echo(f"written to {output}; put into the configuration: site: {{baselines: {{from: {shown}}}}}")
