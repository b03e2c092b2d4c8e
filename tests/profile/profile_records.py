"""Records of good nodes, made quickly: measured on the simulator, judged, signed, and not rendered."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import msgspec

from gpuaccept.acceptance import NO_LEDGER, Request, judge_node
from gpuaccept.ambient import Fixed
from gpuaccept.data import Evidence
from gpuaccept.device.open import DeviceSpec
from gpuaccept.judge import judge
from gpuaccept.profile.load import LoadedProfile, load_profile
from gpuaccept.record import envelope, keys, statement

KEY = keys.throwaway(bytes(range(32)))
HOST = "{check: memory_bandwidth, state: cold, parameters: {paths: host}, at_once: false}"
HOT = """\
          - {check: memory_bandwidth, state: hot, parameters: {paths: device, warm_up_passes: 0}}
          - {check: nvlink, state: hot, parameters: {states: false}}
"""
LEAN = f"""\
kind: site
name: lean
version: "1"
title: What is learned from and fitted to, and no more
cohorts:
  - name: hgx-b200
    extends: hgx-b200
    plans:
      lean:
        purpose: copies, three times, around one short soak
        steps:
          - {{check: inventory}}
          - {{check: host}}
          - {{check: pcie}}
          - {HOST}
          - {HOST}
          - {HOST}
          - {{check: thermal_soak, parameters: {{duration_s: 300}}}}
{HOT * 3}"""


@cache
def lean() -> LoadedProfile:
    """The profile LEAN, which extends hgx-b200."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lean.yaml"
        file.write_text(LEAN, encoding="utf-8")
        return load_profile(str(file))


@cache
def heat() -> LoadedProfile:
    """LEAN with a plan that measures one copy, which `learn` asks for, and heat."""
    (cohort,) = lean().profile.cohorts
    plan = cohort.plans["lean"]
    hot = [step for step in plan.steps if step.check == "memory_bandwidth" and step.state == "hot"]
    others = [step for step in plan.steps if step.check in ("inventory", "thermal_soak")]
    plans = {**cohort.plans, "heat": msgspec.structs.replace(plan, steps=(*others, *hot))}
    profile = msgspec.structs.replace(lean().profile, cohorts=(msgspec.structs.replace(cohort, plans=plans),))
    return LoadedProfile(profile, lean().layers, lean().places)


def measured(seed: int, device: str = "hgx-b200", plan: str = "lean", profile: LoadedProfile | None = None) -> Evidence:
    """Evidence of one node; another seed is another node."""
    spec = DeviceSpec(device=f"mock:{device}", seed=seed)
    request = Request(profile=profile or lean(), spec=spec, plan=plan, in_process=True)
    return judge_node(request, Fixed(seed=seed))[0]


def real(evidence: Evidence) -> Evidence:
    """As if hardware had been measured: what only a test may say."""
    return msgspec.structs.replace(evidence, simulated=None)


def write(evidence: Evidence, path: Path) -> Path:
    """A whole record of some evidence."""
    signers = (statement.signer("node", KEY.public),)
    made = statement.build(evidence, judge(evidence), NO_LEDGER, signers, "1", "en")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(envelope.sign(statement.encode(made), [KEY]))
    return path
