"""`gridtop run` as scripts use it: real processes, their output, signals and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridtop.errors import Exit

LOW = "R1-PM1:V\n" + "132000\n" * 60 + "100000\n" * 60 + "132000\n" * 120
CONFIG = """\
source: {type: replay, path: low.csv, rate: 30}
site: {nominal: {voltage_ll: 230 kV}}
limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "low.csv").write_text(LOW)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def gridtop(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_events_are_json_lines_and_the_exit_code_says_whether_it_was_bad(site: Path) -> None:
    done = gridtop("run", "--speed", "max", "--until-end", "--fail-on", "critical", cwd=site)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["transition"] for event in events] == ["raised", "cleared"]
    assert events[0]["channel"] == "R1:voltage_pu.A"
    assert events[0]["time"] is None
    assert events[0]["row"] == 63
    assert events[0]["since_row"] == 60
    assert done.returncode == Exit.ALARMS
    assert "240 frames" in done.stderr
    assert gridtop("run", "--speed", "max", "--until-end", cwd=site).returncode == Exit.OK


def test_thresholds_below_fail_on_do_not_fail(site: Path) -> None:
    arguments = ("--set", "limits.voltage.low={warning: 0.9}", "--fail-on", "critical")
    done = gridtop("run", "--speed", "max", "--until-end", *arguments, cwd=site)
    assert '"severity":"warning"' in done.stdout
    assert done.returncode == Exit.OK


def test_without_a_terminal_gridtop_says_so_and_runs_once_at_full_speed(site: Path) -> None:
    done = gridtop(cwd=site)
    assert done.returncode == Exit.OK
    assert "no terminal" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_source_replaces_the_configured_one_and_is_relative_to_the_working_directory(site: Path) -> None:
    (site / "elsewhere").mkdir()
    (site / "elsewhere" / "config.yaml").write_text(CONFIG.replace("low.csv", "missing.csv"))
    arguments = ("run", "-c", "elsewhere/config.yaml", "--source", "low.csv", "--until-end", "--speed", "max")
    assert len(gridtop(*arguments, cwd=site).stdout.splitlines()) == 2
    (site / "live.yaml").write_text(
        CONFIG.replace("{type: replay, path: low.csv, rate: 30}", "{type: simulate}")
    )
    done = gridtop("run", "-c", "live.yaml", "--source", "low.csv", "--until-end", "--speed", "max", cwd=site)
    assert len(done.stdout.splitlines()) == 2, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "--nonsense"], Exit.USAGE, "No such option"),
        (["run", "--fail-on", "nothing"], Exit.USAGE, "fail-on"),
        (["run", "--for", "60"], Exit.USAGE, "100ms"),
        (["nonsense"], Exit.USAGE, "nonsense"),
        (["run", "--source", "nowhere.csv"], Exit.SOURCE, "nowhere.csv"),
        (["run", "-c", "nowhere.yaml"], Exit.CONFIGURATION, "nowhere.yaml"),
        (["run", "--speed", "0"], Exit.CONFIGURATION, "speed"),
        (["run", "--set", "limits.voltage.lo=3"], Exit.CONFIGURATION, "did you mean"),
        (["run", "-p", "nowhere.py"], Exit.USAGE, "nowhere.py"),
    ],
)
def test_mistakes_end_in_one_clear_message_and_their_code(
    arguments: list[str], code: Exit, said: str, site: Path
) -> None:
    done = gridtop(*arguments, cwd=site)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("which", "code"),
    [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.OK)],
)
def test_signals_flush_and_end(which: signal.Signals, code: Exit, site: Path) -> None:
    arguments = [sys.executable, "-m", "gridtop", "run", "--speed", "10", "--set", "source.loop=true"]
    arguments += ["--set", "sinks.file.type=jsonl", "--set", "sinks.file.path=log.jsonl"]
    with subprocess.Popen(
        arguments, cwd=site, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(which)
        started = time.monotonic()
        out, error = process.communicate(timeout=20)
        assert process.returncode == code, error
        assert time.monotonic() - started < 10  # a generous bound on hanging, not a measurement
    assert "Traceback" not in error
    assert (site / "log.jsonl").read_text() == first + out


def test_a_reader_that_goes_away_ends_the_run_quietly(site: Path) -> None:
    run = f"{sys.executable} -m gridtop run --speed max --set source.loop=true -q"
    command = f"{run} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    lines = done.stdout.splitlines()
    assert json.loads(lines[0])["transition"] == "raised"
    assert lines[1] == "0"
    assert done.stderr == ""


def test_for_ends_by_the_clock(site: Path) -> None:
    done = gridtop("run", "--set", "source.loop=true", "--speed", "200", "--for", "2s", cwd=site)
    assert done.returncode == Exit.OK
    assert '"transition":"raised"' in done.stdout


@pytest.mark.parametrize("kept", [True, False])
def test_a_sink_without_a_journal_is_warned_of(kept: bool, site: Path) -> None:
    arguments = ["run", "--until-end", "--speed", "max", "-q", "--no-serve"]
    arguments += ["--set", "sinks.file.type=jsonl", "--set", "sinks.file.path=log.jsonl"]
    done = subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments, *(["--journal", "kept.db"] if kept else [])],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == Exit.OK
    assert ("what file is owed is in memory" in done.stderr) is not kept


def test_any_recording_runs_with_the_configuration_that_comes_with_gridtop(tmp_path: Path) -> None:
    times = [f"2026-01-01T00:00:{second:02d}Z" for second in range(30)]
    (tmp_path / "other.csv").write_text("time,a,b\n" + "".join(f"{time},1,2\n" for time in times))
    done = gridtop("run", "--source", "other.csv", "--speed", "max", "--until-end", cwd=tmp_path)
    assert done.returncode == Exit.OK
    assert "30 frames" in done.stderr
    assert "4 of 4 rules have nothing to watch here: voltage, interruption" in done.stdout
    assert "current_jump" not in done.stdout


def test_a_configuration_of_ones_own_must_fit_the_recording(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n" + "1,2\n" * 30)
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = gridtop("run", "--source", "other.csv", "--speed", "max", "--until-end", cwd=tmp_path)
    assert done.returncode == Exit.CONFIGURATION
    assert "limits.voltage.on" in done.stderr
