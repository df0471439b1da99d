"""Columns of a file become channels: the PMU scheme, the `channels:` section, and what is refused."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from gridtop.channels import Channel
from gridtop.naming import ChannelMap, ChannelMeaning, TimeColumn


def channel(column: str, **meaning: object) -> Channel:
    """The channel that one column becomes."""
    given = {column: ChannelMeaning(**meaning)} if meaning else {}  # type: ignore[arg-type]
    return ChannelMap(given).resolve([column]).channels[0]


@pytest.mark.parametrize(
    ("column", "quantity", "unit", "terminal", "phase", "part"),
    [
        ("R1-PA1:VH", "voltage", "deg", "R1", "A", "angle"),
        ("R1-PM1:V", "voltage", "V", "R1", "A", "magnitude"),
        ("R2-PM3:V", "voltage", "V", "R2", "C", "magnitude"),
        ("R2-PA5:IH", "current", "deg", "R2", "B", "angle"),
        ("R2-PM5:I", "current", "A", "R2", "B", "magnitude"),
        ("R3-PM7:V", "voltage", "V", "R3", "+", "magnitude"),
        ("R3-PA9:VH", "voltage", "deg", "R3", "0", "angle"),
        ("R4-PM11:I", "current", "A", "R4", "-", "magnitude"),
        ("R4-PM11:V", "current", "A", "R4", "-", "magnitude"),  # as the feature list of the set spells it
        ("R4-PA12:VH", "current", "deg", "R4", "0", "angle"),
        ("R1:F", "frequency", "Hz", "R1", "", "value"),
        ("R1-F", "frequency", "Hz", "R1", "", "value"),
        ("R1:DF", "rocof", "Hz/s", "R1", "", "value"),
        ("R1-DF", "rocof", "Hz/s", "R1", "", "value"),
        ("R1-PA:Z", "impedance", "ohm", "R1", "", "magnitude"),
        ("R1-PA:ZH", "impedance", "deg", "R1", "", "angle"),
        ("R1:S", "status", "", "R1", "", "status"),
        ("North bay-PM1:V", "voltage", "V", "North bay", "A", "magnitude"),
        ("SUB-7-PM1:V", "voltage", "V", "SUB-7", "A", "magnitude"),
        ("control_panel_log1", "log", "", "R1", "", "status"),
        ("relay2_log", "log", "", "R2", "", "status"),
        ("snort_log4", "log", "", "R4", "", "status"),
        ("R1-PM13:V", "other", "", "", "", "value"),
        ("temperature", "other", "", "", "", "value"),
    ],
)
def test_names_of_the_public_attack_data_are_understood(
    column: str, quantity: str, unit: str, terminal: str, phase: str, part: str
) -> None:
    found = channel(column)
    assert (found.name, found.quantity, found.unit) == (column, quantity, unit)
    assert (found.terminal, found.phase, found.part) == (terminal, phase, part)


def test_voltages_of_the_attack_data_are_line_to_neutral_and_only_voltages_say_so() -> None:
    assert channel("R1-PM1:V").reference == channel("R1-PM7:V").reference == "line_to_neutral"
    assert channel("R1-PM4:I").reference == ""


def test_marker_is_a_label_and_no_channel() -> None:
    columns = ChannelMap().resolve(["R1:F", "marker"])
    assert columns.labels == {"marker": 1}
    assert [found.name for found in columns.channels] == ["R1:F"]


@pytest.mark.parametrize("name", ["time", "Time", "TIMESTAMP", "timestamp", "DateTime", "UTC"])
def test_a_time_column_is_known_by_its_name(name: str) -> None:
    columns = ChannelMap().resolve(["R1:F", name])
    assert columns.time == TimeColumn(1, None)
    assert columns.positions == (0,)


def test_a_mapped_time_column_comes_before_a_usual_name() -> None:
    given = {"arrival": ChannelMeaning(quantity="time", unit="ms")}
    columns = ChannelMap(given).resolve(["arrival", "time", "x"])
    assert columns.time == TimeColumn(0, "ms")
    assert [found.name for found in columns.channels] == ["time", "x"]


def test_first_matching_glob_wins_and_comes_before_the_scheme() -> None:
    given = {
        "Feeder*_I": ChannelMeaning(quantity="current", unit="kA", terminal="F"),
        "Feeder1_I": ChannelMeaning(quantity="voltage"),
        "R1:F": ChannelMeaning(quantity="status"),
        "*_raw": ChannelMeaning(ignore=True),
    }
    columns = ChannelMap(given).resolve(["Feeder1_I", "R1:F", "a_raw", "R2:F"])
    assert [found.quantity for found in columns.channels] == ["current", "status", "frequency"]
    assert columns.positions == (0, 1, 3)


def test_a_name_that_looks_like_a_glob_is_matched_as_it_stands() -> None:
    assert channel("I[A]", quantity="current").quantity == "current"


@pytest.mark.parametrize(
    ("quantity", "unit", "becomes", "factor"),
    [
        ("voltage", "kV", "V", 1e3),
        ("voltage", "", "V", 1.0),
        ("voltage", "rad", "deg", 180 / math.pi),
        ("current", "kA", "A", 1e3),
        ("current", "mA", "A", 1e-3),
        ("frequency", "mHz", "Hz", 1e-3),
        ("rocof", "mHz/s", "Hz/s", 1e-3),
        ("impedance", "mohm", "ohm", 1e-3),
        ("power", "MW", "W", 1e6),
        ("power", "Mvar", "var", 1e6),
        ("voltage", "pu", "pu", 1.0),
        ("humidity", "%", "%", 1.0),
        ("oil_temperature", "degC", "degC", 1.0),
    ],
)
def test_prefixed_units_become_base_units(quantity: str, unit: str, becomes: str, factor: float) -> None:
    given = {"x": ChannelMeaning(quantity=quantity, unit=unit, scale=2.0, offset=3.0)}
    columns = ChannelMap(given).resolve(["x"])
    assert columns.channels[0].unit == becomes
    assert columns.scales == pytest.approx([2 * factor])
    assert columns.offsets == pytest.approx([3 * factor])


def test_radians_make_an_angle_and_a_pair_of_phases_is_line_to_line() -> None:
    assert channel("x", quantity="current", unit="rad").part == "angle"
    assert channel("x", quantity="voltage", part="angle").unit == "deg"
    assert channel("x", quantity="voltage", phase="AB").reference == "line_to_line"
    assert channel("x", quantity="voltage", phase="A").reference == ""
    assert channel("x", quantity="voltage", phase=0).phase == "0"  # YAML reads `phase: 0` as a number


@pytest.mark.parametrize(
    ("meaning", "told"),
    [
        ({}, "say which quantity"),
        ({"quantity": "Voltage"}, "pattern"),
        ({"quantity": "voltage", "unit": "A"}, "voltage is in V, deg, pu or %"),
        ({"quantity": "time", "unit": "hours"}, "a time is in s, ms, us, ns or iso"),
        ({"quantity": "current", "reference": "line_to_line"}, "only a voltage"),
        ({"quantity": "voltage", "phase": "D"}, "'A', 'B', 'C'"),
        ({"quantity": "voltage", "scale": math.inf}, "finite"),
        ({"quantity": "voltage", "colour": "red"}, "not permitted"),
    ],
)
def test_a_meaning_that_makes_no_sense_is_refused(meaning: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ChannelMeaning(**meaning)  # type: ignore[arg-type]


def test_names_are_made_harmless_and_blank_ones_get_a_number() -> None:
    columns = ChannelMap().resolve(["  R1:F ", "", "a\x1b[31m", "two\nlines", "   "])
    assert columns.names == ("R1:F", "column 2", "a\ufffd[31m", "two lines", "column 5")


def test_two_columns_of_one_name_are_refused_unless_they_are_ignored() -> None:
    with pytest.raises(ValueError, match=r"'x' \(columns 1 and 3\)"):
        ChannelMap().resolve(["x", "y", "x"])
    columns = ChannelMap({"x": ChannelMeaning(ignore=True)}).resolve(["x", "y", "x"])
    assert columns.positions == (1,)


def test_two_time_columns_or_no_channel_at_all_are_refused() -> None:
    time = ChannelMeaning(quantity="time")
    with pytest.raises(ValueError, match="both mapped to time"):
        ChannelMap({"*_at": time}).resolve(["sent_at", "got_at", "x"])
    with pytest.raises(ValueError, match="no column is a channel"):
        ChannelMap().resolve(["time", "marker"])


def test_phase_and_spoofed_are_labels_beside_a_marker_only() -> None:
    full = ChannelMap().resolve(["R1:F", "phase", "spoofed", "marker"])
    assert set(full.labels) == {"phase", "spoofed", "marker"}
    assert "phase" in [channel.name for channel in ChannelMap().resolve(["R1:F", "phase"]).channels]
