"""`gridtop plugins`, as a person and as a program uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gridtop.commands.root import run
from gridtop.errors import Exit

EXAMPLE = Path(__file__).parent.parent / "examples" / "custom_detector.py"

BROKEN = "import no_such_module\n"

WITH_SETTINGS = '''
from pydantic import Field
from gridtop.api import Duration, Settings

class Slow:
    """Scores slowness"""

    class Config(Settings):
        window: Duration = Field("10s", validate_default=True, description="how far back")
        level: float = Field(description="what counts")
        mode: int | None = None

    def score(self, block): ...
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a folder of plugins."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins.d").mkdir(mode=0o755)
    return tmp_path


def configuration(here: Path, name: str = "config.yaml", disable: str = "") -> Path:
    file = here / name
    file.write_text(f"plugins: {{dirs: [plugins.d], disable: [{disable}]}}\nsource: {{type: simulate}}\n")
    return file


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a successful `gridtop plugins ...` prints."""
    assert run(["plugins", *arguments]) == Exit.OK
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_list_is_a_table_of_kind_name_origin_and_summary(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = output(capsys, "list").splitlines()
    assert lines[0].split() == ["KIND", "NAME", "FROM", "WHAT"]
    (zscore,) = [line for line in lines if line.split()[:2] == ["detector", "zscore"]]
    assert " ".join(zscore.split()).startswith("detector zscore built in how many standard deviations")
    kinds = [line.split()[0] for line in lines[1:]]
    assert kinds[0] == "source"
    assert kinds == sorted(kinds, key=["source", "detector", "sink", "command"].index)


def test_list_can_be_kept_to_one_kind(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "list", "--kind", "sink").splitlines()
    names = [line.split()[1] for line in lines[1:] if not line.startswith("!")]
    assert names == ["apprise", "console", "email", "jsonl", "mqtt", "syslog", "webhook"]


def test_list_ends_with_a_line_for_each_problem_and_is_fine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "rocof.py").write_text(BROKEN)
    lines = output(capsys, "list", "-p", "rocof.py").splitlines()
    assert lines[-1] == (
        "! plugin rocof (rocof.py): an import fails: No module named 'no_such_module' (rocof.py, line 1)"
    )


def test_list_says_what_must_be_installed_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "learner.py").write_text(
        "from gridtop.api import DetectorSpec, hookimpl\n@hookimpl\ndef gridtop_detectors():\n"
        "    return [DetectorSpec('learner', 'a:B', 'learns', needs=('no-such-thing', 'nor-this'))]\n"
    )
    text = output(capsys, "list", "-p", "learner.py")
    assert (
        "! detector learner needs no-such-thing and nor-this, which are not installed: "
        "pip install no-such-thing nor-this"
    ) in text


def test_list_as_json_is_for_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "rocof.py").write_text(BROKEN)
    document = json.loads(output(capsys, "list", "--json", "--kind", "detector", "-p", "rocof.py"))
    assert [plugin for plugin in document["plugins"] if plugin["name"] == "zscore"] == [
        {
            "kind": "detector",
            "name": "zscore",
            "summary": "how many standard deviations each channel is from its recent mean",
            "plugin": "gridtop.plugins",
            "origin": "built in",
            "target": "gridtop.plugins.detectors.zscore:ZScore",
            "api": 1,
            "needs": [],
            "missing": [],
        }
    ]
    (problem,) = [problem for problem in document["problems"] if problem["plugin"] == "rocof"]
    assert problem["origin"] == "rocof.py"
    assert problem["text"].startswith("plugin rocof (rocof.py): ")


def test_the_folders_of_a_configuration_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "plugins.d" / "slow.py").write_text(WITH_SETTINGS)
    file = configuration(here, "other.yaml")
    assert "plugins.d/slow.py" in output(capsys, "list", "-c", str(file))
    assert "plugins.d/slow.py" not in output(capsys, "list")


def test_the_configuration_in_the_working_directory_counts_unasked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plugins.d" / "slow.py").write_text(WITH_SETTINGS)
    configuration(here)
    assert "plugins.d/slow.py" in output(capsys, "list")
    assert "plugins.d/slow.py" not in output(capsys, "list", "--no-plugins")


def test_what_the_configuration_disables_is_not_listed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plugins.d" / "slow.py").write_text(WITH_SETTINGS)
    configuration(here, disable="slow")
    assert "plugins.d/slow.py" not in output(capsys, "list")


def test_info_shows_the_settings_with_type_default_and_description(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "slow.py").write_text(WITH_SETTINGS)
    assert output(capsys, "info", "slow", "-p", "slow.py").splitlines() == [
        "detector slow: Scores slowness",
        "  from    slow.py",
        "  target  Slow",
        "  needs   nothing more",
        "  SETTING  TYPE         DEFAULT   WHAT",
        "  window   duration     10s       how far back",
        "  level    float        required  what counts",
        "  mode     int or none  None",
    ]


def test_info_about_a_plugin_without_settings_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it has no settings" in output(capsys, "info", "jump", "-p", str(EXAMPLE))


def test_info_about_a_broken_target_gives_the_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "gone.py").write_text(
        "from gridtop.api import DetectorSpec, hookimpl\n@hookimpl\ndef gridtop_detectors():\n"
        "    return [DetectorSpec('gone', 'no_such_module:X', 'is not there')]\n"
    )
    text = output(capsys, "info", "gone", "-p", "gone.py")
    assert "! detector 'gone' (gone.py): an import fails: No module named 'no_such_module'" in text


def test_info_about_an_unknown_name_suggests_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugins", "info", "zscor"]) == Exit.CONFIGURATION
    assert capsys.readouterr().err == (
        "gridtop: no plugin is called 'zscor' (did you mean 'zscore'?); see gridtop plugins list\n"
    )


def test_listing_imports_no_target_and_nothing_heavy(here: Path) -> None:
    program = (
        "import sys\nfrom gridtop.commands.root import run\nrun(['plugins', 'list', '--json'])\n"
        "import json; sys.stderr.write(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stderr))
    assert "gridtop.plugins" in loaded
    heavy = {"numpy", "onnx", "onnxruntime", "pandas", "pydantic", "rich", "sklearn", "tensorflow", "textual"}
    assert not loaded & heavy
    assert not {name for name in loaded if name.startswith("gridtop.plugins.")}
