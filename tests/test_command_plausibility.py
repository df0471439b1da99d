"""Plausible commands: openings that a fault or an operator explains score nothing, the others do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gridtop.api import Block, ChannelSet, Scores
from gridtop.naming import built_in
from gridtop.plugins.detectors.command_plausibility import CommandPlausibility
from gridtop.simulation import NUMERIC_COLUMNS, Fault, Maintenance, ShortCircuit, Simulation, TripCommand
from gridtop.simulation.events import Energisation, Event, LoadStep, PowerSwing, RelaySettings
from gridtop.site import Site
from tests.streams import times

SITE = Site.model_validate(
    {
        "nominal": {"voltage_ll": "230 kV", "current": "400 A"},
        "lines": {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}},
    }
)


def stream(events: Sequence[Event], seconds: float, logs: bool = True) -> Block:
    """A simulated stream of the four relays, with or without its logs."""
    names = [name for name in NUMERIC_COLUMNS if logs or "log" not in name]
    columns = [NUMERIC_COLUMNS.index(name) for name in names]
    channels = ChannelSet(tuple(built_in(name).channel(name) for name in names), 30.0)
    values = Simulation(events=events, seed=11).read(round(30 * seconds)).values[:, columns]
    values[~np.isfinite(values)] = np.nan
    return Block(channels, times(len(values), 30.0), values)


def judged(block: Block, site: Site = SITE) -> tuple[dict[str, float], str]:
    """The highest score of each terminal, and all notes."""
    detector = CommandPlausibility(CommandPlausibility.Config(), block.channels, site=site)
    scores = detector.score(block)
    highest = np.nanmax(np.nan_to_num(scores.score), axis=0)
    named = dict(zip((name.split(":")[0] for name in detector.outputs), highest.tolist(), strict=True))
    return named, " | ".join(dict.fromkeys(text for texts in notes_of(scores).values() for text in texts))


def notes_of(scores: Scores) -> Mapping[str, Sequence[str]]:
    """The notes by output."""
    assert scores.note is None or isinstance(scores.note, Mapping)
    return scores.note or {}


def test_a_trip_without_fault_and_operator_is_unexplained_and_says_why() -> None:
    scores, note = judged(stream([TripCommand(10, ("R3",), duration=5)], 20))
    assert scores == {"R1": 0.0, "R2": 0.0, "R3": 1.0, "R4": 0.0}
    assert "R3 opened 00:00:10.1" in note
    assert "without a fault before it and without an entry in the operator's log" in note


def test_both_ends_that_an_attacker_opens_are_named() -> None:
    scores, _ = judged(stream([TripCommand(10, ("R3", "R4"), duration=5)], 20))
    assert max(scores["R3"], scores["R4"]) == 1.0
    assert scores["R1"] == scores["R2"] == 0.0


@pytest.mark.parametrize(
    "event",
    [
        ShortCircuit(10, Fault("L1", "AG", 0.3, 60)),
        ShortCircuit(10, Fault("L1", "AG", 0.95, 30)),
        ShortCircuit(10, Fault("L2", "ABC", 0.5, 60)),
        ShortCircuit(10, Fault("L2", "BC", 0.9, 20), permanent=True, outage=5),
        RelaySettings(10, Fault("L1", "CG", 0.4, 20), disabled=("R2",)),
        RelaySettings(10, Fault("L1", "CG", 0.4, 20), disabled=("R1", "R2")),
        Maintenance(10, "L1", duration=8),
        Energisation(10, "L2", outage=4, charging=4),
        LoadStep(10, level=0.8),
        PowerSwing(10, 0.2, 0.5),
    ],
    ids=lambda event: event.kind,
)
def test_what_protection_and_operators_do_is_plausible(event: Event) -> None:
    scores, note = judged(stream([event], 26))
    assert max(scores.values()) == 0.0, note


def test_without_logs_nobody_is_accused_with_certainty() -> None:
    trip = TripCommand(10, ("R3",), duration=5)
    scores, note = judged(stream([trip], 20, logs=False))
    assert scores["R3"] == 0.5
    assert "no logs to consult" in note
    fault = ShortCircuit(10, Fault("L1", "BG", 0.5, 30))
    assert max(judged(stream([fault], 20, logs=False))[0].values()) == 0.0


def test_an_opening_that_no_log_mentions_scores_less_than_one_that_a_relay_noted() -> None:
    block = stream([TripCommand(10, ("R1",), duration=5)], 20)
    names = block.channels.names

    def without(*logs: str) -> float:
        values = block.values.copy()
        values[:, [names.index(log) for log in logs]] = 0
        return judged(Block(block.channels, block.time, values))[0]["R1"]

    assert without("snort_log1") == 0.9
    assert without("snort_log1", "relay1_log") == 0.7


def test_an_operators_entry_counts_within_the_tolerance_only() -> None:
    block = stream([TripCommand(10, ("R1",), duration=5)], 20)
    column = block.channels.position("control_panel_log1")

    def entered(seconds: float) -> float:
        values = block.values.copy()
        values[:, column] = 0
        values[round(30 * seconds) : round(30 * seconds) + 6, column] = 1
        return judged(Block(block.channels, block.time, values))[0]["R1"]

    assert entered(9.9) == entered(10.5) == 0.0
    assert entered(7.0) == entered(13.0) == 1.0


def test_a_status_of_the_breaker_tells_of_an_opening_that_the_current_does_not_show() -> None:
    block = stream([], 20)
    site = SITE.model_copy(
        update={"terminals": Site.model_validate({"terminals": {"R1": {"breaker": "R1:S"}}}).terminals}
    )
    values = block.values.copy()
    values[:, [block.channels.position(f"R1-PM{i}:I") for i in (4, 5, 6)]] = 5.0  # no load to interrupt
    values[:, block.channels.position("R1:S")] = 1
    assert judged(Block(block.channels, block.time, values), site)[0]["R1"] == 0.0
    values = values.copy()
    values[300:, block.channels.position("R1:S")] = 0
    assert judged(Block(block.channels, block.time, values), site)[0]["R1"] == 0.7


def test_lost_frames_and_a_dead_bus_are_no_opening() -> None:
    block = stream([], 12)
    currents = [block.channels.position(f"R2-PM{i}:I") for i in (4, 5, 6)]
    lost = block.values.copy()
    lost[150:200, currents] = np.nan
    assert judged(Block(block.channels, block.time, lost))[0]["R2"] == 0.0
    dead = block.values.copy()
    dead[150:, currents] = 0
    assert judged(Block(block.channels, block.time, dead.copy()))[0]["R2"] > 0
    dead[150:, [block.channels.position(f"R2-PM{i}:V") for i in (1, 2, 3)]] = 0
    assert judged(Block(block.channels, block.time, dead))[0]["R2"] == 0.0


def test_without_currents_it_says_what_is_missing() -> None:
    channels = ChannelSet((built_in("R1:F").channel("R1:F"),), 30.0)
    with pytest.raises(ValueError, match="rated current"):
        CommandPlausibility(CommandPlausibility.Config(), channels, site=SITE)


@pytest.mark.parametrize("size", [1, 7, 256])
def test_how_the_stream_is_cut_changes_nothing(size: int) -> None:
    block = stream(
        [ShortCircuit(8, Fault("L1", "AG", 0.9, 30)), TripCommand(20, ("R3", "R4"), duration=4)], 30
    )

    def run(size: int) -> tuple[np.ndarray, list[tuple[int, str, str]]]:
        detector = CommandPlausibility(CommandPlausibility.Config(), block.channels, site=SITE)
        pieces = [detector.score(block.slice(i, i + size)) for i in range(0, len(block), size)]
        notes = [
            (i * size + frame, output, text)
            for i, piece in enumerate(pieces)
            for output, texts in notes_of(piece).items()
            for frame, text in enumerate(texts)
            if text
        ]
        return np.concatenate([piece.score for piece in pieces]), notes

    score, notes = run(size)
    expected, texts = run(4096)
    assert np.array_equal(score, expected, equal_nan=True)
    assert sorted(notes) == sorted(texts) != []
    assert np.nanmax(expected) == 1.0
