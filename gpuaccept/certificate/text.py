"""A record in plain words, for the terminal and summary.txt, and as JSON for programs (docs/reference/summary.md)."""

from __future__ import annotations

import textwrap

import msgspec

from gpuaccept.certificate.numbers import measured_of_planned, percent, quantity
from gpuaccept.certificate.words import acts, decided, plural, visible
from gpuaccept.data import Action, Cause, Coverage, Decision, Finding, Part, Result, Scalar, Statement, Value

WIDTH = 100


class FindingSummary(Value, frozen=True, kw_only=True):
    """One finding: what to act on. `value` is null where nothing could be measured."""

    result: Result
    title: str
    part: Part
    metric: str
    limit: str
    value: Scalar | None
    expanded_uncertainty: float | None
    unit: str
    requirement: str
    reason: str
    cause: Cause
    action: Action
    advice: tuple[str, ...]


class Summary(Value, frozen=True, kw_only=True):
    """The record without its evidence. Text is as it was recorded: escape it before you show it."""

    schema_version: int = 1
    certificate_id: str
    decision: Decision
    reason: str
    simulated: bool
    complete: bool
    acceptance: bool
    plan: str
    profile: str
    profile_version: str
    cohort: str
    host: str
    node_serial: str | None
    run_id: str
    run_number: int
    runs_started: int
    started_at: str
    ended_at: str
    assumptions: int
    observed_misses: int
    coverage: tuple[Coverage, ...]
    findings: tuple[FindingSummary, ...]


def summary(statement: Statement) -> str:
    """Verdict, findings with part, value ± U, limit, cause and next step; no character that a terminal obeys."""
    predicate = statement.predicate
    evidence, judgement = predicate.evidence, predicate.judgement
    title = "Acceptance certificate" if evidence.plan.acceptance else f"Test report, plan {evidence.plan.name}"
    simulated = "  [SIMULATED]" if evidence.simulated is not None else ""
    profile = f"{evidence.profile.name} {evidence.profile.version}"
    lines = [
        f"{decided(judgement.decision, evidence.plan.acceptance).upper()}{simulated}",
        *_wrapped(judgement.reason),
        "",
        f"{title} {predicate.certificate_id}",
        f"Node {evidence.node.host}, serial {evidence.node.serial or 'not known'}; profile {profile}",
        f"Measured {evidence.started_at} to {evidence.ended_at}; run {predicate.ledger.number} of "
        f"{predicate.ledger.started}",
    ]
    if not evidence.plan.acceptance and judgement.decision != "rejected":
        lines.append(f"Plan {evidence.plan.name} is no acceptance: this report does not accept the node.")
    if not evidence.complete:
        lines.append(f"INCOMPLETE: {evidence.incomplete_reason}")
    for nr, finding in enumerate(judgement.findings, 1):
        lines += ["", *_finding(nr, finding)]
    lines += ["", *_coverage(judgement.coverage)]
    lines.append(
        f"{plural(judgement.assumptions, 'assumption')} among the limits, "
        f"{plural(judgement.observed_misses, 'observed limit')} not met."
    )
    return "".join(f"{visible(line)}\n" for line in lines)


def summary_json(statement: Statement) -> bytes:
    """The same as JSON, on one line: a `Summary`."""
    predicate = statement.predicate
    evidence, judgement = predicate.evidence, predicate.judgement
    value = Summary(
        certificate_id=predicate.certificate_id,
        decision=judgement.decision,
        reason=judgement.reason,
        simulated=evidence.simulated is not None,
        complete=evidence.complete,
        acceptance=evidence.plan.acceptance,
        plan=evidence.plan.name,
        profile=evidence.profile.name,
        profile_version=evidence.profile.version,
        cohort=judgement.cohort,
        host=evidence.node.host,
        node_serial=evidence.node.serial,
        run_id=evidence.run_id,
        run_number=predicate.ledger.number,
        runs_started=predicate.ledger.started,
        started_at=evidence.started_at,
        ended_at=evidence.ended_at,
        assumptions=judgement.assumptions,
        observed_misses=judgement.observed_misses,
        coverage=judgement.coverage,
        findings=tuple(
            FindingSummary(
                result=f.result,
                title=f.title,
                part=f.part,
                metric=f.metric,
                limit=f.limit,
                value=f.value,
                expanded_uncertainty=f.expanded_uncertainty,
                unit=f.unit,
                requirement=f.requirement,
                reason=f.reason,
                cause=f.cause,
                action=f.action,
                advice=f.advice,
            )
            for f in judgement.findings
        ),
    )
    return msgspec.json.encode(value) + b"\n"


def part_line(part: Part) -> str:
    """What to put a hand on, in one line: subject, slot, serial, module, bus."""
    fields = (
        ("slot", part.slot),
        ("serial", part.serial),
        ("module", str(part.module_id) if part.module_id is not None else ""),
        ("bus", part.pci_bus_id),
    )
    return ", ".join([part.subject, *(f"{label} {text}" for label, text in fields if text)])


def _finding(nr: int, finding: Finding) -> list[str]:
    value = quantity(finding.value, finding.expanded_uncertainty, finding.unit)
    lines = [
        f"{nr}. {finding.result.upper()}  {finding.title}",
        f"   part      {part_line(finding.part)}",
        f"   measured  {value}, limit {finding.requirement}  ({finding.metric})",
        *_why(finding),
        f"   cause     {finding.cause}; {acts(finding.cause)}: {finding.action}",
    ]
    for k, step in enumerate(finding.advice):
        label = "do next" if k == 0 else ""
        lines += _wrapped(step, first=f"   {label:<9} ", rest=" " * 13)
    return lines


def _why(finding: Finding) -> list[str]:
    """The judge's reason, where value and limit don't say the same already."""
    if finding.result == "fail" and f"required {finding.requirement}" in finding.reason:
        return []
    return _wrapped(finding.reason, first="   why       ", rest=" " * 13)


def _coverage(coverage: tuple[Coverage, ...]) -> list[str]:
    parts = [f"{measured_of_planned(c)} ({percent(c.measured, c.planned)})" for c in coverage]
    return _wrapped(f"Measured of planned: {', '.join(parts) or 'nothing was planned'}.")


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most WIDTH characters; made safe first, so that no escape is cut apart."""
    return textwrap.wrap(visible(text), WIDTH, initial_indent=first, subsequent_indent=rest) or [first.rstrip()]
