"""Limits ready to use: what the shipped profiles hold, how rules are laid over them, what fits a stream."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.alarms import AlarmEngine, check_inhibition
from gridtop.alarms.rules import LimitSettings
from gridtop.api import Settings
from gridtop.channels import Channel, ChannelSet
from gridtop.config import Configuration, load
from gridtop.documents import Document, parse, read
from gridtop.errors import ConfigurationError
from gridtop.layering import laid_over
from gridtop.limit_profiles import Fitted, LimitProfile, fit, shipped
from gridtop.pipeline import Pipeline
from gridtop.problems import InvalidConfiguration, Text
from gridtop.resolved import as_dict, as_yaml
from tests.streams import block_of

ROOT = Path(__file__).parent.parent
PROFILES = ("dist-ansi", "dist-en50160", "microgrid-480v", "tx50-ce", "tx60")

OF_TERMINALS = (
    *("voltage_pu.A", "voltage_pu.B", "voltage_pu.C", "current_pu.A", "current_pu.B", "current_pu.C"),
    *("frequency_deviation", "rocof", "angle_step", "voltage_unbalance", "voltage_unbalance_nema"),
    *("current_unbalance", "residual_current", "impedance_reach", "thd_voltage", "fault"),
    *("power_factor_abs", "apparent_power_pu", "positive_current_pu", "sequence_residual"),
    *("impedance_residual", "frequency_residual", "oscillation_band2", "oscillation_band3", "damping"),
)
OF_LINES = (
    *("angle_difference", "power_residual", "power_in_pu", "efficiency", "differential_current"),
    *("kvl_residual", "bus_mismatch"),
)
OF_SYSTEM = ("frequency_spread", "power_imbalance", "efficiency", "frequency_stability")
UNITS = {
    **{"voltage_pu": "pu", "current_pu": "pu of rating", "residual_current": "pu of rating"},
    **{"frequency_deviation": "Hz", "frequency_spread": "Hz", "frequency_residual": "Hz", "rocof": "Hz/s"},
    **{"angle_difference": "deg", "angle_step": "deg", "voltage_unbalance": "%", "current_unbalance": "%"},
    **{"voltage_unbalance_nema": "%", "power_residual": "%", "damping": "%", "thd_voltage": "%"},
    **{"sequence_residual": "%", "impedance_residual": "%", "impedance_reach": "pu of line"},
    **{"differential_current": "A", "bus_mismatch": "pu", "kvl_residual": "pu", "power_imbalance": "W"},
    **{"oscillation_band2": "times", "oscillation_band3": "times", "efficiency": "ratio"},
    **{"power_factor_abs": "ratio", "frequency_stability": "index", "fault": "1"},
}
"""The unit that a limit on a quantity is in, as the comments behind the limits name it."""


def channel(name: str) -> Channel:
    place, _, quantity = name.partition(":")
    quantity, _, phase = quantity.partition(".")
    return Channel(name, quantity, terminal=place, phase=phase, derived=True)


EVERYTHING = ChannelSet(
    tuple(
        channel(f"{place}:{quantity}")
        for places, quantities in (
            (("R1", "R2"), OF_TERMINALS),
            (("L1",), OF_LINES),
            (("system",), OF_SYSTEM),
        )
        for place in places
        for quantity in quantities
    ),
    rate=10.0,
)


class Anything:
    class Config(Settings):
        pass


class Registry:
    problems: ClassVar[tuple[()]] = ()

    def load(self, kind: str, name: str) -> type:
        return Anything


REGISTRY: Any = Registry()
SITE = "site: {nominal: {voltage_ll: 230 kV}, lines: {L1: {ends: [R1, R2]}}, baselines: {from: quiet.json}}\n"


def configured(
    limits: str, folder: Path, more: str = SITE, overrides: Sequence[str] = (), **environment: str
) -> Configuration:
    """A configuration with these limits, in flow style."""
    path = folder / "config.yaml"
    path.write_text(f"source: {{type: any}}\n{more}limits: {limits}\n")
    return load(path, overrides=overrides, registry=REGISTRY, environment=environment)


def mistakes(limits: str, folder: Path, **environment: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        configured(limits, folder, **environment)
    return [problem.headline.replace(f"{folder}/", "") for problem in caught.value.problems]


def fitted(configuration: Configuration, channels: ChannelSet, missing: Sequence[str] = ()) -> Fitted:
    return fit(configuration, channels, channels, missing)


def channels_named(*names: str) -> ChannelSet:
    return ChannelSet(tuple(map(channel, names)), rate=10.0)


def quantity_of(rule: dict[str, Any]) -> str:
    on = rule["on"]
    return str(on if isinstance(on, str) else on[0]).rpartition(":")[2]


def rules_of(name: str) -> dict[str, Any]:
    rules: dict[str, Any] = read(shipped()[name], {}).value["limits"]
    return rules


# What is shipped


def test_five_profiles_are_shipped() -> None:
    assert tuple(shipped()) == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profile_is_complete_and_consistent(name: str) -> None:
    document = read(shipped()[name], {})
    profile = LimitProfile.model_validate(document.value)
    assert not document.problems
    rules = {rule: LimitSettings.model_validate(settings) for rule, settings in profile.limits.items()}
    assert check_inhibition(rules) == []
    assert profile.about.endswith(".")
    assert "frequency" in profile.assumes


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profile_begins_by_saying_that_it_is_no_protection_setting(name: str) -> None:
    header = shipped()[name].read_text().partition("\nabout:")[0]
    assert all(line.startswith("#") or not line for line in header.splitlines())
    assert "Starting points, not protection settings" in header


@pytest.mark.parametrize("name", PROFILES)
def test_example_in_the_header_of_a_profile_works(name: str, tmp_path: Path) -> None:
    [example] = re.findall(r"^#   limits: (.*)$", shipped()[name].read_text(), re.MULTILINE)
    low = configured(example, tmp_path).limits["v_low"].low
    assert low is not None
    assert low.warning == yaml.safe_load(example)["v_low"]["low"]["warning"]


SOURCES = (
    *(
        "customary",
        "own choice",
        "measured on simulated hours",
        "real rows",
        "the earlier monitor",
        "IEEE 1159",
        "IEEE 519-2014",
        "EU 2016/1447",
    ),
    *("Continental Europe", "NERC PRC-024", "GSF", "EN 50160", "GE F60", "GE D60", "GE comparators", "ABB"),
    *("British", "NEMA MG 1", "ANSI C84.1", "1 = the signature"),
)


@pytest.mark.parametrize("name", PROFILES)
def test_every_value_of_a_profile_has_its_unit_and_its_source_behind_it(name: str) -> None:
    body = shipped()[name].read_text().partition("\nlimits:\n")[2]
    unit, values = "", 0
    for line in body.splitlines():
        setting = re.match(r"    (\w+): ([^#]*)#?\s*(.*)", line)
        if setting is None:
            assert not line.strip() or line.lstrip().startswith("#") or re.match(r"  \w+: +# \S", line), line
            continue
        key, value, comment = setting.groups()
        if key == "on":
            unit = UNITS[quantity_of({"on": parse(value, Text.of("", value), {}).value})]
            assert comment, line
        elif key in ("low", "high", "abs"):
            assert comment.startswith(unit), line
            values += 1
        elif key == "deadband":
            assert comment.startswith(unit.partition(" of ")[0]), line
        elif key == "consecutive":
            assert comment.startswith("sample"), line
        if key not in ("on", "class", "enabled", "inhibit_if"):
            assert any(source in comment for source in SOURCES), line
    assert values >= len(rules_of(name))


def test_source_that_a_profile_names_is_in_the_list_of_sources() -> None:
    listed = (ROOT / "docs" / "limits.md").read_text().partition("## Sources")[2]
    text = "".join(path.read_text() for path in shipped().values())
    named = set(
        re.findall(r"IEEE [\d-]+|EU \d+/\d+|PRC-\d+|GE \w\d+|SAPFRC|EN \d+|MG 1|C84\.1|IEC [\d-]+", text)
    )
    assert len(named) > 10
    assert {source for source in named if source not in listed.replace("(EU)", "EU")} == set()


@pytest.mark.parametrize("name", PROFILES)
def test_every_rule_of_a_profile_binds_where_everything_is_supplied(name: str, tmp_path: Path) -> None:
    enabled = ", ".join(f"{rule}: {{enabled: true}}" for rule in rules_of(name))
    configuration = configured(f"{{profile: {name}, {enabled}}}", tmp_path)
    bound = fitted(configuration, EVERYTHING)
    assert bound.notices == ()
    assert [rule.name for rule in bound.rules if rule.columns] == list(rules_of(name))
    AlarmEngine(bound.rules, EVERYTHING, configuration.site, "test")  # every gate is found


@pytest.mark.parametrize("name", PROFILES)
def test_rules_that_share_a_name_look_at_the_same_quantity(name: str) -> None:
    others = {rule: quantity_of(said) for other in PROFILES for rule, said in rules_of(other).items()}
    ours = {rule: quantity_of(said) for rule, said in rules_of(name).items()}
    assert ours == {rule: others[rule] for rule in ours}


def test_corrections_to_the_first_set_of_limits_are_in() -> None:
    for name in ("tx60", "tx50-ce"):
        rules = rules_of(name)
        assert rules["fault"]["consecutive"] == 1
        assert rules["rocof"]["inhibit_if"] == ["v_interruption", "fault"]
        assert rules["rocof"]["on_delay"]["warning"] == "1s"
        assert rules["efficiency_gt1"]["class"] == "data_quality"
        assert rules["pf"]["on"] == "*:power_factor_abs"
        assert {rule for rule in rules if rules[rule].get("class") == "integrity"} == {
            *("same_bus_v", "kvl_line", "seq_vs_phase", "z_vs_vi", "f_vs_angle")
        }
        assert "fault" in rules["kvl_line"]["inhibit_if"]


def test_page_lists_every_profile_and_rule_with_its_limits() -> None:
    page = (ROOT / "docs" / "limits.md").read_text()
    rows = [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in page.splitlines()]
    [head] = [row for row in rows if row[:2] == ["rule", "looks at"]]
    written = {
        (profile, row[0]): (row[1], text)
        for row in rows[rows.index(head) + 2 :]
        if len(row) == len(head)
        for profile, text in zip(head[3:], row[3:], strict=True)
        if text
    }
    assert written == {
        (name, rule): (quantity_of(said), in_words(said))
        for name in PROFILES
        for rule, said in rules_of(name).items()
    }
    assert set(re.findall(r"^\| `([\w-]+)` \| [a-z]", page, re.MULTILINE)) >= set(PROFILES)


def in_words(rule: dict[str, Any]) -> str:
    """The limits of a rule as the page has them."""
    texts = []
    for direction, sign in (("low", "≤"), ("high", "≥"), ("abs", "±")):
        if levels := rule.get(direction):
            both = [f"{levels[level]:g}" if level in levels else "-" for level in ("warning", "critical")]
            texts.append(f"{sign} {' / '.join(both)}")
    return "; ".join(texts) + ("" if rule.get("enabled", True) else " (off)")


# Picking and changing


def test_one_value_changes_and_the_rest_stays(tmp_path: Path) -> None:
    plain = configured("{profile: tx60}", tmp_path)
    changed = configured("{profile: tx60, v_low: {low: {warning: 0.94}}}", tmp_path)
    low = changed.limits["v_low"].low
    assert low is not None
    assert (low.warning, low.critical) == (0.94, 0.9)
    assert list(changed.limits) == list(rules_of("tx60"))
    same = {"low": None}
    for rule, settings_ in plain.limits.items():
        update = same if rule == "v_low" else {}
        assert settings_.model_copy(update=update) == changed.limits[rule].model_copy(update=update)


def test_user_can_switch_off_add_and_replace(tmp_path: Path) -> None:
    limits = configured(
        "{profile: tx60, rocof: {enabled: false, inhibit_if: [fault]}, own: {on: x, high: {critical: 1}},"
        " v_low: {low: {warning: null}}, i_overload: {overrides: {'R4:*': {high: {warning: 0.8}}}}}",
        tmp_path,
    ).limits
    assert not limits["rocof"].enabled
    assert limits["rocof"].inhibit_if == ("fault",)
    assert list(limits)[-1] == "own"
    low = limits["v_low"].low
    assert low is not None
    assert (low.warning, low.critical) == (None, 0.9)
    assert list(limits["i_overload"].overrides) == ["R4:*"]


def test_delay_of_one_level_leaves_the_other_level_as_the_profile_has_it(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "about: x\nlimits: {v: {on: x, high: {warning: 1, critical: 2}, on_delay: 7s, consecutive: 4}}\n"
    )
    text = "{profile: own.yaml, v: {on_delay: {warning: 5s}, consecutive: {critical: 1}}}"
    shown = as_dict(configured(text, tmp_path))["limits"]["v"]
    assert shown["on_delay"] == {"warning": "5s", "critical": "7s"}
    assert shown["consecutive"] == {"warning": 4, "critical": 1}


def test_later_profiles_lie_on_top_and_the_user_on_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "company").write_text(
        "about: x\nlimits:\n"
        "  v_high: {high: {warning: 1.06, critical: 1.08}}\n  more: {on: x, abs: {warning: 1}}\n"
    )
    configuration = configured("{profile: [tx60, limits/company], v_high: {high: {warning: 1.07}}}", tmp_path)
    high = configuration.limits["v_high"].high
    assert high is not None
    assert (high.warning, high.critical) == (1.07, 1.08)
    assert configuration.limits["v_high"].deadband == 0.01
    assert configuration.profiles == ("tx60", "limits/company")
    origins = {rule: origin.profile for rule, origin in configuration.origins.items()}
    assert (origins["v_high"], origins["more"], origins["v_low"]) == (
        *("tx60, limits/company", "limits/company", "tx60"),
    )


def test_command_line_picks_and_changes_too(tmp_path: Path) -> None:
    overrides = ["limits.profile=dist-ansi", "limits.v_low.low.critical=0.9"]
    configuration = configured("{}", tmp_path, overrides=overrides)
    low = configuration.limits["v_low"].low
    assert low is not None
    assert (low.warning, low.critical) == (0.95, 0.9)
    with pytest.raises(InvalidConfiguration) as caught:
        configured("{}", tmp_path, overrides=["limits.profile=tx60", "limits.v_low.low.warning=0.8"])
    [problem] = caught.value.problems
    assert str(problem.place) == "--set limits.v_low.low.warning=0.8:1:14"


def test_configuration_without_a_profile_is_as_it_was(tmp_path: Path) -> None:
    configuration = configured("{v: {on: x, high: {warning: 1}}}", tmp_path)
    assert (configuration.profiles, configuration.origins) == ((), {})
    assert "profile" not in as_yaml(configuration)


# What is shown


def test_show_says_where_rules_come_from_and_reads_again_as_the_same(tmp_path: Path) -> None:
    once = configured(
        "{profile: [tx60], v_low: {low: {warning: 0.94}, off_delay: 3s},"
        " own: {on: 'S:x', high: {warning: 1}}}",
        tmp_path,
    )
    shown = as_yaml(once)
    lines = shown.splitlines()
    assert lines[lines.index("  v_low:") - 1] == (
        "  # profile tx60; here: low.warning, off_delay.critical, off_delay.warning"
    )
    assert lines[lines.index("  v_high:") - 1] == "  # profile tx60"
    assert not lines[lines.index("  own:") - 1].lstrip().startswith("#")
    (tmp_path / "again.yaml").write_text(shown)
    again = load(tmp_path / "again.yaml", registry=REGISTRY, environment={})
    assert as_yaml(again) == shown
    partial = channels_named("R1:voltage_pu.A", "S:x")
    assert fitted(again, partial).notices == fitted(once, partial).notices


def test_name_from_the_environment_is_not_shown(tmp_path: Path) -> None:
    configuration = configured('{profile: "${LIMITS}"}', tmp_path, LIMITS="tx60")
    assert len(configuration.limits) == len(rules_of("tx60"))
    assert "tx60" not in as_yaml(configuration)
    assert "tx60" not in " ".join(fitted(configuration, channels_named("R1:voltage_pu.A")).notices)
    assert "tx6" not in " ".join(mistakes('{profile: "${LIMITS}"}', tmp_path, LIMITS="tx6")).replace(
        "tx60", ""
    )


# Mistakes (what they look like: tests/config/profile_*.txt)


def test_mistake_is_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "about: x\nlimits:\n  a: {on: x, high: {warning: 2}}\n  b: {on: x, low: {warning: many}}\n"
    )
    found = mistakes("{profile: own.yaml, a: {high: {critical: 1}}, b: {deadband: 0.1}}", tmp_path)
    assert [line.partition(" ")[0] for line in found] == ["config.yaml:3:33:", "own.yaml:4:29:"]
    assert found[1].endswith("limits.b.low.warning: should be a number, not 'many'")


def test_what_is_put_right_by_the_user_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "about: x\nlimits: {a: {on: x, high: {warning: many}}, b: {deadband: 1}}\n"
    )
    configuration = configured(
        "{profile: own.yaml, a: {high: {warning: 1}}, b: {on: y, high: {warning: 4}}}", tmp_path
    )
    assert configuration.limits["b"].deadband == 1
    assert "# profile own.yaml, completed here\n  b:" in as_yaml(configuration)


def test_misspelt_rule_is_told_from_a_rule_of_ones_own(tmp_path: Path) -> None:
    found = mistakes("{profile: tx60, v_lo: {deadband: 1}, feeder: {deadband: 1}}", tmp_path)
    assert found == [
        "config.yaml:3:25: limits.v_lo: no such rule in the profile tx60 (did you mean 'v_low'?); "
        "a rule of your own needs on:",
        "config.yaml:3:46: limits.feeder.on: required setting is missing",
    ]


@pytest.mark.parametrize(
    "text", ["[a, b]", "5", "limits: {v: 5}", "about: x\nlimits: {v: 5}", "about: [", "\x01"]
)
def test_file_that_is_no_profile_is_explained(text: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(text)
    found = mistakes("{profile: own.yaml, v: {deadband: 1}}", tmp_path)
    assert found
    assert all(line.startswith(("own.yaml:", "config.yaml:3:")) for line in found)


# What fits a stream


def test_rules_of_a_profile_without_anything_to_watch_are_left_out_and_named_once(tmp_path: Path) -> None:
    configuration = configured("{profile: microgrid-480v, v_low: {deadband: 0.02}}", tmp_path)
    missing = [
        "frequency_deviation of R1: R1 has no frequency",
        "efficiency of system: no powers are measured",
    ]
    bound = fitted(configuration, channels_named("R1:voltage_pu.A"), missing)
    assert [rule.name for rule in bound.rules] == ["v_low", "v_high"]
    assert bound.notices == (
        "profile microgrid-480v: 5 of 7 rules have nothing to watch here: efficiency, efficiency_gt1 "
        "(no powers are measured); site_imbalance, f_stability (no such quantity here); "
        "f_dev (R1 has no frequency)",
    )


def test_departures_from_a_baseline_are_not_judged_without_one(tmp_path: Path) -> None:
    channels = channels_named("L1:kvl_residual", "L1:differential_current", "R1:positive_current_pu")
    without = "site: {lines: {L1: {ends: [R1, R2]}}}\n"

    def watching(text: str, site: str) -> tuple[list[str], str]:
        bound = fitted(configured(text, tmp_path, site), channels)
        return [rule.name for rule in bound.rules if rule.columns], bound.notices[0]

    assert watching("{profile: tx60}", SITE)[0] == ["line_diff", "kvl_line"]
    rules, said = watching("{profile: tx60}", without)
    assert rules == []
    assert "line_diff, kvl_line (no commissioning baseline: site.baselines)" in said
    forced = "{profile: tx60, kvl_line: {on: ['*:kvl_residual']}}"
    assert watching(forced, without)[0] == ["kvl_line"]


def test_rule_that_is_switched_off_is_not_missed(tmp_path: Path) -> None:
    off = ", ".join(f"{rule}: {{enabled: false}}" for rule in rules_of("microgrid-480v") if rule[0] != "v")
    configuration = configured(f"{{profile: microgrid-480v, {off}}}", tmp_path)
    assert fitted(configuration, channels_named("R1:voltage_pu.A")).notices == ()


@pytest.mark.parametrize("own", ["own: {on: '*:rocof', high: {warning: 1}}", "rocof: {on: 'R9:rocof'}"])
def test_rule_of_ones_own_with_nothing_to_watch_is_an_error(own: str, tmp_path: Path) -> None:
    configuration = configured(f"{{profile: tx60, {own}}}", tmp_path)
    with pytest.raises(ConfigurationError, match="no channel matches '.*:rocof'"):
        fitted(configuration, channels_named("R1:voltage_pu.A"))


def test_override_of_ones_own_with_nothing_to_change_is_an_error(tmp_path: Path) -> None:
    text = "{profile: tx60, v_low: {overrides: {'R9:*': {deadband: 0.02}}}}"
    with pytest.raises(ConfigurationError, match=r"v_low.overrides: no channel of this rule matches 'R9:\*'"):
        fitted(configured(text, tmp_path), channels_named("R1:voltage_pu.A"))


def test_rule_of_a_profile_is_off_where_its_gate_is_not_to_be_had(tmp_path: Path) -> None:
    configuration = configured("{profile: tx60}", tmp_path)
    channels = channels_named(
        "R1:current_unbalance", "R1:positive_current_pu", "R3:current_unbalance", "L1:efficiency"
    )
    bound = fitted(configuration, channels, ["positive_current_pu of R3: R3 lacks currents"])
    assert [rule.name for rule in bound.rules if rule.columns] == ["iuf"]
    assert [subject.name for rule in bound.rules for subject in rule.subjects] == ["R1:current_unbalance"]
    first, second = bound.notices
    assert "efficiency, efficiency_gt1 (no power_in_pu to gate with: no such quantity here)" in first
    assert second == (
        "profile tx60: some rules do not watch everything: iuf on R3:current_unbalance "
        "(no positive_current_pu to gate with: R3 lacks currents)"
    )
    AlarmEngine(bound.rules, channels, configuration.site, "test")


def test_gate_of_ones_own_that_is_not_to_be_had_is_an_error(tmp_path: Path) -> None:
    configuration = configured("{profile: tx60, iuf: {gate: {on: load_pu, min: 0.1}}}", tmp_path)
    channels = channels_named("R1:current_unbalance")
    with pytest.raises(ConfigurationError, match="no quantity 'load_pu'"):
        AlarmEngine(fitted(configuration, channels).rules, channels, configuration.site, "test")


def test_limits_on_angles_follow_what_the_site_allows_a_line(tmp_path: Path) -> None:
    site = "site: {lines: {L1: {ends: [R1, R2], angle_limit: 45}, L2: {ends: [R3, R4]}}}\n"
    channels = channels_named("L1:angle_difference", "L2:angle_difference")

    def levels(limits: str) -> list[tuple[float | None, float | None]]:
        [rule] = [
            r for r in fitted(configured(limits, tmp_path, site), channels).rules if r.name == "angle_line"
        ]
        found = [rule.settings.for_channel(subject).abs for subject in rule.subjects]
        return [(level.warning, level.critical) for level in found if level is not None]

    assert levels("{profile: tx60}") == [(30, 45), (20, 30)]
    assert levels("{profile: tx60, angle_line: {overrides: {'L1:*': {abs: {warning: 25}}}}}") == [
        (25, 45),
        (20, 30),
    ]
    assert levels("{profile: tx60, angle_line: {abs: {critical: 40}}}") == [(20, 40), (20, 40)]


# A whole pipeline


VOLTAGE = Channel("Va", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral")
FREQUENCY = Channel("f", "frequency", "Hz", "R1")


async def test_profile_raises_alarms_and_says_what_it_cannot_watch(tmp_path: Path) -> None:
    configuration = configured(
        "{profile: tx60, v_low: {on_delay: {critical: 300ms}}}",
        tmp_path,
        "site: {nominal: {voltage_ll: 230 kV}}\n",
    )
    measured = ChannelSet((VOLTAGE, FREQUENCY, channel("R1:rocof")), rate=10.0)
    pipeline = Pipeline(configuration, measured, "test", live=False)
    try:
        [said] = pipeline.notices
        assert pipeline.problems == ()
        assert said.startswith("profile tx60:")
        assert "rules have nothing to watch here" in said
        assert not re.search(r"\b(v_low|v_high|f_dev|rocof)\b", said.partition("here: ")[2])
        rows = np.tile([230e3 / 3**0.5, 60.0, 0.0], (30, 1))
        rows[10:, 0] *= 0.85
        events = (await pipeline.process(block_of(rows, measured))).events
    finally:
        pipeline.close()
    assert [(event.rule, event.severity, event.row, event.limit) for event in events] == [
        ("v_low", "critical", 13, 0.9)
    ]


# The schema


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "config.schema.json").read_text()))


@pytest.mark.parametrize("name", PROFILES)
def test_schema_accepts_the_limits_of_every_profile(
    schema: jsonschema.Draft202012Validator, name: str
) -> None:
    source = {"type": "replay", "path": "x.csv"}
    assert list(schema.iter_errors({"source": source, "limits": rules_of(name)})) == []


@pytest.mark.parametrize(
    ("limits", "valid"),
    [
        ("{profile: tx60, v_low: {low: {warning: 0.94}}}", True),
        ("{profile: [tx60, ./own.yaml]}", True),
        ("{v_low: {on: x, low: {warning: 0.94}}}", True),
        ("null", True),
        ("{v_low: {low: {warning: 0.94}}}", False),
        ("{profile: tx60, v_low: {low: {warnin: 0.94}}}", False),
        ("{profile: tx60, v_low: 5}", False),
        ("{profile: 5}", False),
        ("{profile: []}", False),
    ],
)
def test_schema_knows_that_a_change_needs_no_on(
    schema: jsonschema.Draft202012Validator, limits: str, valid: bool
) -> None:
    section = parse(limits, Text.of("", limits), {}).value
    document = {"source": {"type": "replay", "path": "x.csv"}, "limits": section}
    assert schema.is_valid(document) is valid


# Layers of any kind


KEYS = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.one_of(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=2)),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
MAPS = st.dictionaries(KEYS, TREES, max_size=3)


def document(value: Any, name: str) -> Document:
    text = json.dumps(value)
    return parse(text, Text.of(name, text), {})


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    if not isinstance(value, dict):
        return {path: value}
    return {at: leaf for key, inner in value.items() for at, leaf in leaves(inner, (*path, key)).items()}


@settings(deadline=None, derandomize=True)
@given(below=MAPS, above=MAPS)
def test_what_is_on_top_wins_and_every_value_knows_who_wrote_it(below: Any, above: Any) -> None:
    lower, upper = document(below, "below"), document(above, "above")
    both = laid_over(upper, lower)
    for path, value in leaves(above).items():
        if path and not (value == {} and path):
            assert both.get(path) == value
            assert both.place(path).text.name == "above"
    for path, value in leaves(both.value).items():
        if path and path in both.values and both.values[path].text.name == "below":
            assert lower.get(path) == value
    known = {path for path in both.values if path and both.get(path) is None}
    assert known == set(), "no place is remembered of what was replaced"
