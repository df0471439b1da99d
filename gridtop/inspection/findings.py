"""Everything that inspecting a recording finds: what it holds, what it means, and what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gridtop.inspection.error_codes import error_codes
from gridtop.inspection.guessing import Guess, guess_columns
from gridtop.inspection.site_guess import SiteGuess, guess_site
from gridtop.inspection.survey import Survey, survey
from gridtop.naming import ChannelMeaning


@dataclass(frozen=True, slots=True)
class Findings:
    """A survey and what was guessed from it.

    duplicates  groups of columns that hold the same in every row, constant ones left out
    codes       column position to numbers in it that are an instrument's error codes
    suspects    column position to numbers in it that may be
    """

    survey: Survey
    guesses: tuple[Guess, ...]
    site: SiteGuess
    duplicates: tuple[tuple[str, ...], ...]
    codes: dict[int, list[float]]
    suspects: dict[int, list[float]]


def inspect_recording(path: Path) -> Findings:
    """Read the recording at `path` once and guess what it is; SourceError when it cannot be read."""
    surveyed = survey(path)
    guesses = guess_columns(surveyed)
    codes, suspects = _codes(surveyed, guesses)
    guesses = tuple(_without_codes(guess, codes.get(guess.column.position)) for guess in guesses)
    site = guess_site(surveyed, guesses)
    scales = {found.position: found.rescale for found in site.impedances}
    guesses = tuple(_rescaled(guess, scales.get(guess.column.position)) for guess in guesses)
    return Findings(surveyed, guesses, site, _duplicates(surveyed), codes, suspects)


def _codes(survey: Survey, guesses: Sequence[Guess]) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Certain and possible error codes, by column."""
    certain: dict[int, list[float]] = {}
    possible: dict[int, list[float]] = {}
    for guess in guesses:
        numbers, position = guess.column.numbers, guess.column.position
        if numbers is None or guess.channel is None or position not in survey.sampled:
            continue
        if guess.channel.quantity in ("status", "log"):
            continue
        codes, suspects = error_codes(survey.values(position), numbers)
        if codes:
            certain[position] = codes
        if suspects:
            possible[position] = suspects
    return certain, possible


def _without_codes(guess: Guess, codes: list[float] | None) -> Guess:
    if not codes or guess.column.known is not None:
        return guess
    shown = ", ".join(f"{code:g}" for code in codes)
    return _rewritten(guess, {"invalid": codes}, f"{shown} is an error code")


def _rescaled(guess: Guess, scale: float | None) -> Guess:
    if scale is None or guess.column.known is not None:
        return guess
    return _rewritten(guess, {"scale": scale}, "so that it is V1/I1 in primary ohms")


def _rewritten(guess: Guess, more: dict[str, object], why: str) -> Guess:
    """The guess with more said under `channels:`, and all of it said there."""
    written = guess.written or guess.meaning.model_dump(exclude_defaults=True)
    written = {**written, **more}
    return replace(
        guess, meaning=ChannelMeaning.model_validate(written), written=written, why=(*guess.why, why)
    )


def _duplicates(survey: Survey) -> tuple[tuple[str, ...], ...]:
    same: dict[int, list[str]] = defaultdict(list)
    for column in survey.columns:
        numbers = column.numbers
        if numbers is not None and numbers.values and not numbers.constant:
            same[numbers.fingerprint].append(column.name)
    return tuple(tuple(names) for names in same.values() if len(names) > 1)
