"""`gridtop evaluate`: figures worked out by hand, honest remarks, and files that are safe to open."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from gridtop.commands.evaluate import command
from gridtop.errors import ConfigurationError, Exit, GridtopError, SourceError
from gridtop.evaluation.labels import is_quiet, runs
from gridtop.evaluation.terminal import WIDTH

ROOT = Path(__file__).parent.parent
SECOND = 10  # frames

PLUGIN = '''
import numpy as np
from gridtop.api import Scores


class Level:
    """The value of the channel itself."""

    def __init__(self, config, channels):
        self.outputs = channels.names

    def score(self, block):
        return Scores(block.values)


class Constant:
    """Always the same."""

    remarks = ["was trained on constant features", "<script>alert(1)</script>"]

    def __init__(self, config, channels):
        self.outputs = ["score"]

    def score(self, block):
        return Scores(np.full((len(block), 1), 0.5))


class Shy:
    """Has an opinion on every fourth frame only."""

    def __init__(self, config, channels):
        self.outputs = ["score"]

    def score(self, block):
        score = np.where(block.rows % 4 == 0, block.values[:, 0], np.nan)
        return Scores(score[:, None])
'''


def recording(path: Path, values: str, label: str = "marker", names: str = ".xy", clock: bool = True) -> Path:
    """A second a letter: what `values` says is measured at R1, and labelled None, event, or other."""
    words = dict(zip(names, ["None", "event", "other"], strict=False))
    level = {".": 0.0, "x": 1.0, "y": 1.0, "!": 1.0, "-": 0.0}
    rows = [f"time,R1:a,{label}"] if clock else [f"R1:a,{label}"]
    frame = 0
    for letter in values:
        truth = {"!": ".", "-": "x"}.get(letter, letter)
        for _ in range(SECOND):
            time = f"2026-01-01T00:{frame // 600:02}:{frame // SECOND % 60:02}.{frame % SECOND}Z,"
            rows.append(f"{time if clock else ''}{level[letter]},{words[truth]}")
            frame += 1
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration of one detector, whose score is what is measured."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("Level", "Constant", "Shy")):
        classes = PLUGIN.split("\n\n\n")
        (tmp_path / "plugins.d").mkdir(exist_ok=True)
        (tmp_path / "plugins.d" / f"{name.lower()}.py").write_text(
            classes[0] + "\n\n\n" + classes[number + 1] + "\n"
        )
    write_configuration(
        tmp_path, level={"type": "level", "alarm": {"high": {"warning": 1}, "on_delay": "0s"}}
    )
    return tmp_path


def write_configuration(folder: Path, **detectors: dict[str, Any]) -> None:
    sections = {
        "source": {"type": "replay", "path": "r.csv", "speed": "max", "loop": True},
        "alarms": {"off_delay": "0s"},
        "plugins": {"dirs": ["plugins.d"]},
        "detectors": {name: {"channels": ["R1:a"], **settings} for name, settings in detectors.items()},
    }
    (folder / "config.yaml").write_text(json.dumps(sections))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def document(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
    return found


def refusal(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, GridtopError), result.output
    return str(result.exception)


# Figures


def test_by_event_recall_delay_and_false_alarms_are_those_counted_by_hand(folder: Path) -> None:
    # Three events of which the second is missed ("-"), and a false alarm ("!") far from any of them.
    recording(folder / "r.csv", "..........xx..........--..........x.................!....")
    one = document("r.csv")
    (rule,) = one["rules"]
    assert (rule["events"], rule["found"]) == (3, 2)
    assert rule["recall"] == pytest.approx(2 / 3)
    assert rule["interval"] == pytest.approx([0.0943, 0.9916], abs=1e-4)
    assert (rule["delay_p50_ms"], rule["delay_p95_ms"]) == (0, None)
    assert rule["false_alarms"]["count"] == 1
    # Each event's window is its length and two seconds more; a run lasts to the first of its last frames.
    hours = (56.9 - 3 * 2 - (1.9 + 1.9 + 0.9)) / 3600
    assert rule["false_alarms"]["hours"] == pytest.approx(hours)
    assert rule["false_alarms"]["per_day"] == pytest.approx(24 / hours)
    assert rule["in_alarm_events"] == pytest.approx(30 / 50)
    assert rule["in_alarm_normal"] == pytest.approx(10 / 520)


def test_by_frame_figures_are_those_counted_by_hand(folder: Path) -> None:
    recording(folder / "r.csv", "..........xx..........--..........x.................!....")
    (one,) = document("r.csv")["detectors"]
    assert one["confusion"]["counts"] == [[510, 10], [20, 30]]
    assert (one["level"], one["prevalence"], one["scored"]) == (1, pytest.approx(50 / 570), 1)
    # Of 30 frames that score 1 all but 10 of 520 others score less; the other 20 tie with 510.
    assert one["roc_auc"] == pytest.approx((30 * (510 + 5) + 20 * 255) / (50 * 520))
    assert one["precision"] == pytest.approx(0.75)
    assert one["recall"] == pytest.approx(0.6)
    low, high = one["roc_auc_interval"]
    assert low <= one["roc_auc"] <= high


def test_each_kind_of_event_has_a_recall_of_its_own_and_a_row_in_the_matrix(folder: Path) -> None:
    recording(folder / "r.csv", ".....x.....y.....-.....y....!")
    one = document("r.csv")
    kinds = {kind["kind"]: (kind["found"], kind["events"]) for kind in one["rules"][0]["kinds"]}
    assert kinds == {"event": (1, 2), "other": (2, 2)}
    matrix = one["confusion"]
    assert matrix["kinds"] == ["event", "other"]
    assert (matrix["speakers"], matrix["spoke_in"], matrix["spoke_without_event"]) == (
        ["level"],
        [[1], [2]],
        [1],
    )


def test_several_recordings_are_pooled_and_shown_one_by_one(folder: Path) -> None:
    recording(folder / "a.csv", ".....x.....x.....")
    recording(folder / "b.csv", ".....-.....-.....")
    one = document("a.csv", "b.csv", "--split", "file")
    assert (one["any_rule"]["found"], one["any_rule"]["events"]) == (2, 4)
    assert [(f["name"], f["any_rule"]["found"]) for f in one["files"]] == [("a.csv", 2), ("b.csv", 0)]
    assert [(f["fold"], f["roc_auc"]) for f in one["folds"]["level"]] == [("a.csv", 1), ("b.csv", 0.5)]
    shown = run("a.csv", "b.csv").output
    assert re.search(r"a\.csv +0\.00 +2/2", shown)


def test_a_recording_without_a_clock_is_timed_by_its_rows_and_says_so(folder: Path) -> None:
    recording(folder / "r.csv", ".....x.....", clock=False)
    one = document("r.csv", "--set", "source.rate=10")
    assert one["any_rule"]["found"] == 1
    assert any("no clock" in remark["text"] for remark in one["remarks"])


def test_a_list_of_events_goes_before_labels_and_what_it_calls_no_event_is_ordinary(folder: Path) -> None:
    recording(folder / "r.csv", ".....!.....!.....")
    event = {"kind": "short_circuit", "place": "R1", "start_ms": 5000, "end_ms": 5500, "marker": "Natural"}
    ordinary = {
        "kind": "load_step",
        "place": "grid",
        "start_ms": 11000,
        "end_ms": 11000,
        "marker": "NoEvents",
    }
    listed = {"start": "2026-01-01T00:00:00Z", "rate": 10, "events": [event, ordinary]}
    (folder / "r.events.json").write_text(json.dumps(listed))
    one = document("r.csv")
    assert (one["truth"], one["events"], one["ordinary_events"]) == ("event list r.events.json", 1, 1)
    assert (one["any_rule"]["found"], one["any_rule"]["false_alarms"]["count"]) == (1, 1)
    assert one["confusion"]["kinds"] == ["short_circuit", "load_step (ordinary)"]
    assert document("r.csv", "--normal", "short_circuit")["events"] == 0
    assert document("r.csv", "--labels", "marker")["truth"] == "column marker"


def test_an_alarm_that_names_another_place_is_neither_found_nor_false(folder: Path) -> None:
    recording(folder / "r.csv", ".....!.....")
    event = {"kind": "short_circuit", "place": "L9", "start_ms": 5000, "end_ms": 5500, "marker": "x"}
    listed = {"start": "2026-01-01T00:00:00Z", "rate": 10, "events": [event]}
    (folder / "r.events.json").write_text(json.dumps(listed))
    site = "site={lines: {L9: {ends: [R8, R9]}}}"
    placed = "channels={'R1:a': {quantity: level, terminal: R1}}"
    (rule,) = document("r.csv", "--set", site, "--set", placed)["rules"]
    assert (rule["found"], rule["false_alarms"]["count"], rule["elsewhere"]) == (0, 0, 1)


def test_cutting_the_recording_otherwise_changes_nothing(folder: Path) -> None:
    recording(folder / "r.csv", "..........xx..........-.....!....")
    write_configuration(
        folder, jump={"type": "zscore", "window": "3s", "alarm": {"high": {"warning": 3}, "on_delay": "0s"}}
    )
    assert document("r.csv") == document("r.csv", "--set", "source.speed=1")


# Labels


@given(st.lists(st.sampled_from(["None", "a", "b"]), min_size=1, max_size=60), st.sampled_from([0.1, 2.0]))
def test_every_labelled_frame_lies_in_exactly_one_event_of_its_kind(labels: list[str], step: float) -> None:
    seconds = np.arange(len(labels)) * step
    truths, inside = runs(np.array(labels), seconds, {"None"})
    assert inside.tolist() == [label != "None" for label in labels]
    for second, label in zip(seconds.tolist(), labels, strict=True):
        around = [truth.kind for truth in truths if truth.start <= second <= truth.end]
        assert around == [label] if label != "None" else len(around) <= 1
    if step == 2.0:  # every gap is longer than a second: nothing is merged
        assert all(
            truth.end - truth.start == (n - 1) * step
            for truth, n in zip(truths, lengths(labels), strict=True)
        )


def lengths(labels: list[str]) -> list[int]:
    """How long each run of an event's label is."""
    found: list[int] = []
    for before, label in zip(["None", *labels], labels, strict=False):
        if label != "None":
            found = [*found[:-1], found[-1] + 1] if label == before else [*found, 1]
    return found


def test_a_pause_below_a_second_does_not_end_an_event_but_another_event_does() -> None:
    def kinds(text: str) -> list[tuple[str, float, float]]:
        truths, _ = runs(np.array(list(text)), np.arange(len(text)) / 10, {"."})
        return [(truth.kind, truth.start, truth.end) for truth in truths]

    assert kinds("aa...aa") == [("a", 0.0, 0.6)]
    assert kinds("aa.........aa") == [("a", 0.0, 0.1), ("a", 1.1, 1.2)]
    assert kinds("aa.b.aa") == [("a", 0.0, 0.1), ("b", 0.3, 0.3), ("a", 0.5, 0.6)]


def test_words_for_nothing_are_known_but_natural_is_none_of_them() -> None:
    assert all(map(is_quiet, ("NoEvents", "normal", "0", "None", "no event", "")))
    assert not any(map(is_quiet, ("Natural", "Attack", "1", "41")))


def test_natural_against_attack_is_asked_for_and_can_be_told(folder: Path) -> None:
    text = recording(folder / "r.csv", "..x..").read_text()
    (folder / "r.csv").write_text(text.replace("None", "Natural").replace("event", "Attack"))
    told = refusal("r.csv")
    assert "'Natural' (40 frames), 'Attack' (10 frames)" in told
    assert "--normal Natural" in told
    assert document("r.csv", "--normal", "Natural")["events"] == 1
    assert "did you mean 'Natural'?" in refusal("r.csv", "--normal", "natural")


def test_any_column_can_be_the_label(folder: Path) -> None:
    recording(folder / "r.csv", "..x..", label="what [1]")
    one = document("r.csv", "--labels", "what [1]")
    assert (one["truth"], one["events"]) == ("column what [1]", 1)


def test_without_any_truth_it_is_said_where_it_was_looked_for(folder: Path) -> None:
    text = recording(folder / "r.csv", "..x..", label="flag").read_text()
    (folder / "r.csv").write_text(text.replace("None", "0").replace("event", "1"))
    told = refusal("r.csv")
    assert "no list of events beside it (r.events.json)" in told
    assert "no column is known to be a label" in told
    assert "--labels COLUMN" in told
    assert document("r.csv", "--labels", "flag")["events"] == 1


# Splits


def test_rows_alone_are_refused_and_beside_another_split_nothing_leaks_that_was_not_taught(
    folder: Path,
) -> None:
    recording(folder / "r.csv", "....x....x....x....")
    alone = run("r.csv", "--split", "rows")
    assert alone.exit_code == Exit.USAGE
    assert "recognises what it was" in alone.output
    both = run("r.csv", "--split", "rows", "--split", "event")
    assert both.exit_code == 0
    assert "nothing was taught here" in both.stderr
    assert "Split by event" in both.stdout
    assert "leaking" not in both.stdout
    assert run("r.csv", "--split", "time", "--split", "event").exit_code == Exit.USAGE
    assert "two recordings" in refusal("r.csv", "--split", "file")


# What is called out


def remarks(*arguments: object) -> set[tuple[str, str]]:
    return {(remark["about"], remark["text"]) for remark in document(*arguments)["remarks"]}


def test_useless_detectors_are_called_out(folder: Path) -> None:
    recording(folder / "r.csv", "....x....x....x....")
    alarm = {"high": {"warning": 0.1}, "on_delay": "0s"}
    never = {"high": {"warning": 7}}
    write_configuration(
        folder,
        always={"type": "constant", "alarm": alarm},
        shy={"type": "shy", "alarm": never},
        mute={"type": "level"},
    )
    said = remarks("r.csv")
    assert ("always", "scores all frames alike (0.5): it tells nothing apart") in said
    assert ("always", "was trained on constant features") in said
    assert ("always", "its alarm is on for 100 % of the frames or more, in events and without") in said
    assert ("shy", "has no opinion on 75 % of the frames, which count as its lowest scores") in said
    assert ("shy", "its alarm never came on") in said
    assert ("mute", "has no alarm rule: it is judged by frame only") in said


def test_a_detector_that_fails_is_named_and_the_others_are_judged(folder: Path) -> None:
    recording(folder / "r.csv", "....x....")
    (folder / "plugins.d" / "broken.py").write_text(
        "class Broken:\n    '''No good.'''\n    def __init__(self, config, channels):\n"
        "        raise RuntimeError('no model')\n    def score(self, block): ...\n"
    )
    write_configuration(
        folder, bad={"type": "broken"}, level={"type": "level", "alarm": {"high": {"warning": 1}}}
    )
    assert any(about == "bad" and "no model" in text for about, text in remarks("r.csv"))


# Errors


def test_only_the_chosen_detectors_are_judged_and_a_misspelt_one_is_named(folder: Path) -> None:
    recording(folder / "r.csv", "....x....")
    alarm = {"high": {"warning": 1}, "on_delay": "0s"}
    write_configuration(
        folder,
        first={"type": "level", "alarm": {**alarm, "inhibit_if": ["second"]}},
        second={"type": "constant", "alarm": alarm},
        third={"type": "level", "alarm": alarm},
    )
    one = document("r.csv", "--detectors", "first")
    assert [rule["rule"] for rule in one["rules"]] == ["first"]
    assert [detector["detector"] for detector in one["detectors"]] == ["first"]
    result = run("r.csv", "--detectors", "firts")
    assert isinstance(result.exception, ConfigurationError)
    assert "did you mean 'first'?" in str(result.exception)


def test_what_is_wrong_is_said_in_one_message(folder: Path) -> None:
    recording(folder / "r.csv", "..x..")
    assert "did you mean 'marker'?" in refusal("r.csv", "--labels", "markr")
    result = run("none.csv")
    assert isinstance(result.exception, SourceError)
    (folder / "r.events.json").write_text('{"events": []}')
    assert "no list of events" in refusal("r.csv")
    (folder / "r.events.json").write_text('{"start": "2026-01-01", "events": [{"kind": "x"}]}')
    assert "lacks something" in refusal("r.csv")


def test_a_live_source_is_refused(folder: Path) -> None:
    assert "is live" in refusal("--set", "source={type: simulate}")


def test_nothing_is_overwritten_unasked(folder: Path) -> None:
    file = recording(folder / "r.csv", "..x..")
    before = file.read_text()
    assert "exists already" in refusal("r.csv", "--json", "r.csv")
    assert "is the recording itself" in refusal("r.csv", "--json", "r.csv", "--force")
    assert file.read_text() == before


# What is written


def test_the_report_fits_the_terminal_and_is_calm(folder: Path) -> None:
    recording(folder / "r.csv", "..........xx..........--..........x.................!....")
    shown = run("r.csv", "--list").stdout
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "\x1b" not in shown
    assert re.search(r"level +2/3 +0\.67 0\.09–0\.99 +0 ms +∞ +1 ", shown)
    assert re.search(r"22\.000 s +missed +event at anywhere", shown)
    assert re.search(r"52\.000 s +false +level", shown)


def test_foreign_text_is_neither_markup_nor_escape_sequence(folder: Path) -> None:
    evil = "<script>alert(1)</script>\x1b[31m"
    text = recording(folder / "r.csv", "....x....x....x....").read_text()
    (folder / "r.csv").write_text(text.replace("event", evil))
    write_configuration(folder, always={"type": "constant", "alarm": {"high": {"warning": 0.1}}})
    shown = run("r.csv")
    assert "\x1b" not in shown.output
    assert "alert(1)" in shown.output
    pytest.importorskip("matplotlib")
    assert run("r.csv", "--html", "r.html").exit_code == 0
    page = (folder / "r.html").read_text()
    assert "<script" not in page.lower()
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page


def test_the_html_report_is_one_file_the_same_each_time(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    recording(folder / "r.csv", "..........xx..........--..........x.................!....")
    assert run("r.csv", "--html", "a.html").exit_code == 0
    assert run("r.csv", "--html", "b.html").exit_code == 0
    page = (folder / "a.html").read_text()
    assert page == (folder / "b.html").read_text()
    assert page.count("<svg") == 3
    assert not re.search(r'(src|href)="(?!#)', page)
    assert set(re.findall(r"https?://[\w./]*", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page):
        assert next(filter(None, reference)) in ids


def test_without_matplotlib_the_extra_is_named_before_any_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "gridtop[report]" in refusal("no-such.csv", "--html", "r.html")


def test_the_command_imports_no_plots_without_being_asked(folder: Path) -> None:
    recording(folder / "r.csv", "..x..")
    program = (
        "import sys\nfrom gridtop.commands.root import run\nassert run(['evaluate', 'r.csv']) == 0\n"
        "assert not {'matplotlib', 'sklearn', 'tensorflow', 'textual'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The bundled recording


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the shipped configuration is worth on the recording that comes with it."""
    file = tmp_path_factory.mktemp("bundled") / "r.json"
    config = ROOT / "config.yaml"
    result = run(ROOT / "data" / "two-line.csv.gz", "-c", config, "--json", file)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_every_short_circuit_of_the_bundled_recording_is_found_and_nothing_is_false(
    bundled: dict[str, Any],
) -> None:
    assert (bundled["events"], bundled["ordinary_events"]) == (7, 5)
    kinds = {kind["kind"]: kind for kind in bundled["any_rule"]["kinds"]}
    assert (kinds["short_circuit"]["found"], kinds["short_circuit"]["events"]) == (4, 4)
    assert (kinds["trip_command"]["found"], kinds["trip_command"]["events"]) == (2, 2)
    assert bundled["any_rule"]["false_alarms"]["count"] == 0


def test_every_field_of_the_json_is_documented(bundled: dict[str, Any]) -> None:
    described = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")

    def fields(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(fields, value))
        if not isinstance(value, dict):
            return set()
        return set(value).union(*map(fields, value.values()))

    by_name = {*(rule["rule"] for rule in bundled["rules"])}
    assert {name for name in fields(bundled) - by_name if f"`{name}`" not in described} == set()
