"""Recordings are read exactly, whatever their form, and bad ones end in one clear line."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.recordings import PIECE_BYTES, Recording, open_recording
from gridtop.recordings.tables import table_of

TEXT, IGNORED = ChannelMeaning(quantity="label"), ChannelMeaning(ignore=True)
MISSING, UNREADABLE, INFINITE = Quality.MISSING, Quality.UNREADABLE, Quality.INFINITE
reuse_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(folder: Path, text: str | bytes, name: str = "pmu.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def opened(
    path: Path, piece_bytes: int = PIECE_BYTES, rate: float | None = None, **map_: ChannelMeaning
) -> Recording:
    return open_recording(path, ChannelMap(map_), rate, piece_bytes)


@dataclass
class Contents:
    """Everything a recording gives, and the error that ends it."""

    time: np.ndarray
    values: np.ndarray
    quality: np.ndarray
    labels: dict[str, list[str]]
    rows: list[int]
    error: str = ""

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Contents)
        arrays = [(self.time, other.time), (self.values, other.values), (self.quality, other.quality)]
        return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in arrays) and (
            (self.labels, self.rows, self.error) == (other.labels, other.rows, other.error)
        )


def contents(recording: Recording, start: int = 0) -> Contents:
    blocks: list[Block] = []
    error = ""
    try:
        blocks.extend(recording.blocks(start))
    except SourceError as problem:
        error = str(problem)
    width = len(recording.channels)
    no_flags = [np.zeros(block.values.shape, np.uint16) for block in blocks]
    flags = [b.quality if b.quality is not None else none for b, none in zip(blocks, no_flags, strict=True)]
    return Contents(
        np.concatenate([np.zeros(0, "datetime64[ns]"), *(block.time for block in blocks)]),
        np.concatenate([np.zeros((0, width)), *(block.values for block in blocks)]),
        np.concatenate([np.zeros((0, width), np.uint16), *flags]),
        {
            name: [str(x) for b in blocks for x in b.labels[name]]
            for name in (blocks[0].labels if blocks else ())
        },
        [int(row) for block in blocks for row in block.rows],
        error,
    )


def read(path: Path, piece_bytes: int = PIECE_BYTES, **map_: ChannelMeaning) -> Contents:
    """The contents of a file, or the error it is refused with."""
    try:
        return contents(opened(path, piece_bytes, **map_))
    except SourceError as problem:
        nothing = np.zeros((0, 0))
        return Contents(np.zeros(0, "datetime64[ns]"), nothing, nothing, {}, [], str(problem))


def refusal(path: Path, **map_: ChannelMeaning) -> str:
    """The one line with which a recording is refused."""
    with pytest.raises(SourceError) as caught:
        list(opened(path, **map_).blocks())
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is read


def test_a_recording_without_times_counts_rows_at_its_rate(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, "R1:F,marker\n60.0,Natural\n60.1,Attack\n"), rate=50)
    assert (recording.channels.rate, recording.channels.clock) == (50, "row")
    (block,) = recording.blocks()
    assert block.time.tolist() == [0, 20_000_000]
    assert block.labels["marker"].tolist() == ["Natural", "Attack"]
    assert block.quality is None
    assert opened(tmp_path / "pmu.csv").channels.rate == 30


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["2026-01-01T00:00:00", "2026-01-01T00:00:00.5"], "2026-01-01T00:00:00"),
        (["2026-01-01 00:00:00Z", "2026-01-01 00:00:00.500Z"], "2026-01-01T00:00:00"),
        (["2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.5Z"], "2026-01-01T00:00:00"),
        (["1604899122.33879", "1604899122.83879"], "2020-11-09T05:18:42.338790"),
        (["1604899122338.79", "1604899122838.79"], "2020-11-09T05:18:42.338790"),
        (["1604899122338790", "1604899122838790"], "2020-11-09T05:18:42.338790"),
        (["1604899122338790123", "1604899122838790123"], "2020-11-09T05:18:42.338790123"),
        (["0", "0.5"], "1970-01-01T00:00:00"),
    ],
)
def test_times_are_exact_in_every_usual_form(tmp_path: Path, cells: list[str], first: str) -> None:
    recording = opened(write(tmp_path, "x,Time\n" + "".join(f"1,{cell}\n" for cell in cells)))
    (block,) = recording.blocks()
    assert block.time[0] == np.datetime64(first)
    assert block.time[1] - block.time[0] == np.timedelta64(500, "ms")
    assert (recording.channels.rate, recording.channels.clock) == (2.0, "utc")


def test_the_rate_is_measured_in_spite_of_gaps_and_stamps_cut_to_milliseconds(tmp_path: Path) -> None:
    frames = [k for k in range(300) if not 100 <= k < 160]
    text = "time,x\n" + "".join(f"{1_700_000_000_000 + k * 1000 // 30},1\n" for k in frames)
    for configured in (None, 50):  # a rate is for recordings without times
        assert opened(write(tmp_path, text), rate=configured).channels.rate == pytest.approx(30, rel=1e-3)


def test_units_are_converted_and_labels_and_ignored_columns_leave_the_values(tmp_path: Path) -> None:
    path = write(tmp_path, "U_kV,phi,f_dev,note,kind\n131.5,3.141592653589793,-25,ab,x\n")
    (block,) = opened(
        path,
        U_kV=ChannelMeaning(quantity="voltage", unit="kV", terminal="T", phase="A"),
        phi=ChannelMeaning(quantity="voltage", unit="rad", terminal="T", phase="A"),
        f_dev=ChannelMeaning(quantity="frequency", unit="mHz", offset=50_000),
        note=IGNORED,
        kind=TEXT,
    ).blocks()
    assert block.values[0] == pytest.approx([131_500, 180, 49.975])
    assert [channel.unit for channel in block.channels] == ["V", "deg", "Hz"]
    assert block.labels["kind"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("cell", "flag"),
    [
        *((cell, INFINITE) for cell in ("inf", "-inf", "Infinity", "+INF", "1.#INF", "-1.#INF", "1e999")),
        *((cell, MISSING) for cell in ("", " ", "NaN", "nan", "NA", "n/a", "null", "None", "-", "-1.#IND")),
        *(
            (cell, UNREADABLE)
            for cell in ("ab", "1_0", "0x10", "1 2", "1e", "--1", "١٢", "1.5.2", "=A1", "1d5")
        ),
    ],
)
def test_a_cell_without_a_number_is_nan_and_its_flag_says_why(tmp_path: Path, cell: str, flag: int) -> None:
    (block,) = opened(write(tmp_path, f"x,y\n1,2\n{cell},4\n5,6\n")).blocks()
    assert block.quality is not None
    assert block.quality.tolist() == [[0, 0], [flag, 0], [0, 0]]
    assert math.isnan(block.values[1, 0])
    assert block.values[[0, 2]].tolist() == [[1, 2], [5, 6]]


@pytest.mark.parametrize("cell", ["+1.5", " 1.5", "1.5 ", "15e-1", "1.5E0", "01.5", '"1.5"', '" 1.5"'])
def test_numbers_are_understood_however_they_are_written(tmp_path: Path, cell: str) -> None:
    assert read(write(tmp_path, f"x,y\n{cell},2\n")).values.tolist() == [[1.5, 2]]


def test_true_and_false_are_one_and_zero(tmp_path: Path) -> None:
    assert read(write(tmp_path, "breaker\ntrue\nFalse\nTRUE\n\n0\n")).values[:, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        b"x,y\n1,2\n3,4\n",
        b"\xef\xbb\xbfx,y\n1,2\n3,4",
        b"x,y\r\n1,2\r\n3,4\r\n",
        b"x;y\n1;2\n3;4\n",
        b"x\ty\n1\t2\n3\t4\n",
        b'"x","y"\n"1","2"\n"3","4"\n',
        b"\n\nx,y\n\n1,2\n   \n3,4\n\n\n",
        gzip.compress(b"x,y\n1,2\n3,4\n", mtime=0),
        gzip.compress(b"x,y\n1,2\n", mtime=0) + gzip.compress(b"3,4\n", mtime=0),
    ],
)
def test_every_usual_dress_of_a_csv_file_is_read(tmp_path: Path, text: bytes) -> None:
    for piece_bytes in (1, 5, PIECE_BYTES):
        found = read(write(tmp_path, text, "any name"), piece_bytes)
        assert found.values.tolist() == [[1, 2], [3, 4]]
        assert not found.error


def test_quoted_cells_may_hold_commas_line_breaks_and_quotation_marks(tmp_path: Path) -> None:
    text = 'x,note\n1,"a,b"\n2,"two\nlines"\n3,"say ""hi"""\n4,5" pipe\n5,plain\n'
    for piece_bytes in (1, 8, PIECE_BYTES):
        found = read(write(tmp_path, text), piece_bytes, note=TEXT)
        assert found.labels["note"] == ["a,b", "two lines", 'say "hi"', '5" pipe', "plain"]
        assert found.values[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_text_from_the_file_is_made_harmless(tmp_path: Path) -> None:
    found = read(write(tmp_path, "x,note\n1,\x1b[2Jboo\n2,\xff\n".encode("latin-1")), note=TEXT)
    assert found.labels["note"] == ["\ufffd[2Jboo", "\ufffd"]


def test_values_are_decided_by_the_map_alone_not_by_the_chunk_they_fall_into(tmp_path: Path) -> None:
    text = "time,x,y\n" + "".join(
        f"{k},{'-0' if k % 3 else '-0.5'},{'' if k == 57 else k}\n" for k in range(90)
    )
    everything = read(write(tmp_path, text))
    assert len(everything.rows) == 90
    assert not np.signbit(everything.values[1, 0])
    for piece_bytes in (1, 33, 400):
        assert read(tmp_path / "pmu.csv", piece_bytes) == everything


# Invariants

numbers = st.lists(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    min_size=1,
    max_size=30,
)


@reuse_folder
@given(table=numbers, piece_bytes=st.integers(1, 300))
def test_any_table_of_numbers_comes_back_bit_by_bit(
    tmp_path: Path, table: list[list[float]], piece_bytes: int
) -> None:
    text = "a,b,c\n" + "".join(",".join(map(repr, row)) + "\n" for row in table)
    assert read(write(tmp_path, text), piece_bytes).values.tolist() == table


CELLS = [
    "1",
    "-2.5",
    "1e5",
    "inf",
    "1.#INF",
    "",
    "NaN",
    "-",
    "ab",
    "True",
    " 7",
    "9" * 25,
    "9" * 400,
    "18446744073709551615",
    "007",
    "0.10",
]
CELLS += [
    "a,b",
    "c\nd",
    'say "x"',
    "NA",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\r",
    "x\ry",
]


@reuse_folder
@given(
    rows=st.lists(st.lists(st.sampled_from(CELLS), min_size=3, max_size=3), min_size=1, max_size=12),
    raggedness=st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["drop", "add", "blank"])), max_size=2),
    end=st.sampled_from(["\n", "\r\n"]),
    piece_bytes=st.integers(1, 120),
)
def test_where_the_text_is_cut_changes_nothing(
    tmp_path: Path, rows: list[list[str]], raggedness: list[tuple[int, str]], end: str, piece_bytes: int
) -> None:
    ragged: list[Sequence[str]] = list(rows)
    for at, how in raggedness:
        if at < len(rows):
            ragged[at] = {"drop": rows[at][:-1], "add": [*rows[at], "8"], "blank": []}[how]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows([["time", "x", "y", "note"]])
    for k, row in enumerate(ragged):
        csv.writer(out, lineterminator=end).writerow([str(k), *row] if row else [])
    path = write(tmp_path, out.getvalue())
    everything = read(path, note=TEXT)
    assert read(path, piece_bytes, note=TEXT) == everything
    (tmp_path / "packed").mkdir(exist_ok=True)
    packed = write(tmp_path / "packed", gzip.compress(path.read_bytes()))
    assert read(packed, piece_bytes, note=TEXT) == everything


@reuse_folder
@given(
    data=st.one_of(
        st.binary(max_size=400),
        st.text('0123456789.,;-\t\r\n" eEnaif\x00x', max_size=300).map(str.encode),
        st.text('01,\n"', max_size=200).map(lambda text: b"time,x,y\n" + text.encode()),
    ),
    wrap=st.sampled_from(
        [
            bytes,
            gzip.compress,
            lambda data: gzip.compress(data)[:-9],
            lambda data: b"\x1f\x8b" + data,
            lambda data: b"PAR1" + data + b"PAR1",
        ]
    ),
    piece_bytes=st.integers(1, 500),
    columns=st.sampled_from([None, ("x",), ("time", "x"), ("time", "x", "y")]),
)
def test_any_bytes_give_a_recording_or_one_clear_line(
    tmp_path: Path, data: bytes, wrap: object, piece_bytes: int, columns: tuple[str, ...] | None
) -> None:
    assert callable(wrap)
    problem = ""
    try:
        path = write(tmp_path, wrap(data))
        recording = open_recording(path, ChannelMap(), None, piece_bytes, columns=columns)
        for block in recording.blocks():
            assert len(block)
            assert not np.isinf(block.values).any()
            assert (np.diff(block.time) > np.timedelta64(0, "ns")).all()
        recording.row_at(np.datetime64("2026-01-01", "ns"))
    except SourceError as error:
        problem = str(error)
    assert "\n" not in problem
    assert not problem or problem.startswith("pmu.csv: ")


@reuse_folder
@given(
    start=st.integers(0, 70), piece_bytes=st.integers(1, 300), passed=st.integers(0, 60), packed=st.booleans()
)
def test_reading_from_a_row_gives_what_follows_it(
    tmp_path: Path, start: int, piece_bytes: int, passed: int, packed: bool
) -> None:
    text = "time,x,note\n" + "".join(
        f'{k}.5,{k},"{k}"\n' if k % 9 == 0 else f"{k}.5,{k},n\n" for k in range(60)
    )
    path = write(tmp_path, gzip.compress(text.encode()) if packed else text)
    recording = opened(path, piece_bytes, note=TEXT)
    for block in recording.blocks():
        if block.row >= passed:
            break
    assert contents(recording, start).rows == list(range(start, 60))
    assert contents(recording, start).values[:, 0].tolist() == list(range(start, 60))


# Without a header

BARE = "2026-01-01 00:00:00,25.5,a\n2026-01-01 00:00:10,-3.5,b\n"
NAMES = ("time", "f", "note")


@pytest.mark.parametrize(
    "text",
    [
        BARE,
        "\n\n" + BARE,
        "\ufeff" + BARE.replace("\n", "\r\n"),
        BARE.replace(",", ";"),
        BARE.replace("25.5", '"25.5"'),
        BARE.removesuffix("\n"),
    ],
)
def test_every_line_is_a_row_when_the_columns_are_named_elsewhere(tmp_path: Path, text: str) -> None:
    for content in (text.encode(), gzip.compress(text.encode(), mtime=0)):
        path = write(tmp_path, content)
        for piece_bytes in (1, 30, PIECE_BYTES):
            found = contents(
                open_recording(path, ChannelMap({"note": TEXT}), None, piece_bytes, columns=NAMES)
            )
            assert found.time.tolist() == [1_767_225_600 * 10**9, 1_767_225_610 * 10**9]
            assert found.values.tolist() == [[25.5], [-3.5]]
            assert found.labels == {"note": ["a", "b"]}
            assert not found.error


@reuse_folder
@given(
    table=numbers, piece_bytes=st.integers(1, 300), start=st.integers(0, 29), dress=st.sampled_from(["", '"'])
)
def test_the_same_rows_come_with_a_header_and_with_names_from_elsewhere(
    tmp_path: Path, table: list[list[float]], piece_bytes: int, start: int, dress: str
) -> None:
    rows = "".join(",".join(f"{dress}{value!r}{dress}" for value in row) + "\n" for row in table)
    with_header = opened(write(tmp_path, f"a,b,c\n{rows}", "header.csv"), piece_bytes)
    path = write(tmp_path, rows, "bare.csv")
    bare = open_recording(path, ChannelMap(), None, piece_bytes, columns=["a", "b", "c"])
    assert contents(bare, start) == contents(with_header, start)
    assert bare.extent == with_header.extent
    assert bare.channels == with_header.channels


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        ("1,2\n3,4\n", ["x"], "pmu.csv: line 1: 2 cells, source.columns names 1"),
        ("\n1\n", ["x", "y"], "pmu.csv: line 2: 1 cell, source.columns names 2"),
        ("1,2\n3\n", ["x", "y"], "pmu.csv: line 2 (row 2): 1 cell, source.columns names 2"),
        ("1,2\n", ["x", "x"], "pmu.csv: two columns are called 'x' (columns 1 and 2)"),
        ("x,y\n1,2\n", ["a", "b"], "pmu.csv: line 1 holds names, not values; take source.columns out"),
        ("1,2\n0,3\n", ["time", "x"], "line 2 (row 2), column 'time' (column 1): time runs backwards"),
        ("", ["x"], "pmu.csv: the file is empty"),
    ],
)
def test_columns_that_do_not_fit_the_file_are_told_in_one_line(
    tmp_path: Path, text: str, columns: list[str], told: str
) -> None:
    with pytest.raises(SourceError) as caught:
        list(open_recording(write(tmp_path, text), ChannelMap(), columns=columns).blocks())
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_header_is_refused_with_what_to_write(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, "1,2\n3,4\n")) == (
        "pmu.csv: line 1 holds values, not names; name the 2 columns in source: with columns: [...], or let "
        "gridtop inspect print the configuration"
    )


def test_only_a_csv_file_can_be_without_names(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"x": [1.0]}), tmp_path / "a.parquet")
    write(tmp_path, "station,dev,1999\n", "a.cfg")
    for name, kind in (("a.parquet", "Parquet"), ("a.cfg", "COMTRADE")):
        with pytest.raises(SourceError, match=rf"^{name}: source.columns .* CSV .*; {kind} names its own"):
            open_recording(tmp_path / name, ChannelMap(), columns=["x"])


def test_a_table_of_no_column_of_numbers_has_its_rows_all_the_same() -> None:
    table = table_of(7, 2, [], None, {"note": ["a", "b"]})
    assert (len(table), table.values.shape, table.row) == (2, (2, 0), 7)


# Extent, seeking, identity


def test_extent_is_known_when_a_small_recording_is_opened(tmp_path: Path) -> None:
    text = "time,x\n" + "".join(f"{1_700_000_000 + k},1\n" for k in range(1000))
    extent = opened(write(tmp_path, text), 100).extent
    assert extent is not None
    assert (extent.frames, extent.last - extent.first) == (1000, np.timedelta64(999, "s"))


def test_extent_of_a_large_recording_is_known_once_its_end_was_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtop.recordings.recording._SURVEYED_BYTES", 500)
    path = write(tmp_path, gzip.compress(b"time,x\n" + b"".join(b"%d,1\n" % k for k in range(1000))))
    recording = opened(path, 100)
    assert recording.extent is None
    assert sum(map(len, recording.blocks())) == 1000
    assert recording.extent is not None
    assert recording.extent.frames == 1000


@pytest.mark.parametrize("surveyed", [10, 64 << 20])
def test_row_at_finds_the_first_row_at_or_after_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surveyed: int
) -> None:
    monkeypatch.setattr("gridtop.recordings.recording._SURVEYED_BYTES", surveyed)
    recording = opened(write(tmp_path, "time,x\n" + "".join(f"{10 * k},1\n" for k in range(200))), 64)
    for second, row in [(-5, 0), (0, 0), (1, 1), (10, 1), (505, 51), (1990, 199), (99999, 199), (500, 50)]:
        assert recording.row_at(np.datetime64(second, "s").astype("datetime64[ns]")) == row


def test_row_at_counts_rows_where_there_are_no_times(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, "x\n" + "1\n" * 100), 16, rate=10)
    assert recording.row_at(np.datetime64(2500, "ms").astype("datetime64[ns]")) == 25
    assert recording.row_at(np.datetime64(2501, "ms").astype("datetime64[ns]")) == 26
    assert recording.row_at(np.datetime64(1, "D").astype("datetime64[ns]")) == 99


def test_identity_is_that_of_the_data_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    here = opened(write(tmp_path, "x\n1\n"))
    assert opened(write(tmp_path / "other", "x\n1\n")).identity == here.identity
    assert opened(write(tmp_path, "x\n2\n")).identity != here.identity


# What is refused


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "pmu.csv: the file is empty"),
        (b"\n \n\n", "pmu.csv: the file is empty"),
        (b"x,y\n", "pmu.csv: there is a header but no row of values"),
        (b"x,y", "pmu.csv: there is a header but no row of values"),
        (b"1,2\n3,4\n", "pmu.csv: line 1 holds values, not names"),
        (b"2014-01-10 00:00:00,25.6\n", "pmu.csv: line 1 holds values, not names"),
        (b"x,y\n1,2\n3\n", "pmu.csv: line 3 (row 2): 1 cell, the header has 2"),
        (b"x,y\n1,2\n3,4,5\n", "pmu.csv: line 3 (row 2): 3 cells, the header has 2"),
        (b"x,y,z\n1,2,3\n1,2\n1,2,3,4\n", "pmu.csv: line 3 (row 2): 2 cells, the header has 3"),
        (b"x,y,z\n1,2,3,4\n1,2\n", "pmu.csv: line 2 (row 1): 4 cells, the header has 3"),
        (b"x,y,x\n1,2,3\n", "pmu.csv: two columns are called 'x' (columns 1 and 3)"),
        (
            b"x,mac\n1,ab:cd\n2,\n",
            "pmu.csv: column 'mac' (column 2) holds text such as 'ab:cd'; map it under channels",
        ),
        (
            b"x,a,b\n1,q,r\n",
            "pmu.csv: columns 'a' (column 2), 'b' (column 3) hold text such as 'q'; map each",
        ),
        (b"time,marker\n1,q\n", "pmu.csv: no column is a channel"),
        (
            b"time,x\n1,1\n3,1\n2,1\n",
            "column 'time' (column 1): time runs backwards: 1970-01-01T00:00:02 comes after "
            "1970-01-01T00:00:03 in row 2",
        ),
        (
            b"time,x\n1,1\n\n1,1\n",
            "line 4 (row 2), column 'time' (column 1): time repeats: 1970-01-01T00:00:01",
        ),
        (b"x,time\n1,1e999999999\n", "'1e999999999' is not a time"),
        (b"x,time\n1,now\n", "line 2 (row 1), column 'time' (column 2): 'now' is not a time"),
        (
            b"x,time\n1," + b"9" * 25 + b"\n",
            f"line 2 (row 1), column 'time' (column 2): '{'9' * 25}' is not a time",
        ),
        (b"x,time\n1,11:00:00\n", "'11:00:00' is not a time"),
        (b"x,time\n1,1\n2,\n", "line 3 (row 2), column 'time' (column 2): '' is not a time"),
        (b"x,time\n1,2026-01-01\n2,9999-01-01\n", "'9999-01-01' is not a time"),
        (b"x,y\n1,\0\n", "pmu.csv: this is a binary file, not CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0", "pmu.csv: this is a binary file, not CSV"),
        (b"PK\x03\x04\n", "pmu.csv: this is a ZIP or Excel file; save it as CSV in UTF-8"),
        ("x,y\n1,2\n".encode("utf-16"), "pmu.csv: this is UTF-16 text; save it as CSV in UTF-8"),
        (
            gzip.compress(b"x,y\n" + bytes(range(256)).hex().encode())[:-20],
            "pmu.csv: the gzip data is damaged or cut short",
        ),
        (b"\x1f\x8bnonsense", "pmu.csv: the gzip data is damaged or cut short"),
        (b'x,y\n1,"2\n' + b"3,4\n" * 60_000, "is a quotation mark not closed?"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_bad_input_ends_in_one_line_that_says_where(tmp_path: Path, text: bytes, told: str) -> None:
    assert told in refusal(write(tmp_path, text))


def test_a_missing_file_is_told_with_names_like_it(tmp_path: Path) -> None:
    write(tmp_path, "x\n1\n", "two-line.csv")
    assert "did you mean two-line.csv?" in refusal(tmp_path / "twoline.csv")
    assert "there is no folder" in refusal(tmp_path / "nowhere" / "a.csv")
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is not a file" in refusal(tmp_path / "pipe.csv")


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, "x\n1\n")
    monkeypatch.setattr(Path, "open", refuse)
    assert "no permission to read it" in refusal(path)


def test_frames_before_a_defect_are_given_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtop.recordings.recording._HEAD_BYTES", 16)
    path = write(tmp_path, "time,x\n" + "".join(f"{k},1\n" for k in range(50)) + "49,1\n")
    for piece_bytes in (10, 100, PIECE_BYTES):
        found = read(path, piece_bytes)
        assert found.rows == list(range(50))
        assert "line 52 (row 51), column 'time' (column 1): time repeats" in found.error


# Parquet


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    table = arrow.table(
        {
            "time": arrow.array([1_000, 2_000, 3_000], arrow.timestamp("ms", tz="Europe/Berlin")),
            "R1:F": [60.0, None, math.inf],
            "count": arrow.array([1, 2, 3], arrow.int32()),
            "closed": [True, False, None],
            "written": ["1.5", "ab", "2.5"],
            "marker": ["Natural", None, "Attack"],
        }
    )
    path = tmp_path / "pmu.parquet"
    parquet.write_table(table, path, row_group_size=2)
    recording = opened(path)
    found = contents(recording)
    assert found.time.astype("int64").tolist() == [10**9, 2 * 10**9, 3 * 10**9]
    assert found.quality.tolist() == [[0, 0, 0, 0], [MISSING, 0, 0, UNREADABLE], [INFINITE, 0, MISSING, 0]]
    assert found.values[0].tolist() == [60, 1, 1, 1.5]
    assert found.labels == {"marker": ["Natural", "", "Attack"]}
    assert recording.extent is not None
    assert recording.extent.frames == 3
    assert contents(recording, 2).rows == [2]
    assert recording.row_at(np.datetime64(1500, "ms").astype("datetime64[ns]")) == 1


def test_parquet_numbers_of_every_width_are_read_exactly(tmp_path: Path) -> None:
    largest = 2**63 - 1
    table = arrow.table(
        {
            "long": arrow.array([largest, None, -(2**53) - 1], arrow.int64()),
            "whole": arrow.array([largest, 7, -(2**53) - 1], arrow.int64()),
            "unsigned": arrow.array([2**64 - 1, 0, 1], arrow.uint64()),
            "single": arrow.array([0.1, None, -math.inf], arrow.float32()),
            "double": arrow.array([0.1, None, 5e-324], arrow.float64()),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    found = contents(opened(tmp_path / "a.parquet"))
    single = float(np.float32(0.1))
    assert found.values[0].tolist() == [float(largest), float(largest), float(2**64 - 1), single, 0.1]
    assert found.quality.tolist()[1:] == [[MISSING, 0, 0, MISSING, MISSING], [0, 0, 0, INFINITE, 0]]
    assert found.values[2].tolist()[:3] == [-(2.0**53), -(2.0**53), 1.0]
    assert found.values[2][4] == 5e-324


@pytest.mark.parametrize("times", [[1.7e9, 1.7e9 + 0.25], [1_700_000_000_000, 1_700_000_000_250]])
def test_parquet_times_may_be_numbers(tmp_path: Path, times: list[float]) -> None:
    parquet.write_table(arrow.table({"time": times, "x": [1, 2]}), tmp_path / "a.parquet")
    (block,) = opened(tmp_path / "a.parquet").blocks()
    assert block.time[0] == np.datetime64("2023-11-14T22:13:20")
    assert block.time[1] - block.time[0] == np.timedelta64(250, "ms")


def test_bad_parquet_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(arrow.table({"x": [1.0], "time": ["2026-01-01"]}), tmp_path / "one.parquet")
    assert opened(tmp_path / "one.parquet").extent is not None
    assert "the Parquet data is damaged" in refusal(write(tmp_path, b"PAR1 and more", "a.parquet"))
    assert "this is not a Parquet file" in refusal(write(tmp_path, b"x\n1\n", "b.parquet"))
    parquet.write_table(arrow.table({"x": arrow.array([], arrow.float64())}), tmp_path / "c.parquet")
    assert "no row of values" in refusal(tmp_path / "c.parquet")
    parquet.write_table(arrow.table({"x": [1.0, 2.0], "when": [[1], [2]]}), tmp_path / "d.parquet")
    assert "column 'when' (column 2) holds text such as '[1]'" in refusal(tmp_path / "d.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(tmp_path / "d.parquet") == 'reading Parquet needs pyarrow: pip install "gridtop[parquet]"'
