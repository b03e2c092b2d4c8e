"""Value and uncertainty of every subject of a sampled metric (docs/explanation/decision.md, section 5)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any, NamedTuple

from gpuaccept.data import MetricFacts, Scalar, Sigma, Tails
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.statistics import coverage, deviation, median, median_factor, student

MEDIAN_FACTOR = 1.253
"""Of the guard band: the largest standard error of a median over that of the mean, normal scatter: √(π/2)."""
FEW_DEGREES = 30.0
"""Below these degrees of freedom, Student's t takes the place of the coverage factor (JCGM 100:2008, G.3)."""
SCATTER_SIGMAS = 3.0
"""Visits that scatter more than this many pooled sigmas count where one of them alone is not clear of the limit."""
ERRATIC_SIGMAS = 10.0
"""Visits that scatter more than this are a finding by themselves: 5e-5 of good subjects, with Student t (ν = 4)."""


class Estimate(NamedTuple):
    """What is made of the samples of one subject. U and the two-sided 95 % interval only where sigma is known."""

    value: Scalar
    expanded_uncertainty: float | None
    interval95: tuple[float, float] | None
    visits: int
    n: int
    minimum: Scalar
    maximum: Scalar


class Sampled:
    """Medians of all subjects of one sampled metric, computed once for all its limits."""

    def __init__(self, measured: Measured, facts: MetricFacts | None, visits: int, coverage_factor: float) -> None:
        self.measured = measured
        self.facts = facts
        self.enough = visits
        """Visits that a further look needs."""
        self._factor = coverage_factor
        self._guards: dict[int, float | None] = {}
        self._halves: dict[tuple[int, Tails], float | None] = {}
        self._scattering: dict[str, bool] | None = None
        self._values: dict[str, tuple[float, ...]] = _all_medians(measured) or {
            subject: tuple(map(_middle, rows))
            for subject in measured.subjects
            if (rows := measured.visits(subject)) and all(isinstance(v, float) for samples in rows for v in samples)
        }
        self._ordered = list(map(sorted, self._values.values()))
        self.middles: dict[str, float] = dict(zip(self._values, _middles(self._ordered), strict=True))
        """The judged value of each subject: median of the visits' medians, over all looks."""

    def visits(self, subject: str) -> tuple[float, ...]:
        """Median of each visit; empty where the subject was not measured, or not in numbers."""
        return self._values.get(subject, ())

    def relative(self, visits: int) -> tuple[float, float] | None:
        """Standard uncertainty as a fraction of the value, and the degrees of freedom; None without pooled sigma."""
        if self.facts is None or self.facts.visit is None:
            return None
        sigma = self.facts.visit
        return relative_uncertainty(self.facts, sigma, visits), sigma.degrees_of_freedom

    def guard(self, visits: int) -> float | None:
        """U as a fraction of the value; None without pooled sigma."""
        if visits not in self._guards:
            found = self.relative(visits)
            self._guards[visits] = guard_of(*found, self._factor) if found else None
        return self._guards[visits]

    def of_look(self, subject: str, look: int) -> tuple[float, ...]:
        """Medians of the visits of one look."""
        values, keys = self.visits(subject), self.measured.keys(subject)
        return values if self.measured.looks == 1 == look else tuple(compress(values, (k[1] == look for k in keys)))

    def scattering(self) -> Mapping[str, bool]:
        """Subjects of which every look of two visits or more scatters beyond the pooled sigma; True: erratically."""
        if self._scattering is None:
            sigma = self.facts.visit.sigma_percent if self.facts and self.facts.visit else math.inf
            bound = SCATTER_SIGMAS * sigma / 100
            # No standard deviation exceeds the span of its values / √2: few subjects are left.
            span = math.sqrt(2) * bound
            wide = [
                subject
                for subject, v in zip(self._values, self._ordered, strict=True)
                if v[-1] - (low := v[0]) > span * (low if low > 0 else min(abs(low), abs(v[-1])))
            ]
            scatters = {subject: self._scatter(subject) for subject in wide}
            erratic = ERRATIC_SIGMAS * sigma / 100
            self._scattering = {
                subject: all(s > erratic * middle for s, middle in looks)
                for subject, looks in scatters.items()
                if looks and all(s > bound * middle for s, middle in looks)
            }
        return self._scattering

    def _scatter(self, subject: str) -> list[tuple[float, float]]:
        """Standard deviation and size of the middle of each look with two visits or more."""
        if self.measured.looks == 1:
            looks = [self.visits(subject)]
        else:
            looks = [self.of_look(subject, look) for look in {key[1] for key in self.measured.keys(subject)}]
        return [(deviation(v), abs(_middle(v))) for v in looks if len(v) > 1]

    def estimate(self, subject: str, tails: Tails) -> Estimate | None:
        """Everything about one subject whose visits scatter with these tails; None where it was not measured."""
        visits = self.visits(subject)
        if not visits:
            return None
        value, guard, half = self.middles[subject], self.guard(len(visits)), self._half(len(visits), tails)
        half = None if half is None else abs(value) * half
        samples = [*chain.from_iterable(self.measured.visits(subject))]
        return Estimate(
            value=value,
            expanded_uncertainty=guard * abs(value) if guard is not None else None,
            interval95=(value - half, value + half) if half is not None else None,
            visits=len(visits),
            n=len(samples),
            minimum=min(samples),
            maximum=max(samples),
        )

    def _half(self, visits: int, tails: Tails) -> float | None:
        """Half the 95 % interval as a fraction of the value; None without pooled sigma."""
        if (visits, tails) not in self._halves:
            facts, sigma = self.facts, self.facts.visit if self.facts else None
            self._halves[visits, tails] = interval_of(facts, sigma, visits, tails) if facts and sigma else None
        return self._halves[visits, tails]


def relative_uncertainty(facts: MetricFacts, visit: Sigma, visits: int) -> float:
    """Standard uncertainty of the median of `visits` visits, as a fraction of the value: type A and type B."""
    type_a, type_b = MEDIAN_FACTOR * visit.sigma_percent / 100, facts.type_b_percent / 100
    return math.sqrt(type_a * type_a / visits + type_b * type_b)


def interval_of(facts: MetricFacts, visit: Sigma, visits: int, tails: Tails) -> float:
    """Half the two-sided 95 % interval of the median of `visits` visits, as a fraction of the value.

    Unlike the guard band, which must hold for any shape of scatter, it rests on the shape that the profile declares.
    """
    type_a, type_b = median_factor(tails, visits) * visit.sigma_percent / 100, facts.type_b_percent / 100
    return student(0.025, visit.degrees_of_freedom) * math.sqrt(type_a * type_a / visits + type_b * type_b)


def guard_of(u: float, degrees_of_freedom: float, factor: float) -> float:
    """U for a standard uncertainty: `factor` times it, or by Student's t where degrees of freedom are few."""
    return (coverage(factor, degrees_of_freedom) if degrees_of_freedom < FEW_DEGREES else factor) * u


def _all_medians(measured: Measured) -> dict[str, tuple[float, ...]] | None:
    """The usual case: every visit holds every subject, all numbers. None where it is not so."""
    if not measured.even:
        return None
    try:
        columns: list[list[Any]] = [_each_middle(column.samples) for column in measured.columns()]
        sum(chain.from_iterable(columns))
    except TypeError:  # text is not sorted among numbers, nor added to them
        return None
    return dict(zip(measured.subjects, zip(*columns, strict=True), strict=True))


def _each_middle(rows: Sequence[tuple[Scalar, ...]]) -> list[Scalar]:
    """Median of each row, all of one length: without a call a row where that length is odd."""
    place, odd = divmod(len(rows[0]), 2)
    return list(map(itemgetter(place), map(sorted, rows))) if odd else [_middle(row) for row in rows]


def _middles(ordered: Sequence[list[float]]) -> Iterable[float]:
    """Median of each list, which are in order: without a call a list where all have one odd length."""
    sizes = set(map(len, ordered))
    if len(sizes) == 1 and (size := sizes.pop()) % 2:
        return map(itemgetter(size // 2), ordered)
    return map(median, ordered)


def _middle(values: tuple[Scalar, ...] | tuple[float, ...]) -> float:
    if len(values) % 2:
        return sorted(values)[len(values) // 2]  # type: ignore[return-value]
    return median(values)  # type: ignore[arg-type]
