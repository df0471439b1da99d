"""The settings that all estimators share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gridtop.api import Duration, Settings
from gridtop.plugins.detectors.estimators.expressions import Package, read, require
from gridtop.plugins.detectors.estimators.scaling import Scale

Learn = Literal["never", "when_normal", "always"]


class EstimatorSettings(Settings):
    """Settings of an estimator from a library."""

    package: ClassVar[Package]

    model: str = Field(description="one call with literal arguments, which names and builds the estimator")
    fit_on: Duration = Field(
        "30s", validate_default=True, description="good frames, from the first on, that it learns from"
    )
    scale: Scale = Field(
        "robust", description="robust: by median and interquartile range; unit: the same to 0..1; none"
    )
    score: Literal["nines", "raw"] = Field(
        "nines", description="nines: 3 is one ordinary frame in a thousand; raw: the library's own number"
    )
    learn: Learn = Field("never", description="whether it goes on learning after fit_on")
    learn_every: Duration = Field(
        "5m", validate_default=True, description="how often it is fitted anew while it goes on learning"
    )
    relearn_after: Duration = Field(
        "10m",
        validate_default=True,
        description="with when_normal: strangeness that lasts so long is the new normal",
    )

    @field_validator("model")
    @classmethod
    def _reads(cls, model: str) -> str:
        read(model, cls.package)
        require(cls.package)
        return model

    @model_validator(mode="after")
    def _fits(self) -> EstimatorSettings:
        for name in ("fit_on", "learn_every", "relearn_after"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must be longer than 0s")
        if self.learn != "never" and self.learn_every < self.fit_on:
            raise ValueError("learn_every: shorter than fit_on, so that each fit would repeat the one before")
        if self.learn == "when_normal" and self.relearn_after < self.fit_on:
            raise ValueError("relearn_after: shorter than fit_on, which is what it would learn from")
        return self
