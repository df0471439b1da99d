"""The line that names an estimator: what it may say, and that nothing else gets anywhere."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gridtop.plugins.detectors.estimators import Pyod, River, Sklearn
from gridtop.plugins.detectors.estimators.building import build
from gridtop.plugins.detectors.estimators.expressions import PYOD, RIVER, SKLEARN, Call, Package, read

FOREST = "sklearn.ensemble.IsolationForest"


def refused(text: str, package: Package = SKLEARN) -> str:
    """The one line that a text is refused with, when it is read."""
    with pytest.raises(ValueError) as caught:
        read(text, package)
    message = str(caught.value)
    assert "\n" not in message
    return message


def not_built(text: str, package: Package = SKLEARN) -> str:
    """The one line that a text is refused with when the estimator is built."""
    with pytest.raises(ValueError) as caught:
        build(read(text, package), package)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_call_is_read_with_its_literals() -> None:
    call = read(f"{FOREST}(100, max_samples=-0.5, bootstrap=True, a=[1, (2, 'x')], b={{'k': None}})", SKLEARN)
    named = {"max_samples": -0.5, "bootstrap": True, "a": [1, (2, "x")], "b": {"k": None}}
    assert call == Call("sklearn.ensemble", "IsolationForest", (100,), named, 1)


def test_calls_of_the_same_package_may_be_arguments() -> None:
    text = (
        "sklearn.pipeline.Pipeline([('s', sklearn.preprocessing.StandardScaler()),\n"
        " ('o', sklearn.svm.OneClassSVM(nu=0.01))])"
    )
    pipeline = build(read(text, SKLEARN), SKLEARN)
    assert [type(step).__name__ for _, step in pipeline.steps] == ["StandardScaler", "OneClassSVM"]
    assert pipeline.steps[1][1].nu == 0.01


def test_a_function_that_makes_pipelines_may_be_called() -> None:
    text = "sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), sklearn.svm.OneClassSVM())"
    assert len(build(read(text, SKLEARN), SKLEARN).steps) == 2


def test_a_seed_is_given_where_the_class_takes_one_and_the_line_gives_none() -> None:
    assert build(read(f"{FOREST}()", SKLEARN), SKLEARN).random_state == 0
    assert build(read(f"{FOREST}(random_state=7)", SKLEARN), SKLEARN).random_state == 7
    assert build(read("river.anomaly.HalfSpaceTrees()", RIVER), RIVER).seed == 0
    assert build(read("sklearn.svm.OneClassSVM()", SKLEARN), SKLEARN).nu == 0.5


CODE = [
    ("__import__('os').system('true')", 1),
    ("os.system('true')", 1),
    ("eval('1')", 1),
    (f"{FOREST}(__import__('os'))", 34),
    (f"{FOREST}(os.environ)", 34),
    (f"{FOREST}(n_estimators=open('x'))", 47),
    (f"{FOREST}(n_estimators=100).fit", 1),
    (f"{FOREST}().fit([[1]])", 1),
    (f"{FOREST}", 1),
    (f"{FOREST}()()", 1),
    (f"({FOREST})() or 1", 1),
    (f"({FOREST}(), 1)", 1),
    (f"[{FOREST}()][0]", 1),
    (f"{FOREST}(n_estimators=10**9)", 47),
    (f"{FOREST}(n_estimators=1+1)", 47),
    (f"{FOREST}(n_estimators=-'a')", 47),
    (f"{FOREST}(n_estimators=--1)", 47),
    (f"{FOREST}(n_estimators=not 1)", 47),
    (f"{FOREST}(n_estimators=x)", 47),
    (f"{FOREST}(n_estimators=sklearn)", 47),
    (f"{FOREST}(n_estimators=[i for i in (1,)])", 47),
    (f"{FOREST}(n_estimators=lambda: 1)", 47),
    (f"{FOREST}(n_estimators=f'{{1}}')", 47),
    (f"{FOREST}(n_estimators=b'x')", 47),
    (f"{FOREST}(n_estimators=1j)", 47),
    (f"{FOREST}(n_estimators=...)", 47),
    (f"{FOREST}(n_estimators={{1, 2}})", 47),
    (f"{FOREST}(n_estimators=(a := 1))", 48),
    (f"{FOREST}(n_estimators=1 if 1 else 2)", 47),
    (f"{FOREST}(n_estimators={{(1,): 2}})", 48),
    (f"{FOREST}(n_estimators={{**{{}}}})", 47),
    (f"{FOREST}(*[1])", 34),
    (f"{FOREST}(**{{'n_estimators': 1}})", 36),
    ("(lambda: 1)()", 2),
    ("sklearn.ensemble.IsolationForest.__init__.__globals__['os']()", 1),
    ("''.join.__class__()", 1),
]


@pytest.mark.parametrize(("text", "column"), CODE)
def test_what_is_no_call_with_literals_is_refused_at_its_column(text: str, column: int) -> None:
    message = refused(text)
    assert message.startswith(f"column {column}: ")
    assert "allowed is one call such as sklearn.ensemble.IsolationForest(n_estimators=100)" in message


@pytest.mark.parametrize(
    "text",
    [
        "sklearn.os.system('true')",
        "sklearn.system('true')",
        "sklearn()",
        "sklearn.ensemble.os.system('true')",
        "sklearn.ensemble._iforest.IsolationForest()",
        "sklearn.__loader__.load_module('os')",
        "sklearn.ensemble.__builtins__()",
        "sklearn.ensemble.IsolationForest.set_params()",
        "sklearn.utils.Bunch()",
        "sklearn.utils._testing.os.system('true')",
        "sklearn.externals.joblib.load('x')",
        "sklearn.datasets.fetch_openml('x')",
        "sklearn.datasets.load_files('x')",
        "sklearn.base.clone(1)",
        "sklearn.conftest.pytest()",
        "sklearn.model_selection.GridSearchCV()",
        "sklearn.feature_extraction.text.CountVectorizer(input='filename')",
        "joblib.load('x')",
        "numpy.load('x', allow_pickle=True)",
        "pyod.models.knn.KNN()",
        "river.anomaly.HalfSpaceTrees()",
        "ｓklearn.ensemble._x()",
    ],
)
def test_only_some_public_modules_of_the_package_itself_can_be_named(text: str) -> None:
    assert refused(text).startswith("column 1: ")


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("pyod.models.embedding.EmbeddingOD('x')", PYOD),
        ("pyod.models.auto_encoder.AutoEncoder()", PYOD),
        ("pyod.models.suod.SUOD()", PYOD),
        ("pyod.utils.data.generate_data()", PYOD),
        ("pyod.mcp_server.run()", PYOD),
        ("sklearn.svm.OneClassSVM()", PYOD),
        ("river.datasets.Phishing()", RIVER),
        ("river.stream.iter_csv('x')", RIVER),
        ("river.checks.check_estimator()", RIVER),
        ("river.utils.pretty.print_table()", RIVER),
        ("river.compat.PyTorch2RiverClassifier()", RIVER),
    ],
)
def test_modules_that_fetch_run_or_print_cannot_be_named(text: str, package: Package) -> None:
    assert "to choose from" in refused(text, package) or "does not begin with" in refused(text, package)


@pytest.mark.parametrize(
    "text",
    [
        "sklearn.ensemble.np()",
        "sklearn.ensemble.Parallel()",
        "sklearn.pipeline.clone()",
        "sklearn.pipeline.Bunch()",
        "sklearn.pipeline.check_memory('x')",
        "sklearn.preprocessing.scale([[1]])",
        "sklearn.covariance.ledoit_wolf([[1]])",
        "sklearn.linear_model.lars_path([[1]])",
        "sklearn.neighbors.KDTree([[1]])",
        "sklearn.ensemble.NoSuchThing()",
    ],
)
def test_what_is_no_estimator_of_the_package_is_not_built(text: str) -> None:
    assert f"{text.partition('(')[0]} is no estimator of sklearn" in not_built(text)


def test_names_that_a_module_of_the_package_imported_from_elsewhere_are_not_built() -> None:
    pyod = pytest.importorskip("pyod.models.knn")
    assert {"np", "KDTree", "NearestNeighbors"} & set(vars(pyod))
    for name in ("np", "warn", "KDTree", "NearestNeighbors", "BallTree", "check_array"):
        assert "is no estimator of pyod" in not_built(f"pyod.models.knn.{name}()", PYOD)
    for name in ("annotations", "base", "hst", "anomaly"):
        assert "is no estimator of river" in not_built(f"river.anomaly.{name}()", RIVER)


@pytest.mark.parametrize("argument", ["memory='cache'", "verbose=1", "verbose=True"])
def test_arguments_that_write_pickles_or_print_are_refused(argument: str) -> None:
    message = refused(f"sklearn.pipeline.make_pipeline(sklearn.svm.OneClassSVM(), {argument})")
    assert message.startswith("column 59: ")
    assert "may not be given" in message


def test_they_are_refused_without_their_name_as_well() -> None:
    pytest.importorskip("pyod")
    text = "pyod.models.iforest.IForest(100, 'auto', 0.1, 1.0, False, 1, 'old', 0, 1)"
    assert "verbose may not be given" in not_built(text, PYOD)


def test_arguments_that_do_no_harm_are_left_alone() -> None:
    text = "sklearn.pipeline.make_pipeline(sklearn.svm.OneClassSVM(verbose=False), memory=None, verbose=0)"
    assert build(read(text, SKLEARN), SKLEARN).memory is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sklearn.ensemble.",
        f"{FOREST}(",
        f"{FOREST}(a=1, a=2)",
        f"{FOREST}(); 1",
        "(" * 900,
        "a\0b",
        "\ud800",
    ],
)
def test_what_is_no_python_is_one_line(text: str) -> None:
    assert refused(text).startswith("column ")


def test_a_very_long_line_is_refused_before_it_is_read() -> None:
    assert "2000 must do" in refused("-" * 100_000 + "1")
    assert refused("-" * 1900 + "1").startswith("column 1: ")


def test_the_column_counts_characters_and_not_bytes() -> None:
    assert refused(f"{FOREST}('äöü', x)").startswith("column 41: ")


def test_a_misspelt_module_class_or_argument_gets_a_suggestion() -> None:
    assert "did you mean sklearn.ensemble?" in refused("sklearn.ensamble.IsolationForest()")
    assert "did you mean sklearn.ensemble.IsolationForest?" in not_built(
        "sklearn.ensemble.IsolationForrest()"
    )
    assert "did you mean n_estimators?" in not_built(f"{FOREST}(n_estimator=5)")


def test_arguments_that_do_not_fit_are_told_with_the_column_of_their_call() -> None:
    text = "sklearn.pipeline.make_pipeline(sklearn.ensemble.IsolationForest(1, 2))"
    assert not_built(text).startswith("column 32: sklearn.ensemble.IsolationForest: ")


def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    models: dict[Any, str] = {
        Sklearn: f"{FOREST}()",
        Pyod: "pyod.models.knn.KNN()",
        River: "river.anomaly.HalfSpaceTrees()",
    }
    for detector, model in models.items():
        with pytest.raises(ValidationError, match=rf"pip install 'gridtop\[{detector.package.extra}\]'"):
            detector.Config(model=model)


def check(folder: Path, model: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """What `config check` says of a model, and the modules it leaves imported."""
    (folder / "grid.yaml").write_text(
        "source: {type: simulate}\ndetectors:\n  odd:\n    type: sklearn\n"
        f"    model: {json.dumps(model)}\n    alarm: {{high: {{warning: 3}}}}\n"
    )
    program = (
        "import json, sys\nfrom gridtop.cli import main\n"
        "try:\n    main(['config', 'check', '-c', 'grid.yaml'])\n"
        "finally:\n    sys.stderr.write('@' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done, set(json.loads(done.stderr.rpartition("@")[2]))


def test_checking_the_configuration_imports_no_library(tmp_path: Path) -> None:
    done, modules = check(tmp_path, f"{FOREST}()")
    assert done.returncode == 0, done.stderr[-1000:]
    assert not modules & {"sklearn", "scipy", "pyod", "river", "pandas"}


def test_a_refused_model_is_told_at_its_line_of_the_configuration(tmp_path: Path) -> None:
    done, modules = check(tmp_path, "sklearn.datasets.fetch_openml('x')")
    assert done.returncode == 78
    told = done.stdout + done.stderr.partition("@")[0]
    assert "grid.yaml:5:12: detectors.odd.model: column 1: sklearn.datasets is none of the modules" in told
    assert "sklearn" not in modules
