"""Thresholds written as quantiles of a detector's ordinary scores: `q99.9`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

WRITE = "write a number instead, such as high: {warning: 3}"
"""What can always be done."""

_WRITTEN = re.compile(r"q(?P<percent>[0-9]{2}(?:\.[0-9]{1,6})?)")
_PATTERN = r"^q[5-9][0-9](\.[0-9]{1,6})?$"


@dataclass(frozen=True, slots=True)
class Quantile:
    """`q99.9`: the score that 99.9 % of ordinary frames stay below. 50 or more, less than 100."""

    percent: Decimal

    @classmethod
    def parse(cls, value: Any) -> Self:
        """From `q99.9`; ValueError for anything else."""
        if isinstance(value, cls):
            return value
        written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
        if written is None or (percent := Decimal(written["percent"])) < 50:
            raise ValueError(
                f"{str(value)[:20]!r} is no quantile; write q and a percentage from 50 to less than 100 "
                "with at most six decimals, such as q99.9"
            )
        return cls(percent.normalize())

    @property
    def share(self) -> float:
        """0.999 for `q99.9`."""
        return float(self.percent / 100)

    def __str__(self) -> str:
        return f"q{self.percent:f}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": _PATTERN, "examples": ["q99.9"]}


def _looks_like_one(value: Any) -> bool:
    return isinstance(value, Quantile) or (isinstance(value, str) and value[:1].lower() == "q")


def _only_a_number(value: Any) -> Any:
    if _looks_like_one(value):
        raise ValueError(
            f"{str(value)[:20]!r} is a quantile of scores: only high: in the alarm of a detector takes one; "
            "write a number"
        )
    return value


Number = Annotated[float, BeforeValidator(_only_a_number)]
"""A level on a channel."""

NumberOrQuantile = Annotated[
    Annotated[float, Tag("number")] | Annotated[Quantile, Tag("quantile")],
    Discriminator(lambda value: "quantile" if _looks_like_one(value) else "number"),
]
"""A level on a detector's score."""
