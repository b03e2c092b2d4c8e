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

POWER_95 = 1.645
"""One-sided 95 % point of the normal distribution: a loss this many sigma beyond a limit is seen with 95 % power."""
RUN_S = 1830.0
"""Time between the first and the last reading of counters in the acceptance plan, s."""


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
    limits = {limit.id: limit for limit in cohort.limits if limit.effect == "require"}
    physics = model(DeviceSpec(device=device))
    watts = physics.power.limit_w * physics.power.capped_share
    kelvin_per_watt = sum(stage.resistance_k_per_kw for stage in physics.thermal.stages) / 1000
    odd = 1 + physics.thermal.odd_module_percent / 100
    if fault.name in ("hbm_bandwidth_low", "straggler", "nvlink_slow"):
        return min(_loss_percent(cohort, metric) for metric in _affected(fault.name, cohort))
    if fault.name in ("thermal_interface_bad", "cooling_flow_low"):
        margin, thermal = limits["margin_min"].minimum, physics.thermal
        assert margin is not None
        # The sensor counts whole K; the inlet may be cool and the contact good on that day.
        rise = thermal.maximum_c - margin + 1 - (thermal.inlet_c - POWER_95 * thermal.inlet_wander_k)
        visit = 1 - POWER_95 * physics.noise.thermal_resistance.visit / 100
        factor = rise / (watts * kelvin_per_watt * odd * visit)
        if fault.name == "thermal_interface_bad":
            return 100 * (factor - 1)
        return float(100 * (1 - factor ** (-1 / thermal.flow_exponent)))
    if fault.name == "power_brake":
        assert limits["hw_power_brake_share"].maximum is not None
        return limits["hw_power_brake_share"].maximum
    if fault.name == "clock_capped":
        # The check finds a clock unexplained below 60 % of the power limit: P = static + dynamic (f / f_load)^n.
        power, clock = physics.power, physics.clock
        share = (0.6 * power.limit_w - power.static_w) / (watts - power.static_w)
        return float(100 * (1 - clock.load_mhz / clock.sm_max_mhz * share ** (1 / clock.power_exponent)))
    if fault.name == "nvlink_errors":
        return 3600 / RUN_S  # one event in the run
    if fault.name == "ecc_corrected_storm":
        assert limits["dram_corrected.storm"].maximum is not None
        return limits["dram_corrected.storm"].maximum
    raise AssertionError(f"{fault.name} has a severity that evaluation does not know")


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


def _affected(fault: str, cohort: Cohort) -> list[str]:
    """Metrics whose value a bandwidth fault lowers in proportion to its severity."""
    pattern = {
        "hbm_bandwidth_low": r"memory_bandwidth\.((read|write|copy|triad)_sm|device_local_copy)_hot",
        "straggler": r"memory_bandwidth\.copy_sm_hot",
        "nvlink_slow": r"nvlink\.device_to_device.*_hot",
    }[fault]
    required = {limit.metric for limit in cohort.limits if limit.effect == "require"}
    return [name for name in cohort.metrics if re.fullmatch(pattern, name) and name in required]


def _loss_percent(cohort: Cohort, metric: str) -> float:
    """Smallest loss of a typical part in percent that a required limit on this metric rejects with 95 % power."""
    facts = cohort.metrics[metric]
    losses = []
    for limit in cohort.limits:
        if limit.metric != metric or limit.effect != "require" or facts.gpu is None or facts.visit is None:
            continue
        seen = POWER_95 * facts.gpu.sigma_percent
        if limit.max_deviation is not None:
            losses.append(limit.max_deviation.sigmas * facts.gpu.sigma_percent + seen)
        if limit.minimum is not None and facts.typical:
            guard = cohort.coverage_factor * 1.253 * facts.visit.sigma_percent / cohort.visits**0.5
            losses.append(100 * (1 - limit.minimum / facts.typical) + guard + seen)
    return min(losses)
