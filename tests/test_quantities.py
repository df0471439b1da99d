"""Derived quantities: the formulas, what is missing, and that only what is asked for is computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.quantities import Quantities
from gridtop.site import Nominal, Site
from tests.streams import block_of, times

SITE = Site(nominal=Nominal(voltage_ll="230 kV", frequency="60 Hz"))
CHANNELS = ChannelSet(
    (
        Channel("R1-PM1:V", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral"),
        Channel("R1-PA1:VH", "voltage", "deg", "R1", "A", "angle"),
        Channel("R1-PM7:V", "voltage", "V", "R1", "+", "magnitude"),
        Channel("R1:F", "frequency", "Hz", "R1"),
        Channel("U12", "voltage", "V", "T1", "AB", "magnitude", "line_to_line"),
    ),
    30.0,
)


def test_line_to_neutral_and_line_to_line_voltages_are_one_per_unit_at_nominal() -> None:
    quantities = Quantities(CHANNELS, SITE)
    block = quantities.extend(block_of([[230e3 / math.sqrt(3), 10.0, 1.0, 60.0, 230e3]], CHANNELS))
    at = quantities.channels.position
    assert block.values[0, at("R1:voltage_pu.A")] == pytest.approx(1.0)
    assert block.values[0, at("T1:voltage_pu.AB")] == pytest.approx(1.0)
    assert block.values[0, at("R1:frequency_deviation")] == 0.0


def test_angles_and_sequence_components_make_no_per_unit_voltage() -> None:
    names = Quantities(CHANNELS, SITE).channels.names
    assert sorted(set(names) - set(CHANNELS.names)) == [
        "R1:frequency_deviation",
        "R1:voltage_pu.A",
        "T1:voltage_pu.AB",
    ]


def test_only_what_is_wanted_is_computed() -> None:
    quantities = Quantities(CHANNELS, SITE, ["R1:voltage_pu", "!R9*"])
    assert quantities.channels.names[5:] == ("R1:voltage_pu.A",)
    assert Quantities(CHANNELS, SITE, []).channels.names == CHANNELS.names


def test_a_voltage_that_does_not_say_its_reference_is_not_guessed() -> None:
    channels = ChannelSet((Channel("U", "voltage", "V", "T1"),))
    quantities = Quantities(channels, SITE)
    assert quantities.channels.names == ("U",)
    assert "line to line or line to neutral" in quantities.missing[0]


def test_without_a_nominal_value_the_reason_is_given() -> None:
    quantities = Quantities(CHANNELS, Site(nominal=Nominal(frequency=50.0)))
    assert any("site.nominal.voltage_ll is not given" in line for line in quantities.missing)
    assert "R1:frequency_deviation" in quantities.channels.names


def test_missing_values_stay_missing_and_quality_travels() -> None:
    values = np.array([[np.nan, 0.0, 1.0, 59.9, 1.0]])
    quality = np.zeros((1, 5), dtype=np.uint16)
    quality[0, 0] = Quality.MISSING
    quantities = Quantities(CHANNELS, SITE)
    block = quantities.extend(Block(CHANNELS, times(1), values, quality))
    column = quantities.channels.position("R1:voltage_pu.A")
    assert np.isnan(block.values[0, column])
    assert block.quality is not None
    assert block.quality[0, column] == Quality.MISSING


def test_two_channels_of_one_terminal_and_phase_are_named_and_the_first_counts() -> None:
    twins = ChannelSet(tuple(Channel(name, "frequency", "Hz", "R1") for name in ("F1", "F2")))
    quantities = Quantities(twins, SITE)
    block = quantities.extend(block_of([[60.5, 99.0]], twins))
    assert block.values[0, 2] == pytest.approx(0.5)
    assert "the first counts" in quantities.missing[0]


def test_contradicting_nominal_voltages_are_refused() -> None:
    with pytest.raises(ValueError, match="square root of 3"):
        Nominal(voltage_ll=230e3, voltage_ln=230e3)
    assert Nominal(voltage_ln=230.0).line_to_line == pytest.approx(398.37, abs=0.01)
