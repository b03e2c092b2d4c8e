"""Any driver call of a measurement may fail, once, at any time: it is never a result, and nothing stays taken."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

SMALL = ("attribute16=2", "memory_mb=96")
MEASUREMENTS = {
    "sweep": "node.memory_sweep(0, 'triad', MIB, 2, 7)",
    "regions": "node.memory_regions(0, 32 * MIB, 1, 7)",
    "hosts": "node.host_copies((0,), 'device_to_host', 'ce', True, MIB, 2, 7)",
    "peers": "node.peer_copies(((0, 1),), 'read', 'ce', True, MIB, 2, 7)",
    "gemm": "node.gemm(0, 'bf16', 128, 2, 7)",
}
CALLS = {
    "sweep": "cuDevicePrimaryCtxRetain cuCtxSetCurrent cuModuleLoadData cuModuleGetFunction cuStreamCreate "
    "cuEventCreate cuMemAlloc_v2 cuMemHostAlloc cuLaunchKernel cuEventRecord cuEventElapsedTime_v2 cuStreamSynchronize "
    "cuMemsetD32Async cuMemcpyDtoHAsync_v2",
    "regions": "cuMemGetInfo_v2 cuMemSetAccess cuLaunchKernel",
    "hosts": "cuStreamCreate cuMemHostAlloc cuMemcpyDtoHAsync_v2 cuMemcpyHtoDAsync_v2",
    "peers": "cuDeviceCanAccessPeer cuCtxEnablePeerAccess cuMemAlloc_v2 cuMemcpyPeerAsync cuStreamSynchronize",
    "gemm": "cuMemAlloc_v2 cuMemcpyHtoDAsync_v2 cublasLtMatmul",
}
NTH = (1, 4)
CASES = [(name, call, nth) for name, calls in CALLS.items() for call in calls.split() for nth in NTH]


@pytest.mark.parametrize(("name", "call", "nth"), CASES)
def test_one_call_that_fails_is_an_error_once_and_leaves_nothing_behind(
    machine: StubMachine, name: str, call: str, nth: int
) -> None:
    machine.set(*SMALL, f"fault.{call}=999@{nth}")
    installed = replace(machine, cublaslt=name == "gemm")
    first, again = installed.ask(MEASUREMENTS[name], MEASUREMENTS[name])
    failed = [answer for answer in (first, again) if ", 999, " in str(answer)]
    made = machine.log.read_text().count(f"call {call}\n")
    assert len(failed) == (made >= nth), (first, again)
    assert all("CUDA_ERROR_UNKNOWN" in str(answer) or "CUBLAS_STATUS" in str(answer) for answer in failed)
    assert machine.left() == []


@pytest.mark.parametrize("call", ["cuStreamSynchronize", "cuLaunchKernel"])
def test_a_call_that_hangs_has_a_name(machine: StubMachine, call: str) -> None:
    """The heartbeat names the call before it is made; the supervisor kills the worker after it."""
    machine.set(f"gpu1.fault.{call}=hang")
    script = f"""
import sys
from gpuaccept.device.nvidia import open_nvidia
node = open_nvidia(None, lambda gpu, call: print(gpu, call, flush=True))
node.memory_sweep(1, "copy", {1 << 20}, 1, 1)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=6)
        raise AssertionError(f"it ended: {said}")
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    assert said.split("\n")[-2] == f"1 {call}"


def test_code_for_another_gpu_is_refused(machine: StubMachine) -> None:
    """The driver looks at the architecture in the code itself."""
    machine.set("fault.cuModuleLoadData=209")
    (answer,) = machine.ask(MEASUREMENTS["sweep"])
    assert answer["error"][:2] == ["cuModuleLoadData", 209]
    assert "CUDA_ERROR_NO_BINARY_FOR_GPU" in answer["error"][2]
    assert machine.left() == []
