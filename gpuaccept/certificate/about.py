"""What the page says about the run: node, method, how sure, steps, ledger and keys."""

from __future__ import annotations

import base64
import binascii
import hashlib

from msgspec import Struct

from gpuaccept.certificate import node
from gpuaccept.certificate.lookup import Lookup
from gpuaccept.certificate.numbers import duration, measured_of_planned, number, percent, plain
from gpuaccept.certificate.words import TAILS, check_title, plural
from gpuaccept.data import UNKNOWN_COUNT, Judged
from gpuaccept.judge.statistics import median_factor
from gpuaccept.profile.digest import digest as profile_digest

EVENTS = 40
"""Events that are shown; the record holds all."""


class Fact(Struct, frozen=True):
    """A label and what stands beside it; `code` marks identifiers, which are set apart."""

    label: str
    text: str
    code: bool = False
    note: str = ""


class Sure(Struct, frozen=True):
    """One of the figures that say how sure the verdict is."""

    label: str
    figure: str
    note: str


class StepRow(Struct, frozen=True):
    """Visits of one check in one state, as they were carried out."""

    step: str
    visits: str
    outcome: str
    started: str
    took: str


class SignerRow(Struct, frozen=True):
    """One key that signed. The page doesn't say whose it is: that is in the verifier's trust file."""

    role: str
    key: str


class Totals(Struct, frozen=True):
    """Required verdicts by result."""

    required: int
    failed: int
    undecided: int
    observed: tuple[str, ...]


def totals(look: Lookup) -> Totals:
    """Verdicts of required limits, and the observed limits that are not met."""
    required = [judged for judged in look.judgement.judged if judged.effect == "require"]
    observed = [j.limit for j in look.judgement.judged if j.effect == "observe" and j.failed]
    return Totals(
        required=sum(_count(judged) for judged in required),
        failed=sum(judged.failed for judged in required),
        undecided=sum(judged.inconclusive + judged.errors + judged.skipped for judged in required),
        observed=tuple(observed),
    )


def _count(judged: Judged) -> int:
    return judged.passed + judged.failed + judged.inconclusive + judged.errors + judged.skipped


def simulated(look: Lookup) -> str:
    """Empty for a real run, else how it was simulated."""
    simulated = look.evidence.simulated
    if simulated is None:
        return ""
    parts = [simulated.by, simulated.scenario, f"seed {simulated.seed}" if simulated.by == "mock" else ""]
    faults = f"faults {', '.join(simulated.faults)}" if simulated.faults else ""
    return ", ".join(part for part in (*parts, faults) if part)


def what(look: Lookup, digest: str) -> tuple[Fact, ...]:
    """What was measured, when, and what it was judged by."""
    evidence, profile = look.evidence, look.evidence.profile
    serial = f"serial {evidence.node.serial}" if evidence.node.serial else "serial not known"
    facts = [
        Fact("Node", evidence.node.host, code=True, note=serial),
        Fact("Hardware", node.models(look), note=look.cohort.description if look.cohort else "fits no cohort"),
        Fact("Profile", f"{profile.name} {profile.version}", code=True, note=profile.title),
        Fact("Plan", evidence.plan.name, code=True),
        Fact("Measured", span(evidence.started_at, evidence.ended_at)),
        Fact("Record", f"sha256 {digest[:8]} {digest[8:16]} …", code=True),
    ]
    if not evidence.complete:
        facts.insert(4, Fact("Incomplete", evidence.incomplete_reason))
    if look.evidence.simulated is not None:
        facts.append(Fact("Simulated", simulated(look)))
    return tuple(facts)


def sure(look: Lookup) -> tuple[Sure, ...]:
    """The figures that say how sure the verdict is."""
    judgement, ledger, cohort = look.judgement, look.predicate.ledger, look.cohort
    simulated = look.evidence.simulated is not None
    if simulated:
        assurance = Sure("Assurance", "none", "Simulated: no hardware was measured and no real key signed.")
    else:
        assurance = Sure(
            "Assurance",
            "S1 of S4",
            "Whoever ran it controlled machine, key and clock, as in a supplier's own declaration. No witness.",
        )
    kept = "" if ledger.persistent else " The ledger lies where it may not outlive a reboot."
    unfinished = "Every earlier run with this key has an end."
    if simulated:
        unfinished, kept = "A simulated run stands in no ledger: a thrown-away key counts nothing.", ""
    elif ledger.unfinished:
        unfinished = f"Started with this key and never ended, so counted as failed: {ledger.unfinished}."
    planned = [c for c in judgement.coverage if c.planned > 0]
    least = min(planned, key=lambda c: c.measured / c.planned, default=None)
    covered = ", ".join(measured_of_planned(c) for c in planned[:5])
    k = plain(cohort.coverage_factor) if cohort else ""
    observed = totals(look).observed
    misses = (
        f"{plural(judgement.observed_misses, 'observed limit')} not met"
        if judgement.observed_misses
        else "No observed limit missed"
    )
    floors = _unlearned(look)
    return (
        assurance,
        Sure("Run", f"{ledger.number} of {ledger.started}", unfinished + kept),
        Sure(
            "Measured of planned",
            percent(least.measured, least.planned) if least else "nothing",
            f"{covered}." if covered else "The plan has no step for this node.",
        ),
        Sure(
            "Decision rule",
            f"guarded, k = {k}" if k else "none",
            "Pass if y − U reaches the limit, fail if y + U does not; between: measured again, at most "
            f"{plural(cohort.looks, 'look')}. Counts are exact."
            if cohort
            else "The node fits no cohort of the profile: nothing but its model is judged.",
        ),
        Sure(
            "Limits",
            plural(judgement.assumptions, "assumption"),
            f"Limits that nobody published or measured. {plural(floors, 'floor')} not learned from nodes of this site.",
        ),
        Sure(
            "Observed",
            misses,
            f"{', '.join(observed[:4])}{' …' if len(observed) > 4 else ''}" if observed else "Shown, never decides.",
        ),
    )


def unproven(look: Lookup) -> str:
    """What an accepted page must not be taken for, in a sentence; section 2 has it in full. Empty on other pages."""
    if look.judgement.decision not in ("accepted", "accepted with concession"):
        return ""
    simulated = "anything about hardware (the run was simulated), " if look.evidence.simulated is not None else ""
    left_out = len(look.judgement.not_in_plan)
    partial = f"{plural(left_out, 'required limit')} that this plan does not measure, " if left_out else ""
    return (
        f"It does not prove: {simulated}{partial}every memory cell, faults that need longer than this run, cooling on "
        "a hot day, or anything beyond the GPUs and their links; and root on the node could forge what was read."
    )


def no_acceptance(look: Lookup) -> str:
    """Says of a plan that is no acceptance that it is none."""
    plan = look.evidence.plan
    if plan.acceptance or look.judgement.decision == "rejected":
        return ""
    return f"Plan {plan.name} is no acceptance: this report does not accept the node."


def _unlearned(look: Lookup) -> int:
    """Floors on sampled metrics that do not come from measured nodes."""
    return sum(
        1
        for limit in look.limits.values()
        if limit.minimum is not None
        and limit.source != "measured"
        and limit.metric in look.declared
        and look.declared[limit.metric].kind == "sampled"
    )


def node_facts(look: Lookup) -> tuple[Fact, ...]:
    """What the node says of itself."""
    facts = look.evidence.node
    found = (facts.gpu_count_pci, facts.gpu_count_nvml, facts.gpu_count_cuda)
    counts = ["an unknown number" if count == UNKNOWN_COUNT else count for count in found]
    return (
        Fact("Host", facts.host, code=True),
        Fact("Serial", facts.serial or "not known", code=facts.serial is not None),
        Fact("System", f"{facts.operating_system}, kernel {facts.kernel}"),
        Fact("Driver", f"{facts.driver_version}, NVML {facts.nvml_version}, CUDA {facts.cuda_driver_version}"),
        Fact("Fabric manager", facts.fabric_manager_version or "not known"),
        Fact("GPUs found", "{} by PCI, {} by NVML, {} by CUDA".format(*counts)),
        Fact("Boot", facts.boot_id, code=True),
        *(Fact(f"Boot from {boot.at_s:.0f} s on", boot.boot_id, code=True) for boot in look.evidence.boots or ()),
        *(
            Fact(
                "GPU code",
                f"{one.file} for {one.architecture}, {'shipped' if one.made == 'shipped' else 'compiled on the node'}",
                note=f"sha256 {one.sha256[:16]}…",
            )
            for one in facts.kernels or ()
        ),
    )


def method(look: Lookup) -> tuple[Fact, ...]:
    """By which limits, with which tool, by which rule."""
    evidence, profile, cohort = look.evidence, look.evidence.profile, look.cohort
    facts = [
        Fact("Profile", f"{profile.name} {profile.version}", code=True, note=profile.site),
        Fact(
            "Digest", profile_digest(profile), code=True, note="sha256 of the resolved profile, embedded in the record"
        ),
        *(
            Fact("Layer", layer.name, code=True, note=f"sha256 {layer.sha256[:16]}…")
            for layer in evidence.profile_layers
        ),
        Fact(
            "Tool", f"gpuaccept {evidence.environment.gpuaccept_version}, Python {evidence.environment.python_version}"
        ),
        *(
            Fact("Library", layer.name, code=True, note=f"sha256 {layer.sha256[:16]}…")
            for layer in evidence.environment.libraries
        ),
    ]
    if cohort is not None:
        factor = plain(cohort.coverage_factor)
        facts += [
            Fact("Cohort", f"{cohort.name}: {cohort.hardware}, {cohort.cooling}-cooled"),
            Fact(
                "Repetition",
                f"{cohort.visits} visits of each sampled figure in one state, at most {cohort.looks} looks; "
                "the median is judged, the worst is shown",
            ),
            Fact(
                "Uncertainty",
                f"U = {factor} · u; u² = (1.253 σ/√visits)² + type B², σ pooled and declared before the run",
            ),
            Fact(
                "95 % interval",
                f"of a figure of {cohort.visits} visits: ± t · √(({plain(median_factor(cohort.tails, cohort.visits))} "
                f"σ/√visits)² + type B²), for scatter {TAILS[cohort.tails]}; U is wider, since no shape may cheat it",
            ),
            Fact("Deviation limits", "against the node's own median, at least 5 σ from GPU to GPU; no U is added"),
        ]
    facts += [
        Fact(
            "Clock",
            "the node's own wall clock, not checked; transfers by GPU events, spans by a monotonic clock",
        ),
        Fact("Sampling", "every GPU, link and pair of this node"),
        Fact("Run", evidence.run_id, code=True),
        Fact("Scope", "relates only to the node listed; state at the test date"),
        *(Fact("Note", note) for note in profile.notes[:6]),
    ]
    return tuple(facts)


def checks(look: Lookup) -> tuple[Fact, ...]:
    """Each check that took part, and the digest of its file."""
    return tuple(
        Fact(check_title(check.name), check.purpose, note=f"sha256 {check.source_sha256[:16]}…")
        for check in look.evidence.checks
    )


def steps(look: Lookup) -> tuple[StepRow, ...]:
    """Every step that was carried out."""
    rows: list[StepRow] = []
    for run in look.evidence.steps:
        step = f"{run.check}, {run.state}" if run.state else run.check
        again = f", look {run.look}" if run.look > 1 else ""
        outcome = f"{run.outcome.replace('_', ' ')}{f': {run.reason}' if run.reason else ''}"
        if run.failures:
            outcome += f"; {plural(len(run.failures), 'measurement')} not made"
        rows.append(
            StepRow(
                step,
                f"visit {run.visit}{again}",
                outcome,
                number(run.started_s, 1),
                duration(run.ended_s - run.started_s),
            )
        )
    return tuple(rows)


def coverage(look: Lookup) -> tuple[Fact, ...]:
    """Planned against measured, for each kind of thing."""
    return tuple(
        Fact(
            c.what, f"{plain(c.measured)} of {plain(c.planned)} {c.unit}".rstrip(), note=percent(c.measured, c.planned)
        )
        for c in look.judgement.coverage
    )


def events(look: Lookup) -> tuple[tuple[str, str, str], ...]:
    """(seconds since the start, subject, what happened); the first EVENTS of them."""
    found = look.evidence.events
    shown = [(f"{event.at_s:.1f}", event.subject, f"{event.kind}: {event.text}") for event in found[:EVENTS]]
    if len(found) > EVENTS:
        shown.append((f"{found[EVENTS].at_s:.1f}", "and", f"{len(found) - EVENTS} more, in the record"))
    return tuple(shown)


def signers(look: Lookup) -> tuple[SignerRow, ...]:
    """Role and key of everyone that the record names."""
    return tuple(SignerRow(signer.role, _fingerprint(signer.spki)) for signer in look.predicate.signers)


def ledger(look: Lookup) -> tuple[Fact, ...]:
    """Where this run stands among all that were started with its key."""
    if look.evidence.simulated is not None:
        return (Fact("Ledger", "none: a simulated run is no run of a node"),)
    ledger = look.predicate.ledger
    return (
        Fact("This run", f"number {ledger.number} of {ledger.started} started with this key"),
        Fact("Without an end", f"{ledger.unfinished}: counted as failed" if ledger.unfinished else "none"),
        Fact("Ledger head", ledger.head, code=True),
        Fact("Kept", "on disk of the node" if ledger.persistent else "where it may not outlive a reboot"),
    )


def _fingerprint(spki: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(spki, validate=True)).hexdigest()
    except (binascii.Error, ValueError):
        return "not base64"


def span(start: str, end: str) -> str:
    """`2026-11-24 09:06:12 to 09:41:50 UTC` from two RFC 3339 times with Z."""
    day, _, _ = start.partition("T")
    until = end.removeprefix(f"{day}T") if end.startswith(f"{day}T") else end.replace("T", " ")
    return f"{start.replace('T', ' ').removesuffix('Z')} to {until.removesuffix('Z')} UTC"
