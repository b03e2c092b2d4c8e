"""Each named fault shows in what the driver's calls return, and nothing else of the node does."""

from __future__ import annotations

import pytest
from mock_raw import GIB, MakeNode, Soak, peer, sweep

from gpuaccept.check import DeviceError, EccCounters, Reading, Unavailable
from gpuaccept.device.fault import Fault
from gpuaccept.device.mock.faults import catalogue
from gpuaccept.errors import UsageError


def test_gpu_missing_shifts_indices_and_module_ids_tell_which(make_node: MakeNode) -> None:
    whole, node = make_node().facts(), make_node(faults=("gpu_missing:gpu=3",)).facts()
    assert (node.gpu_count_pci, node.gpu_count_nvml, node.gpu_count_cuda) == (7, 7, 7)
    missing = whole.gpus[3]
    assert {gpu.module_id for gpu in whole.gpus} - {gpu.module_id for gpu in node.gpus} == {missing.module_id}
    assert node.gpus[3].serial == whole.gpus[4].serial
    assert [gpu.index for gpu in node.gpus] == list(range(7))


def test_gpu_wrong_model_is_of_one_gpu(make_node: MakeNode) -> None:
    facts = make_node(faults=("gpu_wrong_model",)).facts()
    assert [gpu.pci_device_id for gpu in facts.gpus].count("2901") == 7
    assert facts.gpus[2].pci_device_id != "2901"


def test_a_gpu_that_falls_off_the_bus_when_it_is_hot_does_not_while_it_is_idle_and_never_comes_back(
    make_node: MakeNode,
) -> None:
    node = make_node(faults=("xid_79_in_soak:gpu=5,at_s=60",))
    node.wait(1000)
    node.settings(5)  # long after `at_s`, but idle
    soak = Soak(node, 300)
    assert set(soak.lost) == {5}
    shown = soak.samples[5]["temperature_c"]
    assert 60 <= len(shown) < 300 and max(shown) > 40 > shown[0]
    node.wait(3600)
    assert node.inlet() == pytest.approx(25, abs=4)
    with pytest.raises(DeviceError, match="NVML_ERROR_GPU_IS_LOST"):
        node.settings(5)
    node.settings(4)


def test_a_gpu_that_falls_off_the_bus_in_mid_run_is_lost_from_then_on(make_node: MakeNode) -> None:
    node = make_node(faults=("gpu_fallen_off_bus:gpu=5,at_s=90.5",))
    node.memory_sweep(5, "copy", GIB, 1, 1)
    soak = Soak(node, 180)
    assert soak.lost == {5: Unavailable("nvmlDeviceGetFieldValues", 15, "NVML_ERROR_GPU_IS_LOST")}
    assert soak.last(5, "at_s") == pytest.approx(90.0, abs=0.01)
    assert soak.last(4, "at_s") == pytest.approx(180.0, abs=0.01)
    with pytest.raises(DeviceError) as of_nvml:
        node.ecc(5)
    assert of_nvml.value.code == 15
    with pytest.raises(DeviceError) as of_cuda:
        node.memory_sweep(5, "copy", GIB, 1, 1)
    assert of_cuda.value.code == 719
    with_it, without = node.peer_copies([(5, 1), (2, 3)], "read", "ce", False, GIB, 1, 1)
    assert isinstance(with_it, Unavailable) and not isinstance(without, Unavailable)
    assert [gpu.index for gpu in node.facts().gpus] == [0, 1, 2, 3, 4, 6, 7]


def test_hbm_bandwidth_low_slows_every_kernel_of_one_gpu(make_node: MakeNode) -> None:
    healthy, node = make_node(), make_node(faults=("hbm_bandwidth_low:gpu=4,loss_percent=12",))
    for kernel in ("read", "write", "copy", "triad", "local_copy_ce"):
        assert sweep(node, 4, kernel) / sweep(healthy, 4, kernel) == pytest.approx(0.88, abs=0.01)
    assert sweep(node, 3) / sweep(healthy, 3) == pytest.approx(1.0, abs=0.01)


def test_straggler_is_slow_in_copy_alone(make_node: MakeNode) -> None:
    healthy, node = make_node(), make_node(faults=("straggler",))
    assert sweep(node, 2) / sweep(healthy, 2) == pytest.approx(0.97, abs=0.006)
    assert sweep(node, 2, "read") / sweep(healthy, 2, "read") == pytest.approx(1.0, abs=0.006)


def test_memory_alloc_fails_is_cudas_out_of_memory(make_node: MakeNode) -> None:
    node = make_node(faults=("memory_alloc_fails:gpu=1",))
    with pytest.raises(DeviceError) as refused:
        node.memory_sweep(1, "copy", GIB, 1, 1)
    assert (refused.value.call, refused.value.code, refused.value.name) == ("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY")
    node.settings(1)
    node.memory_sweep(0, "copy", GIB, 1, 1)


def test_nvlink_link_down_is_off_and_costs_its_share(make_node: MakeNode) -> None:
    healthy, node = make_node(), make_node(faults=("nvlink_link_down:gpu=2,link=7",))
    links = node.links(2)
    assert [link.number for link in links if link.state != "on"] == [7]
    assert links[7].raw_rate_mbps == 0
    for pair in ((2, 5), (5, 2)):
        assert peer(node, *pair) / peer(healthy, *pair) == pytest.approx(17 / 18, abs=0.005)
    assert peer(node, 0, 1) / peer(healthy, 0, 1) == pytest.approx(1.0, abs=0.005)


def test_nvlink_slow_is_full_of_links_that_carry_less(make_node: MakeNode) -> None:
    healthy, node = make_node(), make_node(faults=("nvlink_slow:gpu=6,loss_percent=5",))
    assert all(link.state == "on" for link in node.links(6))
    assert peer(node, 6, 0, "write") / peer(healthy, 6, 0, "write") == pytest.approx(0.95, abs=0.005)


def test_nvlink_errors_count_up_on_one_link(make_node: MakeNode) -> None:
    node = make_node(faults=("nvlink_errors:gpu=1,link=3,per_hour=60",))
    before = node.links(1)
    node.wait(1800)
    after = node.links(1)
    assert before[3].recovery == 0 and after[3].recovery == 30
    assert after[3].effective_errors == after[3].packet_errors == 30 and isinstance(after[3].crc_errors, Unavailable)
    assert all(link.recovery == 0 for link in after if link.number != 3)


def test_nvlink_errors_of_nvlink_4_are_crc_and_replay(make_node: MakeNode) -> None:
    node = make_node(faults=("nvlink_errors:per_hour=60",), model="hgx-h100")
    node.wait(600)
    link = node.links(2)[11]
    assert link.crc_errors == link.replay_errors == link.recovery == 10
    assert isinstance(link.effective_errors, Unavailable)


def test_nvlink_remote_wrong_type(make_node: MakeNode) -> None:
    assert make_node(faults=("nvlink_remote_wrong_type",)).links(2)[11].remote_type == "gpu"


def test_p2p_disabled_is_refused_both_ways_and_copies_fail(make_node: MakeNode) -> None:
    node = make_node(faults=("p2p_disabled:gpu=2,peer=5",))
    assert node.pair(2, 5).p2p_read == node.pair(5, 2).p2p_write == "disabled by regkey"
    assert node.pair(2, 4).p2p_read == "ok"
    refused, fine = node.peer_copies([(2, 5), (0, 1)], "read", "ce", False, GIB, 1, 1)
    assert isinstance(refused, Unavailable) and refused.code == 217
    assert not isinstance(fine, Unavailable)


def test_fabric_not_ready_stops_compute_and_lets_telemetry_answer(make_node: MakeNode) -> None:
    node = make_node(faults=("fabric_not_ready",))
    assert {node.fabric(gpu).state for gpu in node.gpus} == {"in progress"}
    with pytest.raises(DeviceError) as refused:
        node.memory_sweep(0, "copy", GIB, 1, 1)
    assert refused.value.code == 802
    node.ecc(0)


def test_ecc_off(make_node: MakeNode) -> None:
    node = make_node(faults=("ecc_off",))
    assert [node.settings(gpu).ecc_mode for gpu in node.gpus].count("disabled") == 1


def test_ecc_uncorrectable_appears_in_the_run(make_node: MakeNode) -> None:
    node = make_node(faults=("ecc_uncorrectable:at_s=100",))
    before = node.ecc(2)
    node.wait(101)
    after = node.ecc(2)
    assert (before.dram_uncorrected_volatile, after.dram_uncorrected_volatile) == (0, 1)
    assert (before.dram_uncorrected_aggregate, after.dram_uncorrected_aggregate) == (0, 1)


def test_ecc_corrected_storm_counts_by_the_hour(make_node: MakeNode) -> None:
    node = make_node(faults=("ecc_corrected_storm:per_hour=36000",))
    node.wait(60)
    assert node.ecc(2).dram_corrected_volatile == pytest.approx(600, abs=1)
    assert node.ecc(3).dram_corrected_volatile <= 1


def test_row_remap_flags(make_node: MakeNode) -> None:
    assert make_node(faults=("row_remap_pending",)).ecc(2).row_remapping_pending == 1
    assert make_node(faults=("row_remap_failed",)).ecc(2).row_remapping_failure == 1


def test_a_remapped_row_takes_its_bank_out_of_those_with_all_spare_rows(make_node: MakeNode) -> None:
    """As an A100 with a pending row shows it: Max 639, High 1 of 640."""
    faulty = make_node(faults=("row_remap_pending",), model="hgx-a100")
    assert buckets(faulty.ecc(2)) == (639, 1, 0, 0, 0)
    assert buckets(faulty.ecc(3)) == (640, 0, 0, 0, 0)
    worn = make_node(
        model="hgx-h200",
        scenario="""
set:
  - {target: gpu/1, parameter: remap.rows_uncorrectable, value: 5}
  - {target: gpu/1, parameter: remap.banks_high, value: 1}
  - {target: gpu/1, parameter: remap.banks_partial, value: 2}
  - {target: gpu/1, parameter: remap.banks_low, value: 1}
  - {target: gpu/1, parameter: remap.banks_none, value: 1}
""",
    )
    assert buckets(worn.ecc(1)) == (3067, 1, 2, 1, 1)


def buckets(ecc: EccCounters) -> tuple[Reading, ...]:
    return tuple(getattr(ecc, f"remap_banks_{name}") for name in ("max", "high", "partial", "low", "none"))


def test_thermal_interface_bad_heats_one_gpu_until_it_throttles(make_node: MakeNode) -> None:
    soak = Soak(make_node(faults=("thermal_interface_bad:extra_percent=150",)))
    assert min(soak.samples[2]["margin_k"]) < 3
    assert soak.share(2, "sw_thermal_ns") > 0.1
    assert soak.settled(2, "power_w") < 950
    assert min(soak.samples[3]["margin_k"]) > 20
    assert soak.share(3, "sw_thermal_ns") == 0


def test_cooling_flow_low_heats_all(make_node: MakeNode) -> None:
    soak = Soak(make_node(faults=("cooling_flow_low",)))
    assert all(min(soak.samples[gpu]["margin_k"]) < 10 for gpu in range(8))
    assert all(soak.share(gpu, "sw_thermal_ns") > 0.01 for gpu in range(8))


def test_power_brake_counts_and_halves_the_clock_now_and_then(make_node: MakeNode) -> None:
    soak = Soak(make_node(faults=("power_brake:share_percent=5",)))
    assert soak.share(0, "hw_power_brake_ns") == pytest.approx(0.05, abs=0.001)
    braked = [reasons for reasons in soak.samples[0]["event_reasons"] if int(reasons) & 0x80]
    assert 10 < len(braked) < 60
    assert min(soak.samples[0]["sm_clock_mhz"]) < 700


def test_clock_capped_shows_in_no_reason(make_node: MakeNode) -> None:
    node = make_node(faults=("clock_capped",))
    soak = Soak(node, 120)
    assert set(soak.samples[2]["event_reasons"]) == {0}
    clocks = soak.samples[2]["sm_clock_mhz"]
    assert clocks == sorted(clocks) and clocks[0] < 200  # from idle
    assert set(clocks[3:]) == {747}
    assert soak.settled(2, "power_w") < 600
    assert node.settings(2).sm_clock_max_mhz == 1965
    assert soak.results[2].iterations < 0.75 * soak.results[3].iterations


def test_power_limit_low_is_enforced(make_node: MakeNode) -> None:
    node = make_node(faults=("power_limit_low",))
    assert node.settings(2).power_limit_enforced_mw == 800_000
    assert Soak(node, 60).settled(2, "power_w") == pytest.approx(793, abs=12)


def test_driver_wrong_version_is_not_the_fabric_managers(make_node: MakeNode) -> None:
    facts = make_node(faults=("driver_wrong_version",)).facts()
    assert facts.driver_version != facts.fabric_manager_version


def test_every_fault_of_the_issue_is_in_the_catalogue() -> None:
    named = """
    gpu_missing gpu_wrong_model gpu_fallen_off_bus hbm_bandwidth_low nvlink_link_down nvlink_slow nvlink_errors
    nvlink_remote_wrong_type p2p_disabled fabric_not_ready ecc_off ecc_uncorrectable ecc_corrected_storm
    row_remap_pending row_remap_failed thermal_interface_bad cooling_flow_low power_brake clock_capped
    power_limit_low driver_wrong_version memory_alloc_fails straggler
    pcie_width_reduced pcie_gen_down_under_load pcie_replays hbm_region_slow hbm_stuck_bit hbm_address_alias
    l2_transient sm_silent_corruption sm_silent_corruption_intermittent nvlink_recoveries_creeping
    nvlink_one_direction_slow nvswitch_port_weak p2p_over_pcie_silently p2p_corrupts numa_wrong c2c_down
    psu_droop_in_phase leak_slow pump_dead fan_slow paste_pumpout sensor_stuck clock_stuck_low vbios_mixed
    firmware_mixed serial_duplicate gpu_swapped xid_79 xid_94 sram_threshold channel_repair_pending inforom_corrupt
    mig_left_on iommu_acs_on governor_powersave nic_port_slow nvme_missing dimm_missing other_process_running
    driver_hang_in_soak tool_crash psu_droop_at_pulses pcie_both_ways_slow
    """
    assert not set(named.split()) - {fault.name for fault in catalogue()}


@pytest.mark.parametrize("fault", catalogue(), ids=lambda fault: fault.name)
def test_every_fault_opens_on_the_models_that_can_have_it_and_names_its_victim(
    fault: Fault, make_node: MakeNode
) -> None:
    assert fault.victim(fault.defaults).startswith(("gpu/", "node"))
    assert fault.severity_key is None or fault.severity_key in fault.defaults
    opened = 0
    for model in ("hgx-b200", "hgx-h100", "gb200-nvl72"):
        try:
            opened += bool(make_node(faults=(fault.name,), model=model).facts())
        except UsageError as error:
            assert f"{model} can't have the fault {fault.name}: " in str(error)
    assert opened
