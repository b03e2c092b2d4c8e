"""What a run was to measure, and which failures it wrote down: the ground that every limit is judged on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from gpuaccept.data import Cohort, Evidence, Failure, Limit, MetricDeclaration, Plan, PlanSpec
from gpuaccept.judge.subjects import expected, gpus_of

STOPPED = ("interrupted", "not_reached")
"""How steps end that somebody, or a deadline, did not let be made."""


class Undone(NamedTuple):
    """How far the steps of a metric came."""

    made: int
    stopped: bool
    """The run was stopped before the others were made."""
    reason: str
    """What a step says of itself that ended otherwise; empty where none did."""


class Scope(Struct, frozen=True):
    """Evidence with its cohort, and indexes over its plan, declarations and failures."""

    evidence: Evidence
    cohort: Cohort
    gpus: int
    """GPUs that are expected: the cohort's number, or as many as were found if that is more."""
    declared: dict[str, MetricDeclaration]
    visits: Counter[str]
    """Metric -> planned visits, those of further looks included."""
    planned: Set[str]
    """Metrics that the run set out to measure; a change needs two visits of the first look."""
    lacking: frozenset[str] | None
    """Checks that the profile's plan asks for and the run's plan does not; None for all."""
    whole: bool
    """The run's plan leaves out nothing that the profile's asks for: `lacks` is then never true."""
    failures: dict[str, list[Failure]]
    """Metric, or `check.*`, -> failures."""

    def lacks(self, metric: str) -> bool:
        """Whether the run's plan leaves out a step of the profile's plan that this metric's check should have made."""
        return self.lacking is None or (bool(self.lacking) and check_of(metric) in self.lacking)

    def expected(self, declared: MetricDeclaration) -> tuple[str, ...]:
        """Every subject that the metric should have been measured on."""
        return expected(declared.subject, self.gpus, self.cohort.links_per_gpu)

    def needed(self, declared: MetricDeclaration, most: int) -> int:
        """Visits that a subject needs, where the subject with most of them has `most`."""
        if declared.reduction is not None:
            return 1
        kind = declared.kind
        base = self.cohort.visits if kind == "sampled" else 2 if kind in ("difference", "rate") else 1
        return max(base, most, self.visits.get(declared.name, 0))

    def skip(self, metric: str) -> str:
        """Why a planned step that should have yielded the metric was left out; empty where none was."""
        check = check_of(metric)
        for step in self.evidence.plan.steps:
            if step.skip and step.check == check and metric in step.metrics:
                return step.skip
        return ""

    def fails(self, metric: str) -> bool:
        """Whether any failure tells of the metric, of whatever subject."""
        return bool(self.failures) and (metric in self.failures or f"{check_of(metric)}.*" in self.failures)

    def failure(self, metric: str, subject: str) -> Failure | None:
        """The first failure that says why a metric of a subject was not measured."""
        gpus = gpus_of(subject)
        for name in (metric, f"{check_of(metric)}.*"):
            for failure in self.failures.get(name, ()):
                of = failure.subject
                if of in ("node", subject) or (">" not in of and "/link/" not in of and gpus_of(of) & gpus):
                    return failure
        return None

    def undone(self, metric: str) -> Undone:
        """How far the steps came that should have yielded the metric."""
        check = check_of(metric)
        runs = {(run.check, run.state, run.visit, run.look): run for run in self.evidence.steps}
        made, stopped, reason = 0, False, ""
        for step in self.evidence.plan.steps:
            if step.check != check or metric not in step.metrics or step.skip:
                continue
            run = runs.get((step.check, step.state, step.visit, step.look))
            if run is None and self.evidence.complete:
                reason = reason or "its step was not reached"
            elif run is None or run.outcome in STOPPED:
                stopped = True
            elif run.outcome == "completed":
                made += 1
            elif not reason:
                reason = f"its step ended: {run.outcome.replace('_', ' ')}" + (f" ({run.reason})" if run.reason else "")
        return Undone(made, stopped, reason)


def scope(evidence: Evidence, cohort: Cohort) -> Scope:
    """Index the evidence for judging by the limits of `cohort`."""
    failures: dict[str, list[Failure]] = {}
    for run in evidence.steps:
        for failure in run.failures:
            failures.setdefault(failure.metric, []).append(failure)
    steps = evidence.plan.steps
    visits = Counter(chain.from_iterable([step.metrics for step in steps]))
    first_visits = Counter(chain.from_iterable([step.metrics for step in steps if step.look == 1]))
    declared = {metric.name: metric for check in evidence.checks for metric in check.metrics}
    changing = {name for name, metric in declared.items() if metric.kind in ("difference", "rate")}
    lacking = _lacking(evidence.plan, cohort.plans.get(evidence.plan.name))
    return Scope(
        evidence=evidence,
        cohort=cohort,
        gpus=max([cohort.gpus, *(gpu.index + 1 for gpu in evidence.node.gpus)]),
        declared=declared,
        visits=visits,
        planned=visits.keys() - {name for name in changing if first_visits[name] < 2},
        lacking=lacking,
        whole=lacking == frozenset(),
        failures=failures,
    )


def cohort_of(evidence: Evidence) -> Cohort | None:
    """The first cohort that fits the most of the node's GPUs, if these are more than half of them."""
    found = evidence.node.gpus
    best: Cohort | None = None
    most = 0
    for cohort in evidence.profile.cohorts:
        count = sum(gpu.pci_device_id.upper() in cohort.pci_device_ids for gpu in found)
        if count > most:
            best, most = cohort, count
    return best if 2 * most > len(found) else None


def check_of(metric: str) -> str:
    """The check that a complete metric name belongs to."""
    return metric.partition(".")[0]


def in_plan(scope: Scope, limit: Limit) -> bool:
    """Whether a limit is judged: its metric is planned, or ought to be."""
    if not scope.whole and scope.lacks(limit.metric):
        return limit.effect != "observe"
    return limit.metric in scope.planned


def _lacking(plan: Plan, spec: PlanSpec | None) -> frozenset[str] | None:
    if spec is None:
        return None
    left = [step for step in plan.steps if step.look == 1]
    out = set()
    for wanted in spec.steps:
        for place, step in enumerate(left):
            if (step.check, step.state) == (wanted.check, wanted.state) and all(
                name in step.parameters and step.parameters[name] == value for name, value in wanted.parameters.items()
            ):
                del left[place]
                break
        else:
            out.add(wanted.check)
    return frozenset(out)
