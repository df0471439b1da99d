"""The pictures of a model's card: small, repeatable, readable SVGs."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gridtop.errors import GridtopError
from gridtop.training.plots import plot_confusion, plot_losses, plot_reliability, plot_scores

pytestmark = pytest.mark.skipif(find_spec("matplotlib") is None, reason="not installed: matplotlib")

RNG_SEED = 4


def scores(path: Path) -> None:
    rng = np.random.default_rng(RNG_SEED)
    thresholds = {"q99": 2.4, "q99.9": 3.3}
    plot_scores(rng.gamma(3, 0.3, 20_000), rng.gamma(9, 0.9, 3_000), thresholds, path, unit="spreads")


def confusion(path: Path) -> None:
    names = ["normal", "fault <AG> & more", "cost $x_1$", "line open\x1b[31m"]
    plot_confusion([[999, 1, 0, 0], [2, 8, 0, 0], [0, 0, 0, 0], [0, 0, 1, 3]], names, path)


def reliability(path: Path) -> None:
    rng = np.random.default_rng(RNG_SEED)
    stated = rng.beta(0.4, 0.6, 5_000)
    plot_reliability(stated, rng.random(5_000) < stated, path)


def losses(path: Path) -> None:
    epoch = np.arange(1, 2001)
    plot_losses(np.exp(-epoch / 300) + 0.04, np.exp(-epoch / 300) + 0.06, 1500, path)


def texts(path: Path) -> list[str]:
    """What a browser would show as text."""
    found = ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


@pytest.mark.parametrize("draw", [scores, confusion, reliability, losses])
def test_the_same_numbers_give_the_same_small_file(draw: Callable[[Path], None], tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    draw(first)
    draw(second)
    assert first.read_bytes() == second.read_bytes()
    assert 2_000 < first.stat().st_size < 60_000
    content = first.read_text(encoding="utf-8")
    assert "<dc:date>" not in content
    assert "<image" not in content
    assert len([text for text in texts(first) if text]) > 5


def test_scores_show_thresholds_by_name_numbers_of_frames_and_what_lies_beyond(tmp_path: Path) -> None:
    scores(tmp_path / "s.svg")
    shown = " ".join(texts(tmp_path / "s.svg"))
    for text in (
        "q99.9",
        "ordinary frames (20,000)",
        "frames of events (3,000)",
        "share of frames, %",
        "spreads",
    ):
        assert text in shown
    assert "the last bar holds" in shown


def test_scores_without_events_are_drawn_and_without_ordinary_ones_refused(tmp_path: Path) -> None:
    plot_scores([0.5, np.nan, 0.5], [], {"q99": np.inf}, tmp_path / "s.svg")
    assert "ordinary frames (2)" in texts(tmp_path / "s.svg")
    with pytest.raises(GridtopError, match="no scores of ordinary frames"):
        plot_scores([np.nan], [1.0], {}, tmp_path / "t.svg")


def test_names_of_classes_are_text_and_nothing_else(tmp_path: Path) -> None:
    confusion(tmp_path / "c.svg")
    shown = texts(tmp_path / "c.svg")
    assert "fault <AG> & more" in shown
    assert "cost $x_1$" in shown
    assert "line open\ufffd[31m" in shown


def test_a_class_with_mistakes_is_never_shown_as_all_right(tmp_path: Path) -> None:
    confusion(tmp_path / "c.svg")
    shown = " ".join(texts(tmp_path / "c.svg"))
    assert ">99 %" in shown
    assert "<1 %" in shown
    assert "100 %" not in shown


def test_many_classes_stay_a_small_picture_and_too_many_are_refused(tmp_path: Path) -> None:
    names = [f"scenario {number}" for number in range(37)]
    plot_confusion(np.diag(np.full(37, 90)) + np.diag(np.full(36, 10), 1), names, tmp_path / "c.svg")
    assert (tmp_path / "c.svg").stat().st_size < 60_000
    with pytest.raises(GridtopError, match="cannot be read"):
        plot_confusion(np.eye(60), [str(number) for number in range(60)], tmp_path / "d.svg")
    with pytest.raises(ValueError, match="do not fit 2 classes"):
        plot_confusion(np.eye(3), ["a", "b"], tmp_path / "d.svg")


def test_probabilities_without_outcomes_are_refused(tmp_path: Path) -> None:
    plot_reliability([1.0, 0.0, np.nan], [True, False, True], tmp_path / "r.svg")
    with pytest.raises(GridtopError, match="no probabilities"):
        plot_reliability([np.nan], [True], tmp_path / "r.svg")
    with pytest.raises(ValueError, match="outcomes"):
        plot_reliability([0.5], [True, False], tmp_path / "r.svg")


def test_losses_name_the_epoch_that_was_kept(tmp_path: Path) -> None:
    losses(tmp_path / "l.svg")
    assert "kept: epoch 1500" in texts(tmp_path / "l.svg")
    plot_losses([0.0], [0.0], 1, tmp_path / "m.svg")
    with pytest.raises(ValueError, match="do not fit epoch 3"):
        plot_losses([1.0, 0.5], [1.0, 0.6], 3, tmp_path / "n.svg")
