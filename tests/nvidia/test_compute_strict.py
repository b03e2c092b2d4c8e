"""The stub refuses what a driver refuses between GPUs and in virtual memory."""

from __future__ import annotations

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

_SETUP = """
import ctypes
from cuda.bindings import driver
driver.cuInit(0)
contexts = [driver.cuDevicePrimaryCtxRetain(gpu)[1] for gpu in (0, 1)]
def on(gpu):
    driver.cuCtxSetCurrent(contexts[gpu])
def code(result):
    print(int(result[0]))
"""


def codes(machine: StubMachine, script: str) -> list[int]:
    done = machine.run("-c", _SETUP + script)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def test_a_kernel_reaches_a_peer_only_after_access_was_enabled(machine: StubMachine) -> None:
    script = """
from gpuaccept.device.nvidia.cubins import compile_cubin
on(1)
far = driver.cuMemAlloc(16384)[1]
on(0)
near = driver.cuMemAlloc(16384)[1]
module = driver.cuModuleLoadData(compile_cubin("stream.cu", "sm_100"))[1]
copy = driver.cuModuleGetFunction(module, b"bw_copy")[1]
stream = driver.cuStreamCreate(0)[1]
def launch(source, target):
    arguments = ((int(source), int(target)), (ctypes.c_void_p, ctypes.c_void_p))
    code(driver.cuLaunchKernel(copy, 1, 1, 1, 256, 1, 1, 0, stream, arguments, 0))
launch(near, near)
launch(near, far)
code(driver.cuCtxEnablePeerAccess(contexts[1], 0))
code(driver.cuCtxEnablePeerAccess(contexts[1], 0))
code(driver.cuCtxEnablePeerAccess(contexts[0], 0))
launch(far, near)
launch(near, 4096)
code(driver.cuMemcpyPeerAsync(near, contexts[1], far, contexts[0], 4096, stream))
"""
    assert codes(machine, script) == [0, 700, 0, 704, 217, 0, 700, 1]


def test_virtual_memory_is_used_only_where_a_handle_is_mapped_and_access_was_set(machine: StubMachine) -> None:
    machine.set("memory_mb=4")
    script = """
on(0)
PAGE = 2 << 20
what = driver.CUmemAllocationProp()
what.type = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
what.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
access = driver.CUmemAccessDesc()
access.location = what.location
access.flags = driver.CUmemAccess_flags.CU_MEM_ACCESS_FLAGS_PROT_READWRITE
stream = driver.cuStreamCreate(0)[1]
base = driver.cuMemAddressReserve(2 * PAGE, 0, 0, 0)[1]
code(driver.cuMemCreate(4096, what, 0))
handle = driver.cuMemCreate(PAGE, what, 0)[1]
code(driver.cuMemMap(base, 2 * PAGE, 0, handle, 0))
code(driver.cuMemMap(base, PAGE, 0, handle, 0))
code(driver.cuMemMap(int(base) + PAGE, PAGE, 0, handle, 0))
code(driver.cuMemsetD32Async(base, 0, 4, stream))
code(driver.cuMemSetAccess(base, 2 * PAGE, [access], 1))
code(driver.cuMemSetAccess(base, PAGE, [access], 1))
code(driver.cuMemsetD32Async(base, 0, 4, stream))
code(driver.cuMemRelease(handle))
code(driver.cuMemRelease(handle))
code(driver.cuMemCreate(2 * PAGE, what, 0))
code(driver.cuMemUnmap(base, PAGE))
code(driver.cuMemCreate(2 * PAGE, what, 0))
code(driver.cuMemsetD32Async(base, 0, 4, stream))
"""
    assert codes(machine, script) == [1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 2, 0, 0, 1]
