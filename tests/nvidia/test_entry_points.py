"""Every driver entry point that gpuaccept calls: one more here is one more thing that a driver must have."""

from __future__ import annotations

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

CUDA = """
cuCtxSetCurrent cuDeviceGet cuDeviceGetAttribute cuDeviceGetCount cuDeviceGetPCIBusId cuDevicePrimaryCtxRelease_v2
cuDevicePrimaryCtxRetain cuDriverGetVersion cuEventCreate cuEventDestroy_v2 cuEventElapsedTime_v2 cuEventRecord
cuGetExportTable cuInit cuLaunchKernel cuMemAlloc_v2 cuMemFreeHost cuMemFree_v2 cuMemHostAlloc cuMemcpyDtoDAsync_v2
cuMemcpyDtoHAsync_v2 cuMemcpyHtoDAsync_v2 cuMemsetD32Async cuModuleGetFunction cuModuleLoadData cuStreamCreate
cuStreamDestroy_v2 cuStreamSynchronize
"""
NVML = """
nvmlDeviceGetBoardPartNumber nvmlDeviceGetClockInfo nvmlDeviceGetComputeMode nvmlDeviceGetCount_v2
nvmlDeviceGetCudaComputeCapability nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetEccMode
nvmlDeviceGetEnforcedPowerLimit nvmlDeviceGetFieldValues nvmlDeviceGetGpuFabricInfoV nvmlDeviceGetHandleByIndex_v2
nvmlDeviceGetInforomImageVersion nvmlDeviceGetMarginTemperature nvmlDeviceGetMaxClockInfo
nvmlDeviceGetMemoryErrorCounter nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetMigMode nvmlDeviceGetModuleId
nvmlDeviceGetName nvmlDeviceGetNvLinkRemoteDeviceType nvmlDeviceGetNvLinkRemotePciInfo_v2 nvmlDeviceGetNvLinkVersion
nvmlDeviceGetP2PStatus nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPersistenceMode nvmlDeviceGetRemappedRows
nvmlDeviceGetRepairStatus nvmlDeviceGetRowRemapperHistogram nvmlDeviceGetSerial nvmlDeviceGetSramEccErrorStatus
nvmlDeviceGetTemperatureV nvmlDeviceGetTopologyCommonAncestor nvmlDeviceGetUUID nvmlDeviceGetVbiosVersion
nvmlInitWithFlags nvmlShutdown nvmlSystemGetConfComputeState nvmlSystemGetCudaDriverVersion_v2
nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion
"""
EVERYTHING = (
    "node.facts()",
    "node.settings(0)",
    "node.ecc(0)",
    "node.links(0)",
    "node.fabric(0)",
    "node.pair(0, 1)",
    "list(node.sensors((0,), 0.0, 1.0))",
    *(f"node.memory_sweep(0, {kernel!r}, MIB, 1, 1)" for kernel in ("read", "write", "copy", "triad", "local_copy_ce")),
    *(f"node.host_copies((0,), {way!r}, 'ce', False, MIB, 1, 1)" for way in ("host_to_device", "device_to_host")),
)


def test_no_entry_point_is_called_that_is_not_listed(machine: StubMachine) -> None:
    machine.ask(*EVERYTHING)
    called = {line.split()[1] for line in machine.log.read_text().splitlines() if line.startswith("call ")}
    assert called == {*CUDA.split(), *NVML.split()}
