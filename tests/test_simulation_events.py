"""Each kind of event does to the grid, the instruments or the data what its name says, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.simulation import (
    COLUMNS,
    KINDS,
    NUMERIC_COLUMNS,
    SCENARIOS,
    BreakerFailure,
    Conditions,
    Energisation,
    Event,
    Fault,
    ForcedOscillation,
    Frames,
    GpsDrift,
    GridParameters,
    Injection,
    Inrush,
    InstrumentDrift,
    InstrumentErrors,
    LateFrames,
    LoadStep,
    LogErrors,
    Maintenance,
    MissingFrames,
    NaturalOscillation,
    OpenCt,
    PowerSwing,
    RelaySettings,
    ReorderedFrames,
    RepeatedFrames,
    ShortCircuit,
    Simulation,
    StuckChannel,
    TripCommand,
    VtFuse,
    scenario,
)
from gridtop.simulation.network import Complexes, Floats, sequences
from gridtop.simulation.transducers import Transducers

RATE = 30
VOLTAGE, CURRENT = 0, 1
R1, R2, R3, R4 = range(4)
FAULT = Fault("L1", "AG", distance=0.4, resistance=20)
PLAIN = Simulation(seed=3).read(10 * RATE)


def simulate(*events: Event, seconds: float = 10, seed: int = 3, **settings: object) -> Frames:
    return Simulation(events=events, seed=seed, **settings).read(round(seconds * RATE))  # type: ignore[arg-type]


def column(frames: Frames, name: str) -> Floats:
    return frames.values[:, NUMERIC_COLUMNS.index(name)]


def during(start: float, stop: float) -> slice:
    return slice(round(start * RATE), round(stop * RATE))


def reported(frames: Frames, relay: int, quantity: str) -> Complexes:
    """(n,) the positive sequence that a relay reports."""
    number = {"V": 7, "I": 10}[quantity]
    angle = np.radians(column(frames, f"R{relay + 1}-PA{number}:{quantity}H"))
    phasor: Complexes = column(frames, f"R{relay + 1}-PM{number}:{quantity}") * np.exp(1j * angle)
    return phasor


def kvl(frames: Frames, near: int, far: int) -> Floats:
    """(n,) V1 - V2 - Z1 I per unit, with the current less the charging of the near half."""
    grid = GridParameters()
    voltage, current = reported(frames, near, "V"), reported(frames, near, "I")
    series = current - 0.5j * grid.line_b1 * voltage
    residual: Floats = np.abs(voltage - reported(frames, far, "V") - grid.line_z1 * series)
    return residual / grid.phase_voltage


def bus_mismatch(frames: Frames) -> Floats:
    mismatch: Floats = np.abs(reported(frames, R2, "V") - reported(frames, R3, "V"))
    return mismatch / GridParameters().phase_voltage


def changed_columns(frames: Frames, where: slice) -> set[str]:
    different = frames.values[where] != PLAIN.values[where]
    different &= ~(np.isnan(frames.values[where]) & np.isnan(PLAIN.values[where]))
    return {name for name, changed in zip(NUMERIC_COLUMNS, different.any(axis=0), strict=True) if changed}


def breakers(frames: Frames) -> Floats:
    """(n, 4) 1 where current flows."""
    flows: Floats = np.abs(frames.phasors[:, :, CURRENT]).max(axis=-1) > 0.5
    return flows


class TestUnequalGrid:
    """Lines of different length, sources of different strength, power that flows through."""

    GRID = GridParameters(line_2=1.3, source_2=0.8, transfer_angle=4, load=280e6 + 60e6j)

    @pytest.mark.parametrize("charging", [330e-6, 0.0])
    @pytest.mark.parametrize(("near", "far", "length"), [(R1, R2, 1.0), (R3, R4, 1.3)])
    def test_voltage_and_current_obey_the_pi_line(
        self, near: int, far: int, length: float, charging: float
    ) -> None:
        grid = GridParameters(
            line_2=1.3, source_2=0.8, transfer_angle=4, load=280e6 + 60e6j, line_b1=charging, line_b0=charging
        )
        seen = sequences(simulate(seconds=2, grid=grid).phasors)[..., 0]
        half = 0.5j * charging * length
        into = seen[:, :, CURRENT] - half * seen[:, :, VOLTAGE]
        assert np.abs(into[:, near] + into[:, far]).max() < 0.01
        drop = grid.line_z1 * length * into[:, near]
        # What remains is the milliohm of two breakers.
        assert np.abs(seen[:, near, VOLTAGE] - seen[:, far, VOLTAGE] - drop).max() < 2

    def test_power_flows_from_the_leading_machine(self) -> None:
        frames = simulate(seconds=2, grid=self.GRID)
        power = (frames.phasors[:, :, VOLTAGE] * frames.phasors[:, :, CURRENT].conj()).real.sum(axis=-1)
        assert (power[:, R1] > 1.3 * power[:, R4]).all()
        assert np.abs(column(frames, "R1:F") - 60).max() < 0.05

    def test_load_follows_the_hour(self) -> None:
        def current(hour: float) -> float:
            grid = GridParameters(daily_depth=0.2, start_hour=hour, load_sigma=0)
            return float(column(simulate(seconds=2, grid=grid), "R1-PM4:I").mean())

        assert current(18) / current(6) == pytest.approx(1.2 / 0.8, rel=0.05)


class TestProtection:
    def test_stuck_breaker_is_replaced_by_the_other_one_of_its_bus(self) -> None:
        frames = simulate(BreakerFailure(2, FAULT, "R2"))
        flows = breakers(frames)
        # R1 clears at once, R3 in place of R2, whose breaker stays closed on a bus without source.
        assert not flows[round(2.15 * RATE), R1]
        assert flows[round(2.2 * RATE), R2]
        dark = during(2.6, 2.9)
        voltage = np.abs(frames.phasors[dark][:, [R2, R3], VOLTAGE])
        assert voltage.max() < 100
        assert flows[during(8, 10)].all()
        assert column(frames, "relay3_log").any()
        assert not column(frames, "relay2_log").any()

    def test_stuck_breaker_without_neighbour_opens_late(self) -> None:
        flows = breakers(simulate(BreakerFailure(2, FAULT, "R1")))
        opened = np.argmin(flows[2 * RATE :], axis=0) / RATE
        assert 0.25 < opened[R1] < 0.5
        assert opened[R2] < 0.12

    def test_disabled_relay_is_cleared_by_backup(self) -> None:
        frames = simulate(RelaySettings(2, FAULT, disabled=("R1",)))
        opened = np.argmin(breakers(frames)[2 * RATE :], axis=0) / RATE
        assert 1.2 <= opened[R1] <= 1.6
        assert opened[R2] < 0.12
        assert set(frames.phases[during(2.1, 3.1)]) == {"fault"}
        assert set(frames.labels[during(2, 5)]) == {"Attack"}

    def test_overreaching_relay_trips_the_sound_line(self) -> None:
        flows = breakers(simulate(RelaySettings(2, FAULT, overreaching=("R4",))))
        gone = flows[round(2.3 * RATE)]
        assert not gone[[R1, R2, R4]].any()
        assert flows[during(8, 10)].all()

    def test_permanent_fault_trips_again_and_stays_out(self) -> None:
        frames = simulate(ShortCircuit(2, FAULT, permanent=True, outage=3))
        (happened,) = frames.occurrences
        assert [phase for phase, *_ in happened.phases].count("fault") == 2
        flows = [bool(flowing) for flowing, _ in itertools.groupby(breakers(frames)[:, R1])]
        assert flows == [True, False, True, False, True]
        assert np.count_nonzero(np.diff(column(frames, "control_panel_log1")) == 1) == 1
        assert 5 < happened.end - happened.start < 7
        assert breakers(frames)[-1].all()

    def test_energised_line_draws_its_charging_current_from_one_end(self) -> None:
        frames = simulate(Energisation(2, "L2", outage=2, charging=3))
        charging = np.abs(sequences(frames.phasors)[during(4.2, 6.8), :, CURRENT, 0])
        assert 40 < charging[:, R3].mean() < 48  # 330 uS at 132 kV
        assert charging[:, R4].max() < 0.5
        assert not breakers(frames)[during(2.1, 3.9)][:, [R3, R4]].any()
        assert breakers(frames)[during(7.1, 10)].all()


class TestLoadAndMachines:
    def test_ramp_takes_its_time(self) -> None:
        grid = GridParameters(load_sigma=0)
        frames = simulate(LoadStep(2, level=1.2, ramp=4), grid=grid)
        power = -(frames.phasors[:, [R2, R3], VOLTAGE] * frames.phasors[:, [R2, R3], CURRENT].conj()).real
        load = power.sum(axis=(1, 2))
        share = (load - load[RATE]) / (load[-1] - load[RATE])
        assert share[4 * RATE] == pytest.approx(0.5, abs=0.05)
        assert share[3 * RATE] == pytest.approx(0.25, abs=0.05)

    def test_inrush_is_unbalanced_and_dies_away(self) -> None:
        frames = simulate(Inrush(2, size=0.4, decay=0.5))
        negative = np.abs(sequences(frames.phasors)[:, R1, CURRENT, 1])
        assert negative[: 2 * RATE].max() < 0.1
        assert negative[2 * RATE] > 10
        assert negative[round(2.5 * RATE)] / negative[2 * RATE] == pytest.approx(np.exp(-1), rel=0.1)
        assert negative[during(6, 10)].max() < 0.1

    @pytest.mark.parametrize("source", ["G1", "load"])
    def test_forced_oscillation_has_its_frequency(self, source: str) -> None:
        event = ForcedOscillation(1, 30, frequency=0.7, amplitude=0.05, source=source)  # type: ignore[arg-type]
        frames = simulate(event, seconds=31, grid=GridParameters(load_sigma=0))
        swinging = column(frames, "R1:F")[during(11, 31)]
        spectrum = np.abs(np.fft.rfft(swinging - swinging.mean()))
        assert np.argmax(spectrum) * RATE / len(swinging) == pytest.approx(0.7, abs=0.06)

    def test_natural_oscillation_lasts_as_long_as_the_damping_is_gone(self) -> None:
        def swing(damping: float, window: slice) -> float:
            event = NaturalOscillation(1, 15, damping, kick=0.1)
            frames = simulate(event, seconds=24, grid=GridParameters(load_sigma=0))
            turned = frames.phasors[:, R1, VOLTAGE, 0] * frames.phasors[:, R4, VOLTAGE, 0].conj()
            return float(np.angle(turned[window]).std())

        assert swing(0, during(10, 16)) > 0.5 * swing(0, during(1, 4))
        assert swing(10, during(10, 16)) < 0.05 * swing(10, during(1, 4))
        assert swing(-2, during(10, 16)) > 1.5 * swing(-2, during(1, 4))
        assert swing(0, during(22, 24)) < 0.1 * swing(0, during(10, 16))

    def test_power_swing_is_large_and_dies_away(self) -> None:
        frames = simulate(PowerSwing(2, duration=0.2, size=0.5))
        power = (frames.phasors[:, R1, VOLTAGE] * frames.phasors[:, R1, CURRENT].conj()).real.sum(axis=-1)
        assert np.ptp(power[during(2, 4)]) > 60e6
        assert np.ptp(power[during(8, 10)]) < 0.3 * np.ptp(power[during(2, 4)])


class TestInjection:
    START, STOP = 3.0, 6.0

    @pytest.mark.parametrize("mode", ["naive", "consistent", "bus", "replay"])
    def test_grid_is_untouched_and_the_relays_lie_for_as_long_as_it_says(self, mode: str) -> None:
        frames = simulate(Injection(self.START, 3, FAULT, mode, lag=2))  # type: ignore[arg-type]
        np.testing.assert_array_equal(frames.phasors, PLAIN.phasors)
        expected = np.zeros((10 * RATE, 4), dtype=bool)
        expected[during(self.START, self.STOP), : 3 if mode == "bus" else 2] = True
        np.testing.assert_array_equal(frames.spoofed, expected)
        lying = changed_columns(frames, during(self.START, self.STOP))
        relays = {name[:2] for name in lying if name.startswith("R")}
        assert relays == ({"R1", "R2", "R3"} if mode == "bus" else {"R1", "R2"})
        assert not changed_columns(frames, during(0, self.START))
        assert not changed_columns(frames, during(self.STOP + 0.4, 10))
        assert set(frames.labels[during(self.START, self.STOP + 2)]) == {"Attack"}

    @pytest.mark.parametrize("mode", ["naive", "consistent", "bus", "replay"])
    def test_impedance_and_sequences_stay_those_of_the_reported_phasors(self, mode: str) -> None:
        frames = simulate(Injection(self.START, 3, FAULT, mode, lag=2))  # type: ignore[arg-type]
        lying = during(self.START, self.STOP)
        for relay in (R1, R2):
            ratio = reported(frames, relay, "V") / reported(frames, relay, "I")
            name = f"R{relay + 1}-PA:Z"
            np.testing.assert_allclose(np.abs(ratio)[lying], column(frames, name)[lying], rtol=3e-3)

    def test_naive_changes_magnitudes_by_its_factors(self) -> None:
        frames = simulate(Injection(self.START, 3, FAULT, "naive", voltage=0.6, current=2.5))
        steady = during(self.START + 0.2, self.STOP)
        for name, factor in (("R1-PM1:V", 0.6), ("R1-PM4:I", 2.5), ("R1-PM2:V", 1), ("R2-PM5:I", 1)):
            ratio = column(frames, name)[steady] / column(PLAIN, name)[steady]
            assert ratio.mean() == pytest.approx(factor, rel=0.01)
        assert kvl(frames, R1, R2)[steady].min() > 0.05

    def test_consistent_one_looks_like_the_fault_but_not_to_the_neighbour(self) -> None:
        frames = simulate(Injection(self.START, 0.4, FAULT))
        real = simulate(ShortCircuit(self.START, FAULT))
        # No relay opens within 50 ms, and the filter is the same for truth and lie.
        first = round(self.START * RATE) + 1
        for name in ("R1-PM1:V", "R1-PM4:I", "R2-PM4:I", "R2-PM12:I"):
            assert column(frames, name)[first] == pytest.approx(column(real, name)[first], rel=0.02)
        assert bus_mismatch(frames)[during(self.START + 0.1, self.START + 0.4)].min() > 0.05
        assert kvl(frames, R3, R4)[during(self.START, self.START + 0.4)].max() < 0.002

    def test_bus_one_passes_the_bus_check_and_fails_along_the_other_line(self) -> None:
        frames = simulate(Injection(self.START, 3, FAULT, "bus"))
        lying = during(self.START + 0.1, self.STOP)
        assert bus_mismatch(frames)[lying].max() < 0.003
        assert kvl(frames, R3, R4)[lying].min() > 0.03

    def test_replay_shows_what_was(self) -> None:
        step = LoadStep(1.5, level=1.3)
        frames = simulate(step, Injection(4, 2, FAULT, "replay", ends="first", lag=3.5))
        steady = during(4.2, 4.9)
        now, then = np.abs(reported(frames, R1, "I")), np.abs(reported(simulate(step), R1, "I"))
        assert now[steady].mean() == pytest.approx(then[during(0.7, 1.4)].mean(), rel=2e-3)
        assert now[steady].mean() < 0.9 * then[steady].mean()
        assert not frames.spoofed[:, R2].any()

    def test_ramp_comes_and_goes_slowly(self) -> None:
        frames = simulate(Injection(self.START, 4, FAULT, "naive", ramp=2, voltage=0.6))
        ratio = column(frames, "R1-PM1:V") / column(PLAIN, "R1-PM1:V")
        lag = 1 / 60  # of the filter
        assert np.interp(4.0 + lag, np.arange(300) / RATE, ratio) == pytest.approx(0.8, abs=0.01)
        assert np.interp(5.0, np.arange(300) / RATE, ratio) == pytest.approx(0.6, abs=0.01)
        assert np.interp(6.0 + lag, np.arange(300) / RATE, ratio) == pytest.approx(0.8, abs=0.01)
        assert frames.spoofed[during(3, 7), :2].all()

    def test_ends_may_be_out_of_step(self) -> None:
        frames = simulate(Injection(self.START, 1, FAULT, skew=0.5))
        np.testing.assert_array_equal(np.flatnonzero(frames.spoofed[:, R1])[[0, -1]], [90, 119])
        np.testing.assert_array_equal(np.flatnonzero(frames.spoofed[:, R2])[[0, -1]], [105, 134])
        assert frames.occurrences[0].end == pytest.approx(4.5)

    def test_false_values_go_through_the_filter(self) -> None:
        frames = simulate(Injection(self.START, 1, FAULT, "naive", voltage=0.5))
        ratio = column(frames, "R1-PM1:V") / column(PLAIN, "R1-PM1:V")
        assert 0.55 < ratio[round(self.START * RATE)] < 0.95


class TestInstruments:
    def test_blown_vt_fuse_takes_one_voltage_and_no_current(self) -> None:
        frames = simulate(VtFuse(3, 4, "R1", "B", residual=0.1))
        ratio = column(frames, "R1-PM2:V")[during(3.2, 7)] / column(PLAIN, "R1-PM2:V")[during(3.2, 7)]
        assert ratio.mean() == pytest.approx(0.1, rel=0.01)
        changed = changed_columns(frames, during(3, 7))
        assert not {name for name in changed if ":I" in name or not name.startswith("R1")}
        assert {"R1-PM2:V", "R1-PM7:V", "R1-PM8:V", "R1-PM9:V", "R1-PA:Z"} <= changed
        assert not changed & {"R1-PM1:V", "R1-PM3:V", "R1-PA1:VH"}
        assert not changed_columns(frames, during(7.4, 10))

    def test_open_ct_takes_one_current_and_no_voltage(self) -> None:
        frames = simulate(OpenCt(3, 4, "R4", "C"))
        assert column(frames, "R4-PM6:I")[during(3.2, 7)].max() < 2
        changed = changed_columns(frames, during(3, 7))
        assert not {name for name in changed if ":V" in name or not name.startswith("R4")}
        assert "R4-PM4:I" not in changed

    @pytest.mark.parametrize("flagged", [True, False])
    def test_clock_that_drifts_turns_voltage_and_current_together(self, flagged: bool) -> None:
        frames = simulate(GpsDrift(3, 4, "R3", rate=2.0, flagged=flagged))
        for quantity in "VI":
            turned = np.degrees(np.angle(reported(frames, R3, quantity) / reported(PLAIN, R3, quantity)))
            assert turned[6 * RATE] == pytest.approx(6, abs=0.1)
            assert np.abs(turned[during(7.2, 10)]).max() < 0.1
        drifting = during(3.2, 7)
        ratio = reported(frames, R3, "V") / reported(frames, R3, "I")
        plain = reported(PLAIN, R3, "V") / reported(PLAIN, R3, "I")
        assert np.abs(ratio / plain - 1)[drifting].max() < 2e-3
        magnitude = np.abs(reported(frames, R3, "V")) - np.abs(reported(PLAIN, R3, "V"))
        assert np.abs(magnitude[drifting]).max() <= 20
        status = column(frames, "R3:S").astype(int)
        assert ((status[during(3, 7)] & 0x2000) > 0).all() == flagged
        assert not status[during(7, 10)].any()
        assert set(frames.labels[during(3, 9)]) == {"Natural" if flagged else "Attack"}

    def test_drifting_instrument_goes_wrong_in_proportion_to_time(self) -> None:
        event = InstrumentDrift(0, 60, "R2", "I", "A", gain=0.3, angle=6)
        frames = simulate(event)
        ratio = column(frames, "R2-PM4:I") / column(PLAIN, "R2-PM4:I")
        assert ratio[6 * RATE] == pytest.approx(1.03, abs=0.003)
        turned = (column(frames, "R2-PA4:IH") - column(PLAIN, "R2-PA4:IH") + 180) % 360 - 180
        assert turned[6 * RATE] == pytest.approx(0.6, abs=0.1)
        assert "R2-PM5:I" not in changed_columns(frames, during(0, 10))

    def test_stuck_channel_repeats_itself(self) -> None:
        frames = simulate(StuckChannel(3.5, 4, "R1-PM1:V"))
        stuck = column(frames, "R1-PM1:V")[during(3.5, 7.5)]
        assert (stuck == column(PLAIN, "R1-PM1:V")[round(3.5 * RATE)]).all()
        assert changed_columns(frames, during(0, 10)) == {"R1-PM1:V"}

    def test_class_errors_leave_steady_differences(self) -> None:
        gains = np.ones((4, 2, 3), dtype=complex)
        gains[R2, VOLTAGE] = 1.005
        gains[R3, VOLTAGE] = np.exp(1j * np.radians(0.3))
        errors = InstrumentErrors(gains=tuple(gains.ravel().tolist()))
        frames = simulate(seconds=4, conditions=Conditions(instruments=errors))
        assert bus_mismatch(frames).mean() == pytest.approx(np.hypot(0.005, np.radians(0.3)), rel=0.05)
        assert bus_mismatch(frames).std() < 3e-4

    def test_saturated_transformer_shows_less_than_there_is(self) -> None:
        errors = InstrumentErrors(knee=(1000.0,) * 4)
        fault = Fault("L1", "ABC", distance=0.3, resistance=2)
        frames = simulate(ShortCircuit(2, fault), conditions=Conditions(instruments=errors))
        struck = 2 * RATE + 1
        exact = np.abs(frames.phasors[struck, R1, CURRENT, 0])
        seen = column(frames, "R1-PM4:I")[struck]
        assert exact > 1500
        assert seen < 0.85 * exact
        np.testing.assert_array_equal(frames.values[: 2 * RATE], PLAIN.values[: 2 * RATE])

    def test_direct_component_keeps_the_instantaneous_current_steady_and_dies_away(self) -> None:
        per_second, jump = 120, 60
        time = np.arange(per_second) / per_second
        currents = np.ones((per_second, 4, 3), dtype=complex)
        currents[jump:] = 5 * np.exp(-0.8j)
        phasors = np.stack([np.zeros_like(currents), currents], axis=2)
        seen = Transducers(InstrumentErrors(dc_time=0.05), per_second, 60.0).apply(
            phasors, (), time, 0, [jump]
        )
        direct = seen[:, 0, CURRENT, 0] - currents[:, 0, 0]
        assert not direct[:jump].any()
        turn = np.exp(1j * np.pi * np.arange(per_second))
        instant = (seen[:, 0, CURRENT, 0] * turn).real
        assert instant[jump] == pytest.approx((currents[jump - 1, 0, 0] * turn[jump]).real)
        np.testing.assert_allclose(np.abs(direct[jump + 6]) / np.abs(direct[jump]), np.exp(-1), rtol=1e-6)

    def test_noise_can_have_a_memory(self) -> None:
        def correlation(memory: float) -> float:
            errors = InstrumentErrors(noise=3, memory=memory)
            frames = simulate(seconds=60, conditions=Conditions(instruments=errors))
            noise = column(frames, "R1-PM1:V") - np.abs(frames.phasors[:, R1, VOLTAGE, 0])
            return float(np.corrcoef(noise[1:], noise[:-1])[0, 1])

        assert abs(correlation(0.0)) < 0.1
        assert correlation(0.7) == pytest.approx(0.7, abs=0.1)


class TestTransmission:
    def test_missing_frames_of_a_relay_are_empty_cells(self) -> None:
        frames = simulate(MissingFrames(3, 4, ("R2",), share=0.5))
        empty = np.isnan(frames.values)
        lost = empty[:, NUMERIC_COLUMNS.index("R2-PM1:V")]
        assert 30 < lost[during(3, 7)].sum() < 90
        assert not lost[during(0, 3)].any()
        assert not lost[during(7, 10)].any()
        assert empty[lost][:, 29:58].all()
        assert not np.delete(empty, np.s_[29:58], axis=1).any()
        kept = ~empty
        np.testing.assert_array_equal(frames.values[kept], PLAIN.values[kept])

    def test_missing_rows_are_a_gap_in_time(self) -> None:
        frames = simulate(MissingFrames(3, 2, share=1.0), seconds=8)
        steps = np.diff(frames.time)
        assert steps.max() == np.timedelta64(2_033_333, "us")
        assert (frames.row, len(frames)) == (0, 8 * RATE)
        np.testing.assert_array_equal(frames.values[5 * RATE :], PLAIN.values[7 * RATE : 10 * RATE])

    def test_repeated_frames_of_a_relay_stand_in_for_the_next(self) -> None:
        frames = simulate(RepeatedFrames(3, 4, ("R1",), share=1.0))
        seen, plain = column(frames, "R1-PM1:V"), column(PLAIN, "R1-PM1:V")
        np.testing.assert_array_equal(seen[during(3, 7)], plain[3 * RATE - 1 : 7 * RATE - 1])
        np.testing.assert_array_equal(column(frames, "R2-PM1:V"), column(PLAIN, "R2-PM1:V"))

    def test_repeated_rows_have_the_same_time(self) -> None:
        frames = simulate(RepeatedFrames(3, 2, share=1.0), seconds=8)
        repeated = frames.time[during(3, 7)]
        np.testing.assert_array_equal(repeated[::2], repeated[1::2])

    def test_reordered_frames_of_a_relay_say_so(self) -> None:
        frames = simulate(ReorderedFrames(3, 4, ("R1",), share=1.0))
        seen, plain = column(frames, "R1-PA1:VH"), column(PLAIN, "R1-PA1:VH")
        np.testing.assert_array_equal(
            seen[during(3, 7)].reshape(-1, 2), plain[during(3, 7)].reshape(-1, 2)[:, ::-1]
        )
        assert (column(frames, "R1:S")[during(3, 7)].astype(int) & 0x1000).all()
        assert not column(frames, "R1:S")[during(7, 10)].any()

    def test_reordered_rows_step_back_in_time(self) -> None:
        frames = simulate(ReorderedFrames(3, 4, share=0.5))
        back = np.flatnonzero(np.diff(frames.time) < np.timedelta64(0, "us"))
        assert 10 < len(back) < 50
        np.testing.assert_array_equal(np.sort(frames.time), PLAIN.time)

    def test_late_relay_reports_the_past(self) -> None:
        frames = simulate(LateFrames(3, 4, "R4", delay=0.2))
        seen, plain = column(frames, "R4-PM1:V"), column(PLAIN, "R4-PM1:V")
        np.testing.assert_array_equal(seen[during(3, 7)], plain[3 * RATE - 6 : 7 * RATE - 6])
        assert (column(frames, "R4:S")[during(3, 7)].astype(int) & 0x1000).all()


class TestLogs:
    OUTAGE = Maintenance(3, "L1", duration=4)

    def test_entries_can_be_missing(self) -> None:
        frames = simulate(self.OUTAGE, conditions=Conditions(logs=LogErrors(miss=1.0)))
        assert not frames.values[:, -12:].any()

    def test_entries_can_be_about_nothing(self) -> None:
        frames = simulate(seconds=60, conditions=Conditions(logs=LogErrors(false_per_hour=300)))
        entries = np.count_nonzero(np.diff(frames.values[:, -12:], axis=0) == 1)
        assert 30 < entries < 90  # of 60 to be expected
        np.testing.assert_array_equal(frames.values[: 10 * RATE, :-12], PLAIN.values[:, :-12])

    @pytest.mark.parametrize("skew", [-0.3, 0.0, 0.7])
    def test_clock_of_a_log_can_be_off(self, skew: float) -> None:
        frames = simulate(self.OUTAGE, conditions=Conditions(logs=LogErrors(skew=(skew, 0, 0))))
        first = np.argmax(column(frames, "control_panel_log1")) / RATE
        assert first == pytest.approx(3 + skew, abs=0.02)


class TestLabels:
    EVENTS: tuple[Event, ...] = (
        VtFuse(1.5, 3, "R1"),
        ShortCircuit(3, FAULT),
        Injection(8.25, 2, Fault("L2", "BC")),
        LoadStep(15, level=1.1, ramp=2),
        TripCommand(16, ("R4",), duration=2),
    )

    def test_labels_agree_with_the_event_list(self) -> None:
        frames = simulate(*self.EVENTS, seconds=25)
        happened = frames.occurrences
        assert [item.event for item in happened] == list(self.EVENTS)
        time = frames.time / np.timedelta64(1, "s") + 1e-5
        rank = {"NoEvents": 0, "Natural": 1, "Attack": 2}
        expected = np.zeros(len(frames), dtype=int)
        for item in happened:
            inside = (time >= item.start) & (time < item.label_end)
            expected[inside] = np.maximum(expected[inside], rank[item.event.marker])
            assert item.start == item.event.start
        np.testing.assert_array_equal([rank[label] for label in frames.labels], expected)

    def test_phases_follow_the_breakers(self) -> None:
        frames = simulate(ShortCircuit(3, FAULT))
        runs = [phase for phase, _ in itertools.groupby(frames.phases)]
        assert runs == ["normal", "fault", "open", "reclosed", "normal"]
        (happened,) = frames.occurrences
        times = {phase: (start, end) for phase, start, end in happened.phases}
        flows = breakers(frames).all(axis=1)
        frame = np.arange(len(frames)) / RATE
        np.testing.assert_array_equal(~flows[during(3.2, 9)], (frame < times["open"][1])[during(3.2, 9)])
        assert times["fault"][0] == 3.0
        assert 0.05 < times["fault"][1] - 3.0 < 0.1

    def test_physical_times_are_in_milliseconds(self) -> None:
        (happened,) = simulate(TripCommand(1.25, ("R2",), duration=2)).occurrences
        line = happened.as_json()
        assert (line["kind"], line["place"], line["marker"]) == ("trip_command", "R2", "Attack")
        assert (line["start_ms"], line["end_ms"], line["label_end_ms"]) == (1250.0, 3250.0, 5250.0)
        assert line["parameters"] == {"relays": ("R2",), "duration": 2}

    @pytest.mark.parametrize("number", SCENARIOS)
    def test_every_scenario_of_the_public_data_runs(self, number: int) -> None:
        events = scenario(number, np.random.default_rng(number), 1.0)
        assert events == scenario(number, np.random.default_rng(number), 1.0)
        frames = simulate(*events, seconds=12)
        expected = "Natural" if number in (*range(1, 7), 13, 14) else "NoEvents" if number == 41 else "Attack"
        assert set(frames.labels.tolist()) - {"NoEvents"} == {expected} - {"NoEvents"}
        assert np.isfinite(frames.phasors).all()

    @pytest.mark.parametrize("number", [0, 31, 34, 42, -1])
    def test_there_are_no_other_scenarios(self, number: int) -> None:
        with pytest.raises(ValueError, match="1 to 30 and 35 to 41"):
            scenario(number, np.random.default_rng(1), 1.0)


EVERY_KIND: tuple[Event, ...] = (
    LoadStep(0.3, level=1.1, ramp=2),
    BreakerFailure(0.55, FAULT, "R2"),
    Inrush(0.6),
    ForcedOscillation(0.7, 4),
    NaturalOscillation(0.8, 3),
    PowerSwing(0.9),
    Injection(1.1, 2.3, FAULT, "bus", ramp=0.4),
    Injection(1.2, 2.3, Fault("L2", "BC"), "replay", lag=1.7, skew=0.3),
    Injection(1.25, 1, Fault("L2", "BC"), "naive"),
    GpsDrift(1.3, 2.7, "R3", rate=9),
    VtFuse(1.4, 2, "R1"),
    OpenCt(1.45, 2, "R2"),
    InstrumentDrift(1.5, 3, "R4"),
    StuckChannel(1.6, 2.2, "R3:F"),
    MissingFrames(1.7, 2, ("R1", "R4")),
    RepeatedFrames(1.8, 2, ("R2",)),
    ReorderedFrames(1.9, 2, ("R3",)),
    LateFrames(2.0, 2, "R2"),
    MissingFrames(2.1, 2, share=0.2),
    RepeatedFrames(2.2, 2, share=0.2),
    ReorderedFrames(2.3, 2, share=0.2),
    ShortCircuit(9, FAULT, permanent=True, outage=1),
    RelaySettings(19, FAULT, disabled=("R1",)),
    TripCommand(26, ("R1",), duration=1),
    Maintenance(30, "L2", duration=2),
    Energisation(35, "L1", outage=1, charging=1),
)
ALL_ERRORS = Conditions(
    instruments=InstrumentErrors((1.002,) * 24, (1500.0,) * 4, dc_time=0.05, noise=2, memory=0.6),
    logs=LogErrors(miss=0.2, false_per_hour=200, skew=(-0.2, 0.1, 0.4)),
)


class TestReproducibility:
    WHOLE = Simulation(events=EVERY_KIND, seed=5, conditions=ALL_ERRORS).read(1300)

    def test_every_kind_is_among_them(self) -> None:
        assert {event.kind for event in EVERY_KIND} == set(KINDS)
        assert len(self.WHOLE.occurrences) == len(EVERY_KIND)

    @settings(deadline=None, max_examples=15)
    @given(st.lists(st.integers(0, 150), min_size=1, max_size=10))
    def test_portions_do_not_change_a_bit(self, portions: list[int]) -> None:
        simulation = Simulation(events=EVERY_KIND, seed=5, conditions=ALL_ERRORS)
        parts = [simulation.read(count) for count in portions]
        whole = self.WHOLE.slice(0, sum(portions))
        assert [part.row for part in parts] == [0, *np.cumsum(portions)[:-1].tolist()]
        for name in ("time", "phasors", "values", "labels", "phases", "spoofed"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            expected = getattr(whole, name)
            assert joined.astype(expected.dtype).tobytes() == expected.tobytes()
        told = [item for part in parts for item in part.occurrences]
        assert told == list(self.WHOLE.occurrences[: len(told)])

    def test_seed_decides_everything(self) -> None:
        again = Simulation(events=EVERY_KIND, seed=5, conditions=ALL_ERRORS).read(300)
        assert again.values.tobytes() == self.WHOLE.values[:300].tobytes()
        other = Simulation(events=EVERY_KIND, seed=6, conditions=ALL_ERRORS).read(300)
        assert (other.values != self.WHOLE.values[:300]).mean() > 0.5

    def test_other_errors_do_not_change_the_grid(self) -> None:
        plain = Simulation(events=(ShortCircuit(2, FAULT),), seed=5).read(300)
        hard = Simulation(events=(ShortCircuit(2, FAULT),), seed=5, conditions=ALL_ERRORS).read(300)
        np.testing.assert_array_equal(plain.phasors, hard.phasors)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VtFuse(1, 0, "R1"),
        lambda: VtFuse(float("nan"), 1, "R1"),
        lambda: StuckChannel(1, 1, "R9:F"),
        lambda: StuckChannel(1, 1, "snort_log1"),
        lambda: BreakerFailure(1, FAULT, "R3"),
        lambda: RelaySettings(1, FAULT, disabled=("R3",)),
        lambda: RelaySettings(1, FAULT, overreaching=("R1",)),
        lambda: RelaySettings(1, FAULT),
        lambda: TripCommand(1, ()),
        lambda: Injection(1, 1, FAULT, lag=0.5),
        lambda: LateFrames(1, 1, "R1", delay=2),
        lambda: LoadStep(1, level=float("inf")),
    ],
)
def test_impossible_events_are_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


def test_columns_stay_those_of_the_public_data() -> None:
    assert len(COLUMNS) == 129
