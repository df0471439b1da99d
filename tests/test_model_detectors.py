"""The detectors with a trained model: their scores, events and explanations, and what they refuse."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gridtop.blocks import Block, Quality
from gridtop.channels import ChannelSet
from gridtop.config import Configuration, load
from gridtop.contracts import Calibrated, Detector, Explains
from gridtop.errors import ConfigurationError
from gridtop.events import Event
from gridtop.learning.card import Output
from gridtop.learning.features import Feature
from gridtop.learning.recipes import RAW_WARNING
from gridtop.learning.scoring import ModelScorer, load_model
from gridtop.pipeline import Pipeline
from gridtop.plugins.detectors.models import Autoencoder, IsolationForest, RandomForest
from tests.detectors_at_hand import alarms, judged
from tests.model_folders import (
    FEATURES,
    SITE,
    autoencoder_folder,
    events_folder,
    faulted,
    forest_folder,
    isolation_folder,
    line_channels,
    quiet,
)

START, STOP = 120, 180
FAULT = faulted(300, start=START, stop=STOP, seed=5)
TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
CLASSES = ("normal", "fault_AG")


DEPTH = """
from gridtop.api import Scores, Settings


class Depth:
    class Config(Settings):
        depth: int

    def __init__(self, config, channels, inputs):
        self.outputs = [(inputs / "notes.txt").read_text()]

    @classmethod
    def wants(cls, config, inputs):
        if 9 / config.depth == 1:
            raise ValueError(f"depth: {config.depth} is too deep")
        return [(inputs / "notes.txt").read_text()]

    def score(self, block):
        return Scores(block.values)
"""


def configured(folder: Path, detectors: Mapping[str, Any], *, plugins: Sequence[str] = ()) -> Configuration:
    """A configuration beside the models, with two lines and these detectors."""
    lines = {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}}
    path = folder / "config.yaml"
    plain = {"source": {"type": "simulate"}, "site": {"lines": lines}, "detectors": dict(detectors)}
    path.write_text(yaml.safe_dump(plain, sort_keys=False))
    files = [folder / name for name in plugins]
    environment = {} if files else {"GRIDTOP_NO_PLUGINS": "1"}
    return load(path, plugin_files=files, environment=environment)


@contextmanager
def pipeline_of(
    folder: Path, detectors: Mapping[str, Any], channels: ChannelSet | None = None
) -> Iterator[Pipeline]:
    pipeline = Pipeline(configured(folder, detectors), channels or line_channels(), "test", live=False)
    try:
        yield pipeline
    finally:
        pipeline.close()


def events_of(folder: Path, detectors: Mapping[str, Any], block: Block, *cuts: int) -> list[Event]:
    with pipeline_of(folder, detectors, block.channels) as pipeline:
        return alarms(asyncio.run(judged(pipeline, block, list(cuts))))


def built(kind: type, folder: Path, channels: ChannelSet | None = None) -> Any:
    config = kind.Config(model=folder.name)  # type: ignore[attr-defined]
    return kind(config, channels or line_channels(), SITE, folder.parent)


def scores_of(detector: Detector, block: Block, size: int = 4096) -> np.ndarray:
    pieces = [block.slice(i, i + size) for i in range(0, len(block), size)]
    return np.concatenate([detector.score(piece).score for piece in pieces]).round(6)


# Scores and events


def test_a_forest_raises_on_the_line_that_has_the_fault_and_says_by_which_channels(tmp_path: Path) -> None:
    forest_folder(tmp_path / "faults")
    events = events_of(tmp_path, {"forest": {"type": "random_forest", "model": "faults"}}, FAULT)
    raised = [event for event in events if event.transition == "raised"]
    assert [event.channel for event in raised] == ["L1:fault"]
    assert START < raised[0].row <= START + 10
    assert {c.channel for c in raised[0].cause} & {"R1:V", "R1:I"}
    assert not raised[0].cause_approximate
    assert sum(c.share for c in raised[0].cause) == pytest.approx(1, abs=0.02)
    assert [event.transition for event in events][-1] == "cleared"


def test_the_most_probable_class_of_several_stands_in_the_message(tmp_path: Path) -> None:
    whole = Output(name="event", classes=CLASSES[::-1])
    forest_folder(tmp_path / "faults", outputs=(whole,))
    rule = {"high": {"warning": 0.5}, "on_delay": "200ms"}
    settings = {"type": "random_forest", "model": "faults", "alarm": rule}
    with pipeline_of(tmp_path, {"forest": settings}) as pipeline:
        detected = asyncio.run(pipeline.process(FAULT)).detected
    column = [output.subject.name for output in detected.outputs].index("L1:event")
    assert detected.note(START + 20, column).startswith("fault, phase A to ground (1.00")
    assert detected.note(START - 20, column).startswith("normal")


def test_a_model_of_events_says_which_fault_it_is_from_a_window_it_opened_itself(tmp_path: Path) -> None:
    events_folder(tmp_path / "events")
    settings = {"ev": {"type": "random_forest", "model": "events"}}
    events = events_of(tmp_path, settings, FAULT)
    (raised,) = [event for event in events if event.transition == "raised"]
    assert raised.channel == "L1:fault"
    assert raised.message.startswith("L1 fault, phase A to ground (")
    assert START < raised.row < STOP
    assert raised.cause[0].channel == "R1:V"
    assert events == events_of(tmp_path, settings, FAULT, *range(110, 200, 3))


def test_an_output_at_an_end_speaks_of_that_terminal(tmp_path: Path) -> None:
    near = Output(name="suspicious", at="near", classes=("fault_AG",))
    far = Output(name="suspicious", at="far", classes=("normal",))
    detector = built(RandomForest, forest_folder(tmp_path / "m", outputs=(near, far)))
    assert detector.outputs == ("R1:suspicious", "R2:suspicious", "R3:suspicious", "R4:suspicious")
    with pipeline_of(tmp_path, {"m": {"type": "random_forest", "model": "m"}}) as pipeline:
        assert [rule.subjects[0].terminal for rule in pipeline.rules if rule.name == "m"] == ["R1"]


def test_two_lines_that_meet_in_one_terminal_have_one_output_with_the_larger_score(tmp_path: Path) -> None:
    site = SITE.model_copy(
        update={"lines": {**SITE.lines, "L2": SITE.lines["L2"].model_copy(update={"ends": ("R3", "R1")})}}
    )
    outputs = tuple(
        Output(name="suspicious", at=at, classes=(class_,))
        for at, class_ in (("near", "fault_AG"), ("far", "normal"))
    )
    folder = forest_folder(tmp_path / "m", outputs=outputs)
    scorer = load_model(folder, ("random_forest",), line_channels(), site)
    assert scorer.outputs == ("R1:suspicious", "R2:suspicious", "R3:suspicious")
    scores = scorer.score(FAULT)
    alone = load_model(folder, ("random_forest",), line_channels(), SITE)
    assert scores.shape == (300, 3)
    assert (scores[6:, 0] >= alone.score(FAULT)[6:, 0]).all()


def test_a_quantile_of_an_isolation_forest_is_a_threshold_in_nines(tmp_path: Path) -> None:
    isolation_folder(tmp_path / "usual")
    rule = {"high": {"warning": "q99.9"}, "on_delay": "200ms", "off_delay": "1s"}
    settings = {"type": "isolation_forest", "model": "usual", "alarm": rule}
    raised = [e for e in events_of(tmp_path, {"strange": settings}, FAULT) if e.transition == "raised"]
    assert [(event.channel, event.limit) for event in raised] == [("L1:strangeness", 3.0)]
    assert {c.channel for c in raised[0].cause} <= {"R1:V", "R1:I", "R2:V"}
    assert raised[0].cause


def test_the_rule_that_comes_along_raises_on_the_fault_and_not_on_a_quiet_stream(tmp_path: Path) -> None:
    isolation_folder(tmp_path / "usual")
    settings = {"strange": {"type": "isolation_forest", "model": "usual"}}
    assert not events_of(tmp_path, settings, quiet(2000, seed=8))
    assert events_of(tmp_path, settings, FAULT)


@pytest.mark.skipif(not TENSORFLOW, reason="the extra `train` is not installed")
def test_an_autoencoder_is_strange_on_the_fault_and_blames_its_channels(tmp_path: Path) -> None:
    autoencoder_folder(tmp_path / "usual")
    events = events_of(tmp_path, {"coder": {"type": "autoencoder", "model": "usual"}}, FAULT)
    raised = [event for event in events if event.transition == "raised"]
    assert [event.channel for event in raised] == ["L1:strangeness"]
    assert raised[0].cause[0].channel in {"R1:V", "R1:I"}
    detector = built(Autoencoder, tmp_path / "usual")
    whole = scores_of(detector, FAULT)
    for size in (1, 7):
        np.testing.assert_array_equal(scores_of(built(Autoencoder, tmp_path / "usual"), FAULT, size), whole)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_scores_and_shares_do_not_depend_on_the_cuts(tmp_path: Path, size: int) -> None:
    values = FAULT.values.copy()
    values[50:60, 0] = np.nan
    values[70] = np.nan
    block = Block(FAULT.channels, FAULT.time, values)
    for kind, folder in (
        (RandomForest, forest_folder(tmp_path / "forest")),
        (IsolationForest, isolation_folder(tmp_path / "isolation")),
    ):
        whole, cut = built(kind, folder), built(kind, folder)
        expected = scores_of(whole, block)
        np.testing.assert_array_equal(scores_of(cut, block, size), expected)
        assert np.isnan(expected[70]).all()
        last = (len(block) - 1) % size
        for output in range(len(whole.outputs)):
            np.testing.assert_array_equal(cut.explain(last, output), whole.explain(len(block) - 1, output))


def test_events_do_not_depend_on_the_cuts(tmp_path: Path) -> None:
    forest_folder(tmp_path / "faults")
    settings = {"forest": {"type": "random_forest", "model": "faults"}}
    assert events_of(tmp_path, settings, FAULT, 1, 121, 122, 123, 200) == events_of(tmp_path, settings, FAULT)


def test_a_doubtful_value_is_as_good_as_a_missing_one(tmp_path: Path) -> None:
    values, flags = FAULT.values.copy(), np.zeros(FAULT.values.shape, np.uint16)
    flags[130:150, 0] = Quality.SUSPECT
    values[130:150, 0] = np.nan
    detector = forest_folder(tmp_path / "m")
    doubtful = scores_of(
        built(RandomForest, detector), Block(FAULT.channels, FAULT.time, FAULT.values, flags)
    )
    missing = scores_of(built(RandomForest, detector), Block(FAULT.channels, FAULT.time, values))
    np.testing.assert_array_equal(doubtful, missing)


def test_shares_add_up_to_one_or_are_all_nothing(tmp_path: Path) -> None:
    detector = built(RandomForest, forest_folder(tmp_path / "m"))
    values = FAULT.values.copy()
    values[200] = np.nan
    detector.score(Block(FAULT.channels, FAULT.time, values))
    assert isinstance(detector, Explains)
    assert isinstance(detector, Calibrated)
    assert detector.explain(START + 5, 0).sum() == pytest.approx(1)
    assert not detector.explain(200, 0).any()


# What the channels lack


def test_a_place_that_lacks_channels_is_left_out_with_a_remark(tmp_path: Path) -> None:
    channels = line_channels(("R1", "R2", "R3"))
    detector = built(RandomForest, forest_folder(tmp_path / "m"), channels)
    assert detector.outputs == ("L1:fault",)
    assert detector.remarks == ("not everywhere at work: L2: there is no R4:V",)
    with pipeline_of(tmp_path, {"m": {"type": "random_forest", "model": "m"}}, channels) as pipeline:
        assert pipeline.remarks == (("m", "not everywhere at work: L2: there is no R4:V"),)


def test_a_stream_with_no_place_for_the_model_is_told_what_it_lacks(tmp_path: Path) -> None:
    folder = forest_folder(tmp_path / "m")
    channels = line_channels(("R1", "R3"))
    with pytest.raises(ConfigurationError, match=r"no place to judge: L1: there is no R2:V; L2: .* R4:V"):
        built(RandomForest, folder, channels)
    with pipeline_of(tmp_path, {"m": {"type": "random_forest", "model": "m"}}, channels) as pipeline:
        (problem,) = pipeline.problems
    assert problem.startswith("detector m is failed: cannot start: model random_forest has no place to judge")
    assert "there is no R2:V" in problem
    assert ".py" not in problem


def test_another_rate_and_the_raw_recipe_are_remarked(tmp_path: Path) -> None:
    detector = built(
        RandomForest,
        forest_folder(tmp_path / "m", rate=60.0, recipe="raw", remarks=(RAW_WARNING, "one\x1b[31mred")),
    )
    warning, red, rate = detector.remarks
    assert warning == RAW_WARNING[: len(warning)]
    assert "\x1b" not in red
    assert rate == "trained at 60 frames/s, and this stream has 30"


def test_an_absolute_angle_is_refused_unless_the_recipe_is_raw(tmp_path: Path) -> None:
    names = tuple(Feature(channel=name) for name in ("near:V", "far:V", "near:I", "far:I", "R1:V"))
    channels = line_channels()
    turned = ChannelSet(
        tuple(type(c)(c.name, c.quantity, "deg", c.terminal, part="angle") for c in channels), 30.0
    )
    folder = forest_folder(tmp_path / "m", features=names)
    with pytest.raises(Exception, match="absolute angle"):
        built(RandomForest, folder, turned)
    assert built(RandomForest, forest_folder(tmp_path / "raw", features=names, recipe="raw"), turned)


# The configuration


def refused(tmp_path: Path, settings: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as error:
        configured(tmp_path, {"m": settings})
    return str(error.value)


def test_the_model_says_which_channels_it_wants_and_the_configuration_has_the_last_word(
    tmp_path: Path,
) -> None:
    forest_folder(tmp_path / "m")
    settings = {"type": "random_forest", "model": "m"}
    assert configured(tmp_path, {"m": settings}).detectors["m"].channels == ("*:V", "*:I")
    chosen = {**settings, "channels": ["R*"]}
    assert configured(tmp_path, {"m": chosen}).detectors["m"].channels == ("R*",)


def test_a_model_that_is_not_there_is_a_mistake_at_its_line(tmp_path: Path) -> None:
    forest_folder(tmp_path / "other")
    text = refused(tmp_path, {"type": "random_forest", "model": "m"})
    assert "config.yaml:16:12: detectors.m.model: there is no model in" in text
    assert "there is other" in text


def test_a_model_of_another_kind_is_a_mistake_even_with_channels_given(tmp_path: Path) -> None:
    forest_folder(tmp_path / "m")
    text = refused(tmp_path, {"type": "autoencoder", "model": "m", "channels": ["*"]})
    assert "detectors.m.model: random_forest is of kind random_forest, and this detector takes auto" in text


def test_a_card_that_is_none_is_a_mistake_at_its_line(tmp_path: Path) -> None:
    folder = forest_folder(tmp_path / "m")
    plain = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**plain, "kind": "oracle"}))
    text = refused(tmp_path, {"type": "random_forest", "model": "m"})
    assert "detectors.m.model:" in text
    assert "no model card: kind:" in text


def test_a_changed_file_keeps_the_detector_from_starting(tmp_path: Path) -> None:
    folder = forest_folder(tmp_path / "m")
    model = bytearray((folder / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (folder / "model.onnx").write_bytes(model)
    with pipeline_of(tmp_path, {"m": {"type": "random_forest", "model": "m"}}) as pipeline:
        (event,) = [e for e in asyncio.run(pipeline.process(FAULT)).events if e.kind == "plugin"]
    assert event.message.startswith("cannot start:")
    assert "model.onnx: is not the file that the card was written for" in event.message


def test_any_detector_may_ask_for_the_folder_and_choose_its_channels_by_its_settings(tmp_path: Path) -> None:
    (tmp_path / "depth.py").write_text(DEPTH)
    (tmp_path / "notes.txt").write_text("R1:V")
    settings = {"m": {"type": "depth", "depth": 1}}
    configuration = configured(tmp_path, settings, plugins=["depth.py"])
    assert configuration.detectors["m"].channels == ("R1:V",)
    pipeline = Pipeline(configuration, line_channels(), "test", live=False)
    scores = asyncio.run(pipeline.process(FAULT)).detected.scores
    pipeline.close()
    np.testing.assert_array_equal(scores[:, 0], FAULT.values[:, 0].round(6))
    with pytest.raises(ConfigurationError, match=r":\d+:12: detectors\.m\.depth: 9 is too deep"):
        configured(tmp_path, {"m": {"type": "depth", "depth": 9}}, plugins=["depth.py"])
    with pytest.raises(ConfigurationError, match=r"detectors\.m: the plugin's own check fails with ZeroDiv"):
        configured(tmp_path, {"m": {"type": "depth", "depth": 0}}, plugins=["depth.py"])


def test_the_class_knows_its_scorer_from_a_folder_elsewhere(tmp_path: Path) -> None:
    folder = forest_folder(tmp_path / "m")
    config = RandomForest.Config(model=folder.absolute())
    detector = RandomForest(config, line_channels(), SITE, Path("nowhere"))
    assert isinstance(detector._scorer, ModelScorer)
    assert len(FEATURES) == 5


def test_running_a_model_imports_nothing_that_trains(tmp_path: Path) -> None:
    forest_folder(tmp_path / "forest")
    isolation_folder(tmp_path / "isolation")
    program = """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from gridtop.api import Block, Channel, ChannelSet
from gridtop.config import load
from gridtop.pipeline import Pipeline

kinds = (("V", "voltage"), ("I", "current"))
channels = ChannelSet(tuple(Channel(f"R{t}:{k}", q) for t in (1, 2, 3, 4) for k, q in kinds), 30.0)
time = np.datetime64("2026-01-01", "ns") + np.arange(60) * np.timedelta64(33_333_333, "ns")
pipeline = Pipeline(load(Path("config.yaml"), environment={}), channels, "test", False)
result = asyncio.run(pipeline.process(Block(channels, time, np.full((60, 8), 100.0))))
assert not pipeline.problems, pipeline.problems
assert np.isfinite(result.detected.scores[20:]).all()
pipeline.close()
print(json.dumps(sorted(sys.modules)))
"""
    configured(
        tmp_path,
        {
            "forest": {"type": "random_forest", "model": "forest"},
            "isolation": {"type": "isolation_forest", "model": "isolation"},
        },
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "GRIDTOP_NO_PLUGINS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = set(json.loads(done.stdout))
    assert "onnxruntime" in loaded
    assert not loaded & {"sklearn", "tensorflow", "onnx", "pandas", "scipy", "matplotlib"}
