"""The report as one HTML file: tables and plots, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from gridtop import __version__
from gridtop.evaluation import plots
from gridtop.evaluation.assessment import Assessment, frame_scores
from gridtop.evaluation.cells import Section, confusion, sections
from gridtop.evaluation.cells import delay as shown_delay
from gridtop.evaluation.cells import share as shown_share
from gridtop.text import clean

MOST_TIMELINES = 6
"""Recordings whose scores are drawn over time: the first ones."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
p { margin: .3rem 0; } .note { color: #555; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem .15rem 0; text-align: right; white-space: nowrap; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid #888; }
th:first-child, td:first-child { text-align: left; }
td.words, th.words { text-align: left; white-space: normal; }
tbody tr:nth-child(even) { background: #f6f6f4; }
.beware { border-left: 4px solid #d08a00; padding: .2rem 0 .2rem .8rem; margin: 1rem 0; background: #fffaf0; }
.beware ul { margin: .2rem 0; padding-left: 1.1rem; }
svg { max-width: 100%; height: auto; display: block; margin: .5rem 0; }
"""


def page(assessment: Assessment) -> str:
    """The whole page; the same assessment gives the same text."""
    return "\n".join(_parts(assessment)) + "\n"


def _parts(assessment: Assessment) -> Iterator[str]:
    one = assessment.together
    rules = [rule.name for rule in one.rules]
    names = ", ".join(recording.labelled.name for recording in assessment.recordings[:10])
    more = len(assessment.recordings) - 10
    names += f" and {more} more" if more > 0 else ""
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    # Whatever gets into the page, nothing of it runs and nothing is fetched.
    yield (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
    )
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{_text(f'gridtop evaluate: {names}')}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{_text(names, 1000)}</h1>"
    yield (
        f'<p class="note">{one.frame_count:,} frames, {one.hours:.2f} h; truth from {_text(one.source)}. '
        f"gridtop {_text(__version__)}.</p>"
    )
    if assessment.remarks:
        yield '<div class="beware"><b>Before you believe it</b><ul>'
        for about, remark in assessment.remarks:
            yield f"<li><b>{_text(about)}</b>: {_text(remark, 500)}</li>"
        yield "</ul></div>"
    for section in sections(assessment):
        yield from _table(section)
        if section.title == "By event":
            yield plots.delays(one)
        elif section.title == "By frame":
            yield plots.curves(frame_scores(assessment.recordings, rules))
    if assessment.learning is not None and not rules:
        yield "</body></html>"
        return
    if one.events:
        yield from _table(_per_kind(assessment))
    yield from _table(confusion(assessment))
    yield "<h2>Over time</h2>"
    yield (
        '<p class="note">Shaded: events to be found. Dashed: the level of the alarm. Red: when which rule '
        "had an alarm on. Scores far beyond the level are cut off at the top.</p>"
    )
    for number, recording in enumerate(assessment.recordings[:MOST_TIMELINES], start=1):
        yield f"<p><b>{_text(recording.labelled.name)}</b></p>"
        yield plots.timeline(recording, rules, number)
    if (left := len(assessment.recordings) - MOST_TIMELINES) > 0:
        yield f'<p class="note">{left} more recordings are not drawn.</p>'
    yield "</body></html>"


def _per_kind(assessment: Assessment) -> Section:
    """Recall with interval and delay of every rule for every kind of event that it ever found."""
    rows = [
        (
            recall.kind,
            rule.name,
            f"{recall.hits}/{recall.events}",
            shown_share(recall.share, recall.interval),
            shown_delay(recall.delay(0.5)),
            shown_delay(recall.delay(0.95)),
        )
        for rule in assessment.together.rules
        for recall in rule.recalls
        if recall.hits
    ]
    head = ("kind", "rule", "found", "recall (95 %)", "p50", "p95")
    return Section(
        "Each rule by kind of event", "Pairs without a hit are left out.", head, tuple(sorted(rows))
    )


def _table(section: Section) -> Iterator[str]:
    yield f"<h2>{_text(section.title)}</h2>"
    if section.note:
        yield f'<p class="note">{_text(section.note, 5000)}</p>'
    words = {
        i
        for i in range(1, len(section.head))
        if any(len(row[i]) > 30 or ", " in row[i] for row in section.rows)
    }
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(_cell("th", i, cell, words) for i, cell in enumerate(section.head))
    yield "</tr></thead><tbody>"
    for row in section.rows:
        yield f"<tr>{''.join(_cell('td', i, cell, words) for i, cell in enumerate(row))}</tr>"
    yield "</tbody></table></div>"


def _cell(tag: str, column: int, text: str, words: set[int]) -> str:
    kind = ' class="words"' if column in words else ""
    return f"<{tag}{kind}>{_text(text, 2000)}</{tag}>"


def _text(text: str, longest: int = 400) -> str:
    return escape(clean(text, longest))
