"""What is imported when: a fresh process is asked after each command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gridtop.api

LEARNING = {"matplotlib", "onnx", "pyod", "river", "sklearn", "tensorflow"}
"""What trains models, draws reports, or is named in a configuration; monitoring needs none of it."""
HEAVY = LEARNING | {"numpy", "onnxruntime", "pandas", "plotext", "pydantic", "rich", "textual"}
ASK = "import json, sys; sys.stderr.write('\\n@' + json.dumps(sorted(sys.modules)))"


def modules_after(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that a gridtop command leaves imported."""
    program = (
        f"import sys\nfrom gridtop.cli import main\ntry:\n    main({list(arguments)!r})\n"
        f"except SystemExit as end:\n    assert not end.code, end.code\nfinally:\n    {ASK}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(json.loads(done.stderr.rpartition("@")[2]))


def test_the_version_needs_nothing_heavy_and_no_click() -> None:
    loaded = modules_after("--version")
    assert not loaded & (HEAVY | {"click", "yaml", "pluggy"})


def test_help_and_plugins_list_import_no_target_of_a_packaged_plugin() -> None:
    for arguments in (["--help"], ["plugins", "list"]):
        loaded = modules_after(*arguments)
        assert not loaded & (HEAVY - {"numpy", "pydantic"}), arguments
        assert not {name for name in loaded if name.startswith(("gridtop.plugins.", "gridtop.tui.app"))}


def test_checking_the_configuration_reads_no_recording() -> None:
    loaded = modules_after("config", "check")
    assert not loaded & (LEARNING | {"onnxruntime", "pandas", "textual", "rich", "plotext"})


def test_a_headless_run_imports_no_screen(tmp_path: Path) -> None:
    recording = tmp_path / "tiny.csv"
    recording.write_text("R1:F,R1-PM1:V\n" + "60.0,132000\n" * 20)
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: tiny.csv}\nsite: {nominal: {voltage_ll: 230 kV}}\n"
        "limits: {f: {on: '*:frequency_deviation', abs: {warning: 0.1}}}\n"
    )
    loaded = modules_after("run", "-c", str(config), "--until-end", "--speed", "max", cwd=tmp_path)
    assert not loaded & (LEARNING | {"textual", "rich", "plotext"})
    assert "gridtop.monitor" in loaded


def test_the_plugin_interface_is_frozen() -> None:
    names = "API DOUBTFUL NO_VALUE Amperes Block Calibrated Channel ChannelSet CommandSpec Counting"
    names += " DeliveryError Detector DetectorSpec Duration Event Explains Extent Hertz Host Quality"
    names += " ReceiverGone Scores Seekable Settings Sink SinkSpec Site Source SourceError SourceSpec"
    names += " Statistics Undeliverable Volts"
    names += " hookimpl load_model model_channels seconds_to_time"
    assert gridtop.api.__all__ == names.split()
    for name in gridtop.api.__all__:
        assert getattr(gridtop.api, name) is not None
    with pytest.raises(AttributeError, match="gridtop.api has no 'Blok'"):
        _ = gridtop.api.Blok


def test_the_folders_beside_the_package_are_never_imported_by_their_bare_names() -> None:
    for arguments in (["--help"], ["plugins", "list"], ["config", "check"]):
        assert not modules_after(*arguments) & {"tui", "plugins", "models", "data"}
