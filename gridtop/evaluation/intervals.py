"""What a count proves: Clopper-Pearson for shares, the Poisson bound for rates, ranks for delays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
"""Of every interval and bound unless another is asked for."""

_HALVINGS = 80
"""Bisections: more than a double has bits in an interval around any of these roots."""


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact two-sided interval of a share, when `hits` of `trials` were seen.

    Without trials nothing is known: (0, 1). Raises ValueError unless 0 <= hits <= trials.
    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), p. 404.
    """
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is no share")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _rising_root(lambda p: _at_least(hits, trials, p), tail, 0.0, 1.0)
    if hits == trials:
        return low, 1.0
    return low, _rising_root(lambda p: _at_least(hits + 1, trials, p), 1 - tail, 0.0, 1.0)


def poisson_upper(count: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of the mean of a Poisson variable that was seen to be `count`.

    The mean at which so few or fewer come with a probability of 1 - confidence: 2.996 for none at 95 %.
    Raises ValueError for a negative count. Source: F. Garwood, Biometrika 28 (1936), p. 437.
    """
    if count < 0:
        raise ValueError(f"{count} is no count")
    far = count + 10 * math.sqrt(count + 1) + 20
    return _rising_root(lambda mean: 1 - _poisson_at_most(count, mean), confidence, 0.0, far)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least `share` of them do not exceed; NaN of none.

    By rank and not by interpolation, so that infinities (misses) are what they are.
    """
    if not ordered:
        return math.nan
    # 0.95 * 20 is 19.000000000000004 in some orders of arithmetic; a rank is a whole number.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def _at_least(hits: int, trials: int, share: float) -> float:
    """The probability of `hits` or more in a binomial of `trials`."""
    if share in (0.0, 1.0):
        return float(hits == 0 if share == 0.0 else hits <= trials)
    known = math.lgamma(trials + 1)
    yes, no = math.log(share), math.log1p(-share)

    def term(k: int) -> float:
        ways = known - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        return math.exp(ways + k * yes + (trials - k) * no)

    # The shorter tail is the quicker one.
    if hits > trials // 2:
        return math.fsum(term(k) for k in range(hits, trials + 1))
    return 1 - math.fsum(term(k) for k in range(hits))


def _poisson_at_most(count: int, mean: float) -> float:
    if mean == 0:
        return 1.0
    scale = math.log(mean)
    return math.fsum(math.exp(k * scale - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _rising_root(function: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a rising function takes a value."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if function(middle) < value:
            low = middle
        else:
            high = middle
    return (low + high) / 2
