"""The report's plots as SVG: ROC and PR curves, delays, and scores over time with events and alarms.

Needs matplotlib (the extra `report`). The same figures give the same text, byte for byte.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.evaluation.assessment import Figures, frame_scores
from gridtop.evaluation.frame_metrics import Marks, pr_curve, roc_curve
from gridtop.evaluation.frame_scores import FrameScores
from gridtop.evaluation.judging import Judged
from gridtop.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 8
"""Detectors and rules in one plot: more colours cannot be told apart."""
MOST_ALARMS = 16
"""Rules whose alarms are drawn beneath the scores."""
_POINTS = 600
"""Points of a curve, and columns of a timeline."""
_WIDTH_IN = 9.0
# Told apart by everybody: M. Okabe and K. Ito, Color Universal Design (2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C6D31", "#444444")
_EVENT, _ALARM, _GRID = "#F3D9B1", "#B03A2E", "#DDDDDD"


def require_matplotlib() -> None:
    """GridtopError, with what to install, when there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise GridtopError(
            "an HTML report needs matplotlib for its plots: pip install 'gridtop[report]'"
        ) from None


def curves(scores: Sequence[FrameScores]) -> str:
    """ROC and PR curves of detectors, side by side; nothing when frames are of one kind only."""
    drawn = [one for one in scores if 0 < np.count_nonzero(one.truth) < len(one.truth)][:MOST_LINES]
    if not drawn:
        return ""
    with _figure(3.4) as figure:
        left, right = figure.subplots(1, 2)
        for one, colour in zip(drawn, _COLOURS, strict=False):
            rate, found = roc_curve(one.score, one.truth)
            left.plot(*_thinned(rate, found), color=colour, label=clean(one.name), linewidth=1.4)
            recall, precision = pr_curve(one.score, one.truth)
            right.step(*_thinned(recall, precision), color=colour, where="pre", linewidth=1.4)
        prevalence = float(np.mean(drawn[0].truth))
        left.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        right.axhline(prevalence, color="#999999", linewidth=0.8, linestyle=":")
        _labelled(left, "share of other frames above the threshold", "share of events' frames above it")
        _labelled(right, "recall of frames", "precision of frames")
        for axes in (left, right):
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.02)
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
        return _svg(figure, "curves")


def delays(one: Figures) -> str:
    """What share of all events each rule had found after how long; nothing when none was found."""
    rules = sorted((rule for rule in one.rules if rule.recall.hits), key=lambda rule: -rule.recall.hits)
    drawn = [*rules[: MOST_LINES - 1], *([one.together] if len(rules) > 1 else [])]
    if not drawn:
        return ""
    with _figure(3.0) as figure:
        axes = figure.subplots()
        longest = 0.0
        for rule, colour in zip(drawn, _COLOURS, strict=False):
            # A delay of a millisecond or none cannot be told on a logarithmic axis.
            found = [max(delay, 1.0) for delay in rule.recall.delays if math.isfinite(delay)]
            shares = np.arange(1, len(found) + 1) / rule.recall.events
            longest = max(longest, found[-1])
            whole = rule is one.together
            axes.step(
                [found[0], *found, 1e9],
                [0.0, *shares, shares[-1]],
                where="post",
                color="#000000" if whole else colour,
                linewidth=2.0 if whole else 1.2,
                label=clean(rule.name),
            )
        axes.set_xscale("log")
        axes.set_xlim(1, max(longest * 2, 100))
        axes.xaxis.set_major_formatter(lambda ms, _: f"{ms:g} ms" if ms < 1e3 else f"{ms / 1e3:g} s")
        axes.set_ylim(0, 1.02)
        _labelled(axes, "from the start of the event to the alarm", "share of events found")
        figure.legend(loc="outside right upper", frameon=False)
        return _svg(figure, "delays")


def timeline(one: Judged, rules: Sequence[str], number: int) -> str:
    """Scores of the detectors over time, events shaded, and beneath when which rule had an alarm on."""
    traces = frame_scores([one], rules)[:MOST_LINES]
    alarms = [rule for rule in rules if rule in one.active][:MOST_ALARMS]
    rows = len(traces) + bool(alarms)
    if not rows:
        return ""
    seconds = one.labelled.seconds
    heights = [1.0] * len(traces) + ([0.35 + 0.16 * len(alarms)] if alarms else [])
    with _figure(0.5 + sum(heights) * 0.95) as figure:
        grid = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
        for axes in grid[:, 0]:
            for truth in one.labelled.truths:
                axes.axvspan(truth.start, max(truth.end, truth.start + 1e-3), color=_EVENT, linewidth=0)
        for axes, scores, colour in zip(grid[:, 0], traces, _COLOURS, strict=False):
            _draw_scores(axes, seconds, scores, colour)
        if alarms:
            _draw_alarms(grid[-1, 0], seconds, alarms, one)
        grid[-1, 0].set_xlabel("seconds from the start")
        grid[-1, 0].set_xlim(seconds[0], max(seconds[-1], seconds[0] + 1e-3))
        return _svg(figure, f"timeline{number}")


def _draw_scores(axes: Axes, seconds: Floats, scores: FrameScores, colour: str) -> None:
    at, low, high = envelope(seconds, scores.score)
    axes.fill_between(at, low, high, color=colour, linewidth=0.6, step="mid")
    known = scores.score[np.isfinite(scores.score)]
    level = scores.level
    if level is not None:
        axes.axhline(level, color=_ALARM, linewidth=0.8, linestyle="--")
    if len(known):
        # A single wild score would press everything else flat.
        top = max(float(np.quantile(known, 0.995)), 1.5 * level if level is not None else -math.inf)
        bottom = min(float(known.min()), 0.0)
        height = max(top - bottom, 1e-9)
        axes.set_ylim(bottom - 0.04 * height, bottom + 1.05 * height)
    axes.set_ylabel(clean(scores.name, 24), rotation=0, ha="right", va="center")
    _tidy(axes)


def _draw_alarms(axes: Axes, seconds: Floats, rules: Sequence[str], one: Judged) -> None:
    least = (seconds[-1] - seconds[0]) / _POINTS
    for row, rule in enumerate(rules):
        spans = [(seconds[a], max(seconds[b - 1] - seconds[a], least)) for a, b in _runs(one.active[rule])]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=_ALARM, linewidth=0)
    axes.set_yticks(range(len(rules)), [clean(rule, 24) for rule in rules])
    axes.set_ylim(len(rules) - 0.5, -0.5)
    _tidy(axes)


def envelope(seconds: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Times, lowest and highest scores of at most 600 stretches: no spike is lost; NaN where unknown."""
    edges = np.unique(np.linspace(0, len(score), _POINTS + 1).astype(np.int64))
    starts = edges[:-1]
    low, high = np.fmin.reduceat(score, starts), np.fmax.reduceat(score, starts)
    return seconds[starts], low, high


def _runs(marks: Marks) -> Iterator[tuple[int, int]]:
    """From where to where, the end left out, marks are set."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marks.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve of at most 600 points, both ends among them."""
    if len(x) <= _POINTS:
        return x, y
    # Evenly along the curve and not by number: where it is steep, many thresholds lie close together.
    length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))))
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _POINTS)).clip(0, len(x) - 1))
    kept = np.unique(np.concatenate(([0], kept, [len(x) - 1])))
    return x[kept], y[kept]


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    """An empty figure under settings that do not depend on whoever runs this."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "gridtop",
                "svg.fonttype": "none",
                "font.family": "sans-serif",
                "font.size": 8,
                "text.parse_math": False,
                "axes.edgecolor": "#888888",
                "axes.linewidth": 0.6,
            }
        )
        yield Figure(figsize=(_WIDTH_IN, height), layout="constrained")


def _labelled(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=_GRID, linewidth=0.5)
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _svg(figure: Figure, name: str) -> str:
    """The figure as an element for HTML, its ids different from those of other figures on the page."""
    file = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
