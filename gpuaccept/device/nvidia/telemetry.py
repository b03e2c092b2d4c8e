"""Identity, modes, error counters, fabric and peers of one GPU, by NVML's newest calls with the older ones behind."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import Any

import pynvml
from msgspec import UNSET, UnsetType

from gpuaccept.check import DeviceError, EccCounters, Fabric, PairStatus, Reading, Settings, Unavailable
from gpuaccept.data import GpuFacts, Platform
from gpuaccept.device.nvidia.calls import Cuda, Nvml
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.words import translated, word

_P2P_READ, _P2P_WRITE = 0, 1
"""pynvml's constant for the first is a tuple by mistake."""
_ENABLED = {0: "disabled", 1: "enabled"}
_COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
_RECOVERY_ACTIONS = {
    0: "none",
    1: "gpu reset",
    2: "node reboot",
    3: "drain p2p",
    4: "drain and reset",
    5: "recover imex domain",
    6: "bus reset",
    7: "system reboot",
}
_FABRIC_STATES = {0: "not supported", 1: "not started", 2: "in progress", 3: "completed"}
_P2P_STATUS = {
    0: "ok",
    1: "chipset not supported",
    2: "gpu not supported",
    3: "topology not supported",
    4: "disabled by regkey",
    5: "not supported",
    6: "unknown",
}
_ANCESTORS = {0: "internal", 10: "single", 20: "multiple", 30: "hostbridge", 40: "node", 50: "system"}
_FABRIC_FLAGS = ((0, "degraded bandwidth"), (2, "route recovery"), (4, "route unhealthy"), (6, "access timeout"))
"""Bit position of each two-bit flag of the health mask: 1 is set, 0 and 2 are not supported and not set."""
_FABRIC_CONFIGURATION_SHIFT, _FABRIC_CONFIGURATION_MASK = 8, 0xF
_FABRIC_CONFIGURATION = {
    2: "wrong system guid",
    3: "wrong chassis serial",
    4: "no partition",
    5: "not enough nvlinks",
    6: "incompatible firmware",
    7: "invalid location",
    8: "gpu state invalid",
}
_FABRIC_SUMMARY_HEALTHY = (
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_NOT_SUPPORTED,
    pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY,
)


def gpu_facts(nvml: Nvml, cuda: Cuda, gpu: Gpu) -> GpuFacts:
    """Who this GPU is. Raises DeviceError where it is lost or its memory size can't be read."""
    memory = nvml.call(gpu.index, "nvmlDeviceGetMemoryInfo", gpu.handle, pynvml.nvmlMemory_v2)

    def text(name: str) -> str | None:
        value = nvml.read(gpu.index, name, gpu.handle)
        return None if isinstance(value, Unavailable) else str(value)

    module, platform = _module_and_platform(nvml, gpu)
    capability = nvml.read(
        gpu.index, "nvmlDeviceGetCudaComputeCapability", gpu.handle, convert=lambda pair: f"{pair[0]}.{pair[1]}"
    )
    return GpuFacts(
        index=gpu.index,
        name=text("nvmlDeviceGetName") or "",
        uuid=gpu.uuid,
        serial=text("nvmlDeviceGetSerial"),
        board_part_number=text("nvmlDeviceGetBoardPartNumber"),
        vbios=text("nvmlDeviceGetVbiosVersion"),
        inforom_image=text("nvmlDeviceGetInforomImageVersion"),
        pci_bus_id=gpu.pci_bus_id,
        pci_device_id=gpu.pci_device_id,
        pci_subsystem_id=gpu.pci_subsystem_id,
        module_id=module,
        memory_total_bytes=memory.total,
        sm_count=_sm_count(cuda, gpu),
        compute_capability=capability if isinstance(capability, str) else None,
        platform=platform,
    )


def _module_and_platform(nvml: Nvml, gpu: Gpu) -> tuple[int | None, Platform | UnsetType]:
    """The socket on the baseboard, and the place in the rack that Blackwell and newer know."""
    module = nvml.read(gpu.index, "nvmlDeviceGetModuleId", gpu.handle)
    info = _filled(nvml, gpu, "nvmlDeviceGetPlatformInfo", pynvml.c_nvmlPlatformInfo_v2_t)
    if isinstance(info, Unavailable):
        return module if isinstance(module, int) else None, UNSET
    raw = bytes(info)  # the members are C chars, and 0xFF is no text
    serial = _platform(raw, "chassisSerialNumber").split(b"\0")[0].decode("ascii", "replace").strip()
    slot, tray, own = (_platform(raw, name)[0] for name in ("slotNumber", "trayIndex", "moduleId"))
    place = Platform(chassis_serial=serial, slot=slot, tray=tray) if serial else UNSET
    return module if isinstance(module, int) else own, place


def _platform(raw: bytes, member: str) -> bytes:
    field = getattr(pynvml.c_nvmlPlatformInfo_v2_t, member)
    return raw[field.offset : field.offset + field.size]


def _sm_count(cuda: Cuda, gpu: Gpu) -> int | None:
    if gpu.ordinal is None:
        return None
    attribute = cuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
    return int(cuda.call(gpu.index, "cuDeviceGetAttribute", attribute, gpu.ordinal))


def settings(nvml: Nvml, gpu: Gpu) -> Settings:
    """Modes and limits, current and pending."""
    ecc, ecc_pending = _pair(nvml, gpu, "nvmlDeviceGetEccMode")
    mig, mig_pending = _pair(nvml, gpu, "nvmlDeviceGetMigMode")
    (recovery,) = nvml.fields(gpu.index, gpu.handle, [(pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, 0)])
    return Settings(
        ecc_mode=ecc,
        ecc_mode_pending=ecc_pending,
        mig_mode=mig,
        mig_mode_pending=mig_pending,
        persistence_mode=nvml.read(gpu.index, "nvmlDeviceGetPersistenceMode", gpu.handle, convert=word(_ENABLED)),
        compute_mode=nvml.read(gpu.index, "nvmlDeviceGetComputeMode", gpu.handle, convert=word(_COMPUTE_MODES)),
        cc_mode=nvml.read(
            gpu.index, "nvmlSystemGetConfComputeState", convert=lambda state: "on" if state.ccFeature else "off"
        ),
        power_limit_enforced_mw=nvml.read(gpu.index, "nvmlDeviceGetEnforcedPowerLimit", gpu.handle),
        sm_clock_max_mhz=nvml.read(gpu.index, "nvmlDeviceGetMaxClockInfo", gpu.handle, pynvml.NVML_CLOCK_SM),
        memory_clock_max_mhz=nvml.read(gpu.index, "nvmlDeviceGetMaxClockInfo", gpu.handle, pynvml.NVML_CLOCK_MEM),
        recovery_action=translated(recovery, _RECOVERY_ACTIONS),
        inforom=_inforom(nvml, gpu),
    )


def mig_is_on(nvml: Nvml, gpu: Gpu) -> bool:
    """Whether a GPU is in MIG mode. CUDA then sees it through an instance only, and no other GPU beside that (MIG user
    guide, "CUDA Device Enumeration")."""
    try:
        return _pair(nvml, gpu, "nvmlDeviceGetMigMode")[0] == "enabled"
    except DeviceError:
        return False


def _inforom(nvml: Nvml, gpu: Gpu) -> Reading:
    """Whether the checksums of the InfoROM are right; where the driver does not check them, whether it can be read."""
    checked, read = (
        nvml.read(gpu.index, call, gpu.handle, convert=lambda _: "")
        for call in ("nvmlDeviceValidateInforom", "nvmlDeviceGetInforomImageVersion")
    )
    unknown = [one for one in (checked, read) if isinstance(one, Unavailable)]
    if any(one.code == pynvml.NVML_ERROR_CORRUPTED_INFOROM for one in unknown):
        return "corrupt"
    return "valid" if not isinstance(checked, Unavailable) else read if isinstance(read, Unavailable) else "readable"


def ecc(nvml: Nvml, gpu: Gpu) -> EccCounters:
    """Error counters and repair state. SRAM's come from the SRAM status, or from its counters on older GPUs."""

    def counter(kind: int, since: int, location: int) -> Reading:
        return nvml.read(gpu.index, "nvmlDeviceGetMemoryErrorCounter", gpu.handle, kind, since, location)

    corrected, uncorrected = pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    volatile, aggregate = pynvml.NVML_VOLATILE_ECC, pynvml.NVML_AGGREGATE_ECC
    dram, sram = pynvml.NVML_MEMORY_LOCATION_DRAM, pynvml.NVML_MEMORY_LOCATION_SRAM
    status = _filled(nvml, gpu, "nvmlDeviceGetSramEccErrorStatus", pynvml.c_nvmlEccSramErrorStatus_v1_t)

    def of_sram(kind: int, since: int, *members: str) -> Reading:
        if isinstance(status, Unavailable):
            return counter(kind, since, sram)
        return int(sum(getattr(status, member) for member in members))

    rows = _several(nvml, gpu, "nvmlDeviceGetRemappedRows", lambda value: value, 4)
    banks = _several(nvml, gpu, "nvmlDeviceGetRowRemapperHistogram", _banks, 5)
    repair = _several(nvml, gpu, "nvmlDeviceGetRepairStatus", lambda value: value, 2)
    return EccCounters(
        dram_corrected_volatile=counter(corrected, volatile, dram),
        dram_uncorrected_volatile=counter(uncorrected, volatile, dram),
        sram_corrected_volatile=of_sram(corrected, volatile, "volatileCor"),
        sram_uncorrected_volatile=of_sram(uncorrected, volatile, "volatileUncParity", "volatileUncSecDed"),
        dram_corrected_aggregate=counter(corrected, aggregate, dram),
        dram_uncorrected_aggregate=counter(uncorrected, aggregate, dram),
        sram_corrected_aggregate=of_sram(corrected, aggregate, "aggregateCor"),
        sram_uncorrected_aggregate=of_sram(uncorrected, aggregate, "aggregateUncParity", "aggregateUncSecDed"),
        sram_threshold_exceeded=status if isinstance(status, Unavailable) else int(status.bThresholdExceeded != 0),
        remapped_rows_correctable=rows[0],
        remapped_rows_uncorrectable=rows[1],
        row_remapping_pending=rows[2],
        row_remapping_failure=rows[3],
        remap_banks_max=banks[0],
        remap_banks_high=banks[1],
        remap_banks_partial=banks[2],
        remap_banks_low=banks[3],
        remap_banks_none=banks[4],
        channel_repair_pending=repair[0],
        tpc_repair_pending=repair[1],
    )


def _banks(histogram: Any) -> tuple[int, ...]:
    return histogram.max, histogram.high, histogram.partial, histogram.low, histogram.none


def fabric(nvml: Nvml, gpu: Gpu) -> Fabric:
    """Fabric registration by its third version, or the second where the driver is older."""
    call = "nvmlDeviceGetGpuFabricInfoV"
    info = _filled(nvml, gpu, call, pynvml.c_nvmlGpuFabricInfo_v3_t)
    if isinstance(info, Unavailable):
        info = _filled(nvml, gpu, call, pynvml.c_nvmlGpuFabricInfo_v2_t)
    if isinstance(info, Unavailable):
        return Fabric(state=info, status=info, health=info)
    state = _FABRIC_STATES.get(info.state, f"unknown {info.state}")
    if state != "completed":  # the other members mean nothing before
        why = Unavailable(call, 0, f"fabric registration is {state}")
        return Fabric(state=state, status=why, health=why)
    status = "success" if info.status == pynvml.NVML_SUCCESS else f"error {info.status}"
    return Fabric(state=state, status=status, health=fabric_health(info.healthMask, getattr(info, "healthSummary", 0)))


def fabric_health(mask: int, summary: int) -> str:
    """`healthy`, or the flags of the health mask that are set; where only the summary complains, that."""
    flags = [name for shift, name in _FABRIC_FLAGS if mask >> shift & 3 == 1]
    configuration = mask >> _FABRIC_CONFIGURATION_SHIFT & _FABRIC_CONFIGURATION_MASK
    if configuration > 1:
        flags.append(_FABRIC_CONFIGURATION.get(configuration, f"incorrect configuration {configuration}"))
    if not flags and summary not in _FABRIC_SUMMARY_HEALTHY:
        limited = summary == pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_LIMITED_CAPACITY
        flags.append("limited capacity" if limited else "unhealthy")
    return ",".join(flags) or "healthy"


def pair(nvml: Nvml, gpu: Gpu, peer: Gpu) -> PairStatus:
    """P2P status of an ordered pair, and how far apart PCIe has them."""

    def p2p(capability: int) -> Reading:
        return nvml.read(
            gpu.index, "nvmlDeviceGetP2PStatus", gpu.handle, peer.handle, capability, convert=word(_P2P_STATUS)
        )

    return PairStatus(
        p2p_read=p2p(_P2P_READ),
        p2p_write=p2p(_P2P_WRITE),
        common_ancestor=nvml.read(
            gpu.index, "nvmlDeviceGetTopologyCommonAncestor", gpu.handle, peer.handle, convert=word(_ANCESTORS)
        ),
    )


def _pair(nvml: Nvml, gpu: Gpu, call: str) -> tuple[Reading, ...]:
    """A mode's current and pending state."""
    return _several(nvml, gpu, call, lambda value: [_ENABLED.get(mode, f"unknown {mode}") for mode in value], 2)


def _several(nvml: Nvml, gpu: Gpu, call: str, pick: Callable[[Any], Any], count: int) -> tuple[Reading, ...]:
    """The values of a call that returns several; one reason for all where it fails."""
    values: list[Reading] = []

    def keep(result: Any) -> Reading:
        values.extend(value if isinstance(value, str) else int(value) for value in pick(result))
        return 0

    outcome = nvml.read(gpu.index, call, gpu.handle, convert=keep)
    return (outcome,) * count if isinstance(outcome, Unavailable) else tuple(values)


def _filled(nvml: Nvml, gpu: Gpu, call: str, struct: type[Any]) -> Any:
    """For the calls that fill a caller's struct: the struct with its version set, or Unavailable."""
    value = struct()
    value.version = getattr(pynvml, struct.__name__.removeprefix("c_").removesuffix("_t"))
    outcome = nvml.read(gpu.index, call, gpu.handle, byref(value), convert=lambda _: 0)
    return outcome if isinstance(outcome, Unavailable) else value
