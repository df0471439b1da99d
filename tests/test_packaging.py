"""The wheel: one import name, everything in it that running needs, nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel would put into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def gridtop(*arguments: str, installed: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_the_wheel_installs_one_package(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"gridtop"}
    inside = {path.name for path in (installed / "gridtop").iterdir()}
    assert {"tui", "plugins", "models", "data", "config.yaml", "py.typed", "api.py"} <= inside


def test_an_installed_gridtop_runs_its_own_configuration_from_anywhere(
    installed: Path, tmp_path: Path
) -> None:
    assert gridtop("--version", installed=installed, cwd=tmp_path).stdout.startswith("gridtop ")
    where = subprocess.run(
        [sys.executable, "-c", "import gridtop; print(gridtop.__file__, list(gridtop.__path__))"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(installed) in where.stdout
    assert str(ROOT / "gridtop") not in where.stdout
    done = gridtop(installed=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 20
    assert "zscore" in gridtop("plugins", "list", installed=installed, cwd=tmp_path).stdout


def test_everything_the_screen_reads_is_in_the_wheel(installed: Path) -> None:
    shipped = {
        path.relative_to(ROOT) for path in (ROOT / "tui").rglob("*") if path.suffix in (".py", ".tcss")
    }
    assert all((installed / "gridtop" / path).is_file() for path in shipped)


def test_an_installed_gridtop_has_its_limit_profiles(installed: Path, tmp_path: Path) -> None:
    shipped = {path.name for path in (ROOT / "data" / "limits").glob("*.yaml")}
    assert {path.name for path in (installed / "gridtop" / "data" / "limits").iterdir()} == shipped
    (tmp_path / "grid.yaml").write_text("source: {type: simulate}\nlimits: {profile: tx60}\n")
    shown = gridtop("config", "show", "-c", "grid.yaml", installed=installed, cwd=tmp_path)
    assert "# profile tx60" in shown.stdout, shown.stderr


def test_nothing_committed_names_a_host_of_a_registry() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert "@" not in text
