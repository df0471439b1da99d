"""The `journal:` section: where events are kept, and for how long."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gridtop.units import Duration

MEGABYTE = 1_000_000


class JournalSettings(BaseModel):
    """Without a path all of it lives in memory, what is owed to sinks as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = Field(
        None,
        description="the SQLite file, relative to the working directory; if not given, events are kept in "
        "memory and nothing survives a crash",
    )
    keep: Duration = Field(timedelta(days=90), description="how long events are kept, by the wall clock")
    size: int = Field(
        512, ge=4, le=1_000_000, description="megabytes the file may take; then the oldest events go first"
    )
    resume: bool = Field(
        True, description="go on where the last run of the same source stopped; false: always begin anew"
    )
    oldest_state: Duration = Field(
        timedelta(minutes=10),
        description="live sources: alarms that were active longer ago than this when the engine starts again "
        "are ended instead of continued",
    )
