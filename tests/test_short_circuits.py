"""Cards of short circuits: type, place, times and outcome, and what must not become one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridtop.api import Block, ChannelSet, Event, Quality
from gridtop.config import load
from gridtop.naming import built_in
from gridtop.pipeline import Pipeline
from gridtop.short_circuits import ShortCircuits
from gridtop.short_circuits_card import in_words
from gridtop.short_circuits_location import fault_type
from gridtop.simulation import NUMERIC_COLUMNS, Fault, Maintenance, ShortCircuit, Simulation, TripCommand
from gridtop.simulation.events import (
    Energisation,
    Injection,
    LoadStep,
    OpenCt,
    PowerSwing,
    RelaySettings,
    VtFuse,
)
from gridtop.simulation.events import Event as Cause
from gridtop.site import Site
from tests.streams import times

RATE = 30.0
DESCRIPTION: dict[str, Any] = {
    "nominal": {"voltage_ll": "230 kV", "current": "400 A"},
    "buses": {"B1": {"terminals": ["R1"]}, "B2": {"terminals": ["R2", "R3"]}, "B3": {"terminals": ["R4"]}},
    "lines": {
        "L1": {"ends": ["R1", "R2"], "z1": "3.7+37j", "z0": "14+111j", "length": "100 km"},
        "L2": {"ends": ["R3", "R4"], "z1": "3.7+37j", "z0": "14+111j", "length": "100 km"},
    },
}
SITE = Site.model_validate(DESCRIPTION)
CHANNELS = ChannelSet(tuple(built_in(name).channel(name) for name in NUMERIC_COLUMNS), RATE)


def stream(*events: Cause, seconds: float = 20.0, seed: int = 2, rate: int = 30) -> Block:
    values = Simulation(events=events, seed=seed, rate=rate).read(round(rate * seconds)).values
    values[~np.isfinite(values)] = np.nan
    return Block(ChannelSet(CHANNELS.channels, float(rate)), times(len(values), rate), values)


def cards(block: Block, site: Site = SITE, size: int = 4096) -> list[Event]:
    room = ShortCircuits(block.channels, site, "test", 1)
    return [event for i in range(0, len(block), size) for event in room.process(block.slice(i, i + size))]


def card(block: Block, site: Site = SITE) -> Event:
    (event,) = cards(block, site)
    return event


def changed(block: Block, names: Sequence[str], value: float, rows: slice = slice(None)) -> Block:
    values = block.values.copy()
    values[rows, [block.channels.position(name) for name in names]] = value
    return Block(block.channels, block.time, values)


@pytest.mark.parametrize("kind", ["AG", "BG", "CG", "AB", "BC", "CA", "ABC"])
@pytest.mark.parametrize("distance", [0.1, 0.55, 0.93])
def test_type_place_and_resistance_are_found(kind: Any, distance: float) -> None:
    event = card(stream(ShortCircuit(10, Fault("L2", kind, distance, 30))))
    details = event.details
    assert (event.kind, event.transition, event.rule) == ("fault", "noticed", "short_circuit")
    assert event.terminal == details["line"] == "L2"
    assert details["type"] == kind
    assert details["confidence"] == "sound"
    assert details["distance_percent"] == pytest.approx(100 * distance, abs=1.0)
    assert details["distance_km"] == pytest.approx(100 * distance, abs=1.0)
    if details["resistance_ohm"] is not None:
        assert details["resistance_ohm"] == pytest.approx(30, rel=0.15)


def test_the_card_tells_the_whole_story_in_one_sentence() -> None:
    event = card(stream(ShortCircuit(10, Fault("L1", "AG", 0.34, 20))))
    details = event.details
    first = details["first_opened"]
    last = "R2" if first == "R1" else "R1"
    assert event.message.startswith(
        f"L1: phase A to ground at 34 % ({details['distance_km']:.1f} km) from R1, "
        f"cleared in {details['clearing_ms']} ms "
        f"({first} at {details[f'opened_ms_{first}']} ms, {last} at {details['clearing_ms']} ms, "
        "to within 33 ms), "
        f"reclosed after {float(str(details['reclose_ms'])) / 1000:.2f} s"
    )
    assert details["reclosed"] is True
    assert event.severity == "warning"
    assert details["peak_current_a"] > 800  # type: ignore[operator]
    assert details["lowest_voltage_pu"] < 0.8  # type: ignore[operator]
    assert details["start"] == "2026-01-01T00:00:10Z" == event.to_dict()["since"]


def test_the_far_end_opens_later_and_the_clearing_time_is_the_last_of_both() -> None:
    details = card(stream(ShortCircuit(10, Fault("L1", "AG", 0.1, 20)))).details
    assert details["first_opened"] == "R1"
    assert details["opened_ms_R1"] == pytest.approx(60, abs=20)
    assert details["opened_ms_R2"] == pytest.approx(410, abs=20)
    assert details["clearing_ms"] == details["opened_ms_R2"]


def test_backup_protection_is_waited_for() -> None:
    details = card(stream(RelaySettings(10, Fault("L1", "BC", 0.5, 20), disabled=("R2",)))).details
    assert details["clearing_ms"] == pytest.approx(1350, abs=160)
    assert details["reclosed"] is True


def test_a_permanent_one_is_told_once_as_struck_again() -> None:
    event = card(stream(ShortCircuit(10, Fault("L1", "BG", 0.5, 20), permanent=True, outage=8), seconds=30))
    assert event.details["struck_again"] is True
    assert event.details["reclosed"] is False
    assert event.severity == "critical"
    assert "struck again when reclosed" in event.message


def test_a_line_that_does_not_come_back_is_told_after_five_seconds() -> None:
    block = stream(ShortCircuit(10, Fault("L1", "CG", 0.5, 20)))
    names = [f"{relay}-PM{i}:I" for relay in ("R1", "R2") for i in (4, 5, 6)]
    event = card(changed(block, names, 0.4, slice(312, None)))
    assert "stayed open" in event.message
    assert event.severity == "critical"
    assert event.time is not None and event.since is not None  # noqa: PT018
    assert 5.0 <= (event.time - event.since) / np.timedelta64(1, "s") < 6.0


@pytest.mark.parametrize(
    "cause",
    [
        Maintenance(8, "L1", duration=6),
        Energisation(8, "L2", outage=3, charging=3),
        TripCommand(8, ("R3", "R4"), duration=4),
        LoadStep(8, level=0.8),
        PowerSwing(8, 0.2, 0.5),
        OpenCt(8, 5, "R2", "B"),
        VtFuse(8, 5, "R3", "A"),
    ],
    ids=lambda cause: cause.kind,
)
def test_what_is_no_short_circuit_makes_no_card(cause: Cause) -> None:
    assert cards(stream(cause)) == []


@pytest.mark.parametrize("mode", ["naive", "consistent", "bus", "replay"])
@pytest.mark.parametrize("ends", ["both", "first"])
def test_false_measurements_never_make_a_card_with_confidence(mode: Any, ends: Any) -> None:
    cause = Injection(
        8,
        0.5,
        Fault("L1", "AG", 0.6, 20),
        mode,
        "both" if mode == "bus" else ends,
        lag=5,
        voltage=0.6,
        current=3,
    )
    for event in cards(stream(cause)):
        assert event.details["confidence"] == "doubtful"
        assert event.severity == "info"
        assert "doubtful" in event.message


def test_a_feigned_short_circuit_with_a_real_trip_contradicts_the_other_terminal_of_the_bus() -> None:
    feigned = Injection(8, 0.4, Fault("L1", "AG", 0.6, 20), "consistent", "both")
    event = card(stream(feigned, TripCommand(8.4, ("R1", "R2"), duration=4)))
    assert event.details["confidence"] == "doubtful"
    assert event.message.startswith("L1: doubtful, since R2 and R3 measure different voltages at one bus: ")


def test_one_measured_end_locates_with_its_reactance_and_says_so() -> None:
    block = stream(RelaySettings(10, Fault("L1", "AG", 0.4, 5), disabled=("R1",)))
    far = [name for name in NUMERIC_COLUMNS if name.startswith("R2-P")]
    details = card(changed(block, far, np.nan)).details
    assert details["method"] == "single-ended"
    assert details["misfit_percent"] is None
    assert details["type"] == "AG"
    assert details["distance_percent"] == pytest.approx(40, abs=12)


def test_a_clock_that_runs_wrong_is_set_by_the_load_before_the_fault() -> None:
    block = stream(ShortCircuit(10, Fault("L1", "AG", 0.4, 20)))
    values = block.values.copy()
    angles = [i for i, name in enumerate(NUMERIC_COLUMNS) if name.startswith("R2-PA") and "Z" not in name]
    values[:, angles] = (values[:, angles] + 25 + 180) % 360 - 180
    quality = np.zeros(values.shape, dtype=np.uint16)
    quality[:, angles] = Quality.UNSYNCHRONISED
    details = card(Block(block.channels, block.time, values, quality)).details
    assert "aligned" in str(details["method"])
    assert details["distance_percent"] == pytest.approx(40, abs=1.5)


def test_a_current_transformer_turned_round_is_described_by_the_site() -> None:
    block = stream(ShortCircuit(10, Fault("L1", "AG", 0.3, 20)))
    values = block.values.copy()
    angles = [block.channels.position(f"R2-PA{i}:IH") for i in (4, 5, 6)]
    values[:, angles] = (values[:, angles] + 360) % 360 - 180
    site = Site.model_validate({**DESCRIPTION, "terminals": {"R2": {"ct_direction": "out_of_line"}}})
    details = card(Block(block.channels, block.time, values), site).details
    assert details["distance_percent"] == pytest.approx(30, abs=1.0)


def test_without_times_no_milliseconds_are_invented() -> None:
    block = stream(ShortCircuit(10, Fault("L1", "AG", 0.3, 20)))
    channels = ChannelSet(block.channels.channels, RATE, "row")
    event = card(Block(channels, block.time, block.values))
    assert event.time is None
    assert event.details["clearing_ms"] is None
    assert " ms" not in event.message


def test_a_line_of_unknown_impedance_is_not_watched() -> None:
    lines = {"L1": {"ends": ["R1", "R2"]}, "L2": DESCRIPTION["lines"]["L2"]}
    site = Site.model_validate({**DESCRIPTION, "lines": lines})
    assert ShortCircuits(CHANNELS, site, "test", 1).lines == ("L2",)
    assert cards(stream(ShortCircuit(10, Fault("L1", "AG", 0.3, 20))), site) == []


@pytest.mark.parametrize("size", [1, 7, 256])
def test_how_the_stream_is_cut_changes_nothing(size: int) -> None:
    block = stream(
        ShortCircuit(8, Fault("L1", "AG", 0.9, 30)),
        RelaySettings(18, Fault("L2", "BC", 0.2, 10), disabled=("R4",)),
        seconds=28,
    )
    expected = [event.to_json() for event in cards(block)]
    assert len(expected) == 2
    assert [event.to_json() for event in cards(block, size=size)] == expected


def test_double_phase_to_ground_is_told_from_single_phase_and_from_phase_to_phase() -> None:
    turn = np.exp(2j * np.pi / 3)
    bcg = np.array([[1.0, -0.6, -0.4]])  # I1 + I2 + I0 = 0 in phase A: nothing flows there
    assert fault_type(bcg) == "BCG"
    assert fault_type(np.array([[1.0, 1.0, 1.0]])) == "AG"
    assert fault_type(np.array([[1.0, -1.0, 0.0]])) == "BC"
    assert fault_type(np.array([[1.0, -turn, 0.0]])) == "CA"
    assert fault_type(np.array([[1.0, 0.05, 0.3]])) == "ABC"
    assert in_words("BCG") == "phases B and C to ground"


CONFIGURATION = """
source: {type: replay, path: none.csv}
site:
  nominal: {voltage_ll: 230 kV, frequency: 60 Hz, current: 400 A}
  lines: {L1: {ends: [R1, R2], z1: 3.7+37j, z0: 14+111j, length: 100 km}}
limits: {sag: {on: "*:voltage_pu", low: {critical: 0.9}, on_delay: 0s}}
"""


async def test_the_pipeline_gives_cards_among_the_other_events_in_order(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIGURATION)
    block = stream(ShortCircuit(5, Fault("L1", "AG", 0.3, 10)), seconds=12)

    async def events(size: int) -> list[Event]:
        pipeline = Pipeline(load(config, environment=os.environ), block.channels, "stream", live=False)
        found = []
        for i in range(0, len(block), size):
            found += (await pipeline.process(block.slice(i, i + size))).events
        pipeline.close()
        return found

    found = await events(23)
    assert {event.kind for event in found} == {"alarm", "fault"}
    assert [event.order for event in found] == sorted(event.order for event in found)
    assert [event.to_json() for event in found] == [event.to_json() for event in await events(4096)]
    (told,) = (event for event in found if event.kind == "fault")
    assert told.pass_number == 1
    assert told.details["distance_percent"] == pytest.approx(30, abs=1)
