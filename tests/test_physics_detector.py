"""The physics detector: which readings it doubts, whom it names and why, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gridtop.blocks import Block, Quality, seconds_to_time
from gridtop.channels import ChannelSet
from gridtop.contracts import Scores
from gridtop.naming import ChannelMap
from gridtop.plugins.detectors.physics import Physics
from gridtop.quantities import Quantities
from gridtop.simulation import (
    NUMERIC_COLUMNS,
    Event,
    Fault,
    GpsDrift,
    GridParameters,
    Injection,
    LoadStep,
    Maintenance,
    OpenCt,
    ShortCircuit,
    Simulation,
    TripCommand,
    VtFuse,
)
from gridtop.site import Site

RATE = 30
SECONDS = 12
GRID = GridParameters()
SITE = Site.model_validate(
    {
        "nominal": {"voltage_ll": "230 kV", "current": "400 A"},
        "system": {"base": "400 MVA"},
        "buses": {"B2": {"terminals": ["R2", "R3"]}},
        "lines": {
            name: {
                "ends": ends,
                "z1": GRID.line_z1,
                "z0": GRID.line_z0,
                "b1": GRID.line_b1,
                "b0": GRID.line_b0,
            }
            for name, ends in (("L1", ["R1", "R2"]), ("L2", ["R3", "R4"]))
        },
    }
)
FAULT = Fault("L1", "AG", distance=0.4, resistance=20)


def recorded(*events: Event, seconds: int = SECONDS) -> Block:
    frames = Simulation(events=events, seed=3).read(seconds * RATE)
    columns = ChannelMap().resolve(NUMERIC_COLUMNS)
    channels = ChannelSet(columns.channels, float(RATE))
    values = frames.values * columns.scales + columns.offsets
    values[~np.isfinite(values)] = np.nan
    return Block(channels, seconds_to_time(np.arange(len(values)) / RATE, "2026-01-01"), values)


def judged(block: Block, site: Site = SITE, size: int = 4096) -> tuple[Physics, Scores]:
    quantities = Quantities(block.channels, site, Physics.wants)
    channels = quantities.channels
    columns = channels.select(Physics.wants)
    detector = Physics(Physics.Config(), channels.subset(columns), site)
    answers = [
        detector.score(quantities.extend(block.slice(i, i + size)).pick(columns))
        for i in range(0, len(block), size)
    ]
    notes = {name: [text for answer in answers for text in answer.note[name]] for name in detector.outputs}
    return detector, Scores(np.concatenate([answer.score for answer in answers]), note=notes)


@cache
def verdict(*events: Event) -> dict[str, tuple[float, str]]:
    """The largest score and the reason of each place that was suspected for five frames in a row."""
    detector, scores = judged(recorded(*events))
    found = {}
    for column, name in enumerate(detector.outputs):
        beyond = scores.score[:, column] >= 1.0
        runs = np.logical_and.reduce([beyond[i : len(beyond) - 4 + i] for i in range(5)])
        if runs.any():
            assert isinstance(scores.note, dict)
            first = int(np.argmax(runs)) + 4
            found[name] = (float(np.nanmax(scores.score[:, column])), scores.note[name][first])
    return found


def test_a_quiet_grid_is_plausible() -> None:
    _, scores = judged(recorded())
    assert np.nanmax(scores.score) < 0.9


@pytest.mark.parametrize(
    "event",
    [
        ShortCircuit(5, fault=FAULT),
        ShortCircuit(5, fault=replace(FAULT, line="L2", kind="BC", distance=0.9, resistance=5)),
        ShortCircuit(5, fault=replace(FAULT, kind="ABC", distance=0.1)),
        Maintenance(4, line="L1", duration=4),
        TripCommand(5, relays=("R3",), duration=3),
        LoadStep(5, level=0.85),
    ],
    ids=lambda event: f"{event.kind} {event.place}",
)
def test_what_happens_in_a_grid_is_not_suspicious(event: Event) -> None:
    assert verdict(event) == {}


@pytest.mark.parametrize("relay", ["R1", "R2", "R3", "R4"])
def test_a_blown_fuse_is_named_with_terminal_and_phase(relay: str) -> None:
    found = verdict(VtFuse(5, duration=5, relay=relay, phase="B", residual=0.2))
    assert found == {f"{relay}:vt_fuse": (3.0, "VT fuse failure, phase B")}


@pytest.mark.parametrize("relay", ["R1", "R2", "R3", "R4"])
def test_an_open_current_transformer_is_named_with_terminal_and_phase(relay: str) -> None:
    found = verdict(OpenCt(5, duration=5, relay=relay, phase="C"))
    assert found == {f"{relay}:open_ct": (3.0, "open CT, phase C")}


@pytest.mark.parametrize("relay", ["R2", "R3"])
def test_a_clock_that_drifts_is_named_where_a_neighbour_at_the_bus_tells_which(relay: str) -> None:
    found = verdict(GpsDrift(4, duration=7, relay=relay, rate=0.5, flagged=False))
    assert set(found) == {f"{relay}:clock"}


def test_a_clock_that_drifts_says_by_how_much() -> None:
    found = verdict(GpsDrift(4, duration=7, relay="R1", rate=0.5, flagged=False))
    assert set(found) == {"R1:clock"}
    assert found["R1:clock"][1].startswith("clock: angles 0.58")


@pytest.mark.parametrize("mode", ["naive", "consistent", "replay"])
@pytest.mark.parametrize(("ends", "relay"), [("first", "R1"), ("second", "R2")])
def test_injected_readings_are_found_at_the_relay_that_was_told_them(
    mode: str, ends: str, relay: str
) -> None:
    load = LoadStep(2, level=1.1)
    event = Injection(7, duration=3, fault=FAULT, mode=mode, ends=ends, lag=6.0)  # type: ignore[arg-type]
    found = verdict(load, event)
    assert {name.partition(":")[0] for name in found} >= {relay}
    assert not {name for name in found if name.startswith(("R4", "L2"))}


def test_a_feigned_fault_at_both_ends_of_a_line_is_betrayed_by_the_bus() -> None:
    found = verdict(Injection(5, duration=3, fault=FAULT, mode="consistent", ends="both"))
    assert set(found) == {"R2:suspicious"}


def test_an_attacker_who_deceives_the_whole_bus_is_betrayed_by_the_other_line() -> None:
    found = verdict(Injection(5, duration=3, fault=FAULT, mode="bus", ends="both"))
    assert set(found) == {"R3:suspicious"}


def test_angles_that_jump_are_no_drifting_clock() -> None:
    found = verdict(
        LoadStep(2, level=1.1), Injection(7, duration=3, fault=FAULT, mode="replay", ends="first", lag=6.0)
    )
    assert set(found) == {"R1:suspicious"}
    assert "its angles jumped by" in found["R1:suspicious"][1]


def swapped(block: Block, first: str, second: str) -> Block:
    values = block.values.copy()
    for kind in ("M", "A"):
        tail = "" if kind == "M" else "H"
        columns = [
            block.channels.position(f"{name.replace('PM', 'P' + kind)}{tail}") for name in (first, second)
        ]
        values[:, columns] = values[:, columns[::-1]]
    return Block(block.channels, block.time, values)


def test_swapped_phases_are_named() -> None:
    detector, scores = judged(swapped(recorded(seconds=4), "R3-PM2:V", "R3-PM3:V"))
    column = detector.outputs.index("R3:swapped_phases")
    assert isinstance(scores.note, dict)
    assert scores.note["R3:swapped_phases"][-1] == "two phases of its voltages are swapped"
    assert scores.score[-1, column] >= 3
    detector, scores = judged(swapped(recorded(seconds=4), "R1-PM4:I", "R1-PM5:I"))
    assert isinstance(scores.note, dict)
    assert scores.note["R1:swapped_phases"][-1] == "two phases of its currents are swapped"


def test_an_end_of_a_line_that_nothing_else_checks_is_told_with_the_other() -> None:
    alone = SITE.model_copy(update={"buses": {}})
    block = recorded(seconds=4)
    values = block.values.copy()
    columns = [block.channels.position(f"R1-PM{i}:V") for i in (1, 2, 3)]
    values[:, columns] *= 1.05  # from the start on, so that nothing jumps
    detector, scores = judged(Block(block.channels, block.time, values), alone)
    assert isinstance(scores.note, dict)
    last = dict(zip(detector.outputs, scores.score[-1], strict=True))
    assert last["L1:suspicious"] > 1
    assert last["L2:suspicious"] < 1
    assert scores.note["L1:suspicious"][-1].startswith("R1 or R2: suspicious data, the voltage law")


def test_doubtful_readings_are_not_judged() -> None:
    block = recorded(VtFuse(2, duration=8, relay="R4", phase="A"))
    quality = np.zeros(block.values.shape, dtype=np.uint16)
    for i, channel in enumerate(block.channels):
        if channel.terminal == "R4":
            quality[:, i] = Quality.SUSPECT
    doubted = Block(block.channels, block.time, block.values, quality)
    detector, scores = judged(doubted)
    columns = [i for i, name in enumerate(detector.outputs) if name.startswith("R4")]
    assert not (scores.score[:, columns] >= 1).any()


def test_without_a_description_of_the_site_a_terminal_is_checked_by_itself() -> None:
    site = Site.model_validate({"nominal": {"voltage_ll": "230 kV", "current": "400 A"}})
    detector, scores = judged(recorded(VtFuse(5, duration=5, relay="R1", phase="A")), site)
    beyond = {name for i, name in enumerate(detector.outputs) if (scores.score[:, i] >= 1).any()}
    assert beyond == {"R1:vt_fuse"}
    assert {name.partition(":")[0] for name in detector.outputs} == {"R1", "R2", "R3", "R4"}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_scores_and_reasons_do_not_depend_on_the_blocks(size: int) -> None:
    block = recorded(VtFuse(2, duration=2, relay="R2", phase="A"), ShortCircuit(6, fault=FAULT))
    _, whole = judged(block)
    _, cut = judged(block, size=size)
    np.testing.assert_array_equal(whole.score, cut.score)
    assert whole.note == cut.note
