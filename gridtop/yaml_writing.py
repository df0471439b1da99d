"""Plain values as YAML that reads back as the same, by the rules of `documents`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from gridtop.documents import CORE_SCALARS


@dataclass(frozen=True, slots=True)
class OnOneLine:
    """A map or a list to be written as `{...}` or `[...]`."""

    value: Any


class CoreDumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 would read as something else than text, and nothing more; knows `OnOneLine`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, PyYAML fills in a copy

    def ignore_aliases(self, data: Any) -> bool:
        """Whether a value that comes again is written again: always."""
        return True


def _represent_on_one_line(dumper: CoreDumper, line: OnOneLine) -> yaml.Node:
    if isinstance(line.value, dict):
        return dumper.represent_mapping("tag:yaml.org,2002:map", line.value, flow_style=True)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", line.value, flow_style=True)


CoreDumper.add_representer(OnOneLine, _represent_on_one_line)
for _name, _pattern in CORE_SCALARS.items():
    if _name != "str":
        CoreDumper.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern.pattern})\Z"), None
        )


def yaml_of(settings: dict[str, Any], *, flow: bool | None = None, width: int = 110) -> str:
    """YAML with the innermost maps and lists on one line, unless `flow` says otherwise."""
    written: str = yaml.dump(
        settings, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow
    )
    return written


def without_variables(value: Any) -> Any:
    """`value` with every text written so that reading it puts no environment variable in."""
    if isinstance(value, dict):
        return {key: without_variables(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_variables(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) and ("${" in value or "$$" in value) else value
