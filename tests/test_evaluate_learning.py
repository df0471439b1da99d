"""`gridtop evaluate --train` judges models on what they were not taught, and calls out what flatters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridtop.commands import evaluate
from gridtop.errors import Exit, GridtopError
from gridtop.evaluation import learners
from gridtop.evaluation.frame_scores import figures
from gridtop.evaluation.learned import Learned
from gridtop.evaluation.learners import Plan, learned, material
from gridtop.learning.card import ModelKind
from gridtop.training.estimators import Estimator
from gridtop.training.lessons import lessons
from tests.training_recordings import hours, simulated

EASY = ("--train", "isolation_forest", "--no-control")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return hours(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def third(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulated(tmp_path_factory.mktemp("apart"), "third", 3, "2026-01-01T02:00:00")


@pytest.fixture(autouse=True)
def quiet_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No detectors of the configuration: only what is taught here is judged."""
    monkeypatch.chdir(tmp_path)
    source = {"type": "replay", "path": "r.csv"}
    (tmp_path / "config.yaml").write_text(json.dumps({"source": source}))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate.command, [str(argument) for argument in arguments])


def document(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output or result.exception
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
    return found


def refusal(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, GridtopError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def labelled(path: Path, labels: str, seed: int = 0, offset: float = 0.0) -> Path:
    """A second a letter: `.` is None, others are events of that name; the level is that of the letter."""
    random = np.random.default_rng(seed)
    rows = ["time,R1:a,R1:b,marker"]
    for second, letter in enumerate(labels):
        for tenth in range(10):
            level = offset + ".xy".index(letter) + 0.05 * random.normal()
            time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}.{tenth}Z"
            rows.append(f"{time},{level:.6f},1,{'None' if letter == '.' else letter}")
    path.write_text("\n".join(rows) + "\n")
    return path


# Honest figures


def test_models_are_judged_on_recordings_that_they_were_not_taught(recorded: list[Path]) -> None:
    made = document(*recorded, "--train", "random_forest", "--train", "isolation_forest")
    assert [one["detector"] for one in made["cross_validation"]] == ["random_forest", "isolation_forest"]
    for one in made["cross_validation"]:
        assert one["split"] == "file"
        assert [fold["fold"] for fold in one["folds"]] == ["first.csv", "second.csv"]
        assert one["leaking_rows_of_one_event_on_both_sides"] is None
        for figure in ("roc_auc", "pr_auc", "mcc", "f1"):
            low, high = one["honest"][f"{figure}_interval"]
            assert low <= one["honest"][figure] <= high
        assert 0 < one["honest"]["prevalence"] < 0.5
    assert made["cross_validation"][0]["honest"]["roc_auc"] > 0.9


def test_a_model_never_sees_a_row_that_it_is_tested_on(
    recorded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row has its own number as a feature; whoever is asked about one must not have been shown it."""
    found = material(Plan(("isolation_forest",)), lessons(recorded), ())
    marked = np.arange(len(found.data.x), dtype=np.float64)
    found.data.x[:, 0] = marked
    taught: list[set[float]] = []
    asked: list[set[float]] = []
    fit = Estimator.fit

    def watched(self: Estimator, data: Any) -> Any:
        taught.append(set(data.x[:, 0].tolist()))
        fitted = fit(self, data)
        score = fitted.score

        class Watched:
            def score(self, x: Any) -> Any:
                asked.append(set(x[:, 0].tolist()))
                return score(x)

            alarms = staticmethod(fitted.alarms)

        return Watched()

    monkeypatch.setattr(Estimator, "fit", watched)
    learned(Plan(("isolation_forest",)), "isolation_forest", found)
    assert len(taught) == len(asked) == 2
    for shown, questions in zip(taught, asked, strict=True):
        assert not shown & questions
    assert set().union(*asked) == set(marked.tolist())


def test_what_leaks_stands_beside_the_honest_figure_and_is_called_so(tmp_path: Path) -> None:
    """Every event has a level of its own, far from the others: only who has seen a row of it knows it."""
    path = tmp_path / "r.csv"
    rows = ["time,R1:a,marker"]
    random = np.random.default_rng(3)
    for second in range(120):
        stretch = second // 3
        level = 50 * np.random.default_rng(stretch).permutation(40)[0]
        for tenth in range(10):
            time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}.{tenth}Z"
            rows.append(f"{time},{level + random.normal():.4f},{'event' if stretch % 2 else 'None'}")
    path.write_text("\n".join(rows) + "\n")
    arguments = (path, "--train", "random_forest", "--features", "raw")
    made = document(*arguments, "--split", "event", "--split", "rows")
    (one,) = made["cross_validation"]
    leaking = one["leaking_rows_of_one_event_on_both_sides"]
    assert leaking["roc_auc"] > 0.9
    assert one["honest"]["roc_auc"] < 0.75
    table = run(*arguments, "--split", "event", "--split", "rows").stdout
    assert "leaking: rows of one event" in " ".join(table.split())
    assert "leaking" not in run(*arguments, "--split", "event").stdout


def test_recording_apart_is_never_learned_from(tmp_path: Path) -> None:
    """On the recording apart everything is turned round, so that whoever had seen it could not fail so."""
    path = labelled(tmp_path / "r.csv", "....xxxx....xxxx....xxxx....", 1)
    flat = path.read_text().replace(",None", ",?").replace(",x", ",None").replace(",?", ",x")
    (tmp_path / "turned.csv").write_text(flat)
    made = document(
        path, "--train", "random_forest", "--features", "raw", "--test", "turned.csv", "--no-control"
    )
    (one,) = made["cross_validation"]
    assert one["honest"]["roc_auc"] > 0.99
    assert one["test"]["roc_auc"] < 0.01
    assert made["learning"]["test_recordings"] == ["turned.csv"]
    assert made["learning"]["positive_control_simulated"] is None
    texts = {remark["text"] for remark in made["remarks"] if remark["about"] == "random_forest"}
    assert any("worse than a coin" in text for text in texts)


def test_without_an_honest_split_only_other_recordings_judge(tmp_path: Path) -> None:
    path = labelled(tmp_path / "r.csv", "..........xxxxxxxxxx", 1)
    other = labelled(tmp_path / "other.csv", ".....xxxxx", 2)
    arguments = (path, "--train", "random_forest", "--features", "raw", "--test", other, "--no-control")
    made = document(*arguments, "--split", "rows")
    (one,) = made["cross_validation"]
    assert one["honest"] is None
    assert made["learning"]["split"] is None
    assert one["test"]["roc_auc"] == pytest.approx(1.0)
    assert one["test"]["roc_auc_interval"] is None
    assert one["leaking_rows_of_one_event_on_both_sides"]["roc_auc"] == pytest.approx(1.0)
    texts = " ".join(remark["text"] for remark in made["remarks"])
    assert "1 event and 1 stretch without any event" in texts
    assert "no honest split" in texts
    assert "--split event" in texts
    assert "may be luck" in texts
    assert "Give more data" in refusal(path, "--train", "random_forest")
    assert "Give more data" in refusal(*arguments, "--split", "event")


def test_each_class_has_its_figures_where_there_are_several(tmp_path: Path) -> None:
    path = labelled(tmp_path / "r.csv", "...xx...yy...xx...yy...xx...yy...", 1)
    made = document(path, "--train", "random_forest", "--features", "raw", "--classes", "multi")
    (one,) = made["cross_validation"]
    per_class = {figure["class"]: figure for figure in one["honest"]["classes"]["per_class"]}
    assert per_class.keys() == {"normal", "x", "y"}
    assert per_class["y"]["f1"] > 0.9
    table = run(path, "--train", "random_forest", "--features", "raw", "--classes", "multi").stdout
    assert "Classes of random_forest, held out by event" in table


def test_same_seed_gives_the_same_report_and_order_does_not_matter(recorded: list[Path]) -> None:
    first = run(*recorded, *EASY).stdout
    assert first == run(*recorded, *EASY).stdout
    assert (
        document(*recorded, *EASY)["cross_validation"] == document(*recorded[::-1], *EASY)["cross_validation"]
    )
    assert first != run(*recorded, *EASY, "--seed", 2).stdout


# The positive control


def test_positive_control_is_called_simulated_and_shows_what_transfer_looks_like(
    recorded: list[Path], third: Path, tmp_path: Path
) -> None:
    result = run(*recorded, "--train", "isolation_forest", "--test", third, "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.output or result.exception
    control = json.loads((tmp_path / "r.json").read_text())["learning"]["positive_control_simulated"]
    assert [one["detector"] for one in control["detectors"]] == ["isolation_forest"]
    assert control["detectors"][0]["test"]["roc_auc"] > 0.85
    assert control["detectors"][0]["honest"] is None
    assert "simulated" in control["note"]
    table = result.stdout
    assert table.index("tested on other recordings") < table.index("Positive control: simulated")
    assert "Positive control" not in run(*recorded, *EASY).stdout


def test_two_recordings_of_the_control_are_not_the_same(tmp_path: Path) -> None:
    from gridtop.evaluation.controls import simulated as written

    first, second = lessons([written(tmp_path, number) for number in (0, 1)])
    assert first.sha256 != second.sha256
    assert {(s.first, s.places) for s in first.spans}.isdisjoint({(s.first, s.places) for s in second.spans})
    assert first.channels.names == second.channels.names


# What is called out, and what is refused


def test_constant_features_and_scores_are_called_out(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rows = [f"{60},{'event' if second // 5 % 2 else 'None'}" for second in range(40) for _ in range(30)]
    path.write_text("\n".join(["R1:F,marker", *rows]) + "\n")
    made = document(path, "--train", "random_forest", "--features", "raw", "--split", "event")
    texts = [remark["text"] for remark in made["remarks"] if remark["about"] == "random_forest"]
    assert any(text.startswith("trained on constant features: 1 of 1") for text in texts)


def test_a_model_that_scores_all_rows_alike_is_called_out(
    recorded: list[Path], third: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gridtop.training.estimators import Fitted

    monkeypatch.setattr(Fitted, "score", lambda self, x: np.full((len(x), 1), 0.25))
    made = document(*recorded, *EASY, "--test", third)
    texts = [remark["text"] for remark in made["remarks"] if remark["about"] == "isolation_forest"]
    assert "scores all rows held out alike (0.25): it tells nothing apart" in texts
    assert "scores all rows of other recordings alike (0.25): it tells nothing apart" in texts


def test_where_transfer_cannot_be_had_it_is_said_and_channels_are_named(tmp_path: Path) -> None:
    path = labelled(tmp_path / "r.csv", "...xx...xx...xx...", 1)
    made = document(path, "--train", "random_forest", "--split", "event")
    assert "(channels)" in made["learning"]["features"]
    assert any("transfer features cannot be had" in remark["text"] for remark in made["remarks"])


def test_what_cannot_be_taught_is_named_and_the_others_are_judged(tmp_path: Path) -> None:
    path = labelled(tmp_path / "r.csv", "...x.x.x.x.x.x.x.x", 1)
    both = ("--train", "isolation_forest", "--train", "random_forest", "--features", "raw")
    made = document(path, *both, "--split", "event")
    broken, judged = made["cross_validation"]
    assert broken["honest"] is None
    assert judged["honest"]["roc_auc"] > 0.9
    assert any("could not be taught" in remark["text"] for remark in made["remarks"])
    assert "could not be taught" in refusal(path, "--train", "isolation_forest", "--features", "raw")


def test_options_of_models_need_a_model_and_rows_alone_are_refused(recorded: list[Path], third: Path) -> None:
    for option in (("--test", third), ("--seed", 1), ("--features", "raw"), ("--control",)):
        result = run(recorded[0], *option)
        assert result.exit_code == Exit.USAGE
        assert f"{option[0]} is for models" in result.output
    assert run(*recorded, *EASY, "--split", "rows").exit_code == Exit.USAGE
    assert "both learned from and tested on" in refusal(*recorded, *EASY, "--test", recorded[0])


def test_a_copy_of_what_was_learned_is_no_test(recorded: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes(recorded[0].read_bytes())
    beside = recorded[0].with_name("first.events.json")
    (tmp_path / "copy.events.json").write_bytes(beside.read_bytes())
    assert "hold the same" in refusal(*recorded, *EASY, "--test", copy)
    assert "hold the same" in refusal(recorded[0], copy, *EASY)


def test_without_the_extra_it_is_named_before_any_work(
    recorded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "find_spec", lambda name: None)
    assert "pip install 'gridtop[train]'" in refusal(recorded[0], "--train", "random_forest")
    assert "tensorflow" in refusal(recorded[0], "--train", "autoencoder")


def test_a_leaking_figure_never_stands_alone() -> None:
    from gridtop.evaluation.frame_scores import FrameScores

    one = FrameScores("d", np.arange(4.0), np.array([False, False, True, True]), np.arange(4))
    with pytest.raises(ValueError, match="nothing by itself"):
        Learned("d", beside_test=figures(one))


def test_all_kinds_that_can_be_trained_can_be_judged() -> None:
    (option,) = (one for one in evaluate.command.params if one.name == "kinds")
    assert tuple(option.type.choices) == get_args(ModelKind)  # type: ignore[attr-defined]


def test_html_report_shows_the_models_too(recorded: list[Path], third: Path, tmp_path: Path) -> None:
    result = run(*recorded, "--train", "isolation_forest", "--test", third, "--html", tmp_path / "r.html")
    assert result.exit_code == 0, result.output or result.exception
    page = (tmp_path / "r.html").read_text()
    for heading in (
        "Taught here, tested by file",
        "tested on other recordings",
        "Positive control: simulated",
    ):
        assert heading in page
    assert page.rstrip().endswith("</html>")
