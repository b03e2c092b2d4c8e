"""Every driver entry point that gpuaccept calls: one more here is one more thing that a driver must have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

CUDA = """
cuCtxEnablePeerAccess cuCtxSetCurrent cuDeviceCanAccessPeer cuDeviceGet cuDeviceGetAttribute cuDeviceGetCount
cuDeviceGetPCIBusId cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRetain cuDriverGetVersion cuEventCreate
cuEventDestroy_v2 cuEventElapsedTime_v2 cuEventQuery cuEventRecord cuInit cuLaunchKernel cuMemAddressFree
cuMemAddressReserve cuMemAlloc_v2 cuMemCreate cuMemFreeHost cuMemFree_v2 cuMemGetInfo_v2 cuMemHostAlloc cuMemMap
cuMemRelease cuMemSetAccess cuMemUnmap cuMemcpyDtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyHtoDAsync_v2
cuMemcpyPeerAsync cuMemsetD32Async cuModuleGetFunction cuModuleLoadData cuModuleUnload
cuOccupancyMaxActiveBlocksPerMultiprocessor cuStreamCreate cuStreamDestroy_v2 cuStreamSynchronize
"""
NVML = """
nvmlDeviceGetBoardPartNumber nvmlDeviceGetClockInfo nvmlDeviceGetComputeMode nvmlDeviceGetComputeRunningProcesses_v3
nvmlDeviceGetCount_v2 nvmlDeviceGetCudaComputeCapability nvmlDeviceGetCurrPcieLinkGeneration
nvmlDeviceGetCurrPcieLinkWidth nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetEccMode
nvmlDeviceGetEnforcedPowerLimit nvmlDeviceGetFieldValues nvmlDeviceGetGpuFabricInfoV nvmlDeviceGetHandleByIndex_v2
nvmlDeviceGetInforomImageVersion nvmlDeviceGetMarginTemperature nvmlDeviceGetMaxClockInfo
nvmlDeviceGetMaxPcieLinkGeneration nvmlDeviceGetMaxPcieLinkWidth nvmlDeviceGetMemoryErrorCounter
nvmlDeviceGetMemoryInfo_v2 nvmlDeviceGetMigMode nvmlDeviceGetModuleId nvmlDeviceGetName
nvmlDeviceGetNvLinkRemoteDeviceType nvmlDeviceGetNvLinkRemotePciInfo_v2 nvmlDeviceGetNvLinkVersion
nvmlDeviceGetP2PStatus nvmlDeviceGetPciInfo_v3 nvmlDeviceGetPersistenceMode nvmlDeviceGetPlatformInfo
nvmlDeviceGetRemappedRows nvmlDeviceGetRepairStatus nvmlDeviceGetRowRemapperHistogram nvmlDeviceGetSerial
nvmlDeviceGetSramEccErrorStatus nvmlDeviceGetSupportedEventTypes nvmlDeviceGetTemperatureV
nvmlDeviceGetTopologyCommonAncestor nvmlDeviceGetUUID nvmlDeviceGetVbiosVersion nvmlDeviceRegisterEvents
nvmlDeviceValidateInforom nvmlEventSetCreate nvmlEventSetFree nvmlEventSetWait_v2 nvmlInitWithFlags nvmlShutdown
nvmlSystemGetConfComputeState nvmlSystemGetCudaDriverVersion_v2 nvmlSystemGetDriverVersion nvmlSystemGetNVMLVersion
"""
CUBLASLT = """
cublasLtCreate cublasLtDestroy cublasLtGetVersion cublasLtMatmul cublasLtMatmulAlgoGetHeuristic
cublasLtMatmulDescCreate cublasLtMatmulDescDestroy cublasLtMatmulDescSetAttribute cublasLtMatmulPreferenceCreate
cublasLtMatmulPreferenceDestroy cublasLtMatmulPreferenceSetAttribute cublasLtMatrixLayoutCreate
cublasLtMatrixLayoutDestroy
"""
_OWN_KERNEL = "cuOccupancyMaxActiveBlocksPerMultiprocessor"
_BESIDE_CUBLASLT = "cuStreamWaitEvent"
SMALL = ("attribute16=2", "memory_mb=128")
EVERYTHING = (
    "node.facts()",
    "node.settings(0)",
    "node.ecc(0)",
    "node.links(0)",
    "node.fabric(0)",
    "node.pair(0, 1)",
    "node.link_traffic(0)",
    "node.xids(0)",
    "node.processes(0)",
    "node.host()",
    "node.pcie(0, True)",
    *(f"node.memory_sweep(0, {kernel!r}, MIB, 1, 1)" for kernel in ("read", "write", "copy", "triad", "local_copy_ce")),
    "node.memory_regions(0, 32 * MIB, 1, 1)",
    *(f"node.host_copies((0,), {way!r}, 'ce', False, MIB, 1, 1)" for way in ("host_to_device", "device_to_host")),
    *(f"node.peer_copies(((0, 1),), 'read', {engine!r}, True, MIB, 1, 1)" for engine in ("ce", "sm")),
    "node.integrity_begin(0, 0.5)",
    "node.integrity_step(0, None, Pattern('solid', 0))",
    "node.integrity_end(0)",
    "node.load_begin(0, 1)",
    "list(node.sensors((0,), 0.2, 0.1))",
    "node.load_end(0)",
    "node.gemm(0, 'bf16', 128, 1, 1)",
)


@pytest.mark.parametrize("cublaslt", [False, True])
def test_no_entry_point_is_called_that_is_not_listed(machine: StubMachine, cublaslt: bool) -> None:
    machine.set(*SMALL)
    replace(machine, cublaslt=cublaslt).ask(*EVERYTHING)
    called = {line.split()[1] for line in machine.log.read_text().splitlines() if line.startswith("call ")}
    listed = {*CUDA.split(), *NVML.split()}
    # only our own kernel asks how many of its blocks fit, and needs no stream beside for its copies
    with_cublaslt = listed - {_OWN_KERNEL} | {*CUBLASLT.split(), _BESIDE_CUBLASLT}
    assert called == (with_cublaslt if cublaslt else listed)
