"""doctor names what a node lacks, each with a remedy, and never hangs with the driver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stub_driver.machine import DRIVER, StubMachine

from gpuaccept.device.doctor import Examined, examine, ready
from gpuaccept.device.nvidia.host import Host

needs_gcc = pytest.mark.needs("gcc")


@pytest.fixture
def whole(machine: StubMachine, monkeypatch: pytest.MonkeyPatch) -> StubMachine:
    """A machine that lacks nothing: also the files that a kernel module makes."""
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    version = machine.root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build\n")
    (machine.root / "dev").mkdir()
    for node in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(8)), "nvidia-caps"):
        (machine.root / "dev" / node).touch()
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
        (["gpu5.persistence=0"], "persistence mode", "disabled on GPU 5", "nvidia-persistenced"),
        (["gpu1.mig=1", "gpu2.mig=1"], "MIG mode", "enabled on GPU 1, 2", "nvidia-smi -mig 0"),
        (["gpu7.processes=2"], "compute processes", "on GPU 7", "stop them"),
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
    assert found[-1].status == "problem"


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
    assert found["state directory"].status == found["NVRTC"].status == "ok"
