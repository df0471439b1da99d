"""Stopped or killed and started again: the events are those of one run that was never interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.config import load
from gridtop.errors import Exit, GridtopError
from gridtop.flow import Flow
from gridtop.journal import Journal
from gridtop.monitor import Monitor
from gridtop.orders import Order
from tests import journals
from tests.players import FRAMES, RATE, kept, played, playing, read, rows, story, told

ORDERS: Mapping[int, tuple[Any, ...]] = {
    110: ("acknowledge", "trip"),
    250: ("unlatch", "trip"),
    310: ("shelve", "sag", 3.0),  # its time is over at row 400
    345: ("acknowledge", "other"),
    500: ("acknowledge", "sag"),
}
"""What an operator says before which row."""


async def run_with_stops(config: Path, stops: set[int]) -> list[dict[str, Any]]:
    """What the journal holds after a run that was stopped before some rows and started again."""
    at = 0
    for stop in sorted({*stops, FRAMES}):
        async with playing(read(config)) as player:
            assert player.row == at + 1
            for row in sorted({row for row in ORDERS if at < row <= stop} | {stop}):
                await player.go_to(row)
                if row in ORDERS:
                    action, rule, *seconds = ORDERS[row]
                    await player.tell(action, rule, *seconds)
        at = stop
    return told(kept(config.parent / "j.db"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return asyncio.run(run_with_stops(story(tmp_path_factory.mktemp("whole")), set()))


def test_the_story_holds_what_a_restart_could_lose(uninterrupted: list[dict[str, Any]]) -> None:
    seen = {(event["rule"], event["transition"]) for event in uninterrupted}
    assert {("sag", "raised"), ("sag", "escalated"), ("sag", "eased"), ("sag", "cleared")} <= seen
    assert {("trip", "latched"), ("trip", "unlatched"), ("trip", "acknowledged")} <= seen
    assert {("sag", "shelved"), ("sag", "unshelved"), ("sag", "acknowledged")} <= seen
    assert {("other", "raised"), ("other", "acknowledged"), ("other", "cleared")} <= seen
    assert not [event for event in uninterrupted if event["rule"] == "sag" and event["row"] < 120]


@settings(max_examples=8)
@given(stops=st.sets(st.integers(1, FRAMES - 1), min_size=1, max_size=4))
def test_a_run_stopped_anywhere_tells_what_an_uninterrupted_one_tells(
    stops: set[int], uninterrupted: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(run_with_stops(story(Path(folder)), stops)) == uninterrupted


# Amid an on-delay, amid an off-delay, in the frame of an order, while latched, while shelved, after a raise.
@pytest.mark.parametrize("stop", [145, 225, 110, 245, 380, 151])
def test_a_run_stopped_where_something_is_pending_loses_nothing(
    stop: int, uninterrupted: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert asyncio.run(run_with_stops(story(tmp_path), {stop})) == uninterrupted


async def test_orders_before_the_first_frame_after_a_restart_are_kept_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(130)
        before = player.states()
    assert before["trip"][0] == "unacknowledged"
    monkeypatch.setattr(Flow, "run", lambda flow: asyncio.Event().wait())
    monitor = Monitor(read(config))
    running = asyncio.create_task(monitor.run())
    await monitor.opened()
    await monitor.operate(Order("acknowledge", before["trip"][1], "anna"))
    monitor.stop()
    await running
    monkeypatch.undo()
    async with playing(read(config)) as player:
        assert player.states()["trip"] == ("acknowledged", before["trip"][1])


def command(config: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gridtop", "run", "-c", str(config), "--no-serve", "--quiet", *arguments]


def test_a_run_that_is_killed_again_and_again_tells_each_event_once(tmp_path: Path) -> None:
    recording = rows(*((n, v, w) for n in (60, 45) for v, w in (("132000", "100000"), ("100000", "132000"))))
    body = recording.partition("\n")[2]
    config = story(tmp_path, recording + body * 20)
    (tmp_path / "whole").mkdir()
    whole = story(tmp_path / "whole", recording + body * 20)
    expected = told(asyncio.run(played(read(whole))).events)
    arguments = command(config, "--journal", str(tmp_path / "j.db"))
    printed: list[str] = []
    for lines in (1, 7, 20):
        paced = [*arguments, "--speed", "20"]
        with subprocess.Popen(paced, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            some = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            printed += some
    last = subprocess.run(
        [*arguments, "--speed", "max", "--until-end"], capture_output=True, text=True, check=True, timeout=60
    )
    assert told(kept(tmp_path / "j.db")) == expected
    # What one process prints it prints once, and nothing comes before it is in the journal.
    ids = [json.loads(line)["id"] for line in (*printed, *last.stdout.splitlines())]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {event["id"] for event in expected}


async def test_a_finished_recording_is_told_again_and_kept_once(tmp_path: Path) -> None:
    configuration = read(story(tmp_path))
    first = await played(configuration)
    before = kept(tmp_path / "j.db")
    again = await played(configuration)
    assert told(again.events) == told(first.events) == told(before)
    assert kept(tmp_path / "j.db") == before


async def test_fresh_begins_at_the_first_row_and_keeps_nothing_twice(tmp_path: Path) -> None:
    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(200)
        assert player.heard.events
    fresh = await played(read(config, "journal.resume=false"))
    assert told(fresh.events) == told(kept(tmp_path / "j.db"))
    assert fresh.events[0].row < 200


async def test_another_recording_of_the_same_name_begins_anew(tmp_path: Path) -> None:
    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(200)
    story(tmp_path, rows((30, "132000", "132000"), (60, "132000", "100000")))
    heard = await played(read(config))
    assert (heard.events[0].rule, heard.events[0].row) == ("trip", 33)


async def test_a_rule_that_changed_between_two_runs_ends_its_alarm_and_no_other(tmp_path: Path) -> None:
    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(180)
        before = player.states()
    assert set(before) == {"sag", "trip", "other"}
    async with playing(read(config, "limits.sag.low.warning=0.94")) as player:
        [ended] = kept(tmp_path / "j.db")[-1:]
        assert (ended.rule, ended.transition, ended.incident) == ("sag", "reset", before["sag"][1])
        assert player.states() == {name: before[name] for name in ("trip", "other")}


@pytest.mark.parametrize("damage", [{"lanes": [["nonsense"]]}, {"version": 0}])
async def test_a_state_that_cannot_be_read_is_told_and_the_recording_is_judged_again(
    damage: dict[str, Any], tmp_path: Path
) -> None:
    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(200)
    journal = Journal(tmp_path / "j.db", read(config).journal)
    saved = (await journal.open({})).saved
    assert saved is not None
    broken = {**saved.alarms, **damage}
    await journal.commit([], type(saved)(saved.source, 1, saved.row, False, broken))
    await journal.close()
    heard = await played(read(config))
    assert heard.events[0].message.startswith("the saved state of the alarms ")
    alarms = [event for event in kept(tmp_path / "j.db") if event.rule != "journal"]
    assert told(heard.events[1:]) == told(alarms)


COUNTER = """\
class Counter:
    '''Its score is how many frames it has seen.'''
    def __init__(self, config, channels):
        self.outputs, self.seen = ('seen',), 0
    def score(self, block):
        import numpy as np
        from gridtop.api import Scores
        first, self.seen = self.seen, self.seen + len(block)
        return Scores(np.arange(first + 1, self.seen + 1, dtype=float)[:, None])
"""


async def test_detectors_learn_again_what_they_saw_of_the_pass_and_nothing_from_before_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / "plugins" / "counter.py").write_text(COUNTER)
    config = story(
        tmp_path,
        config="source: {type: replay, path: story.csv, rate: 30, speed: 0.1}\nplugins: {dirs: [plugins]}\n"
        "detectors: {counter: {type: counter, alarm: {high: {warning: 100}, on_delay: 0s}}}\n",
    )
    async with playing(read(config)) as player:
        await player.go_to(50)
        player.monitor.replay.seek(300)
        while player.monitor.snapshot().transport.row != 301:
            await asyncio.sleep(0.001)
        await player.go_to(350)
    async with playing(read(config)) as player:
        assert player.monitor.replay.transport().pass_number == 2
        await player.go_to(420)
        [event] = player.heard.events
    assert (event.pass_number, event.row) == (2, 300 + 99)


async def test_a_cell_that_is_no_number_is_told_once_in_a_pass_however_often_it_is_begun(
    tmp_path: Path,
) -> None:
    # Further apart than what is read again after a restart.
    lines = ["60.0,132000\n"] * 1400
    lines[10] = lines[1300] = "oops,132000\n"
    config = story(tmp_path, "R1:F,R1-PM1:V\n" + "".join(lines), STILL)
    async with playing(read(config)) as player:
        await player.go_to(1200)
    async with playing(read(config)) as player:
        await player.go_to(1400)
        assert player.monitor.snapshot().counts.unreadable == 1
    assert [event.row for event in kept(tmp_path / "j.db")] == [10]


STILL = (
    "source: {type: replay, path: story.csv, rate: 1, speed: 0.1}\nsite: {nominal: {voltage_ll: 230 kV}}\n"
)


async def test_a_detector_that_cannot_be_built_after_a_restart_is_told(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / "plugins" / "counter.py").write_text(
        COUNTER.replace(
            "        self.outputs, self",
            f"        import pathlib; pathlib.Path({str(tmp_path / 'model')!r}).read_text()\n"
            "        self.outputs, self",
        )
    )
    (tmp_path / "model").touch()
    config = story(
        tmp_path,
        config="source: {type: replay, path: story.csv, rate: 30, speed: 0.1}\nplugins: {dirs: [plugins]}\n"
        "detectors: {counter: {type: counter}}\n",
    )
    async with playing(read(config)) as player:
        await player.go_to(50)
    (tmp_path / "model").unlink()
    for _ in range(2):
        async with playing(read(config)) as player:
            await player.go_to(player.row + 10)
    [event] = kept(tmp_path / "j.db")
    assert (event.kind, event.rule) == ("plugin", "counter")
    assert "model" in event.message


FEED = """\
import asyncio
import numpy as np
from gridtop.api import Block, Channel, ChannelSet, Settings, SourceSpec, hookimpl

class Feed:
    class Config(Settings):
        values: list[float]
        begin: float
    live, identity = True, "feed"
    def __init__(self, config, host):
        self.config, self.channels = config, ChannelSet((Channel("level"),), 10.0)
    async def open(self):
        return self.channels
    async def blocks(self, start=0):
        values = np.array(self.config.values)[:, None]
        seconds = self.config.begin + np.arange(len(values)) / 10
        time = np.datetime64("2026-01-01", "ns") + (seconds * 1e9).astype("timedelta64[ns]")
        yield Block(self.channels, time, values, row=0)
        await asyncio.Event().wait()
    async def close(self):
        pass

@hookimpl
def gridtop_sources():
    return [SourceSpec("feed", Feed, "values at once, then silence")]
"""


async def feed(
    folder: Path, values: list[float], begin: float, *overrides: str
) -> tuple[list[Any], dict[str, Any]]:
    """The events that a live source gave in one run, and the alarms there were at its end."""
    (folder / "plugins").mkdir(mode=0o755, exist_ok=True)
    (folder / "plugins" / "feed.py").write_text(FEED)
    config = folder / "config.yaml"
    config.write_text(
        f"source: {{type: feed, values: {values}, begin: {begin}}}\nplugins: {{dirs: [plugins]}}\n"
        "limits: {level: {on: level, high: {warning: 5}, on_delay: 1s, off_delay: 1s}}\n"
    )
    async with playing(read(config, *overrides), wall=lambda: 1000.0 + begin) as player:
        while player.monitor.snapshot().counts.frames < len(values):
            await asyncio.sleep(0.001)
        alarms = {alarm.rule: alarm.id for alarm in player.monitor.snapshot().alarms}
    return player.heard.events, alarms


def heard_of(events: list[Any]) -> list[tuple[str, int]]:
    return [(event.transition, event.pass_number) for event in events]


async def test_a_live_source_goes_on_with_alarms_that_are_not_too_old(tmp_path: Path) -> None:
    first, before = await feed(tmp_path, [9.0] * 30, 0)
    assert heard_of(first) == [("raised", 1)]
    second, after = await feed(tmp_path, [9.0] * 30, 60)
    assert (second, after) == ([], before)
    third, _ = await feed(tmp_path, [0.0] * 30, 120)
    assert heard_of(third) == [("cleared", 3)]
    assert third[0].incident == before["level"]


async def test_a_live_source_ends_alarms_that_are_too_old_and_raises_them_anew(tmp_path: Path) -> None:
    _, before = await feed(tmp_path, [9.0] * 30, 0)
    events, after = await feed(tmp_path, [9.0] * 30, 3600)
    assert heard_of(events) == [("reset", 1), ("raised", 2)]
    assert events[0].incident == before["level"] != after["level"]


async def test_a_live_source_that_is_begun_fresh_loses_no_alarm_that_looks_like_an_old_one(
    tmp_path: Path,
) -> None:
    await feed(tmp_path, [9.0] * 30, 0)
    events, _ = await feed(tmp_path, [9.0] * 30, 60, "journal.resume=false")
    assert heard_of(events) == [("raised", 2)]
    assert len(kept(tmp_path / "j.db")) == 2


async def test_a_second_engine_on_the_same_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    config = story(tmp_path)
    async with journals.journal(tmp_path / "j.db"):
        second = await asyncio.to_thread(
            subprocess.run,
            command(config, "--journal", str(tmp_path / "j.db"), "--until-end"),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert second.returncode == Exit.USAGE
    assert second.stdout == ""
    [line] = second.stderr.splitlines()
    assert line.startswith(f"gridtop: another engine (process {os.getpid()}) keeps this journal: ")


@pytest.mark.parametrize("ticks", [*range(12), 20, 40, 80])
async def test_a_run_that_is_stopped_while_it_opens_ends_in_order(ticks: int, tmp_path: Path) -> None:
    monitor = Monitor(read(story(tmp_path)), stop_at_end=True)
    running = asyncio.create_task(monitor.run())
    for _ in range(ticks):
        await asyncio.sleep(0.001)
    monitor.stop()
    await running
    monitor.snapshot()
    if monitor.snapshot().transport.state != "starting":
        with pytest.raises(GridtopError, match="is ending"):
            await monitor.report("late", 1, "nobody would hear this")


async def test_a_journal_that_takes_nothing_ends_the_run_instead_of_going_on_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notices(journal: Journal) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("gridtop.monitor._SAVE_SECONDS", 0.01)
    monitor = Monitor(load(story(tmp_path), environment=os.environ))
    running = asyncio.create_task(monitor.run())
    await monitor.opened()
    monkeypatch.setattr(Journal, "notices", notices)
    with pytest.raises(RuntimeError, match="boom"):
        await asyncio.wait_for(running, 30)


async def test_an_event_that_is_being_committed_when_the_run_is_stopped_reaches_the_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Journal.commit

    async def slow(journal: Journal, *arguments: Any) -> Any:
        published = await commit(journal, *arguments)
        if published:
            player.monitor.stop()
            await asyncio.sleep(0.05)  # the flow is cancelled meanwhile
        return published

    config = story(tmp_path)
    async with playing(read(config)) as player:
        await player.go_to(90)
        monkeypatch.setattr(Journal, "commit", slow)
        player.monitor.replay.step(RATE * 2)
        while player.monitor.snapshot().seq == 0:
            await asyncio.sleep(0.01)
    assert told(player.heard.events) == told(kept(tmp_path / "j.db")) != []
