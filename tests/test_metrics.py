"""The counters as Prometheus reads them."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.client import ActiveAlarm, Flood, JournalStatus, SinkStatus
from gridtop.server.metrics import HELP, exposition
from tests.serving import monitor_of, served_over_tcp, spaced_sags

# One line of a sample: name, labels, value (the grammar of version 0.0.4).
LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"(?P<name>[a-zA-Z_:][\w:]*)(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? "
    r"(?P<value>[-+]?[\d.e+-]+|NaN|[+-]Inf)"
)


def read(text: str) -> dict[str, float]:
    """Every sample by name and labels; the order and the form are checked on the way."""
    found: dict[str, float] = {}
    described: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            described.append(line.split(" ", 3)[2])
            assert described.count(described[-1]) == 1
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == described[-1]
            assert kind == ("counter" if name.endswith("_total") else "gauge")
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample["name"] == described[-1]
            key = sample["name"] + (f"{{{sample['labels']}}}" if sample["labels"] else "")
            assert key not in found
            found[key] = float(sample["value"].replace("Inf", "inf"))
    return found


async def test_what_was_counted_is_told(tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    recording = tmp_path / "low.csv"
    recording.write_text(recording.read_text() + "\nxx\ninf\n")
    monitor = monitor_of(config)
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        while monitor.snapshot().transport.state != "ended":
            await asyncio.sleep(0.01)
        async with client.get("/v1/nothing"), client.get("/events"), client.get("/metrics") as answer:
            told = read(await answer.text())
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    counts = monitor.snapshot().counts
    assert told["gridtop_frames_total"] == counts.frames > 400
    assert told['gridtop_events_total{severity="critical"}'] == 6
    assert sum(n for name, n in told.items() if name.startswith("gridtop_events_total")) == counts.events
    for kind in ("missing", "unreadable", "infinite"):
        assert told[f'gridtop_cells_total{{kind="{kind}"}}'] == getattr(counts, kind)
    assert counts.unreadable == counts.infinite == 1
    assert told["gridtop_dropped_total"] == 0
    assert told["gridtop_ready"] == 1
    assert told['gridtop_http_requests_total{status="404"}'] == 1
    assert told['gridtop_http_connections{door="tcp"}'] >= 2
    assert told['gridtop_http_connections{door="unix"}'] == 0
    assert told["gridtop_sse_streams"] == 1
    assert told['gridtop_sse_evicted_total{door="tcp"}'] == 0
    assert any(name.startswith("gridtop_info{version=") for name in told)


async def test_sinks_journal_and_flood_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(spaced_sags(tmp_path), "source.speed=1")
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        alarm = ActiveAlarm("1", "r", "c", "warning", "low", 1, 1, 1, "", "", 0, 0, None, None)
        snapshot = replace(
            monitor.snapshot(),
            alarms=(alarm, replace(alarm, state="shelved"), alarm),
            sinks=(SinkStatus('a"b\\c', "retrying", 3, 2, 40), SinkStatus("mail", "working", 0, 0, 7)),
            journal=JournalStatus("degraded", bytes=4096),
            flood=Flood(None, 0, 23, 20),
        )
        monkeypatch.setattr(monitor, "snapshot", lambda: snapshot)
        async with client.get("/metrics") as answer:
            told = read(await answer.text())
    assert told['gridtop_deliveries_waiting{sink="a\\"b\\\\c"}'] == 3
    assert told['gridtop_deliveries_dead{sink="a\\"b\\\\c"}'] == 2
    assert told['gridtop_deliveries_delivered_total{sink="mail"}'] == 7
    assert told['gridtop_sink_working{sink="a\\"b\\\\c"}'] == 0
    assert told['gridtop_sink_working{sink="mail"}'] == 1
    assert (told["gridtop_journal_degraded"], told["gridtop_journal_bytes"]) == (1, 4096)
    assert (told["gridtop_ready"], told["gridtop_flood_alarms"]) == (0, 23)
    assert told['gridtop_alarms{state="unacknowledged"}'] == 2
    assert told['gridtop_alarms{state="shelved"}'] == 1


async def test_every_metric_says_what_it_means(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        async with client.get("/metrics") as answer:
            text = await answer.text()
        told = set(re.findall(r"# HELP gridtop_(\w+) ", text))
        assert told <= HELP.keys()
        assert monitor.counters().keys() <= told


@given(
    st.text(max_size=30),
    st.one_of(st.floats(), st.integers(-(10**12), 10**12).map(float)),
)
def test_any_label_and_any_number_can_be_read_back(label: str, value: float) -> None:
    text = exposition({"things": {(("name", label),): value}})
    (read_back,) = read(text).values()
    assert read_back == value or (math.isnan(value) and math.isnan(read_back))
