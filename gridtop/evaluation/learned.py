"""What models that learn are worth: on parts held out, on recordings of their own, and on simulated ones."""

from __future__ import annotations

from dataclasses import dataclass

from gridtop.evaluation.frame_scores import CrossValidation, FrameFigures
from gridtop.evaluation.remarks import Remark
from gridtop.evaluation.splits import Split


@dataclass(frozen=True, slots=True)
class Learned:
    """One model that was taught and tested here.

    cross         on the parts that it was not taught; None where nothing can be held out honestly
    test          on recordings that it never learned from; None without any
    beside_test   with rows dealt out at random, where there is no `cross` for that to stand beside
    remarks       what calls its figures in question
    """

    name: str
    cross: CrossValidation | None = None
    test: FrameFigures | None = None
    beside_test: FrameFigures | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.beside_test is not None and self.test is None:
            raise ValueError("what leaks shows nothing by itself: give an honest figure beside it")

    @property
    def leaking(self) -> FrameFigures | None:
        """With rows dealt out at random: what one would believe, never what one gets."""
        return self.beside_test if self.cross is None else self.cross.leaking


@dataclass(frozen=True, slots=True)
class Control:
    """The same models taught and tested on simulated recordings, and what to know about those."""

    note: str
    learned: tuple[Learned, ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """All models that were taught and tested here.

    features   what they look at, in words
    rows       what a row is: a frame, or a frame at a line
    split      what was held out; None where nothing can be
    tests      the recordings that they were only tested on
    control    what it looks like when what was learned transfers; None when nobody asked
    remarks    what concerns all of them or one by name
    """

    features: str
    rows: str
    split: Split | None
    learned: tuple[Learned, ...]
    tests: tuple[str, ...] = ()
    control: Control | None = None
    remarks: tuple[Remark, ...] = ()
