"""Evidence and profile become a judgement: a pure function, the same on any machine (docs/explanation/decision.md)."""

from __future__ import annotations

from collections.abc import Sequence

from gpuaccept.data import Cohort, Evidence, Judgement, Kind, Look
from gpuaccept.judge.conclude import conclude, no_cohort, not_judged
from gpuaccept.judge.estimate import Estimate
from gpuaccept.judge.measured import Samples
from gpuaccept.judge.parts import part
from gpuaccept.judge.readings import as_shown
from gpuaccept.judge.risk import POWER, Risk, guard, risk
from gpuaccept.judge.rule import judge_limits
from gpuaccept.judge.scope import Scope, check_of, cohort_of, scope
from gpuaccept.judge.tables import Table, Tables
from gpuaccept.judge.wording import requirement

__all__ = ["POWER", "Estimate", "Risk", "estimates", "guard", "judge", "look", "part", "requirement", "risk"]

_LOOK_AGAIN = ("guard", "scatter", "fresh look")


def judge(evidence: Evidence) -> Judgement:
    """The verdict on every limit and subject, and the decision that follows."""
    if not evidence.node.gpus:
        return not_judged(evidence, evidence.plan.cohort, "No GPU was found.")
    cohort = cohort_of(evidence)
    if cohort is None:
        return no_cohort(evidence)
    if cohort.name != evidence.plan.cohort:
        reason = f"The plan was made for cohort {evidence.plan.cohort or 'none'}; the GPUs are those of {cohort.name}."
        return not_judged(evidence, cohort.name, reason)
    ground = scope(evidence, cohort)
    data = Tables(ground)
    return conclude(ground, data, judge_limits(ground, data))


def look(evidence: Evidence, judgement: Judgement) -> Look:
    """What to measure again before a verdict can be reached: empty where more looks can't help or none are left."""
    cohort = cohort_of(evidence)
    open_ones = any(one.inconclusive and one.effect != "observe" for one in judgement.judged)
    if cohort is None or cohort.name != evidence.plan.cohort or not open_ones:
        return Look(checks=())
    ground = scope(evidence, cohort)
    data = Tables(ground)
    wanted: dict[tuple[str, str], None] = {}
    outcomes = judge_limits(ground, data)
    condemned = {
        (outcome.limit.metric, miss.subject)
        for outcome in outcomes
        for miss in outcome.misses.values()
        if miss.result == "fail" and outcome.limit.effect == "require"
    }
    for outcome in outcomes:
        declared = outcome.declared
        if outcome.limit.effect == "observe" or declared is None or declared.kind != "sampled":
            continue
        if data.of(declared).measured.looks >= cohort.looks:
            continue
        if any(
            m.result == "inconclusive" and m.why in _LOOK_AGAIN and (declared.name, m.subject) not in condemned
            for m in outcome.misses.values()
        ):
            wanted[check_of(declared.name), _state(ground, declared.name)] = None
    return Look(checks=tuple(wanted))


def estimates(evidence: Evidence) -> dict[str, dict[str, Estimate]]:
    """Metric -> subject -> value, U, 95 % interval and spread, for all that was measured, judged or not.

    What was read is shown by its last reading, a difference or rate by its change; they have no uncertainty.
    """
    cohort = next((one for one in evidence.profile.cohorts if one.name == evidence.plan.cohort), None)
    if cohort is None:
        return {}
    ground = scope(evidence, cohort)
    data = Tables(ground)
    found = {
        name: _estimates(data.of(ground.declared[name]), cohort) for name in data.columns if name in ground.declared
    }
    return {name: values for name, values in found.items() if values}


def _estimates(table: Table, cohort: Cohort) -> dict[str, Estimate]:
    declared, measured = table.declared, table.measured
    if declared.kind == "sampled":
        estimated = {subject: table.sampled.estimate(subject, cohort.tails) for subject in measured.subjects}
        return {subject: one for subject, one in estimated.items() if one is not None}
    changes = table.changes.values if declared.kind in ("difference", "rate") else None
    out: dict[str, Estimate] = {}
    known: dict[tuple[Sequence[Samples], float | None], Estimate] = {}  # most subjects of a node show the same
    for subject in measured.subjects:
        visits = measured.visits(subject)
        changed = changes.get(subject) if changes is not None else None
        if not any(visits) or (changes is not None and changed is None):
            continue
        key = visits, changed
        if key not in known:
            known[key] = _reading(declared.kind, visits, changed)
        out[subject] = known[key]
    return out


def _reading(kind: Kind, visits: Sequence[Samples], changed: float | None) -> Estimate:
    """What is shown of a subject that was read, or of which the change was counted: at least one sample is there."""
    samples = [as_shown(kind, sample) for visit in visits for sample in visit]
    numbers = [sample for sample in samples if isinstance(sample, float)]
    whole = len(numbers) == len(samples)
    low, high = (min(numbers), max(numbers)) if whole else (samples[0], samples[-1])
    return Estimate(samples[-1] if changed is None else changed, None, None, len(visits), len(samples), low, high)


def _state(ground: Scope, metric: str) -> str:
    """State of the steps that measure a metric."""
    check = check_of(metric)
    states = [s.state for s in ground.evidence.plan.steps if s.check == check and metric in s.metrics]
    states += [s.state for s in ground.evidence.plan.steps if s.check == check and metric.endswith(f"_{s.state}")]
    return states[0] if states else ""
