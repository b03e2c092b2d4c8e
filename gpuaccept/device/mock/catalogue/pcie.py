"""Faults of the PCIe link between host and GPU."""

from __future__ import annotations

from gpuaccept.check import gpu_subject, pair_subject
from gpuaccept.device.fault import FaultKey, FaultValues
from gpuaccept.device.mock.catalogue.entry import (
    GPU,
    LOSS,
    REPLACE,
    UNPROVEN,
    Entry,
    entry,
    gpu_of,
    left,
    typical,
    value,
)
from gpuaccept.device.mock.model import Deviation, HardwareModel


def _uplink(values: FaultValues, model: HardwareModel) -> tuple[Deviation, ...]:
    """Two GPUs, of typical speed, whose up-link carries what is left of twice the faster direction."""
    rate = 2.0 * max(model.host.host_to_device, model.host.device_to_host) * left(values)
    out: list[Deviation] = []
    for gpu in (gpu_subject(int(values[key])) for key in ("gpu", "peer")):
        out += [value(gpu, "pcie.uplink", 1.0), value(gpu, "pcie.uplink_rate", rate), typical(gpu)]
    return tuple(out)


FAULTS: tuple[Entry, ...] = (
    entry(
        "pcie_width_reduced",
        "The PCIe link of one GPU trains with fewer lanes: copies from and to the host are slower as well.",
        (GPU, FaultKey("lanes", 8, "lanes that are left", 1, 16)),
        "pcie.width_under_load",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "pcie.width", float(v["lanes"])),),
    ),
    entry(
        "pcie_gen_down_under_load",
        "The PCIe link of one GPU does not come up from its idle generation to the full one when data moves.",
        (GPU, FaultKey("generation", 3, "generation that it reaches", 1, 7)),
        "pcie.generation_under_load",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "pcie.generation", float(v["generation"])),),
    ),
    entry(
        "pcie_uplink_shared",
        "Two GPUs share a slow up-link to the host: alone each has all of it, together neither has enough.",
        (
            GPU,
            FaultKey("peer", 3, "the other GPU"),
            FaultKey("loss_percent", 40.0, "percent that each loses while both copy", 0.0, 50.0),
        ),
        "host_bandwidth.host_to_all_memcpy_ce",
        UNPROVEN,
        lambda v: pair_subject(int(v["gpu"]), int(v["peer"])),
        _uplink,
    ),
    entry(
        "pcie_both_ways_slow",
        "The link of one GPU to its host carries one way at full rate, but both ways at once at a lower one.",
        (GPU, FaultKey("loss_percent", 40.0, LOSS, 0.0, 99.0)),
        "memory_bandwidth.device_to_host_bidirectional_memcpy_ce_cold",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "host.both_ways", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "pcie_replays",
        "The PCIe link of one GPU sends again and again what did not arrive.",
        (GPU, FaultKey("per_hour", 12000.0, "replays an hour")),
        "pcie.replays_new",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "pcie.replays_per_hour", float(v["per_hour"])),),
        "per_hour",
    ),
    entry(
        "c2c_down",
        "C2C links between one GPU and its Grace are not active: copies from and to the host are slower as well.",
        (GPU, FaultKey("links", 1, "links that are down", 1, 100)),
        "pcie.c2c_links_inactive",
        REPLACE,
        gpu_of,
        lambda v, m: (Deviation(target=gpu_of(v), parameter="c2c.links_active", add=-float(v["links"])),),
    ),
)
