"""COMTRADE records as recordings: encodings, revisions, vendors' deviations, and errors with their line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import comtrade
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality, seconds_to_time
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.recordings import Recording, open_recording
from gridtop.recordings.comtrade_writing import Outline, comtrade_writer
from tests.comtrade_files import START, analog, cfg, packed, put

ROWS = [(1, -2), (3, 4), (-5, 6)]
TWO = [analog(1, "VA", "A"), analog(2, "IB", "B", "A")]
BEGIN = np.datetime64("2026-01-02T03:04:05", "ns")


def opened(path: Path, **meanings: ChannelMeaning) -> Recording:
    """The samples as they are, whatever their rate."""
    return open_recording(path, ChannelMap(meanings), waveform=False)


def values(recording: Recording, start: int = 0) -> np.ndarray:
    return np.vstack([block.values for block in recording.blocks(start)])


def flags(recording: Recording) -> np.ndarray:
    return np.vstack(
        [np.zeros(b.values.shape) if b.quality is None else b.quality for b in recording.blocks()]
    )


def times(recording: Recording) -> np.ndarray:
    return np.concatenate([block.time for block in recording.blocks()])


def ascii_lines(rows: object = ROWS) -> str:
    return "".join(f"{i},{i * 1000},{a},{b}\n" for i, (a, b) in enumerate(rows, start=1))  # type: ignore[arg-type, misc]


class TestEncodings:
    @pytest.mark.parametrize(
        ("encoding", "data"),
        [
            ("ASCII", ascii_lines().encode()),
            ("BINARY", packed("h", ROWS)),
            ("BINARY32", packed("i", ROWS)),
            ("FLOAT32", packed("f", ROWS)),
            ("float32", packed("f", ROWS)),
        ],
    )
    def test_every_encoding_gives_the_same_samples(self, tmp_path: Path, encoding: str, data: bytes) -> None:
        recording = opened(put(tmp_path, cfg(TWO, encoding=encoding), data))
        np.testing.assert_array_equal(values(recording), ROWS)
        np.testing.assert_array_equal(times(recording), BEGIN + np.arange(3) * np.timedelta64(1, "ms"))
        assert recording.channels.rate == 1000

    def test_status_bits_come_from_their_words(self, tmp_path: Path) -> None:
        digitals = [f"{i},D{i},,Bay,0" for i in range(1, 19)]
        data = packed("h", [(7,)] * 3, [(0b1, 0b10), (0x8000, 0), (0, 0b1)])
        recording = opened(put(tmp_path, cfg(TWO[:1], digitals, encoding="BINARY"), data))
        on = [{int(column) for column in np.flatnonzero(row)} for row in values(recording)[:, 1:]]
        assert on == [{0, 17}, {15}, {16}]
        assert recording.channels[1] == Channel("D1", "status", terminal="Bay", part="status")

    def test_scale_offset_and_ratio_lead_to_the_primary_side_in_base_units(self, tmp_path: Path) -> None:
        line = "1,VA,A,Bay,kV,0.5,1,0,-100,100,110,0.1,S"
        recording = opened(put(tmp_path, cfg([line]), "1,0,2\n2,0,4\n3,0,6\n"))
        np.testing.assert_allclose(values(recording)[:, 0], [2.2e6, 3.3e6, 4.4e6], rtol=1e-12)
        assert recording.channels[0].unit == "V"

    def test_one_file_record_reads_like_two(self, tmp_path: Path) -> None:
        for kind, data in (("ASCII", ascii_lines().encode()), ("float32", packed("f", ROWS))):
            size = f": {len(data)}" if kind != "ASCII" else ""
            text = f"--- file type: cfg ---\r\n{cfg(TWO, encoding=kind)}--- FILE TYPE: INF ---\r\n\r\n"
            path = tmp_path / "r.CFF"
            path.write_bytes(text.encode() + f"--- File Type: DAT {kind}{size} ---\r\n".encode() + data)
            np.testing.assert_array_equal(values(opened(path)), ROWS)

    def test_the_data_file_leads_to_its_configuration_in_any_case(self, tmp_path: Path) -> None:
        (tmp_path / "Fault.CFG").write_text(cfg(TWO))
        (tmp_path / "Fault.Dat").write_text(ascii_lines())
        for name in ("Fault.CFG", "Fault.Dat"):
            np.testing.assert_array_equal(values(opened(tmp_path / name)), ROWS)


class TestMissingValues:
    def test_each_encoding_has_its_mark(self, tmp_path: Path) -> None:
        nan = float("nan")
        for encoding, data in (
            ("ASCII", b"1,0,,99999\n2,0,nan,4\n3,0,-5,6\n"),
            ("BINARY", packed("h", [(-32768, -32768), (-32768, 4), (-5, 6)])),
            ("BINARY32", packed("i", [(-(2**31), -(2**31)), (-(2**31), 4), (-5, 6)])),
            ("FLOAT32", packed("f", [(nan, 3.4028234e38), (nan, 4), (-5, 6)])),
        ):
            recording = opened(put(tmp_path, cfg(TWO, encoding=encoding), data))
            np.testing.assert_array_equal(values(recording), [[nan, nan], [nan, 4], [-5, 6]], encoding)
            assert (flags(recording) == [[Quality.MISSING] * 2, [Quality.MISSING, 0], [0, 0]]).all()

    def test_infinite_and_unreadable_values_say_so(self, tmp_path: Path) -> None:
        recording = opened(put(tmp_path, cfg(TWO), "1,0,inf,1\n2,0,?,2\n3,0,5,6\n"))
        assert np.isnan(values(recording)[:2, 0]).all()
        assert flags(recording)[:, 0].tolist() == [Quality.INFINITE, Quality.UNREADABLE, 0]

    def test_minus_one_is_missing_in_1991_only_where_the_channel_cannot_hold_it(self, tmp_path: Path) -> None:
        lines = ["1,VA,A,Bay,V,1,0,0,0,4095", "2,VB,B,Bay,V,1,0,0,-2048,2047"]
        path = put(tmp_path, cfg(lines, first="S,R", encoding="BINARY"), packed("h", [(-1, -1)] * 3))
        row = values(opened(path))[0]
        assert np.isnan(row[0])
        assert row[1] == -1


class TestDeviations:
    def test_a_file_of_1991_has_no_revision_short_lines_and_the_month_first(self, tmp_path: Path) -> None:
        text = cfg(
            ["1,VA,A,Bay,kV,1,0,,-10,10"], ["1,TRIP,1"], first="Station,7", start="11/25/92,10:00:00.5"
        )
        recording = opened(put(tmp_path, text, "1,0,3,1\n2,0,3,0\n3,0,3,0\n"))
        assert recording.extent is not None
        assert recording.extent.first == np.datetime64("1992-11-25T10:00:00.5", "ns")
        assert recording.channels.names == ("VA", "TRIP")

    @pytest.mark.parametrize(
        ("start", "begin"),
        [
            ("03/25/2026,01:02:03", "2026-03-25T01:02:03"),  # the other way round where it must be
            ("2/1/07,1:2:3.5", "2007-01-02T01:02:03.5"),
            ("2026-01-02,24:00:00", "2026-01-03T00:00:00"),
            ("02.01.2026,03:04:05,123456789", "2026-01-02T03:04:05.123456789"),
        ],
    )
    def test_odd_dates_are_understood(self, tmp_path: Path, start: str, begin: str) -> None:
        recording = opened(put(tmp_path, cfg(TWO, start=start), ascii_lines()))
        assert times(recording)[0] == np.datetime64(begin, "ns")

    @pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
    def test_any_line_end_and_padding_will_do(self, tmp_path: Path, end: str) -> None:
        text = cfg(TWO).replace("\r\n", end).rstrip() + "\x1a" * 9
        data = ascii_lines().replace("\n", end) + "\x1a" * 300
        np.testing.assert_array_equal(values(opened(put(tmp_path, text, data))), ROWS)

    def test_binary_padding_and_samples_beyond_the_count_are_told_apart(self, tmp_path: Path) -> None:
        text = cfg(TWO, encoding="BINARY")
        padded = put(tmp_path, text, packed("h", ROWS) + b"\x1a" * 64)
        np.testing.assert_array_equal(values(opened(padded)), ROWS)
        longer = put(tmp_path, text, packed("h", [*ROWS, *ROWS]), "longer")
        np.testing.assert_array_equal(values(opened(longer)), [*ROWS, *ROWS])

    def test_separators_at_the_end_of_lines_and_blank_stamps_do_no_harm(self, tmp_path: Path) -> None:
        lines = [line + ",," for line in TWO]
        data = "1,,1,-2,\n2,,3,4,,\n\n3,,-5,6\n"
        np.testing.assert_array_equal(values(opened(put(tmp_path, cfg(lines), data))), ROWS)

    def test_latin_1_and_utf_8_names_both_read(self, tmp_path: Path) -> None:
        text = cfg([analog(1, "Tensão")], first="Estação,R,1999")
        for raw in (text.encode("latin-1"), text.encode(), b"\xef\xbb\xbf" + text.encode()):
            recording = opened(put(tmp_path, raw, "1,0,1\n2,0,2\n3,0,3\n"))
            assert recording.channels.names == ("Tensão",)

    def test_names_that_two_channels_share_are_told_apart(self, tmp_path: Path) -> None:
        text = cfg([analog(1, "X"), analog(2, "X")], ["1,X,,Bay,0", "2,,,Bay,0"])
        recording = opened(put(tmp_path, text, "1,0,1,2,0,1\n2,0,1,2,0,1\n3,0,1,2,0,1\n"))
        assert recording.channels.names == ("X (A1)", "X (A2)", "X (D1)", "D2")

    @pytest.mark.parametrize("start", ["", ",", "00/00/0000,00:00:00", "01/01/1970,00:00:00.000000"])
    def test_a_record_without_a_clock_plays_by_rows(self, tmp_path: Path, start: str) -> None:
        recording = opened(put(tmp_path, cfg(TWO, start=start), ascii_lines()))
        assert recording.channels.clock == "row"
        assert recording.channels.rate == 1000

    def test_time_zone_of_2013_leads_to_utc(self, tmp_path: Path) -> None:
        text = cfg(TWO, first="S,R,2013", rest=("1", "-5h30,-5h30", "0,0"))
        assert times(opened(put(tmp_path, text, ascii_lines())))[0] == BEGIN + np.timedelta64(330, "m")

    def test_without_rates_the_stamps_tell_the_time(self, tmp_path: Path) -> None:
        data = "1,10,1,-2\n2,20,3,4\n3,60,-5,6\n"
        for rates in (("0", "0,3"), ("0",), ("1", "0,3")):
            recording = opened(put(tmp_path, cfg(TWO, rates=rates, rest=("100",)), data))
            assert (times(recording) - BEGIN).astype(int).tolist() == [0, 1_000_000, 5_000_000]

    def test_stamps_that_run_over_32_bits_go_on(self, tmp_path: Path) -> None:
        rows = [bytes(packed("h", [(1, 2)]))[:4] + stamp.to_bytes(4, "little") + b"\1\0\2\0"
                for stamp in (2**32 - 3000, 2**32 - 2000, 0)]  # fmt: skip
        recording = opened(put(tmp_path, cfg(TWO, rates=("0", "0,3"), encoding="BINARY"), b"".join(rows)))
        assert (times(recording) - BEGIN).astype(int).tolist() == [0, 1_000_000, 3_000_000]

    def test_sections_of_different_rates_follow_each_other(self, tmp_path: Path) -> None:
        text = cfg(TWO, rates=("2", "1000,2", "100,4"))
        recording = opened(put(tmp_path, text, ascii_lines([*ROWS, (7, 8)])))
        assert (times(recording) - BEGIN).astype(int).tolist() == [0, 1_000_000, 2_000_000, 12_000_000]


class TestMeaning:
    @pytest.mark.parametrize(
        ("line", "quantity", "unit", "phase"),
        [
            (analog(1, "VA", "A", "kV"), "voltage", "V", "A"),
            (analog(1, "Ia", "", "KA"), "current", "A", "A"),
            (analog(1, "UL2", "", "volts"), "voltage", "V", "B"),
            (analog(1, "U2", "V2", "volt"), "voltage", "V", "B"),
            (analog(1, "V1 Phase C", "", "V"), "voltage", "V", "C"),
            (analog(1, "VAB", "", "V"), "voltage", "V", "AB"),
            (analog(1, "IN", "N", "A"), "current", "A", ""),
            (analog(1, "3I0", "", " A"), "current", "A", ""),
            (analog(1, "I_T", "t", "ampere"), "current", "A", "C"),
            (analog(1, "F", "", "HZ"), "frequency", "Hz", ""),
            (analog(1, "test/out", "", "none"), "other", "", ""),
        ],
    )
    def test_unit_and_phase_are_understood(
        self, tmp_path: Path, line: str, quantity: str, unit: str, phase: str
    ) -> None:
        channel = opened(put(tmp_path, cfg([line]), "1,0,1\n2,0,1\n3,0,1\n")).channels[0]
        assert (channel.quantity, channel.unit, channel.phase) == (quantity, unit, phase)
        assert channel.terminal == "Bay"

    def test_the_channels_section_comes_first(self, tmp_path: Path) -> None:
        meaning = ChannelMeaning(quantity="power", unit="MW", terminal="T", scale=2.0)
        recording = opened(
            put(tmp_path, cfg(TWO), ascii_lines()), **{"V*": meaning, "I*": ChannelMeaning(ignore=True)}
        )
        assert recording.channels.channels == (Channel("VA", "power", "W", "T"),)
        np.testing.assert_array_equal(values(recording)[:, 0], [2e6, 6e6, -10e6])


def broken(line: int, text: str) -> str:
    lines = cfg(TWO).split("\r\n")
    lines[line - 1] = text
    return "\r\n".join(lines)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (broken(1, "S,R,never"), "line 1, field 'revision'"),
            (broken(2, "many"), "line 2, field 'channels'"),
            (broken(2, "999999,999999A"), "only"),
            (broken(3, "1,VA,A,Bay,V,x,0"), "line 3, field 'a'"),
            (broken(3, "1,VA,A,Bay,V,1,nan"), "line 3, field 'b'"),
            (broken(2, "3,3A,0D"), "line 5, field 'a'"),
            (broken(2, "2,1A,1D"), "line 4, field 'name'"),
            (broken(5, "fifty"), "line 5, field 'frequency'"),
            (broken(6, "1e9"), "line 6, field 'number of sampling rates'"),
            (broken(7, "-1000,3"), "line 7, field 'rate'"),
            (broken(7, "1e12,3"), "line 7, field 'rate'"),
            (broken(7, "1000,2.5"), "line 7, field 'last sample'"),
            (broken(8, "yesterday,noon"), "line 8, field 'time of the first sample'"),
            (broken(8, "31/02/2026,00:00:00"), "line 8, field 'time of the first sample'"),
            (broken(10, "MORSE"), "line 10, field 'file type'"),
            ("S,R,1999\r\n2,2A\r\n", "only 0 lines follow"),
            ("", "before the numbers of channels"),
        ],
    )
    def test_a_mistake_names_line_and_field(self, tmp_path: Path, text: str, told: str) -> None:
        path = put(tmp_path, text, ascii_lines())
        with pytest.raises(SourceError, match="r.cfg") as caught:
            opened(path)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_missing_companion_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "r.cfg").write_text(cfg(TWO))
        with pytest.raises(SourceError, match="no r.dat beside it"):
            opened(tmp_path / "r.cfg")
        (tmp_path / "s.dat").write_text("")
        with pytest.raises(SourceError, match="no s.cfg beside it"):
            opened(tmp_path / "s.dat")

    def test_what_is_there_of_a_truncated_file_is_read_before_it_fails(self, tmp_path: Path) -> None:
        cut = packed("h", ROWS)[:-3]
        for encoding, data in (("BINARY", cut), ("ASCII", ascii_lines(ROWS[:2]).encode())):
            recording = opened(put(tmp_path, cfg(TWO, encoding=encoding), data))
            blocks = recording.blocks()
            np.testing.assert_array_equal(next(blocks).values, ROWS[:2])
            with pytest.raises(SourceError, match=r"r\.dat: the file .* after sample 2, r\.cfg says 3"):
                next(blocks)

    def test_a_line_of_the_wrong_length_ends_the_recording_behind_the_last_good_frame(
        self, tmp_path: Path
    ) -> None:
        blocks = opened(put(tmp_path, cfg(TWO), "1,0,1,-2\n2,0,3\n3,0,-5,6\n")).blocks()
        assert len(next(blocks)) == 1
        with pytest.raises(SourceError, match=r"r\.dat: line 2 \(sample 2\): 3 values, r\.cfg describes 4"):
            next(blocks)

    def test_stamps_that_do_not_rise_are_refused_where_they_stop(self, tmp_path: Path) -> None:
        blocks = opened(put(tmp_path, cfg(TWO, rates=("0",)), "1,0,1,1\n2,5,1,1\n3,5,1,1\n")).blocks()
        assert len(next(blocks)) == 2
        with pytest.raises(SourceError, match=r"r\.dat: sample 3: time stamp 5 does not come after 5"):
            next(blocks)

    def test_absurd_counts_cost_no_memory(self, tmp_path: Path) -> None:
        text = cfg(TWO, rates=("1", "1000,900000000000"), encoding="BINARY")
        path = put(tmp_path, text, packed("h", ROWS))
        tracemalloc.start()
        recording = opened(path)
        assert len(next(recording.blocks())) == 3
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 << 20

    def test_a_record_in_one_file_without_data_says_what_lacks(self, tmp_path: Path) -> None:
        path = tmp_path / "r.cff"
        path.write_text("hello")
        with pytest.raises(SourceError, match="no part '--- file type: CFG ---'"):
            opened(path)
        path.write_text("--- file type: CFG ---\n" + cfg(TWO, encoding="BINARY?"))
        with pytest.raises(SourceError, match="no part with data"):
            opened(path)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damage_never_ends_in_anything_but_one_line(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        raw = bytearray(cfg(TWO, ["1,T,,Bay,0"]).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(raw) - 1))
            raw[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=6))
        lines = data.draw(st.binary(max_size=60)) + ascii_lines().encode()
        path = put(tmp_path_factory.mktemp("damaged"), bytes(raw), lines)
        problem = ""
        try:
            for block in open_recording(path, ChannelMap()).blocks():
                assert not np.isinf(block.values).any()
        except SourceError as error:
            problem = str(error)
        assert "\n" not in problem


class TestGoingThrough:
    @pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
    def test_any_start_and_any_cut_give_the_same_frames(self, tmp_path: Path, encoding: str) -> None:
        rows = [(i % 1000, -i % 777) for i in range(30_000)]
        data = ascii_lines(rows).encode() if encoding == "ASCII" else packed("h", rows)
        path = put(tmp_path, cfg(TWO, rates=("1", "1000,30000"), encoding=encoding), data)
        whole = values(opened(path))
        np.testing.assert_array_equal(whole, rows)
        for start in (1, 4095, 12_345, 29_999):
            np.testing.assert_array_equal(values(opened(path), start), whole[start:])
        cut = open_recording(path, ChannelMap(), piece_bytes=32 * 2 * 99, waveform=False)
        assert {len(block) for block in cut.blocks()} == {99, 30_000 % 99}
        np.testing.assert_array_equal(values(cut), whole)

    def test_a_row_is_found_by_time(self, tmp_path: Path) -> None:
        recording = opened(put(tmp_path, cfg(TWO), ascii_lines()))
        for milliseconds, row in ((-5.0, 0), (0.0, 0), (0.4, 1), (1.0, 1), (99.0, 2)):
            assert recording.row_at(BEGIN + np.timedelta64(round(milliseconds * 1000), "us")) == row

    def test_identity_follows_the_data(self, tmp_path: Path) -> None:
        first = opened(put(tmp_path, cfg(TWO), ascii_lines())).identity
        assert opened(put(tmp_path, cfg(TWO), ascii_lines())).identity == first
        assert opened(put(tmp_path, cfg(TWO), ascii_lines([*ROWS[:2], (9, 9)]))).identity != first


CHANNELS = (
    Channel("VA", "voltage", "V", "Bay", "A", "magnitude", "line_to_neutral"),
    Channel("VA angle", "voltage", "deg", "Bay", "A", "angle", "line_to_neutral"),
    Channel("F", "frequency", "Hz", "Bay"),
    Channel("X", "other", "", "Bay"),
    Channel("trip", "status", "", "Bay", part="status"),
)
FLOAT32 = st.floats(
    width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100
)


@st.composite
def frames(draw: st.DrawFn) -> Block:
    count = draw(st.integers(1, 12))
    cell = st.one_of(st.just(float("nan")), FLOAT32)
    row = st.tuples(cell, cell, cell, cell, st.sampled_from([0.0, 1.0]))
    cells = np.array(draw(st.lists(row, min_size=count, max_size=count)))
    if draw(st.booleans()):
        time = BEGIN + seconds_to_time(np.arange(count) / 30.0).astype("timedelta64[ns]")
    else:
        steps = draw(st.lists(st.integers(1, 350_000_000), min_size=count, max_size=count))
        time = BEGIN + (np.cumsum(steps) * 1000).astype("timedelta64[ns]")
    return Block(ChannelSet(CHANNELS, 30.0), time, cells + 0.0)


def written(path: Path, block: Block, encoding: str, nominal: float = 60.0) -> Path:
    outline = Outline(block.channels)
    parts = [block.slice(0, len(block) // 2), block.slice(len(block) // 2, len(block))]
    for part in parts:
        outline.add(part)
    with comtrade_writer(path, outline, nominal, encoding) as writer:  # type: ignore[arg-type]
        for part in parts:
            writer.write(part)
    return path


class TestWriting:
    @settings(max_examples=60, deadline=None)
    @given(frames(), st.sampled_from(["FLOAT32", "ASCII"]))
    def test_what_is_written_comes_back_as_it_was(
        self, tmp_path_factory: pytest.TempPathFactory, block: Block, encoding: str
    ) -> None:
        path = written(tmp_path_factory.mktemp("written") / "r.cfg", block, encoding)
        recording = open_recording(path, ChannelMap())
        assert recording.channels.channels == CHANNELS
        np.testing.assert_array_equal(values(recording), block.values)
        np.testing.assert_array_equal(times(recording), block.time)

    @settings(max_examples=40, deadline=None)
    @given(frames())
    def test_binary_is_right_to_half_a_step_of_its_range(
        self, tmp_path_factory: pytest.TempPathFactory, block: Block
    ) -> None:
        recording = open_recording(
            written(tmp_path_factory.mktemp("written") / "r.cfg", block, "BINARY"), ChannelMap()
        )
        found = values(recording)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(block.values))
        for column in range(len(CHANNELS)):
            good = block.values[:, column][~np.isnan(block.values[:, column])]
            if good.size:
                step = max((good.max() - good.min()) / 65_534, 1e-30)
                error = np.nanmax(np.abs(found[:, column] - block.values[:, column]))
                assert error <= 0.51 * step + 1e-9 * np.abs(good).max()

    @pytest.mark.filterwarnings("ignore::UserWarning")
    @pytest.mark.parametrize("encoding", ["FLOAT32", "ASCII", "BINARY"])
    def test_another_reader_reads_the_same(self, tmp_path: Path, encoding: str) -> None:
        cells = np.array(
            [[131_000.0, -120.5, 60.0, 1.0, 1.0], [np.nan, 3.0, 59.99, 2.0, 0.0], [5, 6, 7, 8, 1]]
        )
        if encoding == "ASCII":
            cells[1, 0] = 99999.0  # that reader knows no blank
        time = BEGIN + np.array([0, 33_333_333, 66_666_667]).astype("timedelta64[ns]")
        path = written(tmp_path / "r.cfg", Block(ChannelSet(CHANNELS, 30.0), time, cells), encoding)
        record = comtrade.load(str(path))
        assert record.analog_channel_ids == ["VA", "VA angle", "F", "X"]
        assert record.status_channel_ids == ["trip"]
        np.testing.assert_allclose(np.array(record.analog).T, cells[:, :4], rtol=2e-5, atol=3)
        assert list(record.status[0]) == [1, 0, 1]
        np.testing.assert_allclose(record.time, [0, 1 / 30, 2 / 30], atol=1e-6)
        assert record.cfg.start_timestamp.isoformat() == "2026-01-02T03:04:05"

    def test_frames_without_a_clock_come_back_without_one(self, tmp_path: Path) -> None:
        time = seconds_to_time(np.arange(4) / 50.0)
        block = Block(ChannelSet(CHANNELS, 50.0, "row"), time, np.zeros((4, 5)))
        recording = open_recording(written(tmp_path / "r.cfg", block, "FLOAT32"), ChannelMap())
        assert (recording.channels.clock, recording.channels.rate) == ("row", 50.0)

    def test_names_cannot_break_out_of_their_field(self, tmp_path: Path) -> None:
        channels = ChannelSet((Channel("a,b", terminal="c,d"),), 30.0)
        block = Block(channels, np.array([BEGIN]), np.array([[1.0]]))
        recording = open_recording(written(tmp_path / "r.cfg", block, "ASCII"), ChannelMap())
        assert recording.channels.names == ("a;b",)
        assert START.startswith("02/01")
