"""What all sinks have in common: their page's examples work, and no secret is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridtop.config import load
from gridtop.registry import discover
from gridtop.resolved import as_yaml
from tests.sinks_at_hand import CANARY

pytest.importorskip("aiomqtt", reason="comes with the extra mqtt")
pytest.importorskip("apprise", reason="comes with the extra chat")

PAGE = (Path(__file__).parent.parent / "docs" / "sinks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
VARIABLES = dict.fromkeys(re.findall(r"\$\{(\w+)\}", PAGE), CANARY)
SINKS = discover(environment={}).names("sink")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_page_is_a_configuration_and_shows_no_secret(
    example: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("source: {type: simulate}\n" + example)
    configuration = load(file, environment=VARIABLES)
    assert len(configuration.sinks) == 1
    assert CANARY not in as_yaml(configuration)
    assert CANARY not in repr(configuration.sinks)


def test_the_page_has_an_example_of_every_sink_that_ships() -> None:
    assert {match for example in EXAMPLES for match in re.findall(r"type: (\w+)", example)} == set(SINKS)


@pytest.mark.parametrize("name", SINKS)
def test_every_setting_is_described_and_every_sink_says_how_it_delivers(name: str) -> None:
    target: Any = discover(environment={}).load("sink", name)
    settings = target.Config.model_json_schema(by_alias=True)["properties"]
    assert all(setting.get("description") for setting in settings.values())
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    common = {"ca_file", "certificate", "verify", "timeout"}
    assert {setting for setting in settings.keys() - common if f"`{setting}" not in section + "`"} <= {
        setting for setting in settings if re.search(rf"^ +{setting}: ", section, re.MULTILINE)
    }
    assert isinstance(getattr(target, "durable", True), bool)
    assert 1 <= getattr(target, "batch", 64) <= 64


def test_checking_a_configuration_imports_no_library_of_a_sink(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    merged = "".join(example.partition("sinks:\n")[2] for example in EXAMPLES)
    file.write_text("source: {type: simulate}\nsinks:\n" + merged)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom gridtop.config import load\n"
        f"assert len(load(Path({str(file)!r}), environment={VARIABLES!r}).sinks) == {len(EXAMPLES)}\n"
        "print(*sorted({'aiohttp', 'aiomqtt', 'apprise', 'paho', 'yarl'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("\n", "")
