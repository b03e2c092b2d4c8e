"""The stub refuses what a driver refuses: code that would fail on a GPU must not pass here."""

from __future__ import annotations

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

_SETUP = """
import ctypes, pynvml
from cuda.bindings import driver
driver.cuInit(0)
def context():
    driver.cuCtxSetCurrent(driver.cuDevicePrimaryCtxRetain(0)[1])
def code(result):
    print(int(result[0]))
"""


def codes(machine: StubMachine, script: str) -> list[int]:
    done = machine.run("-c", _SETUP + script)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


def test_memory_needs_a_context(machine: StubMachine) -> None:
    assert codes(machine, "code(driver.cuMemAlloc(4096))") == [201]


def test_overruns_double_frees_and_foreign_pointers(machine: StubMachine) -> None:
    script = """
context()
a, b = driver.cuMemAlloc(4096)[1], driver.cuMemAlloc(4096)[1]
stream = driver.cuStreamCreate(0)[1]
code(driver.cuMemcpyDtoDAsync(a, b, 4096, stream))
code(driver.cuMemcpyDtoDAsync(a, b, 4097, stream))
code(driver.cuMemcpyDtoDAsync(int(a) + 4, b, 4096, stream))
code(driver.cuMemcpyHtoDAsync(4096, 4096, 4, stream))
code(driver.cuMemsetD32Async(a, 0, 1025, stream))
code(driver.cuMemFree(a))
code(driver.cuMemFree(a))
code(driver.cuMemAlloc(0))
code(driver.cuMemAlloc(1 << 40))
"""
    assert codes(machine, script) == [0, 1, 1, 1, 1, 0, 1, 1, 2]


def test_code_for_another_gpu_and_code_that_is_none(machine: StubMachine) -> None:
    script = """
context()
from gpuaccept.device.nvidia.cubins import compile_cubin
code(driver.cuModuleLoadData(compile_cubin("stream.cu", "sm_100")))
code(driver.cuModuleLoadData(compile_cubin("stream.cu", "sm_90")))
code(driver.cuModuleLoadData(compile_cubin("stream.cu", "sm_103")))
code(driver.cuModuleLoadData(b"not code".ljust(64)))
"""
    assert codes(machine, script) == [0, 209, 209, 200]


def test_launches_that_no_gpu_takes_and_kernels_that_are_not_there(machine: StubMachine) -> None:
    script = """
context()
from gpuaccept.device.nvidia.cubins import compile_cubin
module = driver.cuModuleLoadData(compile_cubin("stream.cu", "sm_100"))[1]
code(driver.cuModuleGetFunction(module, b"no_such_kernel"))
kernel = driver.cuModuleGetFunction(module, b"hold")[1]
stream = driver.cuStreamCreate(0)[1]
latch = int(driver.cuMemHostAlloc(8, 0)[1])
arguments = ((latch, 0), (ctypes.c_void_p, ctypes.c_uint64))
for blocks, threads in ((1, 1), (0, 1), (1, 2048)):
    code(driver.cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, 0))
"""
    assert codes(machine, script) == [500, 0, 1, 1]


def test_structs_of_another_version(machine: StubMachine) -> None:
    script = """
pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
def nvml(call):
    try:
        call(); print(0)
    except pynvml.NVMLError as error:
        print(error.value)
nvml(lambda: pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2))
nvml(lambda: pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2 + 1))
for struct in (pynvml.c_nvmlGpuFabricInfo_v3_t, pynvml.c_nvmlGpuFabricInfo_v2_t):
    value = struct(); value.version = 7
    nvml(lambda: pynvml.nvmlDeviceGetGpuFabricInfoV(gpu, ctypes.byref(value)))
value = pynvml.c_nvmlEccSramErrorStatus_v1_t(); value.version = 7
nvml(lambda: pynvml.nvmlDeviceGetSramEccErrorStatus(gpu, ctypes.byref(value)))
nvml(lambda: pynvml.nvmlDeviceGetHandleByIndex(8))
"""
    assert codes(machine, script) == [0, 25, 25, 25, 25, 2]


def test_an_entry_point_that_is_newer_than_the_driver_is_missing(machine: StubMachine) -> None:
    machine.set("cuda_version=12020")
    script = """
try:
    driver.cuEventElapsedTime(0, 0)
except RuntimeError:
    print(1)
"""
    assert codes(machine, script) == [1]
