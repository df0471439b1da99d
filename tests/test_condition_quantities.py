"""Line resistance and VT ratio: right on exact phasors, blind to the load, and clear about what they lack."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.baseline import Baseline
from gridtop.blocks import Block, Quality
from gridtop.quantities import Quantities
from tests.phasor_blocks import SITE, Complexes, Derived, balanced, line_data, quiet_phasors, readings, site

WANTED = ("*:line_resistance", "*:vt_ratio")
NOMINAL = 230e3 / 3**0.5
SHARED = site(buses={"B2": {"terminals": ["R1", "R2", "R3"]}}, lines={})


def scaled(relay: int, factor: complex, quantity: int = 0) -> Complexes:
    """Quiet phasors of which one relay measures its voltages (or currents, 1) wrong."""
    phasors = quiet_phasors()[:30].copy()
    phasors[:, relay, quantity] *= factor
    return phasors


class TestLineResistance:
    def test_it_is_that_of_the_line_whichever_way_the_power_flows(self) -> None:
        derived = Derived(readings(quiet_phasors()), wanted=WANTED)
        # Within the milliohms of a breaker. Power flows out of L1 at R2, and into L2 at R4.
        assert derived["L1:line_resistance"] == pytest.approx(3.7, abs=0.02)
        assert derived["L2:line_resistance"] == pytest.approx(3.7, abs=0.02)

    def test_it_needs_neither_the_impedance_nor_the_charging_of_the_line(self) -> None:
        bare = site(lines=line_data(z1=None, z0=None, b1=None, b0=None))
        derived = Derived(readings(quiet_phasors()), bare, wanted=WANTED)
        # The mean of both ends' currents is the series current but for the difference of their chargings.
        assert derived["L1:line_resistance"] == pytest.approx(3.7, abs=0.04)

    @pytest.mark.parametrize("load", [0.3, 0.6, 1.0])
    def test_it_does_not_follow_the_load(self, load: float) -> None:
        z1, half = 3.7 + 37j, 0.5j * 330e-6
        series = 400.0 * load * np.exp(-0.2j)
        near = complex(NOMINAL)
        far = near - z1 * series
        ends = [balanced(near, series + half * near, 3), balanced(far, -series + half * far, 3)]
        derived = Derived(readings(np.concatenate(ends, axis=1)), wanted=WANTED)
        assert derived["L1:line_resistance"] == pytest.approx(3.7, abs=1e-9)

    def test_an_error_of_a_voltage_is_large_in_it_and_the_baseline_takes_out_what_it_knows(self) -> None:
        block = readings(scaled(0, 1.001))
        wrong = Derived(block, wanted=WANTED)["L1:line_resistance"]
        assert np.abs(wrong - 3.7).min() > 0.2
        known = Baseline(
            learned="2026-01-01",
            recording="quiet",
            sha256="0",
            first="0",
            last="1",
            frames=30,
            # V_first is 1.001 times too large, so 0.001 / 1.001 of what is measured is error.
            coefficients={"L1:kvl_residual": ((0.001 / 1.001, 0.0), (0.0, 0.0))},
        )
        right = Derived(block, wanted=WANTED, baseline=known)["L1:line_resistance"]
        assert right == pytest.approx(3.7, abs=0.02)

    def test_a_line_that_carries_nothing_has_none(self) -> None:
        assert np.isnan(Derived(readings(scaled(1, 0.01, 1)), wanted=WANTED)["L1:line_resistance"]).all()

    def test_a_line_measured_at_one_end_says_what_it_lacks(self) -> None:
        channels = readings(quiet_phasors()[:3]).channels
        without = channels.subset([i for i, c in enumerate(channels) if not c.name.startswith("R2-PM")])
        missing = Quantities(without, SITE, ("*:line_resistance",)).missing
        assert any(text.startswith("line_resistance of L1: R2 lacks") for text in missing)


class TestVtRatio:
    def test_two_equal_voltages_have_a_ratio_of_one(self) -> None:
        derived = Derived(readings(quiet_phasors()), wanted=WANTED)
        assert derived["R2:vt_ratio"] == pytest.approx(1.0, abs=1e-9)
        assert derived["R3:vt_ratio"] == pytest.approx(1.0, abs=1e-9)
        assert "R1:vt_ratio" not in derived

    def test_of_two_the_other_shows_it_turned_round(self) -> None:
        derived = Derived(readings(scaled(1, 1.004)), wanted=WANTED)
        assert derived["R2:vt_ratio"] == pytest.approx(1.004)
        assert derived["R3:vt_ratio"] == pytest.approx(1 / 1.004)

    def test_of_four_the_wrong_one_stands_alone(self) -> None:
        phasors = np.repeat(quiet_phasors()[:9, :1], 4, axis=1)
        phasors[:, 2, 0] *= 0.99
        shared = site(buses={"B2": {"terminals": ["R1", "R2", "R3", "R4"]}}, lines={})
        derived = Derived(readings(phasors), shared, wanted=WANTED)
        assert derived["R3:vt_ratio"] == pytest.approx(0.99)
        for others in ("R1", "R2", "R4"):
            assert derived[f"{others}:vt_ratio"] == pytest.approx(1.0)

    def test_a_terminal_that_says_nothing_is_left_out_of_the_median(self) -> None:
        block = readings(np.repeat(quiet_phasors()[:2, :1], 3, axis=1))
        values = block.values.copy()
        values[0, block.channels.position("R2-PM1:V")] = np.nan
        values[0, block.channels.position("R3-PM1:V")] *= 1.02
        derived = Derived(Block(block.channels, block.time, values), SHARED, wanted=WANTED)
        third = derived["R3:vt_ratio"][0]
        assert third == pytest.approx(1 + 0.02 / 3, rel=1e-3)
        assert derived["R1:vt_ratio"] == pytest.approx([1 / third, 1.0])
        assert np.isnan(derived["R2:vt_ratio"][0])

    def test_a_clock_that_runs_wrong_changes_nothing(self) -> None:
        derived = Derived(readings(scaled(1, np.exp(0.7j))), wanted=WANTED)
        assert derived["R2:vt_ratio"] == pytest.approx(1.0, abs=1e-9)
        flags = {f"R2-PA{n}:VH": Quality.UNSYNCHRONISED for n in (1, 2, 3)}
        marked = Derived(readings(quiet_phasors()[:3], flags=flags), wanted=WANTED)
        assert not marked.quality("R2:vt_ratio").any()
        assert (marked.quality("L1:line_resistance") == Quality.CALCULATED).all()

    def test_a_dead_bus_has_none_and_an_open_coupler_says_so(self) -> None:
        dead = Derived(readings(scaled(1, 0.05)), wanted=WANTED)
        assert np.isnan(dead["R2:vt_ratio"]).all()
        assert np.isnan(dead["R3:vt_ratio"]).all()
        apart = site(buses={"B2": {"terminals": ["R2", "R3"], "coupler": "open"}})
        missing = Quantities(readings(quiet_phasors()[:1]).channels, apart, WANTED).missing
        assert "vt_ratio of R2: the coupler of bus B2 is open" in missing


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.2), st.integers(0, 2**32 - 1))
def test_cutting_the_stream_differently_changes_no_bit(size: int, lost: float, seed: int) -> None:
    whole = readings(quiet_phasors()[:60])
    values = whole.values.copy()
    values[np.random.default_rng(seed).random(values.shape) < lost] = np.nan
    block = Block(whole.channels, whole.time, values)
    expected = _derived([block])
    pieces = [block.slice(i, i + size) for i in range(0, len(block), size)]
    assert _derived(pieces).tobytes() == expected.tobytes()


def _derived(blocks: list[Block]) -> npt.NDArray[np.float64]:
    """(n, k) what the wanted quantities are in a stream of blocks."""
    quantities = Quantities(blocks[0].channels, SITE, WANTED)
    own = len(blocks[0].channels)
    return np.vstack([quantities.extend(block).values[:, own:] for block in blocks])
