"""Thresholds written as quantiles of a detector's ordinary scores: `q99.9`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.alarms.quantiles import Quantile
from gridtop.alarms.rules import AlarmSettings, LimitSettings
from gridtop.config import load
from gridtop.errors import ConfigurationError
from gridtop.problems import InvalidConfiguration
from gridtop.resolved import as_dict, as_yaml
from tests.detectors_at_hand import Each, alarms, judged, pipeline_of
from tests.streams import block_of, channel_set

SCHEMA = Path(__file__).parent.parent / "docs/config.schema.json"
CHANNELS = channel_set("a", "b")
AT_ONCE = {"on_delay": "0s", "off_delay": "0s"}
Q = Quantile.parse


class Graded(Each):
    """Its ordinary scores are even between 0 and 10."""

    def quantile(self, share: float) -> float:
        return 10 * share


# Writing


@given(st.decimals(50, 100, places=6).filter(lambda percent: percent < 100))
def test_a_quantile_reads_back_as_it_is_shown(percent: Any) -> None:
    quantile = Q(f"q{percent}")
    assert Q(str(quantile)) == quantile
    assert quantile.share == float(percent / 100)


@pytest.mark.parametrize(
    "text",
    [
        "q",
        "q100",
        "q49.9",
        "q5",
        "q99.1234567",
        "q99.",
        "Q99",
        "q 99",
        "q99 ",
        "q99%",
        "q-99",
        "q１２",
        "99",
        99,
    ],
)
def test_what_is_no_quantile_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"write q and a percentage from 50 to less than 100"):
        Q(text)


def test_a_share_is_not_off_by_the_last_bit() -> None:
    assert [Q(text).share for text in ("q99.9", "q50", "q99.999999")] == [0.999, 0.5, 0.99999999]
    assert str(Q("q90.00")) == "q90"


def rule(**settings: Any) -> AlarmSettings:
    return AlarmSettings.model_validate(settings)


def test_quantiles_must_be_in_order_and_beside_a_number_any_is_taken() -> None:
    with pytest.raises(ValidationError, match=r"critical \(q99\) is less severe than warning \(q99\.9\)"):
        rule(high={"warning": "q99.9", "critical": "q99"})
    rule(high={"warning": "q99.9", "critical": 0.1})
    rule(high={"warning": 9, "critical": "q50"})
    rule(high={"warning": "q99"}, low={"warning": 3}, deadband=2)


@pytest.mark.parametrize("direction", ["low", "abs"])
def test_only_high_takes_quantiles(direction: str) -> None:
    with pytest.raises(ValidationError, match="is a quantile of scores: only high:"):
        rule(**{direction: {"warning": "q99.9"}})


def test_a_limit_takes_no_quantile_in_overrides_either() -> None:
    with pytest.raises(ValidationError, match="is a quantile of scores"):
        LimitSettings.model_validate(
            {"on": "*", "high": {"warning": 1}, "overrides": {"a": {"high": {"critical": "q99"}}}}
        )


# Resolving


def test_every_quantile_becomes_a_number_and_everything_else_stays() -> None:
    settings = rule(
        high={"warning": "q99", "critical": 12},
        deadband=0.5,
        overrides={"a": {"high": {"warning": None}}, "b": {"high": {"warning": "q50"}, "latch": True}},
    )
    assert dict(settings.quantiles()) == {
        ("high", "warning"): Q("q99"),
        ("overrides", "b", "high", "warning"): Q("q50"),
    }
    resolved = settings.resolved({Q("q99"): 9.9, Q("q50"): 5.0})
    assert resolved == rule(
        high={"warning": 9.9, "critical": 12},
        deadband=0.5,
        overrides={"a": {"high": {"warning": None}}, "b": {"high": {"warning": 5.0}, "latch": True}},
    )
    assert [resolved.for_channel(channel).high for channel in CHANNELS] == [
        rule(high={"warning": None, "critical": 12}).high,
        rule(high={"warning": 5.0, "critical": 12}).high,
    ]
    assert list(resolved.quantiles()) == []


async def test_an_alarm_is_raised_at_the_score_that_the_detector_names() -> None:
    alarm = {"high": {"warning": "q70", "critical": "q95"}, **AT_ONCE}
    with pipeline_of({"graded": (Graded, alarm)}, CHANNELS) as pipeline:
        events = alarms(await judged(pipeline, block_of([[1, 6.9], [1, 7.0], [9.6, 1]], CHANNELS), []))
    raised = [(event.row, event.channel, event.limit) for event in events if event.transition == "raised"]
    assert raised == [(1, "b", 7.0), (2, "a", 9.5)]


class Unknowing(Graded):
    def quantile(self, share: float) -> float:
        if share > 0.99:
            raise ValueError("it was calibrated on too few\x1b frames")
        return super().quantile(share)


class Wordless(Graded):
    def quantile(self, share: float) -> float:
        return float("nan")


class Texting(Graded):
    def quantile(self, share: float) -> Any:
        return "9"


class Raising(Graded):
    def quantile(self, share: float) -> float:
        raise KeyError("quantiles")


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        (Each, "it does not know the quantiles of its scores"),
        (Unknowing, "it was calibrated on too few\ufffd frames"),
        (Wordless, "it does not know this quantile"),
        (Texting, "quantile\\(\\) must return a number, not str"),
        (Raising, "KeyError: 'quantiles'"),
    ],
)
def test_a_detector_that_does_not_know_is_an_error_that_says_what_to_write(
    detector: type, reason: str
) -> None:
    alarm = {"high": {"warning": 3, "critical": "q99.9"}}
    with (
        pytest.raises(
            ConfigurationError,
            match=rf"detectors\.d\.alarm\.high\.critical: q99\.9 cannot be had: {reason}.*; write a number",
        ),
        pipeline_of({"d": (detector, alarm)}, CHANNELS),
    ):
        pass


def test_a_number_and_a_quantile_that_contradict_each_other_are_an_error_once_that_is_known() -> None:
    alarm = {"high": {"warning": 9.95, "critical": "q99"}}
    with (
        pytest.raises(ConfigurationError, match=r"q99 is 9\.9; then high: critical \(9\.9\) is less severe"),
        pipeline_of({"d": (Graded, alarm)}, CHANNELS),
    ):
        pass


def test_scores_are_compared_with_a_quantile_that_is_rounded_like_them() -> None:
    class Third(Graded):
        def quantile(self, share: float) -> Any:
            return np.float32(1 / 3)

    with pipeline_of({"d": (Third, {"high": {"warning": "q99"}})}, CHANNELS) as pipeline:
        assert [bound.settings.high for bound in pipeline.rules] == [rule(high={"warning": 0.333333}).high]


# The configuration

PLUGIN = """
from gridtop.api import Scores
class Graded:
    alarm = {"high": {"warning": "q99.9", "critical": "q99.99"}}
    def __init__(self, config, channels):
        self.outputs = channels.names
    def score(self, block):
        return Scores(block.values)
    def quantile(self, share):
        return share
"""


def read(text: str, folder: Path) -> Any:
    (folder / "graded.py").write_text(PLUGIN)
    (folder / "unread.py").write_text(PLUGIN.replace("def quantile", "def other"))
    config = folder / "config.yaml"
    config.write_text("source: {type: simulate}\n" + text)
    files = [folder / "graded.py", folder / "unread.py"]
    return load(config, plugin_files=files, environment={})


def problems(text: str, folder: Path) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        read(text, folder)
    return [f"{p.place.line}:{p.place.column}: {p.message}" for p in caught.value.problems]


def test_a_quantile_in_limits_is_an_error_at_its_place(tmp_path: Path) -> None:
    text = "limits:\n  big: {on: '*', high: {warning: 1, critical: q99.9}}\n"
    (problem,) = problems(text, tmp_path)
    assert problem.startswith("3:47: 'q99.9' is a quantile of scores")


def test_a_misspelt_quantile_is_an_error_at_its_place(tmp_path: Path) -> None:
    (problem,) = problems("detectors:\n  d: {type: graded, alarm: {high: {warning: q999}}}\n", tmp_path)
    assert problem.startswith("3:45: 'q999' is no quantile; write q and a percentage")


def test_a_class_without_quantiles_is_an_error_where_one_is_written(tmp_path: Path) -> None:
    text = "detectors:\n  d: {type: unread, alarm: {high: {warning: 1, critical: q99}}}\n"
    (problem,) = problems(text, tmp_path)
    assert problem.startswith("3:58: q99 cannot be had: this detector does not know")
    assert len(problems("detectors: {d: {type: unread}}\n", tmp_path)) == 2  # those that the class brings


def test_show_prints_a_quantile_as_it_was_written_and_reads_it_again(tmp_path: Path) -> None:
    text = (
        "detectors: {d: {type: graded, alarm: {high: {warning: q99.90, critical: 3}}}, e: {type: graded}}\n"
    )
    configuration = read(text, tmp_path)
    shown = as_dict(configuration)["detectors"]
    assert shown["d"]["alarm"]["high"] == {"warning": "q99.9", "critical": 3.0}
    assert shown["e"]["alarm"]["high"] == {"warning": "q99.9", "critical": "q99.99"}
    (tmp_path / "again.yaml").write_text(as_yaml(configuration))
    files = [tmp_path / "graded.py", tmp_path / "unread.py"]
    again = load(tmp_path / "again.yaml", plugin_files=files, environment={})
    assert as_dict(again) == as_dict(configuration)


def test_the_schema_takes_quantiles_where_the_configuration_does() -> None:
    schema = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))

    def takes(alarm: dict[str, Any], section: str = "detectors") -> bool:
        entry = {"type": "zscore", "alarm": alarm} if section == "detectors" else {"on": "*", **alarm}
        return schema.is_valid({"source": {"type": "simulate"}, section: {"x": entry}})

    assert takes({"high": {"warning": "q99.9", "critical": 3}})
    assert takes({"high": {"warning": 1}, "overrides": {"a": {"high": {"warning": "q50"}}}})
    assert not takes({"high": {"warning": "q100"}})
    assert not takes({"high": {"warning": "q49"}})
    assert not takes({"low": {"warning": "q99.9"}})
    assert takes({"high": {"warning": 1.0}}, "limits")
    assert not takes({"high": {"warning": "q99.9"}}, "limits")
