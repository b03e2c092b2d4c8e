"""The few statistics that the decision rule needs, by arithmetic that gives every machine the same bits.

Sums are exact (`math.fsum`) and factors are rounded to 6 decimals, since libraries differ in the last bit of erfc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from gpuaccept.data import Tails


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number, the mean of the middle two. `values` must not be empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n − 1), for two values or more."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


MEDIAN_FACTORS: dict[Tails, tuple[float, ...]] = {
    "normal": (1.0, 1.0, 1.1602, 1.0922, 1.1976, 1.1351, 1.2137, 1.16, 1.2227, 1.1762, 1.2283, 1.1876, 1.2533),
    "t4": (1.0, 1.0, 0.971, 0.9114, 0.9613, 0.9099, 0.9565, 0.9135, 0.9537, 0.917, 0.9518, 0.92, 0.9428),
}
"""Standard error of the median of 1, 2, … values over that of their mean, by the shape of their scatter.

From the density of order statistics; the last is the limit of many values, 1 / (2 f(0) sigma).
"""


def median_factor(tails: Tails, n: int) -> float:
    """Standard error of the median of n values over that of their mean, rounded to 4 decimals."""
    factors = MEDIAN_FACTORS[tails]
    return factors[min(n, len(factors)) - 1]


@lru_cache(maxsize=256)
def coverage(factor: float, degrees_of_freedom: float) -> float:
    """Student's t with the one-sided tail probability that `factor` has on the normal distribution."""
    return student(0.5 * math.erfc(factor / math.sqrt(2.0)), degrees_of_freedom)


@lru_cache(maxsize=256)
def student(tail: float, degrees_of_freedom: float) -> float:
    """The t beyond which lies `tail` (below 0.5) of Student's distribution, rounded to 6 decimals.

    By bisection of the tail, which is half the regularised incomplete beta function I_x(ν/2, 1/2) at x = ν/(ν + t²)
    (Abramowitz and Stegun 26.5.27).
    """
    low, high = 0.0, 1.0
    while _tail(high, degrees_of_freedom) > tail:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _tail(middle, degrees_of_freedom) > tail else (low, middle)
    return round((low + high) / 2, 6)


def _tail(t: float, degrees_of_freedom: float) -> float:
    return 0.5 * _incomplete_beta(degrees_of_freedom / (degrees_of_freedom + t * t), degrees_of_freedom / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) by its continued fraction (Abramowitz and Stegun 26.5.8), in modified Lentz form."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly, its mirror fast
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1), tiny)
    total = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + term * d) or tiny)
            c = (1.0 + term / c) or tiny
            total *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * total / a
