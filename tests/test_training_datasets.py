"""Rows to learn from: which frames, with which truth, at which places, and never more than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridtop.errors import GridtopError, SourceError
from gridtop.training.datasets import choose_features, class_names, dataset
from gridtop.training.lessons import MARGIN_S, Lesson, lessons, recordings_in
from tests.training_recordings import FAULTS, RATE, hours


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return hours(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def taught(recorded: list[Path]) -> list[Lesson]:
    return lessons(recorded)


def test_simulated_grid_is_described_without_a_configuration(taught: list[Lesson]) -> None:
    assert set(taught[0].site.lines) == {"L1", "L2"}
    assert taught[0].baseline is not None
    chosen = choose_features(taught, "transfer")
    assert chosen.scope == "line"
    assert len(chosen.features) > 40


def test_fault_is_an_event_of_its_own_line_only(taught: list[Lesson]) -> None:
    first = taught[0]
    at = round(FAULTS[0][0] * RATE) + 1
    known = {"short_circuit": 1}
    assert first.kinds(("L1", "R1", "R2"), known)[at] == 1
    assert first.kinds(("L2", "R3", "R4"), known)[at] == 0
    assert first.kinds((), known)[at] == 1


def test_frames_soon_after_an_event_are_not_ordinary(taught: list[Lesson]) -> None:
    first = taught[0]
    stop = first.spans[0].stop
    after = slice(stop, stop + round(MARGIN_S * RATE) - 1)
    assert not first.ordinary[after].any()
    assert not first.kinds((), {"short_circuit": 1})[after].any()
    assert first.ordinary[stop + round((MARGIN_S + 1) * RATE)]


def test_rows_of_one_moment_stay_in_one_group_at_all_places(taught: list[Lesson]) -> None:
    data = dataset(taught, choose_features(taught, "transfer"), class_names(taught, "binary"))
    keys = np.column_stack([data.file, data.seconds])
    _, moment = np.unique(keys, axis=0, return_inverse=True)
    lowest = np.full(moment.max() + 1, np.iinfo(np.int64).max)
    highest = np.zeros(moment.max() + 1, dtype=np.int64)
    np.minimum.at(lowest, moment, data.group)
    np.maximum.at(highest, moment, data.group)
    assert np.array_equal(lowest, highest)
    assert not set(data.group[data.file == 0]) & set(data.group[data.file == 1])


def test_every_row_is_complete_and_each_line_is_seen_from_both_ends(taught: list[Lesson]) -> None:
    data = dataset(taught, choose_features(taught, "transfer"), class_names(taught, "binary"))
    assert np.isfinite(data.x).all()
    assert data.places == 4
    assert 0.0 < data.truth.mean() < 0.5


def test_fewer_rows_are_the_same_every_time_and_keep_the_events(taught: list[Lesson]) -> None:
    chosen, classes = choose_features(taught, "transfer"), class_names(taught, "binary")
    few = dataset(taught, chosen, classes, rows=1000)
    again = dataset(taught, chosen, classes, rows=1000)
    assert np.array_equal(few.x, again.x)
    assert len(few.y) <= 1100
    whole = dataset(taught, chosen, classes)
    assert set(few.group[few.truth]) == set(whole.group[whole.truth])
    assert few.truth.mean() > whole.truth.mean()


def test_classes_are_the_kinds_of_events_by_name(taught: list[Lesson]) -> None:
    assert class_names(taught, "multi") == ("normal", "short_circuit")
    assert class_names(taught, "binary") == ("normal", "event")


def test_column_of_labels_may_tell_the_truth(recorded: list[Path]) -> None:
    (one,) = lessons(recorded[:1], column="marker")
    assert one.source == "column marker"
    assert {span.kind for span in one.spans} == {"Natural"}
    assert not any(span.places for span in one.spans)


def test_kind_that_is_normal_operation_is_no_event(recorded: list[Path]) -> None:
    (one,) = lessons(recorded[:1], normal=("short_circuit",))
    assert not one.spans
    assert one.ordinary.all()


def test_unknown_label_column_and_value_say_what_there_is(recorded: list[Path]) -> None:
    with pytest.raises(GridtopError, match="its labels are: marker"):
        lessons(recorded[:1], column="markr")
    with pytest.raises(GridtopError, match="--normal quiet: nothing has this name; there are"):
        lessons(recorded[:1], normal=("quiet",))


def test_recording_without_truth_says_where_it_was_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("time,R1-V\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:01Z,2\n")
    with pytest.raises(GridtopError, match="no list of events beside it"):
        lessons([path])


def test_folders_stand_for_the_recordings_in_them(recorded: list[Path], tmp_path: Path) -> None:
    assert recordings_in([recorded[0].parent]) == sorted(recorded)
    with pytest.raises(SourceError, match="no recording in this folder"):
        recordings_in([tmp_path])
    with pytest.raises(SourceError, match="no such file"):
        recordings_in([tmp_path / "nothing.csv"])
