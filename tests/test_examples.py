"""The detector that the README shows works as it stands, in a folder named in the configuration."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridtop.registry import discover
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
