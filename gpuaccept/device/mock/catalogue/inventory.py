"""Faults of what is in the node and how it is set up."""

from __future__ import annotations

from gpuaccept.device.fault import FaultKey
from gpuaccept.device.mock.catalogue.entry import (
    GPU,
    REPLACE,
    SETTING,
    Entry,
    entry,
    factor,
    gpu_of,
    left,
    node_of,
    value,
)

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
            value(gpu_of(v), "gpu.name", "NVIDIA A100-SXM4-80GB"),
            value(gpu_of(v), "pci.device_id", "20B2"),
            value(gpu_of(v), "pci.subsystem_id", "1463"),
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
)
