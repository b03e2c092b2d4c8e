"""The link between a GPU and its host: PCIe, and C2C on the GPUs that have it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pynvml

from gpuaccept.check import Pcie, Reading, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.pci_tree import aer

_MOST_C2C_LINKS = 64


class C2c(NamedTuple):
    """Links of a GPU to the Grace beside it: how many, how many of them active, and the CRC errors of all."""

    links: Reading
    active: Reading
    errors: Reading


def pcie(nvml: Nvml, gpu: Gpu, root: Path) -> Pcie:
    """State and counters as they are now. An idle link may be slow: only under load do generation and width count."""

    def read(name: str) -> Reading:
        return nvml.read(gpu.index, name, gpu.handle)

    (replays,) = nvml.fields(gpu.index, gpu.handle, [(pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, 0)])
    if isinstance(replays, Unavailable):
        replays = read("nvmlDeviceGetPcieReplayCounter")
    errors, chip = aer(root, gpu.pci_address), c2c(nvml, gpu)
    return Pcie(
        generation=read("nvmlDeviceGetCurrPcieLinkGeneration"),
        generation_max=read("nvmlDeviceGetMaxPcieLinkGeneration"),
        width=read("nvmlDeviceGetCurrPcieLinkWidth"),
        width_max=read("nvmlDeviceGetMaxPcieLinkWidth"),
        replays=replays,
        aer_correctable=errors.correctable,
        aer_nonfatal=errors.nonfatal,
        aer_fatal=errors.fatal,
        c2c_links=chip.links,
        c2c_links_active=chip.active,
        c2c_errors=chip.errors,
    )


def at_full_speed(link: Pcie) -> bool:
    """Whether a link runs as fast and as wide as GPU and slot allow together."""
    return link.generation == link.generation_max and link.width == link.width_max


def c2c(nvml: Nvml, gpu: Gpu) -> C2c:
    """All C2C links of a GPU, each asked for by its number as scope. A GPU that counts none of them has none."""
    (count,) = nvml.fields(gpu.index, gpu.handle, [(pynvml.NVML_FI_DEV_C2C_LINK_COUNT, 0)])
    if isinstance(count, Unavailable):
        return C2c(count, count, count)
    numbers = range(min(int(count), _MOST_C2C_LINKS))
    if not numbers:
        return C2c(0, 0, 0)

    def total(field: int) -> Reading:
        values = nvml.fields(gpu.index, gpu.handle, [(field, number) for number in numbers])
        missing = next((value for value in values if isinstance(value, Unavailable)), None)
        return missing or sum(int(value) for value in values if not isinstance(value, Unavailable))

    return C2c(int(count), total(pynvml.NVML_FI_DEV_C2C_LINK_GET_STATUS), total(pynvml.NVML_FI_DEV_C2C_LINK_ERROR_INTR))
