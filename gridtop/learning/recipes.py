"""Recipes: which features a model is trained on, for a site and its channels.

`transfer` takes what means the same on every line: per unit, relative to a neighbour or to the seconds
before, departures from physical laws. `channels` takes any channels as they are, angles relative to one of
them, impedances as admittances. `raw` is the plain recipe of the earlier system: the columns as they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridtop.channels import Channel, ChannelSet
from gridtop.errors import GridtopError
from gridtop.learning.card import Recipe
from gridtop.learning.features import Feature, Scope, bind
from gridtop.quantities import Quantities
from gridtop.site import Site

WINDOW_S = 1.0
"""Seconds that changes and ranges look back: within the 0.5 to 2 s in which protection acts."""
LARGEST_ADMITTANCE = 1.0
"""S: 1 ohm at the terminal, beyond every fault."""
RAW_WARNING = (
    "trained on raw columns: absolute angles rotate and magnitudes are one operating point's, so the model "
    "recognises the recording rather than the event; it does not transfer"
)

_END = {
    "voltage_pu.A": "pu",
    "voltage_pu.B": "pu",
    "voltage_pu.C": "pu",
    "current_pu.A": "pu",
    "current_pu.B": "pu",
    "current_pu.C": "pu",
    "residual_current": "pu",
    "voltage_unbalance": "%",
    "current_unbalance": "%",
    "frequency_deviation": "Hz",
    "rocof": "Hz/s",
    "frequency_residual": "Hz",
    "voltage_step": "pu",
    "current_step": "pu",
    "bus_mismatch": "pu",
    "sequence_residual": "%",
    "impedance_residual": "%",
}
"""What is measured of each end of a line, with its unit."""
_LINE = {
    "angle_difference": "deg",
    "angle_step": "deg",
    "line_open": "",
    "kvl_residual": "pu",
    "power_residual": "%",
    "clock_difference_error": "pu",
}
_BOUNDS = {
    "voltage_unbalance": 200.0,
    "current_unbalance": 500.0,
    "sequence_residual": 500.0,
    "impedance_residual": 500.0,
    "rocof": 50.0,
    "frequency_deviation": 5.0,
    "frequency_residual": 20.0,
    "power_residual": 500.0,
}
"""Where quotients and slopes run away, they say no more than that they do."""
_NOT_EVERYWHERE = ("bus_mismatch",)
"""A terminal alone at its bus has none, and its line is a line all the same."""
_RANGED_ENDS = (
    "voltage_pu.A",
    "voltage_pu.B",
    "voltage_pu.C",
    "current_pu.A",
    "current_pu.B",
    "current_pu.C",
)
_RANGED_LINES = ("angle_difference",)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The features of a recipe, what they are of, and what to say about them in the card."""

    recipe: Recipe
    scope: Scope
    features: tuple[Feature, ...]
    remarks: tuple[str, ...] = ()


def choose(recipe: Recipe, channels: ChannelSet, site: Site, patterns: Sequence[str] = ("*",)) -> Chosen:
    """The features that a recipe takes of a site.

    `transfer` judges each line when the site describes lines with measurements at both ends; elsewhere it
    takes the channels, and what of them is per unit. `patterns` are globs of the channels that `channels` and
    `raw` take. Raises GridtopError when nothing is left.
    """
    if recipe == "transfer":
        features = _of_lines(channels, site)
        if features:
            return Chosen(recipe, "line", features)
    chosen = [
        channels[i]
        for i in channels.select(patterns)
        if channels[i].quantity not in ("time", "label", "ignore")
    ]
    if not chosen:
        raise GridtopError(f"no channel of the recording matches {', '.join(patterns)}")
    if recipe == "raw":
        features = tuple(Feature(channel=channel.name, unit=channel.unit) for channel in chosen)
        return Chosen(recipe, "site", features, (RAW_WARNING,))
    features = _of_channels(chosen, channels)
    if not features:
        raise GridtopError("nothing but absolute angles is left; choose other channels")
    return Chosen(recipe, "site", features)


def line_features() -> tuple[Feature, ...]:
    """Everything `transfer` would take of a line."""
    features = [
        Feature(
            channel=f"{role}:{name}", unit=unit, bound=_BOUNDS.get(name), optional=name in _NOT_EVERYWHERE
        )
        for role in ("near", "far")
        for name, unit in _END.items()
    ]
    features += [
        Feature(channel=f"line:{name}", unit=unit, bound=_BOUNDS.get(name)) for name, unit in _LINE.items()
    ]
    features.append(Feature(channel="line:differential_current", unit="pu", rated=True, bound=50.0))
    features += [
        Feature(channel=f"{role}:{name}", statistic="range", window=WINDOW_S, unit=_END[name])
        for role in ("near", "far")
        for name in _RANGED_ENDS
    ]
    features += [
        Feature(channel=f"line:{name}", statistic="range", window=WINDOW_S, unit=_LINE[name])
        for name in _RANGED_LINES
    ]
    return tuple(features)


def _of_lines(channels: ChannelSet, site: Site) -> tuple[Feature, ...]:
    """The features that every measured line of the site can supply; none where no line can."""
    if not site.lines:
        return ()
    extended = Quantities(channels, site).channels
    lines = [(f, len(bind((f,), "line", extended, site, both_ways=True).places)) for f in line_features()]
    most = max(number for _, number in lines)
    kept = tuple(feature for feature, number in lines if number == most > 0)
    # Voltages and currents at least: a model of a single log would be no model of a line.
    return kept if len(kept) >= len(_RANGED_ENDS) else ()


def _of_channels(chosen: Sequence[Channel], channels: ChannelSet) -> tuple[Feature, ...]:
    reference = next((c for c in channels if _is_angle(c) and c.quantity == "voltage"), None)
    reference = reference or next((c for c in channels if _is_angle(c)), None)
    series: list[dict[str, object]] = []
    for channel in chosen:
        plain: dict[str, object] = {"channel": channel.name, "unit": channel.unit}
        if _is_angle(channel):
            # The angle of an impedance is one between a voltage and a current already; it still wraps round.
            if channel.quantity == "impedance" or reference is None or channel.name == reference.name:
                continue
            plain["relative_to"] = reference.name
        elif channel.quantity == "impedance":
            plain |= {"inverse": True, "bound": LARGEST_ADMITTANCE, "unit": "S"}
        series.append(plain)
    values = [Feature.model_validate(plain) for plain in series]
    moving = [
        Feature.model_validate(plain | {"statistic": statistic, "window": WINDOW_S})
        for statistic in ("change", "range")
        for plain in series
        if statistic == "range" or "relative_to" not in plain
    ]
    return (*values, *moving)


def _is_angle(channel: Channel) -> bool:
    return channel.part == "angle" and not channel.derived
