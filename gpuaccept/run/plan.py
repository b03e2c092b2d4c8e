"""Profile, node and checks become a plan: which steps, with which parameters, and what they should yield."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gpuaccept.check import Check, Parameters, full_name
from gpuaccept.data import Cohort, Look, MetricDeclaration, NodeFacts, Plan, PlannedStep, Profile
from gpuaccept.errors import UsageError
from gpuaccept.run.loading import LoadedCheck

WARM_UP_S = 60.0
"""Soak before a hot visit of a further look: three times the slowest time constant of die and cold plate (20 s)."""

AGREED_BY = "agreed_by"
"""The parameter of a check that runs only where its plan says who agreed."""


def cohort_of(profile: Profile, node: NodeFacts) -> Cohort | None:
    """The cohort that the PCI device ids of most of the node's GPUs fit, or None."""
    votes = Counter(
        cohort.name for gpu in node.gpus for cohort in profile.cohorts if gpu.pci_device_id in cohort.pci_device_ids
    )
    if not votes:
        return None
    name, count = votes.most_common(1)[0]
    return next(c for c in profile.cohorts if c.name == name) if 2 * count > len(node.gpus) else None


def parameters_of(check: Check, given: Mapping[str, object]) -> Parameters:
    """The check's parameters with what a plan gives filled in. Raises UsageError for what it does not take.

    A default that the check's own bounds refuse is one that a plan must give.
    """
    try:
        filled = msgspec.convert(dict(given), type=check.parameters)
        return msgspec.convert(msgspec.to_builtins(filled), type=check.parameters)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"plan parameters of {check.name}: {error}", f"`gpuaccept checks show {check.name}` lists them"
        ) from error


def make_plan(
    profile: Profile,
    cohort: Cohort | None,
    name: str,
    checks: Mapping[str, LoadedCheck],
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
) -> Plan:
    """The plan `name` of the cohort. Steps left out by `only` and `skip` stay in it, marked: they are not measured.

    Raises UsageError for an unknown plan or check.
    """
    for option, wanted in (("--only", only), ("--skip", skip)):
        for check in wanted:
            if check not in checks:
                raise UsageError(f"{option} {check}: no such check", _nearest(check, checks))
    if cohort is None:
        return Plan(name=name, acceptance=False, cohort="", steps=())
    spec = cohort.plans.get(name)
    if spec is None:
        raise UsageError(f"--plan {name}: profile {profile.name} has no such plan", _nearest(name, cohort.plans))
    visits: Counter[str] = Counter()
    steps = []
    for step in spec.steps:
        loaded = checks.get(step.check)
        if loaded is None:
            raise UsageError(
                f"plan {name} of profile {profile.name} names check {step.check}, which does not exist",
                _nearest(step.check, checks),
            )
        parameters = parameters_of(loaded.check, step.parameters)
        visits[step.check] += 1
        left_out = "--skip" if step.check in skip else "--only" if only and step.check not in only else ""
        steps.append(
            PlannedStep(
                check=step.check,
                state=step.state,
                visit=visits[step.check],
                parameters=msgspec.to_builtins(parameters),
                at_once=step.at_once,
                skip=left_out,
                metrics=step_metrics(loaded.check, parameters, step.state),
            )
        )
    return Plan(name=name, acceptance=spec.acceptance, cohort=cohort.name, steps=tuple(steps))


def step_metrics(check: Check, parameters: Parameters, state: str) -> tuple[str, ...]:
    """Complete names of the metrics that a step with these parameters should yield."""
    groups = check.groups(parameters) if check.groups else None
    return tuple(
        full_name(check.name, metric, state)
        for metric in check.metrics
        if groups is None or not metric.group or metric.group in groups
    )


def further_steps(plan: Plan, look: Look, number: int, visits: int) -> tuple[PlannedStep, ...]:
    """Look `number` at the checks and states that `look` names: each of their steps is visited `visits` times more.

    Hot visits come right after a short soak, as in the plan, since the node has cooled meanwhile.
    """
    asked = _models(plan, look.checks)
    soak = next((step for step in plan.steps if "duration_s" in step.parameters and not step.skip), None)
    one_visit: list[PlannedStep] = []
    if soak is not None and any(step.state == "hot" for step in asked):
        short = min(WARM_UP_S, float(soak.parameters["duration_s"]))
        one_visit.append(msgspec.structs.replace(soak, parameters={**soak.parameters, "duration_s": short}))
    visit = Counter(step.check for step in plan.steps)
    out = []
    for step in (one_visit + asked) * visits if asked else ():
        visit[step.check] += 1
        out.append(msgspec.structs.replace(step, visit=visit[step.check], look=number))
    return tuple(out)


def counted_anew(plan: Plan, done: int, declared: Iterable[MetricDeclaration]) -> tuple[PlannedStep, ...]:
    """First readings of counters that began anew after the first `done` steps: one step of each check that has read
    some and will read them again, the smallest that reads most of them."""
    counters = {metric.name for metric in declared if metric.kind in ("difference", "rate") and not metric.reduction}
    out = []
    visit = Counter(step.check for step in plan.steps)
    for check in dict.fromkeys(step.check for step in plan.steps):
        before, after = (
            [step for step in part if step.check == check and not step.skip]
            for part in (plan.steps[:done], plan.steps[done:])
        )
        again = counters & {name for step in before for name in step.metrics}
        again &= {name for step in after for name in step.metrics}
        if again:
            model = max(before + after, key=lambda step: (len(again & {*step.metrics}), -len(step.metrics)))
            out.append(msgspec.structs.replace(model, visit=visit[check] + 1, look=1))
    return tuple(out)


def _models(plan: Plan, wanted: Sequence[tuple[str, str]]) -> list[PlannedStep]:
    """The first step of each check, state and set of parameters that is wanted and was not left out."""
    found: dict[bytes, PlannedStep] = {}
    for step in plan.steps:
        if (step.check, step.state) in wanted and not step.skip:
            found.setdefault(msgspec.json.encode((step.check, step.state, step.parameters)), step)
    return list(found.values())


def estimate_s(plan: Plan, checks: Mapping[str, LoadedCheck], gpus: int) -> float:
    """Expected duration of the plan, s."""
    return sum(
        checks[step.check].check.seconds(parameters_of(checks[step.check].check, step.parameters), gpus)
        for step in plan.steps
        if not step.skip
    )


def _nearest(word: str, names: Iterable[str]) -> str:
    known = sorted(names)
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else "known: " + ", ".join(known)
