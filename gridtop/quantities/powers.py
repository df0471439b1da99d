"""Power at a terminal: active, reactive, apparent, and the power factor."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.needs import apparent_power as needs_apparent_power
from gridtop.quantities.needs import base_of_power, power
from gridtop.quantities.needs import reactive_power as needs_reactive_power
from gridtop.quantities.work import IDLE, Work


@of_terminals("active_power", "W", power)
def active_power(work: Work) -> Floats:
    """P = Re(Va Ia* + Vb Ib* + Vc Ic*), positive into the line.

    3 Re(V1 I1*) where only positive sequences are known; as measured where there are no phasors, and then
    with the sign of the channel. Near zero current it is near zero. Source: IEEE Std 1459-2010.
    """
    return work.power.re


@of_terminals("reactive_power", "var", needs_reactive_power)
def reactive_power(work: Work) -> Floats:
    """Q = Im(Va Ia* + Vb Ib* + Vc Ic*), positive where the current lags.

    3 Im(V1 I1*) or as measured, like the active power. Source: IEEE Std 1459-2010.
    """
    return work.power.im


@of_terminals("apparent_power", "VA", needs_apparent_power)
def apparent_power(work: Work) -> Floats:
    """S = sqrt(P² + Q²), the vector apparent power of the three phases.

    With unbalance it is less than the effective apparent power of the same standard.
    Source: IEEE Std 1459-2010.
    """
    return work.apparent_power


@of_terminals("apparent_power_pu", "pu", needs_apparent_power, base_of_power)
def apparent_power_pu(work: Work) -> Floats:
    """S / `site.system.base`; without one / (√3 U_n I_rated). Source: IEEE Std 3002.2."""
    ratio: Floats = work.apparent_power / work.layout.power_base
    return ratio


@of_terminals("power_factor", "", needs_apparent_power, power, needs_reactive_power)
def power_factor(work: Work) -> Floats:
    """±|P| / S, its sign telling lag from lead.

    `site.system.power_factor_sign: load` makes it positive where P and Q flow the same way (a load that
    lags), `generator` where they flow opposite ways. P's own direction is not in it. NaN while the current is
    below 5 % of rated. Source: IEEE Std 1459-2010.
    """
    size = _size(work)
    if work.layout.site.system.power_factor_sign == "generator":
        negative = work.power.re * work.power.im > 0
    else:
        negative = work.power.re * work.power.im < 0
    np.negative(size, out=size, where=negative)
    return size


@of_terminals("power_factor_abs", "", needs_apparent_power, power)
def power_factor_abs(work: Work) -> Floats:
    """|P| / S. NaN while the current is below 5 % of rated. Source: IEEE Std 1459-2010."""
    return _size(work)


def _size(work: Work) -> Floats:
    apparent = work.apparent_power
    size: Floats = np.abs(work.power.re) / apparent
    np.putmask(size, work.idle | (apparent < IDLE * work.layout.rated_power), np.nan)
    return size
