"""Whether a hardware model can have a fault: what a fault changes must be there to be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from gpuaccept.device.mock.model import Deviation, HardwareModel


class _Need(NamedTuple):
    """What parameters with this beginning need of a model, and what is said where it lacks it."""

    parameter: str
    there: Callable[[HardwareModel], bool]
    why: str


_NEEDS = (
    _Need("link.", lambda model: model.nvlink.links > 0, "its GPUs have no NVLink"),
    _Need(
        "fabric.",
        lambda model: model.nvlink.fabric != "not supported",
        "its GPUs do not register with a fabric",
    ),
    _Need(
        "pair.over_pcie", lambda model: model.nvlink.links > 0, "its GPUs have no NVLink that PCIe could stand in for"
    ),
    _Need("pair.wrong_words", lambda model: model.nvlink.p2p == "ok", "its GPUs have no peer access to copy by"),
    _Need("pair.bandwidth", lambda model: model.nvlink.p2p == "ok", "its GPUs have no peer access to copy by"),
    _Need("pair.p2p", lambda model: model.nvlink.p2p == "ok", "its GPUs have no peer access that could be lost"),
    _Need("pair.", lambda model: model.gpus > 1, "it has one GPU, so no pairs"),
    _Need("remap.", lambda model: model.ecc.remap_readable, "NVML does not read row remapping of its GPUs"),
    _Need("repair.", lambda model: model.ecc.repair_readable, "NVML does not read pending repairs of its GPUs"),
    _Need(
        "ecc.sram_threshold",
        lambda model: model.ecc.sram_threshold_readable,
        "NVML reads no SRAM threshold of its GPUs",
    ),
    _Need("c2c.", lambda model: model.pcie.c2c_links > 0, "its GPUs have no C2C to their host"),
    _Need("pcie.uplink", lambda model: model.pcie.c2c_links == 0, "its GPUs reach their host by C2C"),
    _Need("pcie.uplink", lambda model: model.gpus > 1, "it has one GPU, which shares nothing"),
    _Need("pcie.width", lambda model: model.pcie.width > 1, "the PCIe link of its GPUs has one lane"),
    _Need("sensor.margin_k", lambda model: model.thermal.margin_readable, "NVML reads no thermal margin of its GPUs"),
    _Need("gpu.module_id", lambda model: any(model.gpu.module_ids), "its GPUs are cards, which have no module id"),
)
_NEEDS_OF_FAULT = {
    "fan_slow": _Need("thermal.flow", lambda model: model.cooling == "air", "it is cooled by liquid, not by fans"),
    "pump_dead": _Need("thermal.flow", lambda model: model.cooling == "liquid", "it is cooled by air, not by liquid"),
    "leak_slow": _Need("thermal.flow", lambda model: model.cooling == "liquid", "it is cooled by air, not by liquid"),
    "driver_wrong_version": _Need(
        "driver.version",
        lambda model: model.node.fabric_manager_version != "unknown",
        "no fabric manager runs on it that the driver could differ from",
    ),
}
"""Faults that mean something only beside another part, which they do not change."""


def why_not(fault: str, deviations: Iterable[Deviation], model: HardwareModel) -> str:
    """Why this model can't have a fault that is made of these deviations, in words; empty where it can."""
    deviations = tuple(deviations)
    if not deviations:
        return "it has nothing that this fault could change"
    special = _NEEDS_OF_FAULT.get(fault)
    if special is not None and not special.there(model):
        return special.why
    for deviation in deviations:
        for need in _NEEDS:
            if deviation.parameter.startswith(need.parameter) and not need.there(model):
                return need.why
    return ""
