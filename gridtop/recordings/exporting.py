"""Exports part of a recording to another format, and notes what the new file cannot say itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import GridtopError, SourceError
from gridtop.naming import ChannelMap
from gridtop.recordings.comtrade_writing import Outline, WrittenEncoding, comtrade_writer
from gridtop.recordings.native_copying import recording_writer
from gridtop.recordings.native_writing import SUFFIX
from gridtop.recordings.recording import DEFAULT_RATE, Recording, open_recording
from gridtop.recordings.stretches import Stretch
from gridtop.recordings.table_writing import csv_writer, parquet_writer, time_name
from gridtop.recordings.writing import FrameWriter, replacing

Format = Literal["csv", "parquet", "comtrade", "gridtop"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".cfg": "comtrade",
    SUFFIX: "gridtop",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported: a stretch of the recording, and the channels under some globs; none means all."""

    stretch: Stretch = field(default_factory=Stretch)
    channels: Sequence[str] = ()


@dataclass(slots=True)
class Exported:
    """What came of an export: the files written, the number of frames, what to tell the user, what failed."""

    files: list[Path]
    frames: int
    channels: int
    notes: list[str] = field(default_factory=list)
    problem: SourceError | None = None


def format_of(path: Path, given: str | None) -> Format:
    """The format of a file: as given, else by its suffix; GridtopError when neither says it."""
    suffix = next((end for end in _SUFFIXES if path.name.lower().endswith(end)), None)
    chosen = next((form for form in FORMATS if form == given), _SUFFIXES[suffix] if suffix else None)
    endings = " or ".join(end for end, form in _SUFFIXES.items() if chosen in (None, form))
    if chosen is None:
        raise GridtopError(
            f"cannot tell the format of {path}: let its name end in {endings}, or give --format"
        )
    if suffix is None or _SUFFIXES[suffix] != chosen:
        raise GridtopError(f"{path}: the name of a {chosen} recording ends in {endings}")
    return chosen


def files_of(path: Path, form: Format) -> list[Path]:
    """The files that an export to `path` may write."""
    files = [path, *([path.with_suffix(".dat")] if form == "comtrade" else [])]
    return [*files, channels_path(path)]


def channels_path(path: Path) -> Path:
    """Where the `channels:` section of an exported file is: `event.csv.channels.yaml` for `event.csv`."""
    return path.with_name(f"{path.name}.channels.yaml")


def export(
    recording: Recording,
    path: Path,
    form: Format,
    selection: Selection,
    *,
    encoding: WrittenEncoding = "FLOAT32",
    nominal: float | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> Exported:
    """Write the selected part of a recording to `path`, in bounded memory.

    When the recording goes wrong on the way, the frames before are written and `problem` says what it was.
    `nominal` is the grid's frequency for COMTRADE; without it, 50 or 60 Hz by the measured frequency.
    `progress` is told of every few frames written. Raises GridtopError when nothing is selected, SourceError
    when there is nothing to read, OSError when a file cannot be written.
    """
    channels, columns = _chosen(recording.channels, selection.channels)
    reading = _Reading(recording, selection.stretch, columns, channels)
    labels = [] if form == "comtrade" else _labels(reading)
    outline: Outline | None = None
    if form == "comtrade":
        outline = Outline(channels)
        for block in reading.blocks():
            outline.add(block)
        if not outline.frames:
            raise _nothing(recording, reading)
    exported = Exported([path], 0, len(channels))
    with _writer(path, form, channels, labels, outline, nominal or _nominal(reading), encoding) as writer:
        for block in reading.blocks():
            writer.write(block)
            exported.frames += len(block)
            progress(len(block))
        if not exported.frames:
            raise _nothing(recording, reading)
    exported.problem = reading.problem
    if outline is not None:
        exported.files.append(path.with_suffix(".dat"))
        if outline.inexact_nanoseconds >= 1000:
            exported.notes.append(
                f"times are kept to {outline.inexact_nanoseconds / 1000:.0f} us: COMTRADE gives them 32 bits"
            )
        if reading.has_labels:
            exported.notes.append("labels are not kept: COMTRADE has only numbers; use csv or parquet")
    if form == "gridtop":
        return exported  # it says everything itself
    _write_meanings(path, form, channels, labels, exported)
    if channels.clock == "row" and form != "comtrade" and channels.rate not in (None, DEFAULT_RATE):
        exported.notes.append(f"it has no times: replay it with rate: {channels.rate:g}")
    return exported


class _Reading:
    """Reads the selected frames, as often as asked; `problem` is what ended the last reading early."""

    def __init__(
        self,
        recording: Recording,
        stretch: Stretch,
        columns: Sequence[int],
        channels: ChannelSet,
    ) -> None:
        self._recording, self._stretch = recording, stretch
        self._columns, self.channels = columns, channels
        self._all = len(columns) == len(recording.channels)
        self.problem: SourceError | None = None
        self.has_labels = False

    def blocks(self) -> Iterator[Block]:
        """The selected frames with the selected channels."""
        self.problem = None
        try:
            for block in self._stretch.blocks(self._recording):
                self.has_labels = self.has_labels or bool(block.labels)
                yield block if self._all else block.pick(self._columns, self.channels)
        except SourceError as error:
            self.problem = error


def _chosen(channels: ChannelSet, globs: Sequence[str]) -> tuple[ChannelSet, Sequence[int]]:
    if not globs:
        return channels, range(len(channels))
    patterns = ("*", *globs) if all(glob.startswith("!") for glob in globs) else tuple(globs)
    columns = channels.select(patterns)
    if not columns:
        raise GridtopError(
            f"no channel is called {' or '.join(globs)}; there are {', '.join(channels.names[:8])}"
            f"{', ...' if len(channels) > 8 else ''}"
        )
    return channels.subset(columns), columns


def _labels(reading: _Reading) -> list[str]:
    """The names of the labels, from the first frames."""
    first = next(reading.blocks(), None)
    return list(first.labels) if first is not None else []


def _nominal(reading: _Reading) -> float:
    """50 or 60 Hz, whichever is nearer to the first frequency in the recording; 60 when there is none."""
    first = next(reading.blocks(), None)
    for column, channel in enumerate(reading.channels):
        if channel.quantity == "frequency" and first is not None:
            found = first.values[:, column]
            if np.isfinite(found).any():
                return 50.0 if abs(float(np.nanmedian(found)) - 50.0) < 5.0 else 60.0
    return 60.0


def _writer(
    path: Path,
    form: Format,
    channels: ChannelSet,
    labels: Sequence[str],
    outline: Outline | None,
    nominal: float,
    encoding: WrittenEncoding,
) -> AbstractContextManager[FrameWriter]:
    if outline is not None:
        return comtrade_writer(path, outline, nominal, encoding)
    if form == "gridtop":
        return recording_writer(path, channels)
    return (csv_writer if form == "csv" else parquet_writer)(path, channels, labels)


def _nothing(recording: Recording, reading: _Reading) -> GridtopError:
    if reading.problem is not None:
        return reading.problem
    extent = recording.extent
    if extent is None:
        return GridtopError("there is no frame in that part of the recording")
    reach = f"rows 0 to {extent.frames - 1}"
    if recording.channels.clock == "utc":
        first, last = (str(time).rstrip("0").rstrip(".") for time in (extent.first, extent.last))
        reach += f", {first}Z to {last}Z"
    return GridtopError(f"there is no frame in that part of the recording; it has {reach}")


def _write_meanings(
    path: Path, form: Format, channels: ChannelSet, labels: Sequence[str], exported: Exported
) -> None:
    """A `channels:` section beside the file, for the channels that it does not give back by itself."""
    lost = _lost_in_comtrade(path, channels) if form == "comtrade" else _lost_in_table(channels, labels)
    beside = channels_path(path)
    if not lost:
        beside.unlink(missing_ok=True)  # of an earlier export to the same name
        return
    lines = [
        f"# What the channels of {json.dumps(path.name)} mean; a section of a configuration.",
        "channels:",
    ]
    for name, meaning in lost.items():
        words = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in meaning.items())
        lines.append(f"  {json.dumps(name, ensure_ascii=False)}: {{{words}}}")
    with replacing(beside) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8"))
    exported.files.append(beside)
    exported.notes.append(
        f"its names do not say what every channel is: to replay it, take over channels: from {beside.name}"
    )


Meanings = dict[str, dict[str, str | int | bool]]


def _lost_in_table(channels: ChannelSet, labels: Sequence[str]) -> Meanings:
    time = time_name(channels, labels)
    names = [*([time] if time else []), *channels.names, *labels]
    found = ChannelMap().resolve(names)
    lost: Meanings = {}
    read = {channel.name: at for at, channel in enumerate(found.channels)}
    for channel in channels:
        at = read.get(channel.name)
        same = at is not None and found.scales[at] == 1 and found.offsets[at] == 0
        if at is None or not same or not _same(found.channels[at], channel):
            lost[channel.name] = _meaning(channel)
    lost |= {name: {"quantity": "label"} for name in labels if name not in found.labels}
    if time is None and found.time is not None:
        # A channel whose name looks like a time.
        name = names[found.time.position]
        lost[name] = _meaning(channels[channels.position(name)])
    return lost


def _lost_in_comtrade(path: Path, channels: ChannelSet) -> Meanings:
    found = open_recording(path, ChannelMap()).channels
    read = {channel.name: channel for channel in found}
    return {
        channel.name: _meaning(channel)
        for channel in channels
        if channel.name in read and not _same(read[channel.name], channel)
    }


def _same(one: Channel, other: Channel) -> bool:
    """Whether two channels mean the same; a measured quantity is as good as a derived one."""

    def told(channel: Channel) -> tuple[object, ...]:
        return (
            channel.quantity, channel.unit, channel.terminal, channel.phase, channel.part, channel.reference,
            channel.order,
        )  # fmt: skip

    return told(one) == told(other)


def _meaning(channel: Channel) -> dict[str, str | int | bool]:
    meaning: dict[str, str | int | bool] = {"quantity": channel.quantity}
    for key in ("unit", "terminal", "phase", "part", "reference", "order"):
        if value := getattr(channel, key):
            meaning[key] = value
    return meaning
