"""Model folders: whole or refused, with one line that says what is wrong; never unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridtop.errors import ConfigurationError
from gridtop.learning.card import ModelCard, Output
from gridtop.learning.features import Feature
from gridtop.learning.folder import CARD, MODEL, TREES, model_names, read_card, verify, write_folder
from gridtop.learning.model import Model
from gridtop.learning.nines import Nines, QuantileTable

pytest.importorskip("sklearn")
pytest.importorskip("onnx")


def forest_card(**changes: Any) -> ModelCard:
    """The card of a forest that looks at two channels."""
    card = ModelCard(
        name="forest",
        kind="random_forest",
        recipe="channels",
        scope="site",
        features=(Feature(channel="a"), Feature(channel="b")),
        fill=(0.0, 0.0),
        classes=("normal", "event"),
        outputs=(Output(name="event", classes=("event",)),),
        seed=1,
        quantiles=QuantileTable.fit(np.linspace(0, 0.4, 1000)),
    )
    return card.model_copy(update=changes)


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """The files of a forest that calls a row an event when its first number is above 1."""
    from gridtop.training.forests import fit_random_forest

    x = np.random.default_rng(1).uniform(0, 2, (400, 2))
    fitted = fit_random_forest(x, (x[:, 0] > 1).astype(int), classes=("normal", "event"), seed=1, trees=10)
    return {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()}


@pytest.fixture
def folder(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    write_folder(tmp_path / "forest", forest_card(), contents)
    return tmp_path / "forest"


def test_a_model_that_was_written_is_read_scores_and_explains(folder: Path) -> None:
    model = Model.load(folder)
    score = model.score(model.filled(np.array([[0.2, 1.0], [1.8, 1.0], [np.nan, np.nan]])))
    assert score.shape == (3, 1)
    assert score[0, 0] < 0.1 < 0.9 < score[1, 0]
    assert np.isnan(score[2, 0])
    shares = model.shares(np.array([1.8, 1.0]), 0)
    assert shares[0] > 0.9
    assert shares.sum() == pytest.approx(1)
    assert model.quantile(0.9) == pytest.approx(0.36, abs=0.001)
    assert verify(folder) == []


def test_the_card_comes_back_as_it_was_written(folder: Path) -> None:
    card = read_card(folder)
    assert card.model_copy(update={"files": {}}) == forest_card()
    assert card.files[MODEL] == hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()


def test_a_changed_file_is_refused_by_name(folder: Path) -> None:
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes() + b"x")
    with pytest.raises(
        ConfigurationError, match=r"model\.onnx: is not the file that the card was written for"
    ):
        Model.load(folder)
    assert len(verify(folder)) == 1


def test_a_missing_file_is_refused_by_name(folder: Path) -> None:
    (folder / TREES).unlink()
    with pytest.raises(ConfigurationError, match=r"trees\.npz: cannot be read: No such file"):
        Model.load(folder)


def test_a_folder_without_a_card_names_the_models_beside_it(folder: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no model in .*fores \(no card.json\); there is forest"
    ):
        read_card(folder.with_name("fores"))
    assert model_names(folder.parent) == ["forest"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format: Input should be 1"),
        ({"fill": [0.0]}, "fill has 1 numbers for 2 features"),
        ({"outputs": [{"name": "x", "classes": ["y"]}]}, "an output adds up a class that is not there: y"),
        ({"mode": "events"}, "a model of events has windows"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"features": [{"channel": "a", "window": -1}]}, "greater than or equal to 0"),
    ],
)
def test_a_card_that_cannot_be_is_refused_in_one_line(folder: Path, change: Any, said: str) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | change))
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_card(folder)
    assert "\n" not in str(caught.value)


def test_a_card_may_not_name_a_file_elsewhere(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card["files"]["../secret"] = "0" * 64
    (folder / CARD).write_text(json.dumps(card))
    assert "names a file that is not in the folder" in verify(folder)[0]


def test_a_pickle_in_place_of_a_model_is_never_executed(folder: Path, tmp_path: Path) -> None:
    evil = tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (evil,)

    for name in (MODEL, TREES):
        content = pickle.dumps(Evil())
        (folder / name).write_bytes(content)
        card = json.loads((folder / CARD).read_text())
        card["files"][name] = hashlib.sha256(content).hexdigest()
        (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(Exception, match="cannot be loaded|cannot be read"):
        Model.load(folder)
    assert verify(folder)
    assert not evil.exists()


def test_scores_of_anomaly_models_are_nines(tmp_path: Path) -> None:
    from gridtop.training.forests import fit_isolation_forest

    x = np.random.default_rng(2).normal(size=(3000, 2))
    fitted = fit_isolation_forest(x, seed=1, trees=20)
    nines = Nines.fit(fitted.predict(x)[:, 0])
    card = forest_card(
        kind="isolation_forest", classes=(), outputs=(Output(name="strange"),), nines=nines, quantiles=None
    )
    write_folder(tmp_path / "m", card, {MODEL: fitted.onnx, TREES: fitted.trees.to_bytes()})
    model = Model.load(tmp_path / "m")
    score = model.score(np.array([[0.0, 0.0], [9.0, 9.0]]))[:, 0]
    assert score[0] < 1 < 2.5 < score[1]
    assert model.quantile(0.999) == pytest.approx(3)
    assert model.shares(np.array([9.0, 0.0]), 0)[0] > 0.7
