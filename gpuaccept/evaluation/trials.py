"""One trial: a node is simulated, measured by the real engine and judged; what is kept of it is one small value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from gpuaccept.acceptance import Request, judge_node
from gpuaccept.ambient import Fixed
from gpuaccept.data import Cohort, Evidence, Finding, Judgement
from gpuaccept.device.open import DeviceSpec, Fault, given, model
from gpuaccept.device.open import faults as known_faults
from gpuaccept.errors import GpuacceptError
from gpuaccept.judge import estimates
from gpuaccept.profile.load import LoadedProfile, load_profile
from gpuaccept.severities import RULES


@dataclass(frozen=True)
class Trial:
    """One simulated node that was judged."""

    seed: int
    evidence: Evidence
    judgement: Judgement

    @property
    def looks(self) -> int:
        """Looks that were needed: 1 is the plan alone."""
        return max((step.look for step in self.evidence.steps), default=1)

    @property
    def leading(self) -> Finding | None:
        """The finding that comes first, if there is one."""
        return self.judgement.findings[0] if self.judgement.findings else None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. `group` and `label` say what for; the rest decides what comes out, to the last bit."""

    group: str
    label: str = ""
    profile: str
    device: str
    of: str = ""
    """Digest of the scenario's files, so that a changed scenario is another task."""
    plan: str = "acceptance"
    faults: tuple[str, ...] = ()
    seed: int
    start_s: float = 0.0
    """Virtual time at which the node is found: another day of the same node."""
    sigma: float = 1.0
    """Factor on the profile's pooled sigmas of memory bandwidth (the device's own are those of its scenario)."""
    twin: str = ""
    """A scenario without scatter of repeats and visits: it shows the true values that intervals should cover."""

    @property
    def key(self) -> str:
        """The task as text: what makes two tasks one."""
        return msgspec.json.encode(self).decode()


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came out of a task."""

    key: str
    decision: str = ""
    looks: int = 1
    minutes: float = 0.0
    """Simulated duration, further looks included."""
    finding: str = ""
    """Leading finding: `limit: title`."""
    subject: str = ""
    named: bool = False
    """Whether the leading finding names the part at fault."""
    expected: bool = False
    """Whether its verdict, cause and action are those that the catalogue states."""
    seen: bool = False
    """Whether memory bandwidth of the GPU at fault did not pass."""
    passed: int = 0
    """Verdicts that are a pass, of good nodes and of nodes that are tested twice."""
    missed: dict[str, str] = {}
    """Of the same: `limit subject` of every other verdict, and what it is."""
    covered: dict[str, tuple[int, int]] = {}
    """Metric: stated 95 % intervals that hold the true value, and all."""
    broke: str = ""
    """Why there is no verdict: the program itself failed."""


def run(
    profile: LoadedProfile,
    device: str,
    seed: int,
    faults: tuple[str, ...] = (),
    plan: str = "acceptance",
    start_s: float = 0.0,
) -> Trial:
    """Simulate, measure and judge one node; in worker processes only where a fault would stop this one."""
    spec = DeviceSpec(device=device, seed=seed, faults=faults, start_s=start_s)
    stopping = {fault.name for fault in known_faults() if fault.needs_workers}
    alone = not any(text.partition(":")[0] in stopping for text in faults)
    request = Request(profile=profile, spec=spec, plan=plan, in_process=alone)
    evidence, judgement = judge_node(request, Fixed(seed=seed))
    return Trial(seed=seed, evidence=evidence, judgement=judgement)


def perform(task: Task) -> Result:
    """Do a task. What goes wrong in the program is in the result, so that no trial is lost from a rate."""
    try:
        return _perform(task)
    except GpuacceptError as error:
        return Result(key=task.key, broke=str(error)[:200])


def _perform(task: Task) -> Result:
    profile = _profile(task.profile, task.sigma)
    trial = run(profile, task.device, task.seed, task.faults, task.plan, task.start_s)
    found, fault = trial.leading, None
    values: dict[str, float | int | str] = {}
    if len(task.faults) == 1:
        ((fault, values),) = given(DeviceSpec(device=task.device, faults=task.faults))
    covered = {}
    if task.twin:
        truth = run(profile, task.twin, task.seed, task.faults, task.plan, task.start_s)
        covered = coverage(trial.evidence, truth.evidence)
    steps = trial.evidence.steps
    judged = trial.judgement.judged if task.group in ("healthy", "retest") else ()
    return Result(
        key=task.key,
        decision=trial.judgement.decision,
        looks=trial.looks,
        minutes=round(max((step.ended_s for step in steps), default=0.0) / 60, 2),
        finding=f"{found.limit}: {found.title}" if found else "",
        subject=found.part.subject if found else "",
        named=fault is not None and names_the_part(fault, found, task.device, values),
        expected=fault is not None
        and found is not None
        and (found.result, found.cause, found.action) == (fault.verdict, fault.cause, fault.action),
        seen=any(
            one.part.gpu == values.get("gpu", -1) and one.metric.startswith("memory_bandwidth.")
            for one in trial.judgement.findings
        ),
        passed=sum(one.passed for one in judged),
        missed={f"{one.limit} {verdict.subject}": verdict.result for one in judged for verdict in one.missed},
        covered=covered,
    )


def coverage(measured: Evidence, true: Evidence) -> dict[str, tuple[int, int]]:
    """Metric -> stated 95 % intervals that hold the value that a twin without scatter showed, and all of them."""
    truth, out = estimates(true), {}
    for metric, by_subject in estimates(measured).items():
        pairs = [
            (one.interval95, truth[metric][subject].value)
            for subject, one in by_subject.items()
            if one.interval95 is not None and subject in truth.get(metric, {})
        ]
        if pairs:
            out[metric] = (sum(low <= float(value) <= high for (low, high), value in pairs), len(pairs))
    return out


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


@lru_cache(maxsize=8)
def _profile(name: str, sigma: float) -> LoadedProfile:
    loaded = load_profile(name)
    if sigma == 1.0:
        return loaded
    replace = msgspec.structs.replace
    cohorts = []
    for cohort in loaded.profile.cohorts:
        metrics = dict(cohort.metrics)
        for metric, facts in metrics.items():
            if not re.fullmatch(r"memory_bandwidth\.((read|write|copy|triad)_sm|device_local_copy)_\w+", metric):
                continue
            wide = {
                level: replace(one, sigma_percent=one.sigma_percent * sigma)
                for level in ("visit", "gpu")
                if (one := getattr(facts, level)) is not None
            }
            metrics[metric] = replace(facts, **wide)
        cohorts.append(replace(cohort, metrics=metrics))
    return LoadedProfile(replace(loaded.profile, cohorts=tuple(cohorts)), loaded.layers, loaded.places)
