"""One-sided statistical tolerance limits (ISO 16269-6:2014): what a share of all nodes reaches, at a confidence.

The normal limit allows for subjects of one node that resemble each other (one-way random effects, Mee and Owen 1983);
the limit by order statistics supposes nothing about the distribution, and needs many nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import erfc, exp, fsum, lgamma, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

_INTERVALS = 200
"""Of the integral over the chi distribution (Simpson); half of them give the factor for ten nodes to 0.1 %."""
_REACH = 9.0
"""How many of its standard deviations of chi the integral spans to each side."""


class Sample(NamedTuple):
    """Values of several subjects a node, taken together."""

    mean: float
    sigma: float
    """Of one subject of one node, over all nodes."""
    size: float
    """Effective number of independent values; between the number of nodes and of subjects."""
    degrees_of_freedom: float
    nodes: int
    subjects: float
    """A node (harmonic mean)."""


def sample(nodes: Sequence[Sequence[float]]) -> Sample:
    """Mean and scatter of values that are grouped by node; two nodes or more."""
    count = len(nodes)
    subjects = count / fsum(1 / len(values) for values in nodes)
    means = [fsum(values) / len(values) for values in nodes]
    mean = fsum(means) / count
    between = fsum((one - mean) ** 2 for one in means) / (count - 1)
    free = sum(len(values) - 1 for values in nodes)
    squares = fsum((v - m) ** 2 for values, m in zip(nodes, means, strict=True) for v in values)
    within = (1 - 1 / subjects) * squares / free if free else 0.0
    variance = between + within
    if variance == 0:
        return Sample(mean, 0.0, float(count), float(count - 1), count, subjects)
    degrees = variance**2 / (between**2 / (count - 1) + (within**2 / free if free else 0.0))
    size = variance * count / between if between else float(sum(map(len, nodes)))
    return Sample(mean, sqrt(variance), min(size, float(sum(map(len, nodes)))), degrees, count, subjects)


def below(found: Sample, share: float, confidence: float) -> float:
    """The limit that all subjects of this share of nodes reach, at this confidence (normal distribution)."""
    each = 1 - (1 - share) / found.subjects
    return found.mean - factor(found.size, each, confidence, found.degrees_of_freedom) * found.sigma


@lru_cache(maxsize=4096)
def factor(size: float, share: float, confidence: float, degrees_of_freedom: float | None = None) -> float:
    """k: mean − k·s lies below this share of a normal distribution, at this confidence (ISO 16269-6, annex C).

    That is the quantile of the noncentral t distribution with noncentrality z·√n, over √n. `degrees_of_freedom` is
    n − 1 unless it is given.
    """
    free = size - 1 if degrees_of_freedom is None else degrees_of_freedom
    shift = NormalDist().inv_cdf(share) * sqrt(size)
    weights = _chi(free)

    def reached(t: float) -> float:
        """P(T ≤ t): the normal distribution function averaged over s = √(χ²/ν)."""
        return fsum(weight * 0.5 * erfc(-(t * s - shift) / sqrt(2)) for s, weight in weights)

    low, high = 0.0, max(1.0, 2 * shift)
    while reached(high) < confidence:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < confidence else (low, middle)
    return (low + high) / 2 / sqrt(size)


def _chi(free: float) -> list[tuple[float, float]]:
    """Values of √(χ²/ν) and their weights in an integral over its distribution (Simpson)."""
    half = _REACH / sqrt(2 * free)
    start, end = max(1e-12, 1 - half), 1 + (2 * half if free < 40 else half)  # skew: the right tail is the longer one
    scale = log(2) + free / 2 * log(free / 2) - lgamma(free / 2)
    step = (end - start) / _INTERVALS
    out = []
    for i in range(_INTERVALS + 1):
        s = start + i * step
        weight = 1 if i in (0, _INTERVALS) else 4 if i % 2 else 2
        out.append((s, weight * step / 3 * exp(scale + (free - 1) * log(s) - free * s * s / 2)))
    return out


def vouched(count: int, confidence: float) -> float:
    """The share of all nodes that reaches the lowest of `count` nodes, whatever the distribution (order statistics)."""
    return float((1 - confidence) ** (1 / count))


def rank(count: int, share: float, confidence: float) -> int:
    """Which of `count` nodes, from the lowest (1) on, bounds this share at this confidence; 0 where they are too few.

    The r-th lowest does where a binomial number of nodes below the limit is r or more with this confidence.
    """
    tail, probability = 1.0, share**count
    best = 0
    for r in range(1, count + 1):
        tail -= probability
        if tail < confidence:
            break
        best = r
        probability *= (count - r + 1) / r * (1 - share) / share
    return best
