"""A statement as the page shows it: a pure function to frozen values, which the templates only place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from markupsafe import Markup
from msgspec import Struct

from gpuaccept.certificate import about, bounds, charts, findings, node, regions, results, risks, soak, tables
from gpuaccept.certificate.lookup import lookup
from gpuaccept.certificate.words import decided
from gpuaccept.data import Result, Statement
from gpuaccept.judge import Estimate

SEALS: dict[str, Result] = {
    "accepted": "pass",
    "accepted with concession": "pass",
    "rejected": "fail",
    "not decided": "inconclusive",
}


class Page(Struct, frozen=True):
    """Everything on the page, in reading order."""

    language: str
    title: str
    certificate_id: str
    simulated: str
    decision: str
    seal: Result
    reason: str
    unproven: str
    no_acceptance: str
    what: tuple[about.Fact, ...]
    totals: about.Totals
    items: tuple[findings.Item, ...]
    sure: tuple[about.Sure, ...]
    board: node.Board
    node_facts: tuple[about.Fact, ...]
    identities: tuple[node.Identity, ...]
    unseen: tuple[bounds.Bound, ...]
    gaps: tuple[bounds.Gap, ...]
    not_in_plan: tuple[str, ...]
    groups: tuple[results.Group, ...]
    references: tuple[results.Reference, ...]
    frames: tuple[tuple[str, int, Markup], ...]
    cells: tuple[tuple[int, Markup], ...]
    """Cells of one subject, and of all GPUs, where all pass."""
    loom: tuple[tuple[str, Markup], ...]
    strips: tuple[tables.Strip, ...]
    matrices: tuple[tables.Matrix, ...]
    memory: regions.Regions | None
    load: soak.Soak | None
    method: tuple[about.Fact, ...]
    risks: tuple[risks.Row, ...]
    checks: tuple[about.Fact, ...]
    coverage: tuple[about.Fact, ...]
    steps: tuple[about.StepRow, ...]
    events: tuple[tuple[str, str, str], ...]
    ledger: tuple[about.Fact, ...]
    signers: tuple[about.SignerRow, ...]
    digest: str
    annex: tuple[tuple[str, tuple[tables.Annex, ...]], ...]
    gpus: tuple[int, ...]
    ended: str


def page(statement: Statement, envelope: bytes, estimates: Mapping[str, Mapping[str, Estimate]]) -> Page:
    """The page of a record. `estimates` comes from `gpuaccept.judge.estimates` of the statement's evidence."""
    look = lookup(statement, estimates)
    evidence, judgement = look.evidence, look.judgement
    digest = hashlib.sha256(envelope).hexdigest()
    items = findings.items(look)
    return Page(
        language=look.predicate.language,
        title="Acceptance certificate" if evidence.plan.acceptance else f"Test report · plan {evidence.plan.name}",
        certificate_id=look.predicate.certificate_id,
        simulated=about.simulated(look),
        decision=decided(judgement.decision, evidence.plan.acceptance).capitalize(),
        seal=SEALS[judgement.decision],
        reason=judgement.reason,
        unproven=about.unproven(look),
        no_acceptance=about.no_acceptance(look),
        what=about.what(look, digest),
        totals=about.totals(look),
        items=items,
        sure=about.sure(look),
        board=node.board(look),
        node_facts=about.node_facts(look),
        identities=node.identities(look),
        unseen=bounds.bounds(look),
        gaps=bounds.gaps(look),
        not_in_plan=judgement.not_in_plan,
        groups=results.groups(look),
        references=results.references(look),
        frames=tables.frames(look),
        cells=tuple((n, charts.passes(n)) for n in sorted({1, len(look.gpus) or 1})),
        loom=node.loom(look),
        strips=tables.strips(look),
        matrices=tables.matrices(look),
        memory=regions.regions(look),
        load=soak.soak(look),
        method=about.method(look),
        risks=risks.rows(look),
        checks=about.checks(look),
        coverage=about.coverage(look),
        steps=about.steps(look),
        events=about.events(look),
        ledger=about.ledger(look),
        signers=about.signers(look),
        digest=digest,
        annex=tables.annex(look),
        gpus=tuple(gpu.index for gpu in evidence.node.gpus),
        ended=evidence.ended_at,
    )
