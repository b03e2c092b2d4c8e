"""How often a limit is wrong on a part, and the smallest loss that it sees (JCGM 106:2012, sections 9.3 to 9.5).

Parts are taken to scatter about the typical figure as the cohort declares it, figures about their part as their
standard uncertainty says, both normally. Everything is relative to the typical figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from gpuaccept.data import Cohort, Limit, MetricFacts, Sigma
from gpuaccept.judge.estimate import guard_of, relative_uncertainty

POWER = 1.6448536269514722
"""One-sided 95 % point of the normal distribution: a loss this many sigma beyond a limit is seen with 95 % power."""
REACH = 8.0
"""Integrals run this many standard deviations to each side of the middle: 1e-15 is left out."""
STEPS = 200


class Risk(NamedTuple):
    """Of one limit on a figure with uncertainty, for one part judged once.

    `uncertainty_percent` is the standard uncertainty; `smallest_loss_percent` what a typical part must lose to be kept
    from passing with 95 % power; `false_accept` the probability that a part of the cohort lies beyond the limit and
    passes; `false_reject` that one within it does not pass at the first look.
    """

    uncertainty_percent: float
    smallest_loss_percent: float
    false_accept: float
    false_reject: float


def risk(limit: Limit, cohort: Cohort) -> Risk | None:
    """The risks of a floor, ceiling or limit on deviation; None where the profile does not declare what they need."""
    facts = cohort.metrics.get(limit.metric)
    if facts is None or facts.visit is None or facts.gpu is None:
        return None
    u, width = _uncertainty(cohort, facts, facts.visit)
    spread = facts.gpu.sigma_percent / 100
    if limit.max_deviation is not None:
        allowed = limit.max_deviation.sigmas * spread
        outside = _upper(allowed / math.hypot(spread, u))
        return Risk(100 * u, 100 * (allowed + POWER * u), 0.0, outside)
    bound = limit.minimum if limit.minimum is not None else limit.maximum
    if bound is None or not facts.typical:
        return None
    distance = abs(1 - bound / facts.typical)
    if (bound > facts.typical) is (limit.minimum is not None):
        distance = -distance
    accept, reject = _global_risks(distance, width, spread, u)
    return Risk(100 * u, 100 * (distance - width + POWER * u), accept, reject)


def guard(cohort: Cohort, metric: str) -> float | None:
    """Half the guard band of a figure after one look, as a fraction of it; None without a pooled sigma."""
    facts = cohort.metrics.get(metric)
    if facts is None or facts.visit is None:
        return None
    return _uncertainty(cohort, facts, facts.visit)[1]


def _uncertainty(cohort: Cohort, facts: MetricFacts, visit: Sigma) -> tuple[float, float]:
    """Standard and expanded uncertainty after one look, as fractions of the figure."""
    u = relative_uncertainty(facts, visit, cohort.visits)
    return u, guard_of(u, visit.degrees_of_freedom, cohort.coverage_factor)


@lru_cache(maxsize=64)
def _global_risks(distance: float, guard: float, spread: float, u: float) -> tuple[float, float]:
    """Consumer's and producer's risk of a limit `distance` below the typical part, by Simpson's rule over parts.

    A part at −x (in units of the typical figure) passes where its figure is at or above −distance + guard.
    """

    def passes(loss: float) -> float:
        return _upper((loss - distance + guard) / u)

    def density(loss: float) -> float:
        return math.exp(-0.5 * (loss / spread) ** 2) / (spread * math.sqrt(2 * math.pi))

    low, high = -REACH * spread, REACH * spread
    edge = min(max(distance, low), high)
    accept = _simpson(lambda loss: density(loss) * passes(loss), edge, high)
    reject = _simpson(lambda loss: density(loss) * (1 - passes(loss)), low, edge)
    return max(0.0, accept), max(0.0, reject)


def _simpson(of: Callable[[float], float], low: float, high: float) -> float:
    if high <= low:
        return 0.0
    width = (high - low) / STEPS
    weights = (1 if i in (0, STEPS) else 4 if i % 2 else 2 for i in range(STEPS + 1))
    return width / 3 * math.fsum(weight * of(low + i * width) for i, weight in enumerate(weights))


def _upper(z: float) -> float:
    """Upper tail of the normal distribution."""
    return 0.5 * math.erfc(z / math.sqrt(2))
