"""Recordings of live data: what comes back, what survives, what is refused, and how they stay small."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.commands.root import run
from gridtop.errors import GridtopError, SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.recorder import MOST_WAITING, Recorder, fresh_path
from gridtop.recording_settings import RecordingSettings
from gridtop.recordings import Recording, open_recording
from gridtop.recordings.file_kinds import kind_of
from gridtop.recordings.native_writing import RecordingWriter
from gridtop.recordings.series import MOST_FILES, RecordingSeries
from tests.streams import block_of, channel_set, times

CHANNELS = ChannelSet(
    (
        Channel("R1-PM1:V", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral"),
        Channel("R1-PA1:VH", "voltage", "deg", "R1", "A", "angle", "line_to_neutral"),
        Channel("R1:h5.B", "voltage_harmonic", "%", "R1", "B", "value", "", True, 5),
    ),
    rate=29.97,
)


def opened(path: Path, **how: int) -> Recording:
    return open_recording(path, ChannelMap(), **how)


def all_of(recording: Recording, start: int = 0) -> Block:
    """Everything from a row on as one block; flags that are all good as zeros."""
    blocks = list(recording.blocks(start))
    names = {name for block in blocks for name in block.labels}
    return Block(
        recording.channels,
        np.concatenate([block.time for block in blocks]),
        np.concatenate([block.values for block in blocks]),
        np.concatenate([flags_of(block) for block in blocks]),
        {name: np.concatenate([block.labels[name] for block in blocks]) for name in names},
        blocks[0].row,
    )


def flags_of(block: Block) -> np.ndarray:
    return np.zeros(block.values.shape, np.uint16) if block.quality is None else block.quality


def assert_same(one: Block, other: Block) -> None:
    """To the bit: NaN with its payload, minus zero, flags, times and labels."""
    assert np.array_equal(one.time, other.time)
    assert np.array_equal(one.values.view(np.uint64), other.values.view(np.uint64))
    assert np.array_equal(flags_of(one), flags_of(other))
    assert {name: label.tolist() for name, label in one.labels.items()} == {
        name: label.tolist() for name, label in other.labels.items()
    }


def ramp(frames: int, first: int = 0, channels: ChannelSet | None = None) -> Block:
    """Frames whose values say which they are."""
    channels = channels or channel_set("R1:F", "R2:F")
    values = np.arange(first, first + frames, dtype=float)[:, None] + np.linspace(0, 0.5, len(channels))
    return Block(channels, times(frames, 10.0, first), values, row=first)


def noise(frames: int, first: int = 0, channels: int = 50) -> Block:
    """Frames that cannot be packed."""
    names = channel_set(*(f"R{number}:F" for number in range(channels)))
    values = np.random.default_rng(first).normal(size=(frames, channels))
    return Block(names, times(frames, 10.0, first), values, row=first)


def record(path: Path, *blocks: Block, **bounds: object) -> RecordingWriter:
    """A closed recording of some blocks, each in a commit of its own."""
    writer = RecordingWriter(path, blocks[0].channels, **{"size_mb": 100, **bounds})  # type: ignore[arg-type]
    for block in blocks:
        writer.write([block])
    writer.close()
    return writer


def in_files_of(channels: ChannelSet, path: Path, source: str = "") -> RecordingSeries:
    def open_writer(path: Path, before: np.datetime64 | None) -> RecordingWriter:
        return RecordingWriter(path, channels, size_mb=10, source=source, before=before)

    return RecordingSeries(path, open_writer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live.gridtop"


FLOATS = st.floats(width=64, allow_infinity=False)
TEXTS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x1F600, exclude_categories=["C", "Z"]), max_size=9
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Block, list[int]]:
    """Some frames, and where they are cut into blocks."""
    n, c = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    steps = draw(st.lists(st.integers(1, 2**40), min_size=n, max_size=n))
    start = draw(st.integers(-(2**60), 2**60))
    cells = draw(st.lists(FLOATS, min_size=n * c, max_size=n * c))
    bits = st.lists(st.sampled_from([0, 0, 0, *map(int, Quality), 1023]), min_size=n * c, max_size=n * c)
    quality = draw(st.none() | bits)
    labels = draw(st.dictionaries(TEXTS.filter(bool), st.lists(TEXTS, min_size=n, max_size=n), max_size=2))
    clock = draw(st.sampled_from(["utc", "row"]))
    block = Block(
        ChannelSet(tuple(Channel(f"R{i}:x") for i in range(c)), draw(st.none() | st.floats(0.1, 1e4)), clock),
        (start + np.cumsum(steps)).view("datetime64[ns]"),
        np.array(cells).reshape(n, c),
        None if quality is None else np.array(quality, np.uint16).reshape(n, c),
        {name: np.array(texts, dtype=np.str_) for name, texts in labels.items()},
    )
    return block, sorted(draw(st.sets(st.integers(1, n), max_size=6)))


class TestWhatComesBack:
    @given(streams(), st.integers(1, 64))
    @settings(max_examples=60)
    def test_every_cut_into_blocks_comes_back_to_the_bit(
        self, tmp_path_factory: pytest.TempPathFactory, stream: tuple[Block, list[int]], piece: int
    ) -> None:
        block, cuts = stream
        path = tmp_path_factory.mktemp("recordings") / "x"
        record(path, *(block.slice(a, b) for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)))
        recording = opened(path, piece_bytes=piece)
        assert recording.channels == block.channels
        assert_same(all_of(recording), block)
        start = len(block) // 2
        assert_same(all_of(recording, start), block.slice(start, len(block)))
        assert recording.extent is not None
        assert recording.extent.frames == len(block)

    def test_channels_come_back_with_everything_that_is_known_of_them(self, path: Path) -> None:
        record(path, block_of([[1.0, 2.0, 3.0]], CHANNELS))
        assert opened(path).channels == CHANNELS

    def test_the_channels_section_and_the_rate_of_a_configuration_change_nothing(self, path: Path) -> None:
        record(path, block_of([[1.0, 2.0, 3.0]] * 5, CHANNELS))
        scaling = ChannelMap({"*": ChannelMeaning(quantity="current", scale=1000.0)})
        recording = open_recording(path, scaling, 50.0)
        assert recording.channels == CHANNELS
        assert all_of(recording).values[0].tolist() == [1.0, 2.0, 3.0]

    def test_columns_for_it_are_a_mistake(self, path: Path) -> None:
        record(path, ramp(3))
        with pytest.raises(SourceError, match="gridtop names its own, so take it out"):
            open_recording(path, ChannelMap(), columns=["a"])

    def test_a_value_that_a_block_may_not_hold_comes_back_as_infinite(self, path: Path) -> None:
        record(path, block_of([[np.inf, 1.0], [2.0, -np.inf]], channel_set("a", "b")))
        found = all_of(opened(path))
        assert np.isnan(found.values).tolist() == [[True, False], [False, True]]
        assert found.quality is not None
        assert found.quality.tolist() == [[Quality.INFINITE, 0], [0, Quality.INFINITE]]

    def test_labels_may_come_and_go(self, path: Path) -> None:
        plain, more = ramp(4), ramp(4, 4)
        labelled = Block(
            more.channels, more.time, more.values, labels={"marker": np.array(["", "a", "a", "b"])}, row=4
        )
        record(path, plain, labelled, ramp(2, 8))
        found = list(opened(path).blocks())
        assert [list(block.labels) for block in found] == [[], ["marker"], []]
        assert found[1].labels["marker"].tolist() == ["", "a", "a", "b"]

    @given(row=st.integers(0, 59), offset=st.integers(-(10**8), 10**8))
    @settings(max_examples=40)
    def test_a_row_is_found_by_its_time(self, shared: Recording, row: int, offset: int) -> None:
        moment = times(60)[row] + np.timedelta64(offset, "ns")
        assert shared.row_at(moment) == min(int(np.searchsorted(times(60), moment)), 59)

    @pytest.fixture(scope="class")
    def shared(self, tmp_path_factory: pytest.TempPathFactory) -> Recording:
        path = tmp_path_factory.mktemp("shared") / "x.gridtop"
        writer = record(path, ramp(20), ramp(20, 20))
        # Opened again, it goes on in a new chunk.
        writer = RecordingWriter(path, ramp(1).channels, size_mb=100)
        writer.write([ramp(20, 40)])
        writer.close()
        return opened(path)

    def test_it_is_recognised_by_what_is_in_it(self, tmp_path: Path) -> None:
        record(tmp_path / "odd.csv", ramp(3))
        assert kind_of(tmp_path / "odd.csv") == "gridtop"
        other = tmp_path / "other.gridtop"
        with sqlite3.connect(other) as connection:
            connection.execute("CREATE TABLE t (x)")
        with pytest.raises(SourceError, match="a SQLite database, but no recording of gridtop"):
            opened(other)

    def test_one_in_which_nothing_was_recorded_yet_is_said_to_be_so(self, path: Path) -> None:
        RecordingWriter(path, ramp(1).channels, size_mb=1).close()
        with pytest.raises(SourceError, match=r"^live.gridtop: nothing has been recorded in it yet$"):
            opened(path)


class TestGrowing:
    def test_it_is_read_while_it_is_written_as_far_as_it_reached_when_it_was_opened(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        writer.write([ramp(5)])
        early = opened(path)
        reader = early.blocks()
        writer.write([ramp(5, 5)])  # into the same chunk
        late = opened(path)
        assert_same(next(reader), ramp(5))
        assert next(reader, None) is None
        assert_same(all_of(late), ramp(10))
        assert early.row_at(times(1, first=9)[0]) == 4
        assert early.identity == late.identity
        writer.close()

    def test_one_file_is_left_and_it_needs_no_other(self, path: Path) -> None:
        record(path, ramp(5))
        assert os.listdir(path.parent) == [path.name]
        assert all_of(opened(path)).values.shape == (5, 2)
        assert os.listdir(path.parent) == [path.name]

    def test_it_goes_on_where_it_ended(self, path: Path) -> None:
        record(path, ramp(7))
        identity = opened(path).identity
        again = RecordingWriter(path, ramp(1).channels, size_mb=100)
        assert (again.frames, again.last) == (7, times(7)[-1])
        again.write([ramp(6, 4)])  # three of them are there already
        assert (again.frames, again.dropped) == (10, 3)
        again.close()
        assert_same(all_of(opened(path)), ramp(10))
        assert opened(path).identity == identity

    def test_frames_that_are_not_later_than_the_last_are_left_out_and_counted(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        shuffled = Block(ramp(1).channels, times(6)[[0, 2, 1, 2, 5, 4]], np.arange(12.0).reshape(6, 2), row=0)
        writer.write([shuffled, ramp(3, 3)])
        assert (writer.frames, writer.dropped) == (3, 6)
        writer.close()
        assert all_of(opened(path)).time.tolist() == times(6)[[0, 2, 5]].tolist()

    @pytest.mark.parametrize(
        ("channels", "words"),
        [
            (channel_set("R1:F", "R3:F"), r"other channels \('R2:F'\)"),
            (channel_set("R1:F", "R2:F", "R3:F"), r"other channels \('R3:F'\)"),
            (channel_set("R2:F", "R1:F"), "in another order"),
            (channel_set("R1:F", "R2:F", rate=25.0), "it has 10 frames/s, the source 25"),
            (channel_set("R1:F", "R2:F", rate=None), "the source an unknown number of"),
            (ChannelSet(channel_set("R1:F", "R2:F").channels, 10.0, "row"), "one has times"),
        ],
    )
    def test_another_stream_does_not_go_on_in_it(self, path: Path, channels: ChannelSet, words: str) -> None:
        record(path, ramp(3))
        with pytest.raises(GridtopError, match=f"{words}.*; give another name"):
            RecordingWriter(path, channels, size_mb=10)
        assert_same(all_of(opened(path)), ramp(3))

    def test_a_stream_without_times_goes_on_nowhere(self, path: Path) -> None:
        rows = ChannelSet(ramp(1).channels.channels, 10.0, "row")
        record(path, ramp(3, channels=rows))
        with pytest.raises(GridtopError, match="it has no times"):
            RecordingWriter(path, rows, size_mb=10)

    def test_two_do_not_write_to_one_file(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        with pytest.raises(GridtopError, match=f"process {os.getpid()} is recording to"):
            RecordingWriter(path, ramp(1).channels, size_mb=10)
        writer.write([ramp(2)])
        writer.close()
        RecordingWriter(path, ramp(1).channels, size_mb=10).close()

    def test_what_is_no_recording_stays_as_it_is(self, tmp_path: Path) -> None:
        notes, link, folder = tmp_path / "notes", tmp_path / "link", tmp_path / "folder"
        notes.write_text("precious")
        link.symlink_to(tmp_path / "nowhere")
        folder.mkdir()
        for place, words in ((notes, "no recording"), (link, "is a link"), (folder, "is no file")):
            with pytest.raises(GridtopError, match=words):
                RecordingWriter(place, ramp(1).channels, size_mb=10)
        with pytest.raises(GridtopError, match="there is no folder"):
            RecordingWriter(tmp_path / "none" / "x", ramp(1).channels, size_mb=10)
        assert notes.read_text() == "precious"
        assert sorted(os.listdir(tmp_path)) == ["folder", "link", "notes"]

    def test_an_empty_file_becomes_a_recording(self, path: Path) -> None:
        path.touch()  # what is left when a process ends before its first commit
        record(path, ramp(2))
        assert_same(all_of(opened(path)), ramp(2))

    def test_others_may_read_it_as_the_umask_says(self, path: Path) -> None:
        before = os.umask(0o027)
        try:
            record(path, ramp(2))
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


class TestTheRing:
    def test_the_file_stays_within_its_bound_and_keeps_the_newest(self, path: Path) -> None:
        writer = RecordingWriter(path, noise(1).channels, size_mb=2)
        largest = 0
        for first in range(0, 20_000, 200):  # 8 MB
            writer.write([noise(200, first)])
            largest = max(largest, writer.bytes)
        assert path.stat().st_size <= 2_000_000
        assert largest <= 3_000_000  # with the log
        writer.close()
        found = all_of(opened(path))
        assert len(found) == writer.frames
        assert found.row == 0
        assert 4500 < len(found) < 6000
        assert found.time[-1] == times(1, first=19_999)[0]
        last = noise(200, 19_800)
        assert_same(found.slice(len(found) - 200, len(found)), Block(last.channels, last.time, last.values))
        assert (np.diff(found.time) == np.timedelta64(100, "ms")).all()

    def test_rows_count_from_the_oldest_frame_and_the_identity_says_so(self, path: Path) -> None:
        writer = RecordingWriter(path, noise(1).channels, size_mb=1)
        writer.write([noise(100)])
        before = opened(path).identity
        for first in range(100, 6000, 100):
            writer.write([noise(100, first)])
        after = opened(path)
        assert after.identity != before
        assert after.row_at(after.extent.first) == 0
        writer.close()

    def test_one_large_write_keeps_to_the_bound(self, path: Path) -> None:
        writer = RecordingWriter(path, noise(1).channels, size_mb=1)
        writer.write([noise(8000)])  # 3.2 MB
        assert path.stat().st_size <= 1_000_000
        assert writer.frames == len(all_of(opened(path)))
        writer.close()

    def test_what_is_older_than_is_to_be_kept_goes(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10, keep=timedelta(seconds=60))
        for first in range(0, 3000, 10):
            writer.write([ramp(10, first)])
        writer.close()
        assert 600 <= writer.frames <= 640  # by chunks of two seconds
        assert all_of(opened(path)).time[0] >= times(1, first=2999)[0] - np.timedelta64(64, "s")

    def test_a_lower_bound_is_reached_little_by_little(self, path: Path) -> None:
        record(path, *(noise(200, first) for first in range(0, 8000, 200)))
        writer = RecordingWriter(path, noise(1).channels, size_mb=1)
        assert writer.frames == 8000
        for first in range(8000, 9000, 100):
            writer.write([noise(100, first)])
        assert writer.frames < 2600
        writer.close()
        assert len(all_of(opened(path))) == writer.frames

    def test_a_replay_that_the_ring_overtakes_ends_in_clear_words(self, path: Path) -> None:
        writer = RecordingWriter(path, noise(1).channels, size_mb=1)
        for first in range(0, 2000, 100):
            writer.write([noise(100, first)])
        recording = opened(path, piece_bytes=1)
        reader = recording.blocks()
        next(reader)
        for first in range(2000, 6000, 100):
            writer.write([noise(100, first)])
        with pytest.raises(
            SourceError, match=r"^live.gridtop: the frames to be read next are gone: .*open it"
        ):
            next(reader)
        writer.close()

    def test_another_file_in_its_place_is_not_taken_for_it(self, path: Path) -> None:
        record(path, ramp(5))
        recording = opened(path)
        path.unlink()
        record(path, ramp(5))
        with pytest.raises(SourceError, match="another recording has taken its place"):
            list(recording.blocks())

    def test_a_reader_that_never_ends_does_not_have_the_log_grow_for_ever(self, path: Path) -> None:
        writer = RecordingWriter(path, noise(1).channels, size_mb=1)
        writer.write([noise(100)])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT frames FROM chunk").fetchone()

        def write_for_ever() -> None:
            for first in range(100, 20_000, 100):
                writer.write([noise(100, first)])

        with pytest.raises(GridtopError, match="another program .* does not let go of it"):
            write_for_ever()
        assert writer.bytes < 3_000_000
        frames = writer.frames
        other.close()
        writer.write([noise(100, 30_000)])
        assert frames - 5000 < writer.frames <= frames + 100
        writer.close()


KILLED = """\
import sys, numpy as np
from pathlib import Path
from gridtop.recordings.native_writing import RecordingWriter
from gridtop.recordings.series import MOST_FILES, RecordingSeries
from tests.streams import channel_set, times
from tests.test_live_recordings import ramp
writer = RecordingWriter(Path(sys.argv[1]), ramp(1).channels, size_mb=10)
first = 0
while True:
    writer.write([ramp(10, first)])
    first += 10
    print(first, flush=True)
"""


class TestTroubles:
    def test_kill_9_costs_nothing_that_was_committed(self, path: Path) -> None:
        told = 0
        for _ in range(3):
            with subprocess.Popen(
                [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                for _ in range(25):
                    told = int(process.stdout.readline())
                process.send_signal(signal.SIGKILL)
                told = int(([str(told), *process.stdout.read().split()])[-1])
            found = all_of(opened(path))
            # It may have been killed between the commit and telling of it.
            assert len(found) in (told, told + 10)
            assert_same(found, ramp(len(found)))
            path.unlink()  # the log that is left belongs to nothing now
        record(path, ramp(3))
        assert_same(all_of(opened(path)), ramp(3))

    def test_after_kill_9_it_goes_on(self, path: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        frames = writer.frames
        assert frames >= 10
        writer.write([ramp(5, frames)])
        writer.close()
        assert_same(all_of(opened(path)), ramp(frames + 5))
        assert os.listdir(path.parent) == [path.name]

    def test_nothing_of_a_write_that_failed_is_kept_and_it_can_be_repeated(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        writer.write([ramp(10)])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.write([ramp(10, 5)])
        assert (writer.frames, writer.dropped) == (10, 0)
        other.close()
        writer.write([ramp(10, 5)])
        assert (writer.frames, writer.dropped) == (15, 5)
        writer.close()
        assert_same(all_of(opened(path)), ramp(15))

    def test_a_file_that_was_removed_is_noticed(self, path: Path) -> None:
        writer = RecordingWriter(path, ramp(1).channels, size_mb=10)
        writer.write([ramp(10)])
        path.unlink()
        with pytest.raises(GridtopError, match="was removed or replaced"):
            writer.write([ramp(10, 10)])
        writer.close()


class TestDistrust:
    @pytest.fixture(scope="class")
    def good(self, tmp_path_factory: pytest.TempPathFactory) -> bytes:
        path = tmp_path_factory.mktemp("good") / "good.gridtop"
        labelled = [
            Block(
                noise(1, channels=5).channels,
                times(40, first=first),
                noise(40, first, channels=5).values,
                np.full((40, 5), Quality.SUSPECT, np.uint16),
                {"marker": np.array(["Natural", "Attack"] * 20)},
            )
            for first in (0, 40)
        ]
        writer = RecordingWriter(path, labelled[0].channels, size_mb=1, keep=timedelta(minutes=1))
        for block in labelled:
            writer.write([block])
        writer.close()
        return path.read_bytes()

    @given(st.data())
    @settings(max_examples=150)
    def test_flipped_bytes_are_refused_in_one_line_or_read(
        self, good: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        damaged = bytearray(good)
        for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=12)):
            damaged[at] = data.draw(st.integers(0, 255))
        self.read(bytes(damaged), tmp_path_factory)

    def test_names_of_tables_that_are_no_text_are_refused_in_one_line(
        self, good: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        for old in (b"tablechunkchunk", b"tableheadhead", b"CREATE TABLE head (id"):
            assert old in good
            self.read(good.replace(old, old.replace(b"e", b"\xf1")), tmp_path_factory)
            self.read(good.replace(old, old[:-2] + b"\xff\xfe"), tmp_path_factory)

    @given(st.integers(0, 40_000))
    @settings(max_examples=40)
    def test_files_cut_short_are_refused_in_one_line(
        self, good: bytes, tmp_path_factory: pytest.TempPathFactory, length: int
    ) -> None:
        self.read(good[:length], tmp_path_factory)

    @staticmethod
    def read(contents: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.mktemp("damaged") / "x.gridtop"
        path.write_bytes(contents)
        refusal = ""
        try:
            recording = opened(path)
            moment = recording.extent.last if recording.extent is not None else times(1)[0]
            for block in recording.blocks():
                assert np.isfinite(block.values[~np.isnan(block.values)]).all()
            recording.row_at(moment - np.timedelta64(1, "ns"))
        except SourceError as error:
            refusal = str(error)
        assert "\n" not in refusal
        assert len(refusal) < 400

    @pytest.fixture
    def change(self, path: Path) -> Callable[..., Iterator[None]]:
        """Record something, then have a stranger change it."""
        record(path, *(ramp(2000, first) for first in (0, 2000, 4000)))

        def changed(*statements: str, values: tuple[object, ...] = ()) -> None:
            connection = sqlite3.connect(path, isolation_level=None)
            for statement in statements:
                connection.execute(statement, values)
            connection.close()

        return changed  # type: ignore[return-value]

    @pytest.mark.parametrize(
        ("statement", "words"),
        [
            ("UPDATE head SET clock = 'moon'", "an unknown clock"),
            ("UPDATE head SET rate = -1", "an impossible frame rate"),
            ("UPDATE head SET rate = 'x'", "an impossible frame rate"),
            ("UPDATE head SET id = 5", "no id"),
            ("UPDATE head SET channels = x'00ff'", "not text"),
            ("UPDATE head SET channels = '[[[['", "no JSON"),
            ("UPDATE head SET channels = '[]'", "number of channels"),
            ("UPDATE head SET channels = '[1]'", "without a name"),
            ('UPDATE head SET channels = \'[{"name": "a", "part": "x"}]\'', "no known part"),
            ('UPDATE head SET channels = \'[{"name": "a", "order": "5"}]\'', "'a' has fields"),
            ('UPDATE head SET channels = \'[{"name": "a", "evil": 1}]\'', "'a' has fields"),
            ('UPDATE head SET channels = \'[{"name": "a"}, {"name": "a"}]\'', "two channels are called 'a'"),
            ("DELETE FROM head", "no head"),
            ("INSERT INTO head SELECT * FROM head", "no head"),
            ("DROP TABLE chunk", "its tables"),
            ("CREATE VIEW v AS SELECT 1", "its tables"),
            ("CREATE TRIGGER t AFTER INSERT ON chunk BEGIN SELECT 1; END", "its tables"),
            ("PRAGMA user_version = 7", r"newer gridtop \(format 7\); update gridtop"),
            ("UPDATE chunk SET frames = 0", "do not follow"),
            ("UPDATE chunk SET frames = 4000000000", "do not follow"),
            ("UPDATE chunk SET frames = 'many'", "that are none"),
            ("UPDATE chunk SET last = 1.5", "that are none"),
            ("UPDATE chunk SET last = last + 3600000000000", "do not follow"),
            ('UPDATE chunk SET "time" = NULL', "contradicts"),
            ("UPDATE chunk SET \"values\" = x'78da030000000001'", "too short"),
            ("UPDATE chunk SET \"values\" = x'ffff'", "damaged"),
            ("UPDATE chunk SET quality = x'78da030000000001'", "too short"),
            ("UPDATE chunk SET labels = x'78da030000000001'", "labels"),
            ('UPDATE chunk SET "values" = CAST("values" || x\'00\' AS BLOB)', "another length"),
        ],
    )
    def test_what_a_stranger_put_in_is_refused(
        self, path: Path, change: Callable[..., None], statement: str, words: str
    ) -> None:
        change(statement)
        with pytest.raises(SourceError, match=words):
            list(opened(path).blocks())

    def test_what_promises_to_become_huge_is_not_unpacked(
        self, path: Path, change: Callable[..., None]
    ) -> None:
        import tracemalloc
        import zlib

        bomb = zlib.compress(bytes(200_000_000), 9)
        for column in ("values", "time", "labels", "quality"):
            change(f'UPDATE chunk SET "{column}" = ?', values=(bomb,))
        recording = opened(path)
        tracemalloc.start()
        with pytest.raises(SourceError, match="another length"):
            list(recording.blocks())
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
        tracemalloc.stop()

    def test_a_piece_that_is_missing_is_damage(self, path: Path, change: Callable[..., None]) -> None:
        recording = opened(path, piece_bytes=1)
        change('DELETE FROM chunk WHERE "row" = 2000')
        with pytest.raises(SourceError, match="a piece is missing"):
            list(recording.blocks())

    def test_frames_before_the_damage_are_read(self, path: Path, change: Callable[..., None]) -> None:
        change('UPDATE chunk SET "values" = x\'00\' WHERE "row" = 4000')
        reader = opened(path).blocks()
        assert_same(next(reader), ramp(4000))
        with pytest.raises(SourceError, match="damaged"):
            next(reader)

    def test_names_and_labels_are_made_harmless(self, path: Path, change: Callable[..., None]) -> None:
        change('UPDATE head SET channels = \'[{"name": "a\\u001b[31m"}, {"name": "b", "unit": "\\u202e"}]\'')
        channels = opened(path).channels
        assert channels.names == ("a\ufffd[31m", "b")
        assert channels[1].unit == "\ufffd"


class TestTheRecorder:
    SETTINGS = RecordingSettings(size=10)

    def recorded(self, path: Path, *blocks: Block, settings: RecordingSettings = SETTINGS) -> Recorder:
        async def go() -> Recorder:
            recorder = await Recorder.begin(path, blocks[0].channels, settings, "test")
            for block in blocks:
                recorder.add(block)
            await recorder.close()
            await recorder.close()
            return recorder

        return asyncio.run(go())

    def test_all_that_was_handed_over_is_there_when_it_is_closed(self, path: Path) -> None:
        recorder = self.recorded(path, *(ramp(3, first) for first in range(0, 300, 3)))
        status = recorder.status()
        assert (status.path, status.frames, status.dropped, status.problem) == (str(path), 300, 0, "")
        assert status.bytes == path.stat().st_size
        assert_same(all_of(opened(path)), ramp(300))

    def test_the_bounds_are_those_of_the_settings(self, path: Path) -> None:
        settings = RecordingSettings(size=1, keep=timedelta(hours=1))
        recorder = self.recorded(
            path, *(noise(100, first) for first in range(0, 8000, 100)), settings=settings
        )
        assert recorder.status().bytes <= 1_000_000
        assert recorder.status().frames < 2600
        later = self.recorded(path, noise(3, 50_000), settings=settings)
        assert later.status().frames == 3

    def test_a_few_frames_are_committed_before_it_is_closed(self, path: Path) -> None:
        recorder = Recorder(in_files_of(ramp(1).channels, path), every=0.01)
        recorder.add(ramp(2))
        waiting = threading.Event()
        for _ in range(1000):
            if recorder.status().frames:
                break
            waiting.wait(0.01)
        assert_same(all_of(opened(path)), ramp(2))
        asyncio.run(recorder.close())

    def test_what_the_disk_does_not_take_is_dropped_and_counted(self, path: Path) -> None:
        writer = _Stubborn(path, noise(1).channels)
        recorder = Recorder(RecordingSeries(path, lambda *_: writer), every=0.01)
        writer.held.clear()  # a write that takes for ever
        frames = 0
        first = 0
        while not recorder.status().dropped:
            recorder.add(noise(1000, first))
            first += 1000
            frames += 1000
        assert frames * 508 > MOST_WAITING
        writer.held.set()
        asyncio.run(recorder.close())
        status = recorder.status()
        assert status.dropped == recorder.losses["came faster than the disk could take them"] == 1000
        assert status.frames == frames - 1000
        assert len(all_of(opened(path))) == status.frames

    def test_a_full_disk_is_a_problem_that_passes(self, path: Path) -> None:
        writer = _Stubborn(path, ramp(1).channels)
        recorder = Recorder(RecordingSeries(path, lambda *_: writer), every=0.01)
        writer.full.set()
        recorder.add(ramp(5))
        writer.refused.wait(10)
        writer.refused.clear()
        writer.refused.wait(10)
        assert recorder.status().problem == "the disk is full"
        assert recorder.status().dropped == 0
        writer.full.clear()
        recorder.add(ramp(5, 5))
        asyncio.run(recorder.close())
        assert (recorder.status().frames, recorder.status().problem) == (10, "")
        assert_same(all_of(opened(path)), ramp(10))

    def test_frames_that_never_got_onto_the_disk_are_counted_at_the_end(self, path: Path) -> None:
        writer = _Stubborn(path, ramp(1).channels)
        recorder = Recorder(RecordingSeries(path, lambda *_: writer), every=0.01)
        writer.full.set()
        recorder.add(ramp(5))
        asyncio.run(recorder.close())
        recorder.add(ramp(2))
        assert recorder.losses["could not be written at the end"] == 5
        assert recorder.status().dropped == 7
        assert recorder.status().problem == "the disk is full"

    def test_a_file_that_was_removed_is_begun_anew(self, path: Path) -> None:
        writers = []

        def open_writer(path: Path, before: np.datetime64 | None) -> RecordingWriter:
            writers.append(RecordingWriter(path, ramp(1).channels, size_mb=10, before=before))
            return writers[-1]

        recorder = Recorder(RecordingSeries(path, open_writer), every=0.01)
        recorder.add(ramp(5))
        waiting = threading.Event()
        while not recorder.status().frames:
            waiting.wait(0.01)
        path.unlink()
        recorder.add(ramp(5, 5))
        while len(writers) < 2:
            waiting.wait(0.01)
        asyncio.run(recorder.close())
        assert recorder.status().problem == ""
        assert_same(all_of(opened(path)), ramp(5, 5))

    def test_frames_of_the_past_are_a_problem_that_is_told(self, path: Path) -> None:
        recorder = self.recorded(path, ramp(5, 100))
        recorder = self.recorded(path, ramp(7))
        assert recorder.losses == {"were not later than the frame before": 7}
        assert "not later than the last one recorded, 2026-01-01T00:00:10.4" in recorder.status().problem

    def test_a_file_that_cannot_be_made_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(GridtopError, match="there is no folder"):
            self.recorded(tmp_path / "none" / "x.gridtop", ramp(1))

    def test_a_new_name_says_what_and_when_and_is_nobodys(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        settings = RecordingSettings(folder=Path("a/b"))
        names = []
        for source in ("c37118 192.0.2.10:4712", "../../etc/passwd\x1b[31m", "", "c37118 192.0.2.10:4712"):
            path = fresh_path(settings, source, 1_767_225_600.9)
            path.touch()
            names.append(str(path))
        assert names == [
            "a/b/c37118-192-0-2-10-4712-20260101T000000Z.gridtop",
            "a/b/etc-passwd-31m-20260101T000000Z.gridtop",
            "a/b/recording-20260101T000000Z.gridtop",
            "a/b/c37118-192-0-2-10-4712-20260101T000000Z-2.gridtop",
        ]
        with pytest.raises(GridtopError, match="there can be no folder .*set recording.folder"):
            fresh_path(RecordingSettings(folder=Path(names[0])), "x", 0.0)


class TestAClockThatWasPutBack:
    """Ten frames a second; a second's worth of late ones is a clock that was put back."""

    def recorded(self, path: Path, *blocks: Block, clock: Callable[[], float] = lambda: 0.0) -> Recorder:
        recorder = Recorder(in_files_of(blocks[0].channels, path, "test"), every=10, clock=clock)
        for block in blocks:
            recorder.add(block)
        asyncio.run(recorder.close())
        return recorder

    def test_its_frames_go_on_in_another_file_and_none_is_lost(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        ahead = [ramp(3, 36_000 + first) for first in range(0, 30, 3)]
        back = [ramp(3, first) for first in range(0, 30, 3)]
        recorder = self.recorded(path, *ahead, *back)
        second = path.with_name("live-2.gridtop")
        status = recorder.status()
        assert (status.path, status.frames, status.dropped, status.problem) == (str(second), 30, 0, "")
        assert_same(all_of(opened(path)), ramp(30, 36_000))
        assert_same(all_of(opened(second)), ramp(30))
        assert sorted(os.listdir(path.parent)) == ["live-2.gridtop", "live.gridtop"]
        assert caplog.messages == [
            f"recording {path}: time went back to 2026-01-01T00:00:00Z; it goes on in {second}"
        ]

    @pytest.mark.parametrize("piece", [1, 4, 10, 30])
    def test_how_its_frames_are_cut_into_blocks_changes_nothing(self, path: Path, piece: int) -> None:
        back = [ramp(min(piece, 30 - first), first) for first in range(0, 30, piece)]
        self.recorded(path, ramp(5, 100), *back)
        assert_same(all_of(opened(path.with_name("live-2.gridtop"))), ramp(30))

    def test_fewer_late_frames_than_a_second_holds_are_left_out_and_counted(self, path: Path) -> None:
        ten = [ramp(1, first) for first in range(9)]
        recorder = self.recorded(path, ramp(20, 100), *ten, ramp(20, 120), *ten)
        assert recorder.losses == {"were not later than the frame before": 18}
        assert os.listdir(path.parent) == [path.name]
        assert_same(all_of(opened(path)), ramp(40, 100))

    def test_late_frames_in_no_order_are_no_clock(self, path: Path) -> None:
        recorder = self.recorded(path, ramp(5, 100), *(ramp(3, first) for first in (6, 3, 0) * 10))
        assert recorder.status().dropped == 90
        assert os.listdir(path.parent) == [path.name]

    def test_another_file_is_begun_once_a_minute_at_most(self, path: Path) -> None:
        now = 0.0
        recorder = Recorder(in_files_of(ramp(1).channels, path), every=0.001, clock=lambda: now)
        wait = threading.Event()

        def add(first: int, frames: int, held: int, dropped: int = 0) -> None:
            """Hand over, and wait until the file holds so many frames and so many were left out."""
            recorder.add(ramp(frames, first))
            for _ in range(2000):
                status = recorder.status()
                if (status.frames, status.dropped) == (held, dropped):
                    return
                wait.wait(0.005)

        add(1000, 15, held=15)
        add(500, 10, held=10)
        now = 59.0
        add(100, 20, held=10, dropped=20)
        status = recorder.status()
        assert (status.path, status.dropped) == (str(path.with_name("live-2.gridtop")), 20)
        assert "not later than the last one recorded" in status.problem
        assert status.problem.endswith("left out; another file is begun 60 s after the last one")
        now = 61.0
        add(120, 20, held=20, dropped=20)
        asyncio.run(recorder.close())
        assert recorder.status().path == str(path.with_name("live-3.gridtop"))
        assert recorder.status().problem == ""
        assert_same(all_of(opened(path.with_name("live-3.gridtop"))), ramp(20, 120))

    def test_a_series_has_twenty_files_and_then_frames_are_left_out(self, path: Path) -> None:
        clock = iter(range(0, 10**9, 60))
        late = [ramp(10, 1000 - 10 * number) for number in range(1, 25)]
        recorder = self.recorded(path, ramp(10, 2000), *late, clock=lambda: float(next(clock)))
        assert len(os.listdir(path.parent)) == MOST_FILES
        assert recorder.losses == {"were not later than the frame before": 50}
        assert recorder.status().problem.endswith(
            "left out: there are 20 files of this recording, and none ends before"
        )

    def test_recorded_to_again_it_goes_on_in_the_first_file_that_ends_before(self, path: Path) -> None:
        self.recorded(path, ramp(10, 36_000), ramp(20))
        self.recorded(path, ramp(20, 20))
        assert_same(all_of(opened(path)), ramp(10, 36_000))
        assert_same(all_of(opened(path.with_name("live-2.gridtop"))), ramp(40))
        self.recorded(path, ramp(20, 36_010))
        assert_same(all_of(opened(path)), ramp(30, 36_000))
        self.recorded(path, ramp(20, 5))
        assert_same(all_of(opened(path.with_name("live-3.gridtop"))), ramp(20, 5))

    def test_what_is_beside_it_and_no_part_of_it_stays_as_it_is(self, path: Path) -> None:
        notes, other, source = (path.with_name(f"live-{number}.gridtop") for number in (2, 3, 4))
        notes.write_text("precious")
        record(other, block_of([[1.0, 2.0, 3.0]], CHANNELS), source="test")
        record(source, ramp(3), source="something else")
        path.with_name("live-5.gridtop").symlink_to(path.with_name("nowhere"))
        before = [file.read_bytes() for file in (notes, other, source)]
        recorder = self.recorded(path, ramp(5, 1000), ramp(10, 100))
        assert recorder.status().path == str(path.with_name("live-6.gridtop"))
        assert [file.read_bytes() for file in (notes, other, source)] == before
        assert not path.with_name("nowhere").exists()

    def test_a_disk_that_refuses_the_new_file_is_tried_again_and_nothing_is_lost(self, path: Path) -> None:
        refuse, refused = threading.Event(), threading.Event()
        refuse.set()

        def open_writer(path: Path, before: np.datetime64 | None) -> RecordingWriter:
            if before is not None and refuse.is_set():
                path.touch()  # what is left of a file for which there was no room
                refused.set()
                raise GridtopError("no room")
            return RecordingWriter(path, ramp(1).channels, size_mb=10, before=before)

        recorder = Recorder(RecordingSeries(path, open_writer), every=0.01)
        recorder.add(ramp(5, 1000))
        recorder.add(ramp(20))
        for _ in range(2):
            assert refused.wait(10)
            refused.clear()
        assert recorder.status().problem == "no room"
        refuse.clear()
        asyncio.run(recorder.close())
        assert recorder.status().dropped == 0
        assert_same(all_of(opened(path.with_name("live-2.gridtop"))), ramp(20))
        assert sorted(os.listdir(path.parent)) == ["live-2.gridtop", "live.gridtop"]

    def test_a_slow_stream_needs_three_frames(self, path: Path) -> None:
        slow = channel_set("R1:F", "R2:F", rate=0.1)
        late = [ramp(1, first, slow) for first in range(3)]
        assert self.recorded(path, ramp(3, 100, slow), *late[:2]).status().dropped == 2
        self.recorded(path, *late)
        assert len(all_of(opened(path.with_name("live-2.gridtop")))) == 3


class _Stubborn(RecordingWriter):
    """A writer whose disk is full or stands still when a test says so."""

    def __init__(self, path: Path, channels: ChannelSet) -> None:
        super().__init__(path, channels, size_mb=100)
        self.held, self.full, self.refused = threading.Event(), threading.Event(), threading.Event()
        self.held.set()

    def write(self, blocks: object) -> None:
        self.held.wait(30)
        if self.full.is_set():
            self.refused.set()
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        super().write(blocks)  # type: ignore[arg-type]


class TestCommands:
    @pytest.fixture
    def voltages(self, path: Path) -> Path:
        channels = ChannelSet(
            (Channel("R1-PM1:V", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral"),), 30.0
        )
        values = np.array([132e3] * 60 + [100e3] * 60 + [132e3] * 120)[:, None]
        quality = np.zeros((240, 1), np.uint16)
        quality[5] = Quality.SUSPECT
        record(path, Block(channels, times(240, 30.0), values, quality, {"marker": np.array(["a"] * 240)}))
        return path

    @pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.cfg"])
    def test_it_is_exported_like_any_other(self, voltages: Path, name: str) -> None:
        out = voltages.with_name(name)
        assert run(["export", str(voltages), "-o", str(out), "--rows", "10:50"]) == 0
        assert all_of(opened(out)).values.tolist() == all_of(opened(voltages), 10).values[:40].tolist()

    def test_a_part_of_it_can_be_kept_with_flags_labels_and_meanings(self, voltages: Path) -> None:
        out = voltages.with_name("part.gridtop")
        assert run(["export", str(voltages), "-o", str(out), "--rows", "3:50"]) == 0
        assert opened(out).channels == opened(voltages).channels
        whole = all_of(opened(voltages))
        assert_same(all_of(opened(out)), whole.slice(3, 50))
        assert run(["export", str(voltages), "-o", str(out)]) == 2  # it exists
        assert run(["export", str(voltages), "-o", str(out), "--force"]) == 0
        assert_same(all_of(opened(out)), whole)
        assert sorted(os.listdir(out.parent)) == ["live.gridtop", "part.gridtop"]

    def test_inspect_says_what_it_is(self, voltages: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["inspect", str(voltages)]) == 0
        told = capsys.readouterr().out
        assert "live.gridtop: gridtop, " in told
        assert "240 rows" in told
        assert "voltage_ll: 230 kV" in told


def test_the_rate_of_two_frames_a_step_and_a_gap_apart_is_measured(tmp_path: Path) -> None:
    # Between the two steps there is nothing, and the mean of nothing is no number.
    table = tmp_path / "gap.csv"
    table.write_text("time,x\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:00.1Z,2\n2026-01-01T01:00:00Z,3\n")
    assert opened(table).channels.rate == 10.0
