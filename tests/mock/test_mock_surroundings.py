"""PCIe, link traffic and the host of the simulated node: what each call returns, and what shares what."""

from __future__ import annotations

from typing import Any

import pytest
from mock_raw import GIB, MakeNode, gb_per_s, peer

from gpuaccept.check import Node, Transfer
from gpuaccept.errors import UsageError


def host_copy(node: Node, gpus: tuple[int, ...] = (0,), engine: Any = "ce", both: bool = False) -> list[float]:
    """GB/s of copies from the host to GPUs at the same time."""
    spans = node.host_copies(gpus, "host_to_device", engine, both, GIB, 1, 1)
    return [gb_per_s(span, one_way=True) for span in spans]


def carried(node: Node, gpu: int) -> tuple[int, int]:
    """Bytes that all links of a GPU sent and received."""
    links = node.link_traffic(gpu)
    return sum(int(one.transmitted_bytes) for one in links), sum(int(one.received_bytes) for one in links)  # type: ignore


def test_copies_by_sm_and_against_traffic_are_slower(make_node: MakeNode) -> None:
    node = make_node()
    assert host_copy(node)[0] == pytest.approx(55.4, rel=0.03)
    assert host_copy(node, engine="sm")[0] == pytest.approx(35, rel=0.03)
    assert host_copy(node, both=True)[0] == pytest.approx(55.4 * 0.92, rel=0.03)


def test_gpus_of_one_socket_share_its_memory(make_node: MakeNode) -> None:
    plenty, node = make_node(), make_node(faults=("dimm_missing:count=24",))
    assert sum(host_copy(plenty, (0, 1, 2, 3))) == pytest.approx(4 * 55.4, rel=0.03)
    assert sum(host_copy(node, (0, 1, 2, 3))) == pytest.approx(100, rel=0.01)  # 8 of 32 modules leave 100 of 400 GB/s
    assert sum(host_copy(node, (0, 4))) == pytest.approx(2 * 55.4, rel=0.03)


def test_memory_of_the_far_socket_is_slower(make_node: MakeNode) -> None:
    node = make_node(faults=("numa_wrong:gpu=0",))
    assert node.host().gpu_numa_nodes == (-1, 0, 0, 0, 1, 1, 1, 1)
    assert host_copy(node)[0] == pytest.approx(55.4 * 0.8, rel=0.03)


@pytest.mark.parametrize(
    ("fault", "share"), [("pcie_width_reduced:gpu=0,lanes=4", 0.25), ("pcie_gen_down_under_load:gpu=0", 0.25)]
)
def test_a_reduced_link_slows_host_copies(make_node: MakeNode, fault: str, share: float) -> None:
    node = make_node(faults=(fault,))
    assert host_copy(node)[0] == pytest.approx(55.4 * share, rel=0.03)
    assert host_copy(node, (1,))[0] == pytest.approx(55.4, rel=0.03)


def test_an_idle_link_sleeps_and_counters_only_rise(make_node: MakeNode) -> None:
    node = make_node(faults=("pcie_replays:gpu=1,per_hour=3600",))
    idle, busy = node.pcie(1, under_load=False), node.pcie(1, under_load=True)
    assert (idle.generation, busy.generation, busy.width) == (1, 5, 16)
    node.wait(100)
    later = node.pcie(1, under_load=True)
    assert 99 <= int(later.replays) - int(busy.replays) <= 101  # type: ignore[arg-type]
    assert int(node.pcie(2, under_load=True).replays) <= 1  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", ["read", "write"])
def test_links_count_what_was_copied_on_the_side_where_it_went(make_node: MakeNode, operation: Any) -> None:
    node = make_node()
    before = [carried(node, gpu) for gpu in range(3)]
    (span,) = node.peer_copies([(0, 1)], operation, "ce", False, 18 * GIB, 2, 1)
    assert isinstance(span, Transfer)
    moved = [(a - c, b - d) for (a, b), (c, d) in zip([carried(node, g) for g in range(3)], before, strict=True)]
    source, target = (1, 0) if operation == "read" else (0, 1)
    assert moved[source] == (36 * GIB, 0) and moved[target] == (0, 36 * GIB) and moved[2] == (0, 0)


def test_a_detour_moves_no_counter_and_is_as_slow_as_pcie(make_node: MakeNode) -> None:
    node = make_node(faults=("p2p_over_pcie_silently:gpu=0,peer=1",))
    assert node.pair(0, 1).p2p_read == "ok"
    before = carried(node, 0)
    assert peer(node, 0, 1) == pytest.approx(0.75 * 55.2, rel=0.03)
    assert carried(node, 0) == before
    peer(node, 0, 2)
    assert carried(node, 0) != before


def test_xids_are_in_the_log_and_told_to_those_who_listened(make_node: MakeNode) -> None:
    node = make_node(faults=("xid_94:gpu=3,at_s=50",))
    assert node.host().kernel_events == () and node.xids(3) == ()
    node.wait(60)
    (event,) = node.host().kernel_events  # type: ignore[misc]
    address = node.facts().gpus[3].pci_bus_id[4:].lower()
    assert (event.kind, event.number, f"{event.pci_address}.0") == ("xid", 94, address)
    assert node.xids(3) == (94,) and node.xids(2) == ()
    late = make_node(faults=("xid_94:gpu=3,at_s=50",), start_s=100.0)
    assert late.xids(3) == () and late.host().kernel_events == (event,)


def test_other_users_and_settings_are_shown(make_node: MakeNode) -> None:
    node = make_node(faults=("other_process_running", "governor_powersave", "iommu_acs_on"))
    assert [len(node.processes(gpu)) for gpu in (1, 2)] == [0, 1]  # type: ignore[arg-type]
    host = node.host()
    assert (host.governor, host.iommu, host.acs_redirect) == ("powersave", "translated", 8)


def test_a_port_that_is_not_there_can_not_be_slow(make_node: MakeNode) -> None:
    with pytest.raises(UsageError, match="there is no port 8"):
        make_node(faults=("nic_port_slow:port=8",))
