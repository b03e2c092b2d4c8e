"""What NVML says reaches the protocol: names, order, states, counters, and the reason where there is no value."""

from __future__ import annotations

from itertools import pairwise

import pytest
from stub_driver.machine import StubMachine

from gpuaccept.device.nvidia.slowdowns import fields_of

pytestmark = pytest.mark.needs("gcc")
BUCKETS = ("max", "high", "partial", "low", "none")


def test_the_node_tells_who_it_is(machine: StubMachine) -> None:
    (facts,) = machine.ask("node.facts()")
    assert (facts["gpu_count_pci"], facts["gpu_count_nvml"], facts["gpu_count_cuda"]) == (8, 8, 8)
    assert (facts["driver_version"], facts["fabric_manager_version"]) == ("580.95.05", "580.95.05")
    assert (facts["serial"], facts["numa_nodes"], facts["cuda_driver_version"]) == ("CH-0042", 2, "13.0")
    gpu = facts["gpus"][3]
    assert gpu["name"] == "NVIDIA B200"
    assert (gpu["pci_bus_id"], gpu["pci_device_id"], gpu["pci_subsystem_id"]) == ("00000000:61:00.0", "2901", "1999")
    assert (gpu["serial"], gpu["module_id"], gpu["sm_count"], gpu["compute_capability"]) == (
        "1650000000003",
        1,
        148,
        "10.0",
    )
    assert gpu["memory_total_bytes"] == 183359 << 20
    assert all(one["uuid"].startswith("GPU-57ab57ab-") for one in facts["gpus"])


def test_the_index_is_pci_order_whatever_nvml_counts(machine: StubMachine) -> None:
    machine.set("nvml_reversed=1", "gpu3.temperature=77")
    facts, blocks = machine.ask("node.facts()", "[block[3] for block in node.sensors((3,), 0.0, 1.0)]")
    assert [gpu["module_id"] for gpu in facts["gpus"]] == [2, 4, 3, 1, 6, 8, 7, 5]
    assert blocks[0][2] == [77.0]


def test_a_gpu_that_was_lost_is_missing_and_the_others_keep_their_place(machine: StubMachine) -> None:
    machine.set("gpu2.lost=1")
    (facts,) = machine.ask("node.facts()")
    assert (facts["gpu_count_pci"], facts["gpu_count_nvml"], len(facts["gpus"])) == (8, 7, 7)
    assert 3 not in [gpu["module_id"] for gpu in facts["gpus"]]


def test_hostile_text_is_cut_and_broken_text_is_not_measured(machine: StubMachine) -> None:
    machine.state.write_bytes(b"gpu0.serial=\xff\xfe\ngpu1.serial=" + b"x" * 29 + b"\n")
    (facts,) = machine.ask("node.facts()")
    assert facts["gpus"][0]["serial"] is None
    assert facts["gpus"][1]["serial"] == "x" * 29


def test_settings_are_words_and_numbers(machine: StubMachine) -> None:
    machine.set("gpu1.ecc=0", "gpu1.ecc_pending=1", "gpu1.mig=1", "gpu1.field230=4", "gpu1.compute_mode=3", "cc=1")
    healthy, other = machine.ask("node.settings(0)._asdict()", "node.settings(1)._asdict()")
    assert healthy == {
        "ecc_mode": "enabled",
        "ecc_mode_pending": "enabled",
        "mig_mode": "disabled",
        "mig_mode_pending": "disabled",
        "persistence_mode": "enabled",
        "compute_mode": "default",
        "cc_mode": "on",
        "power_limit_enforced_mw": 1000000,
        "sm_clock_max_mhz": 1965,
        "memory_clock_max_mhz": 3996,
        "recovery_action": "none",
        "inforom": "valid",
    }
    assert (other["ecc_mode"], other["ecc_mode_pending"], other["mig_mode"]) == ("disabled", "enabled", "enabled")
    assert (other["recovery_action"], other["compute_mode"]) == ("drain and reset", "exclusive process")


def test_error_counters_by_place_and_since(machine: StubMachine) -> None:
    machine.set("ecc.0.0.2=5", "ecc.1.1.2=2", "sram_uncorrected=3", "sram_parity=4", "rows.pending=1", "repair.tpc=1")
    (ecc,) = machine.ask("node.ecc(0)._asdict()")
    assert (ecc["dram_corrected_volatile"], ecc["dram_uncorrected_aggregate"]) == (5, 2)
    assert (ecc["sram_uncorrected_volatile"], ecc["sram_uncorrected_aggregate"]) == (7, 4)
    assert (ecc["row_remapping_pending"], ecc["tpc_repair_pending"], ecc["channel_repair_pending"]) == (1, 1, 0)


def test_all_five_buckets_of_the_row_remapper_are_read(machine: StubMachine) -> None:
    """GPU 1 is as `nvidia-smi -q` shows an A100-SXM4-80GB with one row to remap, driver 510.73.08."""
    worn = zip(BUCKETS, (3900, 50, 10, 6, 2), strict=True)
    machine.set(
        "gpu1.histogram.max=639",
        "gpu1.histogram.high=1",
        "gpu2.model=h200",
        *(f"gpu3.histogram.{name}={count}" for name, count in worn),
    )
    found = machine.ask("[node.ecc(gpu)._asdict() for gpu in range(4)]")[0]
    assert [tuple(ecc[f"remap_banks_{name}"] for name in BUCKETS) for ecc in found] == [
        (3968, 0, 0, 0, 0),
        (639, 1, 0, 0, 0),
        (3072, 0, 0, 0, 0),
        (3900, 50, 10, 6, 2),
    ]


def test_not_supported_and_not_in_this_driver_are_both_not_measured(machine: StubMachine) -> None:
    machine.set("fault.nvmlDeviceGetRemappedRows=3", "fault.nvmlDeviceGetRepairStatus=13")
    (ecc,) = machine.ask("node.ecc(0)._asdict()")
    assert ecc["row_remapping_failure"] == ["nvmlDeviceGetRemappedRows", 3, "not supported by this GPU"]
    assert ecc["tpc_repair_pending"] == ["nvmlDeviceGetRepairStatus", 13, "not in this driver"]


def test_sram_counters_of_a_gpu_without_sram_status(machine: StubMachine) -> None:
    machine.set("fault.nvmlDeviceGetSramEccErrorStatus=3", "ecc.1.0.7=9")
    (ecc,) = machine.ask("node.ecc(0)._asdict()")
    assert ecc["sram_uncorrected_volatile"] == 9
    assert ecc["sram_threshold_exceeded"][1] == 3


def test_nvlink_5_links_with_one_down(machine: StubMachine) -> None:
    machine.set("gpu4.field165.11=0", "gpu4.field215.3=7", "gpu4.link9.remote_type=0")
    (links,) = machine.ask("[link._asdict() for link in node.links(4)]")
    assert len(links) == 18
    assert [link["number"] for link in links if link["state"] != "on"] == [11]
    assert links[3]["recovery"] == 7
    assert links[9]["remote_type"] == "gpu"
    assert (links[0]["version"], links[0]["raw_rate_mbps"], links[0]["remote_type"]) == ("5.0", 53125, "switch")
    assert links[0]["crc_errors"][1:] == [3, "not supported by this GPU"]


def test_nvlink_4_has_other_counters(machine: StubMachine) -> None:
    machine.set(
        *(f"field{field}=-1" for field in (165, 213, 214, 215, 219, 221)), "field161=1", "field162=2", "field163=3"
    )
    (links,) = machine.ask("[link._asdict() for link in node.links(0)]")
    assert links[0]["state"] == "on"
    assert (links[0]["replay_errors"], links[0]["recovery"], links[0]["crc_errors"]) == (1, 2, 3)
    assert links[0]["effective_errors"][1] == 3


@pytest.mark.parametrize(
    ("lines", "fabric"),
    [
        ((), ["completed", "success", "healthy"]),
        (("fabric.health=0x501",), ["completed", "success", "degraded bandwidth,not enough nvlinks"]),
        (("fabric.health=0x2AA", "fabric.summary=1"), ["completed", "success", "wrong system guid"]),
        (("fabric.summary=2",), ["completed", "success", "unhealthy"]),
        (("fabric.old=1", "fabric.summary=2"), ["completed", "success", "healthy"]),
        (("fabric.status=999",), ["completed", "error 999", "healthy"]),
    ],
)
def test_fabric(machine: StubMachine, lines: tuple[str, ...], fabric: list[str]) -> None:
    machine.set(*lines)
    assert machine.ask("node.fabric(0)") == [fabric]


def test_a_fabric_that_is_not_ready_has_no_health(machine: StubMachine) -> None:
    machine.set("fabric.state=2")
    ((state, status, health),) = machine.ask("node.fabric(0)")
    assert state == "in progress"
    assert status == health == ["nvmlDeviceGetGpuFabricInfoV", 0, "fabric registration is in progress"]


def test_pairs(machine: StubMachine) -> None:
    machine.set("gpu1.p2p6=4")
    assert machine.ask("node.pair(0, 5)", "node.pair(1, 6)", "node.pair(0, 3)") == [
        ["ok", "ok", "system"],
        ["disabled by regkey", "disabled by regkey", "system"],
        ["ok", "ok", "node"],
    ]


def test_sensors_keep_their_pace_and_hand_over_blocks(machine: StubMachine) -> None:
    (blocks,) = machine.ask("[block[0]._asdict() for block in node.sensors((0,), 0.3, 0.1)]")
    times = [at for block in blocks for at in block["at_s"]]
    assert len(times) == 4
    assert all(0.05 < later - earlier < 0.2 for earlier, later in pairwise(times))
    first = blocks[0]
    assert (first["power_w"][0], first["margin_k"][0], first["memory_temperature_c"][0]) == (165.93, 60.0, 27.0)
    assert (first["sw_power_cap_ns"][0], first["event_reasons"][0], first["energy_mj"][0]) == (2354613000, 1, 123456789)


A100 = ("threshold1=89", "threshold3=85")
"""qx_a100.xml: gpu_temp_slow_threshold and gpu_temp_max_gpu_threshold."""


@pytest.mark.parametrize(
    ("state", "margins"),
    [
        (("fault.nvmlDeviceGetMarginTemperature=3", *A100), [54.0, 54.0]),
        (("fault.nvmlDeviceGetMarginTemperature=13", *A100), [54.0, 54.0]),
        (("fault.nvmlDeviceGetMarginTemperature=25", "threshold1=89"), [58.0, 58.0]),
        (A100, [60.0, 60.0]),
        (("fault.nvmlDeviceGetMarginTemperature=999", *A100), ["nvmlDeviceGetMarginTemperature", 999]),
        (("fault.nvmlDeviceGetMarginTemperature=3", "threshold1=-2"), ["nvmlDeviceGetMarginTemperature", 3]),
        (("fault.nvmlDeviceGetMarginTemperature=3",), ["nvmlDeviceGetMarginTemperature", 3]),
    ],
)
def test_a_gpu_without_t_limit_has_its_margin_to_the_nearest_threshold(
    machine: StubMachine, state: tuple[str, ...], margins: list[object]
) -> None:
    machine.set("temperature=31", *state)
    (found,) = machine.ask("[block[0].margin_k for block in node.sensors((0,), 0.1, 0.1)][0]")
    assert found[: len(margins)] == margins
    assert machine.log.read_text().count("call nvmlDeviceGetTemperatureThreshold") in (0, 2)  # read once, not a sample


@pytest.mark.parametrize(
    ("state", "margin"),
    [
        (("field195=4",), 56.0),
        (("field195=4", "field196=6"), 54.0),
        (("field194=7",), 53.0),
        (("field195=4294967294",), 60.0),
        (("field195=-1", "field196=-1"), 60.0),
        (("fault.nvmlDeviceGetFieldValues=3@1",), 60.0),
    ],
    ids=["memory first", "GPU first", "hardware first", "-2 as an unsigned number", "none is told", "no fields"],
)
def test_the_margin_is_to_whatever_is_slowed_down_first(
    machine: StubMachine, state: tuple[str, ...], margin: float
) -> None:
    machine.set(*state)
    (found,) = machine.ask("[block[0].margin_k for block in node.sensors((0,), 0.2, 0.1)][0]")
    assert found == [margin] * len(found)
    fields = machine.log.read_text().count("call nvmlDeviceGetFieldValues")
    assert fields == 1 + len(found)  # the thresholds once, the sensors in each sample


SMOOTHING = "field251=1\nfield252=0\nfield253=1"
"""What these numbers mean to most drivers: settings of power smoothing, which stand still."""
NONE = ["nvmlDeviceGetFieldValues", 0, "not in this driver"]
NO_270 = ["nvmlDeviceGetFieldValues 270", 3, "not supported by this GPU"]
UNKNOWN = ["nvmlDeviceGetFieldValues", 0, "the numbering of driver 580.76.05 is not known"]


@pytest.mark.parametrize(
    ("driver", "state", "slowed"),
    [
        ("580.95.05", ("field269=7", "field270=8", "field271=9", SMOOTHING), [[7], [8], [9]]),
        ("590.48.01", ("field269=7", "field270=8", "field271=9", SMOOTHING), [[7], [8], [9]]),
        ("575.57.08", ("field251=7", "field252=8", "field253=9"), [[7], [8], [9]]),
        ("580.65.06", ("field251=7", "field252=8", "field253=9"), [[7], [8], [9]]),
        ("580.76.05", (SMOOTHING,), [[4200], UNKNOWN, UNKNOWN]),
        ("570.172.08", (SMOOTHING, "field269=-1"), [[4200], NONE, NONE]),
        ("580.95.05", ("fielderror269=2", "fielderror270=3"), [[4200], NO_270, [0]]),
    ],
)
def test_time_that_a_gpu_was_slowed_is_read_by_its_drivers_own_numbers(
    machine: StubMachine, driver: str, state: tuple[str, ...], slowed: list[object]
) -> None:
    machine.set(f"driver={driver}", "field75=4200", *state)
    (found,) = machine.ask("next(node.sensors((0,), 0.0, 1.0))[0]._asdict()")
    shown = [found[name] for name in ("sw_thermal_ns", "hw_thermal_ns", "hw_power_brake_ns")]
    assert shown == slowed


def test_a_driver_that_does_not_tell_its_version_has_unknown_numbers() -> None:
    assert fields_of("nonsense") == "the numbering of driver nonsense is not known"
    assert fields_of("580.82.07") == fields_of("615.71.01") != fields_of("575.51.03")


def test_a_sensor_that_is_not_there_is_unavailable_and_a_lost_gpu_takes_no_other_with_it(machine: StubMachine) -> None:
    machine.set("field82=-1", "field185=-1", "field186=150000", "gpu1.fault.nvmlDeviceGetTemperatureV=15")
    (blocks,) = machine.ask("[(block[0]._asdict(), block[1]) for block in node.sensors((0, 1), 0.0, 1.0)]")
    here, gone = blocks[0]
    assert here["memory_temperature_c"][1] == 3
    assert here["power_w"] == [150.0]
    assert gone == ["nvmlDeviceGetTemperatureV", 15, "NVML_ERROR_GPU_IS_LOST"]
