"""Whether the checks find the faults that they claim: each fault in the mock, with the profile and engine in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpuaccept.acceptance import Request, judge_node
from gpuaccept.ambient import Fixed
from gpuaccept.bundled import bundled
from gpuaccept.data import Cohort, Judgement
from gpuaccept.device.open import DeviceSpec, Fault, check_spec, given, scenarios
from gpuaccept.device.open import faults as catalogue
from gpuaccept.errors import UsageError
from gpuaccept.evaluation import names_the_part
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.plan import estimate_s, make_plan

SEED = 1
"""Of every run: two people see the same."""
CONDITION = "does not count: "
"""How the reason begins of a verdict that a condition took away (judge/conditions.py)."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What one run with one fault showed.

    `caught_by` are checks of which a limit is missed by what they measured; where no limit is, those that could not
    measure (`measured` is then false). `follows` are the other checks with verdicts that are no pass: not measured, or
    not counted since a condition is not met.
    """

    fault: str
    device: str
    decision: str
    verdict: str
    cause: str
    action: str
    part: str
    """The subject that the leading finding names."""
    title: str
    expected: bool
    """Whether the leading finding has the verdict, cause and action that the catalogue states."""
    named: bool
    """Whether the leading finding names the part at fault."""
    measured: bool
    caught_by: tuple[str, ...]
    follows: tuple[str, ...]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried: a fault on the mock of a cohort's hardware."""

    fault: Fault
    device: str
    own: tuple[str, ...]
    """The site's own checks of the plan that say they detect it: each must."""
    judged: bool
    """Whether a limit of the cohort that decides is on the metric that shows it: without one nothing can be found."""

    def holds(self, shown: Shown) -> bool:
        """Whether the run showed what it must."""
        return shown.expected and shown.named and set(self.own) <= set(shown.caught_by)

    def left_open(self, shown: Shown) -> bool:
        """Whether the fault was not found for want of a limit: a choice of the profile, no fault of the logic."""
        return not (self.judged or self.own or self.holds(shown))


def show(profile: LoadedProfile, fault: Fault, device: str, plan: str, checks_dir: Path | None = None) -> Shown:
    """Simulate, measure and judge a node with one fault; in worker processes only where it would stop this one."""
    spec = DeviceSpec(device=device, seed=SEED, faults=(fault.name,))
    request = Request(profile=profile, spec=spec, plan=plan, checks_dir=checks_dir, in_process=not fault.needs_workers)
    _, judgement = judge_node(request, Fixed(seed=SEED))
    ((_, values),) = given(spec)
    lead = judgement.findings[0] if judgement.findings else None
    missed, unmeasured, uncounted = who(judgement)
    caught = missed or unmeasured
    return Shown(
        fault=fault.name,
        device=device,
        decision=judgement.decision,
        verdict=lead.result if lead else "pass",
        cause=lead.cause if lead else "",
        action=lead.action if lead else "",
        part=lead.part.subject if lead else "",
        title=lead.title if lead else "Nothing was found",
        expected=lead is not None
        and (lead.result, lead.cause, lead.action) == (fault.verdict, fault.cause, fault.action),
        named=names_the_part(fault, lead, device, values),
        measured=bool(missed),
        caught_by=tuple(sorted(caught)),
        follows=tuple(sorted((unmeasured | uncounted) - caught)),
    )


def who(judgement: Judgement) -> tuple[set[str], set[str], set[str]]:
    """The checks of which a limit is missed, something was not measured, or does not count for a condition."""
    missed: set[str] = set()
    unmeasured: set[str] = set()
    uncounted: set[str] = set()
    for judged in judgement.judged:
        if judged.effect == "observe":
            continue
        for verdict in judged.missed:
            check = judged.metric.partition(".")[0]
            if verdict.result in ("error", "skipped"):
                unmeasured.add(check)
            elif verdict.result == "inconclusive" and verdict.reason.startswith(CONDITION):
                uncounted.add(check)
            else:
                missed.add(check)
    return missed, unmeasured, uncounted


def device_of(cohort: Cohort) -> str:
    """The mock of a cohort's hardware. Raises UsageError where there is none."""
    if cohort.hardware not in scenarios():
        raise UsageError(
            f"cohort {cohort.name}: nothing simulates {cohort.hardware or 'its hardware'}",
            "simulated hardware: " + ", ".join(scenarios()),
        )
    return f"mock:{cohort.hardware}"


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """What to try with a profile and plan, and what that leaves open."""

    cells: tuple[Cell, ...]
    not_in_plan: tuple[str, ...]
    """Faults that this plan can't show, or its hardware can't have."""
    silent: tuple[str, ...]
    """Checks of the plan that name no fault that they detect."""


def cells(profile: LoadedProfile, plan: str, checks: Mapping[str, LoadedCheck]) -> Trials:
    """What to try. Raises UsageError where nothing simulates the hardware of one of the profile's cohorts.

    A fault is tried on each hardware of the profile that can have it, where the plan measures the metric that shows it
    (a change: twice) and lasts until it begins, or a check of the site in it says that it detects it.
    """
    out: list[Cell] = []
    tried: set[str] = set()
    silent: dict[str, None] = {}
    for cohort in profile.profile.cohorts:
        if plan not in cohort.plans:
            continue
        device, planned = device_of(cohort), make_plan(profile.profile, cohort, plan, dict(checks))
        used = dict.fromkeys(step.check for step in planned.steps)
        visits = Counter(metric for step in planned.steps for metric in step.metrics)
        kinds = {one.name: one.kind for name in used for one in checks[name].declarations}
        lasts_s = estimate_s(planned, checks, cohort.gpus)
        # one visit shows no change
        measured = {name for name, n in visits.items() if n > 1 or kinds[name] not in ("difference", "rate")}
        silent |= {name: None for name in used if not checks[name].check.detects}
        for fault in catalogue():
            claimed = tuple(name for name in used if fault.name in checks[name].check.detects)
            own = tuple(name for name in claimed if is_own(checks[name]))
            shown = (
                claimed and ".".join(fault.detects) in measured and float(fault.defaults.get("at_s", 0.0)) <= lasts_s
            )
            if (shown or own) and can_have(device, fault):
                tried.add(fault.name)
                out.append(Cell(fault=fault, device=device, own=own, judged=decides(cohort, fault)))
    left = tuple(fault.name for fault in catalogue() if fault.name not in tried)
    return Trials(cells=tuple(out), not_in_plan=left, silent=tuple(silent))


def decides(cohort: Cohort, fault: Fault) -> bool:
    """Whether a limit that decides can show a fault: without one a run can't find it."""
    metric = ".".join(fault.detects)
    return any(
        limit.metric == metric and limit.effect != "observe" and (not fault.limit or limit.equals is not None)
        for limit in cohort.limits
    )


def is_own(check: LoadedCheck) -> bool:
    """Whether a check is the site's own."""
    return check.path.parent != bundled("checks")


def can_have(device: str, fault: Fault) -> bool:
    """Whether a simulated hardware can have a fault: a board without pumps has no dead one."""
    try:
        check_spec(DeviceSpec(device=device, faults=(fault.name,)))
    except UsageError:
        return False
    return True
