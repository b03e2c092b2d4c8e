"""What a node says of itself."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from gpuaccept.data.base import Value


class Platform(Value, frozen=True, kw_only=True):
    """Where a GPU sits in its rack, as NVML's platform information has it: serial of the chassis, slot, tray."""

    chassis_serial: str
    slot: int
    tray: int


UNKNOWN_COUNT = -1
"""Instead of a number of GPUs, where the driver could not be asked for it."""


class GpuFacts(Value, frozen=True, kw_only=True):
    """Identity of one GPU as NVML, CUDA and PCI name it. `index` is PCI order. Unknown is None."""

    index: int
    name: str
    uuid: str
    serial: str | None = None
    board_part_number: str | None = None
    vbios: str | None = None
    inforom_image: str | None = None
    pci_bus_id: str
    pci_device_id: str
    pci_subsystem_id: str
    module_id: int | None = None
    memory_total_bytes: int
    sm_count: int | None = None
    compute_capability: str | None = None
    platform: Platform | UnsetType = UNSET
    """Left out where NVML does not tell, as of most HGX nodes."""


class KernelCode(Value, frozen=True, kw_only=True):
    """Code that runs on the GPUs: which kernel file, for which architecture, its CUBIN's digest, and who made it."""

    file: str
    architecture: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    made: Literal["shipped", "nvrtc"]


class NodeFacts(Value, frozen=True, kw_only=True):
    """What the node says of itself before anything is measured."""

    host: str
    serial: str | None = None
    boot_id: str
    kernel: str
    operating_system: str
    driver_version: str
    nvml_version: str
    cuda_driver_version: str
    fabric_manager_version: str | None = None
    numa_nodes: int
    gpu_count_pci: int
    gpu_count_nvml: int
    gpu_count_cuda: int
    gpus: tuple[GpuFacts, ...]
    kernels: tuple[KernelCode, ...] | UnsetType = UNSET
    """Left out, not empty, where no code of ours runs (simulated) and in older records: their bytes stay the same."""


class Simulated(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Why a run is not real: the mock's scenario, the stub driver, or a replayed record."""

    by: Literal["mock", "stub", "replay"]
    scenario: str = ""
    seed: int = 0
    faults: tuple[str, ...] = ()
    digest: str = ""
    """Of the scenario file or of the replayed record."""
