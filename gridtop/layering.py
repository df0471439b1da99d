"""One document on another: maps are merged, and every value keeps the place where it was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gridtop.documents import Document
from gridtop.problems import KeyPath


def laid_over(above: Document, below: Document) -> Document:
    """Both documents as one: maps are merged, everything else of the upper one replaces.

    The result has the name of the upper one.
    """

    def covered(path: KeyPath) -> bool:
        """Whether something above has taken the place of a setting below."""
        for depth in range(1, len(path) + 1):
            here = path[:depth]
            if here not in above.values:
                return False
            if not (isinstance(above.get(here), dict) and isinstance(below.get(here), dict)):
                return True
        return False

    return Document(
        above.text,
        _merged(below.value, above.value),
        {path: place for path, place in below.keys.items() if not covered(path)} | dict(above.keys),
        {path: place for path, place in below.values.items() if not covered(path)} | dict(above.values),
        above.environment | {path for path in below.environment if not covered(path)},
        (*(problem for problem in below.problems if not covered(problem.keys)), *above.problems),
        (*(problem for problem in below.unset if not covered(problem.keys)), *above.unset),
    )


def only(document: Document, section: str) -> Document:
    """A document without the settings of all other sections; nothing is forgotten that was wrong."""

    def kept(path: KeyPath) -> bool:
        return path[:1] == (section,)

    return replace(
        document,
        value={section: document.get((section,))},
        keys={path: place for path, place in document.keys.items() if kept(path)},
        values={path: place for path, place in document.values.items() if kept(path)},
        environment=frozenset(filter(kept, document.environment)),
    )


def _merged(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    inner = {key: _merged(below[key], value) if key in below else value for key, value in above.items()}
    return below | inner
