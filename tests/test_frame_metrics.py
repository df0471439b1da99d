"""Figures of frames: against values worked out by hand, and against scikit-learn where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.evaluation.frame_metrics import (
    average_precision,
    binary_confusion,
    confusion,
    pr_curve,
    roc_auc,
    roc_curve,
)
from gridtop.evaluation.frame_scores import (
    FrameScores,
    cross_validation,
    figures,
    fold_figures,
    scores_by_folds,
)
from gridtop.evaluation.resampling import bootstrap
from gridtop.evaluation.splits import by_event, by_rows

NAN = math.nan


def marks(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and at least one frame of each kind."""
    n = draw(st.integers(2, 40))
    score = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    truth = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda t: any(t) and not all(t)))
    return np.array(score, dtype=np.float64), np.array(truth)


# Areas


def test_roc_auc_counts_pairs_and_half_of_every_tie() -> None:
    # Of the six pairs (event, other): 3>1, 3>2, 3>2, 2>1 are right, 2=2 twice half: 5 of 6.
    assert roc_auc(array(1, 2, 2, 3, 2), marks("..xx.")) == pytest.approx(5 / 6)


def test_a_constant_score_is_worth_nothing() -> None:
    assert roc_auc(array(5, 5, 5, 5), marks("x...")) == 0.5
    assert average_precision(array(5, 5, 5, 5), marks("x...")) == 0.25


def test_average_precision_takes_frames_of_one_score_together() -> None:
    # 3 alone: recall 1/2 at precision 1. Then both of 2 at once: recall 1 at precision 2/3.
    assert average_precision(array(3, 2, 2, 1), marks("xx..")) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(array(3, 2, 2, 1), marks("x.x.")) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_no_opinion_is_the_lowest_score() -> None:
    assert roc_auc(array(-9, NAN), marks("x.")) == 1
    assert roc_auc(array(-9, NAN), marks(".x")) == 0
    assert roc_auc(array(NAN, NAN), marks(".x")) == 0.5


def test_frames_of_one_kind_have_no_area() -> None:
    assert math.isnan(roc_auc(array(1, 2), marks("xx")))
    assert math.isnan(roc_auc(array(1, 2), marks("..")))
    assert math.isnan(average_precision(array(1, 2), marks("..")))
    assert not len(roc_curve(array(1, 2), marks("xx"))[0])


def test_curves_begin_and_end_where_they_must() -> None:
    rate, found = roc_curve(array(3, 2, 1), marks("x.x"))
    np.testing.assert_allclose(rate, [0, 0, 1, 1])
    np.testing.assert_allclose(found, [0, 0.5, 0.5, 1])
    recall, precision = pr_curve(array(3, 2, 1), marks("x.x"))
    np.testing.assert_allclose(recall, [0, 0.5, 0.5, 1])
    np.testing.assert_allclose(precision, [1, 1, 0.5, 2 / 3])


@given(scored())
def test_turning_scores_around_turns_the_area_around(case: tuple[np.ndarray, np.ndarray]) -> None:
    score, truth = case
    assert roc_auc(score, truth) + roc_auc(-score, truth) == pytest.approx(1)


@given(scored())
def test_areas_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    score, truth = case
    assert roc_auc(score, truth) == pytest.approx(metrics.roc_auc_score(truth, score))
    assert average_precision(score, truth) == pytest.approx(metrics.average_precision_score(truth, score))


# At a level


def test_matthews_coefficient_of_a_table_known_from_hand() -> None:
    # 6 found, 1 false, 2 missed, 3 rightly quiet: (6*3 - 1*2) / sqrt(7 * 8 * 4 * 5).
    truth = marks("xxxxxxxx" + "....")
    said = marks("xxxxxx.." + "x...")
    table = binary_confusion(truth, said)
    assert table.counts.tolist() == [[3, 1], [2, 6]]
    assert table.mcc == pytest.approx(16 / math.sqrt(7 * 8 * 4 * 5))
    event = table.figures[1]
    assert (event.precision, event.recall) == (pytest.approx(6 / 7), 0.75)
    assert event.f1 == pytest.approx(0.8)


def test_saying_always_the_same_has_a_coefficient_of_zero_and_truth_without_events_none() -> None:
    assert binary_confusion(marks("x..."), marks("....")).mcc == 0
    assert math.isnan(binary_confusion(marks("...."), marks("x...")).mcc)
    assert math.isnan(binary_confusion(marks("x..."), marks("....")).figures[1].precision)


def test_the_coefficient_of_a_million_frames_does_not_overflow() -> None:
    truth = np.arange(4_000_000) % 2 == 0
    assert binary_confusion(truth, truth).mcc == pytest.approx(1)


def test_classes_keep_the_order_asked_for_and_others_follow_by_name() -> None:
    table = confusion(["b", "a", "a"], ["b", "c", "a"], classes=["b"])
    assert table.classes == ("b", "a", "c")
    assert table.counts.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert [figure.frames for figure in table.figures] == [1, 2, 0]
    assert table.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    with pytest.raises(ValueError, match="2 frames"):
        confusion(["a", "b"], ["a"])


names = st.lists(st.sampled_from("abc"), min_size=2, max_size=30)


@given(st.data())
def test_class_figures_are_those_of_scikit_learn(data: st.DataObject) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth = data.draw(names)
    said = data.draw(st.lists(st.sampled_from("abc"), min_size=len(truth), max_size=len(truth)))
    table = confusion(truth, said)
    assert table.macro_f1 == pytest.approx(metrics.f1_score(truth, said, average="macro", zero_division=0))
    if len(set(truth)) > 1:
        assert table.mcc == pytest.approx(metrics.matthews_corrcoef(truth, said))


# Intervals


def example(events: int = 6, frames: int = 40, seed: int = 3) -> tuple[np.ndarray, ...]:
    """Events and stretches by turns, each with a level of its own: (score, truth, said, group)."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(2 * events), frames)
    truth = group % 2 == 1
    score = random.normal(size=2 * events)[group] + truth + 0.1 * random.normal(size=len(group))
    return score, truth, score > 1, group


def test_the_same_draws_give_the_same_interval_and_others_another() -> None:
    first = bootstrap(*example(), draws=200)
    assert first == bootstrap(*example(), draws=200)
    assert first != bootstrap(*example(), draws=200, seed=1)


def test_more_frames_of_the_same_events_prove_nothing_more() -> None:
    score, truth, said, group = example(frames=5)
    once = bootstrap(score, truth, said, group, draws=300)
    often = bootstrap(*(np.repeat(x, 50) for x in (score, truth, said, group)), draws=300)
    for a, b in zip(
        (*once.roc_auc, *once.average_precision, *once.mcc),
        (*often.roc_auc, *often.average_precision, *often.mcc),
        strict=True,
    ):
        assert a == pytest.approx(b)


def test_one_event_gives_no_interval() -> None:
    score, truth, said, group = example(events=1)
    assert all(map(math.isnan, bootstrap(score, truth, said, group).roc_auc))


def test_interval_of_many_different_scores_is_that_of_every_draw_by_itself() -> None:
    score, truth, said, group = example(events=5, frames=400)
    assert len(np.unique(score)) > 1024
    quick = bootstrap(score, truth, said, group, draws=100)
    random = np.random.default_rng(20260101)
    times = random.multinomial(10, np.full(10, 0.1), size=100)
    areas, averages = [], []
    for weights in times:
        rows = np.concatenate([np.flatnonzero(group == g) for g in np.repeat(np.arange(10), weights)])
        areas.append(roc_auc(score[rows], truth[rows]))
        averages.append(average_precision(score[rows], truth[rows]))
    np.testing.assert_allclose(quick.roc_auc, np.nanpercentile(areas, [2.5, 97.5]), atol=2e-3)
    np.testing.assert_allclose(quick.average_precision, np.nanpercentile(averages, [2.5, 97.5]), atol=5e-3)


# Scores of frames


def test_untested_frames_are_left_out_and_each_fold_stands_by_itself() -> None:
    scores = FrameScores(
        "d",
        array(1, 2, 2, 1, 9),
        marks(".x.x."),
        np.arange(5),
        marks(".xx.."),
        np.array([0, 0, 1, 1, -1]),
        ("first", "second"),
        "event",
    )
    whole = figures(scores, draws=0)
    assert (whole.frames, whole.prevalence, whole.roc_auc) == (4, 0.5, 0.5)
    assert [fold.roc_auc for fold in fold_figures(scores)] == [1, 0]
    assert [fold.mcc for fold in fold_figures(scores)] == [1, -1]


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 scores and 2 of truth"):
        FrameScores("d", array(1, 2, 3), marks("x."), np.arange(3))


def test_a_detector_that_learns_its_rows_by_heart_shines_only_on_the_leaking_split() -> None:
    """Each event has a fingerprint; whoever has seen a row of it knows the others. Nothing else is told."""
    random = np.random.default_rng(5)
    group = np.repeat(np.arange(60), 20)
    truth = random.random(60)[group] < 0.4
    fingerprint = random.normal(size=60)[group]

    def learn(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, None]:
        nearest = np.abs(fingerprint[test][:, None] - fingerprint[train][None, :]).argmin(axis=1)
        return truth[train][nearest].astype(np.float64), None

    honest = scores_by_folds("heart", learn, by_event(group, truth), "event", truth, group)
    leaking = scores_by_folds("heart", learn, by_rows(len(group)), "rows", truth, group)
    one = cross_validation(honest, leaking)
    assert one.leaking is not None
    assert one.leaking.roc_auc > 0.99
    assert one.honest.roc_auc < 0.75
    assert len(one.folds) == 5
    with pytest.raises(ValueError, match="shows nothing by itself"):
        cross_validation(leaking)
