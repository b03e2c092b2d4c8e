"""The machine around the GPUs, from a tree of files: healthy, one thing wrong at a time, and without permission."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_driver import host_tree
from stub_driver.host_tree import write

from gpuaccept.check import HostState, Unavailable
from gpuaccept.device.nvidia import pci_tree
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.programs import Programs
from gpuaccept.device.nvidia.surroundings import host_state

GPUS = ("0000:1b:00.0", "0000:9d:00.0")
DMI = "sys/firmware/dmi/tables/DMI"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A healthy node with two GPUs."""
    for number, address in enumerate(GPUS):
        host_tree.gpu_in_pci(tmp_path, address, number)
        write(tmp_path / f"sys/devices/system/node/node{number}/cpulist", "0-1")
    host_tree.furnish(tmp_path)
    return tmp_path


def state(root: Path) -> HostState:
    return host_state(Host(root), GPUS)


def why(value: Any) -> str:
    assert isinstance(value, Unavailable), value
    return value.reason


def test_a_healthy_node(root: Path) -> None:
    found = state(root)
    assert not [name for name, value in found._asdict().items() if isinstance(value, Unavailable)]
    assert isinstance(found.ports, tuple)
    assert [port.name for port in found.ports] == ["mlx5_0", "mlx5_1"], "the baseboard's own port is no network"
    assert found.ports[1]._asdict() == {
        "name": "mlx5_1",
        "pci_address": "0000:41:00.0",
        "state": "active",
        "rate_gbps": 400.0,
        "pcie_width": 16,
        "firmware": "28.43.2566",
        "numa_node": 1,
        "symbol_errors": 0,
        "link_downed": 0,
    }
    assert found.nvme == ("S64ENX0T000000", "S64ENX0T000001")
    assert found.dimms == ("80AD012300", "80AD012301", "80AD012302", "80AD012303"), "an empty slot is no module"
    assert found.power_supplies == ("PS0000", "PS0001"), "one that is not plugged in is none"
    assert (found.iommu, found.acs_redirect, found.governor, found.numa_balancing) == (
        "passthrough",
        0,
        "performance",
        0,
    )
    assert (found.peermem, found.fabric_manager, found.gpu_numa_nodes) == ("loaded", "active", (0, 1))
    assert (found.kernel_events, found.telemetry_readers) == ((), ())


def set_acs(root: Path) -> None:
    (host_tree.bridge_above(root, GPUS[0]) / "config").write_bytes(
        host_tree.configuration_space(host_tree.ACS_REDIRECTS)
    )


def one_module_less(root: Path) -> None:
    (root / DMI).write_bytes(
        host_tree.smbios(
            [
                host_tree.memory_module("DIMM_A0", "Unknown"),
                *(host_tree.power_supply(f"PSU{number}", f"PS{number:04d}") for number in range(2)),
            ]
        )
    )


WRONG: dict[str, tuple[Callable[[Path], object], str, object]] = {
    "peer traffic is redirected": (set_acs, "acs_redirect", 1),
    "DMA is translated": (
        lambda root: write(root / f"sys/bus/pci/devices/{GPUS[1]}/iommu_group/type", "DMA-FQ"),
        "iommu",
        "translated",
    ),
    "one CPU saves power": (
        lambda root: write(root / "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave"),
        "governor",
        "mixed",
    ),
    "NUMA balancing": (lambda root: write(root / "proc/sys/kernel/numa_balancing", "1"), "numa_balancing", 1),
    "tiering": (lambda root: write(root / "proc/sys/kernel/numa_balancing", "2"), "numa_balancing", 1),
    "no peermem": (lambda root: (root / "sys/module/nvidia_peermem").rmdir(), "peermem", "not loaded"),
    "fabric manager gone": (lambda root: write(root / "proc/900/comm", "bash"), "fabric_manager", "not installed"),
    "DCGM runs": (
        lambda root: host_tree.process(root, 77, "nv-hostengine"),
        "telemetry_readers",
        ("nv-hostengine",),
    ),
    "an exporter whose name the kernel cuts": (
        lambda root: host_tree.process(root, 78, "nvidia_gpu_expo"),
        "telemetry_readers",
        ("nvidia_gpu_exporter",),
    ),
    "a drive is missing": (
        lambda root: (root / "sys/class/nvme/nvme0/serial").write_text("\n"),
        "nvme",
        ("S64ENX0T000001", "nvme0"),
    ),
    "a module without a serial is named by its slot": (one_module_less, "dimms", ("DIMM_A0",)),
    "GPU at the wrong node": (
        lambda root: write(root / f"sys/bus/pci/devices/{GPUS[1]}/numa_node", "0"),
        "gpu_numa_nodes",
        (0, 0),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_thing_wrong(root: Path, what: str) -> None:
    change, member, value = WRONG[what]
    healthy = state(root)._asdict()
    change(root)
    found = state(root)._asdict()
    assert found[member] == value
    assert {name for name in found if found[name] != healthy[name]} == {member}


def test_a_port_that_is_down_slow_or_sick(root: Path) -> None:
    port = root / "sys/class/infiniband/mlx5_1/ports/1"
    write(port / "state", "1: DOWN")
    write(port / "rate", "200 Gb/sec (4X HDR)")
    write(port / "counters/symbol_error", "18446744073709551615")
    (port / "counters/link_downed").unlink()
    ports = state(root).ports
    assert isinstance(ports, tuple)
    assert (ports[1].state, ports[1].rate_gbps, ports[1].symbol_errors) == ("down", 200.0, 2**64 - 1)
    assert isinstance(ports[1].link_downed, Unavailable)


def test_ports_of_one_card_have_numbers_and_cards_their_natural_order(root: Path) -> None:
    host_tree.network_card(root, "mlx5_2", "0000:50:00.0", 0)
    host_tree.network_card(root, "mlx5_11", "0000:51:00.0", 0)
    write(root / "sys/class/infiniband/mlx5_2/ports/2/state", "4: ACTIVE")
    ports = state(root).ports
    assert isinstance(ports, tuple)
    assert [port.name for port in ports] == ["mlx5_0", "mlx5_1", "mlx5_2/1", "mlx5_2/2", "mlx5_11"]


def test_without_root_each_gap_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {"vpd", "DMI"}
    read = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name in closed:
            raise PermissionError(13, "Permission denied")
        return read(path)[:64]  # configuration space: as the kernel shows it to others than root

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    found = state(root)
    gaps = {name: why(value) for name, value in found._asdict().items() if isinstance(value, Unavailable)}
    assert gaps.keys() == {"ports", "dimms", "power_supplies", "acs_redirect"}
    assert all("run as root" in reason for reason in gaps.values())


def test_in_a_container_a_program_that_is_not_seen_may_run_outside(root: Path) -> None:
    namespace = root / "proc/self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to("pid:[4026532999]")
    assert state(root).fabric_manager == "active"
    write(root / "proc/900/comm", "bash")
    assert "outside of any container" in why(state(root).fabric_manager)
    assert "outside of any container" in why(state(root).telemetry_readers)


def test_an_installed_fabric_manager_that_does_not_run_is_inactive(root: Path) -> None:
    write(root / "proc/900/comm", "bash")
    write(root / "usr/bin/nv-fabricmanager", "")
    assert state(root).fabric_manager == "inactive"


def test_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    found = host_state(Host(tmp_path), ("0000:1b:00.0",))
    assert why(found.governor)
    assert why(found.numa_balancing)
    assert why(found.dimms) == "this machine shows no SMBIOS tables"
    assert why(found.kernel_events)
    assert "does not show the PCI device" in why(found.iommu)
    assert "does not show the PCI device" in why(found.acs_redirect)
    assert (found.gpu_numa_nodes, found.ports, found.nvme) == ((0,), (), ())


def test_a_device_without_an_iommu_group_has_no_iommu(root: Path) -> None:
    for address in GPUS:
        group = root / f"sys/bus/pci/devices/{address}/iommu_group"
        (group / "type").unlink()
        assert isinstance(state(root).iommu, Unavailable), "a group of a kind that the kernel does not tell"
        group.rmdir()
    assert state(root).iommu == "off"


def test_a_gpu_that_the_firmware_gives_no_node_is_not_guessed(root: Path) -> None:
    write(root / f"sys/bus/pci/devices/{GPUS[1]}/numa_node", "-1")
    assert GPUS[1] in why(state(root).gpu_numa_nodes)


def test_a_firmware_that_lists_no_supplies_does_not_have_none(root: Path) -> None:
    (root / DMI).write_bytes(host_tree.smbios([host_tree.memory_module("DIMM_A0", "1")]))
    assert "ask the BMC" in why(state(root).power_supplies)


def test_a_firmware_table_that_is_cut_off_or_hostile_ends(root: Path) -> None:
    whole = (root / DMI).read_bytes()
    for table in (whole[: len(whole) // 2], b"\x11\x00\x00\x00", b"\x11\xff" + b"\x01" * 300, bytes(64)):
        (root / DMI).write_bytes(table)
        assert isinstance(state(root).dimms, tuple)


def test_capabilities_that_point_at_themselves_end(root: Path) -> None:
    space = bytearray(host_tree.configuration_space(host_tree.ACS_REDIRECTS))
    space[0x100:0x104] = (0x100 << 20 | 1 << 16 | 1).to_bytes(4, "little")
    (host_tree.bridge_above(root, GPUS[0]) / "config").write_bytes(space)
    assert pci_tree.acs_redirect(root, GPUS) == 0


def test_own_processes_are_this_one_and_all_that_descend_from_it(root: Path) -> None:
    me = os.getpid()
    host_tree.process(root, me, "pytest")
    host_tree.process(root, 50001, "worker (1) x", parent=me)
    host_tree.process(root, 50002, "grandchild", parent=50001)
    host_tree.process(root, 50003, "stranger")
    own = Programs(root).own()
    assert {me, 50001, 50002} <= own
    assert 50003 not in own
