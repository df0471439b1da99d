"""The autoencoder: trained by the real TensorFlow, run as an ONNX graph."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import pytest

from gridtop.errors import GridtopError
from gridtop.learning.inference import Session
from gridtop.learning.reconstruction import reconstruction_score, reconstruction_shares
from gridtop.training.autoencoders import (
    FittedAutoencoder,
    default_layers,
    fit_autoencoder,
    held_out_rows,
)
from gridtop.training.dense_graphs import reconstruction_graph
from gridtop.training.parity import ParityError

# Looked for, not imported: that takes seconds, and TensorFlow would speak before it is told not to.
MISSING = [name for name in ("tensorflow", "onnx", "onnxruntime") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

FEATURES = 12
GROUPS = np.arange(3000) // 300


def normal_rows(frames: int, seed: int) -> npt.NDArray[np.float64]:
    """Twelve measurements in volts, amperes and degrees that three conditions of the grid decide."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, FEATURES))
    measured = (
        np.tanh(rng.normal(size=(frames, 3)) @ mixing * 0.5) + rng.normal(size=(frames, FEATURES)) * 0.05
    )
    return measured * np.logspace(-2, 5, FEATURES) + np.logspace(0, 6, FEATURES)


def fitted(**settings: object) -> FittedAutoencoder:
    options = {"seed": 7, "groups": GROUPS, "layers": (16, 4, 16), "epochs": 25, "batch": 64, **settings}
    return fit_autoencoder(normal_rows(3000, 1), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model() -> FittedAutoencoder:
    return fitted()


def errors_of(model: FittedAutoencoder, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return Session(model.onnx, model.centre, model.spread).run(rows)


def test_a_row_that_breaks_the_pattern_scores_higher_than_normal_ones(model: FittedAutoencoder) -> None:
    ordinary = reconstruction_score(errors_of(model, normal_rows(2000, 2)))
    broken = normal_rows(2000, 3)
    broken[:, 5] = np.roll(broken[:, 5], 1)  # a value that is usual, of another moment
    strange = reconstruction_score(errors_of(model, broken))
    assert np.median(strange) > np.quantile(ordinary, 0.9)
    assert model.validation_loss[model.best_epoch - 1] == model.validation_loss.min()
    assert model.validation_loss.min() < 0.5 * model.validation_loss[0]


def test_the_graph_says_what_keras_says_also_far_out(model: FittedAutoencoder) -> None:
    rows = np.concatenate([normal_rows(500, 4), normal_rows(500, 5) * 3, normal_rows(100, 6) * 1e6])
    parity = model.check(rows, threshold=1.0)
    assert (parity.rows, parity.flipped) == (1100, 0)
    assert errors_of(model, rows) == pytest.approx(model.reference(rows), rel=1e-4, abs=1e-5)


def test_a_graph_that_says_something_else_does_not_pass(model: FittedAutoencoder) -> None:
    other = fitted(seed=8, epochs=2)
    swapped = replace(model, onnx=other.onnx)
    with pytest.raises(ParityError, match="differs by up to"):
        swapped.check(normal_rows(100, 4), threshold=1.0)


def test_relu_and_errors_in_usual_errors_pass_the_gate_too() -> None:
    for activation in ("relu", "tanh"):
        model = fitted(activation=activation, errors_in="usual", loss="huber", epochs=15)
        model.check(normal_rows(1000, 4) * 2, threshold=3.0)
        # Counted in usual errors, an ordinary error is 1 for every feature.
        ordinary = errors_of(model, normal_rows(3000, 1)[model.held_out]).mean(axis=0)
        assert ordinary == pytest.approx(model.usual_errors, rel=1e-4)
        assert ordinary == pytest.approx(np.ones(FEATURES), rel=1e-4)


def test_usual_errors_are_those_of_the_held_out_rows(model: FittedAutoencoder) -> None:
    held_out = errors_of(model, normal_rows(3000, 1)[model.held_out])
    assert held_out.mean(axis=0) == pytest.approx(model.usual_errors, rel=1e-4)
    assert model.usual_errors.mean() == pytest.approx(model.validation_loss.min(), rel=1e-4)


def test_the_plain_recipe_of_the_earlier_system_can_be_trained() -> None:
    model = fitted(layers=(128, 64, 128), activation="relu", epochs=2)
    model.check(normal_rows(200, 4), threshold=1.0)
    assert model.layers == (128, 64, 128)


def test_the_same_seed_gives_the_same_model_in_another_process_without_a_word(
    model: FittedAutoencoder,
) -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_autoencoders import fitted\n"
        "sys.stdout.write(hashlib.sha256(fitted().onnx).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, __file__.rpartition("/")[0]],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == hashlib.sha256(model.onnx).hexdigest()
    assert done.stderr == ""


def test_another_seed_gives_another_model(model: FittedAutoencoder) -> None:
    assert fitted(seed=8, epochs=1).onnx != fitted(seed=9, epochs=1).onnx


def test_one_wild_channel_does_not_drown_the_one_beside_it(model: FittedAutoencoder) -> None:
    rows = np.tile(model.centre, (FEATURES, 1))
    wild = np.arange(FEATURES)
    second = (wild + 5) % FEATURES
    rows[wild, wild] += 1e9 * model.spread
    rows[wild, second] += 6.0 * model.spread[second]
    shares = np.array(
        [reconstruction_shares(errors, model.usual_errors) for errors in errors_of(model, rows)]
    )
    assert (shares.argmax(axis=1) == wild).mean() > 0.9
    named = np.argsort(-shares, axis=1)[:, :3]
    assert (named == second[:, None]).any(axis=1).mean() > 0.9
    unclipped = fitted(clip=1e12)
    drowned = np.array([reconstruction_shares(errors) for errors in errors_of(unclipped, rows)])
    assert shares[wild, second].min() > 100 * drowned[wild, second].max()


def test_clipping_is_part_of_the_graph(model: FittedAutoencoder) -> None:
    at, beyond = (model.centre + step * model.spread for step in (model.clip, 1e6))
    assert np.array_equal(errors_of(model, at[None]), errors_of(model, beyond[None]))


def test_training_stops_when_the_held_out_rows_get_no_better() -> None:
    seen: list[tuple[int, int, float, float]] = []
    model = fitted(epochs=500, patience=3, batch=32, progress=lambda *step: seen.append(step))
    assert len(model.validation_loss) < 500
    assert [step[0] for step in seen] == list(range(1, len(model.validation_loss) + 1))
    assert {step[1] for step in seen} == {500}
    assert [step[3] for step in seen] == model.validation_loss.tolist()


def test_constant_features_are_named_and_count_in_their_own_unit() -> None:
    rows = normal_rows(3000, 1)
    rows[:, [2, 7]] = 1.0 / 3.0, 0.0
    names = [f"R1:feature_{number}" for number in range(FEATURES)]
    model = fit_autoencoder(rows, seed=1, groups=GROUPS, names=names, layers=(8, 3, 8), epochs=3)
    assert np.flatnonzero(model.constant).tolist() == [2, 7]
    assert model.spread[[2, 7]].tolist() == [1.0, 1.0]
    assert "2 of 12 features were constant in training (R1:feature_2, R1:feature_7)" in model.remarks[0]
    changed = rows[:1].copy()
    changed[0, 7] = 4.0
    assert errors_of(model, changed)[0, 7] == pytest.approx(16.0, rel=0.6)


def test_data_that_cannot_be_learned_from_is_refused_in_words() -> None:
    rows = normal_rows(100, 1)
    with pytest.raises(GridtopError, match="every feature is constant"):
        fit_autoencoder(np.ones((100, 3)) * 0.1, seed=1)
    with pytest.raises(GridtopError, match="cannot be trained on 5 normal rows"):
        fit_autoencoder(rows[:5], seed=1)
    rows[3, 1] = np.nan
    with pytest.raises(GridtopError, match="normal row 3 of R1:V is nan"):
        fit_autoencoder(rows[:, :2], seed=1, names=["R1:F", "R1:V"])
    with pytest.raises(ValueError, match="validation is a share"):
        fit_autoencoder(normal_rows(100, 1), seed=1, validation=0.9)
    with pytest.raises(ValueError, match="hidden layers"):
        fit_autoencoder(normal_rows(100, 1), seed=1, layers=())


def test_whole_groups_are_held_out_and_never_rows_of_one() -> None:
    groups = np.repeat(np.arange(20), 50)
    held_out = held_out_rows(1000, groups, 0.1, seed=3)
    assert held_out.sum() == 100
    assert {len(set(held_out[groups == name])) for name in range(20)} == {1}
    assert (held_out != held_out_rows(1000, groups, 0.1, seed=4)).any()


def test_without_groups_the_end_is_held_out_in_one_piece() -> None:
    assert np.flatnonzero(held_out_rows(100, None, 0.1, seed=3)).tolist() == list(range(90, 100))
    lopsided = np.repeat([0, 1], [40, 60])
    assert held_out_rows(100, lopsided, 0.1, seed=3).sum() == 40
    with pytest.raises(ValueError, match="100 rows have groups"):
        held_out_rows(100, [1, 2], 0.1, seed=3)


def test_layers_narrow_in_the_middle_whatever_the_number_of_features() -> None:
    assert default_layers(60) == (32, 8, 32)
    for features in (1, 2, 5, 12, 128, 1000):
        wide, narrow, again = default_layers(features)
        assert wide == again
        assert 2 <= narrow < wide <= 128


def test_layers_that_do_not_fit_together_make_no_graph() -> None:
    kernel, bias = np.zeros((3, 2), np.float32), np.zeros(2, np.float32)
    back, wrong = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
    for layers, text in (
        ([], "at least one layer"),
        ([(kernel, wrong)], "do not belong together"),
        ([(kernel, bias), (kernel, bias)], "the next takes 3"),
        ([(kernel, bias)], "3 features go in and 2 come out"),
    ):
        with pytest.raises(ValueError, match=text):
            reconstruction_graph(layers, "relu", limit=10.0)
    graph = reconstruction_graph([(kernel, bias), (back, wrong)], "relu", limit=10.0)
    assert Session(graph).run([[1.0, -2.0, 30.0]]).tolist() == [[1.0, 4.0, 100.0]]
