"""The smallest severity of each fault that the limits of a profile must reject, on the simulated hardware.

One rule a fault: from the limit, through the physics that the simulator declares, to the key of the fault. Bandwidths
are taken at the loss that is seen with 95 % power; the rest where the physics reaches the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import exp, inf

from gpuaccept.data import Cohort, Limit
from gpuaccept.device.open import DeviceSpec, model
from gpuaccept.judge import POWER, guard

RUN_S = 1830.0
"""Time between the first and the last reading of counters in the acceptance plan, s."""
RAMP_S, RAMP_STEPS = 1800.0, 30
"""How long, and in how many steps, what changes slowly does so (the catalogue of the simulator)."""
FULL_MARCH = 100
"""Patterns of a full march."""
SWEEPS = FULL_MARCH + 3 * 14
"""Reads of the whole memory in the acceptance plan: one full march and three short ones."""
USABLE_TB = 0.973e-12 * (1 << 20)
"""10^12 bytes that a march reads for each MiB of memory."""

Rule = Callable[[Cohort, str], float]
"""(cohort, device) -> severity, in the unit of the fault's severity key."""


class _NotRequiredError(Exception):
    """No limit of the cohort rejects the fault, however severe."""


def _limit(cohort: Cohort, name: str) -> Limit:
    found = next((limit for limit in cohort.limits if limit.id == name and limit.effect == "require"), None)
    if found is None:
        raise _NotRequiredError
    return found


def _maximum(name: str) -> Rule:
    """The severity is what the limit judges."""

    def rule(cohort: Cohort, device: str) -> float:
        maximum = _limit(cohort, name).maximum
        assert maximum is not None
        return maximum

    return rule


def _bandwidth(pattern: str) -> Rule:
    """The least of the losses that required limits on these metrics reject."""

    def rule(cohort: Cohort, device: str) -> float:
        required = {limit.metric for limit in cohort.limits if limit.effect == "require"}
        names = [name for name in cohort.metrics if re.fullmatch(pattern, name) and name in required]
        return _least(_loss_percent(cohort, name) for name in names)

    return rule


def _least(severities: Iterable[float]) -> float:
    found = min(severities, default=inf)
    if found == inf:
        raise _NotRequiredError
    return found


def _loss_percent(cohort: Cohort, metric: str) -> float:
    """Smallest loss of a typical part in percent that a required limit on this metric rejects with 95 % power; infinite
    where none can say."""
    facts = cohort.metrics[metric]
    losses = []
    for limit in cohort.limits:
        if limit.metric != metric or limit.effect != "require" or facts.gpu is None or facts.visit is None:
            continue
        seen = POWER * facts.gpu.sigma_percent
        if limit.max_deviation is not None:
            losses.append(limit.max_deviation.sigmas * facts.gpu.sigma_percent + seen)
        if limit.minimum is not None and facts.typical:
            losses.append(100 * (1 - limit.minimum / facts.typical + (guard(cohort, metric) or 0.0)) + seen)
    return min(losses, default=inf)


def _resistance_factor(cohort: Cohort, device: str) -> float:
    """How many times the thermal resistance of a typical GPU brings the margin to its limit."""
    margin, physics = _limit(cohort, "margin_min").minimum, model(DeviceSpec(device=device))
    assert margin is not None
    thermal, watts = physics.thermal, physics.power.limit_w * physics.power.capped_share
    # The sensor counts whole K; the inlet may be cool and the contact good on that day.
    rise = thermal.maximum_c - margin + 1 - (thermal.inlet_c - POWER * thermal.inlet_wander_k)
    visit = 1 - POWER * physics.noise.thermal_resistance.visit / 100
    kelvin_per_watt = sum(stage.resistance_k_per_kw for stage in thermal.stages) / 1000
    return float(rise / (watts * kelvin_per_watt * (1 + thermal.odd_module_percent / 100) * visit))


def _ramped(device: str, factor: float, highest: float, resistance: Callable[[float, float], float]) -> float:
    """The least severity, up to `highest`, that brings the rise to `factor` times the typical one when the ramp ends.

    `resistance(severity, part)` is the thermal resistance when this part of the ramp is over, as a multiple.
    """
    stages = model(DeviceSpec(device=device)).thermal.stages
    whole, step = sum(stage.resistance_k_per_kw for stage in stages), RAMP_S / RAMP_STEPS
    decays = [exp(-step / stage.time_constant_s) for stage in stages]

    def reached(severity: float) -> float:
        rises = [stage.resistance_k_per_kw for stage in stages]
        for number in range(1, RAMP_STEPS):
            now = resistance(severity, number / RAMP_STEPS)
            wanted = [stage.resistance_k_per_kw * now for stage in stages]
            rises = [w + (rise - w) * decay for rise, w, decay in zip(rises, wanted, decays, strict=True)]
        return sum(rises) / whole

    low, high = 0.0, highest
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < factor else (low, middle)
    return high


def _interface(cohort: Cohort, device: str) -> float:
    return 100 * (_resistance_factor(cohort, device) - 1)


def _pumpout(cohort: Cohort, device: str) -> float:
    factor = _resistance_factor(cohort, device)
    return _ramped(device, factor, 1e4, lambda severity, part: 1 + severity / 100 * part)


def _flow(cohort: Cohort, device: str) -> float:
    exponent = model(DeviceSpec(device=device)).thermal.flow_exponent
    return float(100 * (1 - _resistance_factor(cohort, device) ** (-1 / exponent)))


def _leak(cohort: Cohort, device: str) -> float:
    factor, exponent = _resistance_factor(cohort, device), model(DeviceSpec(device=device)).thermal.flow_exponent
    return _ramped(device, factor, 99.0, lambda severity, part: float((1 - severity / 100 * part) ** -exponent))


def _locked_clock(cohort: Cohort, device: str) -> float:
    # The check finds a clock unexplained below 60 % of the power limit: P = static + dynamic (f / f_load)^n.
    physics = model(DeviceSpec(device=device))
    power, clock = physics.power, physics.clock
    share = (0.6 * power.limit_w - power.static_w) / (power.limit_w * power.capped_share - power.static_w)
    return float(100 * (1 - clock.load_mhz / clock.sm_max_mhz * share ** (1 / clock.power_exponent)))


def _once_in_the_run(cohort: Cohort, device: str) -> float:
    return 3600 / RUN_S


def _slow_region(cohort: Cohort, device: str) -> float:
    minimum, noise = _limit(cohort, "region_slowest").minimum, model(DeviceSpec(device=device)).noise.hbm
    assert minimum is not None
    return 100 - minimum + POWER * noise.repeat


def _flips(cohort: Cohort, device: str) -> float:
    return 1 / (SWEEPS * USABLE_TB * model(DeviceSpec(device=device)).gpu.memory_total_mib)


def _storm(cohort: Cohort, device: str) -> float:
    # Six in the full march, which reads and writes all memory a hundred times, if that is less than a storm in the run.
    physics, most = model(DeviceSpec(device=device)), _limit(cohort, "integrity_dram_corrected").maximum
    assert most is not None
    march_s = 2 * FULL_MARCH * USABLE_TB * 1000 * physics.gpu.memory_total_mib / physics.memory.copy
    return min(_maximum("dram_corrected.storm")(cohort, device), 3600 * (most + 1) / march_s)


def _of_one_link(rule: Rule) -> Rule:
    """The loss of one of a GPU's links that takes so much from the GPU."""

    def of_link(cohort: Cohort, device: str) -> float:
        return cohort.links_per_gpu * rule(cohort, device)

    return of_link


def _weak_port(cohort: Cohort, device: str) -> float:
    # One of the copies of every other GPU meets in the port too, so the node's median falls by that part.
    others = cohort.gpus - 1
    return _of_one_link(_bandwidth(r"nvlink\.all_to_all_write_ce_hot"))(cohort, device) * others / (others - 1)


def _replays(cohort: Cohort, device: str) -> float:
    return (_maximum("pcie_replays")(cohort, device) + 1) * 3600 / RUN_S


def _pulses(cohort: Cohort, device: str) -> float:
    # The check names a wave of 10 s where more than 1 ms of it was braked.
    _limit(cohort, "pulse_braked_at")
    return 0.01


def _where_required(rule: Rule) -> Callable[[Cohort, str], float | None]:
    def severity(cohort: Cohort, device: str) -> float | None:
        try:
            return rule(cohort, device)
        except _NotRequiredError:
            return None

    return severity


_RULES: dict[str, Rule] = {
    "hbm_bandwidth_low": _bandwidth(r"memory_bandwidth\.((read|write|copy|triad)_sm|device_local_copy)_hot"),
    "straggler": _bandwidth(r"memory_bandwidth\.copy_sm_hot"),
    "nvlink_slow": _bandwidth(r"nvlink\.device_to_device.*_hot"),
    "hbm_region_slow": _slow_region,
    "pcie_both_ways_slow": _bandwidth(r"memory_bandwidth\..*_bidirectional_memcpy_ce_cold"),
    "l2_transient": _flips,
    "sm_silent_corruption_intermittent": _once_in_the_run,
    "ecc_corrected_storm": _storm,
    "nvlink_errors": _once_in_the_run,
    "nvlink_recoveries_creeping": _once_in_the_run,
    "nvlink_one_direction_slow": _of_one_link(_bandwidth(r"nvlink\.device_to_device.*_hot")),
    "nvswitch_port_weak": _weak_port,
    "pcie_replays": _replays,
    "thermal_interface_bad": _interface,
    "paste_pumpout": _pumpout,
    "cooling_flow_low": _flow,
    "fan_slow": _flow,
    "leak_slow": _leak,
    "power_brake": _maximum("hw_power_brake_share"),
    "psu_droop_in_phase": _maximum("hw_power_brake_share"),
    "psu_droop_at_pulses": _pulses,
    "clock_capped": _locked_clock,
    "clock_stuck_low": _locked_clock,
}
RULES = {name: _where_required(rule) for name, rule in _RULES.items()}
"""Fault -> (cohort, device) -> its smallest severity, None where the cohort requires nothing that rejects the fault."""
