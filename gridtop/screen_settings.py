"""The `screen:` section of a configuration: keys, colours, characters and pace of screens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gridtop.client import ScreenWishes
from gridtop.problems import did_you_mean

KeyId = Literal[
    "quit",
    "help",
    "theme",
    "picture",
    "restart",
    "acknowledge",
    "alarms",
    "devices",
    "device-card",
    "acknowledge-all",
    "shelve",
    "unshelve",
    "unlatch",
    "out-of-service",
    "alarm-card",
    "unfold",
    "fold",
    "alarm-up",
    "alarm-down",
    "alarm-page-up",
    "alarm-page-down",
    "alarm-first",
    "alarm-last",
    "pause",
    "record",
    "step-back",
    "step",
    "slower",
    "faster",
    "real-time",
    "back",
    "forward",
    "minute-back",
    "minute-forward",
    "hour-back",
    "hour-forward",
    "start",
    "go-to",
    "event-back",
    "event-forward",
    "terminal",
    "all-terminals",
    "phase",
    "all-phases",
    "overlay",
    "scale",
    "quantity",
    "wider",
    "narrower",
    "chart",
    "panel-1",
    "panel-2",
    "panel-3",
    "panel-4",
    "next-panel",
    "previous-panel",
    "follow",
    "log-end",
    "filter",
    "all-events",
    "next-match",
    "previous-match",
    "event-card",
    "log-up",
    "log-down",
    "log-page-up",
    "log-page-down",
    "log-home",
    "back-to-panels",
]
"""What keys can do (docs/screen.md). A screen's bindings carry these names."""
_KEY_IDS: tuple[str, ...] = KeyId.__args__  # type: ignore[attr-defined]

USUAL_PANELS = ("voltage", "current", "impedance", "frequency")
Panel = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,40}$")]

SLOWEST_RATE, FASTEST_RATE = 0.2, 10.0
"""Repaints a second: nobody reads numbers faster than the one, nobody calls the other live."""


def _known(value: Any) -> Any:
    for name in value if isinstance(value, dict) else ():
        if name not in _KEY_IDS:
            raise ValueError(
                f"there is no key for {name!r}{did_you_mean(str(name), _KEY_IDS)}; ? on the screen lists them"
            )
    return value


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Keys = Annotated[
    tuple[Annotated[str, Field(pattern=r"^\S{1,40}$")], ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class ScreenSettings(BaseModel):
    """How screens look and which keys they have; options of the command line come first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: Annotated[dict[KeyId, Keys], BeforeValidator(_known)] = Field(
        default_factory=dict, description="what a key does to the key, or keys: {pause: [space, k]}"
    )
    theme: str = Field("auto", description="gridtop, ansi-dark, ansi-light or another theme of Textual")
    glyphs: Literal["auto", "unicode", "ascii"] = Field("auto", description="characters to draw with")
    rate: Annotated[float, Field(ge=SLOWEST_RATE, le=FASTEST_RATE)] | None = Field(
        None, description="repaints a second; 4 if not given, 1 with --slow"
    )

    panels: Annotated[tuple[Panel, ...], Field(min_length=1, max_length=4)] = Field(
        USUAL_PANELS, description="the quantities of the four panels: voltage, efficiency, active_power, ..."
    )

    def wishes(self) -> ScreenWishes:
        """The settings as they travel to a screen."""
        keys = {str(id): keys for id, keys in self.keys.items()}
        return ScreenWishes(keys, self.theme, self.glyphs, self.rate, self.panels)
