"""The kill -9 drill in short: nothing that was committed is lost on the way to a receiver that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drill import drill


@pytest.mark.timeout(180)
async def test_what_was_committed_arrives_although_the_engine_is_killed(tmp_path: Path) -> None:
    outcome = await drill(tmp_path, kills=3, seconds=0.5, rate=100.0)
    assert outcome.well, outcome
    assert outcome.kills == 3
    assert outcome.refused > 0
