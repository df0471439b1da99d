"""What changes against a terminal's own past, and what a clock that runs wrong looks like across a line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gridtop.blocks import Block, Quality
from gridtop.quantities import CATALOGUE, Quantities
from tests.phasor_blocks import RELAYS, SITE, Derived, faulted_phasors, quiet_phasors, readings

Floats = npt.NDArray[np.float64]
RATE = 30
WANTED = ("*:clock_difference", "*:clock_difference_error", "*:voltage_step", "*:current_step")


def lasting(seconds: int, *changes: tuple[int, float, complex]) -> Block:
    """Quiet phasors that stand still; from each second on, V times a number and I times another, at R1."""
    phasors = np.repeat(quiet_phasors()[:1], seconds * RATE, axis=0)
    for second, voltage, current in changes:
        phasors[second * RATE :, 0, 0] *= voltage
        phasors[second * RATE :, 0, 1] *= current
    return readings(phasors)


def derived(block: Block, size: int = 4096) -> Floats:
    """(n, k) the four quantities, from blocks of `size` frames."""
    quantities = Quantities(block.channels, SITE, WANTED)
    pieces = [quantities.extend(block.slice(at, at + size)).values for at in range(0, len(block), size)]
    return np.concatenate(pieces)[:, len(block.channels) :]


class TestClocks:
    @pytest.mark.parametrize("degrees", [-120.0, -2.0, 0.0, 0.5, 21.6, 179.0])
    @pytest.mark.parametrize(("line", "relay"), [("L1", "R2"), ("L2", "R4")])
    def test_a_turned_clock_of_the_second_end_shows_its_degrees_and_no_error(
        self, line: str, relay: str, degrees: float
    ) -> None:
        phasors = quiet_phasors()[:5].copy()
        phasors[:, RELAYS.index(relay)] *= np.exp(1j * np.radians(degrees))
        found = Derived(readings(phasors))
        assert found[f"{line}:clock_difference"] == pytest.approx(degrees, abs=0.05)
        assert found[f"{line}:clock_difference_error"].max() < 2e-3

    def test_of_the_first_end_it_shows_with_the_other_sign(self) -> None:
        phasors = quiet_phasors()[:5].copy()
        phasors[:, 0] *= np.exp(1j * np.radians(5.0))
        assert Derived(readings(phasors))["L1:clock_difference"] == pytest.approx(-5.0, abs=0.05)

    def test_in_a_short_circuit_the_error_says_that_it_is_no_clock(self) -> None:
        before, during = Derived(readings(faulted_phasors("ABC")))["L1:clock_difference_error"]
        assert before < 2e-3
        assert during > 0.05

    def test_a_line_that_is_open_at_one_end_has_none(self) -> None:
        phasors = quiet_phasors()[:3].copy()
        phasors[1, 1, 1] = 0.0
        found = Derived(readings(phasors))
        for name in ("L1:clock_difference", "L1:clock_difference_error"):
            assert np.isnan(found[name]).tolist() == [False, True, False]


class TestSteps:
    def test_a_voltage_that_falls_is_a_step_for_fifteen_seconds(self) -> None:
        found = Derived(lasting(60, (30, 0.9, 1.0)))["R1:voltage_step"]
        size = np.abs(quiet_phasors()[0, 0, 0]).mean() / (230e3 / 3**0.5)
        assert np.isnan(found[:RATE]).all()
        assert found[RATE : 30 * RATE] == pytest.approx(0.0, abs=1e-9)
        assert found[30 * RATE : 44 * RATE] == pytest.approx(0.1 * size, rel=1e-3)
        assert found[47 * RATE :] == pytest.approx(0.0, abs=1e-9)

    @pytest.mark.parametrize("factor", [0.5, 1.3, np.exp(0.5j)], ids=["half", "more", "turned"])
    def test_a_current_that_changes_size_or_angle_is_a_step(self, factor: complex) -> None:
        found = Derived(lasting(40, (30, 1.0, factor)))["R1:current_step"]
        current = Derived(lasting(1))["R1:positive_current_pu"][0]
        assert found[29 * RATE] == pytest.approx(0.0, abs=1e-9)
        assert found[30 * RATE : 40 * RATE] == pytest.approx(abs(factor - 1) * current, rel=1e-6)

    def test_a_clock_that_jumps_is_no_step(self) -> None:
        block = lasting(40)
        phasors = np.repeat(quiet_phasors()[:1], 40 * RATE, axis=0)
        phasors[30 * RATE :, 0] *= np.exp(1j * np.radians(40.0))
        found = Derived(readings(phasors, row=block.row))
        for name in ("R1:voltage_step", "R1:current_step"):
            assert found[name][30 * RATE :] == pytest.approx(0.0, abs=1e-9)

    def test_doubtful_frames_are_compared_but_not_remembered(self) -> None:
        block = lasting(40, (10, 0.8, 1.0))
        quality = np.zeros(block.values.shape, dtype=np.uint16)
        quality[10 * RATE :, block.channels.names.index("R1-PM1:V")] = Quality.SUSPECT
        found = Derived(Block(block.channels, block.time, block.values, quality))["R1:voltage_step"]
        assert found[10 * RATE : 39 * RATE].min() > 0.1

    def test_a_doubt_about_the_far_end_is_no_doubt_about_a_fault(self) -> None:
        block = lasting(3)
        quality = np.zeros(block.values.shape, dtype=np.uint16)
        quality[:, block.channels.names.index("R2-PM4:I")] = Quality.SUSPECT
        found = Derived(Block(block.channels, block.time, block.values, quality), wanted=["R1:fault"])
        assert not found.quality("R1:fault").any()

    @pytest.mark.parametrize("wanted", ["R1:voltage_step", "R1:current_step", "R1:fault"])
    def test_each_is_the_same_alone_and_with_all_others(self, wanted: str) -> None:
        block = lasting(40, (20, 0.7, 3.0))
        alone = Quantities(block.channels, SITE, [wanted]).extend(block)
        assert alone.values[:, -1].tobytes() == Derived(block)[wanted].tobytes()


def test_cut_of_the_stream_changes_no_bit() -> None:
    phasors = np.tile(quiet_phasors(), (8, 1, 1, 1, 1)).reshape(-1, 4, 2, 3)
    phasors[500:520, 1, 1] = 0.0
    phasors[600:, 0] *= 0.9 * np.exp(0.1j)
    block = readings(phasors, row=17)
    whole = derived(block)
    for size in (1, 7, 256):
        assert derived(block, size).tobytes() == whole.tobytes()


def test_these_are_the_quantities_that_are_meant() -> None:
    assert {name.partition(":")[2] for name in WANTED} <= {quantity.name for quantity in CATALOGUE}
