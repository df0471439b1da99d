"""`gridtop simulate` writes recordings, always the same ones, and explains what it cannot do."""

from __future__ import annotations

import csv
import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridtop.commands.simulate import command
from gridtop.errors import Exit, GridtopError
from gridtop.simulation import COLUMNS, Simulation, tour


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def table(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


def test_recording_has_the_columns_of_the_public_data_behind_a_time(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    result = run("-o", file, "--duration", "2s")
    assert result.exit_code == 0
    assert "60 frames, 2 s" in result.output
    header, *rows = table(file.read_text())
    assert header == ["time", *COLUMNS]
    assert len(rows) == 60
    assert [row[0] for row in rows[:3]] == [
        "2026-01-01T00:00:00.000000Z",
        "2026-01-01T00:00:00.033333Z",
        "2026-01-01T00:00:00.066667Z",
    ]
    assert {row[-1] for row in rows} == {"NoEvents"}


def test_file_holds_exactly_what_the_simulation_reads(tmp_path: Path) -> None:
    file = tmp_path / "new.csv"
    run("-o", file, "--duration", "27s", "--seed", 7)
    written = np.array([[float(cell) for cell in row[1:-1]] for row in table(file.read_text())[1:]])
    expected = Simulation(events=tour(), seed=7).read(27 * 30)
    np.testing.assert_array_equal(written, expected.values)
    assert np.isinf(written).any()
    assert [row[-1] for row in table(file.read_text())[1:]] == expected.labels.tolist()


def test_quiet_grid_has_no_events(tmp_path: Path) -> None:
    file = tmp_path / "quiet.csv"
    run("-o", file, "--duration", "30s", "--no-events", "--rate", 10)
    rows = table(file.read_text())[1:]
    assert len(rows) == 300
    assert {row[-1] for row in rows} == {"NoEvents"}
    assert not any("inf" in row for row in rows)


def test_missing_frequency_is_an_empty_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridtop import simulation

    dark = simulation.TripCommand(1, ("R2", "R3"), duration=2)
    monkeypatch.setattr(simulation, "tour", lambda: [dark])
    file = tmp_path / "dark.csv"
    run("-o", file, "--duration", "3s")
    last = dict(zip(("time", *COLUMNS), table(file.read_text())[-1], strict=True))
    assert last["R2:F"] == "" == last["R3:DF"]
    assert float(last["R1:F"]) == pytest.approx(60, abs=1)


def test_compressed_recording_is_the_same_bytes_again(tmp_path: Path) -> None:
    one, two, plain = tmp_path / "one.csv.gz", tmp_path / "two.csv.gz", tmp_path / "plain.csv"
    for file in (one, two, plain):
        assert run("-o", file, "--duration", "3s").exit_code == 0
    assert one.read_bytes() == two.read_bytes()
    assert gzip.decompress(one.read_bytes()) == plain.read_bytes()


def test_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("precious")
    result = run("-o", file, "--duration", "1s")
    assert isinstance(result.exception, GridtopError)
    assert "--force" in str(result.exception)
    assert file.read_text() == "precious"
    assert run("-o", file, "--duration", "1s", "--force").exit_code == 0
    assert len(table(file.read_text())) == 31


@pytest.mark.parametrize(
    ("name", "message"),
    [("new.txt", "must end in .csv, .csv.gz or .parquet"), ("no/folder/new.csv", "No such file")],
)
def test_impossible_file_is_one_clear_line(tmp_path: Path, name: str, message: str) -> None:
    result = run("-o", tmp_path / name)
    assert isinstance(result.exception, GridtopError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.exception.code == Exit.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("--duration", "10"),
        ("--duration", "0"),
        ("--duration", "long"),
        ("--duration", "1e300d"),
        ("--rate", "5"),
        ("--rate", "1000"),
        ("--seed", "-1"),
    ],
)
def test_impossible_numbers_are_usage_errors(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = run("-o", tmp_path / "new.csv", *arguments)
    assert result.exit_code == Exit.USAGE
    assert f"Invalid value for '{arguments[0]}'" in result.output
    assert list(tmp_path.iterdir()) == []


def test_interrupted_recording_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Simulation, count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Simulation, "read", interrupt)
    (tmp_path / "old.csv").write_text("precious")
    assert run("-o", tmp_path / "old.csv", "--force").exit_code != 0
    assert run("-o", tmp_path / "new.csv").exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "precious"


def test_bundled_recording_is_made_by_the_documented_command(tmp_path: Path) -> None:
    folder = files("gridtop.data")
    documented = "gridtop simulate -o data/two-line.csv.gz --force"
    assert documented in (folder / "README.md").read_text()
    bundled = table(gzip.decompress((folder / "two-line.csv.gz").read_bytes()).decode("ascii"))
    file = tmp_path / "two-line.csv"
    assert run("-o", file).exit_code == 0
    made = table(file.read_text())
    assert [(row[0], row[-1]) for row in made] == [(row[0], row[-1]) for row in bundled]
    # The text is the same wherever numpy does the same arithmetic. Another linear algebra library may
    # differ in the last bit of a double, which can tip the rounding of one cell in a billion.
    assert np.count_nonzero(np.array(made) != np.array(bundled)) <= 10
    assert (tmp_path / "two-line.events.json").read_text() == (folder / "two-line.events.json").read_text()


def test_bundled_recording_is_small() -> None:
    assert len((files("gridtop.data") / "two-line.csv.gz").read_bytes()) < 4_000_000
