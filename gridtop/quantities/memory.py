"""What the formulas of one pass remember together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gridtop.quantities.layout import Layout

if TYPE_CHECKING:
    from gridtop.quantities.work import Work

Result = TypeVar("Result")


class Memory:
    """Series with a memory that several quantities share, from the first block of a pass to its last."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._kept: dict[Any, Any] = {}

    def of(self, kind: Callable[[Layout], Callable[[Work], Result]]) -> Callable[[Work], Result]:
        """The one of this kind, made when it is first asked for."""
        if kind not in self._kept:
            self._kept[kind] = kind(self._layout)
        one: Callable[[Work], Result] = self._kept[kind]
        return one
