"""What the kernel says of GPUs, NUMA nodes, chassis and driver: text files under /sys and /proc, no driver call."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gpuaccept.ambient import first_line

_NVIDIA = "0x10de"
_GPU_CLASSES = ("0x0302", "0x0300")
"""3D controller (server GPUs) and VGA controller."""
_KERNEL_MODULE = re.compile(r"Kernel Module\s+(?:for \S+\s+)?(\d+(?:\.\d+)+)")
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")
_NO_SERIAL = ("none", "not specified", "to be filled by o.e.m.", "default string", "0")


@dataclass(frozen=True)
class Host:
    """The files below `root`: the machine's own, or a tree that a test made."""

    root: Path = Path("/")

    def pci_gpus(self, driver: str = "") -> tuple[str, ...]:
        """PCI addresses of all NVIDIA GPUs that the kernel sees; with `driver`, of those which that one serves."""
        found = []
        for device in sorted((self.root / "sys/bus/pci/devices").glob("*")):
            kind = first_line(str(device / "class")) or ""
            served = not driver or (device / "driver").resolve().name == driver
            if first_line(str(device / "vendor")) == _NVIDIA and kind.startswith(_GPU_CLASSES) and served:
                found.append(device.name)
        return tuple(found)

    def numa_nodes(self) -> int:
        """Number of NUMA nodes; a kernel without NUMA has one."""
        return max(1, len(list((self.root / "sys/devices/system/node").glob("node[0-9]*"))))

    def numa_node(self, pci_address: str) -> int | None:
        """The NUMA node nearest to a PCI device, or None where the firmware does not say."""
        text = first_line(str(self.root / "sys/bus/pci/devices" / pci_address / "numa_node"))
        return int(text) if text and text.isdigit() else None

    def cpus(self, numa_node: int) -> frozenset[int]:
        """The CPUs of a NUMA node; empty where that is not known."""
        text = first_line(str(self.root / f"sys/devices/system/node/node{numa_node}/cpulist")) or ""
        cpus: set[int] = set()
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            cpus.update(range(int(first), int(last or first) + 1))
        return frozenset(cpus)

    def serial(self) -> str | None:
        """The chassis' serial number from the firmware (root only on most systems)."""
        for name in ("product_serial", "chassis_serial", "board_serial"):
            text = first_line(str(self.root / "sys/class/dmi/id" / name))
            if text and text.lower() not in _NO_SERIAL:
                return text[:80]
        return None

    def driver_version(self) -> str | None:
        """Version of the NVIDIA kernel module that is loaded, or None."""
        match = _KERNEL_MODULE.search(first_line(str(self.root / "proc/driver/nvidia/version")) or "")
        return match.group(1) if match else None

    def fabric_manager_version(self) -> str | None:
        """What the installed fabric manager says of itself within five seconds, or None."""
        own = self.root / "usr/bin/nv-fabricmanager"
        program = str(own) if own.is_file() else shutil.which("nv-fabricmanager")
        if program is None:
            return None
        try:
            said = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", timeout=5.0)
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = _VERSION.search(said.stdout)
        return match.group(0) if match else None
