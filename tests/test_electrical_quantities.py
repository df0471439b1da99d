"""Electrical quantities against exact phasors: the laws they rest on, and the pitfalls of such data."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.quantities import Quantities
from gridtop.quantities.phasors import Phasors, cosine_and_sine, fortescue
from gridtop.simulation import Maintenance, Simulation
from gridtop.simulation.network import FaultKind
from gridtop.site import Site
from tests.phasor_blocks import (
    LINE,
    SITE,
    Derived,
    balanced,
    faulted_phasors,
    line_data,
    quiet_phasors,
    readings,
    site,
)
from tests.streams import block_of, times

NOMINAL = 230e3 / math.sqrt(3)
Z1, Z0 = 3.7 + 37j, 14 + 111j
LINES = {"L1": ("R1", "R2"), "L2": ("R3", "R4")}
KINDS = get_args(FaultKind)

amplitudes = st.floats(1e3, 2e5)
angles = st.floats(-180, 180)
phasors = st.builds(lambda size, angle: size * np.exp(1j * np.radians(angle)), amplitudes, angles)
currents = phasors.map(lambda phasor: phasor / 100)


@pytest.fixture(scope="module")
def quiet() -> Derived:
    return Derived(readings(quiet_phasors()))


class TestNormalOperation:
    def test_sum_of_powers_over_terminals_is_the_loss_of_the_lines(self, quiet: Derived) -> None:
        into = sum(quiet[f"{relay}:active_power"] for relay in ("R1", "R2", "R3", "R4"))
        lost = quiet["L1:losses"] + quiet["L2:losses"]
        assert into == pytest.approx(lost, rel=1e-9)
        assert np.abs(quiet["system:power_imbalance"]).max() < 3e3  # of 310 MW: milliohms of breakers
        assert np.abs(quiet["L1:power_residual"]).max() < 1e-3

    def test_kirchhoff_holds_along_every_line_and_at_the_shared_bus(self, quiet: Derived) -> None:
        for line in LINES:
            assert quiet[f"{line}:kvl_residual"].max() < 1e-5
            assert quiet[f"{line}:differential_current"].max() < 0.01
        assert quiet["R2:bus_mismatch"].max() < 1e-9
        assert quiet["R3:bus_mismatch"] == pytest.approx(quiet["R2:bus_mismatch"])

    def test_without_susceptance_the_charging_current_shows(self) -> None:
        derived = Derived(readings(quiet_phasors()), site(lines=line_data(b1=None)))
        assert derived["L1:differential_current"] == pytest.approx(330e-6 * 0.985 * NOMINAL, rel=0.01)

    def test_efficiency_is_power_out_over_power_in_whichever_way_it_flows(self, quiet: Derived) -> None:
        first, second = quiet["R1:active_power"], quiet["R2:active_power"]
        assert quiet["L1:efficiency"] == pytest.approx(-second / first)
        first, second = quiet["R3:active_power"], quiet["R4:active_power"]
        assert quiet["L2:efficiency"] == pytest.approx(-first / second)
        assert ((quiet["system:efficiency"] > 0.98) & (quiet["system:efficiency"] < 1)).all()
        assert quiet["L1:power_in"] == pytest.approx(np.maximum(quiet["R1:active_power"], 0))
        assert quiet["L1:power_in_pu"] == pytest.approx(quiet["L1:power_in"] / 400e6)

    def test_reported_sequences_and_impedances_agree_with_the_phases(self, quiet: Derived) -> None:
        for relay in ("R1", "R2", "R3", "R4"):
            assert quiet[f"{relay}:sequence_residual"].max() < 1e-9
            assert quiet[f"{relay}:impedance_residual"].max() < 1e-9
            assert quiet[f"{relay}:measured_positive_voltage"] == pytest.approx(
                quiet[f"{relay}:positive_voltage"]
            )

    def test_nothing_is_at_fault(self, quiet: Derived) -> None:
        assert np.isnan(quiet["L1:fault_location"]).all()
        assert np.isnan(quiet["L1:fault_location_error"]).all()
        assert (quiet["R1:impedance_reach"] > 5).all()
        assert not quiet["L1:line_open"].any()
        assert quiet["system:frequency_spread"].max() == 0

    def test_a_terminals_numbers_belong_together(self, quiet: Derived) -> None:
        assert np.hypot(quiet["R1:resistance"], quiet["R1:reactance"]) == pytest.approx(quiet["R1:impedance"])
        assert quiet["R1:admittance"] == pytest.approx(1 / quiet["R1:impedance"])
        assert quiet["R1:positive_current_pu"] == pytest.approx(quiet["R1:positive_current"] / 800)
        assert np.hypot(quiet["R1:active_power"], quiet["R1:reactive_power"]) == pytest.approx(
            quiet["R1:apparent_power"]
        )
        assert quiet["R1:apparent_power_pu"] == pytest.approx(quiet["R1:apparent_power"] / 400e6)
        assert quiet["R1:power_factor_abs"] == pytest.approx(np.abs(quiet["R1:power_factor"]))


class TestShortCircuits:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("distance", [0.1, 0.4, 0.85])
    def test_every_kind_of_fault_is_located_from_both_ends(self, kind: FaultKind, distance: float) -> None:
        derived = Derived(readings(faulted_phasors(kind, "L1", distance, 20.0)))
        before, during = derived["L1:fault_location"]
        assert np.isnan(before)
        assert during == pytest.approx(distance, abs=0.005)
        assert derived["L1:fault_location_error"][1] < 0.003
        assert derived["L1:kvl_residual"][1] > 0.02
        assert np.isnan(derived["L2:fault_location"][1])
        assert derived["L2:kvl_residual"][1] < 1e-3

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("distance", [0.3, 0.6])
    def test_a_metallic_fault_ahead_is_reached_at_its_share_of_the_line(
        self, kind: FaultKind, distance: float
    ) -> None:
        derived = Derived(readings(faulted_phasors(kind, "L1", distance, 0.001)))
        assert derived["R1:impedance_reach"][1] == pytest.approx(distance, abs=0.02)
        assert derived["R2:impedance_reach"][1] == pytest.approx(1 - distance, abs=0.02)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_fault_behind_is_not_reached(self, kind: FaultKind) -> None:
        derived = Derived(readings(faulted_phasors(kind, "L1", 0.9, 1.0)))
        assert derived["R3:impedance_reach"][1] > 1.2  # its bus is 0.1 of a line away from the fault

    def test_a_loop_sees_the_impedance_up_to_the_fault_with_the_ground_in_it(self) -> None:
        derived = Derived(readings(faulted_phasors("AG", "L1", 0.5, 0.001)))
        assert derived["R1:impedance_loop.A"][1] == pytest.approx(0.5 * abs(Z1), rel=0.02)
        derived = Derived(readings(faulted_phasors("BC", "L1", 0.5, 0.001)))
        assert derived["R1:impedance_loop.BC"][1] == pytest.approx(0.5 * abs(Z1), rel=0.02)
        assert derived["R1:impedance"][1] > 0.6 * abs(Z1)  # V1 / I1 is no distance

    def test_readings_that_no_fault_explains_have_no_place_on_the_line(self) -> None:
        genuine = faulted_phasors("AG", "L1", 0.4, 20.0)
        forged = genuine.copy()
        forged[1, 0, 1] *= np.exp(0.6j)  # one end's currents alone
        error = Derived(readings(forged))["L1:fault_location_error"][1]
        assert error > 10 * Derived(readings(genuine))["L1:fault_location_error"][1]
        assert error > 0.02

    def test_residual_current_is_that_of_the_ground(self) -> None:
        derived = Derived(readings(faulted_phasors("AG")))
        assert derived["R1:residual_current"][1] == pytest.approx(3 * derived["R1:zero_current"][1] / 800)
        assert derived["R1:residual_current"][1] > 0.2 > derived["R1:residual_current"][0]
        assert Derived(readings(faulted_phasors("BC")))["R1:residual_current"][1] < 0.01

    def test_an_open_line_is_open_and_neither_faulted_nor_against_the_law(self) -> None:
        frames = Simulation(events=[Maintenance(1, "L1", duration=60)], seed=3).read(150)
        derived = Derived(readings(frames.phasors[120:]))
        assert (derived["L1:line_open"] == 1).all()
        assert np.isnan(derived["L1:kvl_residual"]).all()
        assert np.isnan(derived["L1:efficiency"]).all()
        assert derived["L1:differential_current"].max() < 1
        assert (derived["R1:impedance_reach"] == 100).all()
        assert (derived["R1:admittance"] < 1e-6).all()
        assert not derived["L2:line_open"].any()


class TestPitfalls:
    def test_line_to_line_and_line_to_neutral_are_told_apart(self) -> None:
        channels = ChannelSet(
            (
                Channel("V1", "voltage", "V", "T", "+", "magnitude", "line_to_line"),
                Channel("V1a", "voltage", "deg", "T", "+", "angle"),
                Channel("I1", "current", "A", "T", "+", "magnitude"),
                Channel("I1a", "current", "deg", "T", "+", "angle"),
            ),
            30.0,
        )
        derived = Derived(block_of([[230e3, 0.0, 100.0, 0.0]], channels), site(lines={}, buses={}))
        assert derived["T:positive_voltage"][0] == pytest.approx(NOMINAL)
        assert derived["T:active_power"][0] == pytest.approx(math.sqrt(3) * 230e3 * 100)

    def test_angles_wrap_without_a_jump(self) -> None:
        frames = np.concatenate([balanced(NOMINAL, 400, 2), balanced(NOMINAL, -400, 2)], axis=1)
        frames[:, 0] *= np.exp(1j * np.radians([[[179.0]], [[-179.0]]]))
        frames[:, 1] *= np.exp(1j * np.radians([[[-179.0]], [[179.0]]]))
        lines = {"L1": {"ends": ["R1", "R2"], **LINE}}
        derived = Derived(readings(frames), site(lines=lines, buses={}))
        assert derived["L1:angle_difference"] == pytest.approx([-2.0, 2.0])

    def test_frequency_off_nominal_turns_all_angles_and_changes_nothing(self) -> None:
        still = quiet_phasors()
        turning = still * np.exp(2j * np.pi * 0.3 * np.arange(len(still)) / 30).reshape(-1, 1, 1, 1)
        one, other = Derived(readings(still)), Derived(readings(turning))
        for name in one.quantities.channels.names[len(readings(still).channels) :]:
            if ":frequency" in name or ":rocof" in name:
                continue  # these are about the turning itself
            assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-6, nan_ok=True), name

    def test_without_current_nothing_is_divided_by_it(self) -> None:
        for current in (0.0, 30.0):  # 5 % of 800 A is 40 A
            derived = Derived(readings(np.repeat(balanced(NOMINAL, current), 4, axis=1)))
            for name in (
                "impedance",
                "resistance",
                "power_factor",
                "power_factor_abs",
                "current_unbalance",
                "current_unbalance_nema",
                "impedance_residual",
                "impedance_loop.A",
                "impedance_loop.CA",
            ):
                assert np.isnan(derived[f"R1:{name}"]).all(), name
            assert derived["R1:impedance_reach"][0] == 100
            assert derived["R1:admittance"][0] == pytest.approx(current / NOMINAL)

    def test_an_infinite_impedance_is_a_bounded_admittance(self) -> None:
        derived = Derived(readings(np.repeat(balanced(NOMINAL, 0.0), 4, axis=1)))
        assert derived["R1:admittance"][0] == 0
        assert not np.isinf(derived.block.values).any()

    def test_a_reversed_current_transformer_is_said_once_and_then_right(self) -> None:
        frames = quiet_phasors().copy()
        frames[:, 1, 1] *= -1
        wrong = Derived(readings(frames))
        assert wrong["L1:losses"].min() > 200e6
        told = Derived(readings(frames), site(terminals={"R2": {"ct_direction": "out_of_line"}}))
        assert told["L1:losses"].max() < 5e6
        assert told["L1:kvl_residual"].max() < 1e-5

    def test_a_dead_bus_has_neither_frequency_nor_unbalance(self) -> None:
        frames = np.repeat(balanced(NOMINAL, 400.0), 4, axis=1)
        frames[:, 0, 0] *= 0.05
        derived = Derived(readings(frames))
        for name in ("frequency_deviation", "voltage_unbalance", "voltage_unbalance_nema", "admittance"):
            assert np.isnan(derived[f"R1:{name}"]).all(), name
            assert not np.isnan(derived[f"R4:{name}"]).any(), name
        assert np.isnan(derived["L1:angle_difference"]).all()

    def test_a_dead_bus_does_not_spread_the_frequency(self) -> None:
        frames = np.repeat(balanced(NOMINAL, 400.0), 4, axis=1)
        frames[:, 0, 0] *= 0.05
        block = readings(frames)
        values = block.values.copy()
        values[:, block.channels.position("R1:F")] = 12.0
        values[:, block.channels.position("R4:F")] = 60.02
        derived = Derived(Block(block.channels, block.time, values))
        assert derived["system:frequency_spread"][0] == pytest.approx(0.02)

    def test_an_impedance_in_another_scale_and_direction_is_named(self) -> None:
        block = readings(quiet_phasors())
        values = block.values.copy()
        values[:, block.channels.position("R1-PA:Z")] *= 1.03
        values[:, block.channels.position("R2-PA:ZH")] += 2.0
        derived = Derived(Block(block.channels, block.time, values))
        assert derived["R1:impedance_residual"] == pytest.approx(3.0)
        assert derived["R2:impedance_residual"] == pytest.approx(200 * math.sin(math.radians(1)))

    def test_status_words_are_no_measurement(self) -> None:
        channels = ChannelSet((Channel("R1:S", "status", "", "R1", "", "status"),), 30.0)
        assert Quantities(channels, SITE).channels.names == ("R1:S",)

    def test_radians_are_degrees_by_the_time_they_get_here(self) -> None:
        assert readings(quiet_phasors()).channels[-1].unit == "deg"


class TestInvariants:
    @given(st.lists(phasors, min_size=3, max_size=3))
    def test_fortescue_there_and_back(self, phases: list[complex]) -> None:
        numbers = np.array(phases).reshape(3, 1)
        parts = fortescue(Phasors(numbers.real.copy(), numbers.imag.copy()))
        positive, negative, zero = (parts.re + 1j * parts.im)[:, 0]
        turn = np.exp(2j * np.pi / 3)
        back = [zero + turn**-k * positive + turn**k * negative for k in range(3)]
        assert back == pytest.approx(phases, rel=1e-9, abs=1e-6)

    @given(st.floats(-1e4, 1e4))
    def test_cosine_and_sine_are_those_of_the_library(self, degrees: float) -> None:
        cosine, sine = cosine_and_sine(np.array([degrees]))
        assert cosine[0] == pytest.approx(math.cos(math.radians(degrees % 360)), abs=1e-12)
        assert sine[0] == pytest.approx(math.sin(math.radians(degrees % 360)), abs=1e-12)

    @settings(deadline=None, max_examples=30)
    @given(st.lists(phasors, min_size=12, max_size=12), st.lists(currents, min_size=12, max_size=12), angles)
    def test_one_angle_more_for_all_phasors_changes_nothing(
        self, voltages: list[complex], amperes: list[complex], angle: float
    ) -> None:
        frame = np.array([voltages, amperes]).reshape(2, 4, 3).transpose(1, 0, 2)[np.newaxis]
        one, other = Derived(readings(frame)), Derived(readings(frame * np.exp(1j * np.radians(angle))))
        for name in (
            "R1:active_power",
            "R2:reactive_power",
            "R3:voltage_unbalance",
            "R4:impedance",
            "R1:impedance_loop.A",
            "L1:losses",
            "L1:differential_current",
            "L1:kvl_residual",
            "R2:bus_mismatch",
            "L2:fault_location",
        ):
            assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-6, nan_ok=True), name

    @settings(deadline=None, max_examples=30)
    @given(phasors, st.floats(100, 5000), st.floats(0.3, 3), st.floats(-1.5, 1.5))
    def test_voltage_is_impedance_times_current(
        self, voltage: complex, amperes: float, scale: float, angle: float
    ) -> None:
        current = amperes * np.exp(1j * angle)
        derived = Derived(readings(balanced(voltage, current)), site(lines={}, buses={}))
        impedance = derived["R1:resistance"][0] + 1j * derived["R1:reactance"][0]
        assert impedance * current == pytest.approx(voltage, rel=1e-9)
        scaled = Derived(readings(balanced(scale * voltage, scale * current)), site(lines={}, buses={}))
        assert scaled["R1:impedance"] == pytest.approx(derived["R1:impedance"], rel=1e-9)
        # A power that is next to nothing is as exact as the apparent power it is a part of.
        apparent = abs(voltage) * amperes * scale**2
        assert scaled["R1:active_power"] == pytest.approx(
            scale**2 * derived["R1:active_power"], rel=1e-9, abs=1e-12 * apparent
        )

    @settings(deadline=None, max_examples=20)
    @given(st.lists(phasors, min_size=3, max_size=3), st.lists(currents, min_size=3, max_size=3))
    def test_power_of_phases_is_three_times_that_of_the_sequences(
        self, voltages: list[complex], amperes: list[complex]
    ) -> None:
        frame = np.array([[voltages, amperes]])[np.newaxis]
        derived = Derived(readings(frame[0][np.newaxis]), site(lines={}, buses={}))
        expected = np.sum(np.array(voltages) * np.conj(amperes))
        assert derived["R1:active_power"][0] == pytest.approx(expected.real, rel=1e-9, abs=1)
        assert derived["R1:reactive_power"][0] == pytest.approx(expected.imag, rel=1e-9, abs=1)


class TestUnbalance:
    def test_a_negative_sequence_of_two_percent_is_two_percent(self) -> None:
        turn = np.exp(-2j * np.pi / 3 * np.arange(3))
        frame = balanced(NOMINAL, 400)
        frame[0, 0, 0] += 0.02 * NOMINAL * turn.conj()
        frame[0, 0, 1] += 0.1 * 400 * turn.conj()
        derived = Derived(readings(frame), site(lines={}, buses={}))
        assert derived["R1:voltage_unbalance"][0] == pytest.approx(2.0)
        assert derived["R1:current_unbalance"][0] == pytest.approx(10.0)
        assert derived["R1:negative_voltage"][0] == pytest.approx(0.02 * NOMINAL)

    def test_nema_counts_line_to_line_voltages_and_is_another_number(self) -> None:
        frame = balanced(NOMINAL, 400)
        frame[0, 0, 0, 0] *= 0.94
        frame[0, 0, 1, 0] *= 0.7
        derived = Derived(readings(frame), site(lines={}, buses={}))
        v = frame[0, 0, 0]
        between = np.abs(v - np.roll(v, -1))
        expected = np.abs(between - between.mean()).max() / between.mean() * 100
        assert derived["R1:voltage_unbalance_nema"][0] == pytest.approx(expected)
        assert derived["R1:voltage_unbalance_nema"][0] != pytest.approx(
            derived["R1:voltage_unbalance"][0], rel=1e-3
        )
        assert derived["R1:current_unbalance_nema"][0] == pytest.approx(0.2 / 0.9 * 100)

    def test_phases_in_the_other_order_have_a_positive_sequence_when_told(self) -> None:
        frame = balanced(NOMINAL, 400)[..., [0, 2, 1]]
        bare = site(lines={}, buses={})
        told = site(lines={}, buses={}, terminals={"R1": {"rotation": "ACB"}})
        assert Derived(readings(frame), bare)["R1:positive_voltage"][0] < 1
        assert Derived(readings(frame), told)["R1:positive_voltage"][0] == pytest.approx(NOMINAL)


class TestPowerFactor:
    @pytest.mark.parametrize(("convention", "expected"), [("load", 0.8), ("generator", -0.8)])
    def test_the_sign_tells_lag_from_lead_by_the_convention_of_the_site(
        self, convention: str, expected: float
    ) -> None:
        lagging = balanced(NOMINAL, 400 * np.exp(-1j * math.acos(0.8)))
        leading = balanced(NOMINAL, 400 * np.exp(1j * math.acos(0.8)))
        of = site(lines={}, buses={}, system={"base": "400 MVA", "power_factor_sign": convention})
        assert Derived(readings(lagging), of)["R1:power_factor"][0] == pytest.approx(expected)
        assert Derived(readings(leading), of)["R1:power_factor"][0] == pytest.approx(-expected)
        assert Derived(readings(-leading), of)["R1:power_factor_abs"][0] == pytest.approx(0.8)


class TestOtherSources:
    def test_positive_sequences_alone_give_power_and_lines(self) -> None:
        block = readings(quiet_phasors())
        few = [i for i, c in enumerate(block.channels) if c.phase in ("+", "") and c.quantity != "impedance"]
        derived = Derived(block.pick(few))
        full = Derived(block)
        for name in ("R1:active_power", "L1:kvl_residual", "L1:differential_current", "R2:bus_mismatch"):
            assert derived[name] == pytest.approx(full[name], rel=1e-3, abs=1e-4), name
        assert "R1:voltage_unbalance" not in derived
        assert "R1:impedance_reach" not in derived

    def test_measured_powers_of_a_microgrid_balance_with_their_signs(self) -> None:
        names = ("PV", "Battery", "Load")
        channels = ChannelSet(tuple(Channel(f"{n}_P", "power", "W", n) for n in names), 0.1)
        derived = Derived(block_of([[60e3, 30e3, -88e3], [0.0, np.nan, -5e3]], channels), Site())
        assert derived["PV:active_power"][0] == 60e3
        assert derived["system:power_imbalance"][0] == 2e3
        assert derived["system:efficiency"][0] == pytest.approx(88 / 90)
        assert np.isnan(derived["system:power_imbalance"][1])
        assert "PV:reactive_power" not in derived
        assert "PV:apparent_power" not in derived

    def test_measured_active_and_reactive_power_give_apparent_power_and_factor(self) -> None:
        channels = ChannelSet(
            (
                Channel("P", "power", "W", "T"),
                Channel("Q", "power", "var", "T"),
                Channel("S", "power", "VA", "U"),
            ),
            0.1,
        )
        derived = Derived(block_of([[3e3, -4e3, 7e3]], channels), Site())
        assert derived["T:apparent_power"][0] == pytest.approx(5e3)
        assert derived["T:power_factor"][0] == pytest.approx(-0.6)
        assert derived["U:apparent_power"][0] == 7e3

    def test_phasors_that_are_missing_for_a_while_do_not_change_where_power_comes_from(self) -> None:
        block = readings(quiet_phasors()[:2])
        channels = ChannelSet((*block.channels, Channel("R1:P", "power", "W", "R1")), 30.0)
        values = np.hstack((block.values, [[1.0], [1.0]]))
        values[1, channels.position("R1-PM4:I")] = np.nan
        both = Block(channels, block.time, values)
        derived, alone = Derived(both), Derived(both.slice(1, 2))
        assert derived["R1:active_power"][0] > 1e8
        assert np.isnan(derived["R1:active_power"][1])
        assert np.isnan(alone["R1:active_power"][0])

    def test_harmonics_make_a_distortion_and_a_reported_one_comes_first(self) -> None:
        channels = ChannelSet(
            (
                Channel("V", "voltage", "V", "T", "A", "magnitude"),
                Channel("V5", "voltage_harmonic", "V", "T", "A", "magnitude", order=5),
                Channel("V7", "voltage_harmonic", "V", "T", "A", "magnitude", order=7),
                Channel("V7a", "voltage_harmonic", "deg", "T", "A", "angle", order=7),
                Channel("thd", "thd_voltage", "%", "T", "B"),
                Channel("I3", "current_harmonic", "%", "T", "C", "magnitude", order=3),
                Channel("I5", "current_harmonic", "%", "T", "C", "magnitude", order=5),
            ),
            1.0,
        )
        derived = Derived(block_of([[1000.0, 30.0, 40.0, 12.0, 2.5, 6.0, 8.0]], channels), Site())
        assert derived["T:thd_voltage.A"][0] == pytest.approx(5.0)
        assert derived["T:thd_voltage.B"][0] == 2.5
        assert derived["T:thd_current.C"][0] == pytest.approx(10.0)

    def test_a_line_measured_at_one_end_does_not_count_in_the_balance(self) -> None:
        derived = Derived(readings(quiet_phasors()[:, :3]))
        both = derived["R1:active_power"] + derived["R2:active_power"]
        assert np.abs(derived["system:power_imbalance"]).max() < 3e3
        assert derived["L1:losses"] == pytest.approx(both)


class TestSharedBus:
    @pytest.fixture
    def three(self) -> Derived:
        frames = np.repeat(balanced(NOMINAL, 400.0, 3), 3, axis=1)
        frames[1, 2, 0] *= 1.02
        frames[2, 1, 0] *= np.exp(1j * np.radians(1.0))
        return Derived(readings(frames), site(lines={}, buses={"B": {"terminals": ["R1", "R2", "R3"]}}))

    def test_of_three_terminals_the_wrong_one_shows_the_largest(self, three: Derived) -> None:
        one, two, third = (three[f"R{i}:bus_mismatch"] for i in (1, 2, 3))
        assert one[0] == two[0] == third[0] == pytest.approx(0, abs=1e-12)
        assert third[1] == pytest.approx(0.02)
        assert one[1] == two[1] == pytest.approx(0.01)

    def test_angles_count(self, three: Derived) -> None:
        assert three["R2:bus_mismatch"][2] == pytest.approx(2 * math.sin(math.radians(0.5)))

    def test_a_missing_neighbour_leaves_the_others_comparable(self) -> None:
        block = readings(np.repeat(balanced(NOMINAL, 400.0, 1), 3, axis=1))
        values = block.values.copy()
        values[:, [i for i, c in enumerate(block.channels) if c.terminal == "R3"]] = np.nan
        of = site(lines={}, buses={"B": {"terminals": ["R1", "R2", "R3"]}})
        derived = Derived(Block(block.channels, block.time, values), of)
        assert derived["R1:bus_mismatch"][0] == pytest.approx(0, abs=1e-12)
        assert np.isnan(derived["R3:bus_mismatch"][0])

    def test_an_open_coupler_turns_it_off_and_says_so(self) -> None:
        open_bus = site(buses={"B2": {"terminals": ["R2", "R3"], "coupler": "open"}})
        derived = Derived(readings(quiet_phasors()), open_bus)
        assert "R2:bus_mismatch" not in derived
        assert "bus_mismatch of R2: the coupler of bus B2 is open" in derived.quantities.missing

    def test_without_a_common_clock_magnitudes_alone_are_compared(self) -> None:
        frames = np.repeat(balanced(NOMINAL, 400.0, 1), 4, axis=1)
        frames[0, 2, 0] *= 1.01 * np.exp(0.5j)
        flags = {f"R3-PA{number}:VH": Quality.UNSYNCHRONISED for number in (1, 2, 3, 7, 8, 9)}
        derived = Derived(readings(frames, flags=flags))
        assert derived["R2:bus_mismatch"][0] == pytest.approx(0.01)
        assert derived.quality("R2:bus_mismatch")[0] == 0
        assert derived.quality("L2:kvl_residual")[0] == Quality.CALCULATED


def test_times_of_blocks_are_those_of_the_stream() -> None:
    assert (readings(quiet_phasors()[:3], row=5).time == times(3, 30.0, 5)).all()
