"""Settings that are written as one thing or as a list of such things."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator, WithJsonSchema


def one_or_several(most: int, **item: Any) -> tuple[BeforeValidator, WithJsonSchema]:
    """What makes a tuple out of a single text, and the schema that allows both."""
    text = {"type": "string", **item}
    return (
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        WithJsonSchema({"anyOf": [text, {"type": "array", "items": text, "maxItems": most}]}),
    )
