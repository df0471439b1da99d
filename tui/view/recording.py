"""The recording of live data in words: on the status line, and for the person who begins or ends it."""

from __future__ import annotations

import re

from rich.cells import cell_len

from gridtop.client import RecordingStatus
from gridtop.tui.glyphs import Glyphs

from . import numbers
from .rows import Row, Span, shorten

_LONGEST_PROBLEM = 24
"""Cells of the status line for why nothing is kept; the list of problems says it in full."""


def recording_row(recording: RecordingStatus, glyphs: Glyphs) -> tuple[Row, Row]:
    """`● REC 12.3 MB`, or `REC! disk full` when frames are lost; and the same in short."""
    if recording.problem:
        words = shorten(glyphs.plain(recording.problem), _LONGEST_PROBLEM, glyphs.ellipsis)
        return (Span(" REC! ", "alert"), Span(f" {words}", "warning")), (Span(" REC! ", "alert"),)
    if recording.dropped:
        words = f"REC! {numbers.short(recording.dropped)} dropped"
        return (Span(words, "warning"),), (Span("REC!", "warning"),)
    short = Span(f"{glyphs.record} REC", "strong")
    return (short, Span(f" {numbers.size(recording.bytes)}")), (short,)


def problems(recording: RecordingStatus | None) -> list[str]:
    """What is wrong with it, a line each."""
    if recording is None:
        return []
    lines = [f"recording: {recording.problem}"] if recording.problem else []
    if recording.dropped:
        lines.append(f"recording: {recording.dropped} frames could not be kept")
    return lines


def answer(before: RecordingStatus | None, after: RecordingStatus | None, room: int, glyphs: Glyphs) -> str:
    """What the person is told who began or ended it; the file without its folders when `room` is short."""
    if before is None and after is None:
        return "no recording has begun"
    words, status = ("recording to ", after) if after is not None else ("recording ended: ", before)
    path = glyphs.plain(status.path) if status is not None else ""
    name = re.split(r"[/\\]", path)[-1]
    return words + (path if cell_len(words + path) <= room else name)
