"""Every fault of the catalogue, through the whole pipeline: verdict, cause, action and part; and severity both ways."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from gpuaccept.device.open import DeviceSpec, Fault, check_spec, faults, given
from gpuaccept.errors import UsageError
from gpuaccept.evaluation import names_the_part, run, smallest_severity
from gpuaccept.profile.load import load_profile
from gpuaccept.run.loading import load_checks

MODELS = {"mock:hgx-b200": "de-industrial-ai-cloud", "mock:hgx-h100": "hgx-h100", "mock:gb200-nvl72": "gb200-nvl72"}
SEEDS = range(int(os.environ.get("GPUACCEPT_SEEDS", "5")))
"""`GPUACCEPT_SEEDS=20 make test` tries more, `make evaluate` many."""
profile_of = cache(load_profile)


def can_have(device: str, fault: Fault) -> bool:
    """Whether a model can have a fault: a board without pumps has no dead one."""
    if fault.applies_to and device.removeprefix("mock:") not in fault.applies_to:
        return False
    try:
        check_spec(DeviceSpec(device=device, faults=(fault.name,)))
    except UsageError as error:
        assert "can't have the fault" in str(error)
        return False
    return True


def applicable(device: str) -> list[Fault]:
    """Faults to try on a device: on the third those only that the first can't have."""
    first = next(iter(MODELS))
    return [
        fault
        for fault in faults()
        if can_have(device, fault)
        and not fault.needs_agreement
        and (device != "mock:gb200-nvl72" or not can_have(first, fault))
    ]


MODEL_SHARES = {"mock:hgx-b200": 1, "mock:hgx-h100": 3, "mock:gb200-nvl72": 1}
"""Every fault on the first model and every third on the second; on the third those that only it can have."""
WITH_SEVERITY = [fault for fault in applicable("mock:hgx-b200") if fault.severity_key]


@pytest.mark.parametrize(
    ("device", "fault"),
    [(device, fault) for device, each in MODEL_SHARES.items() for fault in applicable(device)[::each]],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_fault_is_found_and_its_part_named(device: str, fault: Fault) -> None:
    trial = run(profile_of(MODELS[device]), device, seed=1, faults=(fault.name,))
    found = trial.leading

    assert trial.judgement.decision != "accepted"
    assert found is not None
    assert (found.result, found.cause, found.action) == (fault.verdict, fault.cause, fault.action)
    ((_, values),) = given(DeviceSpec(device=device, faults=(fault.name,)))
    assert names_the_part(fault, found, device, values)
    if device == "mock:hgx-b200":
        parts = len(set(re.findall(r"gpu/\d+", fault.victim(values)))) or 1
        assert len(trial.judgement.findings) in (1, parts), [finding.title for finding in trial.judgement.findings]
        assert all(names_the_part(fault, one, device, values) for one in trial.judgement.findings)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", WITH_SEVERITY, ids=lambda fault: fault.name)
def test_a_fault_just_beyond_the_limit_is_not_accepted(fault: Fault, seed: int) -> None:
    profile = profile_of(MODELS["mock:hgx-b200"])
    smallest = smallest_severity(fault, profile.profile.cohorts[0], "mock:hgx-b200")
    assert smallest is not None
    asked = f"{fault.name}:{fault.severity_key}={1.2 * smallest:.4f}"

    trial = run(profile, "mock:hgx-b200", seed, (asked,))

    assert trial.judgement.decision != "accepted"
    assert names_the_part(fault, trial.leading, "mock:hgx-b200", dict(fault.defaults))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", WITH_SEVERITY, ids=lambda fault: fault.name)
def test_a_fault_of_half_that_size_is_not_failed(fault: Fault, seed: int) -> None:
    profile = profile_of(MODELS["mock:hgx-b200"])
    smallest = smallest_severity(fault, profile.profile.cohorts[0], "mock:hgx-b200")
    assert smallest is not None
    asked = f"{fault.name}:{fault.severity_key}={0.5 * smallest:.4f}"

    trial = run(profile, "mock:hgx-b200", seed, (asked,))

    assert trial.judgement.decision != "rejected"


@pytest.mark.parametrize("seed", range(1, 51))
def test_a_good_node_is_accepted(seed: int) -> None:
    trial = run(profile_of("de-industrial-ai-cloud"), "mock:hgx-b200", seed)

    assert trial.judgement.decision == "accepted", [finding.title for finding in trial.judgement.findings]


def test_no_verdict_rests_on_naming_the_sm_since_not_every_load_can(tmp_path: Path) -> None:
    library = tmp_path / "library.yaml"
    library.write_text("kind: model\nextends: hgx-b200\nload: {tells_sms: false}\n")
    good, bad = (
        run(profile_of("de-industrial-ai-cloud"), f"mock:{library}", 1, asked)
        for asked in ((), ("sm_silent_corruption",))
    )

    assert good.judgement.decision == "accepted"
    assert bad.judgement.decision == "rejected"
    assert bad.leading is not None and bad.leading.part.subject == "gpu/2"


@pytest.mark.parametrize(
    ("device", "fault", "condition"),
    [
        ("mock:hgx-b200", "pcie_width_reduced", "pcie_width.path"),
        ("mock:hgx-b200", "pcie_gen_down_under_load", "pcie_generation.path"),
        ("mock:gb200-nvl72", "c2c_down", "c2c_links_inactive.path"),
    ],
)
def test_host_copies_over_a_link_that_is_not_as_it_should_be_say_nothing(
    device: str, fault: str, condition: str
) -> None:
    judgement = run(profile_of(MODELS[device]), device, 1, (fault,)).judgement

    host = [
        one
        for one in judgement.judged
        if one.metric.startswith("memory_") and one.limit.endswith("_memcpy_ce_cold.floor")
    ]
    assert len(host) == 4
    for one in host:
        ((verdict,),) = (one.missed,)
        assert (verdict.subject, verdict.result) == ("gpu/2", "inconclusive")
        assert verdict.reason.startswith(f"does not count: {condition} is not met")


@pytest.mark.parametrize("model", ["hgx-a100", "hgx-h100", "hgx-h200", "hgx-b200", "hgx-b300", "gb200-nvl72", "l40s"])
def test_the_path_of_every_host_copy_is_proven(model: str) -> None:
    limits = load_profile(model).profile.cohorts[0].limits
    paths = {one.id.removesuffix(".path"): one for one in limits if one.id.endswith(".path")}
    assert set(paths) == ({"c2c_links_inactive"} if model.startswith("gb") else {"pcie_generation", "pcie_width"})
    for name, path in paths.items():
        of = next(one for one in limits if one.id == name)
        assert (of.effect, path.effect, of.metric) == ("require", "valid", path.metric)
        assert (of.equals, of.minimum) == (path.equals, path.minimum)


@pytest.mark.parametrize(
    ("deviations", "why"),
    [
        (("pcie.replays, value: 50", "driver.reload, value: true, from: 10m"), "was reset"),
        (("pcie.replays, value: 1000000", "pcie.replay_bits, value: 16", "pcie.replay_stops, value: true"), "is full"),
    ],
)
def test_a_counter_that_began_anew_or_can_count_no_more_is_no_pass(
    deviations: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    file = tmp_path / "counter.yaml"
    lines = [f"  - {{target: gpu/4, parameter: {deviation}}}\n" for deviation in deviations]
    file.write_text("hardware: hgx-b200\nset:\n" + "".join(lines))
    judgement = run(profile_of("de-industrial-ai-cloud"), f"mock:{file}", 1).judgement

    assert judgement.decision == "not decided"
    (replays,) = [one for one in judgement.judged if one.limit == "pcie_replays"]
    ((verdict),) = replays.missed
    assert (verdict.subject, verdict.result) == ("gpu/4", "error")
    assert why in verdict.reason


def test_every_fault_is_detected_by_a_check_that_says_so() -> None:
    claimed = {name for one in load_checks().values() for name in one.check.detects}

    assert claimed == {fault.name for fault in faults()}


def test_the_catalogue_holds_what_it_must() -> None:
    assert {fault.name for fault in faults()} >= {
        "gpu_missing", "gpu_wrong_model", "gpu_fallen_off_bus", "hbm_bandwidth_low", "nvlink_link_down",
        "nvlink_slow", "nvlink_errors", "nvlink_remote_wrong_type", "p2p_disabled", "fabric_not_ready", "ecc_off",
        "ecc_uncorrectable", "ecc_corrected_storm", "row_remap_pending", "row_remap_failed",
        "thermal_interface_bad", "cooling_flow_low", "power_brake", "clock_capped", "power_limit_low",
        "driver_wrong_version", "memory_alloc_fails", "straggler", "pcie_width_reduced", "pcie_gen_down_under_load",
        "pcie_replays", "c2c_down", "numa_wrong", "iommu_acs_on", "governor_powersave", "nic_port_slow",
        "nvme_missing", "dimm_missing", "other_process_running", "nvlink_recoveries_creeping",
        "nvlink_one_direction_slow", "nvswitch_port_weak", "p2p_over_pcie_silently", "p2p_corrupts", "xid_79", "xid_94",
        "hbm_region_slow", "hbm_stuck_bit", "hbm_address_alias", "l2_transient", "sm_silent_corruption",
        "sm_silent_corruption_intermittent", "psu_droop_in_phase", "leak_slow", "pump_dead", "fan_slow",
        "paste_pumpout", "sensor_stuck", "clock_stuck_low", "vbios_mixed", "firmware_mixed", "serial_duplicate",
        "gpu_swapped", "xid_79_in_soak", "sram_threshold", "channel_repair_pending", "inforom_corrupt", "mig_left_on",
        "driver_hang_in_soak", "tool_crash", "psu_droop_at_pulses", "pcie_both_ways_slow",
    }  # fmt: skip
    assert len(faults()) >= 60


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ("paste_pumpout", "margin_bound"),
        ("thermal_interface_bad", "margin_min"),
        ("clock_stuck_low", "unexplained_clock"),
    ],
)
def test_a_soak_of_minutes_does_not_pass_what_still_gets_worse(asked: str, limit: str) -> None:
    trial = run(profile_of("de-industrial-ai-cloud"), "mock:hgx-b200", 1, (asked,), plan="node")

    assert trial.judgement.decision != "accepted"
    assert trial.leading is not None
    assert (trial.leading.limit, trial.leading.part.subject) == (limit, "gpu/2")
    assert ("still warming up" in trial.leading.advice[0]) is (limit == "margin_bound")
