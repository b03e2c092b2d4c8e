"""Which GPU is which: one index in PCI order for what PCI, NVML and CUDA each number in their own way."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gpuaccept.check import DeviceError, Unavailable
from gpuaccept.device.nvidia.calls import Cuda, Nvml


@dataclass(frozen=True)
class Gpu:
    """One GPU of the node. `ordinal` is CUDA's, None where CUDA does not see it; `handle` None: it is not open here."""

    index: int
    handle: Any
    ordinal: int | None
    uuid: str
    pci_bus_id: str
    pci_device_id: str
    pci_subsystem_id: str

    @property
    def pci_address(self) -> str:
        """As sysfs writes it: 0000:1b:00.0."""
        return sysfs_address(self.pci_bus_id)


def find_gpus(
    nvml: Nvml, cuda: Cuda, known: tuple[str, ...] = (), wanted: tuple[int, ...] | None = None
) -> tuple[Gpu, ...]:
    """All GPUs that NVML can open, in PCI order. One that is lost is left out: it has no identity any more.

    With `known`, the PCI addresses that another process found, by index, only the GPUs `wanted` are opened: what is
    wrong with another one holds nothing up here, and none takes another's index. The others, and a wanted one that is
    lost since, have no handle.
    """
    ordinals = _ordinals(cuda)
    if known:
        return tuple(
            _known(nvml, index, address, ordinals, wanted is None or index in wanted)
            for index, address in enumerate(known)
        )
    found = []
    for number in range(nvml.call(None, "nvmlDeviceGetCount")):
        with suppress(DeviceError):
            handle = nvml.call(number, "nvmlDeviceGetHandleByIndex", number)
            pci = nvml.call(number, "nvmlDeviceGetPciInfo", handle)
            found.append((sysfs_address(_text(pci.busId)), pci, handle, _uuid(nvml, number, handle)))
    found.sort(key=lambda entry: entry[0])
    return tuple(
        _gpu(index, pci, handle, ordinals.get(address), uuid)
        for index, (address, pci, handle, uuid) in enumerate(found)
    )


def _known(nvml: Nvml, index: int, address: str, ordinals: dict[str, int], wanted: bool) -> Gpu:
    if wanted:
        with suppress(DeviceError):
            handle = nvml.call(index, "nvmlDeviceGetHandleByPciBusId", address.encode())
            pci = nvml.call(index, "nvmlDeviceGetPciInfo", handle)
            return _gpu(index, pci, handle, ordinals.get(sysfs_address(address)), _uuid(nvml, index, handle))
    return Gpu(index, None, None, "", address, "", "")


def _gpu(index: int, pci: Any, handle: Any, ordinal: int | None, uuid: str) -> Gpu:
    return Gpu(
        index=index,
        handle=handle,
        ordinal=ordinal,
        uuid=uuid,
        pci_bus_id=_text(pci.busId),
        pci_device_id=f"{pci.pciDeviceId >> 16:04X}",
        pci_subsystem_id=f"{pci.pciSubSystemId >> 16:04X}",
    )


def sysfs_address(bus_id: str) -> str:
    """`00000000:1B:00.0` (NVML) and `0000:1B:00.0` (CUDA) as sysfs has it: `0000:1b:00.0`."""
    domain, rest = bus_id.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def _ordinals(cuda: Cuda) -> dict[str, int]:
    found: dict[str, int] = {}
    if cuda.lacking:
        return found
    for ordinal in range(cuda.call(None, "cuDeviceGetCount")):
        with suppress(DeviceError):
            device = cuda.call(None, "cuDeviceGet", ordinal)
            address = cuda.call(None, "cuDeviceGetPCIBusId", 32, device)
            found[sysfs_address(_text(address))] = ordinal
    return found


def _uuid(nvml: Nvml, gpu: int, handle: Any) -> str:
    uuid = nvml.read(gpu, "nvmlDeviceGetUUID", handle)
    return "" if isinstance(uuid, Unavailable) else str(uuid)


def _text(value: str | bytes) -> str:
    """Text up to the first NUL: what follows in a C buffer is not text."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return text.partition("\0")[0]
