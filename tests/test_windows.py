"""Quantities with a memory: what they find, what they leave alone, and that blocks never show."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.naming import built_in
from gridtop.quantities import Quantities
from gridtop.quantities.damping import strongest_mode
from gridtop.quantities.medians import RollingMedian
from gridtop.quantities.sums import sliding_sums
from gridtop.simulation import (
    NUMERIC_COLUMNS,
    Energisation,
    Event,
    Fault,
    GpsDrift,
    Inrush,
    LoadStep,
    OpenCt,
    ShortCircuit,
    Simulation,
    TripCommand,
    VtFuse,
)
from tests.phasor_blocks import SITE, balanced, readings, site
from tests.streams import START, times

Floats = npt.NDArray[np.float64]
RATE = 30
RELAYS = ("R1", "R2", "R3", "R4")
WINDOWED = (
    "*:rocof",
    "*:frequency_residual",
    "*:frequency_stability",
    "*:angle_step",
    "*:fault",
    "*:oscillation_band?",
    "*:damping",
)
MEASURED = ChannelSet(tuple(built_in(name).channel(name) for name in NUMERIC_COLUMNS), 30.0)
RELAY = ChannelSet(
    (
        Channel("R1-PM7:V", "voltage", "V", "R1", "+", "magnitude"),
        Channel("R1-PA7:VH", "voltage", "deg", "R1", "+", "angle"),
        Channel("R1-PM10:I", "current", "A", "R1", "+", "magnitude"),
        Channel("R1-PA10:IH", "current", "deg", "R1", "+", "angle"),
        Channel("R1:F", "frequency", "Hz", "R1"),
    ),
    float(RATE),
)
NOMINAL = 230e3 / 3**0.5


def derived(block: Block, *wanted: str, size: int = 4096, quantities: Quantities | None = None) -> Floats:
    """(n, k) what is derived from a block, cut into blocks of `size` frames."""
    quantities = quantities or Quantities(block.channels, SITE, wanted)
    quantities.restart()
    pieces = [
        quantities.extend(block.slice(at, at + size)).values[:, len(block.channels) :]
        for at in range(0, len(block), size)
    ]
    return np.concatenate(pieces)


def one(block: Block, wanted: str) -> Floats:
    return derived(block, wanted)[:, 0]


def relay(
    n: int, frequency: Floats | float = 60.0, angle: Floats | float = 0.0, power: Floats | float = 1.0
) -> Block:
    """n frames of one relay at nominal voltage; `power` is its current in units of 400 A, in phase."""
    angle = np.broadcast_to(np.asarray(angle, dtype=float), n)
    columns = (np.full(n, NOMINAL), angle, np.broadcast_to(400.0 * np.asarray(power), n), angle, frequency)
    return Block(RELAY, times(n, RATE), np.stack([np.broadcast_to(c, n) for c in columns], axis=1))


def kept(block: Block, rows: npt.NDArray[np.bool_]) -> Block:
    """A block without the other rows."""
    return Block(block.channels, block.time[rows].copy(), block.values[rows].copy(), None, {}, block.row)


def changed(block: Block, name: str, rows: slice | npt.NDArray[np.bool_], value: float = np.nan) -> Block:
    """A block with other values in one column."""
    values = block.values.copy()
    values[rows, block.channels.position(name)] = value
    return Block(block.channels, block.time, values, block.quality, {}, block.row)


def simulated(*events: Event, seconds: float = 40, seed: int = 3) -> Block:
    frames = Simulation(events=events, seed=seed).read(round(seconds * RATE))
    return Block(MEASURED, START + frames.time.astype("timedelta64[ns]"), frames.values)


@functools.cache
def eventful() -> Block:
    """Three minutes with a fault, lost frames, a gap and doubtful values."""
    fault = Fault("L1", "AG", distance=0.4, resistance=10)
    block = simulated(ShortCircuit(start=70, fault=fault), seconds=180)
    lost = np.random.default_rng(1).random(block.values.shape) < 0.01
    values = np.where(lost, np.nan, block.values)
    values[3000:3020, block.channels.position("R2:F")] = np.nan
    quality = np.zeros(values.shape, dtype=np.uint16)
    quality[1000:1100, block.channels.position("R3-PM1:V")] = Quality.FLATLINE
    present = np.ones(len(block), dtype=bool)
    present[4000:4100] = False
    return Block(MEASURED, block.time[present], values[present], quality[present], {}, 17)


class TestBlocks:
    @pytest.mark.parametrize("size", [1, 7, 256])
    @pytest.mark.parametrize("wanted", WINDOWED)
    def test_cut_of_the_stream_changes_no_bit(self, wanted: str, size: int) -> None:
        block = eventful()
        if size == 1:
            block = block.slice(1900, 2900)
        whole, pieces = derived(block, wanted), derived(block, wanted, size=size)
        assert np.isfinite(whole).any() or wanted == "*:damping" or size == 1
        assert whole.tobytes() == pieces.tobytes()

    def test_restart_forgets(self) -> None:
        block = eventful()
        used = Quantities(block.channels, SITE, WINDOWED)
        used.extend(block)
        fresh = Quantities(block.channels, SITE, WINDOWED)
        head = block.slice(0, 1500)
        assert np.array_equal(derived(head, quantities=used), derived(head, quantities=fresh), equal_nan=True)

    def test_a_stream_without_times_has_no_rates_and_no_hertz(self) -> None:
        rows = ChannelSet(MEASURED.channels, 30.0, "row")
        quantities = Quantities(rows, SITE, WINDOWED)
        derived_names = {name.partition(":")[2] for name in quantities.channels.names[len(rows) :]}
        assert derived_names == {"frequency_stability", "angle_step", "fault"}
        assert "rocof of R1: the recording has no times" in quantities.missing


class TestRocof:
    @settings(max_examples=30, deadline=None)
    @given(
        st.floats(-5, 5),
        st.floats(-1, 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from([25.0, 30.0, 60.0]),
    )
    def test_any_slope_is_recovered_whatever_is_missing(
        self, slope: float, offset: float, seed: int, rate: float
    ) -> None:
        draw = np.random.default_rng(seed)
        n = 120
        jitter = draw.uniform(-0.2, 0.2, n) / rate
        seconds = np.arange(n) / rate + jitter
        present = draw.random(n) < 0.9
        present[:30] = True
        channels = ChannelSet(RELAY.channels, rate)
        base = relay(n, 60 + offset + slope * seconds)
        time = START + np.round(seconds * 1e9).astype("timedelta64[ns]")
        block = Block(channels, time[present], base.values[present])
        block = changed(block, "R1:F", draw.random(len(block)) < 0.1)
        found = one(block, "R1:rocof")
        assert np.isfinite(found).sum() > 40
        assert found[np.isfinite(found)] == pytest.approx(slope, abs=1e-6)

    def test_noise_of_a_millihertz_is_one_point_eight_millihertz_a_second(self) -> None:
        noise = np.random.default_rng(0).normal(0, 1e-3, 30_000)
        assert np.nanstd(one(relay(30_000, 60 + noise), "R1:rocof")) == pytest.approx(1.85e-3, rel=0.1)

    def test_there_is_none_before_the_window_is_full_nor_without_enough_frames(self) -> None:
        block = relay(90, 60 + 0.5 * np.arange(90) / RATE)
        assert np.isnan(one(block, "R1:rocof")[:14]).all()
        assert one(block, "R1:rocof")[14] == pytest.approx(0.5)
        sparse = changed(
            block, "R1:F", slice(40, 47)
        )  # of 15 frames 8 are left; 9 over 300 ms only from frame 56 on
        found = one(sparse, "R1:rocof")
        assert np.isnan(found[40:56]).all()
        assert found[56:] == pytest.approx(0.5)
        found = one(changed(block, "R1:F", slice(40, 45)), "R1:rocof")
        assert np.flatnonzero(np.isnan(found[14:])).tolist() == list(range(26, 31))

    def test_a_gap_begins_anew(self) -> None:
        frequency = np.where(np.arange(200) < 100, 59.0, 61.0)
        present = (np.arange(200) < 100) | (np.arange(200) >= 130)
        found = one(kept(relay(200, frequency), present), "R1:rocof")
        assert np.isnan(found[100:109]).all()
        assert found[109:] == pytest.approx(0.0, abs=1e-9)

    def test_a_dead_bus_has_none_and_leaves_no_trace(self) -> None:
        block = changed(relay(120, 60.0), "R1-PM7:V", slice(50, 54), 1000.0)
        block = changed(block, "R1:F", slice(50, 54), 20.0)
        found = one(block, "R1:rocof")
        assert np.isnan(found[50:54]).all()
        assert found[54:] == pytest.approx(0.0, abs=1e-9)

    def test_doubtful_frames_are_left_out(self) -> None:
        block = changed(relay(60, 60.0), "R1:F", slice(30, 32), 65.0)
        quality = np.zeros(block.values.shape, dtype=np.uint16)
        quality[30:32, 4] = Quality.SUSPECT
        flagged = Block(block.channels, block.time, block.values, quality)
        found = one(flagged, "R1:rocof")
        assert np.isnan(found[30:32]).all()
        assert found[32:] == pytest.approx(0.0, abs=1e-9)

    def test_a_slow_stream_says_why_it_has_none(self) -> None:
        slow = Quantities(ChannelSet(RELAY.channels, 1.0), SITE, ["*:rocof"])
        assert any("1 frames/s are too few for a slope over 500 ms" in line for line in slow.missing)


class TestFrequencyResidual:
    def test_far_off_nominal_the_rotation_does_not_alias(self) -> None:
        deviation = 18.0  # more than half a turn a frame
        angle = (360 * deviation * np.arange(90) / RATE + 180) % 360 - 180
        found = one(relay(90, 60 + deviation, angle), "R1:frequency_residual")
        assert found[14:] == pytest.approx(0.0, abs=1e-6)

    @pytest.mark.parametrize("rate", [-40.0, 2.0, 90.0])
    def test_an_angle_that_turns_against_the_frequency_shows_as_its_rate_over_a_turn(
        self, rate: float
    ) -> None:
        angle = (rate * np.arange(90) / RATE + 180) % 360 - 180
        found = one(relay(90, 60.0, angle), "R1:frequency_residual")
        assert found[14:] == pytest.approx(abs(rate) / 360, abs=1e-6)

    def test_a_drifting_clock_takes_both_along_and_shows_only_where_it_begins_and_jumps(self) -> None:
        drift = GpsDrift(start=10, duration=8, relay="R2", rate=90.0, flagged=False)
        found = derived(simulated(drift, seconds=22), "R?:frequency_residual")
        assert np.nanmax(found[11 * RATE : 18 * RATE]) < 3e-3
        assert np.nanmax(found[10 * RATE : 11 * RATE, 1]) > 0.02
        assert np.nanmax(found[18 * RATE : 19 * RATE, 1]) > 0.02
        assert np.nanmax(found[:, [0, 2, 3]]) < 3e-3

    def test_one_lost_frame_loses_itself_and_the_next(self) -> None:
        found = one(changed(relay(90), "R1-PA7:VH", slice(50, 51)), "R1:frequency_residual")
        assert np.flatnonzero(np.isnan(found[20:])).tolist() == [30, 31]


class TestFrequencyStability:
    def test_it_is_one_less_the_rms_over_fifty_millihertz(self) -> None:
        swinging = 60 + 0.02 * np.sqrt(2) * np.sin(2 * np.pi * np.arange(900) / RATE)
        found = one(relay(900, swinging), "R1:frequency_stability")
        assert np.isnan(found[:9]).all()
        assert found[300:] == pytest.approx(0.6, abs=1e-3)
        assert one(relay(900, 61.0), "R1:frequency_stability")[300:] == pytest.approx(0.0)

    def test_a_spike_is_forgotten_to_the_bit(self) -> None:
        steady, spike = relay(900, 60.01), changed(relay(900, 60.01), "R1:F", slice(200, 201), 1e9)
        after = [one(block, "R1:frequency_stability")[500:] for block in (steady, spike)]
        assert np.array_equal(after[0], after[1])

    def test_a_gap_leaves_only_what_is_within_ten_seconds(self) -> None:
        frequency = np.where(np.arange(900) < 300, 61.0, 60.0)
        present = (np.arange(900) < 300) | (np.arange(900) >= 400)
        found = one(kept(relay(900, frequency), present), "R1:frequency_stability")
        assert found[490] < 1.0
        assert found[501:] == pytest.approx(1.0)

    def test_of_the_system_one_wrong_device_says_nothing(self) -> None:
        block = simulated(seconds=20)
        wrong = changed(block, "R4:F", slice(None), 55.0)
        found = [one(b, "system:frequency_stability")[300:] for b in (block, wrong)]
        assert found[0] == pytest.approx(found[1], abs=0.02)
        assert found[0].min() > 0.5


class TestAngleStep:
    def test_a_step_shows_until_the_median_follows(self) -> None:
        shift = np.where(np.arange(120 * RATE) < 60 * RATE, 6.0, 11.0)
        found = angle_step(shift)
        assert np.isnan(found[: 10 * RATE]).all()
        assert found[10 * RATE : 60 * RATE] == pytest.approx(0.0, abs=1e-9)
        assert found[60 * RATE : 89 * RATE] == pytest.approx(5.0)
        assert found[92 * RATE :] == pytest.approx(0.0, abs=1e-9)

    def test_half_a_turn_is_no_edge(self) -> None:
        swinging = 180 + 3 * np.sin(np.arange(1800) / 10)
        assert np.nanmax(np.abs(angle_step(swinging))) < 6.1


def angle_step(shift: Floats) -> Floats:
    """Of L1, whose first end leads the second by `shift` degrees."""
    relays = np.concatenate((balanced(NOMINAL, 400.0, len(shift)),) * 2, axis=1)
    relays[:, 0] *= np.exp(1j * np.radians(shift))[:, np.newaxis, np.newaxis]
    return one(readings(relays), "L1:angle_step")


class TestFault:
    @pytest.mark.parametrize("kind", ["AG", "BC", "ABC", "CG", "CA"])
    @pytest.mark.parametrize("line", ["L1", "L2"])
    def test_both_ends_see_it_within_two_frames_and_the_other_line_does_not(
        self, line: str, kind: str
    ) -> None:
        fault = Fault(line, kind, distance=0.35, resistance=15)  # type: ignore[arg-type]
        found = derived(simulated(ShortCircuit(start=20.01, fault=fault), seconds=32), "*:fault")
        start = round(20.01 * RATE) + 1
        own, other = ([0, 1], [2, 3]) if line == "L1" else ([2, 3], [0, 1])
        assert (found[start : start + 2, own].max(axis=0) == 1).all()
        assert np.nanmax(found[:, other]) == 0
        assert np.nanmax(found[: start - 1]) == 0

    @pytest.mark.parametrize(
        "event",
        [
            TripCommand(start=20, relays=("R1", "R2")),
            TripCommand(start=20, relays=("R3",)),
            LoadStep(start=20, level=1.15),
            Energisation(start=20, line="L1", outage=8),
            Inrush(start=20, size=0.5),
            VtFuse(start=20, duration=8, relay="R1", phase="B"),
            OpenCt(start=20, duration=8, relay="R2", phase="A"),
        ],
        ids=lambda event: event.kind,
    )
    def test_what_is_no_fault_is_none(self, event: Event) -> None:
        assert np.nanmax(derived(simulated(event, seconds=45), "*:fault")) == 0

    def test_it_speaks_as_soon_as_the_first_second_is_complete(self) -> None:
        found = derived(simulated(seconds=3), "*:fault")
        assert np.isnan(found[:RATE]).all()
        assert (found[RATE:] == 0).all()

    def test_a_lost_frame_at_the_other_end_does_not_hide_it(self) -> None:
        fault = Fault("L1", "BC", distance=0.3, resistance=5)
        block = simulated(ShortCircuit(start=20.01, fault=fault), seconds=24)
        values = block.values.copy()
        values[600:640, [name.startswith("R2") for name in block.channels.names]] = np.nan
        found = derived(Block(MEASURED, block.time, values), "*:fault")
        assert found[601:604, 0].max() == 1
        assert np.isnan(found[601:604, 1]).all()

    def test_one_terminal_asked_for_alone_is_still_compared_with_the_other_end(self) -> None:
        fault = Fault("L2", "AG", distance=0.35, resistance=15)
        block = simulated(ShortCircuit(start=20.01, fault=fault), seconds=24)
        assert np.array_equal(one(block, "R1:fault"), derived(block, "*:fault")[:, 0], equal_nan=True)
        assert np.nanmax(one(block, "R1:fault")) == 0

    def test_without_lines_each_terminal_judges_alone(self) -> None:
        fault = Fault("L1", "AG", distance=0.4, resistance=10)
        block = simulated(ShortCircuit(start=20.01, fault=fault), seconds=24)
        found = derived(block, quantities=Quantities(MEASURED, site(lines={}, buses={}), ["*:fault"]))
        assert (found[600:604, :2].max(axis=0) == 1).all()


def ambient(n: int, seed: int = 4) -> Floats:
    """Load that wanders, as a share of 1."""
    draw = np.random.default_rng(seed)
    wander = np.zeros(n)
    steps = draw.normal(0, 1.5e-4, n)
    for i in range(1, n):
        wander[i] = 0.998 * wander[i - 1] + steps[i]
    return 1 + wander + draw.normal(0, 3e-4, n)


class TestOscillations:
    def test_one_per_cent_at_0_7_hz_is_found_in_fifteen_seconds_in_its_band_alone(self) -> None:
        n, start = 150 * RATE, 120 * RATE
        seconds = np.arange(n) / RATE
        power = ambient(n) + np.where(seconds >= 120, 0.01 * np.sin(2 * np.pi * 0.7 * seconds), 0.0)
        bands = derived(relay(n, power=power), "R1:oscillation_band?")
        assert np.nanmax(bands[:start, 1:]) < 3
        assert np.flatnonzero(bands[start:, 1] > 3)[0] < 15 * RATE
        late = bands[-RATE:]
        assert (late[:, 1] > 6).all()
        assert (late[:, 3] < 2).all()

    @pytest.mark.parametrize(("hertz", "band"), [(0.06, 0), (0.5, 1), (2.5, 2), (9.0, 3)])
    def test_each_band_answers_to_its_own_frequencies(self, hertz: float, band: int) -> None:
        n = 360 * RATE
        seconds = np.arange(n) / RATE
        swing = np.where(seconds >= 240, 0.02 * np.sin(2 * np.pi * hertz * seconds), 0.0)
        bands = derived(relay(n, power=ambient(n) + swing), "R1:oscillation_band?")
        assert int(np.nanargmax(bands[-1])) == band
        assert bands[-1, band] > 3

    def test_a_step_is_over_before_an_oscillation_would_have_to_be_believed(self) -> None:
        n = 150 * RATE
        power = ambient(n) + np.where(np.arange(n) < 100 * RATE, 0.0, 0.1)
        bands = derived(relay(n, power=power), "R1:oscillation_band[23]")
        for band, least, seconds in ((0, 2.0, 20), (1, 1.4, 15)):
            beyond = np.flatnonzero(bands[99 * RATE :, band] > least)
            assert 0 < len(beyond) < seconds * RATE / 2

    def test_without_power_the_frequency_is_taken(self) -> None:
        n = 120 * RATE
        seconds = np.arange(n) / RATE
        noise = np.random.default_rng(2).normal(0, 1e-3, n)
        swing = np.where(seconds >= 90, 0.02 * np.sin(2 * np.pi * 0.7 * seconds), 0.0)
        only = ChannelSet((RELAY[4],), float(RATE))
        block = Block(only, times(n, RATE), (60 + noise + swing).reshape(-1, 1))
        assert one(block, "R1:oscillation_band2")[-1] > 6

    def test_lost_frames_are_bridged_and_a_gap_begins_anew(self) -> None:
        n = 120 * RATE
        block = relay(n, power=ambient(n))
        lost = changed(block, "R1-PM10:I", np.random.default_rng(3).random(n) < 0.02)
        found = derived(lost, "R1:oscillation_band[234]")
        assert found[-1] == pytest.approx(derived(block, "R1:oscillation_band[234]")[-1], rel=0.3)
        present = (np.arange(n) < 80 * RATE) | (np.arange(n) >= 90 * RATE)
        doubled = relay(n, power=np.where(np.arange(n) < 85 * RATE, 1.0, 2.0) * ambient(n))
        after = derived(kept(doubled, present), "R1:oscillation_band[34]")[81 * RATE :]
        assert np.nanmax(after) < 4  # the power doubled in the gap: no step is seen

    def test_a_slow_stream_has_the_slow_bands_and_says_so(self) -> None:
        slow = Quantities(ChannelSet(RELAY.channels, 10.0), SITE, ["*:oscillation_band?"])
        assert slow.channels.names[5:] == tuple(f"R1:oscillation_band{i}" for i in (1, 2, 3))
        assert any("too few for oscillations above 5 Hz" in line for line in slow.missing)


class TestDamping:
    @settings(max_examples=25, deadline=None)
    @given(st.floats(-1, 12), st.floats(0.4, 2.5), st.floats(0, 6.28))
    def test_a_ring_down_is_known_within_a_percentage_point(
        self, percent: float, hertz: float, phase: float
    ) -> None:
        mode = strongest_mode(100 + ring_down(np.arange(60) / 10, percent, hertz, phase), 0.1)
        assert mode is not None
        assert mode.damping == pytest.approx(percent, abs=1.0)
        assert mode.frequency == pytest.approx(hertz, rel=0.02)

    def test_it_is_given_after_an_event_and_only_then(self) -> None:
        n, event = 90 * RATE, 60 * RATE
        seconds = np.arange(n) / RATE
        noise = np.random.default_rng(5).normal(0, 3e-4, n)
        swing = np.where(seconds >= 60, 0.05 * ring_down(seconds - 60, 5.5, 0.9), 0.0)
        found = one(relay(n, power=1 + noise + swing), "R1:damping")
        given = np.flatnonzero(np.isfinite(found))
        assert given.size > 2 * RATE
        assert event + 5 * RATE < given[0] < event + 9 * RATE
        assert found[given] == pytest.approx(5.5, abs=1.0)

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_and_steps_have_none(self, seed: int) -> None:
        n = 120 * RATE
        power = ambient(n, seed) + np.where(np.arange(n) < 80 * RATE, 0.0, 0.3)
        assert np.isnan(one(relay(n, power=power), "R1:damping")).all()


def ring_down(seconds: Floats, percent: float, hertz: float, phase: float = 0.0) -> Floats:
    """A damped oscillation of amplitude 1 at 0 s, with noise."""
    ratio = percent / 100
    turning = 2 * np.pi * hertz
    noise = np.random.default_rng(6).normal(0, 2e-3, len(seconds))
    damped = turning * np.sqrt(1 - ratio**2)
    swing: Floats = np.exp(-ratio * turning * np.maximum(seconds, 0)) * np.cos(damped * seconds + phase)
    return swing + noise


class TestSums:
    @given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 1000))
    def test_sliding_sums_are_sums(self, frames: int, n: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        values = draw.normal(size=(2, frames - 1 + n))
        number = draw.integers(0, frames + 1, n)
        all_of = [values[:, i : i + frames].sum(axis=1) for i in range(n)]
        some = [values[:, i + frames - number[i] : i + frames].sum(axis=1) for i in range(n)]
        assert sliding_sums(values, frames) == pytest.approx(np.stack(all_of, axis=1), abs=1e-12)
        assert sliding_sums(values, frames, number) == pytest.approx(np.stack(some, axis=1), abs=1e-12)


class TestMedians:
    def test_a_disturbance_of_a_third_of_the_window_moves_it_little(self) -> None:
        median = RollingMedian(10.0, 30.0, 1.0)
        values = np.ones((1, 600))
        values[0, 300:400] = 50.0
        found = median(values, times(600, 10.0).view(np.int64), 0)
        assert np.isnan(found[0, :10]).all()
        assert (found[0, 10:] == 1.0).all()

    def test_what_is_older_than_the_window_is_gone(self) -> None:
        median = RollingMedian(10.0, 30.0, 1.0)
        time = times(200, 10.0).view(np.int64).copy()
        time[100:] += 60 * 10**9
        values = np.where(np.arange(200) < 100, 1.0, 5.0)[np.newaxis]
        found = median(values, time, 0)
        assert np.isnan(found[0, 100:110]).all()
        assert (found[0, 110:] == 5.0).all()
