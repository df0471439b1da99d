"""What a source says of its troubles becomes a few events, whatever it says."""

from __future__ import annotations

from typing import Any

from gridtop.source_statistics import Statistics
from gridtop.source_watch import MOST, QUIET, SourceWatch


class Troubled:
    """The part of a source that is looked at."""

    def __init__(self) -> None:
        self.problems: Any = ()


class Counting(Troubled):
    answer: Any = Statistics({"frames": 3}, {"R1": {"errors": 1}})

    def statistics(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def watch_of(source: Any) -> SourceWatch:
    return SourceWatch(source)


def test_a_trouble_is_told_when_it_begins_and_when_it_is_over() -> None:
    source = Troubled()
    watch = watch_of(source)
    assert watch.news(0.0) == []
    source.problems = ("pmu1: the connection is lost",)
    assert watch.news(1.0) == [("warning", "pmu1: the connection is lost")]
    assert watch.news(2.0) == []
    assert watch.problems() == ("pmu1: the connection is lost",)
    source.problems = ()
    assert watch.news(3.0) == [("info", "over: pmu1: the connection is lost")]
    assert watch.problems() == ()


def test_a_trouble_that_comes_and_goes_is_told_once_a_minute() -> None:
    source = Troubled()
    watch = watch_of(source)
    told = []
    for second in range(120):
        source.problems = ("flapping",) if second % 2 else ()
        told += watch.news(float(second))
    assert told == [
        ("warning", "flapping"),
        ("info", "over: flapping"),
        ("warning", "flapping"),
        ("info", "over: flapping"),
    ]


def test_a_trouble_that_goes_on_is_not_told_again() -> None:
    source = Troubled()
    source.problems = ("it is dark",)
    watch = watch_of(source)
    told = [news for second in range(int(3 * QUIET)) for news in watch.news(float(second))]
    assert told == [("warning", "it is dark")]


def test_many_troubles_are_a_few_lines() -> None:
    source = Troubled()
    source.problems = tuple(f"device {i} is silent" for i in range(MOST + 30))
    watch = watch_of(source)
    assert len(watch.problems()) == MOST + 1
    assert watch.problems()[-1] == "the source has 30 more problems"
    assert len(watch.news(0.0)) == MOST + 1


def test_what_a_source_says_is_cleaned_and_bounded() -> None:
    source = Troubled()
    source.problems = ("\x1b[31mred\x07" + "x" * 5000, 7)
    first, second = watch_of(source).problems()
    assert "\x1b" not in first
    assert len(first) <= 301
    assert second == "7"


def test_a_source_whose_own_code_fails_is_one_more_problem() -> None:
    class Broken:
        @property
        def problems(self) -> tuple[str, ...]:
            raise RuntimeError("boom")

    assert watch_of(Broken()).problems() == ("the source cannot say what is wrong: RuntimeError",)


def test_a_source_without_troubles_and_figures_has_none() -> None:
    watch = watch_of(object())
    assert watch.problems() == ()
    assert watch.statistics() is None


def test_figures_are_handed_on_and_nonsense_is_not() -> None:
    source = Counting()
    watch = watch_of(source)
    assert watch.statistics() is source.answer
    source.answer = {"frames": 3}
    assert watch.statistics() is None
    source.answer = RuntimeError("boom")
    assert watch.statistics() is None
