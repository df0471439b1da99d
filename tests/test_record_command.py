"""`gridtop record`: live data into a file, what ends it, and a replay that tells of the same alarms."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridtop.errors import Exit
from gridtop.naming import ChannelMap
from gridtop.recordings import open_recording

CONFIG = """\
source: {type: lines, path: "-", rate: 30}
site: {nominal: {voltage_ll: 230 kV}}
limits:
  voltage: {on: "*:voltage_pu", low: {warning: 0.95, critical: 0.9}, on_delay: 200ms, off_delay: 200ms}
detectors: {quality: {type: data_quality}}
"""


def lines(frames: int = 400) -> str:
    """CSV with times, sags, values that are missing, and a gap."""
    rows = ["time,R1-PM1:V,R2-PM1:V\n"]
    for k in range(frames):
        seconds = k / 30 + (10 if k > 300 else 0)
        one = "100000" if 60 <= k < 120 else "121000" if 200 <= k < 260 else f"132{k:03}"
        other = "" if 150 <= k < 190 else "nonsense" if k == 100 else "132000.25"
        rows.append(f"2026-01-01T00:00:{seconds:09.6f}Z,{one},{other}\n")
    return "".join(rows)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def gridtop(*arguments: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=given,
    )


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "gridtop", *arguments],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def frames_in(path: Path) -> int:
    return sum(map(len, open_recording(path, ChannelMap()).blocks()))


def wait_for_frames(path: Path) -> None:
    """Until something has been committed."""
    import time

    for _ in range(600):
        if path.exists() and path.stat().st_size:
            try:
                if frames_in(path):
                    return
            except Exception:  # it is being made
                pass
        time.sleep(0.05)
    raise AssertionError("nothing was recorded")


def test_the_replay_of_a_recording_tells_of_the_same_alarms_as_the_live_run(site: Path) -> None:
    live = gridtop("run", "--no-serve", "-q", cwd=site, given=lines())
    recorded = gridtop("record", "-o", "x.gridtop", cwd=site, given=lines())
    assert (live.returncode, recorded.returncode) == (Exit.OK, Exit.OK), recorded.stderr
    assert recorded.stdout == ""
    replayed = gridtop(
        "run", "--source", "x.gridtop", "--speed", "max", "--until-end", "--no-serve", "-q", cwd=site
    )
    events = told(live.stdout)
    assert [(event["rule"], event["transition"], event["row"]) for event in events] == [
        ("voltage", "raised", 66),
        ("data_quality", "noticed", 100),
        ("voltage", "cleared", 126),
        ("quality", "raised", 169),
        ("voltage", "raised", 206),
        ("voltage", "cleared", 266),
        ("quality", "raised", 304),
    ]
    assert told(replayed.stdout) == events


def told(output: str) -> list[dict[str, Any]]:
    """Alarms and what is wrong with the data, without what names the source and the moment of telling."""
    events = [json.loads(line) for line in output.splitlines()]
    apart = {"id", "incident", "parent", "wall", "seq"}
    return [{key: value for key, value in event.items() if key not in apart} for event in events]


def test_the_end_of_the_lines_ends_it_and_a_summary_says_what_there_is(site: Path) -> None:
    done = gridtop("record", "-o", "x.gridtop", cwd=site, given=lines(90))
    assert done.returncode == Exit.OK
    assert "x.gridtop holds 90 frames, 0.0 MB; recorded for" in done.stderr
    again = gridtop("record", "-o", "x.gridtop", cwd=site, given=lines(100))
    assert "x.gridtop holds 100 frames, 0.0 MB, 90 dropped" in again.stderr
    assert "90 frames were not later than the frame before" in again.stderr
    assert frames_in(site / "x.gridtop") == 100


def test_without_a_name_it_makes_a_new_one_in_the_folder_of_the_settings(site: Path) -> None:
    done = gridtop("record", "-q", "--set", "recording.folder=kept", cwd=site, given=lines(60))
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    [path] = (site / "kept").iterdir()
    assert path.name.startswith("standard-input-20")
    assert path.suffix == ".gridtop"
    assert frames_in(path) == 60


@pytest.mark.parametrize(("order", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.OK)])
def test_signals_end_it_in_order(site: Path, order: signal.Signals, code: int) -> None:
    with running("record", "-o", "x.gridtop", cwd=site) as process:
        assert process.stdin is not None
        process.stdin.write(lines(90))
        process.stdin.flush()
        wait_for_frames(site / "x.gridtop")
        process.send_signal(order)
        _, told = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in told
    assert "x.gridtop holds" in told
    assert sorted(path.name for path in site.glob("x*")) == ["x.gridtop"]


def test_a_duration_ends_it(site: Path) -> None:
    done = gridtop(
        "record", "--set", "source={type: simulate, seed: 1}", "-o", "x.gridtop", "--for", "1s", cwd=site
    )
    assert done.returncode == Exit.OK
    assert frames_in(site / "x.gridtop") > 1


def test_bounds_on_the_command_line_come_first(site: Path) -> None:
    gridtop("record", "-o", "x.gridtop", "--keep", "2s", "--size", "1", cwd=site, given=lines(300))
    more = lines(301).splitlines(keepends=True)
    later = gridtop(
        "record",
        "-o",
        "x.gridtop",
        "--keep",
        "1s",
        cwd=site,
        given=more[0] + more[-1].replace("00:00", "01:00"),
    )
    assert "x.gridtop holds 1 frames" in later.stderr, later.stderr


def test_what_cannot_be_recorded_is_refused_in_one_line(site: Path) -> None:
    (site / "table.csv").write_text(lines(10))
    done = gridtop("record", "--source", "table.csv", "-o", "x.gridtop", cwd=site)
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "gridtop: table.csv is a recording already; gridtop export copies one, or a part of it\n"
    )
    done = gridtop("record", "-o", "table.csv", cwd=site, given=lines(10))
    assert done.returncode == Exit.USAGE
    assert done.stderr == (
        "gridtop: table.csv is no recording of gridtop, and stays as it is; give another name\n"
    )
    assert sorted(os.listdir(site)) == ["config.yaml", "table.csv"]


def test_a_source_that_does_not_open_is_exit_code_3_and_leaves_no_file(site: Path) -> None:
    done = gridtop("record", "-o", "x.gridtop", cwd=site, given="")
    assert done.returncode == Exit.SOURCE
    assert done.stderr.startswith("gridtop: ")
    assert not (site / "x.gridtop").exists()


def test_a_source_that_goes_wrong_on_the_way_leaves_what_came_before(site: Path) -> None:
    broken = site / "broken.py"
    broken.write_text(
        "from gridtop.api import *\n"
        "import numpy as np\n"
        "class Broken:\n"
        "    Config, live, identity = Settings, True, 'broken'\n"
        "    def __init__(self, config, host): pass\n"
        "    async def open(self):\n"
        "        self.channels = ChannelSet((Channel('a'),), 10.0)\n"
        "        return self.channels\n"
        "    async def blocks(self, start=0):\n"
        "        yield Block(self.channels, np.array([5], 'datetime64[ns]'), np.ones((1, 1)))\n"
        "        raise ValueError('lost')\n"
        "    async def close(self): pass\n"
        "@hookimpl\n"
        "def gridtop_sources():\n"
        "    return [SourceSpec(name='broken', target=Broken, summary='breaks')]\n"
    )
    done = gridtop("record", "-p", "broken.py", "--set", "source={type: broken}", "-o", "x.gridtop", cwd=site)
    assert done.returncode == Exit.SOURCE, done.stderr
    assert "the source failed: ValueError: lost" in done.stderr
    assert frames_in(site / "x.gridtop") == 1
