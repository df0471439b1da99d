"""`gridtop train` writes model folders that can be used, judges them honestly, and says what it cannot do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridtop.commands import train
from gridtop.errors import GridtopError
from gridtop.learning.card import ModelCard, Score
from gridtop.learning.folder import read_card, verify
from gridtop.learning.model import Model
from tests.training_recordings import hours, simulated

SMALL = ("--rows", 3000)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(train.command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return hours(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def trained(recorded: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("models")
    names = ("forest", "isolation", "autoencoder")
    result = run(*names, "--classes", "binary", "--data", *recorded, "-o", folder, *SMALL)
    assert result.exit_code == 0, result.output
    return folder, result.output


def scores(card: ModelCard, *, leaking: bool) -> dict[str, Score]:
    return {score.name: score for score in card.scores if score.leaking is leaking}


@pytest.mark.parametrize("name", ["forest", "isolation", "autoencoder"])
def test_folder_is_whole_small_and_can_be_used(trained: tuple[Path, str], name: str) -> None:
    folder = trained[0] / name
    assert verify(folder) == []
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000
    model = Model.load(folder)
    given = model.score(np.tile(model.card.fills, (3, 1)))
    assert given.shape == (3, 1)
    assert np.isfinite(given).all()


@pytest.mark.parametrize("name", ["forest", "isolation", "autoencoder"])
def test_card_says_what_the_model_was_made_of(
    trained: tuple[Path, str], recorded: list[Path], name: str
) -> None:
    card = read_card(trained[0] / name)
    assert [one.name for one in card.recordings] == [path.name for path in recorded]
    assert card.split == "by file"
    assert card.parity
    assert card.versions["numpy"]
    assert card.trained
    assert card.intended_use
    assert card.limits
    assert "first.csv" in card.command
    assert str(recorded[0].parent) not in card.to_json()
    assert scores(card, leaking=False)["ROC AUC"].value is not None


def test_leaking_figures_stand_beside_honest_ones_and_are_called_so(trained: tuple[Path, str]) -> None:
    card = read_card(trained[0] / "forest")
    assert all("leaking" in score.split for score in scores(card, leaking=True).values())
    assert scores(card, leaking=True).keys() == scores(card, leaking=False).keys()
    assert "random rows: leaking" in trained[1]
    assert not scores(read_card(trained[0] / "isolation"), leaking=True)


def test_fault_scores_higher_than_a_calm_line(trained: tuple[Path, str]) -> None:
    honest = scores(read_card(trained[0] / "forest"), leaking=False)["ROC AUC"]
    assert honest.value is not None
    assert honest.value > 0.9


def test_anomaly_model_knows_how_often_it_would_raise(trained: tuple[Path, str]) -> None:
    for name in ("isolation", "autoencoder"):
        nines = read_card(trained[0] / name).nines
        assert nines is not None
        assert nines.hours is not None
        assert nines.raises_per_hour(0.0) > nines.raises_per_hour(6.0)


def test_same_seed_gives_the_same_bytes_and_another_does_not(
    recorded: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = run(
            "isolation", "--data", *recorded, "-o", tmp_path / folder, "--rows", 1000, "--seed", seed
        )
        assert result.exit_code == 0, result.output
    files = [
        {file.name: file.read_bytes() for file in (tmp_path / folder / "isolation").iterdir()}
        for folder in "abc"
    ]
    assert files[0] == files[1]
    assert files[0]["model.onnx"] != files[2]["model.onnx"]
    assert read_card(tmp_path / "a" / "isolation").trained == "2026-01-01"


def test_recording_of_its_own_is_tested_with_the_finished_model(recorded: list[Path], tmp_path: Path) -> None:
    other = simulated(tmp_path / "other", "third", 3)
    result = run("isolation", "--data", *recorded, "--test", other, "-o", tmp_path / "models", "--rows", 1000)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "models" / "isolation")
    assert "file of its own" in {score.split for score in card.scores}
    assert "third.csv" not in {one.name for one in card.recordings}


def test_raw_features_carry_their_warning(recorded: list[Path], tmp_path: Path) -> None:
    result = run(
        "plain", "--kind", "isolation_forest", "--data", *recorded, "--features", "raw", "-o", tmp_path
    )
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "plain")
    assert any("does not transfer" in remark for remark in card.remarks)
    assert card.scope == "site"


def test_a_forest_with_lists_of_events_beside_learns_what_is_going_on_from_windows(
    recorded: list[Path], tmp_path: Path
) -> None:
    result = run("forest", "--data", *recorded, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "forest")
    assert card.mode == "events"
    assert "fault" in {output.name for output in card.outputs}
    assert card.versions["scikit-learn"]
    assert card.trained
    assert verify(tmp_path / "forest") == []


def test_several_classes_each_have_an_output(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = ["V,label"]
    for block in range(12):
        kind = ("normal", "sag", "normal", "swell")[block % 4]
        level = {"normal": 1.0, "sag": 0.6, "swell": 1.3}[kind]
        rows += [f"{level + 0.001 * (k % 7)},{kind}" for k in range(120)]
    path.write_text("\n".join(rows) + "\n")
    result = run(
        "forest", "--data", path, "--labels", "label", "--classes", "multi", "--features", "channels",
        "-o", tmp_path / "models",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    card = read_card(tmp_path / "models" / "forest")
    assert card.classes == ("normal", "sag", "swell")
    assert [output.name for output in card.outputs] == ["sag", "swell"]
    assert scores(card, leaking=False)["macro F1"].value == pytest.approx(1.0, abs=0.1)
    assert (tmp_path / "models" / "forest" / "confusion.svg").is_file()


def test_one_event_cannot_be_split_and_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    rows = [f"{1 + 0.001 * (k % 7)},{'sag' if k > 200 else 'normal'}" for k in range(400)]
    path.write_text("\n".join(["V,label", *rows]) + "\n")
    result = run(
        "forest", "--data", path, "--labels", "label", "--features", "channels", "-o", tmp_path / "models"
    )
    assert isinstance(result.exception, GridtopError)
    assert "1 events and 1 stretches" in str(result.exception)
    assert not (tmp_path / "models").exists()


def test_one_recording_cannot_be_split_by_file(recorded: list[Path], tmp_path: Path) -> None:
    result = run("isolation", "--data", recorded[0], "--split", "file", "-o", tmp_path, *SMALL)
    assert "two recordings or more" in str(result.exception)


def test_model_is_not_replaced_unasked(trained: tuple[Path, str], recorded: list[Path]) -> None:
    result = run("isolation", "--data", recorded[0], "-o", trained[0])
    assert "add --force" in str(result.exception)


def test_name_that_tells_no_kind_needs_one(recorded: list[Path]) -> None:
    result = run("mine", "--data", recorded[0])
    assert result.exit_code == 2
    assert "--kind" in result.output


def test_recording_cannot_be_learned_from_and_tested_on(recorded: list[Path], tmp_path: Path) -> None:
    result = run("forest", "--data", *recorded, "--test", recorded[0], "-o", tmp_path)
    assert "cannot be both learned from and tested on" in str(result.exception)


def test_missing_libraries_are_named_with_the_extra(
    recorded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "tensorflow" else found(name, *rest)

    monkeypatch.setattr(train, "find_spec", without)
    result = run("autoencoder", "--data", recorded[0])
    assert str(result.exception) == "training needs tensorflow: pip install 'gridtop[train]'"
