"""A node that can't be measured says so in one sentence with a remedy; a call that never returns has a name."""

from __future__ import annotations

import hashlib
import select
import subprocess
import sys
from pathlib import Path

import pytest
from stub_driver.machine import StubMachine

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.loaded import is_stub, libraries
from gpuaccept.device.nvidia.node import NvidiaNode

needs_gcc = pytest.mark.needs("gcc")
_OPEN = """
from gpuaccept.device.nvidia import open_nvidia
from gpuaccept.errors import GpuacceptError
try:
    open_nvidia(None, lambda gpu, call: None)
except GpuacceptError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has a driver")
def test_without_a_driver_one_sentence_and_exit_3() -> None:
    done = subprocess.run([sys.executable, "-c", _OPEN], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[0] == "no NVIDIA driver on this machine (libnvidia-ml.so.1 not found)"
    assert (done.returncode, done.stderr) == (3, "")


@needs_gcc
@pytest.mark.parametrize(
    ("lines", "fact", "remedy"),
    [
        (["fault.cuInit=802"], "not ready: cuInit returned 802 (CUDA_ERROR_SYSTEM_NOT_READY)", "nvidia-fabricmanager"),
        (["gpus=0"], "CUDA finds no GPU on this machine", "doctor"),
        (["fault.nvmlInitWithFlags=9"], "nvmlInit returned 9 (NVML_ERROR_DRIVER_NOT_LOADED)", "modprobe nvidia"),
        (["cuda_version=12020"], "the driver supports CUDA 12.2; 12.8 or newer is needed", "driver 570"),
        (["fault.nvmlInitWithFlags=4"], "no permission for the GPUs: nvmlInit returned 4", "as root"),
        (["fault.cuInit=999"], "cuInit returned 999 (CUDA_ERROR_UNKNOWN)", "doctor"),
    ],
)
def test_a_driver_that_does_not_work(machine: StubMachine, lines: list[str], fact: str, remedy: str) -> None:
    machine.set(*lines)
    answer = machine.ask("node.gpus")
    assert answer["kind"] == "DeviceUnavailable"
    assert fact in answer["fact"]
    assert remedy in answer["remedy"]


@needs_gcc
def test_a_gpu_that_does_not_exist_is_the_users_mistake(machine: StubMachine) -> None:
    done = machine.run("-c", _OPEN.replace("None, lambda", "(0, 8), lambda"))
    assert done.stdout.strip() == "GPU 8 does not exist: this node has GPUs 0 to 7"
    assert done.returncode == 2


@needs_gcc
def test_hidden_gpus_are_seen(machine: StubMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    order, visible = machine.ask(
        "__import__('os').environ['CUDA_DEVICE_ORDER']", "__import__('os').environ.get('CUDA_VISIBLE_DEVICES')"
    )
    assert (order, visible) == ("PCI_BUS_ID", None)


@needs_gcc
@pytest.mark.parametrize("call", ["cuStreamSynchronize", "cuLaunchKernel", "cuMemAlloc_v2"])
def test_a_call_that_hangs_was_announced_before_it_began(machine: StubMachine, call: str) -> None:
    machine.set(f"gpu1.fault.{call}=hang")
    script = (
        "from gpuaccept.device.nvidia import open_nvidia\n"
        "node = open_nvidia(None, lambda gpu, call: print(gpu, call, flush=True))\n"
        "node.memory_sweep(1, 'copy', 1 << 20, 1, 1)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], env=machine.environment, stdout=subprocess.PIPE, bufsize=0)
    try:
        assert child.stdout is not None
        wanted = f"1 {call.removesuffix('_v2')}\n".encode()
        assert any(line == wanted for line in child.stdout)
        more, _, _ = select.select([child.stdout], [], [], 0.5)
        assert not more, "the call returned"
    finally:
        child.kill()
        child.communicate()


class _SaysVersion:
    def call(self, gpu: int | None, name: str, *arguments: object) -> str:
        return "580.95.05"


@pytest.mark.parametrize(
    ("line", "module"), [(None, "is not loaded"), ("Module  570.86.15", "is 570.86.15"), ("Module  580.95.05", "")]
)
def test_a_real_driver_that_does_not_match_its_kernel_module_is_never_measured(
    tmp_path: Path, line: str | None, module: str
) -> None:
    if line:
        (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
        (tmp_path / "proc/driver/nvidia/version").write_text(f"NVRM version: NVIDIA UNIX x86_64 Kernel {line}  Mon\n")

    def node(stub: bool) -> NvidiaNode:
        nothing = None
        return NvidiaNode(_SaysVersion(), nothing, (), None, Host(tmp_path), stub, lambda *_: None)  # type: ignore[arg-type]

    node(stub=True).check_driver()
    if module:
        with pytest.raises(DeviceError, match=f"the driver does not match: NVML says 580.95.05, .* {module}"):
            node(stub=False).check_driver()
    else:
        node(stub=False).check_driver()


def test_the_uuid_alone_gives_a_stub_away() -> None:
    assert is_stub(("GPU-12345678-0000-0000-0000-000000000000", "GPU-57ab57ab-57ab-57ab-57ab-57ab57ab5700"))


@needs_gcc
def test_the_symbol_alone_gives_a_stub_away(machine: StubMachine) -> None:
    done = machine.run("-c", "from gpuaccept.device.nvidia.loaded import is_stub; print(is_stub(()))")
    assert done.stdout.strip() == "True"


def test_libraries_are_those_that_are_mapped(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.580.95.05"
    library.write_bytes(b"driver")
    other = tmp_path / "libcudart.so.13"
    maps = tmp_path / "maps"
    maps.write_text(
        f"7f00-7f01 r-xp 0 0 0   {library}\n7f01-7f02 r-xp 0 0 0   {library}\n7f02-7f03 r-xp 0 0 0 {other}\n"
    )
    (layer,) = libraries(maps)
    assert layer.name == str(library)
    assert layer.sha256 == hashlib.sha256(b"driver").hexdigest()


def test_a_mock_run_imports_nothing_of_nvidia() -> None:
    script = (
        "import sys, gpuaccept.device.nvidia; print([m for m in sys.modules if m.split('.')[0] in ('cuda', 'pynvml')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
