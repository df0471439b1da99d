"""Models in numpy: what onnxruntime says, the same to the bit however the rows are cut, and safe to read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.errors import GridtopError
from gridtop.learning.folder import MODEL, TREES, model_names
from gridtop.learning.graph_files import MOST_FIELDS, read_graph
from gridtop.learning.inference import Session
from gridtop.learning.runtimes import VARIABLE, chosen_runtime, runtimes_at_hand
from gridtop.learning.trees import Trees
from gridtop.training.parity import TOLERANCE, ParityError, check_runtimes, threshold_rows

onnx = pytest.importorskip("onnx")
pytest.importorskip("sklearn")
with_onnxruntime = pytest.mark.skipif(
    "onnxruntime" not in runtimes_at_hand(), reason="onnxruntime is not installed"
)

Floats = npt.NDArray[np.float64]
Model = tuple[bytes, Trees | None]

SHIPPED = Path(__file__).parent.parent / "models"
SEED = st.integers(0, 2**32 - 1)
FEATURES = 7


@cache
def rows_and_classes(classes: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    x = np.random.default_rng(1).normal(size=(600, FEATURES))
    return x, np.digitize(x[:, 0] + 0.5 * x[:, 3], np.linspace(-0.8, 0.8, classes - 1))


def forest(kind: str, classes: int) -> Model:
    from gridtop.training.forests import fit_gradient_boosting, fit_isolation_forest, fit_random_forest

    x, y = rows_and_classes(max(classes, 2))
    names = tuple("abcde"[:classes])
    if kind == "isolation_forest":
        fitted = fit_isolation_forest(x, seed=1, trees=25)
    elif kind == "gradient_boosting":
        fitted = fit_gradient_boosting(x, y, classes=names, seed=1, rounds=12)
    else:
        trees: Any = kind
        fitted = fit_random_forest(x, y, classes=names, seed=1, trees=20, kind=trees)
    return fitted.onnx, fitted.trees


def network(seed: int, widths: tuple[int, ...], activation: Any, *, weighted: bool = False) -> bytes:
    from gridtop.training.dense_graphs import reconstruction_graph

    rng = np.random.default_rng(seed)
    sizes = (FEATURES, *widths, FEATURES)
    layers = [
        (
            (rng.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32),
            rng.normal(size=b).astype(np.float32),
        )
        for a, b in pairwise(sizes)
    ]
    weights = rng.uniform(0.1, 90, FEATURES) if weighted else None
    return reconstruction_graph(layers, activation, limit=10.0, weights=weights)


def shipped(name: str) -> Model:
    trees = SHIPPED / name / TREES
    read = Trees.from_bytes(trees.read_bytes()) if trees.exists() else None
    return (SHIPPED / name / MODEL).read_bytes(), read


MODELS: dict[str, Callable[[], Model]] = {
    **{
        f"{kind}-{classes}": cache(lambda kind=kind, classes=classes: forest(kind, classes))
        for kind, classes in (
            ("random_forest", 2),
            ("random_forest", 4),
            ("extra_trees", 3),
            ("gradient_boosting", 2),
            ("gradient_boosting", 3),
            ("isolation_forest", 0),
        )
    },
    "network-tanh": cache(lambda: (network(1, (16, 4, 16), "tanh"), None)),
    "network-relu": cache(lambda: (network(2, (9,), "relu", weighted=True), None)),
    **{f"shipped-{name}": cache(lambda name=name: shipped(name)) for name in model_names(SHIPPED)},
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]()


def rows_for(model: Model, seed: int, count: int) -> Floats:
    """Rows at the thresholds of a forest, and rows near and far."""
    session, rng = Session(model[0], trees=model[1], runtime="numpy"), np.random.default_rng(seed)
    rows = rng.standard_normal((count, session.features)) * rng.choice([0.3, 1, 3, 1e6], (count, 1))
    if model[1] is not None:
        rows[: count // 2] = threshold_rows(model[1], rng, count // 2)
    return rows


@with_onnxruntime
def test_numpy_and_onnxruntime_agree_as_closely_as_the_gate_at_export_asks(model: Model) -> None:
    parity = check_runtimes(*model)
    assert parity is not None
    assert parity.largest_difference <= TOLERANCE
    assert parity.flipped == 0


@with_onnxruntime
@given(seed=SEED, gaps=st.lists(st.integers(0, 39), max_size=9))
@settings(max_examples=15, deadline=None)
def test_both_give_nan_for_the_rows_with_a_gap_and_the_same_for_the_rest(seed: int, gaps: list[int]) -> None:
    for name in ("random_forest-4", "isolation_forest-0", "network-tanh"):
        content, trees = MODELS[name]()
        rows = rows_for((content, trees), seed, 40)
        rows[gaps, seed % FEATURES] = (np.nan, np.inf, 1e300)[seed % 3]
        first, second = (
            Session(content, trees=trees, runtime=one).run(rows) for one in ("onnxruntime", "numpy")
        )
        missing = np.isnan(second)
        assert np.array_equal(missing, np.isnan(first))
        assert np.flatnonzero(missing.all(axis=1)).tolist() == sorted(set(gaps))
        assert second == pytest.approx(first, rel=2e-5, abs=1e-6, nan_ok=True)


@with_onnxruntime
@given(
    seed=SEED,
    widths=st.lists(st.integers(1, 40), max_size=4).map(tuple),
    activation=st.sampled_from(["relu", "tanh"]),
    weighted=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_networks_of_any_shape_agree(
    seed: int, widths: tuple[int, ...], activation: str, weighted: bool
) -> None:
    content = network(seed, widths, activation, weighted=weighted)
    rows = np.random.default_rng(seed).normal(size=(50, FEATURES)) * 4
    first, second = (Session(content, runtime=one).run(rows) for one in ("onnxruntime", "numpy"))
    assert np.sqrt(second) == pytest.approx(np.sqrt(first), rel=1e-5, abs=1e-4)


@given(seed=SEED, cuts=st.lists(st.integers(1, 1299), max_size=12))
@settings(max_examples=8, deadline=None)
def test_how_the_rows_are_cut_changes_no_bit(seed: int, cuts: list[int]) -> None:
    for make in MODELS.values():
        content, trees = make()
        rows = rows_for((content, trees), seed, 1300)
        session = Session(content, trees=trees, runtime="numpy")
        whole = session.run(rows)
        bounds = [0, *sorted(set(cuts)), len(rows)]
        pieces = [session.run(rows[a:b]) for a, b in pairwise(bounds)]
        assert np.array_equal(np.concatenate(pieces), whole)
        alone = np.concatenate([session.run(rows[k : k + 1]) for k in range(0, 1300, 100)])
        assert np.array_equal(alone, whole[::100])


def test_a_layer_gives_what_its_formula_says() -> None:
    from gridtop.training.dense_graphs import reconstruction_graph

    kernel, bias = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32), np.array([0.5, -1.0], np.float32)
    content = reconstruction_graph([(kernel, bias)], "relu", limit=3.0)
    # (9 is clipped to 3) x @ kernel + bias = (1.5, 5), so the errors are (0.5, 2) squared.
    assert Session(content, runtime="numpy").run([[1.0, 9.0]]).tolist() == [[0.25, 4.0]]


def test_no_rows_give_no_rows(model: Model) -> None:
    session = Session(model[0], trees=model[1], runtime="numpy")
    assert session.run(np.empty((0, session.features))).shape == (0, session.outputs)


# --- which one runs ---


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delenv(VARIABLE, raising=False)


@with_onnxruntime
def test_onnxruntime_runs_models_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen_runtime() == "onnxruntime"
    monkeypatch.setenv(VARIABLE, "numpy")
    assert chosen_runtime() == "numpy"


@pytest.mark.usefixtures("without_onnxruntime")
def test_numpy_runs_models_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    content, trees = MODELS["random_forest-2"]()
    assert chosen_runtime() == "numpy"
    assert np.array_equal(
        Session(content, trees=trees).run(np.ones((2, FEATURES))),
        Session(content, trees=trees, runtime="numpy").run(np.ones((2, FEATURES))),
    )
    assert check_runtimes(content, trees) is None
    monkeypatch.setenv(VARIABLE, "onnxruntime")
    with pytest.raises(GridtopError, match=r"pip install 'gridtop\[onnx\]'"):
        chosen_runtime()


def test_a_runtime_that_there_is_not_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "tensorrt")
    with pytest.raises(GridtopError, match="GRIDTOP_RUNTIME is 'tensorrt'; it may be onnxruntime or numpy"):
        chosen_runtime()


@with_onnxruntime
def test_trees_of_another_forest_are_found_out() -> None:
    content, _ = MODELS["random_forest-4"]()
    x, y = rows_and_classes(4)
    from gridtop.training.forests import fit_random_forest

    other = fit_random_forest(x, y, classes=("a", "b", "c", "d"), seed=2, trees=20)
    with pytest.raises(ParityError, match="onnxruntime and numpy give different answers, by up to 0"):
        check_runtimes(content, other.trees)


def test_the_shipped_configuration_scores_with_its_models_without_onnxruntime(tmp_path: Path) -> None:
    recording = str(SHIPPED.parent / "data" / "two-line.csv.gz")
    program = (
        "import json, sys\nsys.modules['onnxruntime'] = None\nfrom gridtop.cli import main\n"
        f"try:\n    main(['run', '--no-serve', '--until-end', '--speed', 'max', '--source', {recording!r}])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "finally:\n    sys.stderr.write('\\n@' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told, _, modules = done.stderr.rpartition("@")
    assert "onnxruntime" not in told
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"forest", "isolation", "autoencoder"} <= {event["rule"] for event in events if event["cause"]}
    assert not {
        event["id"] for event in events if event["kind"] == "system" and event["severity"] == "critical"
    }
    assert not set(json.loads(modules)) & {"sklearn", "tensorflow", "onnx", "google.protobuf"}


# --- files that nobody should trust ---


def parsed(content: bytes) -> Any:
    return onnx.load_model_from_string(content)


def loaded(content: bytes, trees: Trees | None = None) -> Session | str:
    """The model in numpy, or why not."""
    try:
        return Session(content, trees=trees, runtime="numpy")
    except GridtopError as error:
        return str(error)


def refused(content: bytes, trees: Trees | None = None) -> str:
    """Why a model is not loaded, in one line."""
    found = loaded(content, trees)
    assert isinstance(found, str)
    assert "\n" not in found
    return found


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_in_a_line_or_still_gives_numbers(data: st.DataObject) -> None:
    content, trees = MODELS[data.draw(st.sampled_from(["network-tanh", "random_forest-2"]))]()
    spoilt = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for at in data.draw(st.lists(st.integers(0, max(len(spoilt) - 1, 0)), max_size=8)):
        if spoilt:
            spoilt[at] = data.draw(st.integers(0, 255))
    found = loaded(bytes(spoilt), trees)
    if isinstance(found, str):
        assert "\n" not in found
    else:
        assert found.run(np.ones((3, found.features))).shape == (3, found.outputs)


def _attribute(model: Any) -> None:
    model.graph.node[1].attribute.append(onnx.helper.make_attribute("alpha", 2.0))


def _far_too_wide(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 60


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: setattr(m, "producer_name", "other"), "not written by gridtop"),
        (lambda m: setattr(m.graph.node[2], "op_type", "Loop\x1b[2J"), "an operator Loop"),
        (lambda m: setattr(m.graph.node[1], "op_type", "Tanh"), "do not fit"),
        (lambda m: m.graph.node[1].input.pop(), "do not fit"),
        (_attribute, "Gemm is not as"),
        (lambda m: m.graph.initializer.pop(), "do not fit"),
        (lambda m: m.graph.initializer[2].dims.append(3), "shape is not its own"),
        (lambda m: setattr(m.graph.initializer[2], "data_type", 11), "not made of float32"),
        (lambda m: setattr(m.graph.initializer[2], "data_location", 1), "not made of float32"),
        (lambda m: m.graph.input.append(m.graph.input[0]), "it is damaged"),
        (_far_too_wide, "rows of a stated width"),
    ],
)
def test_what_gridtop_does_not_write_is_refused(change: Callable[[Any], object], said: str) -> None:
    spoilt = parsed(MODELS["network-tanh"]()[0])
    change(spoilt)
    message = refused(spoilt.SerializeToString())
    assert said in message
    assert "\x1b" not in message


def test_the_way_out_is_named_where_a_file_is_none_of_ours() -> None:
    assert "pip install 'gridtop[onnx]'" in refused(b"no model at all")


def test_a_constant_that_is_no_number_is_refused() -> None:
    spoilt = parsed(MODELS["network-tanh"]()[0])
    spoilt.graph.initializer[3].raw_data = np.full(16, np.nan, np.float32).tobytes()
    assert "not finite" in refused(spoilt.SerializeToString())


def test_a_graph_that_would_grow_without_end_is_refused() -> None:
    wide = parsed(MODELS["network-tanh"]()[0])
    del wide.graph.node[:]
    for step in range(60):
        wide.graph.node.append(
            onnx.helper.make_node("Concat", [f"x{step}" if step else "x"] * 2, [f"x{step + 1}"], axis=1)
        )
    wide.graph.node[-1].output[0] = "errors"
    assert "do not fit" in refused(wide.SerializeToString())
    many = parsed(MODELS["network-tanh"]()[0])
    many.graph.node.extend([many.graph.node[0]] * MOST_FIELDS)
    assert "more parts" in refused(many.SerializeToString())


def test_constants_with_rows_of_their_own_are_refused_before_they_are_spread() -> None:
    spoilt = parsed(MODELS["network-tanh"]()[0])
    tall = onnx.numpy_helper.from_array(np.ones((60_000, 1), np.float32), "tall")
    spoilt.graph.initializer.append(tall)
    spoilt.graph.node.insert(0, onnx.helper.make_node("Add", ["x", "tall"], ["taller"]))
    assert "do not fit" in refused(spoilt.SerializeToString())


def test_a_forest_without_its_trees_or_with_others_is_refused() -> None:
    content, trees = MODELS["random_forest-4"]()
    assert "a forest without trees.npz" in refused(content)
    assert trees is not None
    assert "do not fit" in refused(content, MODELS["random_forest-2"]()[1])
    strange = MODELS["isolation_forest-0"]()[0]
    assert "the forest has 54 features" in refused(strange, MODELS["shipped-isolation"]()[1])


def test_the_reader_finds_what_onnx_finds() -> None:
    for make in MODELS.values():
        content, _ = make()
        graph, expected = read_graph(content), parsed(content).graph
        assert [node.operator for node in graph.nodes] == [node.op_type for node in expected.node]
        assert [node.inputs for node in graph.nodes] == [tuple(node.input) for node in expected.node]
        for tensor in expected.initializer:
            assert np.array_equal(graph.constants[tensor.name], onnx.numpy_helper.to_array(tensor))
