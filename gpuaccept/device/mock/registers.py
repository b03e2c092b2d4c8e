"""What NVML's registers of a simulated GPU hold: modes, ECC counters, links, fabric and P2P status."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, prod

from gpuaccept.check import (
    EccCounters,
    Fabric,
    Link,
    PairStatus,
    Settings,
    Unavailable,
    gpu_subject,
    link_subject,
    pair_subject,
)
from gpuaccept.device.mock import noise
from gpuaccept.device.mock.identity import switch_pci_id
from gpuaccept.device.mock.model import HardwareModel
from gpuaccept.device.mock.world import Holds, World

NOT_SUPPORTED = Unavailable("nvmlDeviceGetFieldValues", 3, "not supported by this generation")


def settings(world: World, place: int, t: float, holds: Holds) -> Settings:
    """Modes and limits."""
    model, subject = world.model, gpu_subject(place)

    def text(parameter: str, base: str) -> str:
        return world.value(parameter, subject, base, t, holds)

    def number(parameter: str, base: float) -> float:
        return world.value(parameter, subject, base, t, holds)

    return Settings(
        ecc_mode=text("ecc.mode", "enabled"),
        ecc_mode_pending=text("ecc.mode_pending", "enabled"),
        mig_mode=text("mig.mode", "disabled"),
        mig_mode_pending=text("mig.mode_pending", "disabled"),
        persistence_mode=text("persistence.mode", "enabled"),
        compute_mode=text("compute.mode", "default"),
        cc_mode=text("cc.mode", "off"),
        power_limit_enforced_mw=round(number("power.limit_w", model.power.limit_w) * 1000),
        sm_clock_max_mhz=round(number("clock.sm_max_mhz", model.clock.sm_max_mhz)),
        memory_clock_max_mhz=round(number("clock.memory_mhz", model.clock.memory_mhz)),
        recovery_action=text("recovery.action", "none"),
    )


def ecc(world: World, seed: int, place: int, t: float, holds: Holds) -> EccCounters:
    """Error counters (volatile: since the run began) and repair flags."""
    subject = gpu_subject(place)

    def number(parameter: str, base: int = 0) -> int:
        return int(world.value(parameter, subject, float(base), t, holds))

    def flag(parameter: str) -> int:
        return int(world.value(parameter, subject, False, t, holds))

    def new(kind: str, per_hour: float = 0.0) -> int:
        counted = world.integral(f"ecc.{kind}_per_hour", subject, per_hour, t, holds) / 3600.0
        # a healthy GPU's first error comes at any part of its period; a fault counts from its beginning
        phase = noise.uniform(noise.key(seed, f"ecc {kind}", place), 0) if per_hour else 0.0
        return number(f"ecc.{kind}_new") + int(counted + phase * 0.999)

    def remap(value: int) -> int | Unavailable:
        return value if world.model.ecc.remap_readable else NOT_SUPPORTED

    def repair(value: int) -> int | Unavailable:
        return value if world.model.ecc.repair_readable else NOT_SUPPORTED

    counters = {}
    for kind in ("dram_corrected", "dram_uncorrected", "sram_corrected", "sram_uncorrected"):
        healthy = _corrected_per_hour(world.model, seed, place) if kind == "dram_corrected" else 0.0
        counters[f"{kind}_volatile"] = new(kind, healthy)
        counters[f"{kind}_aggregate"] = number(f"ecc.{kind}") + counters[f"{kind}_volatile"]
    return EccCounters(
        **counters,
        sram_threshold_exceeded=(
            flag("ecc.sram_threshold_exceeded") if world.model.ecc.sram_threshold_readable else NOT_SUPPORTED
        ),
        remapped_rows_correctable=remap(number("remap.rows_correctable")),
        remapped_rows_uncorrectable=remap(number("remap.rows_uncorrectable")),
        row_remapping_pending=remap(flag("remap.pending")),
        row_remapping_failure=remap(flag("remap.failure")),
        remap_banks_none=remap(number("remap.banks_none", world.model.ecc.remap_banks)),
        remap_banks_low=remap(number("remap.banks_low", world.model.ecc.remap_banks)),
        channel_repair_pending=repair(flag("repair.channel_pending")),
        tpc_repair_pending=repair(flag("repair.tpc_pending")),
    )


def ecc_stands_still(world: World, seed: int, place: int) -> bool:
    """Whether ECC registers of a GPU show the same all the time: no fault touches them, and it corrects nothing."""
    touched = any(name.startswith(("ecc.", "remap.", "repair.")) for name in world.names)
    return not touched and not _corrected_per_hour(world.model, seed, place)


def with_corrected(counters: EccCounters, corrected: int) -> EccCounters:
    """The counters with DRAM errors that were corrected besides."""
    added = {
        name: value + corrected
        for name in ("dram_corrected_volatile", "dram_corrected_aggregate")
        if isinstance(value := getattr(counters, name), int)
    }
    return counters._replace(**added)


def _corrected_per_hour(model: HardwareModel, seed: int, place: int) -> float:
    """Corrected DRAM errors of a healthy part: none on most, log-normal on the others."""
    of = noise.key(seed, "ecc corrected rate", place)
    if noise.uniform(of, 0) >= model.ecc.share_with_corrected:
        return 0.0
    return model.ecc.corrected_per_hour_median * exp(model.ecc.corrected_per_hour_log_sigma * noise.normal(of, 1))


def links(world: World, place: int, t: float, holds: Holds) -> tuple[Link, ...]:
    """All links of a GPU; those that no deviation touches are all the same but for number and switch."""
    model = world.model
    touched = any(name.startswith("link.") for name in world.names)
    return tuple(
        _link(world, place, number, t, holds) if touched else _healthy(model, number)
        for number in range(model.nvlink.links)
    )


def _healthy(model: HardwareModel, number: int) -> Link:
    nvlink = model.nvlink
    zero = {name: 0 if name in nvlink.counters else NOT_SUPPORTED for name in Link._fields[6:]}
    return Link(
        number, "on", nvlink.version, nvlink.remote_type, switch_pci_id(model, number), nvlink.raw_rate_mbps, **zero
    )


def _link(world: World, place: int, number: int, t: float, holds: Holds) -> Link:
    nvlink, subject = world.model.nvlink, link_subject(place, number)

    def text(parameter: str, base: str) -> str:
        return world.value(parameter, subject, base, t, holds)

    def counter(name: str) -> int | Unavailable:
        if name not in nvlink.counters:
            return NOT_SUPPORTED
        before = world.value(f"link.{name}", subject, 0.0, t, holds)
        return int(before + world.integral(f"link.{name}_per_hour", subject, 0.0, t, holds) / 3600.0)

    state = text("link.state", "on")
    rate = round(world.value("link.raw_rate_mbps", subject, float(nvlink.raw_rate_mbps), t, holds))
    return Link(
        number,
        state,
        text("link.version", nvlink.version),
        text("link.remote_type", nvlink.remote_type),
        text("link.remote_pci_id", switch_pci_id(world.model, number)),
        rate if state == "on" else 0,
        **{name: counter(name) for name in Link._fields[6:]},
    )


def carried(world: World, place: int, t: float, holds: Holds, *ways: str) -> float:
    """What a GPU's links carry together, as a share of the model's; `ways` are further shares of each link."""
    count = world.model.nvlink.links
    if not count or not any(name.startswith("link.") for name in world.names):
        return 1.0
    shares = [
        prod(world.value(way, link_subject(place, number), 1.0, t, holds) for way in ("link.bandwidth", *ways))
        for number in range(count)
        if world.value("link.state", link_subject(place, number), "on", t, holds) != "off"
    ]
    return sum(shares) / count


def fabric(world: World, place: int, t: float, holds: Holds) -> Fabric:
    """Fabric registration; its status and health mean nothing before it is completed."""
    subject = gpu_subject(place)
    if world.model.nvlink.fabric == "not supported":
        none = Unavailable("nvmlDeviceGetGpuFabricInfoV", 3, "NVML_ERROR_NOT_SUPPORTED")
        return Fabric(none, none, none)
    state = world.value("fabric.state", subject, "completed", t, holds)
    if state != "completed":
        why = Unavailable("nvmlDeviceGetGpuFabricInfoV", 0, f"fabric registration is {state}")
        return Fabric(state, why, why)
    return Fabric(
        state,
        world.value("fabric.status", subject, "success", t, holds),
        world.value("fabric.health", subject, "healthy", t, holds),
    )


def pair(world: World, place: int, peer: int, t: float, holds: Holds) -> PairStatus:
    """P2P status, and the nearest common ancestor: GPUs of one socket meet at its node, others across the system."""
    subject, half = pair_subject(place, peer), max(1, world.model.gpus // world.model.node.numa_nodes)
    return PairStatus(
        world.value("pair.p2p_read", subject, world.model.nvlink.p2p, t, holds),
        world.value("pair.p2p_write", subject, world.model.nvlink.p2p, t, holds),
        world.value("pair.common_ancestor", subject, "node" if place // half == peer // half else "system", t, holds),
    )


def answering(world: World, place: int, at: Sequence[float], holds: Holds) -> int:
    """How many of the samples at these times a GPU still answers."""
    subject = gpu_subject(place)
    return next((i for i, t in enumerate(at) if world.value("gpu.lost", subject, False, t, holds)), len(at))
