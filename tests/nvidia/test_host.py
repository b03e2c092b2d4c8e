"""What /sys and /proc say of GPUs, NUMA nodes, chassis and driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuaccept.device.nvidia.host import Host


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "570.86.15"),
        ("something else", None),
    ],
)
def test_the_kernel_module_tells_its_version(tmp_path: Path, line: str, version: str | None) -> None:
    write(tmp_path / "proc/driver/nvidia/version", line)
    assert Host(tmp_path).driver_version() == version


def test_an_empty_machine_has_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert (host.pci_gpus(), host.numa_nodes(), host.serial(), host.driver_version()) == ((), 1, None, None)
    assert (host.numa_node("0000:1b:00.0"), host.cpus(0)) == (None, frozenset())


def test_gpus_are_nvidias_display_controllers_and_nothing_else(tmp_path: Path) -> None:
    devices = {"0000:1b:00.0": ("0x030200", "0x10de"), "0000:02:00.0": ("0x030000", "0x10de")}
    others = {"0000:03:00.0": ("0x068000", "0x10de"), "0000:04:00.0": ("0x030000", "0x1a03")}
    for address, (kind, vendor) in {**devices, **others}.items():
        write(tmp_path / "sys/bus/pci/devices" / address / "class", kind)
        write(tmp_path / "sys/bus/pci/devices" / address / "vendor", vendor)
    assert set(Host(tmp_path).pci_gpus()) == set(devices)


def test_cpu_lists(tmp_path: Path) -> None:
    write(tmp_path / "sys/devices/system/node/node1/cpulist", "0-2,8,10-11\n")
    assert Host(tmp_path).cpus(1) == {0, 1, 2, 8, 10, 11}


def test_an_unknown_numa_node_is_none(tmp_path: Path) -> None:
    write(tmp_path / "sys/bus/pci/devices/0000:1b:00.0/numa_node", "-1\n")
    assert Host(tmp_path).numa_node("0000:1b:00.0") is None


@pytest.mark.parametrize(("text", "serial"), [("CH-1", "CH-1"), ("Not Specified", None), ("Default string", None)])
def test_the_chassis_serial_is_one_or_none(tmp_path: Path, text: str, serial: str | None) -> None:
    write(tmp_path / "sys/class/dmi/id/product_serial", text)
    assert Host(tmp_path).serial() == serial


@pytest.mark.parametrize(
    ("body", "version"),
    [("echo Fabric Manager version is : 580.95.05", "580.95.05"), ("echo unknown option", None), ("exit 7", None)],
)
def test_the_fabric_manager_tells_its_version(tmp_path: Path, body: str, version: str | None) -> None:
    program = tmp_path / "usr/bin/nv-fabricmanager"
    write(program, f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    assert Host(tmp_path).fabric_manager_version() == version
