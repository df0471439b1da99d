"""The simulated microgrid: what goes in comes out but for losses, and what happens to it can be measured."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridtop.commands.simulate import command
from gridtop.errors import GridtopError
from gridtop.simulation.microgrid import COLUMNS, NO_EVENT, TOUR, Happening, Readings, readings, tour

THREE_DAYS = 3 * 8640
HOUR = 360
SIGNS = np.array([1, 1, 1, 1, 1, -1])


@pytest.fixture(scope="module")
def recorded() -> Readings:
    return readings(THREE_DAYS, tour(THREE_DAYS * 10.0))


@pytest.fixture(scope="module")
def quiet() -> Readings:
    return readings(THREE_DAYS)


def column(recorded: Readings, name: str) -> np.ndarray:
    return recorded.values[:, list(COLUMNS).index(name)]


def imbalance(recorded: Readings) -> np.ndarray:
    """kW, positive into the site."""
    total: np.ndarray = (recorded.values[:, :6] * SIGNS).sum(axis=1)
    return total


def efficiency(recorded: Readings) -> np.ndarray:
    powers = recorded.values[:, :6] * SIGNS
    ratio: np.ndarray = -np.minimum(powers, 0).sum(axis=1) / np.maximum(powers, 0).sum(axis=1)
    return ratio


def during(recorded: Readings, kind: str) -> np.ndarray:
    chosen: np.ndarray = recorded.markers == kind
    assert chosen.any()
    return chosen


# A quiet site


def test_what_goes_in_comes_out_but_for_losses(quiet: Readings) -> None:
    assert imbalance(quiet).min() > 1
    assert imbalance(quiet).max() < 6
    assert efficiency(quiet).min() > 0.96
    assert efficiency(quiet).max() < 0.99


def test_sun_shines_by_day(quiet: Readings) -> None:
    hour = quiet.seconds / 3600 % 24
    pv = column(quiet, "PVPCS_Active_Power")
    assert not pv[(hour < 6) | (hour > 18)].any()
    assert pv[(hour > 11) & (hour < 13)].mean() > 60
    assert pv.max() <= 150


def test_load_is_highest_in_the_evening_and_lowest_at_night(quiet: Readings) -> None:
    load = column(quiet, "MG-LV-MSB_Load_Active_Power").reshape(3, 24, HOUR).mean(axis=(0, 2))
    assert 18 <= load.argmax() <= 20
    assert load.argmin() in (22, 23, 0, 1, 2, 3, 4, 5)


def test_battery_keeps_what_it_takes_but_for_its_efficiency(quiet: Readings) -> None:
    power, charge = column(quiet, "Battery_Active_Power"), column(quiet, "Battery_State_of_Charge") * 2.4
    stored = -np.where(power > 0, power / 0.95, power * 0.95) / HOUR
    assert charge.min() >= 0.14 * 240
    assert charge.max() <= 0.96 * 240
    np.testing.assert_allclose(np.diff(charge), stored[1:], atol=0.001)


def test_voltage_drops_with_the_power_that_flows(quiet: Readings) -> None:
    drop = column(quiet, "Receiving_Point_AC_Voltage") - column(quiet, "MG-LV-MSB_AC_Voltage")
    assert np.corrcoef(drop, column(quiet, "Receiving_Point_Active_Power"))[0, 1] > 0.9
    assert column(quiet, "MG-LV-MSB_AC_Voltage").min() > 0.95 * 480
    assert column(quiet, "Receiving_Point_AC_Voltage").max() < 1.05 * 480


def test_frequency_is_that_of_the_grid(quiet: Readings) -> None:
    deviation = column(quiet, "MG-LV-MSB_Frequency") - 60
    assert 0.005 < deviation.std() < 0.015
    assert abs(deviation).max() < 0.06
    assert abs(column(quiet, "Receiving_Point_Frequency") - 60 - deviation).max() < 0.01


# What happens to it


def test_overload_pulls_the_voltage_down_at_the_board(recorded: Readings) -> None:
    when = during(recorded, "overload")
    sagging = column(recorded, "MG-LV-MSB_AC_Voltage")[when]
    assert sagging[:5].max() < 0.917 * 480
    assert sagging[5:].min() > sagging[:5].max(), "then the engine takes its share"
    assert column(recorded, "Receiving_Point_AC_Voltage")[when].min() > 0.95 * 480


def test_losses_lower_the_efficiency(recorded: Readings) -> None:
    assert efficiency(recorded)[during(recorded, "losses")].max() < 0.9
    assert imbalance(recorded)[during(recorded, "losses")].min() > 20


def test_faulty_meter_unbalances_the_site_and_changes_nothing_else(
    recorded: Readings, quiet: Readings
) -> None:
    when = during(recorded, "meter_fault")
    assert imbalance(recorded)[when].min() > 50
    name = "MG-LV-MSB_Load_Active_Power"
    others = [i for i, other in enumerate(COLUMNS) if other != name]
    np.testing.assert_array_equal(recorded.values[when][:, others], quiet.values[when][:, others])
    np.testing.assert_allclose(column(recorded, name)[when], 0.55 * column(quiet, name)[when])


def test_unsteady_frequency_swings_at_both_points(recorded: Readings) -> None:
    when = during(recorded, "unsteady_frequency")
    for name in ("Receiving_Point_Frequency", "MG-LV-MSB_Frequency"):
        assert column(recorded, name)[when].std() > 0.04


def test_island_takes_nothing_from_the_grid_and_droops(recorded: Readings) -> None:
    when = during(recorded, "islanding")
    assert not column(recorded, "Receiving_Point_Active_Power")[when].any()
    assert column(recorded, "MG-LV-MSB_Frequency")[when].max() < 59.95
    assert column(recorded, "Receiving_Point_Frequency")[when].min() > 59.95
    assert abs(column(recorded, "Battery_Active_Power")[when]).max() <= 80
    assert imbalance(recorded)[when].max() < 6, "the battery covers the losses, too"


def test_error_codes_are_exact_and_where_the_list_says(recorded: Readings) -> None:
    for one in (one for one in TOUR if one.kind == "error_codes"):
        rows = slice(round(one.start / 10), round(one.end / 10))
        for name in one.parameters["columns"]:
            assert set(column(recorded, name)[rows]) == {one.parameters["code"]}
            assert column(recorded, name)[rows.start - 1] != one.parameters["code"]
            assert column(recorded, name)[rows.stop] != one.parameters["code"]


def test_markers_are_those_of_the_list(recorded: Readings) -> None:
    for one in TOUR:
        assert set(recorded.markers[round(one.start / 10) : round(one.end / 10)]) == {one.kind}
    marked = sum(one.duration for one in TOUR) / 10
    assert np.count_nonzero(recorded.markers != NO_EVENT) == marked


def test_longer_recording_begins_like_a_shorter_one(recorded: Readings) -> None:
    day = readings(8640, tour(86_400))
    np.testing.assert_array_equal(day.values, recorded.values[:8640])
    assert (readings(100, seed=2).values != day.values[:100]).any()


def test_tour_comes_again_every_three_days_and_only_whole() -> None:
    assert [one.kind for one in tour(86_400)] == ["error_codes", "meter_fault", "overload"]
    assert len(tour(6 * 86_400)) == 2 * len(TOUR)
    assert tour(6 * 86_400)[-1].start == TOUR[-1].start + 3 * 86_400


def test_happenings_of_ones_own_are_possible() -> None:
    happening = Happening("meter_fault", "LOAD", 100, 50, {"gain": 0.0})
    load = column(readings(30, [happening]), "MG-LV-MSB_Load_Active_Power")
    assert np.flatnonzero(load == 0).tolist() == [10, 11, 12, 13, 14]


# Files


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["--microgrid", *(str(argument) for argument in arguments)])


def test_command_writes_rows_ten_seconds_apart_and_a_list_of_events(tmp_path: Path) -> None:
    file = tmp_path / "site.csv.gz"
    result = run("-o", file, "--duration", "11h")
    assert result.exit_code == 0
    assert "3960 rows, 11 h" in result.output
    header, *rows = csv.reader(gzip.decompress(file.read_bytes()).decode().splitlines())
    assert header == ["Timestamp", *COLUMNS, "marker"]
    assert [row[0] for row in rows[:2]] == ["2026-06-01T00:00:00Z", "2026-06-01T00:00:10Z"]
    assert len(rows) == 3960
    assert not any(cell in ("-0.0", "-0.000", "nan", "") for row in rows for cell in row)
    listed = json.loads((tmp_path / "site.events.json").read_text())
    assert [(event["kind"], event["start_ms"]) for event in listed["events"]] == [("error_codes", 37_800_000)]
    assert rows[3780][1] == "-327.68"


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.csv.gz", "two.csv.gz", "other.csv.gz")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        run("-o", file, "--duration", "1h", "--seed", seed)
    one, two, other = (file.read_bytes() for file in files)
    assert one == two != other


def test_quiet_microgrid_has_no_events(tmp_path: Path) -> None:
    run("-o", tmp_path / "quiet.csv", "--duration", "11h", "--no-events")
    assert "error_codes" not in (tmp_path / "quiet.csv").read_text()
    assert json.loads((tmp_path / "quiet.events.json").read_text())["events"] == []


@pytest.mark.parametrize(
    "option",
    [
        ("--hours", 2),
        ("--rate", 30),
        ("--scenario", 9),
        ("--labels", "full"),
        ("--jobs", 2),
        ("--format", "csv.gz"),
    ],
)
def test_options_of_the_two_line_grid_are_refused(tmp_path: Path, option: tuple[str, object]) -> None:
    result = run("-o", tmp_path / "x.csv", *option)
    assert result.exit_code == 2
    assert f"{option[0]} is of the two-line grid" in result.output


def test_other_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    result = run("-o", tmp_path / "x.parquet")
    assert isinstance(result.exception, GridtopError)
    assert "ends in .csv or .csv.gz" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    file = tmp_path / "site.csv"
    file.write_text("mine")
    result = run("-o", file, "--duration", "1min")
    assert "add --force" in str(result.exception)
    assert file.read_text() == "mine"
    assert run("-o", file, "--duration", "1min", "--force").exit_code == 0
    assert file.read_text().startswith("Timestamp,")
