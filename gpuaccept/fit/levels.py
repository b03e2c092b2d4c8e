"""Scatter by level: from repeat to repeat, visit to visit, subject to subject and node to node.

Repeats and visits of the simulator are Student's t with four degrees of freedom, whose variance can hardly be told
from a sample's. So their scale is told from the median of differences, which a few slow repeats don't move either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from math import fsum, sqrt
from typing import NamedTuple

from gpuaccept.judge.statistics import median

MEDIAN_DIFFERENCE = 0.8049
"""Median of |a − b| of two values of that t at standard deviation 1 (computed with 4 million pairs)."""
MEDIAN_SCATTER = 0.943
"""Standard deviation of a median of n of them, times √n: 1/(2 f(0)) with f(0) = 3/8 · √2."""

Tree = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
"""Node -> subject -> visits -> samples, of one metric."""


class Level(NamedTuple):
    """A relative standard deviation, in percent, and how many values it rests on."""

    sigma_percent: float
    values: int


class Levels(NamedTuple):
    """Scatter at each level; None where there are not enough values to tell it. `correlation` is that of neighbouring
    repeats of one visit (lag 1); None below three repeats a visit.
    """

    repeat: Level | None
    visit: Level | None
    gpu: Level | None
    node: Level | None
    correlation: float | None


def levels(metrics: Sequence[Tree]) -> Levels:
    """Scatter of several metrics that scatter alike, each relative to its own median."""
    trees = [_relative(tree) for tree in metrics if tree]
    rows = [row for tree in trees for of in tree.values() for row in of.values()]
    repeats = [abs(a - b) for row in rows for visit in row for a, b in combinations(visit, 2)]
    many = median([float(len(visit)) for row in rows for visit in row]) if rows else 0.0
    rho = _correlation(rows)
    repeat = _robust(repeats)
    if repeat is not None and rho:  # repeats that resemble each other differ by less than they scatter
        repeat = Level(repeat.sigma_percent / sqrt(_seen(rho, round(many))), repeat.values)
    visits = [abs(a - b) for row in rows for a, b in combinations([median(visit) for visit in row], 2)]
    between = _robust(visits)
    visit = None
    if between is not None:
        size = many * (1 - (rho or 0.0)) / (1 + (rho or 0.0))  # independent repeats that are worth as much
        under = MEDIAN_SCATTER / sqrt(max(1.0, size)) * repeat.sigma_percent if repeat is not None else 0.0
        visit = Level(sqrt(max(0.0, between.sigma_percent**2 - under**2)), between.values)
    subjects = [[[median([median(v) for v in row]) for row in of.values()] for of in tree.values()] for tree in trees]
    own = _pooled([group for tree in subjects for group in tree])
    gpu = None
    if own is not None:  # as seen in one visit: a subject's value over several visits holds less of their scatter
        count = median([float(len(row)) for row in rows])
        seen = visit.sigma_percent if visit is not None else 0.0
        apart = own.sigma_percent**2 - (MEDIAN_SCATTER * seen) ** 2 / count
        gpu = Level(sqrt(max(0.0, apart) + seen**2), own.values)
    return Levels(repeat, visit, gpu, _nodes(subjects, own), rho)


def _relative(tree: Tree) -> Tree:
    middle = median([median([median(v) for v in row]) for of in tree.values() for row in of.values()])
    return {
        node: {subject: [[value / middle for value in visit] for visit in row] for subject, row in of.items()}
        for node, of in tree.items()
    }


def _robust(differences: Sequence[float]) -> Level | None:
    if not differences:
        return None
    return Level(100 * median(differences) / MEDIAN_DIFFERENCE, len(differences))


def _pooled(groups: Sequence[Sequence[float]]) -> Level | None:
    """Pooled standard deviation within groups, which are near 1."""
    free = sum(len(group) - 1 for group in groups)
    if free < 1:
        return None
    squares = fsum((v - fsum(group) / len(group)) ** 2 for group in groups for v in group)
    return Level(100 * sqrt(squares / free), free)


def _nodes(subjects: Sequence[Sequence[Sequence[float]]], own: Level | None) -> Level | None:
    """From node to node, less what the scatter of a node's subjects leaves in its mean; three nodes or more."""
    variances, count = [], 0
    for tree in subjects:
        means = [fsum(group) / len(group) for group in tree]
        if len(means) < 3:
            continue
        mean = fsum(means) / len(means)
        size = len(means) / fsum(1 / len(group) for group in tree)
        within = own.sigma_percent**2 / size if own is not None else 0.0
        variances.append(1e4 * fsum((one - mean) ** 2 for one in means) / (len(means) - 1) - within)
        count = max(count, len(means))
    return Level(sqrt(max(0.0, fsum(variances) / len(variances))), count) if variances else None


def _seen(rho: float, count: int) -> float:
    """Share of the variance that differences within a visit of `count` repeats show: the mean of 1 − ρ^lag."""
    lags = [lag for lag in range(1, count) for _ in range(count - lag)]
    return 1 - fsum(rho**lag for lag in lags) / len(lags) if lags else 1.0


def _correlation(rows: Sequence[Sequence[Sequence[float]]]) -> float | None:
    """ρ of an AR(1), whose repeats k apart differ by 1 − ρ^k as squares go: neighbours against all others.

    0 where it would be negative.
    Differences know nothing of the visit's mean, so a few repeats a visit do not bias them.
    """
    visits = [visit for row in rows for visit in row if len(visit) > 2]
    if not visits:
        return None
    count = min(len(visit) for visit in visits)
    lags = [b - a for a, b in combinations(range(count), 2) if b - a > 1]
    near = median([abs(b - a) for visit in visits for a, b in pairwise(visit)])
    far = median([abs(v[b] - v[a]) for v in visits for a, b in combinations(range(count), 2) if b - a > 1])
    if far == 0 or near >= far:
        return 0.0
    asked, low, high = (near / far) ** 2, 0.0, 0.99
    for _ in range(50):
        rho = (low + high) / 2
        seen = (1 - rho) / (1 - fsum(rho**lag for lag in lags) / len(lags))
        low, high = (rho, high) if seen > asked else (low, rho)
    return low
