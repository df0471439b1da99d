"""The `recording:` section: where recordings of live data go, and how large one may grow."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gridtop.units import Duration


class RecordingSettings(BaseModel):
    """Of recordings that a key on the screen, `gridtop run --record` or `gridtop record` makes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(
        Path("."),
        description="where recordings without a name of their own go, relative to the working directory",
    )
    size: int = Field(
        1000,
        ge=1,
        le=10_000_000,
        description="megabytes one recording may take; then its oldest frames make room for new ones",
    )
    keep: Duration | None = Field(
        None, description="how much of the stream one recording holds at most, by measurement time: 24h"
    )
