"""The sinks that ship with gridtop: a file of JSON lines, and the console."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gridtop.api import DeliveryError, Event, Host
from gridtop.naming import ChannelMap
from gridtop.plugins.sinks.console import Console
from gridtop.plugins.sinks.jsonl import JsonLines
from gridtop.plugins.sinks.wording import readable

EVENT = Event(
    id="0123456789abcdef",
    kind="alarm",
    transition="raised",
    severity="critical",
    rule="voltage",
    message="0.85 pu is below 0.9 pu",
    row=12,
    time=np.datetime64("2026-01-01T00:00:12.5", "ns"),
    channel="R1:voltage_pu.A",
    value=0.85,
    limit=0.9,
    unit="pu",
    seq=1,
    wall=1.0,
)
EVENTS = [EVENT, replace(EVENT, transition="cleared", time=None, row=40, message="Δ 5 °, fine")]


def host(folder: Path) -> Host:
    return Host("log", folder / "elsewhere", folder, logging.getLogger("test"), ChannelMap({}))


def json_lines(folder: Path, path: str = "events.jsonl") -> JsonLines:
    return JsonLines(JsonLines.Config(path=Path(path)), host(folder))


def console(**settings: str) -> Console:
    return Console(Console.Config.model_validate(settings), host(Path()))


async def test_the_file_holds_one_json_line_for_each_event(tmp_path: Path) -> None:
    sink = json_lines(tmp_path)
    await sink.open()
    await sink.send(EVENTS)
    # Read before the file is closed: other programs follow it as it grows.
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [event.to_dict() for event in EVENTS]
    await sink.close()


async def test_the_file_is_continued_never_overwritten(tmp_path: Path) -> None:
    for event in EVENTS:
        sink = json_lines(tmp_path)
        await sink.open()
        await sink.send([event])
        await sink.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in lines] == [12, 40]


async def test_a_line_that_was_cut_off_does_not_swallow_the_next_event(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"id":"half')
    sink = json_lines(tmp_path)
    await sink.open()
    await sink.send([EVENT])
    await sink.close()
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[1]) == EVENT.to_dict()


async def test_a_missing_folder_is_a_clear_error_when_the_sink_is_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"^there is no folder {tmp_path / 'none'}; create it or change path$"):
        await json_lines(tmp_path, "none/events.jsonl").open()


async def test_a_path_that_is_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"^cannot write {tmp_path}: Is a directory$"):
        await json_lines(tmp_path, str(tmp_path)).open()


async def test_a_named_pipe_can_be_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    sink = json_lines(tmp_path, "pipe")
    await sink.open()
    await sink.send([EVENT])
    await sink.close()
    reader.join(30)
    assert json.loads(received[0])["id"] == EVENT.id
    assert stat.S_ISFIFO(pipe.stat().st_mode)


async def test_closing_is_legal_without_opening_and_twice(tmp_path: Path) -> None:
    sink = json_lines(tmp_path)
    await sink.close()
    await sink.open()
    await sink.close()
    await sink.close()
    unopened = console()
    await unopened.close()
    await unopened.close()


async def test_sending_to_a_closed_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not open"):
        await json_lines(tmp_path).send(EVENTS)


async def test_the_console_writes_json_lines_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    sink = console()
    await sink.open()
    await sink.send(EVENTS)
    captured = capfd.readouterr()
    assert [json.loads(line) for line in captured.out.splitlines()] == [event.to_dict() for event in EVENTS]
    assert captured.err == ""


async def test_the_console_can_write_text_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    await console(stream="stderr", format="text").send(EVENTS)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [readable(event) for event in EVENTS]


def test_an_event_reads_as_one_line() -> None:
    assert readable(EVENTS[0]) == (
        "2026-01-01T00:00:12.5Z  critical  raised        voltage R1:voltage_pu.A: 0.85 pu is below 0.9 pu"
    )
    assert readable(replace(EVENTS[1], channel="")) == "row 40  critical  cleared       voltage: Δ 5 °, fine"


@pytest.mark.parametrize("settings", [{"stream": "stdin"}, {"format": "xml"}, {"colour": True}])
def test_the_console_refuses_other_settings(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Console.Config.model_validate(settings)


SEND = """
import asyncio, sys
from tests.test_sinks import EVENTS, console
try:
    asyncio.run(console(format={format!r}).send(EVENTS * {times}))
except BrokenPipeError:
    sys.stderr.write("told")
    sys.stderr.flush()
    import os
    os._exit(0)
"""


def test_the_host_is_told_when_nobody_reads_any_more() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SEND.format(format="json", times=2000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b"told"
    process.stderr.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_are_utf8_whatever_the_encoding_of_the_terminal(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEND.format(format=form, times=1)],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        timeout=60,
    )
    assert "Δ 5 °" in done.stdout.decode("utf-8")


def rotating(folder: Path, size: str = "1 kB", keep: int = 2) -> JsonLines:
    config = JsonLines.Config.model_validate({"path": "events.jsonl", "size": size, "keep": keep})
    return JsonLines(config, host(folder))


def rows(file: Path) -> list[int]:
    return [json.loads(line)["row"] for line in file.read_text(encoding="utf-8").splitlines()]


async def test_a_full_file_is_set_aside_and_the_oldest_go(tmp_path: Path) -> None:
    sink = rotating(tmp_path)
    await sink.open()
    for row in range(9):  # one event has more than half of a kilobyte
        await sink.send([replace(EVENT, row=row)])
    await sink.close()
    assert {file.name for file in tmp_path.iterdir()} == {"events.jsonl", "events.jsonl.1", "events.jsonl.2"}
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    kept = [row for end in (".2", ".1", "") for row in rows(tmp_path / f"events.jsonl{end}")]
    assert kept == list(range(kept[0], 9))
    assert kept[0] > 0


async def test_no_event_is_lost_or_cut_by_rotation(tmp_path: Path) -> None:
    sink = rotating(tmp_path, "3 kB", keep=100)
    await sink.open()
    for row in range(0, 60, 3):
        await sink.send([replace(EVENT, row=row + i) for i in range(3)])
    await sink.close()
    files = sorted(
        tmp_path.iterdir(), key=lambda file: -int(file.suffix.removeprefix(".jsonl").strip(".") or 0)
    )
    assert [row for file in files for row in rows(file)] == list(range(60))
    assert len(files) > 3


async def test_a_batch_larger_than_a_file_is_still_written_whole(tmp_path: Path) -> None:
    sink = rotating(tmp_path)
    await sink.open()
    await sink.send([replace(EVENT, row=row) for row in range(20)])
    await sink.close()
    assert rows(tmp_path / "events.jsonl") == list(range(20))


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    sink = json_lines(tmp_path)
    await sink.open()
    await sink.send([replace(EVENT, row=1)])
    file.rename(tmp_path / "events.jsonl-20260101")  # what logrotate does
    await sink.send([replace(EVENT, row=2)])
    file.unlink()
    await sink.send([replace(EVENT, row=3)])
    await sink.close()
    assert rows(tmp_path / "events.jsonl-20260101") == [1]
    assert rows(file) == [3]


async def test_every_batch_is_on_the_disk_when_it_counts_as_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    sink = json_lines(tmp_path)
    await sink.open()
    for _ in range(2):
        await sink.send(EVENTS)
    await sink.close()
    assert sizes == [
        (tmp_path / "events.jsonl").stat().st_size // 2,
        (tmp_path / "events.jsonl").stat().st_size,
    ]


async def test_a_disk_that_is_full_is_temporary_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = json_lines(tmp_path)
    await sink.open()
    await sink.send([replace(EVENT, row=1)])

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DeliveryError, match=f"^cannot write {tmp_path}/events.jsonl: the disk is full$"):
            await sink.send([replace(EVENT, row=2)])
    assert rows(tmp_path / "events.jsonl") == [1]
    await sink.send([replace(EVENT, row=2)])
    assert rows(tmp_path / "events.jsonl") == [1, 2]
    await sink.close()


async def test_a_device_that_is_full_is_temporary(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    sink = json_lines(tmp_path, "/dev/full")
    await sink.open()
    with pytest.raises(DeliveryError, match="^cannot write /dev/full: the disk is full$"):
        await sink.send([EVENT])
    await sink.close()


async def test_a_folder_that_comes_back_is_written_to_again(tmp_path: Path) -> None:
    sink = json_lines(tmp_path, "mount/events.jsonl")
    with pytest.raises(OSError, match="there is no folder"):
        await sink.open()
    with pytest.raises(DeliveryError, match="there is no folder"):
        await sink.send([EVENT])
    (tmp_path / "mount").mkdir()
    await sink.send([EVENT])
    await sink.close()
    assert rows(tmp_path / "mount" / "events.jsonl") == [12]


@pytest.mark.parametrize(("text", "size"), [("10 MB", 10_000_000), ("1.5kB", 1500), ("2 GB", 2_000_000_000)])
def test_a_size_has_a_unit_and_is_shown_with_one(text: str, size: int) -> None:
    config = JsonLines.Config.model_validate({"path": "x", "size": text})
    assert config.size == size
    again = JsonLines.Config.model_validate(config.model_dump(mode="json"))
    assert again.size == size


@pytest.mark.parametrize("size", ["10", "ten MB", "10 MiB", "1 B", "0 kB", True, -5])
def test_what_is_no_size_is_refused(size: object) -> None:
    with pytest.raises(ValidationError, match="is not a size|at least 1 kB"):
        JsonLines.Config.model_validate({"path": "x", "size": size})


def test_only_the_console_ends_with_the_process() -> None:
    assert not Console.durable
    assert getattr(JsonLines, "durable", True)
