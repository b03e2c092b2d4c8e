"""What the views look up in a statement, indexed once: limits, declarations, estimates, verdicts, parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from gpuaccept.certificate.numbers import as_float, plain
from gpuaccept.data import (
    Cohort,
    Evidence,
    GpuFacts,
    Judged,
    Judgement,
    Limit,
    MetricDeclaration,
    Predicate,
    Result,
    Statement,
    Verdict,
)
from gpuaccept.judge import Estimate
from gpuaccept.judge.statistics import median
from gpuaccept.judge.subjects import order, selected

SEVERITY: tuple[Result, ...] = ("fail", "error", "inconclusive", "skipped", "pass")
_SUBJECT = re.compile(r"gpu/([0-9]{1,4})(?:/link/([0-9]{1,4})|>gpu/([0-9]{1,4}))?")


class Lookup(Struct, frozen=True):
    """A statement and its indexes. `estimates` is metric -> subject -> what judge makes of the raw samples."""

    predicate: Predicate
    evidence: Evidence
    judgement: Judgement
    cohort: Cohort | None
    estimates: Mapping[str, Mapping[str, Estimate]]
    declared: Mapping[str, MetricDeclaration]
    limits: Mapping[str, Limit]
    missed: Mapping[tuple[str, str], Verdict]
    """(limit, subject) -> every verdict that is not a pass."""
    numbers: Mapping[str, Mapping[str, float]]
    """Metric -> subject -> judged value, where that is a number."""
    judged: Mapping[str, Mapping[str, Result]]
    """Limit -> every subject that it was judged on, in order of GPU, then link or peer -> its verdict."""
    limits_on: Mapping[str, tuple[Limit, ...]]
    """Metric -> the limits on it."""
    gpus: tuple[int, ...]
    """Indices of all GPUs that were found or planned."""

    def values(self, metric: str) -> Mapping[str, float]:
        """Subject -> judged number of a metric; subjects whose value is text are left out."""
        return self.numbers.get(metric, {})

    def verdicts(self, limit: Limit) -> Mapping[str, Result]:
        """Every subject that a limit was judged on, in order of GPU, then link or peer, and its verdict."""
        return self.judged.get(limit.id, {})

    def verdict(self, limit: Limit, subject: str) -> Result:
        """The verdict of one limit on one subject; what was never measured is `skipped`."""
        found = self.verdicts(limit).get(subject)
        if found is not None:
            return found
        return "pass" if subject in self.estimates.get(limit.metric, {}) else "skipped"

    def threshold(self, limit: Limit) -> tuple[float, int] | None:
        """Where a limit stands on its metric's axis, and +1 where more is better, −1 where less is; None for sets."""
        if limit.minimum is not None:
            return limit.minimum, 1
        if limit.maximum is not None:
            return limit.maximum, -1
        facts = self.cohort.metrics.get(limit.metric) if self.cohort else None
        values = list(self.values(limit.metric).values())
        if limit.max_deviation is None or facts is None or facts.gpu is None or not values:
            return None
        declared = self.declared.get(limit.metric)
        sign = -1 if declared is not None and declared.better == "lower" else 1
        middle = median(values)
        return middle * (1 - sign * limit.max_deviation.sigmas * facts.gpu.sigma_percent / 100), sign

    def slot(self, gpu: GpuFacts) -> str:
        """The name printed at the GPU's slot, by the profile's slot map; empty where it is not known."""
        return self.cohort.slots.get(str(gpu.module_id), "") if self.cohort and gpu.module_id is not None else ""


def lookup(statement: Statement, estimates: Mapping[str, Mapping[str, Estimate]]) -> Lookup:
    """Index a statement. `estimates` comes from `gpuaccept.judge.estimates` of its evidence."""
    evidence, judgement = statement.predicate.evidence, statement.predicate.judgement
    cohort = next((c for c in evidence.profile.cohorts if c.name == evidence.plan.cohort), None)
    limits = {limit.id: limit for limit in (cohort.limits if cohort else ())}
    missed = {(judged.limit, verdict.subject): verdict for judged in judgement.judged for verdict in judged.missed}
    results: dict[str, dict[str, Result]] = {}
    for (name, subject), verdict in missed.items():
        results.setdefault(name, {})[subject] = verdict.result
    limits_on: dict[str, tuple[Limit, ...]] = {}
    for limit in limits.values():
        limits_on[limit.metric] = (*limits_on.get(limit.metric, ()), limit)
    planned = range(cohort.gpus) if cohort else ()
    return Lookup(
        predicate=statement.predicate,
        evidence=evidence,
        judgement=judgement,
        cohort=cohort,
        estimates=estimates,
        declared={metric.name: metric for check in evidence.checks for metric in check.metrics},
        limits=limits,
        missed=missed,
        numbers={metric: _numbers(found) for metric, found in estimates.items()},
        judged={
            name: _judged(limit, estimates.get(limit.metric, {}), results.get(name, {}))
            for name, limit in limits.items()
        },
        limits_on=limits_on,
        gpus=tuple(sorted({*planned, *(gpu.index for gpu in evidence.node.gpus)})),
    )


@lru_cache(maxsize=4096)
def numbers_in(subject: str) -> tuple[int | None, int | None, int | None]:
    """GPU, link and peer that a subject names."""
    found = _SUBJECT.fullmatch(subject)
    if found is None:
        return None, None, None
    gpu, link, peer = (int(text) if text is not None else None for text in found.groups())
    return gpu, link, peer


def _numbers(found: Mapping[str, Estimate]) -> dict[str, float]:
    values = {subject: as_float(estimate.value) for subject, estimate in found.items()}
    return {subject: value for subject, value in values.items() if value is not None}


def _judged(limit: Limit, measured: Iterable[str], missed: Mapping[str, Result]) -> dict[str, Result]:
    subjects = _in_order(tuple(dict.fromkeys((*measured, *missed))), limit.subjects)
    passed: dict[str, Result] = dict.fromkeys(subjects, "pass")
    return {**passed, **{subject: result for subject, result in missed.items() if subject in passed}}


@lru_cache(maxsize=512)
def _in_order(subjects: tuple[str, ...], pattern: str) -> tuple[str, ...]:
    """Those that a limit selects, in order; many limits have the same."""
    return tuple(sorted(selected(subjects, pattern), key=order))


def words(subject: str) -> str:
    """A subject as people say it: `GPU 3 link 11`, `GPU 2 → GPU 5`, `node`."""
    gpu, link, peer = numbers_in(subject)
    if gpu is None:
        return subject
    if peer is not None:
        return f"GPU {gpu} → GPU {peer}"
    return f"GPU {gpu}" if link is None else f"GPU {gpu} link {link}"


def overall(judged: Judged) -> Result:
    """The gravest verdict of a limit over its subjects."""
    counts = (judged.failed, judged.errors, judged.inconclusive, judged.skipped, judged.passed)
    return next((result for result, count in zip(SEVERITY, counts, strict=True) if count), "skipped")


def gravest(results: Iterable[Result], default: Result) -> Result:
    """The gravest of some verdicts."""
    found = set(results)
    return next((result for result in SEVERITY if result in found), default)


def counts_of(judged: Judged) -> str:
    """`8 pass`, `7 pass, 1 fail`."""
    pairs = (
        (judged.passed, "pass"),
        (judged.failed, "fail"),
        (judged.inconclusive, "inconclusive"),
        (judged.errors, "not measured"),
        (judged.skipped, "skipped"),
    )
    return ", ".join(f"{plain(count)} {word}" for count, word in pairs if count) or "nothing planned"
