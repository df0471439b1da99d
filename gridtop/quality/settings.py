"""The `quality:` section: which values are plausible, and when a channel counts as flat-lined."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from gridtop.units import Duration

Range = tuple[float, float]

PLAUSIBLE: dict[str, Range] = {
    "voltage_pu": (0.0, 2.0),
    "current_pu": (0.0, 40.0),
    "frequency_deviation": (-5.0, 5.0),
    "rocof": (-50.0, 50.0),
    "angle": (-360.0, 360.0),
}
"""What a quantity can be on a live grid, faults included; wide on purpose. In pu, pu, Hz, Hz/s and degrees.

Our own choice. Voltage: a floating neutral lifts phases to 1.73 pu. Current: 40 times a rating of 1.6 kA is
64 kA, as much as breakers are built for. Frequency: 5 Hz off, generators have long been disconnected.
"""

USUAL_FREQUENCIES: Range = (45.0, 65.0)
"""Hz, where the nominal frequency is not given: within 5 Hz of 50 or of 60."""


def _ordered(bounds: Range) -> Range:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"the lower bound comes first: [{bounds[1]:g}, {bounds[0]:g}]")
    return bounds


Word = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]
Bounds = Annotated[Range, AfterValidator(_ordered)]


class QualitySettings(BaseModel):
    """How measured values are checked before anything looks at them (docs/quality.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    plausible: dict[Word, Bounds | None] = Field(
        default_factory=lambda: dict(PLAUSIBLE),
        validate_default=True,
        description="quantity to [lowest, highest]: voltage_pu, current_pu, frequency_deviation (Hz), rocof, "
        "angle (degrees), or the quantity of a channel in its own unit; null: anything is plausible",
    )
    flatline: Duration = Field(
        timedelta(seconds=4),
        description="how long a value may stand still while its neighbours move; 0 switches the check off",
    )
    repeated_frames: bool = Field(
        True, description="doubt a terminal's frame when all of its values are those of the frame before"
    )
    status_words: bool = Field(
        True, description="read channels of quantity status as STAT words of IEEE C37.118"
    )

    @field_validator("plausible", mode="before")
    @classmethod
    def _over_the_usual(cls, value: Any) -> Any:
        """What is written changes only the quantities it names."""
        return {**PLAUSIBLE, **value} if isinstance(value, Mapping) else value
