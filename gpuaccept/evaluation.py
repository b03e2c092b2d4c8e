"""How well the checks find the faults of the catalogue, and how often they send a good node back: in simulation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuaccept.acceptance import Request, judge_node
from gpuaccept.ambient import Fixed
from gpuaccept.data import Cohort, Finding, Judgement
from gpuaccept.device.open import DeviceSpec, Fault, model
from gpuaccept.device.open import faults as known_faults
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.severities import RULES


@dataclass(frozen=True)
class Trial:
    """One simulated node that was judged."""

    seed: int
    judgement: Judgement
    looks: int
    """Looks that were needed: 1 is the plan alone."""

    @property
    def leading(self) -> Finding | None:
        """The finding that comes first, if there is one."""
        return self.judgement.findings[0] if self.judgement.findings else None


def run(
    profile: LoadedProfile, device: str, seed: int, faults: tuple[str, ...] = (), plan: str = "acceptance"
) -> Trial:
    """Simulate, measure and judge one node; in worker processes only where a fault would stop this one."""
    spec = DeviceSpec(device=device, seed=seed, faults=faults)
    stopping = {fault.name for fault in known_faults() if fault.needs_workers}
    alone = not any(text.partition(":")[0] in stopping for text in faults)
    evidence, judgement = judge_node(Request(profile=profile, spec=spec, plan=plan, in_process=alone), Fixed(seed=seed))
    return Trial(seed=seed, judgement=judgement, looks=max((step.look for step in evidence.steps), default=1))


def smallest_severity(fault: Fault, cohort: Cohort, device: str) -> float | None:
    """The smallest severity that the cohort's limits must reject, in the unit of `fault.severity_key`.

    Over all required limits on what the fault changes: for bandwidths the loss beyond floor or deviation limit that is
    seen with 95 % power; for the rest the severity at which the simulated physics reaches the limit. None where the
    fault has no severity.
    """
    if fault.severity_key is None:
        return None
    return RULES[fault.name](cohort, device)


def names_the_part(fault: Fault, found: Finding | None, device: str, values: dict[str, float | int | str]) -> bool:
    """Whether the leading finding names what is at fault: GPU, link or the missing GPU's slot, or the whole node."""
    if found is None:
        return False
    if fault.name == "gpu_missing":
        return found.part.module_id == model(DeviceSpec(device=device)).gpu.module_ids[int(values["gpu"])]
    victim = fault.victim(values)
    if victim == "node":
        return found.part.subject == "node"
    gpus = {int(number) for number in re.findall(r"gpu/(\d+)", victim)}
    return found.part.gpu in gpus and (found.part.link is None or f"/link/{found.part.link}" in victim)
