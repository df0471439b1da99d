"""The large chart: plotext draws it as text, gaps stay gaps."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual.widgets import Static

from gridtop.tui.glyphs import Glyphs
from gridtop.tui.view import numbers, times
from gridtop.tui.view.axis import Axis, round_values
from gridtop.tui.view.panels import Panel

_TIME_STEPS = 4
_VALUE_STEPS = 6


class ChartPlot(Static):
    """Nothing of a chart is kept: each is drawn from the panel it is given."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"curve"}
    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, markup=False)

    def draw(self, panel: Panel, window: float, end: np.datetime64 | None, glyphs: Glyphs) -> None:
        """Draw the envelope of a panel whose newest frame is at `end` (None: count back from now)."""
        width, height = self.size
        if width < 20 or height < 5:
            text = Text("too small for a chart")
        elif not np.isfinite(panel.curve.lowest):
            text = Text("\n  no data in this window", "dim")
        else:
            text = chart(panel, window, end, width, height, glyphs)
            text.highlight_regex(r"[\u2801-\u28ff*]+", self.get_component_rich_style("curve"))
        self.update(text, layout=False)


def chart(
    panel: Panel, window: float, end: np.datetime64 | None, width: int, height: int, glyphs: Glyphs
) -> Text:
    """The chart as text of `width` x `height` cells."""
    # plotext takes 25 ms and 5 MB to import, and most people never open a chart.
    import plotext

    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(width, height)
    figure.theme("colorless")
    marker = "*" if glyphs.only_ascii else "braille"
    bottom, top = Axis().fit(panel.curve.lowest, panel.curve.highest, panel.least_span)
    height_of = partial(_share, bottom=bottom, top=top)
    for seconds, values in strokes(panel, window):
        figure.draw(figure.signal(seconds, [height_of(v) for v in values], marker=marker).lines(True))
    positions, labels = time_ticks(window, end)
    figure.ruler("x").lim(-window, 0).ticks(positions, labels)
    values = round_values(bottom, top, _VALUE_STEPS)
    words = [numbers.with_unit(value, panel.unit, panel.quantity.digits + 1) for value in values]
    figure.ruler("y").lim(0, 1).ticks([height_of(value) for value in values], words)
    text = Text.from_ansi(figure.build().string(), no_wrap=True)
    if glyphs.only_ascii:
        plain = text.plain.translate(_ASCII_FRAME)
        text = Text(plain.encode("ascii", "replace").decode(), no_wrap=True)
    return text


def strokes(panel: Panel, window: float) -> list[tuple[list[float], list[float]]]:
    """The envelope as lines of (seconds before now, value), one for each stretch without gaps.

    Every bucket gives its lowest and its highest value, so no spike is lost.
    """
    count = len(panel.curve.minimum)
    found: list[tuple[list[float], list[float]]] = []
    before = math.nan
    for bucket, (low, high) in enumerate(
        zip(panel.curve.minimum.tolist(), panel.curve.maximum.tolist(), strict=True)
    ):
        if not (math.isfinite(low) and math.isfinite(high)):
            before = math.nan
            continue
        if math.isnan(before):
            found.append(([], []))
        # The nearer end first, so that the line goes on from where it was.
        pair = (high, low) if abs(before - high) < abs(before - low) else (low, high)
        found[-1][0].extend([(bucket + 0.5) / count * window - window] * 2)
        found[-1][1].extend(pair)
        before = pair[1]
    return found


def _share(value: float, bottom: float, top: float) -> float:
    """Where a value lies between the ends of the axis, 0 to 1, no finer than a screen can show.

    plotext is given nothing else: its native code ends the whole process over a number such as 1e308.
    """
    return round(min(max((value / 2 - bottom / 2) / (top / 2 - bottom / 2), 0.0), 1.0), 6)


def time_ticks(window: float, end: np.datetime64 | None) -> tuple[list[float], list[str]]:
    """Seconds before now, and the time of the day there; without a clock the seconds themselves."""
    step = round(window / _TIME_STEPS * 1e9)
    offset = 0 if end is None else times.nanoseconds(end) % step
    before = [offset + step * n for n in range(_TIME_STEPS, -1, -1) if offset + step * n <= window * 1e9]
    if end is None:
        labels = [f"-{span / 1e9:g} s" if span else "now" for span in before]
    else:
        decimals = 1 if step % 1_000_000_000 else 0
        labels = [times.time_of_day(end - np.timedelta64(span, "ns"), decimals) for span in before]
    return [-span / 1e9 for span in before], labels


_ASCII_FRAME = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|+++++++++")
