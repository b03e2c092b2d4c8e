"""Who the simulated node and its GPUs are: made up from the seed, never equal to a real part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gpuaccept.check import gpu_subject
from gpuaccept.data import GpuFacts, NodeFacts
from gpuaccept.device.mock.model import HardwareModel
from gpuaccept.device.mock.world import Holds, World

STUB_PREFIX = "GPU-57ab57ab"
"""UUIDs of the stub driver begin so: the mock never makes one."""
HIDDEN = "FFFFFFFF:FF:FF.0"
"""What NVML tells of switches that have no PCI device on the node."""


def _digest(seed: int, what: str) -> str:
    return hashlib.sha256(f"gpuaccept mock {seed} {what}".encode()).hexdigest()


def _uuid_form(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def gpu_uuid(model: HardwareModel, seed: int, place: int) -> str:
    """UUID of the GPU at a place of the board, in NVML's form."""
    uuid = f"GPU-{_uuid_form(_digest(seed, f'{model.name} uuid {place}'))}"
    return f"GPU-0{uuid[5:]}" if uuid.startswith(STUB_PREFIX) else uuid


def load_digest(model: HardwareModel, bad_sm: int) -> str:
    """What the soak load computes: the same on all GPUs of a model but where an SM is always wrong (-1: none)."""
    wrong = "" if bad_sm < 0 else f" sm {bad_sm}"
    text = f"gpuaccept mock load {model.gpu.name} {model.load.implementation}{wrong}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pci_bus_id(model: HardwareModel, place: int) -> str:
    """PCI address in NVML's form, for example `00000000:1B:00.0`."""
    written = model.gpu.pci_bus_ids[place]
    return f"{written if ':' in written else f'00000000:{written}'}:00.0"


def remote_pci_id(model: HardwareModel, link: int) -> str:
    """What NVML calls the other end of a link."""
    return switch_pci_id(model, link) if model.nvlink.switch_ids_readable else HIDDEN


def switch_pci_id(model: HardwareModel, link: int) -> str:
    """PCI id of the NVSwitch that a link leads to: links are dealt out in equal runs."""
    switch = link * max(1, model.nvlink.switches) // max(1, model.nvlink.links)
    return f"00000000:{0x05 + switch:02X}:00.0"


def _gpu(world: World, seed: int, place: int, index: int, holds: Holds) -> GpuFacts:
    model, subject = world.model, gpu_subject(place)

    def text(parameter: str, base: str) -> str:
        return world.value(parameter, subject, base, 0.0, holds)

    def number(parameter: str, base: int) -> int:
        return int(world.value(parameter, subject, float(base), 0.0, holds))

    serial = f"{model.gpu.serial_prefix}{int(_digest(seed, f'{model.name} serial {place}')[:12], 16) % 10**8:08d}"
    corrupt = world.value("gpu.inforom_corrupt", subject, False, 0.0, holds)
    return GpuFacts(
        index=index,
        name=text("gpu.name", model.gpu.name),
        uuid=text("gpu.uuid", gpu_uuid(model, seed, place)),
        serial=None if corrupt else text("gpu.serial", serial),
        board_part_number=None if corrupt else text("gpu.board_part_number", model.gpu.board_part_number),
        vbios=text("gpu.vbios", model.gpu.vbios),
        inforom_image=None if corrupt else text("gpu.inforom_image", model.gpu.inforom_image),
        pci_bus_id=pci_bus_id(model, place),
        pci_device_id=text("pci.device_id", model.gpu.pci_device_id),
        pci_subsystem_id=text("pci.subsystem_id", model.gpu.pci_subsystem_id),
        module_id=number("gpu.module_id", model.gpu.module_ids[place]),
        memory_total_bytes=number("memory.total_mib", model.gpu.memory_total_mib) << 20,
        sm_count=number("sm.count", model.gpu.sm_count),
        compute_capability=model.gpu.compute_capability,
    )


def node_facts(world: World, seed: int, places: Sequence[int], lost: frozenset[int], holds: Holds) -> NodeFacts:
    """The node as its calls describe it: `places[i]` is where GPU i sits, `lost` are places that no longer answer."""
    model = world.model
    manager = world.value("fabric_manager.version", "node", model.node.fabric_manager_version, 0.0, holds)
    alive = [(index, place) for index, place in enumerate(places) if place not in lost]
    return NodeFacts(
        host=f"mock-{model.name}-{seed}",
        serial=f"MOCK-{model.name.upper()}-{seed:06d}",
        boot_id=_uuid_form(_digest(seed, "boot")),
        kernel=model.node.kernel,
        operating_system=model.node.operating_system,
        driver_version=world.value("driver.version", "node", model.node.driver_version, 0.0, holds),
        nvml_version=model.node.nvml_version,
        cuda_driver_version=model.node.cuda_driver_version,
        fabric_manager_version=None if manager == "unknown" else manager,
        numa_nodes=model.node.numa_nodes,
        gpu_count_pci=len(places),
        gpu_count_nvml=len(places),  # a driver counts a GPU that it lost until it is loaded anew
        gpu_count_cuda=len(places),
        gpus=tuple(_gpu(world, seed, place, index, holds) for index, place in alive),
    )
