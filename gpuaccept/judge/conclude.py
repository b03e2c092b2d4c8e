"""From outcomes to the judgement: counts, the decision and its reason."""

from __future__ import annotations

from gpuaccept.data import Decision, Evidence, Finding, Judged, Judgement, Part, Result, Verdict
from gpuaccept.judge.coverage import coverage
from gpuaccept.judge.findings import findings
from gpuaccept.judge.outcome import GRAVITY, Miss, Outcome
from gpuaccept.judge.parts import part
from gpuaccept.judge.scope import Scope
from gpuaccept.judge.subjects import NODE, order
from gpuaccept.judge.tables import Tables

MODEL = "inventory.model"


def conclude(scope: Scope, data: Tables, outcomes: list[Outcome]) -> Judgement:
    """The judgement of a node that was judged by the limits of its cohort."""
    evidence = scope.evidence
    required = [outcome for outcome in outcomes if outcome.limit.effect == "require"]
    planned = {outcome.limit.id for outcome in required}
    found = findings(scope, outcomes)
    decision, reason = _decide(evidence, required, found)
    return Judgement(
        decision=decision,
        reason=reason,
        plan=evidence.plan.name,
        cohort=scope.cohort.name,
        judged=tuple(map(_judged, outcomes)),
        findings=found,
        coverage=coverage(scope, data, outcomes),
        not_in_plan=tuple(
            limit.id for limit in scope.cohort.limits if limit.effect == "require" and limit.id not in planned
        ),
        assumptions=sum(outcome.limit.source == "assumption" for outcome in required),
        observed_misses=sum(
            any(miss.result == "fail" for miss in outcome.misses.values())
            for outcome in outcomes
            if outcome.limit.effect == "observe"
        ),
    )


def not_judged(evidence: Evidence, cohort: str, reason: str) -> Judgement:
    """No limit applies, and that is not the node's fault: nothing is concluded."""
    return _empty(evidence, cohort, "not decided", reason, (), ())


def no_cohort(evidence: Evidence) -> Judgement:
    """The node is none of the kinds that the profile describes: it is not what was ordered."""
    kinds = ", ".join(cohort.name for cohort in evidence.profile.cohorts)
    ids = ", ".join(sorted({gpu.pci_device_id for gpu in evidence.node.gpus}))
    reason = f"fits no cohort of profile {evidence.profile.name} ({kinds}): the GPUs have PCI device id {ids}"[:400]
    verdict = Verdict(subject=NODE, result="fail", value=ids, reason=reason)
    judged = Judged(
        limit=MODEL,
        metric=MODEL,
        effect="require",
        passed=0,
        failed=1,
        inconclusive=0,
        errors=0,
        skipped=0,
        worst=verdict,
        missed=(verdict,),
    )
    finding = Finding(
        result="fail",
        part=part(evidence, NODE) if evidence.plan.cohort else Part(subject=NODE, name=evidence.node.host),
        title="The node is not of a kind that the profile describes",
        metric=MODEL,
        limit=MODEL,
        value=ids,
        unit="",
        requirement=f"a node of {kinds}"[:400],
        reason=reason,
        cause="hardware",
        action="replace",
        advice=(
            f"Make sure that {evidence.profile.name} is the profile for this node (`gpuaccept profile list`).",
            "Compare the model on the delivery note with the one that was ordered.",
            "If the profile is right, send the record to the supplier: this is not the node that was ordered.",
        ),
    )
    return _empty(evidence, "", "rejected", f"The node {reason}.", (judged,), (finding,))


def _empty(
    evidence: Evidence,
    cohort: str,
    decision: Decision,
    reason: str,
    judged: tuple[Judged, ...],
    found: tuple[Finding, ...],
) -> Judgement:
    return Judgement(
        decision=decision,
        reason=reason,
        plan=evidence.plan.name,
        cohort=cohort,
        judged=judged,
        findings=found,
        coverage=(),
        not_in_plan=(),
        assumptions=0,
        observed_misses=0,
    )


def _decide(evidence: Evidence, required: list[Outcome], found: tuple[Finding, ...]) -> tuple[Decision, str]:
    results = [miss.result for outcome in required if outcome.misses for miss in outcome.misses.values()]
    failed = results.count("fail")
    total = sum([len(outcome.subjects) for outcome in required])
    if failed:
        verb = "is" if failed == 1 else "are"
        return "rejected", f"{_leading(found, 'fail')}{failed} of {_all(total)} {verb} measured and not met."
    if not evidence.complete:
        return "not decided", f"The run is not complete: {evidence.incomplete_reason or 'its end is missing'}."
    if not required:
        return "not decided", "No required limit of the profile is judged by this plan."
    if open_ones := len(results):
        verb = "has" if open_ones == 1 else "have"
        return "not decided", f"{_leading(found)}{open_ones} of {_all(total)} {verb} no verdict of pass or fail."
    return "accepted", f"All {total} requirements of plan {evidence.plan.name} are met."


def _all(total: int) -> str:
    return f"{total} requirement{'' if total == 1 else 's'}"


LEADING = 2
"""Findings that the reason names."""


def _leading(found: tuple[Finding, ...], result: Result | None = None) -> str:
    """`GPU 3 (slot SXM 3): device memory copy is too slow. `; then how many more findings there are."""
    mine = [finding for finding in found if result is None or finding.result == result]
    text = "".join(f"{_placed(finding)}. " for finding in mine[:LEADING])
    rest = len(mine) - LEADING
    return f"{text}And {rest} more finding{'s' if rest > 1 else ''}. " if rest > 0 else text


def _placed(finding: Finding) -> str:
    """A finding's title with the slot of its part, at most 150 characters."""
    name, colon, rest = finding.title.partition(": ")
    slot = finding.part.slot if finding.part.peer is None else ""
    title = f"{name} (slot {slot}): {rest}" if slot and colon else finding.title
    return title if len(title) <= 150 else f"{title[:149]}…"


def _judged(outcome: Outcome) -> Judged:
    limit, misses = outcome.limit, outcome.misses
    if not misses:
        worst = outcome.shows.worst(outcome.subjects)
        value, u = outcome.shows.value(worst) if worst is not None else (None, None)
        return Judged(
            limit=limit.id,
            metric=limit.metric,
            effect=limit.effect,
            passed=len(outcome.subjects),
            worst=None if worst is None else Verdict(subject=worst, result="pass", value=value, expanded_uncertainty=u),
        )
    ordered = sorted(misses.values(), key=lambda miss: order(miss.subject))
    verdicts = tuple(_verdict(miss) for miss in ordered)
    counts = {result: sum(v.result == result for v in verdicts) for result in GRAVITY}
    low = limit.maximum is None
    worst_miss = min(ordered, key=lambda miss: (GRAVITY[miss.result], _depth(miss, low)))
    return Judged(
        limit=limit.id,
        metric=limit.metric,
        effect=limit.effect,
        passed=len(outcome.subjects) - len(misses),
        failed=counts["fail"],
        inconclusive=counts["inconclusive"],
        errors=counts["error"],
        skipped=counts["skipped"],
        worst=_verdict(worst_miss),
        missed=verdicts,
    )


def _depth(miss: Miss, low: bool) -> float:
    if not isinstance(miss.value, float | int):
        return 0.0
    return float(miss.value) if low else -float(miss.value)


def _verdict(miss: Miss) -> Verdict:
    return Verdict(
        subject=miss.subject,
        result=miss.result,
        value=miss.value,
        expanded_uncertainty=miss.uncertainty,
        reason=miss.reason[:400],
    )
