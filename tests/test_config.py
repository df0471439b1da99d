"""The configuration: YAML with places, every mistake in one run, what is shown and what is masked."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.api import Duration, Settings
from gridtop.commands.config import command
from gridtop.config import (
    Configuration,
    DetectorSettings,
    PluginSettings,
    SinkSettings,
    SourceSettings,
    assignment,
    default_path,
    load,
    plugin_settings,
)
from gridtop.documents import LARGEST_FILE, Document, core_tag, parse
from gridtop.errors import ConfigurationError, Exit, PluginError
from gridtop.problems import InvalidConfiguration, Text, did_you_mean, dotted
from gridtop.registry import discover
from gridtop.resolved import as_dict, as_yaml
from gridtop.schema import json_schema

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "config"
BROKEN = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
ENVIRONMENT = {"SECRET_PHRASE": "open sesame", "LOG": "from-environment.jsonl", "RATE": "25"}


class Simulate:
    class Config(Settings):
        seed: int = 1
        rate: float = Field(30, gt=0)


class Replay:
    class Config(Settings):
        path: Path


class ZScore:
    class Config(Settings):
        window: Duration = Field("10s", validate_default=True)
        warm_up: Duration = Field("2s", validate_default=True)
        floor: float = 1e-4

        @model_validator(mode="after")
        def _fits(self) -> ZScore.Config:
            if self.warm_up > self.window:
                raise ValueError("warm_up is longer than window")
            return self


class Fragile:
    class Config(Settings):
        number: int

        @field_validator("number")
        @classmethod
        def _fails(cls, number: int) -> int:
            raise KeyError(number)


class JsonLines:
    class Config(Settings):
        path: Path


class Webhook:
    class Config(Settings):
        url: str
        token: SecretStr = SecretStr("")
        retries: int = 3
        headers: dict[str, str] = Field(default_factory=dict)
        to: list[str] = Field(default_factory=list)
        pause: float | None = None
        limit: float | None = 5.0


class FewPlugins:
    """A registry with some plugins to name in the files of this test."""

    problems = ()

    offers: ClassVar[dict[str, dict[str, type]]] = {
        "source": {"simulate": Simulate, "replay": Replay},
        "detector": {"zscore": ZScore, "iforest": ZScore, "fragile": Fragile},
        "sink": {"jsonl": JsonLines, "webhook": Webhook},
    }

    def load(self, kind: str, name: str) -> type:
        if name == "broken":
            raise PluginError(
                "detector 'broken' (plugins.d/broken.py): an import fails: No module named 'nowhere'"
            )
        if name not in self.offers[kind]:
            raise PluginError(f"no {kind} plugin is called {name!r}{did_you_mean(name, self.offers[kind])}")
        return self.offers[kind][name]


REGISTRY: Any = FewPlugins()


def read(text: str, folder: Path, overrides: Sequence[str] = ()) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(text, "utf-8", errors="surrogatepass", newline="")
    return load(path, overrides=overrides, registry=REGISTRY, environment=ENVIRONMENT)


def problems(text: str, folder: Path, overrides: Sequence[str] = ()) -> list[str]:
    """`line:column: path: message` of every problem."""
    with pytest.raises(InvalidConfiguration) as caught:
        read(text, folder, overrides)
    return [problem.headline.removeprefix(f"{folder}/config.yaml:") for problem in caught.value.problems]


def value(text: str) -> Any:
    return parse(text, Text.of("text", text), ENVIRONMENT).value


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


# Golden files: what a person sees


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_reported_exactly_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(ConfigurationError) as caught:
        load(Path(f"{name}.yaml"), registry=REGISTRY, environment=ENVIRONMENT)
    assert isinstance(caught.value, InvalidConfiguration)
    listing = caught.value.listing() + "\n"
    golden = GOLDEN / f"{name}.txt"
    if "RENEW_GOLDEN" in os.environ:  # then read the difference before it is committed
        golden.write_text(listing)
    assert listing == golden.read_text()
    assert caught.value.code == Exit.CONFIGURATION


def test_file_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("huge.yaml").write_bytes(b"#" * (LARGEST_FILE + 1))
    Path("largest.yaml").write_bytes(b"source: {type: simulate}\n" + b"#" * (LARGEST_FILE - 25))
    said = {}
    for name in ("nowhere.yaml", "folder", "huge.yaml"):
        with pytest.raises(InvalidConfiguration) as caught:
            load(Path(name), registry=REGISTRY, environment={})
        said[name] = caught.value.listing()
    assert said == {
        "nowhere.yaml": "nowhere.yaml: there is no such file",
        "folder": "folder: this is a folder; name the file in it",
        "huge.yaml": "huge.yaml: larger than 1 MiB: this is no configuration",
    }
    assert load(Path("largest.yaml"), registry=REGISTRY, environment={}).source.type == "simulate"


def test_error_text_holds_every_problem() -> None:
    with pytest.raises(ConfigurationError, match="13 mistakes") as caught:
        load(GOLDEN / "everything.yaml", registry=REGISTRY, environment={})
    assert str(caught.value).count("everything.yaml:") == 13


# YAML


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 12:00:00", "2024-01-01 12:00:00"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("=", "="),
        ("$$HOME and $5 and 50$", "$HOME and $5 and 50$"),
        ("${RATE}", "25"),
        ("x${RATE}y${NONE:-z}", "x25yz"),
        ("${NONE:-}", ""),
        ("{a: &x [1, 2], b: *x}", {"a": [1, 2], "b": [1, 2]}),
        ("1: 2", {"1": 2}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, expected: object) -> None:
    read = value(text)
    assert read == expected
    assert type(read) is type(expected)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(value(".nan"))


def test_byte_order_mark_and_line_ends_of_other_systems_are_no_matter(tmp_path: Path) -> None:
    assert problems("\ufeffsource: {type: simulate}\r\nlimit: {}\r\n", tmp_path) == [
        "2:1: limit: unknown section (did you mean 'limits'?)"
    ]


def test_environment_is_put_into_text_only_and_then_becomes_what_the_setting_is(tmp_path: Path) -> None:
    text = 'source: {type: simulate, rate: "${RATE}", "${RATE}": 1}\n'
    assert problems(text, tmp_path) == ["1:43: source.${RATE}: unknown setting (did you mean 'rate'?)"]
    assert read('source: {type: simulate, rate: "${RATE}"}\n', tmp_path).source.config == Simulate.Config(
        rate=25
    )


def test_paths_are_written_with_quotes_where_a_key_needs_them() -> None:
    assert dotted(("limits", "a", "on", 0)) == "limits.a.on[0]"
    assert dotted(("channels", "X.1", "unit")) == 'channels."X.1".unit'


def test_settings_of_what_is_switched_off_are_not_looked_at(tmp_path: Path) -> None:
    text = """
source: {type: simulate}
detectors: {gone: {type: uninstalled, enabled: false, depth: "${NOT_SET}"}}
sinks: {log: {type: jsonl, enabled: false}}
"""
    configuration = read(text, tmp_path)
    assert (configuration.detectors, configuration.sinks) == ({}, {})
    assert as_dict(configuration)["detectors"] == {"gone": {"type": "uninstalled", "enabled": False}}


def test_empty_sections_are_left_at_their_defaults(tmp_path: Path) -> None:
    configuration = read("source: {type: simulate}\nlimits:\nsite:\nalarms:\nplugins:\nsinks:\n", tmp_path)
    assert configuration.site.nominal.frequency == 60
    assert (configuration.speed, configuration.loop, configuration.limits) == (1.0, False, {})


def test_detector_gets_its_channels_and_its_rule(tmp_path: Path) -> None:
    text = """
source: {type: simulate, speed: max, loop: true}
detectors:
  jump: {type: zscore, window: 5s, channels: ["R*", "!R4*"], alarm: {high: {warning: 6}}}
  score: {type: zscore, channels: "R1*"}
"""
    configuration = read(text, tmp_path)
    jump, score = configuration.detectors["jump"], configuration.detectors["score"]
    assert (jump.name, jump.type, jump.target, jump.channels) == ("jump", "zscore", ZScore, ("R*", "!R4*"))
    assert isinstance(jump.config, ZScore.Config)
    assert jump.config.window == timedelta(seconds=5)
    assert jump.alarm is not None
    assert (score.channels, score.alarm) == (("R1*",), None)
    assert (configuration.speed, configuration.loop) == (math.inf, True)


# Overrides


def test_overrides_replace_add_and_follow_the_same_rules(tmp_path: Path) -> None:
    text = "source: {type: simulate, seed: 4}\nlimits: {v: {on: a, high: {warning: 1}}}\n"
    overrides = [
        "source.speed=max",
        "source.rate=${RATE}",
        "limits.v.high={critical: 2}",
        'channels."F.1_I"={quantity: current}',
        "sinks.log.type=jsonl",
        assignment("sinks.log.path", "${odd}: #name, $"),
    ]
    configuration = read(text, tmp_path, overrides)
    assert configuration.speed == math.inf
    assert configuration.source.config == Simulate.Config(seed=4, rate=25)
    high = configuration.limits["v"].high
    assert high is not None
    assert (high.warning, high.critical) == (None, 2)
    assert as_dict(configuration)["channels"]["F.1_I"]["quantity"] == "current"
    assert configuration.sinks["log"].config == JsonLines.Config(path=Path("${odd}: #name, $"))


def test_mistakes_in_overrides_are_placed_in_them(tmp_path: Path) -> None:
    text = "source: {type: simulate, seed: 4}\nlimits: {v: {on: a, high: {warning: x}}, w: 3}\n"
    overrides = [
        "limits.v.high.warning=1.05",  # puts the file's own mistake right
        "limits.v.deadbnd=1",
        "source.seed=many",
        "sinks.log.type=jsonl",
        "limits.w.on=x",
        "limits.v.on=[a",
        "nothing",
        "site.nominal.frequency=${MISSING}",
    ]
    found = problems(text, tmp_path, overrides)
    assert found == [
        "2:45: limits.w: should be a map, not 3",
        "--set limits.v.deadbnd=1:1:10: limits.v.deadbnd: unknown setting (did you mean 'deadband'?)",
        "--set limits.v.on=[a:1:15: not valid YAML: while parsing a flow sequence, "
        "expected ',' or ']', but got '<stream end>'",
        "--set limits.w.on=x:1:10: limits.w.on: limits.w is a value, not a map",
        "--set nothing:1:8: write path=value, such as limits.voltage.deadband=0.02; "
        "quote a key that holds a dot",
        "--set sinks.log.type=jsonl:1:7: sinks.log.path: required setting is missing",
        "--set site.nominal.frequency=${MISSING}:1:24: site.nominal.frequency: "
        "environment variable MISSING is not set (set it, or write ${MISSING:-default})",
        "--set source.seed=many:1:13: source.seed: should be a whole number, not 'many'",
    ]


@pytest.mark.parametrize("source", ["{type: replay, path: x, speed: 5}", "{type: simulate, seed: x}"])
def test_recording_is_replayed_instead_of_the_source(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grid.yaml").write_text(f"source: {source}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recording = Path("a $HOME: b.csv")
    configuration = load(
        tmp_path / "grid.yaml",
        recording=recording,
        overrides=["source.loop=true"],
        registry=REGISTRY,
        environment={},
    )
    assert configuration.source.config == Replay.Config(path=recording.absolute())
    assert configuration.speed == (5 if "replay" in source else 1)
    assert configuration.loop


def test_document_is_never_changed(tmp_path: Path) -> None:
    text = "source: {type: simulate}\nlimits: {v: {on: [a], high: {warning: 1}}}\n"
    document = parse(text, Text.of("text", text), {})
    before = repr(document)
    changed = document.overridden("limits.v.high.warning=2", {}).overridden("limits.v.on=b", {})
    assert changed.value["limits"]["v"] == {"on": "b", "high": {"warning": 2}}
    assert repr(document) == before


# What is shown

SECRETS = """
source: {type: simulate, rate: "${RATE}"}
sinks:
  hook:
    type: webhook
    url: https://user:${SECRET_PHRASE}@example.org
    token: literally secret
    headers: {Authorization: "${SECRET_PHRASE}", Accept: "*/*"}
    to: [ops, "${SECRET_PHRASE}"]
    limit: null
"""


def test_secrets_and_environment_are_masked(tmp_path: Path) -> None:
    configuration = read(SECRETS, tmp_path)
    shown = as_yaml(configuration)
    assert "sesame" not in shown + repr(configuration)
    assert "literally" not in shown + repr(configuration)
    hook = yaml.safe_load(shown)["sinks"]["hook"]
    assert hook == {
        "type": "webhook",
        "severity": "info",
        "rules": ["*"],
        "children": False,
        "url": "***",
        "token": "***",
        "retries": 3,
        "headers": {"Authorization": "***", "Accept": "*/*"},
        "to": ["ops", "***"],
        "limit": None,  # written, so it stays; `pause` is null by default and does not appear
    }
    assert yaml.safe_load(shown)["source"]["rate"] == "***"


def test_message_does_not_repeat_what_came_from_the_environment(tmp_path: Path) -> None:
    text = (
        "source: {type: simulate}\nlimits: {v: {on: a, high: {warning: 1}, on_delay: '${SECRET_PHRASE}'}}\n"
    )
    (found,) = problems(text, tmp_path)
    assert found.startswith("2:51: limits.v.on_delay: *** is not a duration")
    assert "sesame" not in found
    (found,) = problems(
        'source: {type: simulate, seed: "${SECRET_PHRASE} and so on and on, for a hundred characters"}',
        tmp_path,
    )
    assert found == "1:32: source.seed: should be a whole number, not ***"


def test_shown_configuration_reads_as_the_same(tmp_path: Path) -> None:
    text = """
source: {type: replay, path: "1e3", speed: max}
channels: {"X.*": {quantity: voltage, unit: kV, phase: "0"}, "no": {ignore: true}}
site: {nominal: {voltage_ln: 20 kV}, lines: {L1: {ends: ["1", "2"]}}}
limits:
  v:
    on: ["*:voltage_pu", "!R1*"]
    low: {warning: 0.9}
    on_delay: {critical: 5s}
    gate: {on: positive_current_pu, min: 0.1}
    class: integrity
    overrides: {"R2*": {low: {warning: 0.8}, latch: true}, "R3*": {low: null, high: {critical: 1.2}}}
detectors: {jump: {type: zscore, alarm: {high: {warning: 6}}}}
alarms: {off_delay: 3s}
sinks: {log: {type: jsonl, path: "$${literal} 12:30"}}
"""
    once = read(text, tmp_path)
    shown = as_yaml(once)
    again = read(shown, tmp_path)
    assert as_yaml(again) == shown
    assert again.sinks == once.sinks
    assert again.source == once.source
    for channel in ("R1", "R2", "R3"):
        assert rule(again, channel) == rule(once, channel)


def rule(configuration: Configuration, terminal: str) -> dict[str, Any]:
    from gridtop.channels import Channel

    limit = configuration.limits["v"].with_defaults(configuration.alarms)
    return limit.for_channel(Channel(f"{terminal}:voltage_pu")).model_dump(exclude={"overrides"})


# Places of files


def test_folder_of_the_file_is_where_inputs_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "grid.yaml").write_text("source: {type: simulate}\n")
    monkeypatch.chdir(tmp_path)
    configuration = load(Path("site/grid.yaml"), registry=REGISTRY, environment={})
    assert configuration.path == Path("site/grid.yaml")
    assert configuration.directory == tmp_path / "site"


def test_configuration_of_the_working_directory_goes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_path().samefile(ROOT / "config.yaml")
    (tmp_path / "config.yaml").write_text("source: {type: simulate}\n")
    assert default_path() == Path("config.yaml")
    assert load(None, registry=REGISTRY, environment={}).source.type == "simulate"


def test_plugins_of_a_folder_named_in_the_file_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "plugins.d").mkdir()
    (tmp_path / "plugins.d" / "rocof.py").write_text(
        "from gridtop.api import Scores, Settings\n"
        "class Rocof:\n"
        "    class Config(Settings):\n"
        "        depth: int\n"
        "    def __init__(self, config, channels): self.outputs = channels.names\n"
        "    def score(self, block): return Scores(block.values)\n"
    )
    text = "source: {type: simulate}\nplugins: {dirs: [plugins.d]}\ndetectors: {r: {type: rocof, depth: x}}\n"
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(InvalidConfiguration) as caught:
        load(tmp_path / "grid.yaml", environment={})
    (problem,) = caught.value.problems
    assert problem.headline.endswith("grid.yaml:3:37: detectors.r.depth: should be a whole number, not 'x'")
    assert plugin_settings(tmp_path / "grid.yaml") == ([tmp_path / "plugins.d"], ())
    (tmp_path / "grid.yaml").write_text(text.replace("{dirs: [plugins.d]}", "").replace("x}", "3}"))
    file = tmp_path / "plugins.d" / "rocof.py"
    assert load(tmp_path / "grid.yaml", plugin_files=[file], environment={}).detectors["r"].type == "rocof"


def test_folder_of_plugins_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("source: {type: simulate}\nplugins: {dirs: [plugins.d]}\n")
    with pytest.raises(InvalidConfiguration) as caught:
        load(tmp_path / "grid.yaml", environment={})
    (problem,) = caught.value.problems
    assert "grid.yaml:2:18: plugins.dirs[0]: there is no folder" in problem.headline


# The shipped configuration and its schema


def test_shipped_configuration_is_fine_without_any_environment() -> None:
    configuration = load(ROOT / "config.yaml", environment={})
    assert configuration.source.type == "replay"
    assert set(configuration.limits) == {"voltage", "interruption", "frequency", "current"}
    assert configuration.sinks == {}


def test_shipped_configuration_names_its_schema() -> None:
    first = (ROOT / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./docs/config.schema.json"


@pytest.mark.parametrize(
    "settings", [SourceSettings, DetectorSettings, SinkSettings, PluginSettings, LimitSettings, AlarmDefaults]
)
def test_every_setting_is_documented(settings: type[BaseModel]) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    names = {field.alias or name for name, field in settings.model_fields.items()}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_committed_schema_is_current() -> None:
    """Renew it with `GRIDTOP_NO_PLUGINS=1 gridtop config schema > docs/config.schema.json`."""
    current = json_schema(discover(environment={"GRIDTOP_NO_PLUGINS": "1"}), leave_out=pytest.fail)
    assert json.loads((ROOT / "docs" / "config.schema.json").read_text()) == current


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    whole = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def shipped(*overrides: str) -> Any:
    text = (ROOT / "config.yaml").read_text()
    document = parse(text, Text.of("config.yaml", text), {})
    for override in overrides:
        document = document.overridden(override, {})
        assert not document.problems
    return document.value


def test_schema_accepts_the_shipped_configuration(schema: jsonschema.Draft202012Validator) -> None:
    assert list(schema.iter_errors(shipped())) == []
    assert schema.is_valid(
        shipped("source.speed=max", "limits.voltage.on_delay=1s", "limits.voltage.class=grid")
    )


@pytest.mark.parametrize(
    "override",
    [
        "limits.voltage.deadbnd=1",
        "limits.voltage.low.warnin=1",
        "detectors.current_jump.windw=10s",
        "detectors.current_jump.type=zscor",
        "sinks.log.pth=x",
        "site.nominal.voltage=5",
        "source.speed=fast",
        "source.loop=5",
        "limit={}",
    ],
)
def test_schema_rejects_a_misspelt_setting(schema: jsonschema.Draft202012Validator, override: str) -> None:
    assert not schema.is_valid(shipped(override))


# Any text at all

EXPLORED = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.text(max_size=200)
YAML_LIKE = st.lists(
    st.sampled_from(
        [
            *(
                "source:",
                "type: simulate",
                "limits:",
                "detectors:",
                "sinks:",
                "site:",
                "channels:",
                "alarms:",
            ),
            *(
                "a",
                "on: x",
                "high: {warning: 1}",
                "{",
                "}",
                "[",
                "]",
                "- ",
                ": ",
                ", ",
                "\n",
                "\n  ",
                "\n    ",
            ),
            *(
                "&a ",
                "*a",
                "!!int ",
                "!x ",
                "? ",
                "| \n",
                "> ",
                "'",
                '"',
                "#",
                "${RATE}",
                "${X",
                "$$",
                "\t",
                "---",
            ),
            *(
                "%YAML 1.2\n",
                "<<: ",
                "1e3",
                "~",
                ".nan",
                "\\",
                '"\\UFFFFFFFF"',
                "\x85",
                "\u2028",
                "\ufeff",
                "9" * 5000,
            ),
        ]
    ),
    max_size=25,
).map("".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The shipped configuration with a few pieces cut out, doubled or replaced."""
    text = (ROOT / "config.yaml").read_text()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = (
            text[:start]
            + draw(st.one_of(st.just(""), st.just(text[start:end] * 2), TEXTS, YAML_LIKE))
            + text[end:]
        )
    return text


def attempt(text: str, folder: Path, overrides: Sequence[str] = ()) -> Configuration | InvalidConfiguration:
    try:
        return read(text, folder, overrides)
    except InvalidConfiguration as error:
        return error


def assert_well_told(error: InvalidConfiguration) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.words
        assert "\n" not in problem.headline
        place = problem.place
        if place.line:
            assert place.line <= len(place.text.lines)
            assert 1 <= place.column <= len(place.text.lines[place.line - 1]) + 1
    assert not set("\x1b\x07\u202e") & set(error.listing())


@EXPLORED
@given(text=st.one_of(TEXTS, YAML_LIKE, mutated()))
def test_any_text_is_a_configuration_or_explained(text: str, tmp_path: Path) -> None:
    result = attempt(text, tmp_path)
    if isinstance(result, InvalidConfiguration):
        assert_well_told(result)
    elif not result.document.environment:  # what is masked cannot be read again
        shown = as_yaml(result)
        assert as_yaml(read(shown, tmp_path)) == shown


@EXPLORED
@given(override=st.one_of(TEXTS, st.builds("limits.v.{}={}".format, TEXTS, YAML_LIKE)))
def test_any_override_is_taken_or_explained(override: str, tmp_path: Path) -> None:
    result = attempt("source: {type: simulate}\n", tmp_path, [override])
    if isinstance(result, InvalidConfiguration):
        assert_well_told(result)


@given(st.text())
def test_assigned_text_arrives_as_it_is(text: str) -> None:
    path = assignment("a.b", text)
    if all(character.isprintable() for character in text):
        document: Document = parse("", Text.of("", ""), {}).overridden(path, {})
        assert document.value == {"a": {"b": text}}


@given(st.text(max_size=20))
def test_every_scalar_has_a_core_type(text: str) -> None:
    assert core_tag(text) in ("null", "bool", "int", "float", "str")


# The command


def test_check_says_what_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("source: {type: simulate}\nlimits: {v: {on: x, high: {warning: 1}}}\n")
    result = run("check", "-c", str(path))
    assert (result.return_value, result.output) == (0, f"{path}: fine (1 limit, 0 detectors, 0 sinks)\n")
    assert run("check", "-c", str(path), "--format", "json").output == "[]\n"


def test_check_reports_in_three_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text("source: {type: simulate, speed: 100%}\n")
    text = run("check", "-c", "grid.yaml")
    assert text.return_value == 78
    assert text.output.splitlines()[0] == (
        "grid.yaml:1:33: source.speed: should be max or a number from 0.1 to 1000, not '100%'"
    )
    assert json.loads(run("check", "-c", "grid.yaml", "--format", "json").output) == [
        {
            "file": "grid.yaml",
            "line": 1,
            "column": 33,
            "path": "source.speed",
            "message": "should be max or a number from 0.1 to 1000, not '100%'",
        }
    ]
    assert run("check", "-c", "grid.yaml", "--format", "github").output == (
        "::error file=grid.yaml,line=1,col=33::source.speed: "
        "should be max or a number from 0.1 to 1000, not '100%25'\n"
    )


def test_check_does_not_open_anything(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    text = (
        "source: {type: replay, path: no-such-file.csv}\nsinks: {log: {type: jsonl, path: no/such/folder}}\n"
    )
    path.write_text(text)
    assert run("check", "-c", str(path)).return_value == 0


def test_show_prints_yaml_and_schema_prints_json(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("source: {type: simulate}\n")
    shown = run("show", "-c", str(path), "--set", "source.speed=5").stdout
    assert yaml.safe_load(shown)["source"]["speed"] == 5
    assert json.loads(run("schema").stdout)["title"] == "gridtop configuration"


def test_command_line_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("sauce: {}\n")
    arguments = [sys.executable, "-m", "gridtop", "config"]
    for subcommand in ("check", "show"):
        done = subprocess.run(
            [*arguments, subcommand, "-c", "grid.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 78
        assert "grid.yaml:1:1: sauce: unknown section (did you mean 'source'?)" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_importing_the_configuration_needs_no_pandas_and_no_screen() -> None:
    heavy = {"pandas", "textual", "rich", "plotext", "pyarrow"}
    code = f"import sys, gridtop.config; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
