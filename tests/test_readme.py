"""What the README shows works as it is printed there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_custom_detector_raises_its_alarm(tmp_path: Path) -> None:
    (code,) = blocks("python")
    limits, detectors = blocks("yaml")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "jump.py").write_text(code)
    frequency = [60.0] * 40 + [59.5] * 40
    (tmp_path / "f.csv").write_text("R1:F,R1-PM1:V\n" + "".join(f"{f},132000\n" for f in frequency))
    (tmp_path / "config.yaml").write_text(
        "source: {type: replay, path: f.csv}\nsite: {nominal: {voltage_ll: 230 kV}}\n" + limits + detectors
    )
    done = subprocess.run(
        [sys.executable, "-m", "gridtop", "run", "--until-end", "--speed", "max", "--fail-on", "warning"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["rule"], events[0]["channel"], events[0]["row"]) == ("jumps", "R1:F", 40)


def test_the_yaml_is_a_map_of_known_sections() -> None:
    for text in blocks("yaml"):
        assert set(yaml.safe_load(text)) <= {"limits", "plugins", "detectors"}


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)$", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
