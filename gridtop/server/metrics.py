"""`GET /metrics`: every counter in the text form of Prometheus, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web

from gridtop import __version__
from gridtop.client import Snapshot
from gridtop.monitor import Monitor
from gridtop.server.alerts import Alerts
from gridtop.server.answers import encoded
from gridtop.server.guards import Door
from gridtop.server.questions import reasons_not_ready
from gridtop.server.streams import Streams
from gridtop.text import clean

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PREFIX = "gridtop_"

HELP: Mapping[str, str] = {
    "info": "Version and instance of the engine, as labels.",
    "ready": "1 when the engine does its work, 0 while it starts, failed, or does not keep its journal.",
    "frames_total": "Frames of measurements that were processed.",
    "frames_dropped_total": "Frames of live sources that were dropped because processing was behind.",
    "frames_conflated_total": "Frames that screens did not get because newer ones had come.",
    "frames_skipped_total": "Frames that a late detector did not see.",
    "rows_dropped_total": "Rows that a source dropped before they became frames.",
    "mqtt_in_dropped_total": "Messages of MQTT sources that were dropped.",
    "cells_total": "Bad cells of the source, by kind.",
    "source_total": "What the source has counted since it was opened, by what it calls it (docs/live.md).",
    "source": "How the source's data come now, by what it calls it (docs/live.md).",
    "device_total": "What has been counted of each device of the source since it was opened.",
    "device": "How the data of each device of the source come now.",
    "recording_frames": "Frames in the recording that is being made.",
    "recording_bytes": "Size of the recording that is being made.",
    "recording_dropped": "Frames that the recording that is being made could not keep.",
    "events_total": "Events that were published, by severity.",
    "dropped_total": "Events that some sink will never get.",
    "sink_dropped_total": "Events that a sink will never get because its queue was full.",
    "alarms": "Alarms that are not normal, by state.",
    "flood_alarms": "Alarms of the last ten minutes in the present flood; 0 without one.",
    "deliveries_waiting": "Events that are owed to a sink.",
    "deliveries_dead": "Dead letters of a sink: events it will never take.",
    "deliveries_delivered_total": "Events that a sink took.",
    "deliveries_failed_total": "Attempts to deliver that failed, by reason.",
    "deliveries_retried_total": "Events that were put off to be tried again, by reason.",
    "deliveries_dead_total": "Events that became dead letters of a sink, by reason.",
    "deliveries_suppressed_total": "Events that a sink was told of in a digest only.",
    "deliveries_dropped_total": "Events that a stream without an outbox will never get, by reason.",
    "deliveries_expired_total": "Events owed to a sink that went with their age or the size of the journal.",
    "sink_working": "1 while a sink delivers, 0 while it retries, rests or is gone.",
    "journal_degraded": "1 while events are not kept on disk.",
    "journal_bytes": "Size of the journal.",
    "journal_committed_total": "Events that the journal took.",
    "journal_duplicates_total": "Events that the journal had already: the same recording was played again.",
    "journal_pruned_total": "Events that were removed because of their age or the size of the journal.",
    "journal_unsaved": "Events that are in memory only, because the journal cannot be written.",
    "journal_lost_total": "Events for which there was no room in memory either.",
    "writer_stall_total": "Times that the writer of the journal made events wait for long.",
    "queue_wait_seconds": "How long blocks waited for detectors.",
    "http_requests_total": "Requests that were answered, by status.",
    "http_connections": "Connections that are open, by door (unix, tcp).",
    "http_connections_refused_total": "Connections that were turned away because too many were open.",
    "http_connections_idle_total": "New connections that were ended because they asked nothing.",
    "sse_streams": "Event streams that are open.",
    "sse_evicted_total": "Readers that were cut off because they took nothing.",
    "alerts_limited_total": "Reported alerts that were refused because their client sent too many.",
}
"""What each metric means, by its name without the prefix."""

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[Labels, float]


class Metrics:
    """Everything that is counted, at one look. `answered` are the answers of the API by status."""

    def __init__(
        self,
        monitor: Monitor,
        streams: Streams,
        alerts: Alerts,
        doors: Sequence[Door],
        answered: Counter[int],
    ) -> None:
        self._monitor = monitor
        self._streams = streams
        self._alerts = alerts
        self._doors = doors
        self._answered = answered

    def routes(self) -> list[web.RouteDef]:
        """What is served here."""
        return [web.get("/metrics", self._metrics)]

    async def _metrics(self, request: web.Request) -> web.Response:
        snapshot = self._monitor.snapshot()
        everything = {**self._own(), **self._monitor.counters(), **_states(snapshot, self._monitor.instance)}
        return web.Response(body=encoded(exposition(everything)), headers={"Content-Type": CONTENT_TYPE})

    def _own(self) -> dict[str, Samples]:
        """What the API itself counts."""
        return {
            "http_requests_total": {(("status", str(one)),): n for one, n in self._answered.items()},
            "http_connections": _each((d.kind, len(d.connections)) for d in self._doors),
            "http_connections_refused_total": _each((d.kind, d.refused) for d in self._doors),
            "http_connections_idle_total": _each((d.kind, d.idle) for d in self._doors),
            "sse_streams": {(): self._streams.open},
            "sse_evicted_total": _each((d.kind, d.evicted) for d in self._doors),
            "alerts_limited_total": {(): self._alerts.limited},
        }


def _each(doors: Iterable[tuple[str, int]]) -> Samples:
    return {(("door", kind),): number for kind, number in doors}


def _states(snapshot: Snapshot, instance: str) -> dict[str, Samples]:
    """What the snapshot says."""
    journal = snapshot.journal
    alarms = Counter(alarm.state for alarm in snapshot.alarms)
    sinks = [((("sink", sink.name),), sink) for sink in snapshot.sinks]
    return {
        "info": {(("version", __version__), ("instance", instance)): 1},
        "ready": {(): not reasons_not_ready(snapshot)},
        "alarms": {(("state", state),): number for state, number in sorted(alarms.items())},
        "flood_alarms": {(): snapshot.flood.recent if snapshot.flood else 0},
        "deliveries_delivered_total": {labels: sink.delivered for labels, sink in sinks},
        "deliveries_waiting": {labels: sink.waiting for labels, sink in sinks},
        "deliveries_dead": {labels: sink.dead for labels, sink in sinks},
        "sink_working": {labels: sink.state == "working" for labels, sink in sinks},
        "journal_degraded": {(): journal.state == "degraded"},
        "journal_bytes": {(): journal.bytes},
    }


def exposition(metrics: Mapping[str, Samples]) -> str:
    """The text form. A name that ends in `_total` is a counter, every other one a gauge."""
    lines: list[str] = []
    for name, samples in metrics.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# HELP {PREFIX}{name} {_help(HELP.get(name, name.replace('_', ' ')))}")
        lines.append(f"# TYPE {PREFIX}{name} {kind}")
        lines += [f"{PREFIX}{name}{_labels(labels)} {_number(value)}" for labels, value in samples.items()]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_value(value)}"' for name, value in labels) + "}"


def _value(text: str) -> str:
    return clean(text).replace("\\", r"\\").replace('"', r"\"")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
