"""doctor names what a node lacks, each with a remedy, and never hangs with the driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stub_driver import host_tree
from stub_driver.machine import BUSES, DRIVER, StubMachine

from gpuaccept.device.doctor import Examined, examine, ready
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.probe import refused_nodes

needs_gcc = pytest.mark.needs("gcc")


@pytest.fixture
def whole(machine: StubMachine, monkeypatch: pytest.MonkeyPatch) -> StubMachine:
    """A machine that lacks nothing: also the files that a kernel module makes."""
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    version = machine.root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n")
    (machine.root / "dev").mkdir(exist_ok=True)
    for node in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(8)), "nvidia-caps"):
        (machine.root / "dev" / node).touch()
    for bus in BUSES:
        host_tree.serve(machine.root, f"0000:{bus}:00.0")
    return machine


def look(machine: StubMachine, seconds: float = 20.0) -> dict[str, Examined]:
    found = examine(machine.root / "state-directory", Host(machine.root), seconds)
    return {one.name: one for one in found}


@needs_gcc
def test_a_whole_machine_is_ready(whole: StubMachine) -> None:
    found = look(whole)
    assert {one.status for one in found.values()} == {"ok"}
    assert ready(tuple(found.values()))
    assert found["GPUs"].text == "PCI 8, NVML 8, CUDA 8"
    assert "nvidia-caps" not in found["device nodes"].text


@needs_gcc
@pytest.mark.parametrize(
    ("lines", "name", "text", "remedy"),
    [
        (["gpu5.persistence=0"], "persistence mode", "disabled: GPU 5", "nvidia-persistenced"),
        (["gpu1.mig=1", "gpu2.mig=1"], "MIG mode", "enabled: GPU 1, 2", "nvidia-smi -mig 0"),
        (["gpu7.processes=2"], "compute processes", "process 4242 (of another user) on GPU 7", "--force-busy"),
        (["cc=1"], "confidential computing", "on: GPU 0, 1", "gpu-admin-tools"),
        (["fault.nvmlInitWithFlags=4"], "NVML", "NVML_ERROR_NO_PERMISSION", "the group that owns /dev/nvidia*"),
        (["gpus=7"], "GPUs", "PCI 8, NVML 7, CUDA 7", "XID 79"),
        (["gpu3.lost=1"], "GPUs", "PCI 8, NVML 7, CUDA 8; 1 lost", "XID 79"),
        (["fabric.state=2"], "fabric manager", "in progress", "nvidia-fabricmanager"),
        (["driver=570.86.15"], "NVML", f"the loaded kernel module of {DRIVER}", "reboot"),
        (["fault.nvmlInitWithFlags=9"], "NVML", "NVML_ERROR_DRIVER_NOT_LOADED", "modprobe"),
        (["fault.cuInit=802"], "CUDA", "802", "nvidia-fabricmanager"),
        (["cuda_version=12020"], "CUDA", "CUDA 12.2", "570"),
    ],
)
def test_what_is_missing_is_named_with_a_remedy(
    whole: StubMachine, lines: list[str], name: str, text: str, remedy: str
) -> None:
    whole.set(*lines)
    found = look(whole)
    assert found[name].status == "problem"
    assert text in found[name].text
    assert remedy in found[name].remedy
    assert not ready(tuple(found.values()))


@needs_gcc
def test_a_container_that_hides_devices_is_seen_by_what_sysfs_still_shows(whole: StubMachine) -> None:
    for number in range(2, 8):
        (whole.root / f"dev/nvidia{number}").unlink()
    whole.set("gpus=2")
    found = look(whole)
    assert found["device nodes"].text.startswith(
        "2 of the 8 GPUs that the driver serves are in /dev: a container hides"
    )
    assert "--gpus all" in found["device nodes"].remedy and "nvidia-modprobe" in found["device nodes"].remedy
    assert found["GPUs"].text == "PCI 8, NVML 2, CUDA 2"


@needs_gcc
def test_a_gpu_that_another_driver_serves_is_not_hidden(whole: StubMachine) -> None:
    host_tree.serve(whole.root, f"0000:{BUSES[7]}:00.0", "vfio-pci")
    (whole.root / "dev/nvidia7").unlink()
    whole.set("gpus=7")
    found = look(whole)
    assert found["device nodes"].status == "ok"
    assert found["GPUs"].text == "PCI 8, NVML 7, CUDA 7"


def test_a_node_that_the_cgroup_refuses_is_named_though_its_mode_allows_it(tmp_path: Path) -> None:
    for node in ("nvidiactl", "nvidia0", "nvidia1", "nvidia-caps"):
        (tmp_path / node).touch()
    closed: list[int] = []

    def opener(path: Path, flags: int) -> int:
        if path.name == "nvidia1":
            raise PermissionError(1, "Operation not permitted")
        return 7

    assert refused_nodes(tmp_path, lambda *_: None, opener, closed.append) == ("nvidia1",)
    assert closed == [7, 7]


@needs_gcc
def test_programs_that_read_the_gpus_are_named(whole: StubMachine) -> None:
    process = whole.root / "proc/4711"
    process.mkdir(parents=True)
    (process / "comm").write_text("nv-hostengine\n")
    reader = look(whole)["other readers"]
    assert (reader.status, reader.text.split()[0]) == ("problem", "nv-hostengine")
    assert "nvidia-dcgm" in reader.remedy


@needs_gcc
def test_a_bmc_that_can_not_be_asked_is_said_and_stands_in_no_ones_way(whole: StubMachine) -> None:
    assert look(whole)["inlet temperature"].text == "24 °C, from the BMC"
    (whole.root / "dev/ipmi0").unlink()
    found = look(whole)
    one = found["inlet temperature"]
    assert one.status == "unknown" and "observed only" in one.text and "modprobe ipmi_si" in one.remedy
    assert ready(tuple(found.values()))


@needs_gcc
def test_a_driver_that_hangs_is_named_with_its_call(whole: StubMachine) -> None:
    whole.set("gpu4.fault.nvmlDeviceGetEccMode=hang")
    found = look(whole, seconds=3.0)
    assert found["driver answers"].text == "the driver does not answer: no answer within 3 s, in nvmlDeviceGetEccMode"
    assert "GPUs" not in found


@needs_gcc
def test_a_fabric_manager_of_another_version(whole: StubMachine) -> None:
    (whole.root / "usr/bin/nv-fabricmanager").write_text("#!/bin/sh\necho 570.86.15\n")
    assert look(whole)["fabric manager"].text == f"fabric manager 570.86.15, driver {DRIVER}"


@needs_gcc
def test_a_state_directory_below_a_file_is_a_problem(whole: StubMachine) -> None:
    (whole.root / "file").touch()
    found = examine(whole.root / "file" / "gpuaccept", Host(whole.root))
    assert next(one for one in found if one.name == "state directory").status == "problem"


@needs_gcc
def test_the_stub_itself_is_never_ready(machine: StubMachine) -> None:
    done = machine.run("-m", "gpuaccept", "doctor", "--output", "json")
    assert done.returncode == 3, done.stderr
    body = json.loads(done.stdout)
    assert body["ready"] is False
    (module,) = [one for one in body["examined"] if one["name"] == "kernel module"]
    assert "every run is simulated" in module["text"]


def test_a_machine_without_a_driver_gets_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    found = {one.name: one for one in examine(tmp_path, Host(tmp_path))}
    assert found["kernel module"].status == found["device nodes"].status == "problem"
    assert found["state directory"].status == found["kernels"].status == "ok"
