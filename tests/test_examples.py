"""The examples work as they stand: the detector that the README shows, and the microgrid."""

from __future__ import annotations

import asyncio
import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.config import load
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.registry import discover
from gridtop.simulation.microgrid import tour
from gridtop.simulation.microgrid_recording import write_microgrid
from tests.streams import block_of, channel_set

DOCUMENT = Path(__file__).parent.parent / "docs" / "plugins.md"
FOLDER = Path(__file__).parent.parent / "examples"
CHANNELS = channel_set("R1:F", "R2:F")


def jump() -> type:
    return discover([FOLDER], environment={}).load("detector", "jump")


def score(values: np.ndarray, cuts: list[int]) -> np.ndarray:
    target = jump()
    detector = target(target.Config(), CHANNELS)  # type: ignore[attr-defined]
    whole = block_of(values, CHANNELS)
    edges = [0, *sorted(cuts), len(values)]
    blocks = [whole.slice(first, end) for first, end in pairwise(edges)]
    return np.vstack([detector.score(block).score for block in blocks])


def test_the_folder_of_examples_is_a_folder_of_plugins() -> None:
    registry = discover([FOLDER], environment={})
    assert not [problem for problem in registry.problems if problem.origin != "built in"]
    assert registry.spec("detector", "jump").summary


def test_it_scores_how_far_a_value_jumps() -> None:
    scores = score(np.array([[60.0, 1.0], [60.5, np.nan], [60.0, 3.0], [60.0, 1.0]]), [])
    np.testing.assert_array_equal(scores, [[np.nan, np.nan], [0.5, np.nan], [0.5, np.nan], [0.0, 2.0]])


@given(st.lists(st.integers(0, 20), max_size=8))
def test_cutting_the_stream_differently_changes_nothing(cuts: list[int]) -> None:
    values = np.random.default_rng(3).standard_normal((20, 2))
    assert score(values, cuts).tobytes() == score(values, []).tobytes()


def test_it_is_short_enough_to_show() -> None:
    lines = (FOLDER / "custom_detector.py").read_text(encoding="utf-8").splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith("class")) :]
    assert len([line for line in body if line.strip()]) <= 10


def test_the_first_detector_of_the_documentation_works(tmp_path: Path) -> None:
    code = DOCUMENT.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "jump.py").write_text(code, encoding="utf-8")
    target = discover(files=[tmp_path / "jump.py"], environment={}).load("detector", "jump")
    detector = target(target.Config(), CHANNELS)  # type: ignore[attr-defined]
    scores = detector.score(block_of([[1.0, 2.0], [2.0, 0.0]], CHANNELS)).score
    np.testing.assert_array_equal(scores, [[np.nan, np.nan], [1.0, 2.0]])


# The microgrid: three days, in which something happens eight times.

EXPECTED = {
    ("error_codes", "BATTERY"): {("data", "BATTERY")},
    ("error_codes", "SITE"): {("data", "SITE"), ("data", "FUEL_CELL")},
    ("error_codes", "GRID"): {("data", "GRID")},
    ("meter_fault", "LOAD"): {("site_imbalance", "system"), ("efficiency", "system")},
    ("overload", "MSB"): {("v_low", "MSB")},
    ("losses", "MSB"): {("site_imbalance", "system"), ("efficiency", "system")},
    ("unsteady_frequency", "GRID"): {("f_stability", "system")},
    ("islanding", "GRID"): {("island", "system"), ("f_dev", "MSB"), ("f_stability", "system")},
}


@pytest.fixture(scope="module")
def microgrid() -> list[Event]:
    async def watch() -> list[Event]:
        configuration = load(FOLDER / "microgrid.yaml", environment={})
        monitor = Monitor(configuration, stop_at_end=True, keep_history=False)
        await monitor.run()
        return list(monitor.events(0, 10**6))

    return asyncio.run(watch())


def listed() -> list[dict[str, Any]]:
    document = json.loads((FOLDER / "microgrid.events.json").read_text(encoding="ascii"))
    events: list[dict[str, Any]] = document["events"]
    return events


def raised(events: list[Event], within: tuple[float, float]) -> set[tuple[str, str]]:
    """Rule and terminal of the alarms raised in these milliseconds of the recording."""
    start, end = (np.datetime64("2026-06-01", "ns") + np.timedelta64(int(ms), "ms") for ms in within)
    return {
        (event.rule, event.terminal)
        for event in events
        if event.transition == "raised" and event.time is not None and start <= event.time <= end
    }


@pytest.mark.parametrize("number", range(8))
def test_microgrid_raises_what_each_event_should(microgrid: list[Event], number: int) -> None:
    event = listed()[number]
    expected = EXPECTED[event["kind"], event["place"]]
    assert raised(microgrid, (event["start_ms"], event["end_ms"])) == expected


def test_microgrid_raises_nothing_else_and_all_is_clear_at_the_end(microgrid: list[Event]) -> None:
    during = [raised(microgrid, (event["start_ms"], event["end_ms"])) for event in listed()]
    transitions = [event.transition for event in microgrid]
    assert transitions.count("raised") == sum(map(len, during))
    assert transitions.count("cleared") == transitions.count("raised")


def test_recording_of_the_microgrid_is_what_the_command_makes(tmp_path: Path) -> None:
    recording = FOLDER / "microgrid.csv.gz"
    write_microgrid(tmp_path / "microgrid.csv", 3 * 8640, tour(3 * 86_400))
    assert gzip.decompress(recording.read_bytes()) == (tmp_path / "microgrid.csv").read_bytes()
    events = (tmp_path / "microgrid.events.json").read_bytes()
    assert (FOLDER / "microgrid.events.json").read_bytes() == events
    assert recording.stat().st_size < 600_000
