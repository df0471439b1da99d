"""Which terminals end one line or share a bus, which way their currents count, and what the line is made of.

Signs and models follow docs/site.md: currents positive into the line, the line a pi with half its shunt
susceptance at each end, I_i + I_j = j b1 (V_i + V_j) / 2 and V_i - V_j = z1 (I_i - j b1 V_i / 2).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.inspection.phasors import Complexes, TerminalPhasors

MOST_TERMINALS = 40
"""Pairs of the first 40 terminals are looked at: 780."""
_FEWEST_ROWS = 20
_SAME_BUS = 0.01
"""Instruments of class 0.5 differ by up to 0.01 pu, and always by the same."""
_DISTURBED = 0.1
"""pu between two voltages: a load that changes parts buses by half of that, and leaves two that feed it
alike together. It takes a fault or a trip to tell them from one bus."""
_BALANCED = 0.1
_CLEARLY = 1.8
_LEAST_DROP = 0.01


@dataclass(frozen=True, slots=True)
class BusGuess:
    """Terminals whose voltages are the same in size and angle, in quiet and in disturbance alike."""

    terminals: tuple[str, str]
    mismatch: float
    spread: float
    sure: bool
    why: str


@dataclass(frozen=True, slots=True)
class LineGuess:
    """Two terminals whose currents balance.

    `directions` says of each end which way its current counts, empty when that cannot be told. `z1` is the
    regression's series impedance in ohm and `z1_error` the standard error of its parts, None when loading
    did not vary enough; `z1_ratio` is the median of voltage drop by current, which holds the instruments'
    errors too. `b1` in siemens, None when it cannot be told from zero.
    """

    ends: tuple[str, str]
    residual: float
    sure: bool
    directions: dict[str, str]
    power_sum: float
    drop: float
    z1: complex | None
    z1_error: tuple[float, float] | None
    z1_ratio: complex | None
    loading_variation: float
    b1: float | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two terminals as candidates for the ends of a line, with `sign` -1 when one CT is turned round."""

    ends: tuple[str, str]
    sign: int
    susceptance: float
    middle: float
    tail: float
    drop: float
    reactance: float
    power_sum: float

    @property
    def score(self) -> float:
        return self.middle + self.tail


def guess_buses(terminals: Mapping[str, TerminalPhasors]) -> list[BusGuess]:
    """Pairs of terminals on one bus, the surest first; each terminal at most once."""
    voltages = _positive_voltages(terminals)
    found: list[tuple[float, float, str, str]] = []
    widest = 0.0
    for i, j in itertools.combinations(voltages, 2):
        live = _live(voltages[i]) & _live(voltages[j])
        if live.sum() < _FEWEST_ROWS:
            continue
        ratio = voltages[i][live] / voltages[j][live]
        middle = complex(np.median(ratio.real), np.median(ratio.imag))
        spread = float(np.quantile(np.abs(ratio - middle), 0.99))
        widest = max(widest, spread)
        if abs(middle - 1) < _SAME_BUS and spread < _SAME_BUS:
            found.append((spread, abs(middle - 1), i, j))
    guesses: list[BusGuess] = []
    taken: set[str] = set()
    for spread, mismatch, i, j in sorted(found):
        if taken & {i, j}:
            continue
        taken |= {i, j}
        disturbed = widest > max(_DISTURBED, 5 * spread)
        why = f"V1 differs by {mismatch:.4f} pu (median), 99 % of rows within {spread:.4f} of that; " + (
            f"other pairs come {widest:.2f} apart"
            if disturbed
            else "but nothing happens here that would part two buses"
        )
        guesses.append(BusGuess((i, j), mismatch, spread, disturbed, why))
    return guesses


def guess_lines(terminals: Mapping[str, TerminalPhasors], buses: list[BusGuess]) -> list[LineGuess]:
    """Pairs of terminals that end one line, in the order of the terminals; each at most once."""
    on_one_bus = {frozenset(bus.terminals) for bus in buses}
    pairs = [
        pair
        for i, j in itertools.combinations(list(_positive_voltages(terminals))[:MOST_TERMINALS], 2)
        if frozenset((i, j)) not in on_one_bus
        for pair in _compare(terminals[i], terminals[j])
    ]
    pairs.sort(key=lambda pair: pair.score)
    lines: list[LineGuess] = []
    taken: set[str] = set()
    for pair in pairs:
        if taken & {*pair.ends} or pair.middle > _BALANCED:
            continue
        taken |= {*pair.ends}
        others = [other for other in pairs if other is not pair and {*other.ends} & {*pair.ends}]
        clear = all(
            max(other.middle / max(pair.middle, 1e-6), other.tail / max(pair.tail, 1e-6)) > _CLEARLY
            for other in others
        )
        lines.append(_line(terminals, pair, clear))
    order = list(terminals)
    return sorted(lines, key=lambda line: order.index(line.ends[0]))


def _compare(one: TerminalPhasors, other: TerminalPhasors) -> list[_Pair]:
    """The two terminals as a line with their CTs alike, and with one turned round, where that makes sense."""
    voltage, far_voltage = one.positive_voltage(), other.positive_voltage()
    current, far_current = one.positive_current(), other.positive_current()
    if voltage is None or far_voltage is None or current is None or far_current is None:
        return []
    live = _live(voltage) & _live(far_voltage)
    usual = float(np.median(np.abs(current[live]))) if live.any() else 0.0
    with np.errstate(invalid="ignore"):
        live &= (np.abs(current) > 0.1 * usual) & (np.abs(far_current) > 0.1 * usual)
    if live.sum() < _FEWEST_ROWS or not usual > 0:
        return []
    voltage, far_voltage, current, far_current = (
        values[live] for values in (voltage, far_voltage, current, far_current)
    )
    mean_voltage = (voltage + far_voltage) / 2
    drop = float(np.median(np.abs(voltage - far_voltage) / np.abs(mean_voltage)))
    near_power = 3 * (voltage * current.conj()).real
    far_power = 3 * (far_voltage * far_current.conj()).real
    pairs = []
    for sign in (1, -1):
        total = current + sign * far_current
        susceptance = float(np.median((total / mean_voltage).imag))
        residual = np.abs(total - 1j * susceptance * mean_voltage) / usual
        series = current - 0.5j * susceptance * voltage
        impedance = (voltage - far_voltage) / series
        middle, tail = (float(q) for q in np.quantile(residual, [0.5, 0.95]))
        scale = max(float(np.median(np.abs(near_power))), 1.0)
        pair = _Pair(
            ends=(one.name, other.name),
            sign=sign,
            susceptance=susceptance,
            middle=middle,
            tail=tail,
            drop=drop,
            reactance=float(np.median(impedance.imag)),
            power_sum=float(np.median(near_power + sign * far_power)) / scale,
        )
        # Equal currents at equal voltages are two feeders alike, not a line: a line has a voltage drop.
        if sign == 1 or (drop > _LEAST_DROP and abs(pair.reactance) > 0):
            pairs.append(pair)
    return pairs


def _line(terminals: Mapping[str, TerminalPhasors], pair: _Pair, clear: bool) -> LineGuess:
    near, far = pair.ends
    word = "sum" if pair.sign == 1 else "difference"
    why = [f"{word} of the currents is {pair.middle:.2%} of them, charging taken off"]
    if not clear:
        why.append("another pairing fits nearly as well")
    directions: dict[str, str] = {}
    if pair.drop > _LEAST_DROP:
        forward = pair.reactance > 0
        directions[near] = "into_line" if forward else "out_of_line"
        directions[far] = "into_line" if forward == (pair.sign == 1) else "out_of_line"
        why.append(f"reactance {pair.reactance:+.3g} ohm as counted at {near}")
    else:
        why.append(f"voltages differ by {pair.drop:.2%} only: direction and impedance cannot be told")
    into = 1 if directions.get(near) != "out_of_line" else -1
    line_power = into * pair.power_sum
    sign = "+" if pair.sign == 1 else "-"
    why.append(f"P at {near} {sign} P at {far} is {pair.power_sum:+.2%} of P{_as_loss(line_power)}")
    voltage, far_voltage = terminals[near].positive_voltage(), terminals[far].positive_voltage()
    current, far_current = terminals[near].positive_current(), terminals[far].positive_current()
    assert voltage is not None
    assert far_voltage is not None
    assert current is not None
    assert far_current is not None
    susceptance = into * pair.susceptance
    charging = susceptance > 0 and bool(directions)
    ratio, z1, error, variation = _impedance(
        voltage, far_voltage, into * current, into * pair.sign * far_current, susceptance
    )
    return LineGuess(
        ends=pair.ends,
        residual=pair.middle,
        sure=clear and pair.drop > _LEAST_DROP,
        directions=directions,
        power_sum=pair.power_sum,
        drop=pair.drop,
        z1=z1 if directions else None,
        z1_error=error if directions else None,
        z1_ratio=ratio if directions else None,
        loading_variation=variation,
        b1=susceptance if charging and _is_clear(voltage, far_voltage, current, far_current, pair) else None,
        why=tuple(why),
    )


def _as_loss(share: float) -> str:
    if share > 0.1:
        return " (as if a CT were turned round)"
    return " (losses)" if share > 0.001 else " (losses are below the instruments' errors)"


def _impedance(
    voltage: Complexes, far_voltage: Complexes, current: Complexes, far_current: Complexes, susceptance: float
) -> tuple[complex, complex | None, tuple[float, float] | None, float]:
    """Ratio and regression estimate of z1, the latter's standard errors, and how much loading varied.

    Least squares of V_i - V_j on the series current with an intercept, both turned so that V_j lies on the
    real axis: a ratio error of a voltage transformer is a constant there and goes into the intercept.
    Outliers beyond three times the median residual are left out, thrice; the errors are those of a
    jackknife over ten stretches.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        series = current - 0.5j * susceptance * voltage
        imbalance = np.abs(current + far_current - 0.5j * susceptance * (voltage + far_voltage))
        usual = float(np.nanmedian(np.abs(series)))
        good = _live(voltage, 0.8) & _live(far_voltage, 0.8) & (np.abs(series) > 0.1 * usual)
        good &= imbalance < max(3 * float(np.nanmedian(imbalance)), 0.005 * usual)
        turn = far_voltage.conj() / np.abs(far_voltage)
        x, y = (series * turn)[good], ((voltage - far_voltage) * turn)[good]
    if len(x) < _FEWEST_ROWS:
        return complex(np.nan, np.nan), None, None, 0.0
    quotient = y / x
    ratio = complex(np.median(quotient.real), np.median(quotient.imag))
    variation = float(np.std(x) / np.mean(np.abs(x)))
    for _ in range(3):
        z, intercept = _fit(x, y)
        residual = np.abs(y - z * x - intercept)
        kept = residual <= max(3 * float(np.median(residual)), 1e-9)
        if kept.all() or kept.sum() < _FEWEST_ROWS:
            break
        x, y = x[kept], y[kept]
    z, _ = _fit(x, y)
    stretches = np.array_split(np.arange(len(x)), 10)
    estimates = np.array([_fit(np.delete(x, part), np.delete(y, part))[0] for part in stretches])
    factor = np.sqrt((len(stretches) - 1) / len(stretches))
    departures = estimates - estimates.mean()
    error = (
        float(factor * np.sqrt((departures.real**2).sum())),
        float(factor * np.sqrt((departures.imag**2).sum())),
    )
    determined = (
        variation > 0.02 and max(error) < 0.1 * abs(z) and abs(z - ratio) < 0.3 * abs(z) and z.imag > 0
    )
    return ratio, (z if determined else None), (error if determined else None), variation


def _fit(x: Complexes, y: Complexes) -> tuple[complex, complex]:
    """z and c of y = z x + c by least squares."""
    middle_x, middle_y = x.mean(), y.mean()
    dx, dy = x - middle_x, y - middle_y
    power = float((dx.real**2 + dx.imag**2).sum())
    z = complex((dx.conj() * dy).sum() / power) if power > 0 else 0j
    return z, complex(middle_y - z * middle_x)


def _is_clear(
    voltage: Complexes, far_voltage: Complexes, current: Complexes, far_current: Complexes, pair: _Pair
) -> bool:
    """Whether the susceptance stands out from its own spread over the rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = ((current + pair.sign * far_current) / ((voltage + far_voltage) / 2)).imag
    values = values[np.isfinite(values)]
    spread = float(np.median(np.abs(values - np.median(values)))) if values.size else np.inf
    return abs(pair.susceptance) > 3 * spread


def _positive_voltages(terminals: Mapping[str, TerminalPhasors]) -> dict[str, Complexes]:
    found = {name: terminal.positive_voltage() for name, terminal in terminals.items()}
    chosen = [(name, voltage) for name, voltage in found.items() if voltage is not None]
    return dict(chosen[:MOST_TERMINALS])


def _live(voltage: Complexes, share: float = 0.5) -> npt.NDArray[np.bool_]:
    size = np.abs(voltage)
    with np.errstate(invalid="ignore"):
        usual = float(np.nanmedian(size)) if np.isfinite(size).any() else np.inf
        live: npt.NDArray[np.bool_] = (size > share * usual) & (size > 0)
    return live
