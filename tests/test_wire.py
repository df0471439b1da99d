"""What travels between engine and screen arrives as it left, whatever it is."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridtop import wire
from gridtop.channels import Channel, ChannelSet
from gridtop.client import (
    ActiveAlarm,
    AlarmState,
    Counts,
    Flood,
    Hello,
    JournalStatus,
    LimitLine,
    ScreenWishes,
    SinkStatus,
    Snapshot,
    State,
    Telemetry,
    Transport,
)
from gridtop.errors import ConfigurationError, Exit, GridtopError, SourceError
from gridtop.events import SEVERITIES, Contribution, Event, Kind, Transition

texts = st.text(st.characters(), max_size=12)  # lone surrogates and control characters included
numbers = st.floats(allow_nan=True, allow_infinity=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**53)
moments = st.none() | st.integers(0, 2**62).map(lambda ns: np.datetime64(ns, "ns"))
severities = st.sampled_from(SEVERITIES)
causes = st.lists(st.builds(Contribution, texts, st.floats(0, 1)), max_size=5).map(tuple)


def travelled(data: object) -> object:
    """What a reader finds in the bytes that were sent; NaN and infinities are not allowed on the way."""
    return json.loads(json.dumps(data, allow_nan=False).encode())


@given(
    st.builds(
        Event,
        id=texts,
        kind=st.sampled_from(get_args(Kind)),
        transition=st.sampled_from(get_args(Transition)),
        severity=severities,
        rule=texts,
        message=texts,
        row=whole,
        time=moments,
        since=moments,
        since_row=st.none() | whole,
        channel=texts,
        direction=st.sampled_from(["", "low", "high", "abs"]),
        value=st.none() | finite,
        seq=whole,
        wall=st.integers(0, 2**40).map(lambda milliseconds: milliseconds / 1000),
        cause=causes,
        cause_approximate=st.booleans(),
    )
)
def test_an_event_arrives_as_it_was(event: Event) -> None:
    sent = event.to_json().encode("utf-8", "backslashreplace")
    arrived = Event.from_dict(json.loads(sent))
    assert arrived == event
    assert arrived.to_json() == event.to_json()


@given(
    st.builds(
        Snapshot,
        st.builds(
            Transport,
            st.sampled_from(get_args(State)),
            row=whole,
            time=moments,
            first=moments,
            last=moments,
            frames=st.none() | whole,
            speed=st.floats(0.1, 1000) | st.just(float("inf")),
            reached=numbers,
            problem=texts,
        ),
        st.lists(
            st.builds(
                ActiveAlarm,
                *(texts, texts, texts, severities, texts),
                *(numbers, numbers, finite, texts, texts, whole, whole),
                *(moments, moments, st.booleans(), st.booleans()),
                *(causes, st.booleans()),
                *(st.sampled_from(get_args(AlarmState)), st.sampled_from(["", "low", "high"])),
                *(moments, st.none() | whole, texts, whole, moments, texts, texts),
                *(st.booleans(), st.booleans()),
            )
        ).map(tuple),
        st.builds(Counts, whole, whole, whole, whole, whole, whole),
        whole,
        st.lists(texts).map(tuple),
        st.none() | st.builds(Flood, moments, whole, whole, whole),
        st.lists(st.builds(SinkStatus, texts, st.just("retrying"), whole, whole, whole, texts)).map(tuple),
        st.builds(JournalStatus, st.just("ok"), texts, whole, texts),
    )
)  # fmt: skip
def test_a_snapshot_arrives_as_it_was(snapshot: Snapshot) -> None:
    arrived = wire.snapshot_from_json(travelled(wire.snapshot_to_json(snapshot)))
    assert repr(arrived) == repr(snapshot)  # NaN is not equal to itself


@given(st.lists(texts, unique=True), texts, st.none() | st.floats(0.1, 1e4), st.sampled_from(["utc", "row"]))
def test_hello_arrives_as_it_was(names: list[str], source: str, rate: float | None, clock: str) -> None:
    channels = ChannelSet(tuple(Channel(name, "voltage", "V", name, "A") for name in names), rate, clock)
    limits = (LimitLine(source, "low", "warning", 0.95), LimitLine("R1:F", "high", "critical", 60.5))
    screen = ScreenWishes({"pause": ("space", source)}, "ansi-dark", "ascii", rate)
    hello = Hello("1.0", source, True, channels, "abc", limits, screen)
    assert wire.hello_from_json(travelled(wire.hello_to_json(hello))) == hello


@given(st.integers(0, 4), st.integers(0, 5), st.randoms(use_true_random=False), moments)
def test_telemetry_arrives_as_it_was(k: int, buckets: int, random: object, end: np.datetime64) -> None:
    def some(*shape: int) -> np.ndarray:
        flat = [random.choice([np.nan, 0.1, -3e300, 132000.0]) for _ in range(int(np.prod(shape)))]  # type: ignore[attr-defined]
        return np.array(flat, dtype=np.float64).reshape(shape)

    envelope, row = (some(k, buckets) for _ in range(2)), (some(k) for _ in range(3))
    telemetry = Telemetry(tuple("abcd"[:k]), 60.0, end, *envelope, *row, some(k) > 0, some(k) > 0)
    arrived = wire.telemetry_from_json(travelled(wire.telemetry_to_json(telemetry)))
    assert (arrived.channels, arrived.window, arrived.end) == (telemetry.channels, 60.0, end)
    for name in ("minimum", "maximum", "latest", "lowest", "highest", "stale", "doubtful"):
        np.testing.assert_array_equal(getattr(arrived, name), getattr(telemetry, name), strict=True)


def test_an_older_engine_doubts_nothing() -> None:
    envelope, row = np.ones((2, 3)), np.ones(2)
    telemetry = Telemetry(("a", "b"), 60.0, None, envelope, envelope, row, row, row, row > 2, row > 0)
    sent = wire.telemetry_to_json(telemetry)
    del sent["doubtful"]
    assert wire.telemetry_from_json(sent).doubtful.tolist() == [False, False]


def test_an_older_engine_knows_no_causes() -> None:
    alarm = ActiveAlarm("1", "r", "c", "warning", "high", 1.0, 1.0, 0.5, "", "m", 1, 1, None, None)
    sent = wire.snapshot_to_json(Snapshot(Transport("live"), (alarm,)))
    del sent["alarms"][0]["cause"], sent["alarms"][0]["cause_approximate"]
    assert wire.snapshot_from_json(sent).alarms == (alarm,)


def test_what_a_newer_engine_says_besides_is_ignored() -> None:
    snapshot = travelled(wire.snapshot_to_json(Snapshot(Transport("live"))))
    snapshot["new"] = 1  # type: ignore[index]
    snapshot["transport"]["new"] = 1  # type: ignore[index]
    assert wire.snapshot_from_json(snapshot).transport.state == "live"


def test_an_exit_code_becomes_the_error_it_stands_for() -> None:
    assert type(wire.failure_of(Exit.SOURCE, "x")) is SourceError
    assert type(wire.failure_of(Exit.CONFIGURATION, "x")) is ConfigurationError
    assert type(wire.failure_of(None, "x")) is type(wire.failure_of(-9, "x")) is GridtopError
