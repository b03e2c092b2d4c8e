"""What NVML's registers of a simulated GPU hold: modes, links, fabric and P2P status."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from gpuaccept.check import (
    Fabric,
    Link,
    PairStatus,
    Settings,
    Unavailable,
    gpu_subject,
    link_subject,
    pair_subject,
)
from gpuaccept.device.mock.identity import remote_pci_id
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
        inforom="corrupt" if world.value("gpu.inforom_corrupt", subject, False, t, holds) else "valid",
    )


def links(world: World, place: int, t: float, holds: Holds) -> tuple[Link, ...]:
    """All links of a GPU; those that no deviation touches are all the same but for number and switch."""
    if any(name.startswith("link.") for name in world.names):
        return tuple([_link(world, place, number, t, holds) for number in range(world.model.nvlink.links)])
    return _healthy(world.model)


def _healthy(model: HardwareModel) -> tuple[Link, ...]:
    nvlink = model.nvlink
    zeros = [0 if name in nvlink.counters else NOT_SUPPORTED for name in Link._fields[6:]]
    return tuple(
        [
            Link(
                number,
                "on",
                nvlink.version,
                nvlink.remote_type,
                remote_pci_id(model, number),
                nvlink.raw_rate_mbps,
                *zeros,
            )
            for number in range(nvlink.links)
        ]
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
        text("link.remote_pci_id", remote_pci_id(world.model, number)),
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
