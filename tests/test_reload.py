"""Another configuration while the engine runs: what changed begins afresh, everything else goes on."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gridtop.events import Event
from gridtop.monitor import Monitor
from tests.players import STORY, Player, played, playing, read, story

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
COUNTED = "detectors: {counter: {type: counter, alarm: {high: {warning: 150}, on_delay: 0s}}}\n"

MAILBOX = '''\
"""A sink that writes ids into a file, or does what its settings say."""
from functools import partial
from pathlib import Path
from gridtop.api import *

class Mailbox:
    class Config(Settings):
        path: str
        fails: bool = False
        refuses: bool = False
    def __init__(self, config, host):
        self.config = config
    async def open(self):
        if self.config.refuses:
            raise Undeliverable("no such mailbox")
        with open(self.config.path, "a") as file:
            file.write("opened\\n")
    async def send(self, events):
        if self.config.fails:
            raise DeliveryError("not now")
        with open(self.config.path, "a") as file:
            file.writelines(event.id + "\\n" for event in events)
    async def close(self):
        pass

@hookimpl
def gridtop_sinks():
    return [SinkSpec("mailbox", Mailbox, "a file")]
'''


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / "plugins" / "counter.py").write_text(COUNTER)
    (tmp_path / "plugins" / "mailbox.py").write_text(MAILBOX)
    return story(tmp_path, config=STORY + "plugins: {dirs: [plugins]}\n")


async def reload(player: Player, config: Path, *changes: tuple[str, str]) -> Event:
    """Change the file, have it read again, and what is said of it."""
    text = config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    await player.monitor.reload(lambda: read(config))
    [event] = [event for event in player.heard.events if event.rule == "configuration"][-1:]
    return event


async def test_a_bad_file_changes_nothing_and_is_told_with_its_line(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(read(config)) as player:
        await player.go_to(180)
        before = player.states()
        with caplog.at_level(logging.WARNING, "gridtop"):
            event = await reload(player, config, ("low: {critical: 0.8}", "low: {kritical: 0.8}"))
        assert (event.kind, event.severity, event.transition) == ("system", "warning", "noticed")
        assert "config.yaml:5:" in event.message
        assert "kritical" in event.message
        assert "\n" not in event.message
        assert event.message in caplog.text
        assert player.states() == before
        # The next try is as good as any.
        event = await reload(player, config, ("kritical", "critical"))
        assert event.message == "configuration reloaded: nothing to change"
        await player.go_to(200)
        assert player.states() == before


async def test_a_changed_limit_restarts_that_rule_and_no_other(config: Path) -> None:
    async with playing(read(config)) as player:
        await player.go_to(180)
        await player.tell("acknowledge", "trip")
        before = player.states()
        assert before.keys() == {"sag", "trip", "other"}
        assert before["trip"][0] == "acknowledged"
        event = await reload(player, config, ("warning: 0.95, critical", "warning: 0.94, critical"))
        assert event.message == "configuration reloaded: limits.sag changed"
        ended = player.heard.events[-2]
        assert (ended.rule, ended.transition, ended.incident) == ("sag", "reset", before["sag"][1])
        assert player.states() == {name: before[name] for name in ("trip", "other")}
        await player.go_to(209)
        assert player.states().keys() == {"trip", "other"}  # its delay of a second began afresh
        await player.go_to(212)
        assert player.states()["sag"][1] != before["sag"][1]


async def test_delays_of_rules_that_did_not_change_go_on(config: Path) -> None:
    # The condition of `other` holds since row 80; its on-delay of two seconds ends at row 140.
    async with playing(read(config)) as player:
        await player.go_to(120)
        await reload(player, config, ("warning: 0.95, critical", "warning: 0.94, critical"))
        await player.go_to(145)
        [raised] = [event for event in player.heard.events if event.rule == "other"]
        assert (raised.row, raised.since_row) == (140, 80)


async def test_a_rule_that_is_removed_ends_its_alarm_and_a_new_one_begins(config: Path) -> None:
    async with playing(read(config)) as player:
        await player.go_to(180)
        text = config.read_text()
        line = next(line for line in text.splitlines() if line.startswith("  sag:"))
        event = await reload(player, config, (line, line.replace("sag:", "dip:")))
        assert event.message == "configuration reloaded: limits.dip added, limits.sag removed"
        assert "sag" not in player.states()
        await player.go_to(215)
        assert "dip" in player.states()


async def test_a_changed_detector_begins_afresh_and_alarms_of_limits_stay(config: Path) -> None:
    config.write_text(config.read_text() + COUNTED)
    async with playing(read(config)) as player:
        await player.go_to(149)
        before = player.states()
        assert before.keys() == {"trip", "other"}
        changed = ("{type: counter, alarm", '{type: counter, channels: ["R1*"], alarm')
        event = await reload(player, config, changed)
        assert event.message == "configuration reloaded: detectors.counter changed"
        assert player.states() == before
        await player.go_to(290)
        assert "counter" not in player.states()
        await player.go_to(300)  # 150 frames after the reload
        assert "counter" in player.states()


async def test_a_detector_that_did_not_change_goes_on_though_its_file_is_read_again(config: Path) -> None:
    config.write_text(config.read_text() + COUNTED)
    async with playing(read(config)) as player:
        await player.go_to(140)
        event = await reload(player, config, ("warning: 0.95, critical", "warning: 0.94, critical"))
        assert event.message == "configuration reloaded: limits.sag changed"
        await player.go_to(151)
        assert "counter" in player.states()


async def test_limits_that_do_not_fit_the_stream_change_nothing(config: Path) -> None:
    async with playing(read(config)) as player:
        await player.go_to(180)
        before = player.states()
        event = await reload(player, config, ('"R1:voltage_pu"', '"R7:voltage_pu"'))
        assert event.message.startswith("the configuration was not reloaded")
        assert "R7" in event.message
        assert player.states() == before


async def test_a_changed_source_waits_for_the_next_start(config: Path) -> None:
    async with playing(read(config)) as player:
        event = await reload(player, config, ("rate: 30", "rate: 25"))
        assert "; source changed as well: that takes effect at the next start" in event.message
        assert player.monitor.hello().channels.rate == 30


def mail(config: Path) -> list[str]:
    box = config.parent / "box"
    return box.read_text().split() if box.exists() else []


def mailbox(config: Path, **settings: str) -> str:
    more = "".join(f", {name}: {value}" for name, value in settings.items())
    return f"sinks: {{box: {{type: mailbox, path: {str(config.parent / 'box')!r}{more}}}}}"


async def test_what_is_owed_to_a_removed_sink_is_kept_for_when_it_comes_back(config: Path) -> None:
    config.write_text(config.read_text().replace("sinks: {}", mailbox(config, fails="true")))
    async with playing(read(config)) as player:
        await player.go_to(180)
        owed = [event.id for event in player.heard.events]
        event = await reload(player, config, (mailbox(config, fails="true"), "sinks: {}"))
        assert event.message == "configuration reloaded: sinks.box removed"
        await player.go_to(250)
        assert player.monitor.snapshot().sinks[0].name == "heard"
        event = await reload(player, config, ("sinks: {}", mailbox(config)))
        assert event.message == "configuration reloaded: sinks.box added"
        while not set(owed) <= set(mail(config)):
            await asyncio.sleep(0.01)
    # What happened while it was not configured was never owed to it.
    missed = [event.id for event in player.heard.events if 180 <= event.row < 250 and event.kind == "alarm"]
    assert missed
    assert not set(missed) & set(mail(config))


async def test_a_sink_that_did_not_change_is_not_even_closed(config: Path) -> None:
    config.write_text(config.read_text().replace("sinks: {}", mailbox(config)))
    async with playing(read(config)) as player:
        other = f"sinks: {{other: {{type: jsonl, path: {config.parent}/other.jsonl}}, box"
        event = await reload(player, config, ("sinks: {box", other))
        assert event.message == "configuration reloaded: sinks.other added"
        await player.go_to(180)
    assert mail(config).count("opened") == 1
    assert len(mail(config)) == 1 + len(player.heard.events)


async def test_a_sink_that_refuses_to_start_leaves_everything_as_it_was(config: Path) -> None:
    config.write_text(config.read_text().replace("sinks: {}", mailbox(config)))
    async with playing(read(config)) as player:
        await player.go_to(180)
        before = player.states()
        event = await reload(
            player,
            config,
            (mailbox(config), mailbox(config, refuses="true")),
            ("warning: 0.95, critical", "warning: 0.94, critical"),
        )
        assert event.message.startswith("the configuration was not reloaded")
        assert "no such mailbox" in event.message
        assert player.states() == before
        await player.go_to(250)
    assert mail(config)[1:] == [event.id for event in player.heard.events]


async def test_a_reload_while_events_flow_loses_none_of_them_for_the_streams(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    whole = await played(read(story(tmp_path / "whole")))
    expected = [event.id for event in whole.events]
    async with playing(read(config)) as player:
        for row in range(40, 600, 40):
            another = partial(read, config, f"sinks.f{row}.type=console", f"sinks.f{row}.stream=stderr")
            await asyncio.gather(player.go_to(row), player.monitor.reload(another))
        await player.go_to(690)
        heard = [event.id for event in player.heard.events if event.rule != "configuration"]
    assert heard == expected


async def test_screens_are_told_that_there_are_other_limits_now(config: Path) -> None:
    async with playing(read(config)) as player:
        await player.go_to(100)
        before, revision = player.monitor.hello(), player.monitor.snapshot().revision
        await reload(player, config, ("warning: 0.95, critical", "warning: 0.94, critical"))
        assert player.monitor.snapshot().revision == revision + 1
        values = [
            {line.value for line in hello.limits if line.channel == "R1:voltage_pu.A"}
            for hello in (before, player.monitor.hello())
        ]
        assert values == [{0.95, 0.8}, {0.94, 0.8}]
        await reload(player, config, ("limits:", "limitations:"))
        assert player.monitor.snapshot().revision == revision + 1


async def test_reloads_come_one_after_the_other_and_the_last_one_counts(config: Path) -> None:
    async with playing(read(config)) as player:
        values = [0.94, 0.93, 0.92, 0.91]
        readings = [partial(read, config, f"limits.sag.low.warning={value}") for value in values]
        await asyncio.gather(*(player.monitor.reload(reading) for reading in readings))
        messages = [event.message for event in player.heard.events]
        assert messages == ["configuration reloaded: limits.sag changed"] * 4
        limits = {line.value for line in player.monitor.hello().limits}
        assert 0.91 in limits
        assert not limits & set(values[:-1])


async def test_a_reload_asked_for_while_the_engine_ends_does_nothing(config: Path) -> None:
    monitor = Monitor(read(config, "source.speed=max"), stop_at_end=True)
    await monitor.run()
    await asyncio.wait_for(monitor.reload(lambda: read(config)), 10)


def test_sighup_has_the_configuration_read_again(config: Path) -> None:
    arguments = [sys.executable, "-m", "gridtop", "run", "-c", str(config), "--no-serve", "--speed", "1"]
    with subprocess.Popen(
        [*arguments, "--set", "source.loop=true"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None

        def said() -> str:
            process.send_signal(signal.SIGHUP)
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["rule"] == "configuration":
                    return str(event["message"])
            raise AssertionError("the run ended")

        try:
            assert process.stdout.readline()  # it runs
            good = config.read_text()
            config.write_text(good.replace("limits:", "limit:"))
            assert "config.yaml:3:" in said()
            config.write_text(good.replace("warning: 0.95, critical", "warning: 0.94, critical"))
            assert said() == "configuration reloaded: limits.sag changed"
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "gridtop: the configuration was not reloaded" in errors
    assert "config.yaml:3:" in errors
    assert "Traceback" not in errors
