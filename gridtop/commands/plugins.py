"""`gridtop plugins`: what is installed, where it comes from, and what went wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import click

from gridtop.errors import PluginError
from gridtop.problems import did_you_mean
from gridtop.registry import KINDS, NO_PLUGINS, Kind, Offer, Registry, discover
from gridtop.text import clean

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at the installed plugins and at what is wrong with them."""


def _which_plugins(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where plugins are looked for."""
    configuration = click.option(
        "-c",
        "--config",
        "configuration",
        type=click.Path(path_type=Path),
        help="The configuration whose plugins: section counts; without it ./config.yaml, if there is one.",
    )
    files = click.option(
        "-p",
        "--plugin",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Load a plugin from this file; may be repeated.",
    )
    no_plugins = click.option("--no-plugins", is_flag=True, help="Built-in plugins only.")
    return configuration(files(no_plugins(function)))


@command.command("list")
@_which_plugins
@click.option("--kind", type=click.Choice(KINDS), help="Only plugins of this kind.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_plugins(
    configuration: Path | None, files: Sequence[Path], no_plugins: bool, kind: Kind | None, as_json: bool
) -> None:
    """What there is, and a line that starts with ! for whatever is wrong. Imports no packaged plugin."""
    registry = _discovered(configuration, files, no_plugins)
    offers = registry.offers(kind)
    if as_json:
        problems = [{"plugin": it.plugin, "origin": it.origin, "text": it.text} for it in registry.problems]
        plugins = [_summary(offer) for offer in offers]
        click.echo(json.dumps({"plugins": plugins, "problems": problems}, indent=2))
        return
    click.echo(_table(("KIND", "NAME", "FROM", "WHAT"), [_row(offer) for offer in offers]))
    incomplete = [f"{offer.kind} {offer.spec.name} {offer.lack}" for offer in offers if offer.missing]
    for line in (*incomplete, *(problem.text for problem in registry.problems)):
        click.echo(f"! {line}")


@command.command()
@_which_plugins
@click.argument("name")
def info(configuration: Path | None, files: Sequence[Path], no_plugins: bool, name: str) -> None:
    """All about the plugins called NAME, with their settings. Imports them."""
    registry = _discovered(configuration, files, no_plugins)
    offers = [offer for offer in registry.offers() if offer.spec.name == name]
    if not offers:
        known = [offer.spec.name for offer in registry.offers()]
        raise PluginError(
            f"no plugin is called {name!r}{did_you_mean(name, known)}; see gridtop plugins list"
        )
    click.echo("\n\n".join(_description(registry, offer) for offer in offers))


def _discovered(configuration: Path | None, files: Sequence[Path], no_plugins: bool) -> Registry:
    if no_plugins:
        return discover(environment={NO_PLUGINS: "1"})
    if configuration is None and Path("config.yaml").is_file():
        configuration = Path("config.yaml")
    if configuration is None:
        return discover(files=files)
    from gridtop.config import plugin_settings

    dirs, disable = plugin_settings(configuration)
    return discover(dirs, files, disable)


def _row(offer: Offer) -> tuple[str, ...]:
    return offer.kind, offer.spec.name, offer.origin, offer.spec.summary


def _summary(offer: Offer) -> dict[str, Any]:
    spec = offer.spec
    return {
        "kind": offer.kind,
        "name": spec.name,
        "summary": spec.summary,
        "plugin": offer.plugin,
        "origin": offer.origin,
        "target": _target(offer),
        "api": spec.api,
        "needs": list(spec.needs),
        "missing": list(offer.missing),
    }


def _target(offer: Offer) -> str:
    target = offer.spec.target
    return target if isinstance(target, str) else clean(getattr(target, "__qualname__", repr(target)))


def _description(registry: Registry, offer: Offer) -> str:
    spec = offer.spec
    facts = [
        ("from", offer.origin),
        ("target", _target(offer)),
        ("needs", ", ".join(spec.needs) or "nothing more"),
    ]
    lines = [f"{offer.kind} {spec.name}: {spec.summary}", *(f"  {name:<8}{fact}" for name, fact in facts)]
    try:
        if offer.kind == "command":
            registry.load_command(spec.name)
            return "\n".join([*lines, f"  see     gridtop {spec.name} --help"])
        config: type[BaseModel] = registry.load(offer.kind, spec.name).Config  # type: ignore[attr-defined]
    except PluginError as error:
        return "\n".join([*lines, f"! {error}"])
    rows = [_setting(name, field) for name, field in config.model_fields.items()]
    if not rows:
        return "\n".join([*lines, "  it has no settings"])
    table = _table(("SETTING", "TYPE", "DEFAULT", "WHAT"), rows)
    return "\n".join([*lines, *(f"  {line}" for line in table.splitlines())])


def _setting(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Name, type, default and description of one setting, as a person would write them."""
    default = "required" if field.is_required() else _written(field.get_default(call_default_factory=True))
    return name, _kind_of_value(field.annotation), default, clean(field.description or "")


def _kind_of_value(annotation: Any) -> str:
    if annotation is timedelta:
        return "duration"
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_kind_of_value, get_args(annotation)))
    if annotation is NoneType:
        return "none"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__.lower()
    return str(annotation).replace("typing.", "")


def _written(value: Any) -> str:
    from gridtop.units import format_duration

    return clean(format_duration(value) if isinstance(value, timedelta) else str(value))


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    return "\n".join(lines)
