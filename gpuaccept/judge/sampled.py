"""Limits on sampled metrics: guard band, scatter, and deviation from the node's median."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gpuaccept.data import Better, Limit, Sigma
from gpuaccept.judge.estimate import Sampled
from gpuaccept.judge.outcome import Miss, Why
from gpuaccept.judge.statistics import median
from gpuaccept.judge.wording import number, requirement, with_unit

FEWEST_SUBJECTS = 3
"""A node's median means nothing over fewer."""


def by_guard_band(limit: Limit, sampled: Sampled, subjects: tuple[str, ...], unit: str) -> dict[str, Miss]:
    """Judge a floor or ceiling on subjects that have all their visits: JCGM 106:2012, 8.3, with guard band U."""
    floor = limit.minimum is not None
    bound = limit.minimum if limit.minimum is not None else limit.maximum
    assert bound is not None
    out: dict[str, Miss] = {}
    scattering, values = sampled.scattering(), sampled.middles
    count, guard = 0, None
    if _all_clear(limit, sampled):
        subjects = tuple(filter(scattering.__contains__, subjects)) if scattering else ()
    for subject in subjects:
        if subject not in values:
            out[subject] = Miss(subject, "error", None, None, "its samples are not numbers", "not measured")
            continue
        visits, value = sampled.visits(subject), values[subject]
        if len(visits) != count:
            count, guard = len(visits), sampled.guard(len(visits))
        if guard is None:
            reason = "the profile has no pooled sigma for this metric"
            out[subject] = Miss(subject, "error", value, None, reason, "not measured")
            continue
        u = guard * abs(value)
        scatters = subject in scattering and (scattering[subject] or not _each_clear(limit, sampled, visits))
        if not scatters and (value - u >= bound if floor else value + u <= bound):
            continue
        missed = value + u < bound if floor else value - u > bound
        if missed and scatters:
            missed = max(visits) < bound if floor else min(visits) > bound
        out[subject] = _miss(limit, subject, value, u, unit, missed, scatters)
    return out


def _all_clear(limit: Limit, sampled: Sampled) -> bool:
    """Whether even the worst of all subjects is clear of the limit with the widest guard band: the usual case."""
    measured, values = sampled.measured, sampled.middles.values()
    guard = sampled.guard(measured.fewest) if measured.fewest and len(values) == len(measured.subjects) else None
    if guard is None:
        return False
    if limit.minimum is not None:
        worst = min(values)
        return worst - guard * abs(worst) >= limit.minimum
    worst = max(values)
    return limit.maximum is not None and worst + guard * abs(worst) <= limit.maximum


def _each_clear(limit: Limit, sampled: Sampled, visits: tuple[float, ...]) -> bool:
    """Whether each visit alone, with its own guard band, is on the good side: then no scatter can matter."""
    guard = sampled.guard(1)
    assert guard is not None
    if limit.minimum is not None:
        return all(value - guard * abs(value) >= limit.minimum for value in visits)
    return limit.maximum is not None and all(value + guard * abs(value) <= limit.maximum for value in visits)


def _miss(limit: Limit, subject: str, value: float, u: float, unit: str, missed: bool, scatters: bool) -> Miss:
    shown = f"{number(value)} ± {u:.2g} {unit}".rstrip()
    if missed:
        return Miss(subject, "fail", value, u, f"{shown}, required {requirement(limit)}", "limit")
    if scatters:
        reason = f"{shown}: the visits scatter by more than 3 pooled sigma"
        return Miss(subject, "inconclusive", value, u, reason, "scatter")
    reason = f"{shown} is too near to {requirement(limit)} to tell"
    return Miss(subject, "inconclusive", value, u, reason, "guard")


class _Deviation(NamedTuple):
    """The rule of one limit on deviation: how far from the middle, in percent, and on which side."""

    allowed: float
    better: Better

    def outside(self, value: float, middle: float) -> float | None:
        """Deviation in percent where it is beyond the allowed one on the bad side, else None."""
        percent = 100 * (value - middle) / middle
        if not abs(percent) > self.allowed:
            return None
        bad = {"higher": percent < 0, "lower": percent > 0, "neither": True}[self.better]
        return percent if bad else None


def by_deviation(
    limit: Limit, sampled: Sampled, subjects: tuple[str, ...], everyone: tuple[str, ...], better: Better, unit: str
) -> dict[str, Miss]:
    """Judge the distance from the node's median: outside in look 1 asks for a fresh look, which then decides alone.

    `everyone` are all subjects of the metric that have the visits needed.
    """
    if sampled.measured.looks == 1:
        middles = sampled.middles
        values = middles if len(everyone) == len(middles) else {subject: middles[subject] for subject in everyone}
    else:
        first = {subject: sampled.of_look(subject, 1) for subject in everyone}
        values = {subject: median(visits) for subject, visits in first.items() if visits}

    def fresh(subject: str) -> tuple[float, float] | None:
        """Value and node's median of the latest whole look above 1."""
        looks = {key[1] for key in sampled.measured.keys(subject)} - {1}
        for look in sorted(looks, reverse=True):
            if len(visits := sampled.of_look(subject, look)) >= sampled.enough:
                others = [v for s in everyone if len(v := sampled.of_look(s, look)) >= sampled.enough]
                middles = [median(v) for v in others]
                return median(visits), median(middles if len(middles) >= FEWEST_SUBJECTS else list(values.values()))
        return None

    return _deviations(limit, sampled.facts.gpu if sampled.facts else None, values, subjects, better, unit, fresh)


def of_readings(
    limit: Limit, sigma: Sigma | None, values: Mapping[str, float], subjects: tuple[str, ...], better: Better, unit: str
) -> dict[str, Miss]:
    """The same rule on readings, of which there is no fresh look: outside is a miss at once."""

    def again(subject: str) -> tuple[float, float] | None:
        return values[subject], median(list(values.values()))

    return _deviations(limit, sigma, values, subjects, better, unit, again)


def _deviations(
    limit: Limit,
    sigma: Sigma | None,
    values: Mapping[str, float],
    subjects: tuple[str, ...],
    better: Better,
    unit: str,
    fresh: Callable[[str], tuple[float, float] | None],
) -> dict[str, Miss]:
    assert limit.max_deviation is not None
    ordered = sorted(values.values())
    middle = median(ordered) if ordered else 0.0
    if sigma is None or len(values) < FEWEST_SUBJECTS or middle == 0:
        reason = (
            "the profile has no sigma from GPU to GPU for this metric"
            if sigma is None
            else f"{len(values)} subjects with a value, {FEWEST_SUBJECTS} are needed for a node's median"
        )
        return {s: Miss(s, "error", values.get(s), None, reason, "not measured") for s in subjects}
    rule = _Deviation(limit.max_deviation.sigmas * sigma.sigma_percent, better)
    out: dict[str, Miss] = {}
    inside = all(rule.outside(value, middle) is None for value in (ordered[0], ordered[-1]))
    if inside and all(map(values.__contains__, subjects)):
        return out
    for subject in subjects:
        if subject not in values:
            out[subject] = Miss(subject, "error", None, None, "it was not measured in the first look", "not measured")
            continue
        value = values[subject]
        percent = rule.outside(value, middle)
        if percent is None:
            continue
        again = fresh(subject)
        if again is None:
            out[subject] = _far(subject, (value, middle), percent, rule, unit, "fresh look")
        elif again[1] != 0 and (later := rule.outside(*again)) is not None:
            out[subject] = _far(subject, again, later, rule, unit, "limit")
    return out


def _far(subject: str, found: tuple[float, float], percent: float, rule: _Deviation, unit: str, why: Why) -> Miss:
    value, middle = found
    side = "below" if percent < 0 else "above"
    far = f"{with_unit(value, unit)} is {abs(percent):.2f} % {side} the node's median of {with_unit(middle, unit)}"
    reason = f"{far}, {rule.allowed:.2f} % allowed"
    if why == "limit":
        return Miss(subject, "fail", value, None, reason, why, middle=middle)
    return Miss(subject, "inconclusive", value, None, f"{reason}: a fresh look decides", why, middle=middle)
