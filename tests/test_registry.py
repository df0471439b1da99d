"""Plugins: every way to find one, and every way one can be broken without harm to the others."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gridtop.api import ChannelSet
from gridtop.errors import PluginError
from gridtop.registry import KINDS, Registry, discover

HEALTHY = '''
"""A healthy plugin."""
from gridtop.api import Scores

class Nothing:
    """Has no opinion."""

    def __init__(self, config, channels):
        self.outputs = channels.names

    def score(self, block):
        return Scores(block.values * float("nan"))
'''

HOOK = """
from gridtop.api import CommandSpec, DetectorSpec, SinkSpec, hookimpl

@hookimpl
def gridtop_detectors():
    return SPECS
"""

SOURCES = ("align", "c37118", "c37118_capture", "lines", "mqtt", "replay", "simulate", "tcp")
SINKS = ("apprise", "console", "email", "jsonl", "mqtt", "syslog", "webhook")
SHIPPED = (
    "autoencoder",
    "isolation_forest",
    "random_forest",
    "command_plausibility",
    "data_quality",
    "drift",
    "frequency_excursion",
    "physics",
    "pyod",
    "river",
    "sklearn",
    "zscore",
)


def with_shipped(*names: str) -> tuple[str, ...]:
    """The names of detectors beside those that come with gridtop, in order."""
    return tuple(sorted((*SHIPPED, *names)))


def offering(specs: str) -> str:
    return HOOK.replace("SPECS", specs)


SABOTAGE = {
    "import_error": (
        "import no_such_module",
        "an import fails: No module named 'no_such_module' (bad.py, line 1)",
    ),
    "syntax_error": ("def broken(:\n    pass", "not valid Python: invalid syntax (bad.py, line 1)"),
    "exits": ("import sys\nsys.exit(3)", "it called sys.exit(3) (bad.py, line 2)"),
    "raises": ("1 / 0", "ZeroDivisionError: division by zero (bad.py, line 1)"),
    "raises_what_cannot_be_shown": (
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd",
        "Odd (bad.py, line 4)",
    ),
    "raises_many_lines": (
        "raise ValueError('one\\ntwo\\x1b[31m')",
        "ValueError: one two\ufffd[31m (bad.py, line 1)",
    ),
    "raises_base_exception": ("raise GeneratorExit", "GeneratorExit (bad.py, line 1)"),
    "misspelt_hook": (
        "from gridtop.api import hookimpl\n@hookimpl\ndef gridtop_detector():\n    return []",
        "there is no hook called 'gridtop_detector' (did you mean 'gridtop_detectors'?)",
    ),
    "unmarked_hook": (
        "def gridtop_detectors():\n    return []",
        "gridtop_detectors is never called: put @hookimpl above it",
    ),
    "arguments": (
        "from gridtop.api import hookimpl\n@hookimpl\ndef gridtop_sinks(config, host):\n    return []",
        "gridtop_sinks(config, host) must take no arguments",
    ),
    "returns_nothing": (
        offering("None"),
        "gridtop_detectors must return a list of DetectorSpec, not NoneType",
    ),
    "returns_another_kind": (
        offering("[SinkSpec('x', 'a:B', '')]"),
        "gridtop_detectors must return a list of DetectorSpec, not SinkSpec",
    ),
    "returns_text": (offering("'zscore'"), "gridtop_detectors must return a list of DetectorSpec, not str"),
    "fails_when_asked": (
        offering("[1 / 0]"),
        "gridtop_detectors failed: ZeroDivisionError: division by zero (bad.py, line 6)",
    ),
    "exits_when_asked": (
        offering("exit()"),
        "gridtop_detectors failed: it called sys.exit(None) (bad.py, line 6)",
    ),
    "newer_interface": (
        offering("[DetectorSpec('x', 'a:B', '', api=99)]"),
        "'x' needs plugin interface 99 and this gridtop has 1: upgrade gridtop",
    ),
    "bad_name": (
        offering("[DetectorSpec('My-Detector', 'a:B', '')]"),
        "the name 'My-Detector' must be lower-case letters, digits and underscores, a letter first",
    ),
    "bad_target": (
        offering("[DetectorSpec('x', 'a.b', '')]"),
        "the target of 'x' must read package.module:Name, not 'a.b'",
    ),
    "bad_summary": (
        offering("[DetectorSpec('x', 'a:B', 'two\\nlines')]"),
        "the summary of 'x' must be one line of text",
    ),
    "bad_needs": (
        offering("[DetectorSpec('x', 'a:B', '', needs='numpy')]"),
        "what 'x' needs must be a tuple of distribution names",
    ),
    "taken_name": (
        offering("[DetectorSpec('zscore', 'a:B', '')]"),
        "the detector 'zscore' is already there (gridtop.plugins, built in) and stays so",
    ),
    "taken_command": (
        "from gridtop.api import CommandSpec, hookimpl\n"
        "@hookimpl\ndef gridtop_commands():\n    return [CommandSpec('run', 'a:B', '')]",
        "the command 'run' is gridtop's own and stays so",
    ),
    "odd_docstring": (
        "class A:\n    __doc__ = 5\n    def score(self): ...",
        "AttributeError: 'int' object has no attribute 'strip'",
    ),
    "nothing_in_it": ("x = 1", "without hooks it must hold one class with a score method; found: none"),
    "two_classes": (
        "class A:\n    def score(self): ...\nclass B:\n    def score(self): ...",
        "without hooks it must hold one class with a score method; found: A, B",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "plugins.d"
    place.mkdir(mode=0o755)
    return place


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)
    return file


def install(place: Path, name: str, entry_points: str, **modules: str) -> None:
    """What pip leaves behind of a package, in a folder on sys.path."""
    metadata = place / f"{name.replace('-', '_')}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[gridtop]\n{entry_points}\n")
    for module, text in modules.items():
        (place / f"{module}.py").write_text(text)
    importlib.invalidate_caches()


def reasons(registry: Registry, plugin: str) -> list[str]:
    return [problem.reason for problem in registry.problems if problem.plugin == plugin]


@pytest.mark.parametrize("kind_of_sabotage", SABOTAGE)
def test_a_broken_plugin_is_one_line_and_the_others_work(folder: Path, kind_of_sabotage: str) -> None:
    text, reason = SABOTAGE[kind_of_sabotage]
    write(folder, "bad.py", text)
    write(folder, "healthy.py", HEALTHY)
    registry = discover([folder], environment={})
    (problem,) = [problem for problem in registry.problems if problem.plugin != "gridtop.tui.plugin"]
    assert problem.text == f"plugin bad ({folder / 'bad.py'}): {reason}"
    assert problem.text.isprintable()
    assert registry.names("detector") == with_shipped("healthy")
    assert registry.load("detector", "healthy").__name__ == "Nothing"


def test_a_real_interrupt_is_not_mistaken_for_a_broken_plugin(folder: Path) -> None:
    write(folder, "bad.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover([folder], environment={})


def test_the_good_hooks_of_a_half_broken_plugin_count(folder: Path) -> None:
    text = (
        offering("[1 / 0]")
        + "\n@hookimpl\ndef gridtop_sinks():\n    return [SinkSpec('pager', 'a:B', 'beeps')]\n"
    )
    write(folder, "half.py", text)
    registry = discover([folder], environment={})
    assert len(reasons(registry, "half")) == 1
    assert "pager" in registry.names("sink")


def test_the_good_specs_of_a_hook_count(folder: Path) -> None:
    write(folder, "half.py", offering("[DetectorSpec('Bad', 'a:B', ''), DetectorSpec('good', 'a:B', '')]"))
    assert discover([folder], environment={}).names("detector") == with_shipped("good")


def test_a_file_with_one_class_is_a_plugin_without_a_hook(folder: Path) -> None:
    write(folder, "quiet.py", HEALTHY)
    registry = discover([folder], environment={})
    spec = registry.spec("detector", "quiet")
    assert spec.summary == "Has no opinion"
    assert registry.origin("detector", "quiet") == str(folder / "quiet.py")
    detector = registry.load("detector", "quiet")
    assert detector(detector.Config(), ChannelSet(())).outputs == ()  # type: ignore[attr-defined]


def test_a_file_can_name_its_detector(folder: Path) -> None:
    write(folder, "some-file.py", "NAME = 'hush'\n" + HEALTHY)
    registry = discover([folder], environment={})
    assert "hush" in registry.names("detector")


def test_a_file_whose_name_cannot_be_a_plugins_name_says_so(folder: Path) -> None:
    write(folder, "some-file.py", HEALTHY)
    assert "the name 'some-file' must be" in reasons(discover([folder], environment={}), "some-file")[0]


def test_files_of_one_name_in_two_folders_do_not_mix(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir(mode=0o755)
        write(tmp_path / place, "same.py", f"NAME = 'same_{place}'\n" + HEALTHY)
    before = list(sys.path)
    registry = discover([tmp_path / "a", tmp_path / "b"], environment={})
    first, second = registry.load("detector", "same_a"), registry.load("detector", "same_b")
    assert first.__module__ != second.__module__
    assert first.__module__.startswith("gridtop_user.same_")
    assert sys.path == before


def test_no_bytecode_is_left_beside_a_plugin_file(folder: Path) -> None:
    write(folder, "quiet.py", HEALTHY)
    discover([folder], environment={})
    assert [file.name for file in folder.iterdir()] == ["quiet.py"]


def test_files_that_begin_with_an_underscore_and_other_files_are_left_alone(folder: Path) -> None:
    for name in ("_draft.py", ".hidden.py", "notes.txt"):
        write(folder, name, "raise RuntimeError")
    registry = discover([folder], environment={})
    assert not [problem for problem in registry.problems if problem.origin != "built in"]


def test_a_folder_or_file_that_everyone_may_write_to_is_refused(folder: Path, tmp_path: Path) -> None:
    open_file = write(folder, "open.py", "raise RuntimeError")
    open_file.chmod(0o666)
    open_folder = tmp_path / "open.d"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    write(open_folder, "never.py", "raise RuntimeError")
    registry = discover([folder, open_folder], environment={})
    texts = [problem.text for problem in registry.problems if problem.origin != "built in"]
    assert texts == [
        f"plugin folder ({open_folder}): "
        f"not loaded, because everyone may write to it; run chmod o-w {open_folder}",
        f"plugin open ({open_file}): not loaded, because everyone may write to it; run chmod o-w {open_file}",
    ]


def test_a_folder_or_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    registry = discover([tmp_path / "none.d"], [tmp_path / "none.py"], environment={})
    assert [len(reasons(registry, name)) for name in ("folder", "none")] == [1, 1]


def test_a_single_file_can_be_asked_for(folder: Path) -> None:
    file = write(folder, "quiet.py", HEALTHY)
    assert "quiet" in discover(files=[file], environment={}).names("detector")


def test_an_installed_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = offering("[DetectorSpec('rocof', 'gt_heavy:Rocof', 'frequency slope')]")
    install(tmp_path, "gridtop-foo", "foo = gt_foo_hooks", gt_foo_hooks=hooks, gt_heavy="Rocof = 1")
    monkeypatch.syspath_prepend(tmp_path)
    registry = discover(disable=["something"], environment={})
    assert registry.origin("detector", "rocof") == "entry point gridtop-foo 1.2"
    assert "gt_heavy" not in sys.modules
    with pytest.raises(
        PluginError, match=r"^detector 'rocof' \(entry point gridtop-foo 1.2\): 1 is not a class$"
    ):
        registry.load("detector", "rocof")


def test_a_broken_package_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = offering("[DetectorSpec('rocof', 'gt_heavy:Rocof', 'frequency slope')]")
    install(tmp_path, "gridtop-bad", "bad = gt_bad", gt_bad="import sys; sys.exit('no')")
    install(tmp_path, "gridtop-gone", "gone = gt_gone")
    install(tmp_path, "gridtop-good", "good = gt_good", gt_good=good)
    monkeypatch.syspath_prepend(tmp_path)
    registry = discover(disable=["something"], environment={})
    assert reasons(registry, "bad") == ["it called sys.exit(no) (gt_bad.py, line 1)"]
    assert reasons(registry, "gone") == ["an import fails: No module named 'gt_gone'"]
    assert "rocof" in registry.names("detector")


def test_what_is_left_of_a_half_removed_package_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "gridtop-foo", "foo = gt_left_over")
    (tmp_path / "gridtop_foo-1.2.dist-info" / "METADATA").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    assert len(reasons(discover(disable=["something"], environment={}), "foo")) == 1


def test_two_providers_of_one_name_are_both_named_and_the_first_stays(folder: Path) -> None:
    write(folder, "a.py", "NAME = 'same'\n" + HEALTHY)
    write(folder, "b.py", "NAME = 'same'\n" + HEALTHY)
    registry = discover([folder], environment={})
    assert registry.origin("detector", "same") == str(folder / "a.py")
    (problem,) = [problem for problem in registry.problems if problem.plugin == "b"]
    assert str(folder / "a.py") in problem.text
    assert str(folder / "b.py") in problem.text


@pytest.mark.parametrize("name", ["foo", "gridtop-foo"])
def test_a_disabled_package_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(tmp_path, "gridtop-foo", "foo = gt_disabled", gt_disabled="raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    assert not reasons(discover(disable=[name], environment={}), "foo")
    assert "gt_disabled" not in sys.modules


def test_a_file_and_a_single_offer_can_be_disabled(folder: Path) -> None:
    write(folder, "quiet.py", HEALTHY)
    assert discover([folder], disable=["quiet", *SHIPPED], environment={}).names("detector") == ()


def test_no_plugins_leaves_the_built_in_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "quiet.py", "raise RuntimeError")
    install(tmp_path, "gridtop-foo", "foo = gt_never", gt_never="raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    registry = discover([folder], [folder / "quiet.py"], environment={"GRIDTOP_NO_PLUGINS": "1"})
    assert not [problem for problem in registry.problems if problem.origin != "built in"]
    assert registry.names("detector") == with_shipped()
    with pytest.raises(PluginError, match="GRIDTOP_NO_PLUGINS is set"):
        registry.load("detector", "quiet")


def test_the_built_in_plugins_are_offered_and_can_be_loaded() -> None:
    registry = discover(environment={})
    assert registry.names("source") == SOURCES
    assert registry.names("detector") == with_shipped()
    assert registry.names("sink") == SINKS
    for kind in ("detector", "sink"):
        for offer in registry.offers(kind):
            assert offer.origin == "built in"
            assert registry.load(offer.kind, offer.spec.name).__doc__


def test_discovery_without_wishes_happens_once() -> None:
    assert discover() is discover()


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_is_an_error_with_a_suggestion(kind: str) -> None:
    registry = discover(environment={})
    known = {"source": "replay", "detector": "zscore", "sink": "jsonl", "command": "tui"}[kind]
    with pytest.raises(PluginError, match=f"no {kind} plugin is called '{known}x'"):
        registry.spec(kind, known + "x")  # type: ignore[arg-type]


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(
        PluginError, match="no detector plugin is called 'zscor' \\(did you mean 'zscore'\\?\\)"
    ):
        discover(environment={}).load("detector", "zscor")


def test_the_reason_why_a_wanted_plugin_is_missing_is_quoted(folder: Path) -> None:
    write(folder, "rocof.py", "import no_such_module")
    with pytest.raises(
        PluginError, match="no detector plugin is called 'rocof'.*No module named 'no_such_module'"
    ):
        discover([folder], environment={}).load("detector", "rocof")


def test_a_missing_distribution_is_told_with_its_cure(folder: Path) -> None:
    write(
        folder,
        "learner.py",
        offering("[DetectorSpec('learner', 'a:B', '', needs=('numpy', 'no-such-thing'))]"),
    )
    registry = discover([folder], environment={})
    assert registry.offer("detector", "learner").missing == ("no-such-thing",)
    reason = "needs no-such-thing, which is not installed: pip install no-such-thing$"
    with pytest.raises(PluginError, match=reason):
        registry.load("detector", "learner")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("'no_such_module:X'", "an import fails: No module named 'no_such_module'"),
        ("'json:NoSuchName'", "AttributeError: module 'json' has no attribute 'NoSuchName'"),
        ("'json:loads'", "loads is not a class"),
        ("'json:JSONDecoder'", "JSONDecoder is no detector: it has no method score"),
        ("Odd", "Odd.Config is not a pydantic model; derive it from gridtop.api.Settings"),
    ],
)
def test_a_target_that_does_not_fit_is_found_when_it_is_loaded(
    folder: Path, target: str, reason: str
) -> None:
    odd = "\nclass Odd:\n    Config = dict\n    def score(self, block): ...\n"
    write(folder, "off.py", offering(f"[DetectorSpec('off', {target}, '')]") + odd)
    registry = discover([folder], environment={})
    with pytest.raises(PluginError) as caught:
        registry.load("detector", "off")
    assert str(caught.value) == f"detector 'off' ({folder / 'off.py'}): {reason}"


def test_commands_are_loaded_and_must_be_click_commands(folder: Path) -> None:
    text = (
        "import click\nfrom gridtop.api import CommandSpec, hookimpl\n"
        "@click.command()\ndef hello(): ...\n"
        "@hookimpl\ndef gridtop_commands():\n"
        "    return [CommandSpec('hello', hello, 'says hello'), CommandSpec('bad', 'json:loads', '')]\n"
    )
    write(folder, "greeting.py", text)
    registry = discover([folder], environment={})
    assert {spec.name for spec in registry.commands()} >= {"hello", "bad"}
    assert registry.load_command("hello").name == "hello"
    with pytest.raises(PluginError, match="loads is not a click command"):
        registry.load_command("bad")


def test_discovery_imports_nothing_heavy() -> None:
    program = (
        "import json, sys\nfrom gridtop.registry import discover\n"
        "discover(environment={'GRIDTOP_NO_PLUGINS': '1'})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"numpy", "pandas", "pydantic", "textual", "sklearn", "click"}
    assert "gridtop.plugins.detectors.zscore" not in loaded
