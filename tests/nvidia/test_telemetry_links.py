"""NVLinks of each generation, the bytes that they carried, and the ways to the host: PCIe and C2C."""

from __future__ import annotations

from typing import Any

import pytest
from stub_driver import host_tree
from stub_driver.machine import BUSES, StubMachine

pytestmark = pytest.mark.needs("gcc")

NO_FIELDS = (161, 162, 163, 164, 165, 213, 214, 215, 219, 221)
"""Fields of links that an A100 does not have."""
LINKS = "[link._asdict() for link in node.links(0)]"
PCIE = "node.pcie(0, False)._asdict()"


def test_an_h200_has_nvlink_4(machine: StubMachine) -> None:
    machine.set("model=h200", "field161.5=1", "field162.5=2", "field163.5=3", "gpu0.field165.7=0")
    (links,) = machine.ask(LINKS)
    assert [link["state"] for link in links].count("on") == 17
    assert links[7]["state"] == "off"
    assert (links[0]["version"], links[0]["raw_rate_mbps"], links[0]["remote_type"]) == ("4.0", 26562, "switch")
    assert (links[5]["replay_errors"], links[5]["recovery"], links[5]["crc_errors"]) == (1, 2, 3)
    assert links[0]["effective_errors"] == ["nvmlDeviceGetFieldValues 219", 3, "not supported by this GPU"]
    assert links[0]["packet_errors"] == ["nvmlDeviceGetFieldValues 206", 3, "not supported by this GPU"]


ENDS = "[[link.remote_pci_id for link in node.links(gpu)] for gpu in range(8)]"


def test_each_gpu_of_an_h200_board_has_as_many_links_at_a_switch_as_the_others(machine: StubMachine) -> None:
    """The capture's own counts; links of one number end at different switches all the same."""
    machine.set("model=h200")
    (ends,) = machine.ask(ENDS)
    switches = [f"00000000:C{digit}:00.0" for digit in "3456"]
    assert [[ids.count(switch) for switch in switches] for ids in ends] == [[4, 5, 5, 4]] * 8
    assert len({ids[0] for ids in ends}) > 1


def test_switches_of_nvlink_5_have_one_id_that_is_no_devices(machine: StubMachine) -> None:
    (ends,) = machine.ask(ENDS)
    assert {one for ids in ends for one in ids} == {"FFFFFFFF:FF:FF.0"}


def test_an_end_that_nvml_does_not_tell_leaves_the_link_as_it_is(machine: StubMachine) -> None:
    machine.set("fault.nvmlDeviceGetNvLinkRemotePciInfo_v2=3")
    (links,) = machine.ask(LINKS)
    why = ["nvmlDeviceGetNvLinkRemotePciInfo", 3, "not supported by this GPU"]
    assert {(link["state"], tuple(link["remote_pci_id"])) for link in links} == {("on", tuple(why))}


def test_an_a100_has_a_field_for_each_link(machine: StubMachine) -> None:
    machine.set(
        *(f"field{field}=-1" for field in NO_FIELDS),
        *("field91=12", "link.version=4"),
        *("field84=25781", "field137=25781", "field37=7", "field101=9", "field46=1", "field119=4"),
        "gpu0.link3.state=0",
    )
    (links,) = machine.ask(LINKS)
    assert len(links) == 12
    assert (links[0]["version"], links[0]["raw_rate_mbps"], links[0]["replay_errors"]) == ("3.0", 25781, 1)
    assert (links[5]["crc_errors"], links[11]["crc_errors"], links[11]["recovery"]) == (7, 9, 4)
    assert [link["number"] for link in links if link["state"] == "off"] == [3]
    assert links[0]["symbol_errors"][1] == 3


def test_without_a_count_the_links_are_those_that_have_a_state(machine: StubMachine) -> None:
    machine.set("field91=4", "fielderror91=13", *(f"field165.{number}=-1" for number in range(4, 36)))
    links, traffic = machine.ask(LINKS, "node.link_traffic(0)")
    assert [link["number"] for link in links] == [0, 1, 2, 3]
    assert len(traffic) == 36


def test_a_link_that_sleeps_is_not_down_and_one_beside_it_tells_its_errors(machine: StubMachine) -> None:
    machine.set("field165.2=2", "field219.3=18446744073709551", "field221.3=5", "link4.remote_type=255")
    (links,) = machine.ask(LINKS)
    assert links[2]["state"] == "sleep"
    assert (links[3]["effective_errors"], links[3]["symbol_errors"]) == (18446744073709551, 5)
    assert links[4]["remote_type"] == "unknown"


@pytest.mark.parametrize("field", range(206, 213))
def test_packets_that_come_wrong_or_are_thrown_away_are_counted_of_every_kind(machine: StubMachine, field: int) -> None:
    machine.set(f"field{field}.3=7", "field208.4=1", "field212.4=2")
    (links,) = machine.ask(LINKS)
    assert [link["packet_errors"] for link in links[2:6]] == [0, 7, 3, 0]


def test_a_field_that_is_newer_than_the_driver_is_not_measured(machine: StubMachine) -> None:
    machine.set("fielderror206=2", "fielderror219=2")
    (links,) = machine.ask(LINKS)
    why = "not in this driver, or not of this GPU"
    assert links[3]["effective_errors"] == ["nvmlDeviceGetFieldValues 219", 2, why]
    assert links[3]["packet_errors"] == ["nvmlDeviceGetFieldValues 206", 2, why]


def test_packets_are_not_counted_where_one_kind_can_not_be_read(machine: StubMachine) -> None:
    machine.set("fielderror210=3", "field208.3=7")
    (links,) = machine.ask(LINKS)
    assert links[3]["packet_errors"] == ["nvmlDeviceGetFieldValues 210", 3, "not supported by this GPU"]
    assert (links[3]["effective_errors"], links[3]["symbol_errors"]) == (0, 0)


def test_traffic_is_bytes_of_data(machine: StubMachine) -> None:
    machine.set("field138.3=2000", "field139.3=3000")
    (traffic,) = machine.ask("node.link_traffic(0)")
    assert len(traffic) == 18
    assert traffic[3] == [3, 2000 * 1024, 3000 * 1024]


def test_traffic_of_a_gpu_that_only_counts_bytes_of_packets(machine: StubMachine) -> None:
    machine.set("field138=-1", "field139=-1", "field202.3=2000", "field204.3=3000")
    (traffic,) = machine.ask("node.link_traffic(0)")
    assert traffic[3] == [3, 2000, 3000]


def test_traffic_that_is_not_counted_both_ways_is_not_measured(machine: StubMachine) -> None:
    machine.set("field139=-1", "field204=-1")
    (traffic,) = machine.ask("node.link_traffic(0)")
    assert traffic[0][2] == ["nvmlDeviceGetFieldValues 139", 3, "not supported by this GPU"]


# --- PCIe and C2C --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "looks"),
    [("", 1), ("pcie.width=8", 2), ("pcie.width=8\nfault.cuEventQuery=600", 1)],
    ids=["full speed", "slow when the copies had ended", "slow while copies ran"],
)
def test_a_link_is_slow_only_where_copies_still_run_or_at_a_second_look(
    machine: StubMachine, state: str, looks: int
) -> None:
    machine.set(state)
    _, asked = machine.ask("node.pcie(2, True)[:5]", "[name for _, name in calls].count('cuEventQuery')")
    assert asked == looks


def test_a_link_that_saves_power_is_fast_under_load(machine: StubMachine) -> None:
    machine.set("pcie.gen_idle=1", "pcie.width=8", "field94=7")
    idle, busy = machine.ask("node.pcie(2, False)[:5]", "node.pcie(2, True)[:5]")
    assert (idle, busy) == ([1, 5, 8, 16, 7], [5, 5, 8, 16, 7])


def test_replays_of_an_older_driver(machine: StubMachine) -> None:
    machine.set("field94=-1", "pcie.replays=3")
    assert machine.ask("node.pcie(0, False).replays") == [3]
    machine.set("field94=-1", "fault.nvmlDeviceGetPcieReplayCounter=3")
    assert machine.ask("node.pcie(0, False).replays") == [
        ["nvmlDeviceGetPcieReplayCounter", 3, "not supported by this GPU"]
    ]


def aer(machine: StubMachine) -> Any:
    (link,) = machine.ask(PCIE)
    return [link["aer_correctable"], link["aer_nonfatal"], link["aer_fatal"]]


def test_errors_of_both_ends_of_a_link_are_counted(machine: StubMachine) -> None:
    address = f"0000:{BUSES[0]}:00.0"
    device, port = machine.root / "sys/bus/pci/devices" / address, host_tree.bridge_above(machine.root, address)
    host_tree.write(device / "aer_dev_correctable", "RxErr 2\nBadTLP 1\nTOTAL_ERR_COR 3")
    host_tree.write(port / "aer_dev_correctable", "BadTLP 40\nTOTAL_ERR_COR 40")
    host_tree.write(port / "aer_dev_fatal", "SDES 1\nTOTAL_ERR_FATAL 1")
    host_tree.write(port.parent / "aer_dev_fatal", "SDES 9\nTOTAL_ERR_FATAL 9")
    assert aer(machine) == [43, 0, 1]


def test_a_port_without_aer_adds_none_and_a_gpu_without_it_is_not_measured(machine: StubMachine) -> None:
    address = f"0000:{BUSES[0]}:00.0"
    (host_tree.bridge_above(machine.root, address) / "aer_dev_fatal").unlink()
    assert aer(machine) == [0, 0, 0]
    device = machine.root / "sys/bus/pci/devices" / address
    (device / "aer_dev_fatal").unlink()
    (device / "aer_dev_nonfatal").write_text("nothing of the kind\n")
    correctable, nonfatal, fatal = aer(machine)
    assert correctable == 0
    assert nonfatal == ["sysfs aer_dev_nonfatal", 0, "TOTAL_ERR_NONFATAL is missing"]
    assert fatal[2] == "the kernel does not count AER of this device"


def test_a_gpu_beside_a_grace_has_c2c(machine: StubMachine) -> None:
    machine.set("field170=10", "field171=1", "field171.4=0", "field231=0", "field231.2=6")
    (link,) = machine.ask(PCIE)
    assert (link["c2c_links"], link["c2c_links_active"], link["c2c_errors"]) == (10, 9, 6)


def test_c2c_that_is_counted_and_not_told_of_is_not_measured(machine: StubMachine) -> None:
    machine.set("field170=10")
    (link,) = machine.ask(PCIE)
    assert link["c2c_links"] == 10
    assert link["c2c_links_active"] == ["nvmlDeviceGetFieldValues 171", 3, "not supported by this GPU"]
