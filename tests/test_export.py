"""`gridtop export`: what is written replays as it was, and nothing is overwritten unasked."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridtop.cli import main
from gridtop.commands.export import command
from gridtop.config import load
from gridtop.errors import GridtopError, SourceError
from gridtop.naming import ChannelMap
from gridtop.recordings import Recording, open_recording
from gridtop.recordings.exporting import Selection, format_of
from gridtop.recordings.exporting import export as write_export
from gridtop.recordings.stretches import Stretch
from tests.comtrade_files import analog, cfg, put, wave_record

ROWS = """time,R1-PM1:V,R1-PA1:VH,R1:F,R1-PA:ZH,odd name,marker
2026-01-01T00:00:00Z,131000.1,12.25,60.001,0.5,1e-300,Natural
2026-01-01T00:00:00.033333Z,131000.2,-12.75,,0.25,inf,Natural
2026-01-01T00:00:00.066667Z,0.1,179.9,59.99,-0.125,3,Attack
2026-01-01T00:00:00.1Z,131000.30000000005,0,60,0.1,-4,Attack
"""


def at(seconds: str) -> np.datetime64:
    """A moment of `ROWS`, in its first minute."""
    return np.datetime64(f"2026-01-01T00:00:{seconds}", "ns")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pmu.csv"
    path.write_text(ROWS)
    return path


def export(*arguments: object, code: int = 0) -> Result:
    """Run the command; failures that people can mend are raised, and give their code, by the root command."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert result.return_value == code, result.output
    return result


def contents(recording: Recording) -> tuple[np.ndarray, np.ndarray, list[str]]:
    blocks = list(recording.blocks())
    labels = [text for block in blocks for text in block.labels.get("marker", np.array([])).tolist()]
    return np.vstack([b.values for b in blocks]), np.concatenate([b.time for b in blocks]), labels


def section(path: Path) -> ChannelMap:
    """The `channels:` section written beside an export, as a configuration with it would have it."""
    path.with_name("conf.yaml").write_text(
        path.with_name(f"{path.name}.channels.yaml").read_text()
        + f"source: {{type: replay, path: {path.name}}}\n"
    )
    return load(path.with_name("conf.yaml"), environment=os.environ).channels


class TestRoundTrips:
    @pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
    def test_tables_replay_with_the_same_values_times_labels_and_meanings(
        self, recording: Path, suffix: str
    ) -> None:
        out = recording.with_name(f"out{suffix}")
        export(recording, "-o", out)
        first = open_recording(recording, ChannelMap())
        again = open_recording(out, section(out))
        assert again.channels.channels == first.channels.channels
        for one, other in zip(contents(first), contents(again), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_infinite_values_keep_their_flag(self, recording: Path) -> None:
        out = recording.with_name("out.csv")
        export(recording, "-o", out)
        for path in (recording, out):
            quality = next(open_recording(path, ChannelMap()).blocks()).quality
            assert quality is not None
            assert (quality[1, 2], quality[1, 4]) == (1, 4)

    def test_comtrade_in_ascii_replays_to_the_digit(self, recording: Path) -> None:
        out = recording.with_name("out.cfg")
        result = export(recording, "-o", out, "--encoding", "ASCII")
        assert "labels are not kept" in result.output
        first, again = open_recording(recording, ChannelMap()), open_recording(out, ChannelMap())
        assert again.channels.channels == first.channels.channels
        for one, other in zip(contents(first)[:2], contents(again)[:2], strict=True):
            np.testing.assert_array_equal(one, other)

    def test_phasors_of_a_wave_survive_every_format(self, tmp_path: Path) -> None:
        seconds = np.arange(800) / 5760.0
        wave = 100 * np.cos(2 * np.pi * 60 * seconds)
        source = wave_record(tmp_path, {"VA": wave, "IA": wave / 7}, 5760.0, "60")
        first = open_recording(source, ChannelMap())
        for name in ("a.csv", "a.parquet"):
            export(source, "-o", tmp_path / name)
            again = open_recording(tmp_path / name, section(tmp_path / name))
            assert again.channels.channels == first.channels.channels
            np.testing.assert_array_equal(contents(again)[0], contents(first)[0])
            np.testing.assert_array_equal(contents(again)[1], contents(first)[1])
        export(source, "-o", tmp_path / "a.cfg", "--encoding", "ascii")
        again = open_recording(tmp_path / "a.cfg", ChannelMap())
        assert again.channels.channels == first.channels.channels
        np.testing.assert_array_equal(contents(again)[0], contents(first)[0])
        np.testing.assert_array_equal(contents(again)[1], contents(first)[1])

    def test_names_that_speak_for_themselves_need_no_section(self, recording: Path) -> None:
        out = recording.with_name("out.csv")
        result = export(recording, "-o", out, "--channels", "R1*", "--channels", "!*ZH")
        assert "note" not in result.output
        assert not out.with_name("out.csv.channels.yaml").exists()
        assert out.read_text().splitlines()[0] == "time,R1-PM1:V,R1-PA1:VH,R1:F,marker"

    def test_rows_without_times_stay_without(self, tmp_path: Path) -> None:
        source = put(tmp_path, cfg([analog(1, "x")], rates=("1", "50,3"), start=""), "1,0,1\n2,0,2\n3,0,3\n")
        result = export(source, "-o", tmp_path / "x.csv")
        assert "rate: 50" in result.output
        assert (tmp_path / "x.csv").read_text() == "x\n1.0\n2.0\n3.0\n"


class TestSelection:
    @pytest.mark.parametrize(
        ("arguments", "rows"),
        [
            (["--rows", "1:3"], [1, 2]),
            (["--rows", "2:"], [2, 3]),
            (["--rows", ":1"], [0]),
            (["--from", "2026-01-01T00:00:00.033333"], [1, 2, 3]),
            (["--from", "34ms", "--to", "0.1s"], [2]),
            (["--to", "2026-01-01T01:00:00.05+01:00"], [0, 1]),
            (["--from", "50ms", "--rows", "0:3"], [2]),
        ],
    )
    @pytest.mark.parametrize("name", ["out.csv", "out.cfg"])
    def test_rows_and_times_cut_out_a_part(
        self, recording: Path, arguments: list[str], rows: list[int], name: str
    ) -> None:
        export(recording, "-o", recording.with_name(name), *arguments)
        whole = contents(open_recording(recording, ChannelMap()))[1]
        part = contents(open_recording(recording.with_name(name), ChannelMap()))[1]
        np.testing.assert_array_equal(part, whole[rows])

    @pytest.mark.parametrize("name", ["out.csv", "out.cfg"])
    @pytest.mark.parametrize(
        ("stretch", "frames"),
        [
            (Stretch(), 4),
            (Stretch(1, 3), 2),
            (Stretch(2, 99), 2),
            (Stretch(begin=at("00.034"), end=at("00.1")), 1),
            (Stretch(1, begin=at("00.01")), 3),
            (Stretch(0, 3, begin=at("00.05"), end=at("09")), 1),
        ],
    )
    def test_progress_is_told_of_every_selected_frame_and_no_other(
        self, recording: Path, name: str, stretch: Stretch, frames: int
    ) -> None:
        opened = open_recording(recording, ChannelMap(), None, 60)
        told: list[int] = []
        out = recording.with_name(name)
        form = format_of(out, None)
        exported = write_export(opened, out, form, Selection(stretch), progress=told.append)
        assert sum(told) == exported.frames == stretch.frames(opened) == frames

    @pytest.mark.parametrize("stretch", [Stretch(9), Stretch(begin=at("09")), Stretch(end=at("00"))])
    def test_a_stretch_beyond_the_recording_holds_no_frame(self, recording: Path, stretch: Stretch) -> None:
        opened = open_recording(recording, ChannelMap())
        assert stretch.frames(opened) == 0
        assert list(stretch.blocks(opened)) == []

    def test_the_configuration_names_the_columns_of_a_file_without_a_header(self, tmp_path: Path) -> None:
        (tmp_path / "bare.csv").write_text("0,60\n1,61\n")
        (tmp_path / "c.yaml").write_text("source: {type: replay, path: bare.csv, columns: [time, 'R1:F']}\n")
        with pytest.raises(SourceError, match="line 1 holds values"):
            export(tmp_path / "bare.csv", "-o", tmp_path / "named.csv")
        export(tmp_path / "bare.csv", "-c", tmp_path / "c.yaml", "-o", tmp_path / "named.csv")
        again = open_recording(tmp_path / "named.csv", ChannelMap())
        assert again.channels.names == ("R1:F",)
        assert contents(again)[0].tolist() == [[60.0], [61.0]]

    def test_the_configuration_says_what_columns_mean(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("u\n1\n2\n")
        (tmp_path / "c.yaml").write_text(
            "source: {type: replay, path: x.csv, rate: 50}\n"
            "channels: {u: {quantity: voltage, unit: kV, terminal: T, reference: line_to_line}}\n"
        )
        export(tmp_path / "x.csv", "-c", tmp_path / "c.yaml", "-o", tmp_path / "y.cfg")
        again = open_recording(tmp_path / "y.cfg", ChannelMap())
        assert contents(again)[0].tolist() == [[1000.0], [2000.0]]
        assert (again.channels.rate, again.channels[0].unit) == (50.0, "V")
        assert "reference" in (tmp_path / "y.cfg.channels.yaml").read_text()


class TestRefusals:
    def test_nothing_is_overwritten_unasked(self, recording: Path) -> None:
        out = recording.with_name("out.cfg")
        out.with_suffix(".dat").write_text("precious")
        with pytest.raises(GridtopError, match=r"out\.dat exists already; add --force"):
            export(recording, "-o", out)
        assert out.with_suffix(".dat").read_text() == "precious"
        export(recording, "-o", out, "--force")
        with pytest.raises(GridtopError, match="is the recording itself"):
            export(recording, "-o", recording, "--force")
        with pytest.raises(GridtopError, match="is the recording itself"):
            export(out, "-o", out, "--force")

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (["nothing.csv", "-o", "x.csv"], 3, "no such file"),
            (["pmu.csv", "-o", "x.txt"], 2, "cannot tell the format"),
            (["pmu.csv", "-o", "x.csv", "--format", "parquet"], 2, "ends in .parquet"),
            (["pmu.csv", "-o", "no/x.csv"], 2, "no folder"),
            (["pmu.csv", "-o", "x.csv", "--from", "noon"], 2, "is no time"),
            (["pmu.csv", "-o", "x.csv", "--from", "2s", "--to", "1s"], 2, "not after"),
            (["pmu.csv", "-o", "x.csv", "--rows", "5"], 2, "no range of rows"),
            (["pmu.csv", "-o", "x.csv", "--rows", "5:5"], 2, "holds no row"),
            (["pmu.csv", "-o", "x.csv", "--rows", "4:9"], 2, "it has rows 0 to 3"),
            (["pmu.csv", "-o", "x.cfg", "--to", "2020-01-01"], 2, "there is no frame in that part"),
            (["pmu.csv", "-o", "x.csv", "--channels", "R7*"], 2, "no channel is called R7*"),
            (["pmu.csv", "-o", "x.csv", "--encoding", "ASCII"], 2, "COMTRADE only"),
            (["pmu.csv", "-o", "x.csv", "-c", "none.yaml"], 78, "none.yaml"),
        ],
    )
    def test_a_mistake_is_one_message_and_leaves_no_file(
        self,
        recording: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        code: int,
        told: str,
    ) -> None:
        monkeypatch.chdir(recording.parent)
        with pytest.raises(SystemExit) as ended:
            main(["export", *arguments])
        assert ended.value.code == code
        error = capsys.readouterr().err
        assert told in error
        assert "Traceback" not in error
        assert [path.name for path in recording.parent.iterdir()] == ["pmu.csv"]

    def test_what_comes_before_a_defect_is_exported_and_the_code_says_source(self, tmp_path: Path) -> None:
        text = cfg([analog(1, "x")], rates=("1", "50,5"))
        source = put(tmp_path, text, "1,0,1\n2,0,2\n3,0,3\n")
        for name in ("out.csv", "out.cfg"):
            result = export(source, "-o", tmp_path / name, code=3)
            assert "the file ends after sample 3, r.cfg says 5" in result.output
            assert "Only what comes before is in" in result.output
            assert contents(open_recording(tmp_path / name, ChannelMap()))[0].tolist() == [[1], [2], [3]]


def test_a_long_recording_needs_little_memory(tmp_path: Path) -> None:
    frames = 30_000
    data = np.zeros(frames, dtype=[("n", "<u4"), ("t", "<u4"), ("v", "<i2", (64,))])
    data["n"] = np.arange(1, frames + 1)
    lines = [analog(i, f"x{i}") for i in range(1, 65)]
    source = put(tmp_path, cfg(lines, rates=("1", f"50,{frames}"), encoding="BINARY"), data.tobytes(), "long")
    whole = frames * 64 * 8
    for name in ("out.cfg", "out.csv"):
        tracemalloc.start()
        export(source, "-o", tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < whole, name
