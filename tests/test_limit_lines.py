"""The thresholds of rules as values on the channels that people look at."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gridtop.alarms import bind_limits
from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.channels import Channel, ChannelSet
from gridtop.client import LimitLine
from gridtop.limit_lines import limit_lines
from gridtop.site import Nominal, Site

CHANNELS = ChannelSet(
    (
        Channel("R1-PM1:V", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral"),
        Channel("R1-PA1:VH", "voltage", "deg", "R1", "A", "angle"),
        Channel("R1:VAB", "voltage", "V", "R1", "AB", "magnitude", "line_to_line"),
        Channel("R1-PM4:I", "current", "A", "R1", "A", "magnitude"),
        Channel("R1:F", "frequency", "Hz", "R1"),
        Channel("R1:voltage_pu.A", "voltage_pu", "pu", "R1", "A"),
        Channel("R1:voltage_pu.AB", "voltage_pu", "pu", "R1", "AB"),
        Channel("R1:frequency_deviation", "frequency_deviation", "Hz", "R1"),
    ),
    30.0,
)
SITE = Site(nominal=Nominal(voltage_ll=230e3, current=400.0))


def lines(**limits: object) -> dict[str, Any]:
    """By channel: direction, severity and value of each line."""
    settings = {name: LimitSettings.model_validate(limit) for name, limit in limits.items()}
    found: dict[str, list[tuple[str, str, float]]] = {}
    for line in limit_lines(bind_limits(settings, AlarmDefaults(), CHANNELS), CHANNELS, SITE):
        assert isinstance(line, LimitLine)
        found.setdefault(line.channel, []).append((line.direction, line.severity, line.value))
    return found


def test_a_limit_in_per_unit_stands_in_volts_on_the_voltage_itself() -> None:
    found = lines(voltage={"on": "*:voltage_pu", "low": {"warning": 0.95}, "high": {"critical": 1.1}})
    assert found["R1:voltage_pu.A"] == [("high", "critical", 1.1), ("low", "warning", 0.95)]
    assert found["R1-PM1:V"] == [
        ("high", "critical", pytest.approx(1.1 * 230e3 / math.sqrt(3))),
        ("low", "warning", pytest.approx(0.95 * 230e3 / math.sqrt(3))),
    ]
    assert found["R1:VAB"][1] == ("low", "warning", pytest.approx(0.95 * 230e3))
    assert "R1-PA1:VH" not in found


def test_a_limit_on_the_size_is_a_line_on_either_side() -> None:
    found = lines(frequency={"on": "*:frequency_deviation", "abs": {"warning": 0.05}})
    assert found["R1:frequency_deviation"] == [("low", "warning", -0.05), ("high", "warning", 0.05)]
    assert [value for *_, value in found["R1:F"]] == pytest.approx([59.95, 60.05])


def test_overrides_and_switched_off_channels_count() -> None:
    rule = {"on": "*:I", "high": {"warning": 700}, "overrides": {"R1-*": {"high": {"warning": 900}}}}
    assert lines(current=rule) == {"R1-PM4:I": [("high", "warning", 900.0)]}
    assert lines(current=rule | {"overrides": {"R1-*": {"enabled": False}}}) == {}
