"""The simulated testbed obeys physics, its relays speak the public data's layout, and a seed decides all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.simulation import (
    COLUMNS,
    NUMERIC_COLUMNS,
    Fault,
    Frames,
    GridParameters,
    LoadStep,
    Maintenance,
    ShortCircuit,
    Simulation,
    TripCommand,
    timetable,
    tour,
)
from gridtop.simulation.network import Complexes, FaultKind, Floats, Network, Relay, sequences, three_phase

GRID = GridParameters()
R1, R2, R3, R4 = range(4)
VOLTAGE, CURRENT = 0, 1
POSITIVE, NEGATIVE, ZERO = range(3)
RATE = 30
FAULT_AT = 6.0


def simulate(
    *events: object, seconds: float = 12, seed: int = 3, grid: GridParameters | None = None
) -> Frames:
    return Simulation(grid, events, seed=seed).read(round(seconds * RATE))  # type: ignore[arg-type]


def column(frames: Frames, name: str) -> Floats:
    return frames.values[:, NUMERIC_COLUMNS.index(name)]


def series_currents(frames: Frames, grid: GridParameters = GRID) -> Complexes:
    """(n, 4, 3) sequence currents into the series impedance: what a relay sees less its half of the shunt."""
    components = sequences(frames.phasors)
    half_shunt = 0.5j * np.array([grid.line_b1, grid.line_b1, grid.line_b0])
    return components[:, :, CURRENT] - half_shunt * components[:, :, VOLTAGE]


def power(frames: Frames) -> Floats:
    """(n, 4) watts into the line at each relay."""
    voltage, current = frames.phasors[:, :, VOLTAGE], frames.phasors[:, :, CURRENT]
    return (voltage * current.conj()).real.sum(axis=-1)


def during(start: float, stop: float) -> slice:
    return slice(round(start * RATE), round(stop * RATE))


@pytest.fixture(scope="module")
def quiet() -> Frames:
    return simulate(seconds=20)


@pytest.fixture(scope="module")
def faulted() -> Frames:
    """A at 40 % of L1 to ground through 20 ohm: both relays clear it at once."""
    return simulate(ShortCircuit(FAULT_AT, Fault("L1", "AG", distance=0.4, resistance=20)))


class TestPhysics:
    def test_relays_on_one_bus_see_one_voltage(self, faulted: Frames) -> None:
        assert np.abs(faulted.phasors[:, R2, VOLTAGE] - faulted.phasors[:, R3, VOLTAGE]).max() < 1e-6

    @pytest.mark.parametrize(("near", "far"), [(R1, R2), (R3, R4)])
    def test_voltage_along_a_line_falls_by_its_impedance(self, quiet: Frames, near: int, far: int) -> None:
        voltage = sequences(quiet.phasors)[:, :, VOLTAGE, POSITIVE]
        drop = GRID.line_z1 * series_currents(quiet)[:, near, POSITIVE]
        # What remains is the milliohm of two breakers.
        assert np.abs(voltage[:, near] - voltage[:, far] - drop).max() < 2

    @pytest.mark.parametrize(("near", "far"), [(R1, R2), (R3, R4)])
    def test_currents_into_a_line_sum_to_its_charging_current(
        self, quiet: Frames, near: int, far: int
    ) -> None:
        assert np.abs(series_currents(quiet)[:, [near, far]].sum(axis=1)).max() < 0.01
        seen = np.abs(sequences(quiet.phasors)[:, [near, far], CURRENT, POSITIVE].sum(axis=1))
        assert 40 < seen.mean() < 48  # 330 uS at 132 kV

    def test_currents_into_a_line_without_charging_sum_to_nothing(self) -> None:
        frames = simulate(grid=GridParameters(line_b1=0, line_b0=0), seconds=2)
        assert np.abs(frames.phasors[:, R1, CURRENT] + frames.phasors[:, R2, CURRENT]).max() < 0.01

    def test_terminal_powers_sum_to_the_losses(self, quiet: Frames) -> None:
        series = series_currents(quiet)[:, [R1, R4], POSITIVE]
        losses = 3 * GRID.line_z1.real * (np.abs(series) ** 2).sum(axis=1)
        np.testing.assert_allclose(power(quiet).sum(axis=1), losses, rtol=1e-3)

    def test_lines_lose_less_than_two_percent(self, quiet: Frames) -> None:
        into = power(quiet)
        efficiency = -(into[:, R2] + into[:, R3]) / (into[:, R1] + into[:, R4])
        assert 0.98 < efficiency.min() <= efficiency.max() < 1

    def test_grid_is_balanced_without_a_fault(self, quiet: Frames) -> None:
        components = np.abs(sequences(quiet.phasors))
        assert components[..., [NEGATIVE, ZERO]].max() < 1e-3 * components.max()

    @pytest.mark.parametrize(("kind", "turn"), [("AG", 0), ("BG", -1), ("CG", 1)])
    def test_sequence_currents_of_a_ground_fault_are_equal(self, kind: FaultKind, turn: int) -> None:
        frames = simulate(ShortCircuit(1, Fault("L1", kind, 0.3, 20)), seconds=2)
        current = series_currents(frames)[31, [R1, R2]].sum(axis=0)
        rotation = np.exp(2j * np.pi / 3 * turn * np.array([1, -1, 0]))
        np.testing.assert_allclose(current * rotation, current[ZERO], rtol=2e-3)
        assert abs(current[ZERO]) > 300

    def test_fault_between_two_phases_has_no_zero_sequence(self) -> None:
        frames = simulate(ShortCircuit(1, Fault("L2", "BC", 0.7, 20)), seconds=2)
        current = series_currents(frames)[31, [R3, R4]].sum(axis=0)
        assert abs(current[ZERO]) < 0.1
        assert abs(current[POSITIVE] + current[NEGATIVE]) < 2e-3 * abs(current[POSITIVE])
        assert abs(current[NEGATIVE]) > 500

    def test_fault_of_all_phases_stays_balanced(self) -> None:
        frames = simulate(ShortCircuit(1, Fault("L2", "ABC", 0.5, 20)), seconds=2)
        current = np.abs(series_currents(frames)[31, [R3, R4]].sum(axis=0))
        assert current[POSITIVE] > 2000
        assert current[[NEGATIVE, ZERO]].max() < 1e-3

    def test_fault_current_is_voltage_over_resistance(self) -> None:
        grid, fault = GRID, Fault("L1", "BG", 0.25, 33)
        load = np.array([grid.load.conjugate() / (3 * grid.phase_voltage**2)])
        response, _ = Network(grid, fault=fault).response(load)
        seen = (response[0] @ np.full(2, grid.phase_voltage)).reshape(4, 2, 3)
        half_shunt = three_phase(0.5j * grid.line_b1, 0.5j * grid.line_b0)
        into = [seen[r, CURRENT] - half_shunt @ seen[r, VOLTAGE] for r in (R1, R2)]
        at_fault = seen[R1, VOLTAGE] - 0.25 * three_phase(grid.line_z1, grid.line_z0) @ into[0]
        # The breaker's milliohm lowers the voltage by 3 V.
        assert abs((into[0] + into[1])[1] - at_fault[1] / 33) < 0.1

    def test_more_load_lowers_the_frequency_until_secondary_control_restores_it(self) -> None:
        frames = simulate(LoadStep(5, level=1.1), seconds=90, grid=GridParameters(load_sigma=0))
        frequency = column(frames, "R1:F")
        assert np.abs(frequency[during(0, 5)] - 60).max() < 0.005
        assert 59.85 < frequency[during(5, 10)].min() < 59.95
        assert np.abs(frequency[during(80, 90)] - 60).max() < 0.01

    def test_normal_operation_resembles_the_public_data(self, quiet: Frames) -> None:
        components = sequences(quiet.phasors)
        angle = np.degrees(np.angle(components[:, :, VOLTAGE, POSITIVE]))
        apart = (angle[:, [R1]] - angle + 180) % 360 - 180
        assert 131.0e3 < np.abs(components[:, R1, VOLTAGE, POSITIVE]).mean() < 132.5e3
        assert 388 < np.abs(components[:, R1, CURRENT, POSITIVE]).mean() < 426
        assert 5.9 < apart[:, R2].mean() < 6.6
        assert abs(apart[:, R4].mean()) < 0.1


class TestDisturbances:
    def test_fault_drops_its_phase_and_raises_its_current(self, faulted: Frames) -> None:
        before, struck = during(5, FAULT_AT), during(FAULT_AT, FAULT_AT + 0.1)
        for relay in ("R1", "R2"):
            voltage = column(faulted, f"{relay}-PM1:V")
            assert voltage[struck].min() < 0.8 * voltage[before].mean()
        assert column(faulted, "R1-PM4:I")[struck].max() > 4 * column(faulted, "R1-PM4:I")[before].mean()
        healthy = column(faulted, "R1-PM2:V")
        assert healthy[struck].min() > 0.95 * healthy[before].mean()

    def test_both_ends_clear_and_reclose(self, faulted: Frames) -> None:
        currents = np.abs(faulted.phasors[:, [R1, R2], CURRENT]).max(axis=-1)
        dead = currents < 0.01
        opened = np.argmax(dead, axis=0) / RATE - FAULT_AT
        assert (opened >= 0.05).all()
        assert (opened < 0.12).all()
        length = dead.sum(axis=0) / RATE
        assert (length > 0.45).all()
        assert (length < 1.7).all()
        after = during(10, 12)
        for name in ("R1-PM1:V", "R2-PM1:V", "R1-PM4:I", "R2-PM4:I"):
            before = column(faulted, name)[during(4, FAULT_AT)].mean()
            assert column(faulted, name)[after].mean() == pytest.approx(before, rel=0.03)

    def test_far_end_clears_later(self) -> None:
        frames = simulate(ShortCircuit(2, Fault("L2", "CG", distance=0.9, resistance=20)), seconds=4)
        currents = np.abs(frames.phasors[:, :, CURRENT]).max(axis=-1)
        assert currents[round(2.1 * RATE), R4] < 0.01
        assert currents[round(2.35 * RATE), R3] > 700
        assert currents[round(2.5 * RATE), R3] < 0.01

    def test_relays_log_their_operations(self, faulted: Frames) -> None:
        for relay in (1, 2):
            log = column(faulted, f"relay{relay}_log")
            assert np.count_nonzero(np.diff(log) == 1) == 2  # opening, reclosing
        silent = [
            "relay3_log",
            "relay4_log",
            *(f"{k}_log{n}" for k in ("snort", "control_panel") for n in (1, 4)),
        ]
        assert not any(column(faulted, name).any() for name in silent)

    def test_label_covers_the_disturbance_and_nothing_before_it(self, faulted: Frames) -> None:
        labels = faulted.labels
        assert set(labels[: round(FAULT_AT * RATE)]) == {"NoEvents"}
        natural = np.flatnonzero(labels == "Natural")
        assert natural[0] == round(FAULT_AT * RATE)
        assert (np.diff(natural) == 1).all()
        assert 2.5 < len(natural) / RATE < 4
        assert labels[-1] == "NoEvents"

    def test_nothing_shows_before_its_time(self) -> None:
        # Between two frames, so that neither of them is at the instant itself.
        at = 3.01
        without, struck = simulate(seconds=4), simulate(ShortCircuit(at, Fault("L1")), seconds=4)
        before = int(at * RATE) + 1
        np.testing.assert_array_equal(without.values[:before], struck.values[:before])
        np.testing.assert_array_equal(without.phasors[:before], struck.phasors[:before])
        assert (without.values[before] != struck.values[before]).any()

    @pytest.mark.parametrize("relays", [("R1", "R2"), ("R1",)])
    def test_trip_of_one_line_doubles_the_current_of_the_other(self, relays: tuple[Relay, ...]) -> None:
        frames = simulate(TripCommand(4, relays, duration=5), seconds=14)
        other = column(frames, "R4-PM4:I")
        assert 1.7 < other[during(5, 8.9)].mean() / other[during(1, 4)].mean() < 2.3
        assert other[during(12, 14)].mean() == pytest.approx(other[during(1, 4)].mean(), rel=0.05)
        assert column(frames, "R1-PM4:I")[during(5, 8.9)].max() < 2 or relays == ("R1",)
        assert column(frames, "snort_log1").sum() == 6
        assert column(frames, "relay1_log").sum() == 6
        assert set(frames.labels[during(4, 11)]) == {"Attack"}

    def test_maintenance_opens_both_ends_from_the_panel(self) -> None:
        frames = simulate(Maintenance(3, "L2", duration=6), seconds=14)
        current = np.abs(frames.phasors[:, :, CURRENT]).max(axis=-1)
        assert current[during(3.6, 8.4)][:, [R3, R4]].max() < 0.01
        assert current[during(9.1, 14)].min() > 200
        assert np.count_nonzero(np.diff(column(frames, "control_panel_log3")) == 1) == 2
        assert not column(frames, "relay3_log").any()
        assert not column(frames, "snort_log3").any()
        assert set(frames.labels[during(3, 11)]) == {"Natural"}

    def test_open_line_has_infinite_impedance(self) -> None:
        frames = simulate(Maintenance(3, "L2", duration=6), seconds=8)
        out = during(4, 8)
        assert np.isinf(column(frames, "R3-PA:Z")[out]).all()
        assert (column(frames, "R3-PA:ZH")[out] == 0).all()
        assert np.isfinite(column(frames, "R1-PA:Z")).all()

    def test_dead_bus_has_no_frequency_and_says_so_in_its_status(self) -> None:
        frames = simulate(TripCommand(3, ("R2", "R3"), duration=4), seconds=14)
        out = during(4, 6.9)
        for name in ("R2:F", "R2:DF", "R3:F"):
            assert np.isnan(column(frames, name)[out]).all()
        assert np.isfinite(column(frames, "R1:F")).all()
        assert set(column(frames, "R2:S")[out]) == {0x0801}
        assert set(column(frames, "R2:S")[: 3 * RATE]) == {0}

    def test_events_come_one_at_a_time(self) -> None:
        overlapping = (Maintenance(2, "L1", duration=10), ShortCircuit(5, Fault("L2")))
        with pytest.raises(ValueError, match="lasts until 14 s"):
            simulate(*overlapping)
        simulate(Maintenance(2, "L1", duration=3), LoadStep(3, level=1.1), ShortCircuit(7, Fault("L2")))

    def test_events_come_in_order(self) -> None:
        with pytest.raises(ValueError, match="in order"):
            simulate(LoadStep(5, level=1.1), LoadStep(4, level=1.0))

    @pytest.mark.parametrize(
        "make",
        [
            lambda: LoadStep(-1, level=1.1),
            lambda: Fault("L1", "AG", distance=1.0),
            lambda: Fault("L1", "AG", resistance=0),
            lambda: Fault("L3", "AG"),  # type: ignore[arg-type]
            lambda: Simulation(rate=5),
        ],
    )
    def test_impossible_arguments_are_refused(self, make: object) -> None:
        with pytest.raises(ValueError):
            make()  # type: ignore[operator]


class TestReadings:
    ONE_RELAY = (
        "R1-PA1:VH R1-PM1:V R1-PA2:VH R1-PM2:V R1-PA3:VH R1-PM3:V "
        "R1-PA4:IH R1-PM4:I R1-PA5:IH R1-PM5:I R1-PA6:IH R1-PM6:I "
        "R1-PA7:VH R1-PM7:V R1-PA8:VH R1-PM8:V R1-PA9:VH R1-PM9:V "
        "R1-PA10:IH R1-PM10:I R1-PA11:IH R1-PM11:I R1-PA12:IH R1-PM12:I R1:F R1:DF R1-PA:Z R1-PA:ZH R1:S"
    )
    LOGS = (
        "control_panel_log1 control_panel_log2 control_panel_log3 control_panel_log4 "
        "relay1_log relay2_log relay3_log relay4_log snort_log1 snort_log2 snort_log3 snort_log4"
    )

    def test_columns_are_those_of_the_public_data(self, quiet: Frames) -> None:
        relays = [name.replace("R1", f"R{n}") for n in range(1, 5) for name in self.ONE_RELAY.split()]
        assert list(COLUMNS) == [*relays, *self.LOGS.split(), "marker"]
        assert len(set(COLUMNS)) == 129
        assert COLUMNS[:-1] == NUMERIC_COLUMNS
        assert quiet.values.shape == (600, 128)

    @pytest.mark.parametrize("relay", ["R1", "R2", "R3", "R4"])
    def test_sequences_are_those_of_the_reported_phases(self, faulted: Frames, relay: str) -> None:
        for kind, first, resolution in (("V", 1, 10.0), ("I", 4, 0.2)):

            def phasor(number: int, kind: str = kind) -> Complexes:
                angle = np.radians(column(faulted, f"{relay}-PA{number}:{kind}H"))
                magnitude: Complexes = column(faulted, f"{relay}-PM{number}:{kind}") * np.exp(1j * angle)
                return magnitude

            expected = sequences(np.stack([phasor(first + i) for i in range(3)], axis=-1))
            for i in range(3):
                reported = phasor(first + 6 + i)
                # Half a step of magnitude and of angle (0.01 degrees).
                allowed = resolution / 2 + np.radians(0.005) * np.abs(expected[:, i]) + 1e-6
                assert (np.abs(np.abs(reported) - np.abs(expected[:, i])) <= resolution / 2 + 1e-6).all()
                large = np.abs(expected[:, i]) > resolution
                assert (np.abs(reported - expected[:, i]) <= 1.5 * allowed)[large].all()

    @pytest.mark.parametrize("relay", ["R1", "R2", "R3", "R4"])
    def test_impedance_is_voltage_over_current(self, faulted: Frames, relay: str) -> None:
        reported = column(faulted, f"{relay}-PA:Z")
        closed = np.isfinite(reported) & (column(faulted, f"{relay}-PM10:I") > 50)
        expected = column(faulted, f"{relay}-PM7:V") / np.maximum(column(faulted, f"{relay}-PM10:I"), 1)
        np.testing.assert_allclose(reported[closed], expected[closed], rtol=3e-3)
        angle = np.radians(column(faulted, f"{relay}-PA7:VH") - column(faulted, f"{relay}-PA10:IH"))
        off = np.exp(1j * (angle - column(faulted, f"{relay}-PA:ZH")))
        assert np.abs(np.angle(off[closed])).max() < 1e-3
        assert np.isinf(reported).any() == (relay in ("R1", "R2"))

    def test_magnitudes_have_the_resolution_of_the_instruments(self, faulted: Frames) -> None:
        for name, step in (("R1-PM1:V", 10), ("R2-PM7:V", 10)):
            assert (column(faulted, name) % step == 0).all()
        for name, decimals in (("R3-PM5:I", 1), ("R1-PA2:VH", 2), ("R1:F", 3), ("R1:DF", 2)):
            values = column(faulted, name)
            np.testing.assert_array_equal(values, np.round(values, decimals))
        fifths = column(faulted, "R3-PM5:I") * 5
        np.testing.assert_array_equal(fifths, np.round(fifths))

    def test_readings_follow_the_exact_phasors(self, quiet: Frames) -> None:
        exact = np.abs(quiet.phasors[:, R2, VOLTAGE, 1])
        assert np.abs(column(quiet, "R2-PM2:V") / exact - 1).max() < 0.003
        angle = np.unwrap(np.angle(quiet.phasors[:, R1, VOLTAGE, 0]))
        frequency = 60 + np.diff(angle) * RATE / (2 * np.pi)
        assert np.abs(column(quiet, "R1:F")[1:] - frequency).max() < 0.01

    def test_first_frames_are_in_steady_state(self, quiet: Frames) -> None:
        for relay, kind in itertools.product(("R1", "R2", "R3", "R4"), ("PM1:V", "PM7:V", "PM4:I")):
            values = column(quiet, f"{relay}-{kind}")
            level = column(quiet, f"{relay}-{kind}")[:RATE].mean()
            assert np.abs(values[:5] / level - 1).max() < 0.01
        assert 0.95 < column(quiet, "R1-PM7:V")[0] / GRID.phase_voltage < 1.05
        assert np.abs(column(quiet, "R1:F")[:5] - 60).max() < 0.05
        assert np.abs(column(quiet, "R1:DF")[:5]).max() < 0.2

    def test_noise_stays_below_the_integrity_limits(self, quiet: Frames) -> None:
        def positive(relay: str, number: int, kind: str) -> Complexes:
            angle = np.radians(column(quiet, f"{relay}-PA{number}:{kind}H"))
            phasor: Complexes = column(quiet, f"{relay}-PM{number}:{kind}") * np.exp(1j * angle)
            return phasor

        voltage = {relay: positive(relay, 7, "V") for relay in ("R1", "R2", "R3")}
        current = {relay: positive(relay, 10, "I") for relay in ("R1", "R2")}
        half = 0.5j * GRID.line_b1
        series = current["R1"] - half * voltage["R1"]
        residual = voltage["R1"] - voltage["R2"] - GRID.line_z1 * series
        differential = current["R1"] + current["R2"] - half * (voltage["R1"] + voltage["R2"])
        mismatch = voltage["R2"] - voltage["R3"]
        assert np.percentile(np.abs(residual), 99) < 0.001 * GRID.phase_voltage
        assert np.percentile(np.abs(mismatch), 99) < 0.001 * GRID.phase_voltage
        assert np.percentile(np.abs(differential), 99) < 1


class TestReproducibility:
    EVENTS = (ShortCircuit(0.7, Fault("L1", "AG", 0.85, 25)), LoadStep(3.3, level=1.1))

    def test_same_seed_gives_the_same_frames(self) -> None:
        one, two = simulate(*self.EVENTS, seconds=5), simulate(*self.EVENTS, seconds=5)
        assert one.values.tobytes() == two.values.tobytes()
        assert one.phasors.tobytes() == two.phasors.tobytes()
        assert one.labels.tolist() == two.labels.tolist()

    def test_another_seed_gives_other_frames(self) -> None:
        one, two = simulate(seconds=2, seed=1), simulate(seconds=2, seed=2)
        assert (one.values != two.values).mean() > 0.5

    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.integers(0, 97), min_size=1, max_size=12))
    def test_portions_do_not_change_a_bit(self, portions: list[int]) -> None:
        simulation = Simulation(events=self.EVENTS, seed=3)
        whole = Simulation(events=self.EVENTS, seed=3).read(sum(portions))
        parts = [simulation.read(count) for count in portions]
        assert [part.row for part in parts] == [0, *np.cumsum(portions)[:-1].tolist()]
        for name in ("time", "phasors", "values", "labels"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert joined.tobytes() == getattr(whole, name).tobytes()

    def test_blocks_are_the_frames_in_portions(self) -> None:
        blocks = list(itertools.islice(Simulation(events=self.EVENTS, seed=3).blocks(7), 9))
        whole = Simulation(events=self.EVENTS, seed=3).read(63)
        np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), whole.values)

    @pytest.mark.parametrize("rate", [10, 25, 30, 50, 60, 119, 120])
    def test_every_rate_tells_the_same_story(self, rate: int) -> None:
        frames = Simulation(events=[TripCommand(2, ("R1", "R2"), 3)], seed=1, rate=rate).read(4 * rate)
        assert frames.time[rate] == np.timedelta64(1, "s")
        assert (np.diff(frames.time).astype(int) > 0).all()
        current = column(frames, "R4-PM4:I")
        assert 1.7 < current[3 * rate] / current[rate] < 2.3
        assert np.abs(column(frames, "R1:F")[: 2 * rate] - 60).max() < 0.1
        assert column(frames, "snort_log1").any()


class TestTimetables:
    def test_tour_shows_one_of_everything(self) -> None:
        frames = Simulation(events=tour(), seed=1).read(300 * RATE)
        voltage = column(frames, "R2-PM1:V") / GRID.phase_voltage
        under = voltage[during(201, 229)]
        assert 0.92 < under.min() <= under.max() < 0.94  # for much longer than 12 s
        assert voltage[during(24, 25)].min() < 0.7
        assert set(frames.labels) == {"NoEvents", "Natural", "Attack"}
        assert column(frames, "control_panel_log1").any()
        assert column(frames, "snort_log3").any()
        assert np.isinf(column(frames, "R3-PA:Z")).any()
        assert not np.isnan(frames.values).any()

    def test_tour_repeats(self) -> None:
        events = list(itertools.islice(tour(), 24))
        assert [event.start - 300 for event in events[12:]] == [event.start for event in events[:12]]

    def test_timetable_never_ends_and_never_hurries(self) -> None:
        events = list(itertools.islice(timetable(5), 300))
        assert events == list(itertools.islice(timetable(5), 300))
        assert events != list(itertools.islice(timetable(6), 300))
        pauses = np.diff([0, *(event.start for event in events)])
        assert 20 <= pauses.min() <= pauses.max() <= 60
        assert {type(event) for event in events} == {ShortCircuit, TripCommand, Maintenance, LoadStep}

    def test_an_hour_of_the_timetable_runs(self) -> None:
        simulation = Simulation(events=timetable(2), seed=2, rate=10)
        seen = [set(simulation.read(600).labels.tolist()) for _ in range(60)]
        assert set.union(*seen) == {"NoEvents", "Natural", "Attack"}
