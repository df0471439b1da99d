"""The commissioning baseline: what it learns from a quiet stretch, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridtop import commissioning
from gridtop.baseline import Baseline
from gridtop.blocks import Block, Quality
from gridtop.commissioning import learn
from gridtop.errors import ConfigurationError
from gridtop.simulation import Maintenance, Simulation
from gridtop.site import Site
from tests.phasor_blocks import SITE, Derived, faulted_phasors, line_data, quiet_phasors, readings, site

RATIO_OF_R3 = 1.004 * np.exp(1j * np.radians(0.2))
CT_OF_R2 = 0.993
Z1_SHARE = 1.06
GUESSED = site(lines=line_data(z1=f"{3.7 / Z1_SHARE}+{37 / Z1_SHARE}j", b1=None))
RESIDUALS = (
    "L1:kvl_residual",
    "L1:differential_current",
    "L1:power_residual",
    "L2:kvl_residual",
    "R3:bus_mismatch",
)
LIMITS = dict(zip(RESIDUALS, (0.005, 10.0, 1.0, 0.005, 0.003), strict=True))


def with_errors(phasors: Any, seed: int = 1) -> Any:
    """The same as real instruments show it: ratios within their class, and noise."""
    random = np.random.default_rng(seed)
    shown = phasors.copy()
    shown[:, 2, 0] *= RATIO_OF_R3
    shown[:, 1, 1] *= CT_OF_R2
    noise = random.standard_normal(shown.shape) + 1j * random.standard_normal(shown.shape)
    return shown * (1 + 2e-4 * noise)


def cut(block: Block, size: int) -> Iterator[Block]:
    for start in range(0, len(block), size):
        yield block.slice(start, start + size)


def learned(block: Block, of: Site = SITE, size: int = 50) -> Baseline:
    return learn(cut(block, size), of, recording="quiet.csv", sha256="00", learned="2026-01-01")


@pytest.fixture(scope="module")
def quiet() -> Block:
    return readings(with_errors(quiet_phasors(20)))


@pytest.fixture(scope="module")
def baseline(quiet: Block) -> Baseline:
    return learned(quiet, GUESSED)


def test_errors_of_instruments_and_line_data_are_learned_away(quiet: Block, baseline: Baseline) -> None:
    later = readings(with_errors(quiet_phasors(20, seed=11), seed=2))  # another load, other noise
    raw, departure = Derived(later, GUESSED), Derived(later, GUESSED, baseline=baseline)
    for name in RESIDUALS:
        assert np.abs(departure[name]).max() < 0.5 * LIMITS[name], name
    for name in ("L1:kvl_residual", "L1:differential_current", "R3:bus_mismatch"):
        assert np.abs(raw[name]).min() > LIMITS[name], name


def test_a_change_after_commissioning_shows_in_full(baseline: Baseline) -> None:
    changed = with_errors(quiet_phasors(4))
    changed[:, 2, 0] *= 1.02
    derived = Derived(readings(changed), GUESSED, baseline=baseline)
    assert derived["R3:bus_mismatch"] == pytest.approx(0.02, rel=0.1)
    assert derived["L2:kvl_residual"] == pytest.approx(0.02, rel=0.15)
    assert derived["L1:kvl_residual"].max() < 0.005


def test_a_fault_is_located_better_with_the_errors_known(baseline: Baseline) -> None:
    block = readings(with_errors(faulted_phasors("AG", "L1", 0.4, 20.0)))
    informed = Derived(block, GUESSED, baseline=baseline)["L1:fault_location"][1]
    naive = Derived(block, GUESSED)["L1:fault_location"][1]
    assert abs(informed - 0.4) < 0.02
    assert abs(informed - 0.4) < abs(naive - 0.4)


def test_the_scale_of_a_reported_impedance_is_learned_and_its_constancy_tested() -> None:
    block = readings(quiet_phasors(4))
    values = block.values.copy()
    values[:, block.channels.position("R1-PA:Z")] *= 0.0287
    values[:, block.channels.position("R1-PA:ZH")] += 1.5
    scaled = Block(block.channels, block.time, values)
    known = learned(scaled)
    assert Derived(scaled, baseline=known)["R1:impedance_residual"].max() < 0.1
    values = values.copy()
    values[-1, block.channels.position("R1-PA:Z")] *= 1.05
    changed = Derived(Block(block.channels, block.time, values), baseline=known)
    assert changed["R1:impedance_residual"][-1] == pytest.approx(5.0, abs=0.1)


def test_without_a_baseline_residuals_are_against_the_plain_model(quiet: Block) -> None:
    assert np.median(Derived(quiet, GUESSED)["L1:differential_current"]) == pytest.approx(43, abs=3)


def test_how_the_stretch_is_cut_changes_nothing(quiet: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commissioning, "_MOST_VALUES", 200 * len(quiet.channels))
    one, other = learned(quiet, size=7), learned(quiet, size=600)
    assert one == other
    assert one.frames == 150  # of 600 every fourth


def test_a_few_wild_frames_change_little(quiet: Block) -> None:
    values = quiet.values.copy()
    values[10::97, quiet.channels.position("R2-PM1:V")] *= 1.5
    values[20::97, quiet.channels.position("R1-PA4:IH")] += 90.0
    robust = learned(Block(quiet.channels, quiet.time, values), GUESSED)
    derived = Derived(quiet, GUESSED, baseline=robust)
    for name in RESIDUALS:
        assert np.abs(derived[name]).max() < 0.5 * LIMITS[name], name


def test_missing_and_doubtful_values_do_not_count(quiet: Block, baseline: Baseline) -> None:
    values = quiet.values.copy()
    quality = np.zeros(values.shape, dtype=np.uint16)
    at = quiet.channels.position("R3-PM1:V")
    values[100:200, at] *= 1.1
    quality[100:200, at] = Quality.SUSPECT
    values[300:400, at] = np.nan
    quality[300:400, at] = Quality.MISSING
    partial = learned(Block(quiet.channels, quiet.time, values, quality), GUESSED)
    assert partial.coefficients["R3:bus_mismatch"][0] == pytest.approx(
        baseline.coefficients["R3:bus_mismatch"][0], abs=1e-4
    )


def test_a_stretch_with_a_fault_is_refused_with_its_place_and_time() -> None:
    phasors = np.concatenate((quiet_phasors(4), *[faulted_phasors("AG", resistance=20.0)[1:]] * 2))
    with pytest.raises(ValueError, match=r"not quiet: a fault .* at R1, 2026-01-01T00:00:04"):
        learned(readings(phasors))


def test_a_fault_that_two_blocks_share_is_refused_too() -> None:
    phasors = np.concatenate((quiet_phasors(4), *[faulted_phasors("ABC", resistance=1.0)[1:]] * 2))
    with pytest.raises(ValueError, match="not quiet"):
        learned(readings(phasors), size=121)


def test_a_stretch_with_an_open_line_is_refused() -> None:
    frames = Simulation(events=[Maintenance(2, "L2", duration=60)], seed=3).read(150)
    with pytest.raises(ValueError, match="not quiet: .* at L2"):
        learned(readings(frames.phasors))


def test_too_short_a_stretch_is_refused(quiet: Block) -> None:
    with pytest.raises(ValueError, match="20 frames are too few"):
        learned(quiet.slice(0, 20))


def test_an_undescribed_site_has_nothing_to_learn(quiet: Block) -> None:
    few = [i for i, c in enumerate(quiet.channels) if c.phase in ("A", "B", "C")]
    with pytest.raises(ValueError, match="describe lines and buses"):
        learned(quiet.pick(few), Site())


def test_it_says_where_it_comes_from_and_survives_the_file(baseline: Baseline, tmp_path: Path) -> None:
    assert (baseline.first, baseline.frames) == ("2026-01-01T00:00:00.000Z", 600)
    assert baseline.recording == "quiet.csv"
    baseline.write(tmp_path / "baseline.json")
    assert Baseline.read(tmp_path / "baseline.json") == baseline


def test_a_file_that_is_no_baseline_says_so(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="no baseline"):
        Baseline.read(tmp_path / "b.json")


def test_factors_for_another_formula_are_not_used(quiet: Block, baseline: Baseline) -> None:
    old = baseline.model_copy(update={"coefficients": {"L1:kvl_residual": ((0.5, 0.5),)}})
    assert Derived(quiet, GUESSED, baseline=old)["L1:kvl_residual"] == pytest.approx(
        Derived(quiet, GUESSED)["L1:kvl_residual"]
    )
