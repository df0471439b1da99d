"""The settings of `type: align`."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from gridtop.api import Duration, Settings

_LONGEST_WAIT = timedelta(seconds=60)


class AlignSettings(Settings):
    """How long sources wait for each other, and how far their clocks may be apart."""

    wait: Duration = Field(
        "500ms",
        validate_default=True,
        description="how long an instant waits for sources that have not reported yet, from when the first "
        "one has; recordings wait for each other as long as it takes",
    )
    rate: float | None = Field(
        None,
        ge=0.001,
        le=1000,
        allow_inf_nan=False,
        description="frames per second; the highest rate of the sources when not given",
    )
    prefix: bool = Field(
        False, description="true: a source's name goes before its channels and terminals: north/R1:F"
    )
    hold: Duration = Field(
        "5s",
        validate_default=True,
        description="how long the last value of a source slower than the stream is shown; three of its "
        "periods if that is longer",
    )
    disagreement: Duration = Field(
        "2s",
        validate_default=True,
        description="a source whose clock differs by more from that of most others is named, and left out "
        "until it is right",
    )
    leave_out: bool = Field(
        False, description="true: sources that cannot be opened are left out, as long as one opens"
    )

    @model_validator(mode="after")
    def _agree(self) -> AlignSettings:
        if not timedelta(0) < self.wait <= _LONGEST_WAIT:
            raise ValueError("wait: must be longer than 0s and not above 60s")
        if self.disagreement <= self.wait:
            raise ValueError(
                "disagreement: must be longer than wait, or a source would be left out for being late"
            )
        return self
