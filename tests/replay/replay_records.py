"""Records to replay: a run on a simulated node, and the same with something in its evidence changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gpuaccept.acceptance import NO_LEDGER, Accepted, Request, run_node
from gpuaccept.ambient import Fixed
from gpuaccept.certificate import html
from gpuaccept.data import Evidence
from gpuaccept.device.open import DeviceSpec
from gpuaccept.judge import judge
from gpuaccept.profile.load import load_profile
from gpuaccept.record import envelope, keys, statement

KEY = keys.throwaway(bytes(range(32)))


def measured(out: Path, *faults: str, plan: str = "node", seed: int = 5) -> Accepted:
    """A run on a simulated node, with its files in `out`."""
    spec = DeviceSpec(device="mock:hgx-b200", seed=seed, faults=faults)
    request = Request(profile=load_profile("hgx-b200"), spec=spec, plan=plan, out=out, in_process=True)
    return run_node(request, Fixed())


def replayed(record: Path, out: Path | None = None, profile: str = "hgx-b200", plan: str = "") -> Accepted:
    """What a replay leaves."""
    spec = DeviceSpec(device=f"replay:{record}")
    return run_node(Request(profile=load_profile(profile), spec=spec, plan=plan, out=out), Fixed(seed=1))


def changed(record: Path, out: Path, change: Callable[[Evidence], Evidence]) -> Path:
    """A record whose evidence was changed before it was judged and signed: whole, and by an unknown key."""
    evidence = change(envelope.open_record(record.read_bytes()).statement.predicate.evidence)
    signers = (statement.signer("node", KEY.public),)
    made = statement.build(evidence, judge(evidence), NO_LEDGER, signers, html.TEMPLATE, "en")
    out.write_bytes(envelope.sign(statement.encode(made), [KEY]))
    return out


def evidence_of(accepted: Accepted) -> Evidence:
    return accepted.statement.predicate.evidence
