"""Value and uncertainty of every subject of a sampled metric (docs/explanation/decision.md, section 5)."""

from __future__ import annotations

import math
from typing import NamedTuple

from gpuaccept.data import MetricFacts, Scalar
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.statistics import coverage, deviation, median, student

MEDIAN_FACTOR = 1.253
"""Standard error of the median over that of the mean, normal scatter: √(π/2)."""
FEW_DEGREES = 30.0
"""Below these degrees of freedom, Student's t takes the place of the coverage factor (JCGM 100:2008, G.3)."""
SCATTER_SIGMAS = 3.0
"""Visits that scatter more than this many pooled sigmas are a finding by themselves."""


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
        self._values: dict[str, tuple[float, ...]] = _all_medians(measured) or {
            subject: tuple(_middle(samples) for samples in measured.visits(subject))
            for subject in measured.subjects
            if all(isinstance(value, float) for samples in measured.visits(subject) for value in samples)
        }

    def visits(self, subject: str) -> tuple[float, ...]:
        """Median of each visit; empty where the subject was not measured, or not in numbers."""
        return self._values.get(subject, ())

    def value(self, subject: str) -> float:
        """Median of the visits' medians, over all looks."""
        return _middle(self._values[subject])

    def relative(self, visits: int) -> tuple[float, float] | None:
        """Standard uncertainty as a fraction of the value, and the degrees of freedom; None without pooled sigma."""
        if self.facts is None or self.facts.visit is None:
            return None
        sigma = self.facts.visit
        type_a = MEDIAN_FACTOR * sigma.sigma_percent / 100
        type_b = self.facts.type_b_percent / 100
        return math.sqrt(type_a * type_a / visits + type_b * type_b), sigma.degrees_of_freedom

    def guard(self, visits: int) -> float | None:
        """U as a fraction of the value; None without pooled sigma."""
        found = self.relative(visits)
        if found is None:
            return None
        factor = coverage(self._factor, found[1]) if found[1] < FEW_DEGREES else self._factor
        return factor * found[0]

    def of_look(self, subject: str, look: int) -> list[float]:
        """Medians of the visits of one look."""
        values = self.visits(subject)
        return [v for key, v in zip(self.measured.keys(subject), values, strict=False) if key[1] == look]

    def scatters(self, subject: str) -> bool:
        """Whether every look of two visits or more scatters beyond the pooled sigma."""
        if self.facts is None or self.facts.visit is None:
            return False
        bound = SCATTER_SIGMAS * self.facts.visit.sigma_percent / 100
        values = self._values[subject]
        if self.measured.looks == 1:
            return len(values) > 1 and _scatters(values, bound)
        looks = [self.of_look(subject, look) for look in sorted({key[1] for key in self.measured.keys(subject)})]
        seen = [_scatters(visits, bound) for visits in looks if len(visits) > 1]
        return bool(seen) and all(seen)

    def estimate(self, subject: str) -> Estimate | None:
        """Everything about one subject; None where it was not measured."""
        visits = self.visits(subject)
        if not visits:
            return None
        value, found, guard = self.value(subject), self.relative(len(visits)), self.guard(len(visits))
        half = student(0.025, found[1]) * found[0] * abs(value) if found else None
        samples = [float(s) for row in self.measured.visits(subject) for s in row]
        return Estimate(
            value=value,
            expanded_uncertainty=guard * abs(value) if guard is not None else None,
            interval95=(value - half, value + half) if half is not None else None,
            visits=len(visits),
            n=len(samples),
            minimum=min(samples),
            maximum=max(samples),
        )


def _all_medians(measured: Measured) -> dict[str, tuple[float, ...]] | None:
    """The usual case: every visit holds every subject, all numbers. None where it is not so."""
    if not measured.even:
        return None
    try:
        columns: list[list[Scalar]] = [[_middle(row) for row in column.samples] for column in measured.columns()]
    except TypeError:  # text among numbers
        return None
    if any(isinstance(value, str) for column in columns for value in column):
        return None
    return dict(zip(measured.subjects, zip(*columns, strict=True), strict=True))


def _scatters(values: tuple[float, ...] | list[float], bound: float) -> bool:
    allowed = bound * abs(_middle(values))
    if max(values) - min(values) <= allowed:  # the deviation of n values is never above their range
        return False
    return deviation(values) > allowed


def _middle(values: tuple[Scalar, ...] | tuple[float, ...] | list[float]) -> float:
    if len(values) % 2:
        return sorted(values)[len(values) // 2]  # type: ignore[return-value]
    return median(values)  # type: ignore[arg-type]
