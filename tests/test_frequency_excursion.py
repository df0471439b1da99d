"""Frequency excursions: what scores, what does not, and that blocks do not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gridtop.api import Block, Channel, ChannelSet, Scores
from gridtop.plugins.detectors.frequency_excursion import FrequencyExcursion
from gridtop.site import Site, System
from tests.streams import block_of

RATE = 10.0
CHANNELS = ChannelSet(
    tuple(Channel(f"{name}:F", "frequency", "Hz", name) for name in ("R1", "R2", "R3")), RATE
)
SITE = Site(system=System(beta="1200 MW/Hz"))


def detector(site: Site = SITE, **settings: object) -> FrequencyExcursion:
    return FrequencyExcursion(FrequencyExcursion.Config.model_validate(settings), CHANNELS, site=site)


def notes_of(scores: Scores) -> Sequence[str]:
    assert scores.note is not None
    assert not isinstance(scores.note, Mapping)
    return scores.note


def fall(depth: float, seconds: float = 60.0, at: float = 20.0, terminals: int = 3) -> Block:
    """Frequency that falls by `depth` within two seconds and stays there."""
    time = np.arange(round(seconds * RATE)) / RATE
    values = np.full((len(time), 3), 60.0)
    values[:, :terminals] -= (depth * np.clip((time - at) / 2, 0, 1))[:, None]
    return block_of(values, CHANNELS)


def test_lost_generation_scores_in_multiples_of_the_threshold_and_is_said_in_megawatts() -> None:
    scores = detector().score(fall(0.2))
    assert np.nanmax(scores.score) == pytest.approx(2.0, abs=0.01)
    at = int(np.nanargmax(scores.score[:, 0]))
    assert (
        notes_of(scores)[at]
        == "frequency fell 0.20 Hz in 4 s at 3 terminals; about 240 MW of generation lost"
    )


def test_a_rise_is_lost_load() -> None:
    note = notes_of(detector().score(fall(-0.2)))
    assert any("rose 0.20 Hz" in text and "MW of load lost" in text for text in note)


def test_without_the_systems_own_beta_no_megawatts_are_invented() -> None:
    note = notes_of(detector(Site()).score(fall(0.2)))
    texts = [text for text in note if text]
    assert texts
    assert all("MW" not in text and "site.system.beta" in text for text in texts)


def test_one_terminal_alone_is_no_excursion() -> None:
    scores = detector().score(fall(0.5, terminals=1))
    assert np.nanmax(scores.score) < 1
    # The same fall at two of the three is one.
    assert np.nanmax(detector().score(fall(0.5, terminals=2)).score) > 1


def test_a_spike_shorter_than_the_windows_is_no_excursion() -> None:
    block = fall(0.0)
    values = block.values.copy()
    values[200:206] -= 0.5
    assert np.nanmax(detector().score(block_of(values, CHANNELS)).score) < 1


def test_a_second_excursion_is_silent_until_the_block_is_over() -> None:
    time = np.arange(900) / RATE

    def twice(second: float) -> int:
        steps = 0.2 * (np.clip((time - 10) / 2, 0, 1) + np.clip((time - second) / 2, 0, 1))
        score = detector().score(block_of(60.0 - np.tile(steps[:, None], 3), CHANNELS)).score[:, 0]
        over = np.nan_to_num(score) >= 1
        return int(np.count_nonzero(over & ~np.r_[False, over[:-1]]))

    assert twice(22.0) == 1
    assert twice(60.0) == 2


def test_a_restless_system_raises_its_own_threshold() -> None:
    time = np.arange(round(30 * 60 * RATE)) / RATE
    restless = 60.0 + 0.05 * np.sin(2 * np.pi * time / 8)  # changes of 0.1 Hz in 4 s, all the time
    restless[-200:] -= 0.15
    block = block_of(np.tile(restless[:, None], 3), CHANNELS)
    learned = np.nanmax(detector(block="0s").score(block).score[-200:])
    unlearned = np.nanmax(detector(block="0s", ambient=0).score(block).score[-200:])
    assert learned < 1 < unlearned


def test_missing_values_are_no_opinion_and_not_a_change() -> None:
    block = fall(0.0)
    values = block.values.copy()
    values[100:300] = np.nan
    score = detector().score(block_of(values, CHANNELS)).score[:, 0]
    assert np.isnan(score[200])
    assert np.nanmax(score) == 0


def test_no_frequency_at_all_is_said() -> None:
    voltages = ChannelSet((Channel("U", "voltage", "V", "R1"),), RATE)
    with pytest.raises(ValueError, match="frequency"):
        FrequencyExcursion(FrequencyExcursion.Config(), voltages, site=SITE)


@pytest.mark.parametrize("size", [1, 7, 256])
def test_how_the_stream_is_cut_changes_nothing(size: int) -> None:
    random = np.random.default_rng(5)
    time = np.arange(round(12 * 60 * RATE)) / RATE
    values = 60 + 0.05 * np.sin(time / 40)[:, None] + random.normal(0, 2e-3, (len(time), 3))
    values[5000:] -= 0.3
    values[random.uniform(size=values.shape) < 0.02] = np.nan
    whole = block_of(values, CHANNELS)
    expected = detector().score(whole)
    cut = detector()
    pieces = [cut.score(whole.slice(i, i + size)) for i in range(0, len(whole), size)]
    assert np.array_equal(np.concatenate([p.score for p in pieces]), expected.score, equal_nan=True)
    notes = [text for p in pieces for text in (notes_of(p) if p.note else [""] * len(p.score))]
    assert notes == list(notes_of(expected))
    assert np.nanmax(expected.score) > 1
