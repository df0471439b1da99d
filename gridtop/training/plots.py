"""The pictures of a model's card: small SVGs that are the same, byte for byte, for the same numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito (2008): told apart with any kind of colour vision, and in print by their lightness.
_ORDINARY, _OTHER, _LIMIT, _GREY = "#0072B2", "#D55E00", "#4D4D4D", "#8C8C8C"
_STYLE: Any = {
    "svg.hashsalt": "gridtop",
    # Text stays text: a tenth of the size of outlines, and it can be searched and read aloud.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10.0,
    # Names from files are never formulae.
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 12.0,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_BINS = 50
_MOST_CLASSES = 40
_MOST_POINTS = 400
_ROOMY = 12
"""With more classes there is no space for counts, nor for percents below 10."""
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def plot_scores(
    ordinary: npt.ArrayLike,
    other: npt.ArrayLike,
    thresholds: Mapping[str, float],
    path: Path,
    *,
    unit: str = "score",
) -> None:
    """How scores (n,) of ordinary frames and (m,) of other frames are spread, with thresholds by name.

    Each bar is the share of the frames of its kind, on a logarithmic axis: what matters is the tail. NaN is
    left out; `other` may be empty. The axis ends a little above the highest threshold or the highest
    ordinary score; what lies beyond is counted in the last bar and said so. GridtopError when there is no
    ordinary score.
    """
    quiet, strange = _finite(ordinary), _finite(other)
    if not len(quiet):
        raise GridtopError("there are no scores of ordinary frames to plot")
    low = float(min(quiet.min(), strange.min(initial=np.inf)))
    limits = [value for value in thresholds.values() if np.isfinite(value)]
    high = max([float(quiet.max()), *limits])
    if len(strange):
        high = max(high, min(float(strange.max()), low + 1.5 * (high - low)))
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, _BINS + 1)
    with _axes(path, (6.4, 3.4)) as axes:
        for scores, colour, name in (
            (quiet, _ORDINARY, "ordinary frames"),
            (strange, _OTHER, "frames of events"),
        ):
            if len(scores):
                counts, _ = np.histogram(np.minimum(scores, high), bins=edges)
                share = 100.0 * counts / len(scores)
                label = f"{name} ({len(scores):,})"
                axes.stairs(share, edges, baseline=None, color=colour, linewidth=1.6, label=label)
                axes.stairs(share, edges, fill=True, color=colour, alpha=0.12, baseline=1e-9)
        fewest = 100.0 / max(len(quiet), len(strange))
        axes.set_yscale("log")
        axes.set_ylim(fewest / 2, 250.0)
        axes.set_yticks([tick for tick in 10.0 ** np.arange(-6, 3) if tick >= fewest / 2])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        for step, (name, value) in enumerate(sorted(thresholds.items(), key=lambda item: item[1])):
            if np.isfinite(value):
                axes.axvline(value, color=_LIMIT, linewidth=1.0, linestyle=(0, (4, 3)))
                axes.annotate(
                    clean(name),
                    (value, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(-3, -10 - 12 * (step % 3)),
                    textcoords="offset points",
                    ha="right",
                    color=_LIMIT,
                    fontsize=9,
                )
        beyond = int(np.count_nonzero(strange > high))
        _label(axes, "Scores of ordinary frames and of events", clean(unit), "share of frames, %")
        if beyond:
            axes.set_xlabel(f"{clean(unit)} (the last bar holds {beyond:,} frames beyond)")
        axes.grid(axis="y")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.42), ncols=2)


def plot_confusion(counts: npt.ArrayLike, classes: Sequence[str], path: Path) -> None:
    """Confusion matrix (k, k): row true class, column given class; shade and percent are of the row.

    ValueError when the shape does not fit the names; GridtopError for more than 40 classes.
    """
    table = np.asarray(counts, dtype=np.int64)
    size = len(classes)
    if table.shape != (size, size) or size == 0 or table.min() < 0:
        raise ValueError(f"counts {table.shape} do not fit {size} classes")
    if size > _MOST_CLASSES:
        raise GridtopError(f"a confusion matrix of {size} classes cannot be read: at most {_MOST_CLASSES}")
    names = [clean(name, longest=28) for name in classes]
    total = table.sum(axis=1, keepdims=True)
    share = np.divide(table, total, out=np.zeros(table.shape), where=total > 0)
    cell = 0.62 if size <= _ROOMY else 0.3
    with _axes(path, (2.6 + cell * size, 1.9 + cell * size)) as axes:
        _shade(axes, share)
        for row, column in zip(*(index.tolist() for index in np.nonzero(table)), strict=True):
            part = float(share[row, column])
            if size > _ROOMY and part < 0.1:
                continue
            text = f"{_percent(part)} %\n{table[row, column]:,}" if size <= _ROOMY else _percent(part)
            colour = "white" if part > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
        between = np.arange(size - 1) + 0.5
        axes.hlines(between, -0.5, size - 0.5, color="white", linewidth=0.8)
        axes.vlines(between, -0.5, size - 0.5, color="white", linewidth=0.8)
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(range(size), names, fontsize=8)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.tick_params(left=False, bottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        _label(axes, "What was called what, % of the true class", "called", "true")


def plot_reliability(
    probabilities: npt.ArrayLike, happened: npt.ArrayLike, path: Path, *, bins: int = 10
) -> None:
    """How often it was true when the model said so: stated probability (n,) against what happened (n,) bool.

    Ten bins of equal width with 95 % Wilson intervals; below, how many frames each bin has. Frames of one
    event are alike, so the true intervals are wider. GridtopError when there is nothing to plot.
    """
    stated = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(happened, dtype=np.bool_)
    if stated.ndim != 1 or truth.shape != stated.shape:
        raise ValueError(f"{stated.shape} probabilities have {truth.shape} outcomes")
    known = np.isfinite(stated)
    stated, truth = stated[known], truth[known]
    if not len(stated):
        raise GridtopError("there are no probabilities to plot")
    bin_of = np.clip((stated * bins).astype(np.int64), 0, bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    used = count > 0
    n = count[used].astype(np.float64)
    mean = np.bincount(bin_of, stated, bins)[used] / n
    rate = np.bincount(bin_of, truth.astype(np.float64), bins)[used] / n
    z = 1.96
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    with _axes(path, (5.2, 5.2), rows=(4, 1)) as (axes, below):
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1.0, linestyle=(0, (4, 3)), label="as stated")
        axes.vlines(mean, middle - half, middle + half, color=_ORDINARY, linewidth=1.2)
        axes.plot(mean, rate, color=_ORDINARY, marker="o", markersize=4.5, linewidth=1.6, label="this model")
        axes.legend(loc="upper left")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.tick_params(labelbottom=False)
        axes.grid()
        _label(axes, "Stated probability, and how often it was so", "", "share of frames that were")
        below.bar((np.flatnonzero(used) + 0.5) / bins, n, width=0.9 / bins, color=_ORDINARY, alpha=0.5)
        below.set_yscale("log")
        below.set_ylim(0.5, 3.0 * float(n.max()))
        below.set_xlim(-0.02, 1.02)
        below.set_yticks(
            [tick for tick in (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000) if tick <= 3 * n.max()][::2]
        )
        below.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        below.minorticks_off()
        _label(below, "", "stated probability", "frames")


def plot_losses(training: npt.ArrayLike, validation: npt.ArrayLike, best_epoch: int, path: Path) -> None:
    """Training and validation loss (epochs,) on a logarithmic axis, and the epoch (from 1) that was kept."""
    trained, checked = np.asarray(training, dtype=np.float64), np.asarray(validation, dtype=np.float64)
    if trained.ndim != 1 or checked.shape != trained.shape or not 1 <= best_epoch <= len(trained):
        raise ValueError(f"losses {trained.shape} and {checked.shape} do not fit epoch {best_epoch}")
    every = -(-len(trained) // _MOST_POINTS)
    epoch = np.arange(1, len(trained) + 1)
    with _axes(path, (6.4, 3.2)) as axes:
        for loss, colour, style, name in (
            (trained, _ORDINARY, "-", "training rows"),
            (checked, _OTHER, (0, (5, 1.5)), "held-out normal rows"),
        ):
            axes.plot(epoch[::every], loss[::every], color=colour, linestyle=style, linewidth=1.6, label=name)
        axes.plot([best_epoch], [checked[best_epoch - 1]], "o", color=_OTHER, markersize=6)
        axes.annotate(
            f"kept: epoch {best_epoch}",
            (best_epoch, checked[best_epoch - 1]),
            xytext=(0, 10),
            textcoords="offset points",
            ha="right" if best_epoch > len(trained) / 2 else "left",
            color=_LIMIT,
            fontsize=9,
        )
        if (trained > 0).all() and (checked > 0).all():
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            ticks = [step * 10.0**power for power in range(-9, 4) for step in (1, 2, 5)]
            axes.set_yticks([tick for tick in ticks if low <= tick <= high])
            axes.set_ylim(low, high)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.minorticks_off()
        axes.grid(axis="y")
        _label(axes, "Loss while training", "epoch", "loss, squared spreads")
        axes.legend(loc="upper right")


def drawn(draw: Callable[[Path], object]) -> bytes:
    """The bytes of what is drawn into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plot.svg"
        draw(path)
        return path.read_bytes()


@contextmanager
def _axes(path: Path, inches: tuple[float, float], rows: tuple[int, ...] = (1,)) -> Iterator[Any]:
    """Axes to draw on, written to `path` afterwards as SVG, or as PNG where it ends like that."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise GridtopError("the pictures of a model need matplotlib: pip install 'gridtop[train]'") from None
    with rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots(len(rows), height_ratios=rows)
        yield axes
        # Without a date the same numbers give the same bytes.
        metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=110, metadata=metadata)


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _percent(share: float) -> str:
    """Whole percent, but never 0 or 100 for what is not."""
    if share < 0.005:
        return "<1"
    return ">99" if 0.995 <= share < 1.0 else f"{100 * share:.0f}"


def _shade(axes: Axes, share: npt.NDArray[np.float64]) -> None:
    """Colours cells by their share of the row, in steps, equal neighbours together: the SVG stays small."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    shade = LinearSegmentedColormap.from_list("shares", ["#F4F7FA", "#9CC3DD", _ORDINARY, "#003B5C"])
    axes.set_facecolor(shade(0.0))
    step = np.digitize(share, _STEPS)
    for level in np.unique(step[step > 0]).tolist():
        inside = np.pad(step == level, ((0, 0), (1, 1))).astype(np.int8)
        rows, starts = np.nonzero(np.diff(inside, axis=1) == 1)
        _, ends = np.nonzero(np.diff(inside, axis=1) == -1)
        corners = [
            [(start, row), (end, row), (end, row + 1), (start, row + 1), (start, row)]
            for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
        ]
        codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
        outline = Outline(np.array(corners).reshape(-1, 2) - 0.5, codes * len(corners))
        middle = (_STEPS[level - 1] + min(1.0, (*_STEPS, 1.0)[level])) / 2
        axes.add_patch(PathPatch(outline, facecolor=shade(middle), edgecolor="none"))


def _finite(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    raw = np.asarray(scores, dtype=np.float64).ravel()
    return raw[np.isfinite(raw)]
