"""Runs drawn from ranges, recordings with their event lists, folders of hours, and scenario files."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import json
import math
import multiprocessing
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.commands.simulate import command
from gridtop.errors import Exit, GridtopError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.problems import InvalidConfiguration
from gridtop.recordings import open_recording
from gridtop.simulation import (
    COLUMNS,
    KINDS,
    NUMERIC_COLUMNS,
    Draw,
    GridParameters,
    Ranges,
    ShortCircuit,
    Simulation,
    VtFuse,
)
from gridtop.simulation.scenario_files import read_scenario
from gridtop.simulation.shards import Batch, make_hours

RATE = 30
DOCUMENT = Path(__file__).parent.parent / "docs" / "simulation.md"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def events_of(path: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(path.read_text())["events"]
    return events


class TestDraw:
    def test_conditions_lie_within_their_ranges(self) -> None:
        ranges = Ranges()
        plain = GridParameters()
        for seed in range(50):
            drawn = Draw(ranges, seed).conditions()
            grid = drawn.grid
            for name in ("line_2", "source_2", "transfer_angle", "inertia", "damping", "daily_depth"):
                low, high = getattr(ranges, name)
                assert low <= getattr(grid, name) <= high
            assert ranges.line_scale[0] <= grid.line_z1.imag / plain.line_z1.imag <= ranges.line_scale[1]
            assert ranges.load[0] <= grid.load.real <= ranges.load[1]
            assert ranges.power_factor[0] - 1e-9 <= grid.load.real / abs(grid.load) <= 1
            gains = np.array(drawn.instruments.gains)
            assert np.abs(np.abs(gains) - 1).max() <= 0.5 / 100 + 1e-9
            assert np.abs(np.degrees(np.angle(gains))).max() <= 0.5 + 1e-9  # 30 minutes
            assert all(abs(skew) <= 0.3 for skew in drawn.logs.skew)

    def test_same_seed_draws_the_same_run(self) -> None:
        one, two, other = Draw(Ranges(), 7), Draw(Ranges(), 7), Draw(Ranges(), 8)
        assert one.conditions() == two.conditions() != other.conditions()
        assert list(itertools.islice(one.events(), 50)) == list(itertools.islice(two.events(), 50))

    def test_every_kind_can_be_drawn_and_nothing_overlaps(self) -> None:
        events = list(itertools.islice(Draw(Ranges(), 1).events(), 1500))
        assert {event.kind for event in events} == set(KINDS)
        for event, following in itertools.pairwise(events):
            assert following.start >= event.end + 2 + 20

    def test_mix_says_what_comes(self) -> None:
        ranges = Ranges(mix={"vt_fuse": 1, "load_step": 3, "inrush": 0})
        kinds = [event.kind for event in itertools.islice(Draw(ranges, 1).events(), 400)]
        assert set(kinds) == {"vt_fuse", "load_step"}
        assert 250 < kinds.count("load_step") < 350
        assert not list(Draw(Ranges(mix={}), 1).events())

    def test_held_out_ranges_hold_out(self) -> None:
        ranges = Ranges(fault_distance=(0.9, 0.95), fault_resistance=(80, 90), mix={"short_circuit": 1})
        for event in itertools.islice(Draw(ranges, 1).events(), 100):
            assert isinstance(event, ShortCircuit)
            assert 0.9 <= event.fault.distance <= 0.95
            assert 80 <= event.fault.resistance <= 90

    @pytest.mark.parametrize(
        "wrong",
        [
            {"load": (3e8, 2e8)},
            {"memory": (0.5, 1.0)},
            {"fault_distance": (0, 0.5)},
            {"pause": (math.nan, 30)},
            {"mix": {"earthquake": 1}},
            {"mix": {"vt_fuse": -1}},
        ],
    )
    def test_impossible_ranges_are_refused_by_name(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: "):
            Ranges(**wrong)

    @pytest.mark.parametrize("seed", range(4))
    def test_drawn_run_is_a_grid_from_its_first_frame_on(self, seed: int) -> None:
        draw = Draw(Ranges(pause=(1, 5)), seed)
        simulation = Simulation(events=draw.events(), seed=seed, conditions=draw.conditions())
        frames = simulation.read(600 * RATE)
        assert np.isfinite(frames.phasors).all()
        frequency = frames.values[:, NUMERIC_COLUMNS.index("R1:F")]
        assert 55 < np.nanmin(frequency) < np.nanmax(frequency) < 65
        for relay, name in itertools.product(range(1, 5), ("PM7:V", "PM10:I")):
            values = frames.values[:RATE, NUMERIC_COLUMNS.index(f"R{relay}-{name}")]
            # No filter that fills, no machine that settles: the first frame is like the rest.
            assert np.abs(values / np.median(values) - 1).max() < 0.04
        assert np.abs(frequency[:RATE] - 60).max() < 0.1
        assert len(frames.occurrences) > 15

    def test_batch_of_hours_starts_without_warm_up_at_any_time_of_the_day(self) -> None:
        for hour in (3, 17):
            frames = Batch().simulation(hour).read(RATE)
            assert np.abs(frames.values[:, NUMERIC_COLUMNS.index("R1:F")] - 60).max() < 0.1
            voltage = frames.values[:, NUMERIC_COLUMNS.index("R2-PM7:V")]
            assert np.abs(voltage / voltage[-1] - 1).max() < 0.02


class TestRecording:
    def test_events_are_listed_beside_the_recording(self, tmp_path: Path) -> None:
        file = tmp_path / "new.csv.gz"
        assert run("-o", file, "--duration", "80s").exit_code == 0
        listed = json.loads((tmp_path / "new.events.json").read_text())
        assert listed["start"] == "2026-01-01T00:00:00.000000Z"
        assert listed["rate"] == 30
        assert listed["conditions"]["grid"]["line_z1"] == [3.7, 37.0]
        events = listed["events"]
        assert [event["kind"] for event in events] == [
            *("load_step", "short_circuit", "load_step", "short_circuit")
        ]
        assert events[1]["start_ms"] == 24000.0
        assert events[1]["place"] == "L1"
        assert 500 < events[1]["end_ms"] - events[1]["start_ms"] < 2500

    def test_event_list_agrees_with_the_labels_in_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "new.csv"
        assert run("-o", file, "--duration", "40s", "--scenario", 9, "--labels", "full").exit_code == 0
        rows = list(csv.DictReader(file.read_text().splitlines()))
        events = events_of(tmp_path / "new.events.json")
        assert [event["kind"] for event in events] == ["injection", "trip_command"]
        spoofed = [i for i, row in enumerate(rows) if row["spoofed"] != "none"]
        first, last = (events[0][key] / 1000 * RATE for key in ("start_ms", "end_ms"))
        assert first <= spoofed[0] < first + 1
        assert last - 1 <= spoofed[-1] <= last
        assert {rows[i]["spoofed"] for i in spoofed} == {"R1+R2"}
        label_end = max(event["label_end_ms"] for event in events)
        attack = [i for i, row in enumerate(rows) if row["marker"] == "Attack"]
        assert attack[0] == math.ceil(events[0]["start_ms"] / 1000 * RATE)
        assert attack[-1] == math.ceil(label_end / 1000 * RATE - 1e-6) - 1
        assert {rows[i]["phase"] for i in attack} >= {"active", "open", "reclosed"}

    def test_layout_of_the_public_data_is_the_default(self, tmp_path: Path) -> None:
        run("-o", tmp_path / "plain.csv", "--duration", "1s")
        run("-o", tmp_path / "full.csv", "--duration", "1s", "--labels", "full")
        plain, full = ((tmp_path / f"{name}.csv").read_text().splitlines() for name in ("plain", "full"))
        assert plain[0].split(",") == ["time", *COLUMNS]
        assert full[0].split(",") == ["time", *COLUMNS, "phase", "spoofed"]
        assert full[1] == f"{plain[1]},normal,none"

    def test_parquet_holds_what_csv_holds(self, tmp_path: Path) -> None:
        scenario = tmp_path / "s.yaml"
        scenario.write_text("events: [{kind: missing_frames, start: 1, duration: 2, relays: [R1]}]")
        for name in ("one.csv", "one.parquet"):
            result = run("-o", tmp_path / name, "--duration", "6s", "--scenario", scenario, "--force")
            assert result.exit_code == 0, result.output
        blocks = [
            list(open_recording(tmp_path / name, ChannelMap()).blocks())
            for name in ("one.csv", "one.parquet")
        ]
        one, two = (np.concatenate([block.values for block in parts]) for parts in blocks)
        np.testing.assert_array_equal(one, two)
        assert np.isnan(one).any()
        assert blocks[0][0].time[1] == blocks[1][0].time[1]

    def test_existing_event_list_is_kept_unless_forced(self, tmp_path: Path) -> None:
        (tmp_path / "mine.events.json").write_text("precious")
        result = run("-o", tmp_path / "mine.csv", "--duration", "1s")
        assert isinstance(result.exception, GridtopError)
        assert (tmp_path / "mine.events.json").read_text() == "precious"


class TestHours:
    BATCH = Batch(seed=4, rate=10, suffix=".csv.gz", minutes=1, ranges=Ranges(pause=(1, 5)))

    def test_processes_make_the_same_files_as_one_does(self, tmp_path: Path) -> None:
        told: list[int] = []
        assert make_hours(tmp_path / "one", self.BATCH, 3, 1) == 3
        assert make_hours(tmp_path / "two", self.BATCH, 3, 2, told.append) == 3
        assert sum(told) == 3 * 600
        names = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert len(names) == 7  # recordings, their events, run.json
        assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
        for name in names:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_interrupted_batch_is_taken_up_again(self, tmp_path: Path) -> None:
        make_hours(tmp_path, self.BATCH, 2, 1)
        first, second = self.BATCH.path(tmp_path, 0), self.BATCH.path(tmp_path, 1)
        kept, lost = first.stat().st_mtime_ns, second.read_bytes()
        second.unlink()
        told: list[int] = []
        assert make_hours(tmp_path, self.BATCH, 3, 1, told.append) == 2
        assert told == [600, 600, 600]
        assert first.stat().st_mtime_ns == kept
        assert second.read_bytes() == lost

    def test_hours_differ_and_follow_each_other(self, tmp_path: Path) -> None:
        make_hours(tmp_path, self.BATCH, 2, 1)
        one, two = (gzip.decompress(self.BATCH.path(tmp_path, i).read_bytes()).splitlines() for i in (0, 1))
        assert one[0].endswith(b"marker,phase,spoofed")
        assert one[1].startswith(b"2026-01-01T00:00:00.000000Z")
        assert two[1].startswith(b"2026-01-01T00:01:00.000000Z")
        assert one[1].split(b",")[1:] != two[1].split(b",")[1:]
        conditions = [
            json.loads((tmp_path / f"hour-0000{i}.events.json").read_text())["conditions"] for i in (0, 1)
        ]
        assert conditions[0]["grid"]["line_z1"] != conditions[1]["grid"]["line_z1"]

    def test_other_settings_need_another_folder(self, tmp_path: Path) -> None:
        make_hours(tmp_path, self.BATCH, 1, 1)
        for change in ({"seed": 5}, {"ranges": Ranges(load=(3e8, 3e8))}):
            with pytest.raises(GridtopError, match=f"other settings \\({next(iter(change))};"):
                make_hours(tmp_path, dataclasses.replace(self.BATCH, **change), 1, 1)
        (tmp_path / "run.json").write_text("{")
        with pytest.raises(GridtopError, match="another folder"):
            make_hours(tmp_path, self.BATCH, 1, 1)

    def test_interrupt_ends_the_processes_and_leaves_nothing_half_done(self, tmp_path: Path) -> None:
        def interrupt(frames: int) -> None:
            if frames:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_hours(tmp_path, self.BATCH, 40, 2, interrupt)
        assert not multiprocessing.active_children()
        assert not list(tmp_path.glob(".*"))
        assert len(list(tmp_path.glob("*.csv.gz"))) < 40

    def test_failure_in_a_process_is_told(self, tmp_path: Path) -> None:
        # A folder where the recording's unfinished part would be: it cannot be written.
        for hour in (0, 1):
            path = self.BATCH.path(tmp_path, hour)
            path.with_name(f".{path.name}.part").mkdir()
        with pytest.raises(IsADirectoryError):
            make_hours(tmp_path, self.BATCH, 2, 2)

    def test_recording_of_an_hour_can_be_opened(self, tmp_path: Path) -> None:
        batch = dataclasses.replace(self.BATCH, suffix=".parquet", ranges=Ranges(pause=(1, 3)))
        make_hours(tmp_path, batch, 2, 1)
        labels = {name: ChannelMeaning(quantity="label") for name in ("phase", "spoofed")}
        for hour in (0, 1):
            recording = open_recording(batch.path(tmp_path, hour), ChannelMap(labels))
            assert sum(len(block) for block in recording.blocks()) == batch.frames
            assert recording.channels.names == NUMERIC_COLUMNS

    def test_command_makes_a_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Batch, "frames", 300)
        result = run("--hours", 2, "--jobs", 1, "-o", tmp_path / "new", "--format", "csv.gz")
        assert result.exit_code == 0, result.output
        assert "2 hours, 2 of them new" in result.output
        assert (
            "2 hours, 0 of them new"
            in run(*("--hours", 2, "--jobs", 1, "-o", tmp_path / "new", "--format", "csv.gz")).output
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--hours", 1, "--duration", "5m"), "cannot go together"),
            (("--hours", 1, "--scenario", "7"), "no events"),
            (("--hours", 1, "--no-events"), "quiet grid"),
            (("--jobs", 2), "--hours only"),
            (("--hours", 0), "--hours"),
            (("--scenario", "33"), "1 to 30 and 35 to 41"),
        ],
    )
    def test_impossible_requests_are_usage_errors(
        self, tmp_path: Path, arguments: tuple[object, ...], message: str
    ) -> None:
        result = run("-o", tmp_path / "new", *arguments)
        assert result.exit_code == Exit.USAGE
        assert message in result.output
        assert list(tmp_path.iterdir()) == []


class TestScenarioFiles:
    def read(self, tmp_path: Path, text: str) -> Any:
        path = tmp_path / "scenario.yaml"
        path.write_text(text)
        return read_scenario(path, {})

    def problems(self, tmp_path: Path, text: str) -> list[str]:
        with pytest.raises(InvalidConfiguration) as caught:
            self.read(tmp_path, text)
        return [problem.headline.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]

    def test_example_of_the_documentation_works(self, tmp_path: Path) -> None:
        for example in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
            self.read(tmp_path, example)

    def test_events_are_read_in_any_order_and_with_units(self, tmp_path: Path) -> None:
        text = """
events:
  - {kind: vt_fuse, start: 1m, duration: 500ms, relay: R2}
  - {kind: short_circuit, start: 6, fault: {line: L2, kind: BC, distance: 0.3}}
"""
        scenario = self.read(tmp_path, text)
        assert [event.start for event in scenario.events] == [6, 60]
        assert scenario.events[1] == VtFuse(60, 0.5, "R2")
        assert scenario.ranges is None

    def test_single_number_is_a_range_without_width(self, tmp_path: Path) -> None:
        scenario = self.read(tmp_path, "ranges: {load: 300e6, noise: [1, 2], mix: {inrush: 1}}")
        assert scenario.ranges.load == (300e6, 300e6)
        assert scenario.events is None
        assert self.read(tmp_path, "ranges:").ranges == Ranges()

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                "duraton: 5m\nranges:\n",
                "scenario.yaml:1:1: duraton: unknown setting (did you mean 'duration'?)",
            ),
            ("rate: 3\nranges:\n", "scenario.yaml:1:7: rate: should be greater than or equal to 10, not 3"),
            ("ranges: {lod: 1}", "scenario.yaml:1:10: ranges.lod: unknown setting (did you mean 'load'?)"),
            (
                "ranges: {noise: [2, 1]}",
                "scenario.yaml:1:10: ranges.noise: should be two limits within 0 and 100",
            ),
            ("ranges: {mix: {vt_fus: 1}}", "scenario.yaml:1:10: ranges.mix: there is no kind of event"),
            ("ranges: 5", "scenario.yaml:1:9: ranges: "),
            ("events: 5", "scenario.yaml:1:9: events: should be a list, not 5"),
            ("events: [5]", "scenario.yaml:1:10: events[0]: should be a map with kind: and start:, not 5"),
            ("events: [{start: 1}]", "events[0]: required setting is missing: which kind"),
            ("events: [{kind: vt_fus, start: 1}]", "(did you mean 'vt_fuse'?)"),
            ("events: [{kind: [1], start: 1}]", "there is no such kind of event as a list"),
            (
                "events: [{kind: open_ct, start: 1, relay: R1}]",
                "events[0].duration: required setting is missing",
            ),
            (
                "events: [{kind: open_ct, start: 1, duration: 0, relay: R1}]",
                "scenario.yaml:1:46: events[0].duration: lies between 0.02 and 86400, not at 0",
            ),
            (
                "events: [{kind: open_ct, start: soon, duration: 1, relay: R1}]",
                "events[0].start: 'soon' is not a duration",
            ),
            (
                "events: [{kind: open_ct, start: .nan, duration: 1, relay: R1}]",
                "events[0].start: an event starts at 0 s or later",
            ),
            (
                "events: [{kind: short_circuit, start: 1, fault: {line: L1, distanc: 0.5}}]",
                "events[0].fault.distanc: unknown setting (did you mean 'distance'?)",
            ),
            (
                "events:\n" + "".join(f"- {{kind: maintenance, start: {t}, line: L1}}\n" for t in (1, 9)),
                "scenario.yaml:3:3: events[1]: event 1 may move breakers until 23 s",
            ),
            ("seed: 1", "scenario.yaml:1:1: nothing happens"),
            ("", "should be a map with events: or ranges:"),
            ("duration: 0\nranges:\n", "a recording of no length"),
            ("events: [", "not valid YAML"),
            ("ranges: {load: .inf}", "ranges.load: should be two limits"),
            ("events: [{kind: load_step, start: 1, level: yes}]", "events[0].level: should be a number"),
            ("events: [{kind: load_step, start: 1, level: 1, kind: vt_fuse}]", "set twice"),
        ],
    )
    def test_mistake_is_told_at_its_place(self, tmp_path: Path, text: str, expected: str) -> None:
        (found,) = self.problems(tmp_path, text)
        assert expected in found

    def test_all_mistakes_are_told_at_once(self, tmp_path: Path) -> None:
        text = (
            "rate: 1\nranges: {foo: 1}\nevents: [{kind: vt_fuse, start: 1, duration: 1, relay: R9, bar: 1}]\n"
        )
        assert len(self.problems(tmp_path, text)) == 4

    @settings(deadline=None, max_examples=150)
    @given(
        st.recursive(
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(),
                st.text(max_size=8),
                st.sampled_from(["vt_fuse", "R1", "L1", "5s"]),
            ),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(
                        ["kind", "start", "events", "ranges", "mix", "load", "fault", "duration"]
                    ),
                    inner,
                    max_size=4,
                ),
            ),
        )
    )
    def test_whatever_it_says_is_read_or_explained(self, tmp_path_factory: Any, content: object) -> None:
        path = tmp_path_factory.getbasetemp() / "any.yaml"
        path.write_text(json.dumps(content), encoding="utf-8")
        try:
            read_scenario(path, {})
        except InvalidConfiguration as error:
            explained = str(error)
        else:
            explained = ""
        assert "fails with" not in explained  # a check that raises what it should not

    def test_command_plays_a_scenario_file(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        file.write_text("duration: 3s\nrate: 10\nevents: [{kind: vt_fuse, start: 1, duration: 1, relay: R3}]")
        assert run("--scenario", file, "-o", tmp_path / "new.csv").exit_code == 0
        assert len((tmp_path / "new.csv").read_text().splitlines()) == 31
        assert [event["place"] for event in events_of(tmp_path / "new.events.json")] == ["R3 A"]
        assert run("--scenario", file, "-o", tmp_path / "two.csv", "--duration", "1s").exit_code == 0
        assert len((tmp_path / "two.csv").read_text().splitlines()) == 11

    @pytest.mark.parametrize("name", ["none.yaml", "."])
    def test_file_that_is_none_is_a_configuration_error(self, tmp_path: Path, name: str) -> None:
        result = run("--scenario", tmp_path / name, "-o", tmp_path / "new.csv")
        assert isinstance(result.exception, GridtopError)
        assert result.exception.code == Exit.CONFIGURATION


class TestDocumentation:
    def test_every_kind_and_every_range_is_documented(self) -> None:
        text = DOCUMENT.read_text()
        for kind, cls in KINDS.items():
            row = re.search(rf"^\| `{kind}` \|.*$", text, re.MULTILINE)
            assert row, kind
            for field in dataclasses.fields(cls):
                assert field.name == "start" or f"`{field.name}`" in row[0], f"{kind}: {field.name}"
        for field in dataclasses.fields(Ranges):
            assert f"`{field.name}`" in text, field.name

    def test_documented_ranges_are_those_of_the_code(self) -> None:
        text, ranges = DOCUMENT.read_text(), Ranges()
        for name, low, high in re.findall(r"^\| `(\w+)` \| (\S+) to (\S+) \|", text, re.MULTILINE):
            assert (float(low), float(high)) == getattr(ranges, name), name
