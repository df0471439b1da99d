"""Plausibility: values that no grid has, frequencies without a voltage, frames filled in for the absent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.quality.settings import USUAL_FREQUENCIES, Range
from gridtop.quality.status_words import MESSENGERS
from gridtop.site import Site

Bools = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]

DEAD_VOLTAGE_PU = 0.1
"""Below it nobody knows the frequency; an interruption by IEEE 1159."""

_LINE_TO_LINE = ("AB", "BC", "CA")
_LINE_TO_NEUTRAL = ("A", "B", "C", "+", "-", "0")


def base_of(channel: Channel, site: Site) -> float | None:
    """What 1.0 per unit of a voltage or a current is in the channel's unit, None when nobody said."""
    if channel.unit in ("pu", "%"):
        return 1.0 if channel.unit == "pu" else 100.0
    if channel.quantity == "current":
        return site.rated_current(channel.terminal)
    if channel.reference == "line_to_line" or channel.phase in _LINE_TO_LINE:
        return site.line_to_line(channel.terminal)
    if channel.reference == "line_to_neutral" or channel.phase in _LINE_TO_NEUTRAL:
        return site.line_to_neutral(channel.terminal)
    return None


class Plausibility:
    """The bounds of every channel, in its own unit; what has no base or no bounds is not checked."""

    def __init__(self, channels: ChannelSet, site: Site, plausible: Mapping[str, Range | None]) -> None:
        bounds = [_bounds(channel, site, plausible) for channel in channels]
        self._lower = np.array([lower for lower, _ in bounds])
        self._upper = np.array([upper for _, upper in bounds])

    def find(self, values: Floats) -> tuple[Columns, Bools] | None:
        """Of (n, c) values: the columns (k,) with something out of range, and where (n, k)."""
        beyond = values > self._upper
        below = values < self._lower
        if not (beyond.any() or below.any()):
            return None
        beyond |= below
        columns = np.flatnonzero(beyond.any(axis=0))
        return columns, beyond[:, columns]


class Terminals:
    """What the values of a terminal say together: whether its bus is dead, and whether it is there at all."""

    def __init__(self, channels: ChannelSet, site: Site, plausible: Mapping[str, Range | None]) -> None:
        self._dead: list[tuple[Columns, Floats, Columns]] = []
        self._absent: list[tuple[int, float, float, Columns, Columns]] = []
        of_terminal: dict[str, list[int]] = {}
        for column, channel in enumerate(channels):
            if channel.quantity not in MESSENGERS and channel.part != "status":
                of_terminal.setdefault(channel.terminal, []).append(column)
        for columns in of_terminal.values():
            voltages = [i for i in columns if _is_magnitude(channels[i], "voltage")]
            phasors = [i for i in columns if _is_magnitude(channels[i], "voltage", "current")]
            rates = [i for i in columns if channels[i].quantity in ("frequency", "rocof")]
            frequency = next((i for i in rates if channels[i].quantity == "frequency"), None)
            bases = [base_of(channels[i], site) for i in voltages]
            known = [(i, base) for i, base in zip(voltages, bases, strict=True) if base is not None]
            # An unbalance has no share in whether there is a voltage.
            known = [(i, base) for i, base in known if channels[i].phase not in ("-", "0")]
            if known and rates:
                measured, nominal = zip(*known, strict=True)
                limits = DEAD_VOLTAGE_PU * np.array(nominal)
                self._dead.append((np.array(measured), limits, np.array(rates)))
            if frequency is not None and phasors:
                bounds = _bounds(channels[frequency], site, plausible)
                if bounds != _ANYTHING:
                    self._absent.append((frequency, *bounds, np.array(phasors), np.array(columns)))
        ends = np.cumsum([len(measured) for measured, _, _ in self._dead], dtype=np.intp)
        self._starts = np.concatenate(([0], ends[:-1])).astype(np.intp)
        none = np.empty(0, dtype=np.intp)
        self._voltages = np.concatenate([none, *(measured for measured, _, _ in self._dead)])
        self._limits = np.concatenate([np.empty(0), *(limits for _, limits, _ in self._dead)])

    def absent(self, values: Floats, implausible: Columns) -> Iterator[tuple[Columns, Bools]]:
        """Columns (k,) and frames (n,) of devices that are not there.

        A concentrator fills the frames of an absent device with phasors of 0 and, where no status says so,
        with a frequency that cannot be, such as 65.536 Hz. `implausible` are the columns out of range.
        """
        for frequency, lower, upper, phasors, columns in self._absent:
            if frequency in implausible:
                of_terminal = values[:, frequency]
                frames = ((of_terminal < lower) | (of_terminal > upper)) & (values[:, phasors] == 0).all(
                    axis=1
                )
                if frames.any():
                    yield columns, frames

    def dead(self, values: Floats) -> Iterator[tuple[Columns, Bools]]:
        """Frequencies and their slopes, columns (k,), and the frames (n,) without a voltage to have them."""
        if not len(self._voltages):
            return
        low = values[:, self._voltages] < self._limits
        if not low.any():
            return
        missing = np.isnan(values[:, self._voltages])
        # All that are known are low, and one at least is known.
        everywhere = np.logical_and.reduceat(low | missing, self._starts, axis=1)
        somewhere = np.logical_or.reduceat(low, self._starts, axis=1)
        frames = everywhere & somewhere
        for i in np.flatnonzero(frames.any(axis=0)):
            yield self._dead[i][2], frames[:, i]


_ANYTHING: Range = (-math.inf, math.inf)


def _bounds(channel: Channel, site: Site, plausible: Mapping[str, Range | None]) -> Range:
    """The bounds of a channel in its own unit."""
    if channel.quantity in MESSENGERS or channel.part == "status":
        return _ANYTHING
    if channel.part == "angle":
        return plausible.get("angle") or _ANYTHING
    lowest, highest = plausible.get(channel.quantity) or _ANYTHING
    usual = _usual_bounds(channel, site, plausible)
    return max(lowest, usual[0]), min(highest, usual[1])


def _usual_bounds(channel: Channel, site: Site, plausible: Mapping[str, Range | None]) -> Range:
    """Those that are given relative to a nominal value."""
    if channel.quantity == "frequency":
        departure = plausible.get("frequency_deviation")
        if departure is None or channel.unit != "Hz":
            return _ANYTHING
        if not _knows_frequency(site):
            return USUAL_FREQUENCIES
        return site.frequency + departure[0], site.frequency + departure[1]
    word = {"voltage": "voltage_pu", "current": "current_pu"}.get(channel.quantity, "")
    bounds, base = plausible.get(word), base_of(channel, site) if word else None
    return _ANYTHING if bounds is None or base is None else (bounds[0] * base, bounds[1] * base)


def _knows_frequency(site: Site) -> bool:
    return site.system.frequency is not None or "frequency" in site.nominal.model_fields_set


def _is_magnitude(channel: Channel, *quantities: str) -> bool:
    return channel.quantity in quantities and channel.part != "angle"
