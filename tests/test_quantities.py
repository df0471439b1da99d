"""Derived quantities: the formulas, what is missing, and that only what is asked for is computed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.naming import ChannelMap
from gridtop.quantities import CATALOGUE, Quantities
from gridtop.recordings import open_recording
from gridtop.site import Nominal, Site
from tests.phasor_blocks import SITE as TWO_LINES
from tests.phasor_blocks import Derived, quiet_phasors, readings
from tests.streams import block_of, times

ROOT = Path(__file__).parent.parent

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
    assert {name for name in names if "voltage_pu" in name} == {"R1:voltage_pu.A", "T1:voltage_pu.AB"}


def test_only_what_is_wanted_is_computed() -> None:
    quantities = Quantities(CHANNELS, SITE, ["R1:voltage_pu", "!R9*"])
    assert quantities.channels.names[5:] == ("R1:voltage_pu.A",)
    assert Quantities(CHANNELS, SITE, []).channels.names == CHANNELS.names


def test_a_voltage_that_does_not_say_its_reference_is_not_guessed() -> None:
    channels = ChannelSet((Channel("U", "voltage", "V", "T1"),))
    quantities = Quantities(channels, SITE)
    assert quantities.channels.names == ("U",)
    assert any("line to line or line to neutral" in line for line in quantities.missing)


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
    at = block.channels.position("R1:frequency_deviation")
    assert block.values[0, at] == pytest.approx(0.5)
    assert any("the first counts" in line for line in quantities.missing)


def test_contradicting_nominal_voltages_are_refused() -> None:
    with pytest.raises(ValueError, match="square root of 3"):
        Nominal(voltage_ll=230e3, voltage_ln=230e3)
    assert Nominal(voltage_ln=230.0).line_to_line == pytest.approx(398.37, abs=0.01)


@pytest.fixture(scope="module")
def recorded() -> Block:
    """The first fault of the bundled recording and what is around it."""
    first = next(iter(open_recording(ROOT / "data/two-line.csv.gz", ChannelMap({}), 30.0).blocks()))
    return first.slice(0, 4200)


@pytest.fixture(scope="module")
def uncut(recorded: Block) -> Block:
    return Quantities(recorded.channels, TWO_LINES).extend(recorded)


@pytest.mark.parametrize("size", [7, 256, 4096])
def test_how_the_stream_is_cut_changes_no_bit(recorded: Block, uncut: Block, size: int) -> None:
    _assert_same_bits(recorded, uncut, size)


def test_frame_by_frame_is_the_same_to_the_bit(recorded: Block, uncut: Block) -> None:
    _assert_same_bits(recorded.slice(0, 700), uncut.slice(0, 700), 1)


def _assert_same_bits(recorded: Block, uncut: Block, size: int) -> None:
    quantities = Quantities(recorded.channels, TWO_LINES)
    parts = [
        quantities.extend(recorded.slice(start, start + size)) for start in range(0, len(recorded), size)
    ]
    values = np.vstack([part.values for part in parts])
    for column, channel in enumerate(quantities.channels):
        assert values[:, column].tobytes() == uncut.values[:, column].tobytes(), channel.name
    flags = [np.zeros(p.values.shape, np.uint16) if p.quality is None else p.quality for p in parts]
    expected = np.zeros(uncut.values.shape, np.uint16) if uncut.quality is None else uncut.quality
    assert np.array_equal(np.vstack(flags), expected)


def test_of_few_wanted_only_their_terminals_are_looked_at_and_the_values_are_the_same(
    recorded: Block, uncut: Block
) -> None:
    wanted = ("R3:bus_mismatch", "L2:kvl_residual", "R1:active_power")
    block = Quantities(recorded.channels, TWO_LINES, wanted).extend(recorded)
    assert set(block.channels.names[len(recorded.channels) :]) == set(wanted)
    for name in wanted:
        few, many = (b.values[:, b.channels.position(name)] for b in (block, uncut))
        assert np.array_equal(few, many, equal_nan=True)


def test_what_is_calculated_from_doubtful_values_says_so() -> None:
    derived = Derived(readings(quiet_phasors()[:3], flags={"R1-PM4:I": Quality.SUSPECT}))
    for name in (
        "R1:active_power",
        "R1:impedance",
        "L1:losses",
        "L1:differential_current",
        "system:efficiency",
    ):
        assert (derived.quality(name) == Quality.CALCULATED).all(), name
    for name in ("R1:positive_voltage", "R2:active_power", "L2:losses", "R1:voltage_unbalance"):
        assert not derived.quality(name).any(), name


def test_a_clock_that_runs_wrong_spoils_comparisons_between_terminals_only() -> None:
    flags = {
        f"R1-PA{number}:{kind}H": Quality.UNSYNCHRONISED for number, kind in enumerate("VVVIII", start=1)
    }
    derived = Derived(readings(quiet_phasors()[:3], flags=flags))
    for name in ("R1:active_power", "R1:impedance_loop.A", "R1:sequence_residual", "R1:current_unbalance"):
        assert not derived.quality(name).any(), name
    for name in ("L1:angle_difference", "L1:kvl_residual", "L1:differential_current"):
        assert (derived.quality(name) == Quality.CALCULATED).all(), name


def test_a_missing_input_makes_a_missing_result() -> None:
    block = readings(quiet_phasors()[:3])
    values = block.values.copy()
    values[1, block.channels.position("R1-PM2:V")] = np.nan
    derived = Derived(Block(block.channels, block.time, values))
    for name in ("R1:active_power", "L1:kvl_residual", "system:power_imbalance", "R1:impedance_reach"):
        assert np.isnan(derived[name]).tolist() == [False, True, False], name


def test_units_other_than_si_are_understood() -> None:
    channels = ChannelSet(
        (
            Channel("V", "voltage", "pu", "R1", "+", "magnitude"),
            Channel("Va", "voltage", "deg", "R1", "+", "angle"),
            Channel("I", "current", "pu", "R1", "+", "magnitude"),
            Channel("Ia", "current", "deg", "R1", "+", "angle"),
        )
    )
    derived = Derived(block_of([[1.0, 0.0, 0.5, 0.0]], channels), TWO_LINES)
    assert derived["R1:active_power"][0] == pytest.approx(math.sqrt(3) * 230e3 * 400)


def _rows_of_documentation() -> dict[str, str]:
    """The unit of every quantity that the page describes."""
    text = (ROOT / "docs/quantities.md").read_text().partition("## The commissioning baseline")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]*) \|", text, re.MULTILINE)
    return {name: unit.strip() for names, unit in rows for name in re.findall(r"`([a-z0-9_]+)`", names)}


@pytest.mark.parametrize("name", sorted({quantity.name for quantity in CATALOGUE}))
def test_every_quantity_is_documented_with_its_unit_and_source(name: str) -> None:
    rows, ones = _rows_of_documentation(), [quantity for quantity in CATALOGUE if quantity.name == name]
    assert name in rows, f"docs/quantities.md does not describe {name}"
    assert {quantity.unit or "-" for quantity in ones} == {rows[name]}
    assert "Source:" in ones[0].doc


@pytest.mark.parametrize(
    "name",
    [
        "impedance",
        "resistance",
        "reactance",
        "impedance_loop",
        "impedance_reach",
        "impedance_residual",
        "power_factor",
        "power_factor_abs",
        "current_unbalance",
        "current_unbalance_nema",
        "voltage_unbalance",
        "voltage_unbalance_nema",
        "admittance",
        "frequency_deviation",
        "kvl_residual",
        "fault_location",
        "angle_difference",
        "frequency_spread",
        "bus_mismatch",
    ],
)
def test_what_needs_current_or_voltage_says_what_it_is_without(name: str) -> None:
    for quantity in CATALOGUE:
        if quantity.name == name:
            assert re.search(
                r"dead|below|less than|carries? 5 %|carry 5 %|20 % of rated", quantity.doc, re.IGNORECASE
            )
