"""`gridtop inspect` says what a recording is, and what it prints is a configuration that replays it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridtop.baseline import Baseline
from gridtop.blocks import Block
from gridtop.channels import Channel
from gridtop.commands.inspect import command
from gridtop.commands.options import open_configured
from gridtop.config import Configuration, load
from gridtop.errors import Exit, GridtopError, SourceError
from gridtop.inspection import Findings, inspect_recording
from gridtop.inspection.names import read_name
from gridtop.inspection.nominal import match_voltage
from gridtop.inspection.statistics import Gathering
from gridtop.inspection.status_words import meaning_of
from gridtop.inspection.yaml_text import configuration_text
from gridtop.recordings import open_recording
from gridtop.simulation import COLUMNS, NUMERIC_COLUMNS, Fault, LoadStep, ShortCircuit, Simulation
from gridtop.simulation.testbed import Frames

Table = dict[str, Sequence[object]]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def write(path: Path, table: Table) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def configured(text: str, folder: Path) -> tuple[Configuration, list[Block]]:
    """The configuration that a printed text is, and all that it replays."""
    path = folder / "printed.yaml"
    path.write_text(text)
    configuration = load(path, environment={})
    source = configuration.source.config
    recording = open_configured(folder / source.path, configuration)  # type: ignore[attr-defined]
    return configuration, list(recording.blocks())


def ran(folder: Path) -> str:
    """What `gridtop run` says about site.yaml in a folder, at the end of its recording."""
    arguments = ("run", "-c", "site.yaml", "--until-end", "--speed", "max", "--no-serve")
    done = subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.OK, done.stderr
    return done.stderr


def channels(blocks: Sequence[Block]) -> dict[str, Channel]:
    return {channel.name: channel for channel in blocks[0].channels}


def grid_table(frames: Frames, **changed: npt.NDArray[np.float64]) -> Table:
    """A simulated run as columns, some of them replaced; `_` in a keyword stands for what Python forbids."""
    table: Table = {name: frames.values[:, i] for i, name in enumerate(NUMERIC_COLUMNS)}
    table |= {"marker": frames.labels}
    assert list(table) == list(COLUMNS)
    return table | changed


@pytest.fixture(scope="module")
def eventful() -> Frames:
    """Forty seconds with load steps and a fault on L1."""
    events = [
        LoadStep(5.0, 1.3),
        LoadStep(12.0, 0.7),
        ShortCircuit(20.0, Fault("L1", "AG", distance=0.4, resistance=20)),
        LoadStep(30.0, 1.1),
    ]
    return Simulation(events=events, seed=3).read(1200)


@pytest.fixture(scope="module")
def quiet() -> Frames:
    return Simulation(seed=3).read(300)


def flipped(frames: Frames, terminal: str) -> Table:
    """The run as a terminal with its CT turned round would see it."""
    angles = {
        f"{terminal}-PA{number}:IH": (
            frames.values[:, NUMERIC_COLUMNS.index(f"{terminal}-PA{number}:IH")] + 360
        )
        % 360
        - 180
        for number in (4, 5, 6, 10, 11, 12)
    }
    return grid_table(frames, **angles)


class TestGrid:
    def test_lines_and_buses_are_found_with_their_impedance_and_charging(
        self, eventful: Frames, tmp_path: Path
    ) -> None:
        file = write(tmp_path / "grid.csv", grid_table(eventful))
        result = run(file)
        assert result.exit_code == 0
        configuration, blocks = configured(result.stdout, tmp_path)
        site = configuration.site
        assert site.nominal.voltage_ll == 230e3
        assert site.frequency == 60
        assert [set(bus.terminals) for bus in site.buses.values()] == [{"R2", "R3"}]
        assert [line.ends for line in site.lines.values()] == [("R1", "R2"), ("R3", "R4")]
        for line in site.lines.values():
            assert line.z1 is not None
            assert abs(line.z1 - (3.7 + 37j)) < 0.3
            assert line.b1 == pytest.approx(330e-6, rel=0.02)
        assert all(wired.ct_direction == "into_line" for wired in site.terminals.values())
        assert len(blocks[0].channels) == 128
        assert set(blocks[0].labels) == {"marker"}

    def test_report_is_only_comments_above_the_configuration(self, quiet: Frames, tmp_path: Path) -> None:
        file = write(tmp_path / "grid.csv", grid_table(quiet))
        report, _, configuration = run(file).stdout.partition("\n\nsource:")
        assert all(line.startswith("#") for line in report.splitlines())
        assert "voltage (48) at R1, R2, R3, R4" in report
        assert f"source:{configuration}" == run(file, "--yaml").stdout

    def test_equal_voltages_are_no_proof_of_a_bus_while_nothing_happens(
        self, quiet: Frames, tmp_path: Path
    ) -> None:
        findings = inspect_recording(write(tmp_path / "grid.csv", grid_table(quiet)))
        assert findings.site.buses
        assert not any(bus.sure for bus in findings.site.buses)
        configuration, _ = configured(configuration_text(findings), tmp_path)
        assert not configuration.site.buses

    def test_impedance_is_not_fitted_without_variation_of_the_load(
        self, quiet: Frames, tmp_path: Path
    ) -> None:
        steady = {
            name: np.full(300, quiet.values[0, i]) * (1 + 1e-4 * np.sin(np.arange(300) * (i + 1.0)))
            for i, name in enumerate(NUMERIC_COLUMNS)
        }
        findings = inspect_recording(write(tmp_path / "grid.csv", steady))
        for line in findings.site.lines:
            assert line.z1 is None
            assert line.z1_ratio is not None
            assert abs(line.z1_ratio.imag - 37) < 2

    @pytest.mark.parametrize("terminal", ["R1", "R2", "R4"])
    def test_turned_current_transformer_is_named(
        self, eventful: Frames, tmp_path: Path, terminal: str
    ) -> None:
        file = write(tmp_path / "grid.csv", flipped(eventful, terminal))
        configuration, _ = configured(run(file).stdout, tmp_path)
        directions = {name: wired.ct_direction for name, wired in configuration.site.terminals.items()}
        assert directions == {terminal: "out_of_line"}
        assert [line.ends for line in configuration.site.lines.values()] == [("R1", "R2"), ("R3", "R4")]
        for line in configuration.site.lines.values():
            assert line.z1 is not None
            assert abs(line.z1 - (3.7 + 37j)) < 0.3

    def test_both_current_transformers_of_a_line_turned_are_named(
        self, eventful: Frames, tmp_path: Path
    ) -> None:
        table = flipped(eventful, "R1") | {
            name: values for name, values in flipped(eventful, "R2").items() if name.startswith("R2")
        }
        configuration, _ = configured(run(write(tmp_path / "grid.csv", table)).stdout, tmp_path)
        directions = {name: wired.ct_direction for name, wired in configuration.site.terminals.items()}
        assert directions == {"R1": "out_of_line", "R2": "out_of_line"}

    def test_swapped_phases_turn_the_rotation(self, eventful: Frames, tmp_path: Path) -> None:
        table = grid_table(eventful)
        swapped = dict(table)
        for kind, first, second in (("V", 2, 3), ("I", 5, 6)):
            for part, tail in (("PM", kind), ("PA", f"{kind}H")):
                for terminal in ("R1", "R2", "R3", "R4"):
                    one, other = f"{terminal}-{part}{first}:{tail}", f"{terminal}-{part}{second}:{tail}"
                    swapped[one], swapped[other] = table[other], table[one]
        configuration, _ = configured(run(write(tmp_path / "grid.csv", swapped)).stdout, tmp_path)
        assert {wired.rotation for wired in configuration.site.terminals.values()} == {"ACB"}
        assert len(configuration.site.terminals) == 4
        assert len(configuration.site.lines) == 2

    def test_impedance_in_a_unit_of_its_own_becomes_primary_ohms(
        self, eventful: Frames, tmp_path: Path
    ) -> None:
        table = grid_table(eventful)
        scaled = {name: 0.0287 * np.asarray(v) for name, v in table.items() if name.endswith("PA:Z")}
        _, blocks = configured(run(write(tmp_path / "grid.csv", table | scaled)).stdout, tmp_path)
        position = [channel.name for channel in blocks[0].channels].index("R1-PA:Z")
        true = eventful.values[:100, NUMERIC_COLUMNS.index("R1-PA:Z")]
        np.testing.assert_allclose(blocks[0].values[:100, position], true, rtol=0.01)

    def test_constant_and_duplicated_columns_and_status_words_are_told(
        self, quiet: Frames, tmp_path: Path
    ) -> None:
        copy = quiet.values[:, NUMERIC_COLUMNS.index("R1:F")]
        words = np.where(np.arange(300) < 40, 0x2801, 0)
        table = grid_table(quiet, **{"R2:F": copy, "R1:S": words})
        report = run(write(tmp_path / "grid.csv", table)).stdout
        assert "'R1:F' = 'R2:F'" in report
        assert "10241: 40 times, not synchronised, trigger detected, trigger reason: magnitude low" in report
        assert "control_panel_log1" in report.partition("constant (")[2].partition("\n")[0]


MICROGRID_ROWS = 200


def microgrid() -> Table:
    generator = np.random.default_rng(5)
    n = MICROGRID_ROWS

    def around(middle: float, deviation: float) -> list[float]:
        return [round(value, 3) for value in generator.normal(middle, deviation, n).tolist()]

    temperature = around(24, 1)
    for row in (20, 90, 150):
        temperature[row] = -327.68
    table: Table = {
        "Timestamp": [f"2024-05-01 00:{m:02d}:{s:02d}" for m in range(34) for s in range(0, 60, 10)][:n],
        "Battery_Active_Power": around(20, 4),
        "GE_Active_Power": around(55, 4),
        "Island_mode_MCCB_Voltage": around(481, 1),
        "Island_mode_MCCB_Frequency": around(60, 0.02),
        "Outlet_Temperature": temperature,
        "Feeder kV": around(12.5, 0.02),
        "Load (MW)": around(3.2, 0.1),
        "Unrelated": around(7, 1),
    }
    return table


class TestPlainTables:
    def test_names_and_values_of_a_microgrid_give_quantities_and_units(self, tmp_path: Path) -> None:
        result = run(write(tmp_path / "micro.csv", microgrid()))
        configuration, blocks = configured(result.stdout, tmp_path)
        found = channels(blocks)
        assert blocks[0].channels.clock == "utc"
        assert blocks[0].channels.rate == pytest.approx(0.1)
        battery = found["Battery_Active_Power"]
        assert (battery.quantity, battery.unit, battery.terminal) == ("power", "W", "Battery")
        voltage = found["Island_mode_MCCB_Voltage"]
        assert (voltage.quantity, voltage.unit, voltage.reference) == ("voltage", "V", "line_to_line")
        assert found["Island_mode_MCCB_Frequency"].quantity == "frequency"
        assert found["Unrelated"].quantity == "other"
        assert found["Feeder kV"].terminal == "Feeder"
        position = list(found).index("Feeder kV")
        assert blocks[0].values[:, position].mean() == pytest.approx(12_500, rel=0.01)
        position = list(found).index("Load (MW)")
        assert blocks[0].values[:, position].mean() == pytest.approx(3.2e6, rel=0.02)
        assert configuration.site.frequency == 60
        assert {configuration.site.line_to_line(t) for t in ("Island_mode_MCCB", "Feeder")} == {480, 12_470}

    def test_error_code_of_an_instrument_counts_as_no_value(self, tmp_path: Path) -> None:
        result = run(write(tmp_path / "micro.csv", microgrid()))
        assert "-327.68 is an error code" in result.stdout
        _, blocks = configured(result.stdout, tmp_path)
        values = blocks[0].values[:, list(channels(blocks)).index("Outlet_Temperature")]
        assert np.flatnonzero(np.isnan(values)).tolist() == [20, 90, 150]

    def test_current_of_an_open_line_is_no_error_code(self, tmp_path: Path) -> None:
        current = np.random.default_rng(4).normal(400, 2, 200).round(3)
        current[50:55] = 0
        current[120:124] = 1600
        result = run(write(tmp_path / "line.csv", {"I_L1": current}))
        _, blocks = configured(result.stdout, tmp_path)
        np.testing.assert_array_equal(blocks[0].values[:, 0], current)
        assert "'I_L1': 1600 may be an error code" in result.stdout

    def test_unit_not_stated_is_said_to_be_unsure(self, tmp_path: Path) -> None:
        text = run(write(tmp_path / "micro.csv", microgrid())).stdout
        line = next(line for line in text.splitlines() if line.startswith("  Battery_Active_Power:"))
        assert "unsure" in line
        assert "unit not stated" in line

    def test_three_phases_are_told_from_their_siblings(self, tmp_path: Path) -> None:
        angle = np.arange(100) * 0.3
        table: Table = {
            f"{symbol}{phase}_{part}": np.full(100, 230.9)
            if part == "mag"
            else (angle + 180 + shift) % 360 - 180
            for symbol in "UI"
            for phase, shift in (("a", 0), ("b", -120), ("c", 120))
            for part in ("mag", "ang")
        }
        _, blocks = configured(run(write(tmp_path / "phases.csv", table)).stdout, tmp_path)
        found = channels(blocks)
        assert [found[f"U{p}_mag"].phase for p in "abc"] == ["A", "B", "C"]
        assert found["Ub_ang"].part == "angle"
        assert found["Ub_ang"].unit == "deg"
        assert found["Ic_mag"].quantity == "current"

    def test_deviation_about_zero_called_frequency_is_in_millihertz(self, tmp_path: Path) -> None:
        deviation = np.random.default_rng(1).normal(0, 20, 100).round(1)
        text = run(write(tmp_path / "f.csv", {"frequency": deviation})).stdout
        _, blocks = configured(text, tmp_path)
        assert blocks[0].values.mean() == pytest.approx(50, abs=0.05)

    def test_columns_of_one_name_blank_headers_and_row_numbers_do_not_stop_it(self, tmp_path: Path) -> None:
        rows = [",f,f,mains"] + [f"{i},{i}.5,{i}.25,{59.99 + i % 7 / 300:.4f}" for i in range(50)]
        (tmp_path / "odd.csv").write_text("\n".join(rows))
        result = run(tmp_path / "odd.csv")
        _, blocks = configured(result.stdout, tmp_path)
        assert list(channels(blocks)) == ["mains"]
        assert "2 columns have this name" in result.stdout
        assert "counts the rows" in result.stdout


def messages(times: Sequence[float], label: str = "Lable") -> Table:
    n = len(times)
    return {
        "pkt arrive time in UTC": [f"{time:.5f}" for time in times],
        label: [0] * (n - 10) + [901] * 10,
        "datset": ["PIOC" if i % 4 else "BFP" for i in range(n)],
        "t": [int(time) for time in times],
        "I_CB1-66KV": [17 + i % 3 for i in range(n)],
        "Status_CB1-66KV": [1] * n,
        "clock": ["11:00:00"] * n,
        "note": [f"free text {i}" for i in range(n)],
    }


class TestMessages:
    def test_text_columns_and_a_misspelt_label_are_mapped_so_that_it_opens(self, tmp_path: Path) -> None:
        times = [1604899122.3 + 0.25 * i for i in range(120)]
        file = write(tmp_path / "messages.csv", messages(times))
        with pytest.raises(SourceError, match="map each under channels"):
            open_recording(file, load(None, environment={}).channels)
        result = run(file)
        _, blocks = configured(result.stdout, tmp_path)
        assert set(blocks[0].labels) == {"Lable", "datset"}
        assert blocks[0].channels.clock == "utc"
        assert blocks[0].time[0] == np.datetime64("2020-11-09T05:18:42.3")
        found = channels(blocks)
        assert list(found) == ["I_CB1-66KV", "Status_CB1-66KV"]
        assert found["I_CB1-66KV"].terminal == found["Status_CB1-66KV"].terminal == "CB1-66KV"
        assert "reads like 'label'" in result.stdout
        assert "times of day without a date" in result.stdout

    @pytest.mark.parametrize(("offset", "told"), [(0.0, "repeats"), (-3.0, "runs backwards")])
    def test_time_that_does_not_run_forward_is_left_out_and_the_rate_given(
        self, tmp_path: Path, offset: float, told: str
    ) -> None:
        times = [1604899122.3 + 0.25 * i for i in range(120)]
        times[60] = times[59] + offset
        result = run(write(tmp_path / "messages.csv", messages(times)))
        configuration, blocks = configured(result.stdout, tmp_path)
        assert f"time {told} in 1 row" in result.stdout
        assert blocks[0].channels.clock == "row"
        assert configuration.source.config.rate == pytest.approx(4, rel=0.1)  # type: ignore[attr-defined]
        assert sum(len(block) for block in blocks) == 120

    def test_irregular_time_that_runs_forward_is_kept(self, tmp_path: Path) -> None:
        steps = np.random.default_rng(2).exponential(0.25, 120) + 0.001
        result = run(write(tmp_path / "messages.csv", messages((1604899122.3 + steps.cumsum()).tolist())))
        _, blocks = configured(result.stdout, tmp_path)
        assert "irregular" in result.stdout
        assert blocks[0].channels.clock == "utc"

    def test_printed_configuration_runs(self, tmp_path: Path) -> None:
        times = [1604899122.3 + 0.25 * i for i in range(120)]
        file = write(tmp_path / "messages.csv", messages(times))
        (tmp_path / "site.yaml").write_text(run(file).stdout)
        assert "120 frames" in ran(tmp_path)


class TestFiles:
    @pytest.mark.parametrize("delimiter", [",", ";"])
    def test_file_without_a_header_gets_names_in_the_configuration(
        self, tmp_path: Path, delimiter: str
    ) -> None:
        rows = [f"{(i * 7) % 43 - 20}.5,2014-01-10 00:{i // 6:02d}:{i % 6}0,0" for i in range(60)]
        text = "\n".join(rows).replace(",", delimiter) + "\n"
        for name, content in (("bare.csv", text.encode()), ("bare.csv.gz", gzip.compress(text.encode()))):
            (tmp_path / name).write_bytes(content)
            result = run(tmp_path / name)
            assert result.exit_code == 0
            assert "no line with names" in result.stdout
            configuration, blocks = configured(result.stdout, tmp_path)
            assert configuration.source.config.columns == ("column 1", "time", "column 3")  # type: ignore[attr-defined]
            assert sum(len(block) for block in blocks) == 60
            assert blocks[0].channels.clock == "utc"
            assert blocks[0].values[0, 0] == -20.5

    def test_configuration_of_a_file_without_a_header_runs_as_printed(self, tmp_path: Path) -> None:
        (tmp_path / "bare.csv").write_text("".join(f"{1_700_000_000 + k},{k % 7}.5\n" for k in range(40)))
        (tmp_path / "site.yaml").write_text(run(tmp_path / "bare.csv").stdout)
        assert "40 frames" in ran(tmp_path)

    def test_table_of_texts_and_times_alone_is_surveyed(self, tmp_path: Path) -> None:
        table: Table = {
            "when": [f"2026-01-01 00:00:{s:02d}" for s in range(40)],
            "state": ["open" if s % 5 else "closed" for s in range(40)],
        }
        findings = inspect_recording(write(tmp_path / "words.csv", table))
        assert findings.survey.rows == 40
        state = findings.survey.columns[1].texts
        assert state is not None
        assert state.counts == {"open": 32, "closed": 8}

    def test_nothing_is_overwritten_unasked(self, tmp_path: Path) -> None:
        file = write(tmp_path / "micro.csv", microgrid())
        before = file.read_bytes()
        target = tmp_path / "site.yaml"
        target.write_text("precious")
        for arguments in ((), ("--learn-baseline",)):
            refused = run(file, "-o", target, *arguments).exception
            assert isinstance(refused, GridtopError)
            assert "exists already; add --force" in str(refused)
            assert target.read_text() == "precious"
        assert run(file, "-o", target, "--force").exit_code == 0
        assert load(target, environment={}).channels.meaning("Timestamp") is not None
        assert "is the recording itself" in str(run(file, "-o", file, "--force").exception)
        assert file.read_bytes() == before

    def test_written_configuration_names_the_recording_relative_to_itself(self, tmp_path: Path) -> None:
        write(tmp_path / "micro.csv", microgrid())
        result = run(tmp_path / "micro.csv", "-o", tmp_path / "site.yaml")
        assert result.exit_code == 0
        assert "source:" not in result.stdout
        configuration = load(tmp_path / "site.yaml", environment={})
        assert configuration.source.config.path == "micro.csv"  # type: ignore[attr-defined]

    def test_parquet_with_real_timestamps_is_inspected_like_text(self, tmp_path: Path) -> None:
        pandas = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        table = microgrid()
        frame = pandas.DataFrame(table).assign(Timestamp=pandas.to_datetime(table["Timestamp"]))
        frame.to_parquet(tmp_path / "micro.parquet")
        _, blocks = configured(run(tmp_path / "micro.parquet").stdout, tmp_path)
        assert blocks[0].channels.clock == "utc"
        assert channels(blocks)["Island_mode_MCCB_Frequency"].quantity == "frequency"

    def test_findings_as_json_hold_no_number_that_json_lacks(self, eventful: Frames, tmp_path: Path) -> None:
        result = run(write(tmp_path / "grid.csv", grid_table(eventful)), "--json")

        def refuse(word: str) -> None:
            raise AssertionError(word)

        found = json.loads(result.stdout, parse_constant=refuse)
        assert found["rows"] == 1200
        assert [line["ends"] for line in found["lines"]] == [["R1", "R2"], ["R3", "R4"]]
        assert len(found["columns"]) == 129

    @pytest.mark.parametrize("name", ["no.csv", "."])
    def test_what_is_no_recording_is_said_in_one_message(self, tmp_path: Path, name: str) -> None:
        assert isinstance(run(tmp_path / name).exception, SourceError)

    def test_header_without_rows_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "empty.csv").write_text("a,b\n")
        assert "no row of values" in str(run(tmp_path / "empty.csv").exception)


class TestBaseline:
    def test_baseline_of_a_quiet_stretch_is_written_with_what_it_took_away(
        self, eventful: Frames, tmp_path: Path
    ) -> None:
        table = grid_table(eventful)
        for phase in (1, 2, 3):
            table[f"R3-PM{phase}:V"] = 1.004 * np.asarray(table[f"R3-PM{phase}:V"])
        file = write(tmp_path / "grid.csv", table)
        (tmp_path / "site.yaml").write_text(run(file, "--yaml").stdout)
        target = tmp_path / "baseline.json"
        result = run(file, "--learn-baseline", "-c", tmp_path / "site.yaml", "--rows", ":500", "-o", target)
        assert result.exit_code == 0, result.exception
        assert "learned from 500 frames, row 0 to row 499" in result.stdout
        assert "L1: charging current 43.8 A" in result.stdout
        told = next(line for line in result.stdout.splitlines() if line.startswith("R3:bus_mismatch"))
        before, after = (float(word) for word in (told.split()[2], told.split()[-1]))
        assert before == pytest.approx(0.004, rel=0.1)
        assert after < 0.001
        assert f"site: {{baselines: {{from: {json.dumps(str(target))}}}}}" in result.stdout
        baseline = Baseline.read(target)
        assert baseline.recording == "grid.csv"
        assert baseline.frames == 500

    def test_stretch_with_a_fault_is_refused_and_another_one_asked_for(
        self, eventful: Frames, tmp_path: Path
    ) -> None:
        file = write(tmp_path / "grid.csv", grid_table(eventful))
        refused = run(file, "--learn-baseline", "-o", tmp_path / "baseline.json").exception
        assert isinstance(refused, SourceError)
        assert "not quiet" in str(refused)
        assert "--rows" in str(refused)
        assert not (tmp_path / "baseline.json").exists()

    def test_times_choose_the_stretch(self, quiet: Frames, tmp_path: Path) -> None:
        stamps = np.datetime64("2026-01-01T00:00:00", "ms") + np.arange(300) * np.timedelta64(40, "ms")
        table = {"time": stamps.astype(str), **grid_table(quiet)}
        config = tmp_path / "site.yaml"
        config.write_text(
            "source: {type: replay, path: grid.csv}\nsite: {nominal: {voltage_ll: 230 kV, current: 400 A}, "
            "lines: {L1: {ends: [R1, R2], z1: 3.7+37j, b1: 330 uS}}}\n"
        )
        limits = ("--from", "2026-01-01T00:00:02", "--to", "2026-01-01T00:00:06")
        file = write(tmp_path / "grid.csv", table)
        result = run(file, "--learn-baseline", "-c", config, *limits, "-o", tmp_path / "b.json")
        assert (
            "learned from 100 frames, 2026-01-01T00:00:02.000Z to 2026-01-01T00:00:05.960Z" in result.stdout
        )

    def test_what_does_not_go_together_is_said(self, quiet: Frames, tmp_path: Path) -> None:
        file = write(tmp_path / "grid.csv", grid_table(quiet))
        for arguments, told in (
            (("--rows", "1:5"), "are for --learn-baseline"),
            (("--learn-baseline", "--json"), "exclude each other"),
            (("--learn-baseline", "--rows", "5:2"), "holds no row"),
            (("--learn-baseline", "--from", "2026-01-01"), "use --rows"),
            (("--learn-baseline", "--from", "noon"), "is no time"),
        ):
            result = run(file, *arguments)
            assert result.exit_code == Exit.USAGE
            assert told in result.output


NAMES = st.text(
    st.one_of(
        st.sampled_from(
            list("*?[]!#:{}&%@`'\"\\|>-, \t$~=0123456789abVIknoyes\u2028\u202e\x1b\x85\ufeffé\U0001f600")
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=12,
) | st.sampled_from(
    ["no", "null", "1e3", "~", "<<", "V*", "V[*]", "${HOME}", "a: b", "- x", "x" * 190, "*" * 190]
)


class TestUntrustedNames:
    @given(names=st.lists(NAMES, min_size=1, max_size=5), text=NAMES)
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_printed_configuration_loads_and_opens_whatever_the_columns_are_called(
        self, tmp_path: Path, names: list[str], text: str
    ) -> None:
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow([*names, "V_kV", "words"])
        for row in range(30):
            values = [f"{row % 3}.5" if i % 2 else f"w{row % 3}" for i in range(len(names))]
            writer.writerow([*values, f"{110 + row % 5}", text or "x"])
        file = tmp_path / "names.csv"
        file.write_text(table.getvalue().replace("\0", ""), encoding="utf-8", errors="replace")
        try:
            findings = inspect_recording(file)
        except SourceError:
            return  # a header that is no header, which the recording says, too
        printed = configuration_text(findings)
        configuration, blocks = configured(printed, tmp_path)
        assert sum(len(block) for block in blocks) == 30
        expected = {
            guess.column.name: guess.meaning for guess in findings.guesses if guess.channel is not None
        }
        assert {channel.name for channel in blocks[0].channels} == set(expected)
        assert configuration.site.frequency == 60

    def test_report_holds_no_control_character(self, tmp_path: Path) -> None:
        (tmp_path / "evil.csv").write_text("\x1b[31mV,a\u2028b,label\n" + "1,2,\x1b[2J\n3,5,ok\n" * 20)
        output = run(tmp_path / "evil.csv").stdout
        assert not [c for c in output if c != "\n" and not c.isprintable()]
        configured(output, tmp_path)


class TestPieces:
    @given(
        cuts=st.lists(st.integers(0, 300), max_size=6),
        values=st.lists(
            st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0])),
            min_size=300,
            max_size=300,
        ),
    )
    @settings(max_examples=40, deadline=None)
    def test_statistics_do_not_depend_on_how_the_rows_are_cut(
        self, cuts: list[int], values: list[float]
    ) -> None:
        table = np.column_stack([values, np.arange(300) % 5])
        whole, cut = Gathering(2), Gathering(2)
        whole.add(table, None)
        for part in np.split(table, sorted(cuts)):
            cut.add(part, None)
        for one, other in zip(whole.results(), cut.results(), strict=True):
            assert one.fingerprint == other.fingerprint
            assert (one.rows, one.missing, one.infinite) == (other.rows, other.missing, other.infinite)
            assert (one.rises, one.falls, one.counts) == (other.rises, other.falls, other.counts)
            np.testing.assert_equal(
                (one.least, one.median, one.most), (other.least, other.median, other.most)
            )

    def test_sample_of_a_long_recording_is_bounded_and_spread_over_all_of_it(self) -> None:
        gathering = Gathering(3)
        for start in range(0, 90_000, 7_000):
            rows = np.arange(start, min(start + 7_000, 90_000), dtype=np.float64)
            gathering.add(np.column_stack([rows, rows, rows]), None)
        rows = gathering.sample_rows
        assert 10_000 <= len(rows) <= 20_000
        assert set(np.diff(rows)) == {8}
        assert rows[-1] >= 89_990
        np.testing.assert_array_equal(gathering.sample[:, 0], rows)


@pytest.mark.parametrize(
    ("value", "frequency", "expected"),
    [
        (131_600.0, 60, (230e3, "line_to_neutral", "V")),
        (131_600.0, 50, (132e3, "line_to_line", "V")),
        (0.0, 60, None),
        (231.0, 50, (400.0, "line_to_neutral", "V")),
        (479.0, 60, (480.0, "line_to_line", "V")),
        (110.2, 50, (110e3, "line_to_line", "kV")),
    ],
)
def test_standard_voltage_by_value_and_frequency(
    value: float, frequency: float, expected: tuple[float, str, str] | None
) -> None:
    found = match_voltage(value, frequency)
    assert (found and (found.line_to_line, found.reference, found.unit)) == expected


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("VA_G1", ("VB_G1", "VC_G1"), ("voltage", "A", "G1")),
        ("VAB", ("VBC", "VCA"), ("voltage", "AB", "")),
        ("I_L1", ("I_L2", "I_L3"), ("current", "A", "")),
        ("I_L1", (), ("current", "", "L1")),
        ("T2 Power (kW)", (), ("power", "", "T2")),
        ("R1_Freq", (), ("frequency", "", "R1")),
        ("heartbeat", (), ("", "", "")),
    ],
)
def test_names_are_read_beside_their_siblings(
    name: str, others: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    reading = read_name(name, {name, *others})
    assert (reading.quantity, reading.phase, reading.terminal) == expected


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        (0, "good"),
        (0x0801, "trigger detected, trigger reason: magnitude low"),
        (0x8000, "test mode or filled in"),
        (0x2000, "not synchronised"),
        (270336, "more than 16 bits: the device's own word, not C37.118"),
    ],
)
def test_status_words_are_read_by_the_standard(word: int, meaning: str) -> None:
    assert meaning_of(word) == meaning


def test_findings_say_why(tmp_path: Path) -> None:
    findings: Findings = inspect_recording(write(tmp_path / "micro.csv", microgrid()))
    assert all(guess.why for guess in findings.guesses)


def test_report_in_the_documentation_is_the_one_that_is_printed() -> None:
    root = Path(__file__).parents[1]
    printed = run(root / "data" / "two-line.csv.gz").stdout.splitlines()
    shown = (
        (root / "docs" / "inspect.md").read_text().partition("shortened:\n\n```\n")[2].partition("\n```\n")[0]
    )
    assert len(shown.splitlines()) > 50
    assert [line for line in shown.splitlines() if line not in printed] == [
        "  path: /home/me/data/two-line.csv.gz"
    ]
