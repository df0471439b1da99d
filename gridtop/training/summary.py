"""What `gridtop train` says at the end: figures with intervals, the honest ones beside the leaking ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gridtop.learning.card import ModelCard, Score
from gridtop.text import clean

_FIGURES = ("ROC AUC", "PR AUC", "F1", "MCC", "macro F1", "macro F1 of windows")
_WIDTH = 26


def lines(card: ModelCard, sizes: Mapping[str, int]) -> Iterator[str]:
    """A few lines about a model that was written, with the sizes of its files in bytes."""
    what = "each line" if card.scope == "line" else "the site"
    yield (
        f"{card.name}: {card.kind}, {len(card.features)} features of {what} ({card.recipe}), "
        f"{len(card.recordings)} recording{'s' * (len(card.recordings) != 1)}"
    )
    columns: dict[str, dict[str, Score]] = {}
    for score in card.scores:
        columns.setdefault(score.split, {})[score.name] = score
    heads = [
        f"{split} ({_groups(scores)})" if _groups(scores) else split for split, scores in columns.items()
    ]
    names = [name for name in _FIGURES if any(name in scores for scores in columns.values())]
    wide = max((len(name) for name in names), default=8) + 2
    yield "  " + " " * wide + "".join(f"{head:<{_WIDTH}}  " for head in heads).rstrip()
    for name in names:
        cells = [_cell(scores, name) for scores in columns.values()]
        if any(cells):
            yield f"  {name:<{wide}}" + "".join(f"{cell:<{_WIDTH}}  " for cell in cells).rstrip()
    for remark in (*card.remarks, *card.notes):
        yield f"  note: {clean(remark, 400)}"
    large = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sorted(sizes.items()) if size > 99_999)
    yield f"  {sum(sizes.values()) / 1e6:.2f} MB in {len(sizes)} files" + (f": {large}" if large else "")


def _groups(scores: Mapping[str, Score]) -> str:
    known = next((score.groups for score in scores.values() if score.groups), None)
    return f"{known} groups" if known else ""


def _cell(scores: Mapping[str, Score], name: str) -> str:
    score = scores.get(name)
    if score is None:
        return ""
    if score.value is None:
        return "–"
    text = f"{score.value:.3f}"
    if score.interval is not None:
        text += f" {score.interval[0]:.2f}–{score.interval[1]:.2f}"
    prevalence = scores.get("prevalence")
    if name == "PR AUC" and prevalence is not None and prevalence.value is not None:
        text += f" (of {prevalence.value:.2f})"
    return text
