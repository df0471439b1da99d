"""The commissioning baseline: what a site's instruments and lines show when all is well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gridtop.errors import ConfigurationError
from gridtop.text import clean

_LARGEST_FILE = 1 << 20


class Baseline(BaseModel):
    """What was learned from a quiet stretch, and from which.

    Residuals of the physics are never zero: instruments have errors within their class, and a line's data
    are not exact. `coefficients` gives, by channel (`L1:kvl_residual`), the complex factors that explain
    what was there when all was well; the quantity is what they leave unexplained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learned: str = Field(description="the day it was learned, ISO 8601")
    recording: str = Field(description="the name of the recording")
    sha256: str = Field(description="the hash of its content")
    first: str = Field(description="the first frame: its time, or its row")
    last: str = Field(description="the last frame")
    frames: int = Field(ge=1, description="how many frames were used")
    coefficients: Mapping[str, tuple[tuple[float, float], ...]] = Field(
        description="by channel, pairs of real and imaginary part"
    )

    def of(self, channel: str, count: int) -> tuple[complex, ...] | None:
        """The `count` factors for a channel; None when it was not there to be learned."""
        pairs = self.coefficients.get(channel, ())
        return tuple(complex(*pair) for pair in pairs) if len(pairs) == count else None

    def write(self, path: Path) -> None:
        """Write it as JSON, one line a channel; OSError when that cannot be done."""
        known: dict[str, Any] = self.model_dump(mode="json", exclude={"coefficients"})
        head = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in known.items())
        rows = ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(pairs)}" for name, pairs in sorted(self.coefficients.items())
        )
        path.write_text(f'{{\n{head},\n "coefficients": {{\n{rows}\n }}\n}}\n', encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """The baseline in a file; ConfigurationError when there is none that can be read."""
        shown = clean(str(path), longest=1000)
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise ConfigurationError(f"site.baselines.from: {shown} is too large for a baseline")
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(f"site.baselines.from: {shown}: {reason.lower()}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ConfigurationError(
                f"site.baselines.from: {shown} is no baseline: {clean(where)}: {clean(first['msg'])}; "
                "gridtop inspect --learn-baseline writes one"
            ) from None
