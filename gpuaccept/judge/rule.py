"""The decision rule: every limit of the node's cohort put to what was measured (docs/explanation/decision.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain

from gpuaccept.data import Limit, MetricDeclaration, Scalar
from gpuaccept.judge import sampled as of_sampled
from gpuaccept.judge.conditions import apply_conditions
from gpuaccept.judge.measured import Measured, Samples
from gpuaccept.judge.outcome import Miss, Outcome, Shown, Why, not_measured
from gpuaccept.judge.readings import (
    Unjudgeable,
    as_shown,
    different_everywhere,
    judge_samples,
    keeper,
    same_everywhere,
    stated,
    stated_texts,
)
from gpuaccept.judge.scope import Scope, Undone, check_of, in_plan
from gpuaccept.judge.shown import Changed, Medians, Nothing, Readings, Same, worst_sample
from gpuaccept.judge.statistics import median
from gpuaccept.judge.subjects import NODE, selected
from gpuaccept.judge.tables import Table, Tables

_NOTHING = Nothing()


def judge_limits(scope: Scope, data: Tables) -> list[Outcome]:
    """Every limit that is in the plan, in the profile's order, conditions applied."""
    outcomes = [_judge(limit, scope, data) for limit in scope.cohort.limits if in_plan(scope, limit)]
    apply_conditions(scope, outcomes)
    return outcomes


def _judge(limit: Limit, scope: Scope, data: Tables) -> Outcome:
    declared = scope.declared.get(limit.metric)
    if not scope.whole and scope.lacks(limit.metric):
        subjects = selected(scope.expected(declared), limit.subjects) if declared else (NODE,)
        reason = f"the run left out a step of {check_of(limit.metric)} that the profile's plan asks for"
        return _no_outcome(limit, declared, subjects or (NODE,), reason, "not planned")
    if declared is None:
        return _no_outcome(limit, None, (NODE,), f"not measured: no check declares {limit.metric}")
    table = data.of(declared)
    measured = table.measured
    subjects = measured.subjects if limit.subjects == "*" else selected(measured.subjects, limit.subjects)
    if not subjects:
        return _no_outcome(limit, declared, (NODE,), f"no subject of {limit.metric} fits {limit.subjects!r}")
    absent = {} if table.whole else _absent(limit, table, subjects, scope)
    present = subjects if not absent else tuple(subject for subject in subjects if subject not in absent)
    kind = declared.kind
    judge_kind = (
        _judge_sampled if kind == "sampled" else _judge_changes if kind in ("difference", "rate") else _judge_readings
    )
    found, shows = judge_kind(limit, table, present, absent)
    misses = {**absent, **found} if absent else found
    if misses and (limit.missed == "inconclusive" or limit.effect == "valid"):
        # of a series that was cut short this says only that it was
        short = declared.reduction is not None and scope.undone(declared.name).stopped
        misses = {s: _undecided(m, short) if m.result == "fail" else m for s, m in misses.items()}
    return Outcome(limit, declared, subjects, misses, shows)


def _no_outcome(
    limit: Limit,
    declared: MetricDeclaration | None,
    subjects: tuple[str, ...],
    reason: str,
    why: Why = "not measured",
) -> Outcome:
    misses = {subject: not_measured(subject, reason, why=why) for subject in subjects}
    return Outcome(limit, declared, subjects, misses, _NOTHING)


def _undecided(miss: Miss, short: bool) -> Miss:
    return miss._replace(result="inconclusive", why="stopped" if short else miss.why)


def _absent(limit: Limit, table: Table, subjects: tuple[str, ...], scope: Scope) -> dict[str, Miss]:
    """Subjects that lack visits. What they show in the visits that they have stays bad where it is bad."""
    declared, measured, needed = table.declared, table.measured, table.needed
    derived = declared.reduction is not None
    out = {}
    undone: Undone | None = None
    for subject in subjects:
        count = len(measured.keys(subject))
        failure = None
        if count >= needed:
            failure = scope.failure(declared.name, subject) if derived else None
            if failure is None:
                continue
        failure = failure or scope.failure(declared.name, subject)
        if declared.kind in ("read", "counted") and not (limit.uniform or limit.unique or limit.max_deviation):
            bad = _of_samples(limit, declared, measured, subject)
            if bad is not None and bad.result == "fail":
                out[subject] = bad
                continue
        if failure is not None:
            out[subject] = not_measured(subject, failure.reason, failure)
        elif skip := scope.skip(declared.name):
            out[subject] = not_measured(subject, f"left out by {skip}", why="skipped")
        else:
            undone = undone or scope.undone(declared.name)
            counted = f"{count} of {needed} visits were measured" if count else ""
            if undone.stopped and not undone.reason and count >= undone.made:
                stopped = "the run was stopped" + (f": {counted}" if counted else "")
                out[subject] = not_measured(subject, stopped, why="stopped")
            else:
                out[subject] = not_measured(subject, undone.reason or counted or "not measured")
    return out


def _judge_sampled(
    limit: Limit, table: Table, present: tuple[str, ...], absent: Mapping[str, Miss]
) -> tuple[dict[str, Miss], Shown]:
    declared, sampled = table.declared, table.sampled
    shows = Medians(limit, declared, sampled)
    if limit.minimum is not None or limit.maximum is not None:
        return of_sampled.by_guard_band(limit, sampled, present, declared.unit), shows
    if limit.max_deviation is not None:
        everyone = tuple(sampled.middles)
        if absent or sampled.measured.fewest < table.needed:
            everyone = tuple(s for s in everyone if s not in absent and len(sampled.visits(s)) >= table.needed)
        return of_sampled.by_deviation(limit, sampled, present, everyone, declared.better, declared.unit), shows
    readings: dict[str, list[Scalar]] = {s: [sampled.middles[s]] for s in present if sampled.visits(s)}
    out = {s: not_measured(s, "its samples are not numbers") for s in present if s not in readings}
    return {**out, **_compare(limit, declared, readings)}, shows


def _judge_readings(
    limit: Limit, table: Table, present: tuple[str, ...], absent: Mapping[str, Miss]
) -> tuple[dict[str, Miss], Shown]:
    declared, measured, kind = table.declared, table.measured, table.declared.kind
    shows = Readings(limit, declared, measured)
    simple = not (limit.uniform or limit.unique or limit.max_deviation)
    if limit.matrix is not None:
        wanted = stated_texts(limit.matrix)
        as_stated = tuple([(wanted.get(subject),) for subject in measured.subjects])
        if measured.even and all(column.samples == as_stated for column in measured.columns()):
            return {}, shows
        judged = (_of_samples(limit, declared, measured, s) for s in present)
        return {miss.subject: miss for miss in judged if miss is not None}, shows
    if simple:
        keeps = keeper(limit, kind)
        if measured.even and not absent and _all_kept(different := measured.distinct(), keeps):
            if len(different) > 1:
                return {}, shows
            (samples,) = different
            return {}, Same((as_shown(kind, worst_sample(limit, samples)), None))
        judged = (judge_samples(limit, kind, declared.unit, measured.visits(s), s, keeps) for s in present)
        return {miss.subject: miss for miss in judged if miss is not None}, shows
    if limit.uniform and measured.even and not absent and len(measured.distinct()) == 1:
        (samples,) = measured.distinct()
        if samples.count(samples[0]) == len(samples):
            return {}, Same((as_shown(kind, samples[0]), None))
    readings: dict[str, list[Scalar]] = {}
    misses: dict[str, Miss] = {}
    judged_on = measured.subjects if limit.max_deviation is not None else present
    for subject in judged_on:
        try:
            if limit.max_deviation is not None:
                readings[subject] = [_numeric_median([x for v in measured.visits(subject) for x in v], kind)]
            else:
                readings[subject] = [sample for visit in measured.visits(subject) for sample in visit]
        except (Unjudgeable, IndexError) as error:
            if subject in present:
                misses[subject] = not_measured(subject, str(error))
    if limit.max_deviation is not None:
        values = {s: float(v[0]) for s, v in readings.items()}
        return {**misses, **_deviations(limit, table, values, present, absent)}, shows
    return {**misses, **_compare(limit, declared, readings)}, shows


def _judge_changes(
    limit: Limit, table: Table, present: tuple[str, ...], absent: Mapping[str, Miss]
) -> tuple[dict[str, Miss], Shown]:
    declared, values, problems = table.declared, table.changes.values, table.changes.problems
    if not (absent or problems or limit.uniform or limit.unique or limit.max_deviation):
        different = set(values.values())
        if len(different) == 1 and _kept(keeper(limit, "read"), value := different.pop()):
            return {}, Same((value, None))
    shows = Changed(limit, declared, values)
    misses = {s: not_measured(s, problems[s]) for s in present if s in problems}
    if limit.max_deviation is not None:
        return {**misses, **_deviations(limit, table, values, present, absent)}, shows
    return {**misses, **_compare(limit, declared, {s: [values[s]] for s in present if s in values})}, shows


def _deviations(
    limit: Limit, table: Table, values: Mapping[str, float], present: tuple[str, ...], absent: Mapping[str, Miss]
) -> dict[str, Miss]:
    """A limit on deviation put to readings or changes, of subjects that have the visits needed."""
    declared, measured, sigma = table.declared, table.measured, table.facts.gpu if table.facts else None
    enough = {s: value for s, value in values.items() if len(measured.keys(s)) >= table.needed and s not in absent}
    judged_on = tuple(s for s in present if s in enough)
    return of_sampled.of_readings(limit, sigma, enough, judged_on, declared.better, declared.unit)


def _of_samples(limit: Limit, declared: MetricDeclaration, measured: Measured, subject: str) -> Miss | None:
    """A subject's samples put to what the limit states for it."""
    own, kind = stated(limit, subject), declared.kind
    return judge_samples(own, kind, declared.unit, measured.visits(subject), subject, keeper(own, kind))


def _compare(limit: Limit, declared: MetricDeclaration, readings: dict[str, list[Scalar]]) -> dict[str, Miss]:
    """Limits on readings that were already worked out: each subject's values, compared as they are."""
    if limit.uniform:
        return same_everywhere(limit, declared.kind, readings)
    if limit.unique:
        return different_everywhere(declared.kind, readings)
    keeps = keeper(limit, "read")
    judged = (judge_samples(limit, "read", declared.unit, [tuple(v)], s, keeps) for s, v in readings.items())
    return {miss.subject: miss for miss in judged if miss is not None}


def _numeric_median(samples: list[Scalar], kind: str) -> float:
    if not samples:
        raise Unjudgeable("not measured")
    try:
        return median([float(sample) if kind == "counted" else _number(sample) for sample in samples])
    except ValueError as error:
        raise Unjudgeable("its samples are not numbers") from error


def _number(sample: Scalar) -> float:
    if isinstance(sample, str):
        raise Unjudgeable("its samples are not numbers")
    return sample


def _kept(keeps: Callable[[Scalar], bool], sample: Scalar) -> bool:
    try:
        return keeps(sample)
    except Unjudgeable:
        return False


def _all_kept(different: set[Samples], keeps: Callable[[Scalar], bool]) -> bool:
    try:
        return all(map(keeps, chain.from_iterable(different)))
    except Unjudgeable:
        return False
