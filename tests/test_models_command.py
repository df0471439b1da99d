"""`gridtop models`: what there is, what a card says, and whether a folder is whole."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridtop.cli import main
from gridtop.learning.card import TrainedOn
from gridtop.learning.trees import Trees
from tests.model_folders import forest_folder, isolation_folder

ESCAPE = "\x1b[2Jevil\u202e"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        main(["models", *arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_list_shows_each_model_and_a_line_for_a_card_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forest_folder(tmp_path / "b")
    isolation_folder(tmp_path / "a", trained="2026-01-02")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "card.json").write_text("{}")
    code, out, _ = run(capsys, "list", str(tmp_path))
    header, first, second, problem = out.splitlines()
    assert code == 0
    assert header.split() == ["NAME", "KIND", "JUDGES", "OUTPUTS", "KB", "TRAINED"]
    assert first.startswith("a     isolation_forest  frames of each line  strangeness")
    assert first.endswith("2026-01-02")
    assert second.startswith("b     random_forest     frames of each line  fault")
    assert problem.startswith("! ")
    assert "no model card" in problem


def test_list_takes_the_models_of_the_working_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forest_folder(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    assert "mine  random_forest" in run(capsys, "list")[1]
    assert run(capsys, "show", "mine")[1].startswith(
        "random_forest: random forest, judges frames of each line"
    )
    code, out, err = run(capsys, "verify", "mine")
    assert (code, out[:12], err) == (0, "mine: whole;", "")


def test_list_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gridtop train makes them" in run(capsys, "list", str(tmp_path))[1]
    code, _, err = run(capsys, "list", str(tmp_path / "nowhere"))
    assert code == 2
    assert "there is no folder" in err


def test_show_tells_the_honest_scores_from_the_leaking_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = forest_folder(tmp_path / "m", limits=("not for islands",), remarks=("a remark",))
    lines = [line.strip() for line in run(capsys, "show", str(folder))[1].splitlines()]
    assert "recall 0.9 (95 %: 0.8 to 0.95 over 12), split event" in lines
    assert "! recall 1, split rows: leaking, not honest" in lines
    assert "output    fault: fault_AG" in lines
    assert "range over 0.2 s of near:V [V]" in lines
    assert lines[lines.index("LIMITS") + 1] == "not for islands"
    assert lines[lines.index("REMARKS") + 1] == "a remark"
    assert "quiet.csv: 390 frames, 13 s, SHA-256 0000000000000000..." in lines


def test_show_as_json_is_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = forest_folder(tmp_path / "m")
    assert json.loads(run(capsys, "show", str(folder), "--json")[1]) == json.loads(
        (folder / "card.json").read_text()
    )


def test_what_a_card_says_cannot_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = forest_folder(
        tmp_path / "m",
        remarks=(ESCAPE,),
        limits=(ESCAPE,),
        intended_use=ESCAPE,
        labels=ESCAPE,
        command=ESCAPE,
        trained=ESCAPE,
        versions={ESCAPE: ESCAPE},
        recordings=(TrainedOn(name=ESCAPE, sha256="0" * 64, frames=1, seconds=1),),
    )
    for arguments in (("show", str(folder)), ("show", str(folder), "--json"), ("list", str(tmp_path))):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        assert "evil" in out
        assert not set(out) & {"\x1b", "\u202e"}


def test_verify_names_what_is_wrong_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, changed, missing, torn = (tmp_path / name for name in ("good", "changed", "missing", "torn"))
    for folder in (good, changed, missing, torn):
        forest_folder(folder)
    (changed / "trees.npz").write_bytes(b"another")
    (missing / "model.onnx").unlink()
    (torn / "card.json").write_text("{")
    code, out, _ = run(capsys, "verify", *map(str, (good, changed, missing, torn, tmp_path / "none")))
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith(f"{good}: whole; ")
    assert lines[1].startswith("! ")
    assert "trees.npz: is not the file that the card was written for" in lines[1]
    assert "model.onnx: cannot be read: No such file" in lines[2]
    assert "no model card" in lines[3]
    assert "there is no model" in lines[4]
    assert len(lines) == 5


def test_verify_finds_a_model_that_does_not_fit_its_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = forest_folder(tmp_path / "m")
    plain = json.loads((folder / "card.json").read_text())
    plain["features"], plain["fill"] = plain["features"][:4], plain["fill"][:4]
    (folder / "card.json").write_text(json.dumps(plain))
    code, out, _ = run(capsys, "verify", str(folder))
    assert code == 1
    assert "the model takes 5 features and its card has 4" in out


def test_show_and_verify_say_what_runs_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(forest_folder(tmp_path / "m"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delenv("GRIDTOP_RUNTIME", raising=False)
    shown = run(capsys, "show", folder)[1].splitlines()
    assert "  runs in   numpy; onnxruntime is faster: pip install 'gridtop[onnx]'" in shown
    assert run(capsys, "verify", folder) == (0, f"{folder}: whole; runs in numpy\n", "")
    monkeypatch.setenv("GRIDTOP_RUNTIME", "onnxruntime")
    code, _, err = run(capsys, "show", folder)
    assert code == 2
    assert "GRIDTOP_RUNTIME names onnxruntime" in err


def test_verify_runs_the_model_in_all_that_is_installed_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    folder = forest_folder(tmp_path / "m")
    monkeypatch.delenv("GRIDTOP_RUNTIME", raising=False)
    assert "  runs in   onnxruntime" in run(capsys, "show", str(folder))[1].splitlines()
    assert "whole; onnxruntime and numpy differ by at most" in run(capsys, "verify", str(folder))[1]
    monkeypatch.setenv("GRIDTOP_RUNTIME", "numpy")
    assert "  runs in   numpy, as GRIDTOP_RUNTIME says" in run(capsys, "show", str(folder))[1].splitlines()

    trees = Trees.from_bytes((folder / "trees.npz").read_bytes())
    other = replace(trees, threshold=np.where(trees.feature >= 0, trees.threshold + 1, 0).astype(np.float32))
    content = other.to_bytes()
    (folder / "trees.npz").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["trees.npz"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    code, out, _ = run(capsys, "verify", str(folder))
    assert code == 1
    assert out.startswith("! onnxruntime and numpy give different answers, by up to")


def test_an_unknown_name_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forest_folder(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "show", "yours")
    assert code == 2
    assert err == "gridtop: there is no model yours; there is mine\n"


def test_verifying_imports_nothing_that_trains(tmp_path: Path) -> None:
    folder = forest_folder(tmp_path / "m")
    program = (
        "import json, sys\nfrom gridtop.cli import main\n"
        f"try:\n    main(['models', 'verify', {str(folder)!r}])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "finally:\n    print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"sklearn", "tensorflow", "onnx", "pandas", "scipy", "matplotlib"}
