"""Frames packed into the chunks of a gridtop recording, and unpacked again: exact to the bit, and bounded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Flags, Floats, Labels, Quality, Times
from gridtop.channels import ChannelSet
from gridtop.text import clean

LARGEST_CHUNK = 1 << 20
"""Bytes of frames, before they are packed, that one chunk holds; a single frame may have more."""
MOST_FRAMES = LARGEST_CHUNK // 8
MOST_CHANNELS = 65_535
_MOST_VALUES = max(LARGEST_CHUNK // 8, MOST_CHANNELS)
_LONGEST_LABELS = 32 << 20
"""Bytes of a chunk's labels, unpacked, that are read; 1 MiB of them as text in memory are less."""
_LABELS = 64
_KNOWN_FLAGS = np.uint16(sum(Quality))
_LEVEL = 1


class DamagedError(Exception):
    """The contents are not what gridtop writes; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """n consecutive frames, packed.

    `first` and `last` are their times in ns since 1970. `time` holds the steps from frame to frame, `values`
    and `quality` (None: all good) one channel after the other; each with the first bytes of all numbers first
    (little-endian), then deflated. Of 100 PMUs' values in single precision that leaves a quarter. `labels`
    (None: there are none) is JSON, deflated.
    """

    frames: int
    first: int
    last: int
    time: bytes
    values: bytes
    quality: bytes | None
    labels: bytes | None

    def __len__(self) -> int:
        """Bytes of what is packed."""
        return len(self.time) + len(self.values) + len(self.quality or b"") + len(self.labels or b"")


def pack(block: Block) -> Chunk:
    """The frames of a block, of which there is at least one."""
    time = nanoseconds(block.time)
    quality = block.quality if block.quality is not None and block.quality.any() else None
    return Chunk(
        len(block),
        int(time[0]),
        int(time[-1]),
        _deflated(np.diff(time, prepend=time[:1])),
        _deflated(block.values.T),
        None if quality is None else _deflated(quality.T),
        _packed_labels(block.labels) if block.labels else None,
    )


def unpack(chunk: Chunk, channels: ChannelSet, row: int) -> Block:
    """The frames of a chunk, the first of which is number `row`; DamagedError when they cannot be right."""
    n, c = chunk.frames, len(channels)
    if not is_possible(n, c):
        raise DamagedError(f"{n} frames in one piece")
    values: Floats = _inflated(chunk.values, "<f8", (c, n)).T.astype(np.float64, order="C")
    quality: Flags | None = None
    if chunk.quality is not None:
        quality = _inflated(chunk.quality, "<u2", (c, n)).T.astype(np.uint16, order="C") & _KNOWN_FLAGS
    infinite = np.isinf(values)
    if infinite.any():  # a block holds none
        quality = np.zeros((n, c), np.uint16) if quality is None else quality
        quality[infinite] |= np.uint16(Quality.INFINITE)
        values[infinite] = np.nan
    labels = {} if chunk.labels is None else _unpacked_labels(chunk.labels, n)
    return Block(
        channels, unpack_time(chunk.frames, chunk.first, chunk.last, chunk.time), values, quality, labels, row
    )


def unpack_time(frames: int, first: int, last: int, time: bytes) -> Times:
    """(n,) the times of a chunk; DamagedError when they are not so many, rising from `first` to `last`."""
    steps = _inflated(time, "<i8", (frames,)).astype(np.int64)
    with np.errstate(over="ignore"):
        times = first + np.cumsum(steps)
    if steps[0] != 0 or times[-1] != last or not (times[1:] > times[:-1]).all():
        raise DamagedError("times that do not rise")
    instants: Times = times.view("datetime64[ns]")
    return instants


def is_possible(frames: int, channels: int) -> bool:
    """Whether the writer would put so many frames of so many channels into one chunk."""
    return 0 < frames <= MOST_FRAMES and (frames == 1 or frames * channels <= _MOST_VALUES)


def nanoseconds(times: Times) -> npt.NDArray[np.int64]:
    """(n,) since 1970."""
    return times.astype("datetime64[ns]", copy=False).view(np.int64)


def portions(blocks: Iterable[Block], limit: int = LARGEST_CHUNK) -> Iterator[list[Block]]:
    """Consecutive frames in portions of at most `limit` bytes (at least a frame) with the same labels."""
    portion: list[Block] = []
    used = 0
    for block in blocks:
        cost, at = frame_bytes(block), 0
        while at < len(block):
            if portion and (used + cost > limit or portion[-1].labels.keys() != block.labels.keys()):
                yield portion
                portion, used = [], 0
            frames = max(1, min(len(block) - at, (limit - used) // cost))
            portion.append(block.slice(at, at + frames))
            at, used = at + frames, used + frames * cost
    if portion:
        yield portion


def frame_bytes(block: Block) -> int:
    """What one frame of a block takes in memory, with flags."""
    return 8 + 10 * len(block.channels) + sum(label.itemsize for label in block.labels.values())


def joined(blocks: Sequence[Block], row: int) -> Block:
    """Blocks that follow each other and have the same labels as one, from row number `row`."""
    first = blocks[0]
    quality: Flags | None = None
    if any(block.quality is not None for block in blocks):
        quality = np.concatenate(
            [np.zeros(b.values.shape, np.uint16) if b.quality is None else b.quality for b in blocks]
        )
    return Block(
        first.channels,
        np.concatenate([block.time for block in blocks]),
        np.concatenate([block.values for block in blocks]),
        quality,
        {name: np.concatenate([block.labels[name] for block in blocks]) for name in first.labels},
        row,
    )


def _deflated(array: npt.NDArray[Any]) -> bytes:
    """Byte by byte of all numbers: what changes little from number to number then lies together."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    planes = plain.reshape(-1).view(np.uint8).reshape(-1, plain.itemsize).T
    return zlib.compress(np.ascontiguousarray(planes).data, _LEVEL)


def _inflated(data: bytes, form: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The array of a known shape; DamagedError when it is another."""
    dtype = np.dtype(form)
    count = int(np.prod(shape))
    plain = _unzipped(data, count * dtype.itemsize)
    if len(plain) != count * dtype.itemsize:
        raise DamagedError("a piece that is too short")
    planes = np.frombuffer(plain, np.uint8).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype).reshape(shape)


def _unzipped(data: bytes, most: int) -> bytes:
    """At most so many bytes, whatever the data promise."""
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise DamagedError(str(error)) from None
    if len(plain) > most or not unpacker.eof or unpacker.unused_data:
        raise DamagedError("a piece of another length")
    return plain


def _packed_labels(labels: Mapping[str, Labels]) -> bytes:
    """Of each label the frames where it changes, and to what."""
    told: dict[str, tuple[list[int], list[str]]] = {}
    for name, texts in labels.items():
        changes = [0, *(np.flatnonzero(texts[1:] != texts[:-1]) + 1).tolist()]
        told[name] = (changes, texts[changes].tolist())
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode("ascii"), _LEVEL)


def _unpacked_labels(data: bytes, frames: int) -> dict[str, Labels]:
    try:
        told = json.loads(_unzipped(data, _LONGEST_LABELS))
        if not isinstance(told, dict) or len(told) > _LABELS:
            raise ValueError("no labels")
        return {clean(name): _label(changes, texts, frames) for name, (changes, texts) in told.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError("labels that cannot be read") from error


def _label(changes: Any, texts: Any, frames: int) -> Labels:
    """(n,) one label; ValueError or TypeError when that is none."""
    starts = np.array(changes)
    if (
        starts.dtype.kind != "i"
        or starts.ndim != 1
        or not isinstance(texts, list)
        or len(texts) != len(starts)
        or starts[0] != 0
        or starts[-1] >= frames
        or not (starts[1:] > starts[:-1]).all()
        or not all(isinstance(text, str) for text in texts)
    ):
        raise ValueError("no label")
    tidy: Labels = np.array([clean(text) for text in texts], dtype=np.str_)
    return np.repeat(tidy, np.diff(starts, append=frames))
