"""The files of a healthy HGX node around its GPUs: PCI tree, network cards, drives, firmware tables, processes, log."""

from __future__ import annotations

import struct
from pathlib import Path

ACS_REDIRECTS = 0x000D | 0x0010
"""ACS control: source validation, request and completion redirect, upstream forwarding. Healthy is 0."""
DCMI_INLET = """
\tEntity ID\t\t\tEntity Instance\t   Temp. Readings
Inlet air temperature(40h)                      1               +24 C
CPU temperature sensors(41h)                    1               +51 C
Baseboard temperature sensors(42h)              1               +33 C"""
_INITIAL_LOG = "6,0,0,-;Linux version 6.8.0\n6,812,9123456,-;nvidia-nvswitch0: open (major=510)\n"


def furnish(root: Path) -> None:
    """All but the GPUs: two NUMA nodes' CPUs, two network cards and one of the baseboard's own, drives, firmware."""
    write(root / "dev/kmsg", _INITIAL_LOG)
    write(root / "proc/1/comm", "systemd")
    process(root, 900, "nv-fabricmanager"[:15])
    write(root / "proc/sys/kernel/numa_balancing", "0")
    for cpu in range(4):
        write(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor", "performance")
    (root / "sys/module/nvidia_peermem").mkdir(parents=True)
    for number in range(2):
        drive = root / f"sys/class/nvme/nvme{number}"
        write(drive / "serial", f"S64ENX0T{number:06d}   ")
        write(drive / "transport", "pcie")
    bmc(root)
    for number, own in ((0, False), (1, False), (10, True)):
        network_card(root, f"mlx5_{number}", f"0000:{0x40 + number:02x}:00.0", number % 2, own)
    table = root / "sys/firmware/dmi/tables/DMI"
    table.parent.mkdir(parents=True)
    table.write_bytes(
        smbios(
            [memory_module(f"DIMM_A{number}", f"80AD0123{number:02d}") for number in range(4)]
            + [memory_module("DIMM_B0", "NO DIMM", size=0)]
            + [power_supply(f"PSU{number}", f"PS{number:04d}") for number in range(2)]
            + [power_supply("PSU9", "", present=False)]
        )
    )


def gpu_in_pci(root: Path, address: str, numa_node: int) -> None:
    """A GPU below a port of a switch, as sysfs nests them, with AER files and an IOMMU that passes through."""
    bus = int(address.split(":")[1], 16)
    bridge = root / f"sys/devices/pci0000:{bus - 3:02x}/0000:{bus - 3:02x}:01.0/0000:{bus - 1:02x}:00.0"
    device = bridge / address
    for name, text in (("class", "0x030200"), ("vendor", "0x10de"), ("numa_node", str(numa_node))):
        write(device / name, text)
    write(device / "iommu_group/type", "identity")
    for end in (bridge, device):
        for kind, total in (("correctable", "COR"), ("nonfatal", "NONFATAL"), ("fatal", "FATAL")):
            write(end / f"aer_dev_{kind}", f"BadTLP 0\nTOTAL_ERR_{total} 0")
    for above in (bridge, bridge.parent):
        (above / "config").write_bytes(configuration_space(0))
    link = root / "sys/bus/pci/devices" / address
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(device)


def serve(root: Path, address: str, driver: str = "nvidia") -> None:
    """Have a kernel driver serve a device, as /sys says in a container too."""
    link, folder = root / "sys/bus/pci/devices" / address / "driver", root / "sys/bus/pci/drivers" / driver
    folder.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)


def bridge_above(root: Path, address: str) -> Path:
    """The folder of the port that a GPU hangs on."""
    return (root / "sys/bus/pci/devices" / address).resolve().parent


def configuration_space(acs_control: int) -> bytes:
    """4096 bytes with an AER capability at 0x100 and ACS at 0x148."""
    space = bytearray(4096)
    struct.pack_into("<I", space, 0x100, 0x148 << 20 | 1 << 16 | 0x0001)
    struct.pack_into("<IHH", space, 0x148, 1 << 16 | 0x000D, 0x005F, acs_control)
    return bytes(space)


def network_card(root: Path, name: str, address: str, numa_node: int, boards_own: bool = False) -> None:
    """A card with one active port of 400 Gb/s (NDR); the baseboard's own ones have 100 Gb/s and say what they are."""
    device = root / "sys/devices/pci0000:40" / address
    write(device / "numa_node", str(numa_node))
    write(device / "current_link_width", "16")
    (device / "vpd").write_bytes(b"\x82\x10\0ConnectX-7 card\x90\x20\0" + (b"V3\x0bSMDL=SW_MNG" if boards_own else b""))
    card = root / "sys/class/infiniband" / name
    write(card / "fw_ver", "28.43.2566")
    (card / "device").symlink_to(device)
    for file, text in (
        ("state", "4: ACTIVE"),
        ("rate", "100 Gb/sec (4X EDR)" if boards_own else "400 Gb/sec (4X NDR)"),
        ("counters/symbol_error", "0"),
        ("counters/link_downed", "0"),
    ):
        write(card / "ports/1" / file, text)


def bmc(root: Path, dcmi: str = DCMI_INLET, sensors: str = "") -> Path:
    """An IPMI device, and an ipmitool that prints these answers: its file."""
    (root / "dev").mkdir(parents=True, exist_ok=True)
    (root / "dev/ipmi0").touch()
    program = root / "usr/bin/ipmitool"
    write(
        program,
        f"#!/bin/sh\ncase $1 in\ndcmi) cat <<'END'\n{dcmi}\nEND\n;;\nsdr) cat <<'END'\n{sensors}\nEND\n;;\nesac",
    )
    program.chmod(0o755)
    return program


def process(root: Path, pid: int, name: str, parent: int = 1) -> None:
    """A process as /proc shows it."""
    write(root / f"proc/{pid}/comm", name)
    write(root / f"proc/{pid}/stat", f"{pid} ({name}) S {parent} {pid} {pid} 0 -1")


def memory_module(slot: str, serial: str, size: int = 0x7FFF) -> bytes:
    """An SMBIOS structure of type 17."""
    area = bytearray(0x28)
    area[0], area[1] = 17, len(area)
    struct.pack_into("<H", area, 0x0C, size)
    area[0x10], area[0x18] = 1, 2
    return bytes(area) + slot.encode() + b"\0" + serial.encode() + b"\0\0"


def power_supply(place: str, serial: str, present: bool = True) -> bytes:
    """An SMBIOS structure of type 39."""
    area = bytearray(0x16)
    area[0], area[1] = 39, len(area)
    area[0x05], area[0x08] = 1, 2 if serial else 0
    struct.pack_into("<H", area, 0x0E, 0x11B2 if present else 0)
    return bytes(area) + place.encode() + b"\0" + (serial.encode() + b"\0" if serial else b"") + b"\0"


def smbios(structures: list[bytes]) -> bytes:
    """A table that ends as tables do."""
    return b"".join(structures) + bytes((127, 4, 0, 0)) + b"\0\0"


def write(path: Path, text: str) -> None:
    """A small file with a line, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text.endswith("\n") else text + "\n")
