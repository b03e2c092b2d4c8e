"""Faults of what is in the node and how it is set up."""

from __future__ import annotations

from gpuaccept.check import gpu_subject, pair_subject
from gpuaccept.device.fault import FaultKey
from gpuaccept.device.mock.catalogue.entry import (
    GPU,
    REPLACE,
    SETTING,
    UNPROVEN,
    Entry,
    entry,
    factor,
    gpu_of,
    left,
    node_of,
    value,
)
from gpuaccept.device.mock.model import HardwareModel

SAME_SERIAL = "1652900000042"
"""Of both GPUs in `serial_duplicate`."""


def _other(model: HardwareModel) -> tuple[str, str, str]:
    """Name, PCI device and subsystem id of a GPU of another model."""
    a100, card = ("NVIDIA A100-SXM4-80GB", "20B2", "1463"), ("NVIDIA A100 80GB PCIe", "20B5", "1533")
    return card if model.gpu.pci_device_id == a100[1] else a100


FAULTS: tuple[Entry, ...] = (
    entry(
        "gpu_missing",
        "A GPU is not on the bus: PCI, NVML and CUDA see one fewer, and the indices of later ones move up.",
        (GPU,),
        "inventory.gpu_count_pci",
        REPLACE,
        node_of,
        lambda v, m: (value(gpu_of(v), "gpu.present", False),),
    ),
    entry(
        "gpu_wrong_model",
        "One GPU is of another model than ordered.",
        (GPU,),
        "inventory.pci_device_id",
        REPLACE,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "gpu.name", _other(m)[0]),
            value(gpu_of(v), "pci.device_id", _other(m)[1]),
            value(gpu_of(v), "pci.subsystem_id", _other(m)[2]),
        ),
    ),
    entry(
        "ecc_off",
        "ECC is switched off on one GPU.",
        (GPU,),
        "inventory.ecc_mode",
        SETTING,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "ecc.mode", "disabled"),
            value(gpu_of(v), "ecc.mode_pending", "disabled"),
        ),
    ),
    entry(
        "power_limit_low",
        "The power limit of one GPU is set low.",
        (GPU, FaultKey("loss_percent", 20.0, "percent below the board's limit", 0.0, 80.0)),
        "inventory.power_limit_enforced",
        SETTING,
        gpu_of,
        lambda v, m: (factor(gpu_of(v), "power.limit_w", left(v)),),
    ),
    entry(
        "driver_wrong_version",
        "The driver is of another version than the fabric manager.",
        (FaultKey("version", "575.57.08", "driver version"),),
        "inventory.fabric_manager_matches_driver",
        SETTING,
        node_of,
        lambda v, m: (value("node", "driver.version", str(v["version"])),),
    ),
    entry(
        "vbios_mixed",
        "One GPU has another VBIOS than the others.",
        (GPU, FaultKey("version", "97.00.82.00.1C", "its VBIOS version")),
        "inventory.vbios",
        SETTING,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.vbios", str(v["version"])),),
    ),
    entry(
        "firmware_mixed",
        "One GPU has another InfoROM image than the others.",
        (GPU, FaultKey("version", "G525.0200.00.01", "its InfoROM image")),
        "inventory.inforom_image",
        SETTING,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.inforom_image", str(v["version"])),),
    ),
    entry(
        "inforom_corrupt",
        "The InfoROM of one GPU is corrupt: NVML can't tell its image, nor the serial and part number in it.",
        (GPU,),
        "inventory.inforom",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.inforom_corrupt", True),),
    ),
    entry(
        "serial_duplicate",
        "Two GPUs report one serial number.",
        (GPU, FaultKey("peer", 5, "the GPU whose serial number it has")),
        "inventory.serial",
        REPLACE,
        lambda v: pair_subject(int(v["gpu"]), int(v["peer"])),
        lambda v, m: tuple(value(gpu_subject(int(v[k])), "gpu.serial", SAME_SERIAL) for k in ("gpu", "peer")),
    ),
    entry(
        "gpu_swapped",
        "Two GPUs sit in each other's sockets: their module ids are not where the site's slot map has them.",
        (GPU, FaultKey("peer", 5, "the GPU in whose socket it sits")),
        "inventory.module_id",
        UNPROVEN,
        lambda v: pair_subject(int(v["gpu"]), int(v["peer"])),
        lambda v, m: tuple(
            value(gpu_subject(int(v[a])), "gpu.module_id", float(m.gpu.module_ids[int(v[b])]))
            for a, b in (("gpu", "peer"), ("peer", "gpu"))
        ),
        applies_to=("hgx-b200",),  # a slot map is a matter of the site: the bundled one is of this model
        limit="equals",
    ),
    entry(
        "mig_left_on",
        "MIG mode was left on on one GPU.",
        (GPU,),
        "inventory.mig_mode",
        SETTING,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "mig.mode", "enabled"),
            value(gpu_of(v), "mig.mode_pending", "enabled"),
        ),
    ),
)
