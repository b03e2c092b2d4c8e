"""The machine around the GPUs (Node.host): what the kernel and the firmware tell, without a driver call."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from gpuaccept.ambient import first_line
from gpuaccept.check import HostState, Reading, Unavailable
from gpuaccept.device.nvidia import firmware_tables, network, pci_tree
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.kernel_log import KernelLog
from gpuaccept.device.nvidia.programs import Programs


def host_state(host: Host, gpu_addresses: Sequence[str], log: KernelLog | None = None) -> HostState:
    """Everything of HostState; `gpu_addresses` are the PCI addresses of the GPUs by index, as sysfs writes them. `log`
    is the kernel log as it was read before, if it was."""
    root, programs = host.root, Programs(host.root)
    return HostState(
        kernel_events=(log or KernelLog(root)).read(),
        ports=network.ports(root),
        nvme=nvme(root),
        dimms=firmware_tables.dimms(root),
        power_supplies=firmware_tables.power_supplies(root),
        iommu=pci_tree.iommu(root, gpu_addresses),
        acs_redirect=pci_tree.acs_redirect(root, gpu_addresses),
        governor=governor(root),
        numa_balancing=numa_balancing(root),
        peermem="loaded" if (root / "sys/module/nvidia_peermem").exists() else "not loaded",
        fabric_manager=programs.fabric_manager(),
        gpu_numa_nodes=gpu_numa_nodes(host, gpu_addresses),
        telemetry_readers=programs.telemetry_readers(),
    )


def nvme(root: Path) -> tuple[str, ...]:
    """Serial numbers (or names where there are none) of the NVMe drives on PCIe, those of a fabric left out."""
    found = []
    for drive in (root / "sys/class/nvme").glob("nvme*"):
        if first_line(str(drive / "transport")) in (None, "pcie"):
            serial = first_line(str(drive / "serial")) or drive.name
            found.append("".join(letter if letter.isprintable() else "?" for letter in serial)[:60])
    return tuple(sorted(found))


def governor(root: Path) -> Reading:
    """The frequency governor that all CPUs share, or `mixed`."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    governors = {first_line(str(file)) or "unknown" for file in files}
    if not governors:
        return Unavailable("sysfs scaling_governor", errno.ENOENT, "the kernel does not scale these CPUs (a guest?)")
    return governors.pop()[:40] if len(governors) == 1 else "mixed"


def numa_balancing(root: Path) -> Reading:
    """Automatic NUMA balancing: 0 where it is off, else 1."""
    mode = first_line(str(root / "proc/sys/kernel/numa_balancing"))
    if mode is None or not mode.isdigit():
        return Unavailable("procfs numa_balancing", errno.ENOENT, "this kernel has no automatic NUMA balancing")
    return int(mode != "0")


def gpu_numa_nodes(host: Host, gpu_addresses: Sequence[str]) -> tuple[int, ...] | Unavailable:
    """The NUMA node of each GPU; 0 where the machine has one only."""
    one_node = host.numa_nodes() == 1
    nodes = [0 if one_node else host.numa_node(address) for address in gpu_addresses]
    for address, node in zip(gpu_addresses, nodes, strict=True):
        if node is None:
            return Unavailable("sysfs numa_node", 0, f"the firmware does not give {address} a NUMA node")
    return tuple(node for node in nodes if node is not None)
