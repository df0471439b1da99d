"""Event windows: opened by the trigger, measured at their ages, scored, and taught."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Floats
from gridtop.errors import ConfigurationError, GridtopError
from gridtop.learning.card import ModelCard, Output, Windows
from gridtop.learning.event_scoring import EventScorer
from gridtop.learning.features import Feature
from gridtop.learning.folder import MODEL, TREES, write_folder
from gridtop.learning.model import Model
from gridtop.learning.windows import MEASURES, Change, Columns, WindowStream

RATE = 10.0
FEATURES = (
    Feature(channel="near:voltage_pu.A"),
    Feature(channel="near:voltage_pu.A", statistic="range", window=1.0),
    Feature(channel="far:voltage_pu.A"),
    Feature(channel="any:control_panel_log*", optional=True),
)
WINDOWS = Windows(
    lags=(0.2, 1.0),
    level=2.0,
    spreads=((0.1, 0.1), (0.1, 0.1)),
    held=(0.3, 0.3),
    before=1.0,
    ages=(0.1, 0.5, 2.0),
    rest=2.0,
    calm=0.5,
    hold=6.0,
)
LEVEL = 1.0
N = 200


def level(places: int = 1, frames: int = N) -> Floats:
    """(p, n, 4) features that stay what they are, without an entry of a log."""
    x = np.full((places, frames, len(FEATURES)), LEVEL)
    x[..., 3] = 0.0
    return x


def stepped(first: int = 50, last: int = 150, size: float = -0.5) -> Floats:
    x = level()
    x[:, first:last, 0] += size
    return x


def changes(x: Floats, cuts: list[int] | None = None, windows: Windows = WINDOWS) -> list[Change]:
    """Everything that changes, sorted as if it were one block."""
    stream = WindowStream(windows, FEATURES, len(x), RATE)
    edges = [0, *(cuts or []), x.shape[1]]
    found = [c for a, b in itertools.pairwise(edges) for c in stream(x[:, a:b], a)]
    return sorted(found, key=lambda change: (change.place, change.row))


def measures(change: Change) -> dict[str, list[float]]:
    """The numbers of a reading by name."""
    assert change.reading is not None
    numbers = change.reading.numbers
    count = len(MEASURES) * 2
    by_name = dict(zip(MEASURES, numbers[:count].reshape(len(MEASURES), 2).tolist(), strict=True))
    return by_name | {"age": [numbers[count]], "log": numbers[count + 1 :][:1].tolist()}


def test_step_opens_one_window_that_is_measured_at_its_ages_and_held() -> None:
    found = changes(stepped(last=N))
    assert [(c.row, c.reading and c.reading.opened) for c in found] == [
        (51, 50),
        (55, 50),
        (70, 50),
        (110, None),  # held for 6 s
    ]
    assert [c.reading.age for c in found if c.reading] == [0.1, 0.5, 2.0]


def test_window_says_what_changed_since_the_state_before() -> None:
    x = stepped()
    x[0, 50, 0] = 1.4
    x[0, 51:53, 0] = 0.1
    x[0, 45, 3] = 1.0
    second = measures(changes(x)[1])
    assert second["change"] == pytest.approx([-0.5, 0.0])
    assert second["lowest"] == pytest.approx([-0.9, 0.0])
    assert second["highest"] == pytest.approx([0.4, 0.0])
    assert second["last"] == pytest.approx([0.5, 1.0])
    assert second["age"] == [0.5]
    assert second["log"] == [1.0]


def test_window_closes_when_all_is_as_before() -> None:
    found = changes(stepped(50, 60))
    closed = [c.row for c in found if c.reading is None]
    assert closed[0] == 70  # at rest 2 s after it opened, calm long before


def test_window_that_follows_knows_the_origin_and_the_logs_of_the_first() -> None:
    x = stepped(50, 90)
    x[0, 51, 3] = 1.0
    following = next(c for c in changes(x) if c.reading is not None and c.reading.opened == 90)
    numbers = measures(following)
    assert numbers["change"] == pytest.approx([0.5, 0.0])
    assert numbers["departure"] == pytest.approx([0.0, 0.0])
    assert numbers["log"] == [1.0]


def test_noise_opens_no_window() -> None:
    x = level(places=3, frames=2000)
    x += np.random.default_rng(1).uniform(-0.09, 0.09, x.shape)
    assert changes(x) == []


def test_missing_frames_open_no_window_and_end_none() -> None:
    x = level()
    x[0, 30:60] = np.nan
    assert changes(x) == []
    x = stepped(last=N)
    x[0, 52:69] = np.nan
    assert [c.row for c in changes(x)] == [51, 55, 70, 110]


def test_features_that_the_window_does_not_measure_open_none() -> None:
    x = level()
    x[0, 50:, 1] = 9.0
    x[0, 50:, 3] = 1.0
    assert changes(x) == []


streams = st.tuples(st.integers(0, 2**32 - 1), st.lists(st.integers(1, N - 1), max_size=8).map(sorted))


def wild(seed: int) -> Floats:
    """Steps, gaps and noise at two places."""
    rng = np.random.default_rng(seed)
    x = level(places=2)
    for place in x:
        for first in rng.integers(0, N, 5):
            place[first : first + int(rng.integers(1, 60)), rng.integers(0, 3)] += rng.normal()
        place[rng.random(N) < 0.05, 3] = 1.0
    x += rng.normal(0.0, 0.02, x.shape)
    x[rng.random(x.shape) < 0.03] = np.nan
    return x


@settings(max_examples=60, deadline=None)
@given(streams)
def test_cutting_the_stream_differently_changes_no_bit_of_a_window(drawn: tuple[int, list[int]]) -> None:
    seed, cuts = drawn
    whole, parts = changes(wild(seed)), changes(wild(seed), cuts)
    assert [(c.place, c.row) for c in whole] == [(c.place, c.row) for c in parts]
    for one, other in zip(whole, parts, strict=True):
        assert (one.reading is None) == (other.reading is None)
        if one.reading is not None and other.reading is not None:
            assert one.reading.numbers.tobytes() == other.reading.numbers.tobytes()


# Scores ---------------------------------------------------------------------------------------------------


CLASSES = ("normal", "fault_AG", "oscillation")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Takes a drop of the near voltage for a fault, a rise for an oscillation."""
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    from gridtop.training.forests import fit_random_forest

    rng = np.random.default_rng(3)
    x = rng.normal(0.0, 0.01, (600, Columns(FEATURES).width))
    y = np.repeat([0, 1, 2], 200)
    near = np.arange(0, 2 * len(MEASURES), 2)  # every measure of the near voltage
    x[:, 2 * len(MEASURES) - 2 : 2 * len(MEASURES)] += LEVEL
    x[np.ix_(y == 1, near)] -= 0.5
    x[np.ix_(y == 2, near)] += 0.5
    fitted = fit_random_forest(x, y, classes=CLASSES, seed=1, trees=20)
    card = ModelCard(
        name="small",
        kind="random_forest",
        mode="events",
        recipe="transfer",
        scope="line",
        features=FEATURES,
        fill=(1.0, 0.0, 1.0, -1.0),
        windows=WINDOWS,
        classes=CLASSES,
        outputs=(Output(name="fault", classes=("fault_AG",)), Output(name="other", classes=("oscillation",))),
        seed=1,
    )
    folder = tmp_path_factory.mktemp("models") / "small"
    write_folder(folder, card, {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()})
    return Model.load(folder)


def scored(model: Model, x: Floats, cuts: list[int] | None = None) -> Floats:
    scorer = EventScorer(model, len(x), RATE)
    edges = [0, *(cuts or []), x.shape[1]]
    return np.concatenate([scorer.score(x[:, a:b], a) for a, b in itertools.pairwise(edges) if b > a])


def test_scores_are_0_until_a_window_is_measured_and_hold_until_it_closes(model: Model) -> None:
    scores = scored(model, stepped(last=N))
    assert not scores[:51].any()
    assert not scores[110:].any()
    assert (scores[51:110, 0] > 0.8).all()
    assert (scores[51:110, 1] < 0.2).all()


def test_places_have_columns_of_their_own(model: Model) -> None:
    x = np.concatenate([level(), stepped(size=0.5)])
    scores = scored(model, x)
    assert scores.shape == (N, 4)
    assert not scores[:, :2].any()
    assert scores[60, 3] > 0.6


def test_frame_that_lacks_its_features_has_no_score(model: Model) -> None:
    x = level()
    x[0, 20:25] = np.nan
    scores = scored(model, x)
    assert np.isnan(scores[20:25]).all()
    assert not np.isnan(scores[:20]).any()
    assert not np.isnan(scores[25:]).any()


@settings(max_examples=25, deadline=None)
@given(streams)
def test_cutting_the_stream_differently_changes_no_bit_of_a_score(
    model: Model, drawn: tuple[int, list[int]]
) -> None:
    seed, cuts = drawn
    x = wild(seed)
    assert scored(model, x).tobytes() == scored(model, x, cuts).tobytes()


def test_notes_name_the_class_while_the_window_is_open(model: Model) -> None:
    scorer = EventScorer(model, 1, RATE)
    scorer.score(stepped()[:, :60], 0)
    notes = scorer.notes(0, 0, 60)
    assert notes[50] == ""
    assert notes[51].startswith("fault, phase A to ground (")
    scorer.score(stepped()[:, 60:65], 60)
    assert scorer.notes(0, 0, 5)[0].startswith("fault, phase A to ground (")


def test_explanation_names_the_feature_that_fell(model: Model) -> None:
    scorer = EventScorer(model, 1, RATE)
    scorer.score(stepped()[:, :60], 0)
    shares = scorer.explain(55, 0, 0)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] > 0.9
    assert not scorer.explain(10, 0, 0).any()


def test_model_of_frames_is_no_model_of_events(model: Model) -> None:
    from dataclasses import replace

    frames = replace(model, card=model.card.model_copy(update={"mode": "frames", "windows": None}))
    with pytest.raises(ConfigurationError, match="no model of events"):
        EventScorer(frames, 1, RATE)


# Teaching -------------------------------------------------------------------------------------------------


def test_trigger_is_set_so_that_quiet_frames_open_few_windows() -> None:
    from gridtop.training.window_triggers import set_trigger

    rng = np.random.default_rng(5)
    frames = 36_000
    x = level(frames=frames)
    x[..., 0] += rng.normal(0.0, 0.01, (1, frames))
    x[..., 2] += rng.normal(0.0, 0.001, (1, frames))
    quiet = np.ones(frames, dtype=np.bool_)
    quiet[10_000:10_100] = False
    x[0, 10_000:10_100, 0] = 0.2
    windows = set_trigger([(x, quiet)], FEATURES, RATE)
    opened = {c.reading.opened for c in changes(x, windows=windows) if c.reading is not None}
    assert any(9_999 <= row <= 10_001 for row in opened)
    assert 1 < len(opened) <= 25
    # Both ends are measured with the same measure: that of the noisier one.
    assert windows.spreads[0][0] == windows.spreads[0][1]


def test_trigger_needs_quiet_frames() -> None:
    from gridtop.training.window_triggers import set_trigger

    with pytest.raises(GridtopError, match="not enough quiet frames"):
        set_trigger([(level(), np.zeros(N, dtype=np.bool_))], FEATURES, RATE)


def test_no_group_is_both_learned_from_and_judged() -> None:
    from gridtop.training.window_scores import out_of_fold

    groups = np.repeat(np.arange(7), 3)
    x = np.zeros((21, 1))
    seen: list[set[int]] = []

    class Constant:
        def predict(self, rows: np.ndarray) -> Floats:
            return np.full((len(rows), 2), len(seen), dtype=float)

    def fit(chosen: np.ndarray, fold: int) -> Constant:
        seen.append(set(groups[chosen].tolist()))
        return Constant()

    answers = out_of_fold(x, groups, 3, fit)[:, 0].astype(int)
    assert len(seen) == 3
    assert not [row for row, fold in enumerate(answers.tolist()) if groups[row] in seen[fold - 1]]


SCENARIO = """\
duration: 240s
rate: 30
seed: {seed}
events:
{events}
"""


def recorded(folder: Path, seed: int) -> Path:
    """A quiet start, then faults on either line and other things in between; none is like another."""
    from gridtop.__main__ import main

    rng = np.random.default_rng(seed)
    lines = []
    for i, start in enumerate(range(30, 230, 12)):
        if i % 4 < 2:
            fault = (
                f"{{line: L{1 + i % 2}, kind: {('AG', 'BG')[i // 2 % 2]}, "
                f"distance: {rng.uniform(0.1, 0.9):.2f}, resistance: {rng.uniform(5, 30):.1f}}}"
            )
            lines.append(f"  - {{kind: short_circuit, start: {start}s, fault: {fault}}}")
        elif i % 4 == 2:
            lines.append(f"  - {{kind: load_step, start: {start}s, level: {rng.uniform(0.85, 1.15):.3f}}}")
        else:
            relay = f"R{1 + i % 3}"
            lines.append(f"  - {{kind: vt_fuse, start: {start}s, duration: 5s, relay: {relay}, phase: A}}")
    scenario = folder / f"scenario-{seed}.yaml"
    scenario.write_text(SCENARIO.format(seed=seed, events="\n".join(lines)), encoding="utf-8")
    path = folder / f"minutes-{seed}.csv"
    with pytest.raises(SystemExit, match="0"):
        main(["simulate", "-o", str(path), "--scenario", str(scenario), "--labels", "full"])
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return [recorded(folder, seed) for seed in (1, 2, 3)]


def test_trained_model_names_the_faults_of_a_recording_it_has_not_seen(
    recordings: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    from gridtop.training.datasets import FeatureReader, choose_features
    from gridtop.training.event_windows import train_events
    from gridtop.training.lessons import lessons

    taught = lessons(recordings)
    card, files = train_events(taught[:2], seed=1, trees=10, leaves=60)
    again, same = train_events(taught[:2], seed=1, trees=10, leaves=60)
    assert (card, files) == (again, same)
    assert card.mode == "events"
    assert len(card.recordings) == 2
    assert any(score.leaking for score in card.scores)
    assert any(not score.leaking for score in card.scores)
    write_folder(tmp_path / "events", card, files)
    model = Model.load(tmp_path / "events")

    unseen = taught[2]
    reader = FeatureReader(unseen, card.features, choose_features(taught, "transfer"), both_ways=False)
    scorer = EventScorer(model, len(reader.places), unseen.channels.rate)
    fault = [output.name for output in card.outputs].index("fault")
    frames = len(unseen.seconds)
    scores = np.empty((frames, len(reader.places)))
    notes = [[""] * frames for _ in reader.places]
    for rows, x in reader:
        block = scorer.score(x, int(rows[0])).reshape(len(rows), len(reader.places), -1)
        scores[rows] = block[..., fault]
        for place, texts in enumerate(notes):
            texts[rows[0] : rows[-1] + 1] = scorer.notes(place, fault, len(rows))
    faults = [span for span in unseen.spans if span.kind == "short_circuit"]
    assert len(faults) == 9
    found = 0
    for span in faults:
        (place,) = (i for i, p in enumerate(reader.places) if p.name in span.places)
        raised = np.flatnonzero(scores[span.first : span.first + 30, place] > 0.6)
        found += bool(len(raised)) and notes[place][span.first + raised[0]].startswith("fault, phase")
    assert found >= 7
    assert (scores[unseen.ordinary] > 0.6).mean() < 0.01


def test_kinds_of_events_may_be_the_classes(recordings: list[Path]) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    from gridtop.training.event_windows import train_events
    from gridtop.training.lessons import lessons

    card, _ = train_events(lessons(recordings[:2]), seed=1, trees=5, leaves=20, by_kind=True)
    assert card.classes == ("normal", "short_circuit", "vt_fuse")
    assert [output.name for output in card.outputs] == ["short_circuit", "vt_fuse"]


def test_operators_classes_need_the_list_of_events(recordings: list[Path], tmp_path: Path) -> None:
    from gridtop.training.event_windows import train_events
    from gridtop.training.lessons import lessons

    alone = tmp_path / "alone.csv"
    alone.write_bytes(recordings[0].read_bytes())
    with pytest.raises(GridtopError):
        train_events(lessons([alone], column="marker"), seed=1, trees=5)
