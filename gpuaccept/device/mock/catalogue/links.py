"""Faults of NVLink, its fabric and the reach between GPUs."""

from __future__ import annotations

from gpuaccept.check import pair_subject
from gpuaccept.device.fault import FaultKey, FaultValues
from gpuaccept.device.mock.catalogue.entry import (
    GPU,
    LINK,
    LOSS,
    REPLACE,
    SETTING,
    UNPROVEN,
    Entry,
    entry,
    factor,
    gpu_of,
    left,
    link_of,
    node_of,
    typical,
    value,
)

PEER = FaultKey("peer", 5, "the other GPU")


def _pair(values: FaultValues, back: bool = False) -> str:
    ends = (int(values["gpu"]), int(values["peer"]))
    return pair_subject(*(ends[::-1] if back else ends))


FAULTS: tuple[Entry, ...] = (
    entry(
        "nvlink_link_down",
        "One NVLink does not train.",
        (GPU, LINK),
        "nvlink.links_active",
        REPLACE,
        link_of,
        lambda v, m: (value(link_of(v), "link.state", "off"),),
    ),
    entry(
        "nvlink_slow",
        "All NVLinks of one GPU carry less than they should.",
        (GPU, FaultKey("loss_percent", 8.0, LOSS, 0.0, 99.0)),
        "nvlink.device_to_device_memcpy_read_ce_hot",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(f"{gpu_of(v)}/link/*", "link.bandwidth", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "nvlink_errors",
        "One NVLink recovers again and again, with errors that its generation counts.",
        (GPU, LINK, FaultKey("per_hour", 120.0, "events an hour", 0.0, 1e9)),
        "nvlink.recovery_new",
        REPLACE,
        link_of,
        lambda v, m: tuple(
            value(link_of(v), f"link.{name}_per_hour", float(v["per_hour"]))
            for name in m.nvlink.counters
            if name != "recovery_failed"
        ),
        "per_hour",
    ),
    entry(
        "nvlink_remote_wrong_type",
        "One NVLink ends at something else than a switch.",
        (GPU, LINK, FaultKey("type", "gpu", "what NVML sees at the other end", words=("gpu", "npu", "unknown"))),
        "nvlink.remote_type",
        REPLACE,
        link_of,
        lambda v, m: (value(link_of(v), "link.remote_type", str(v["type"])),),
    ),
    entry(
        "p2p_disabled",
        "Peer access between two GPUs is refused, in both directions.",
        (GPU, PEER),
        "nvlink.p2p_read",
        SETTING,
        _pair,
        lambda v, m: tuple(
            value(pair_subject(int(v[a]), int(v[b])), f"pair.p2p_{way}", "disabled by regkey")
            for a, b in (("gpu", "peer"), ("peer", "gpu"))
            for way in ("read", "write")
        ),
    ),
    entry(
        "fabric_not_ready",
        "The fabric is not configured: registration does not complete, and CUDA says that the system is not ready.",
        (),
        "nvlink.fabric_state",
        SETTING,
        node_of,
        lambda v, m: (
            value("gpu/*", "fabric.state", "in progress"),
            value("gpu/*", "cuda.not_ready", True),
        ),
    ),
    entry(
        "nvlink_recoveries_creeping",
        "One NVLink recovers now and then, without any error: the sign of a link that dies within days.",
        (GPU, LINK, FaultKey("per_hour", 8.6, "recoveries an hour", 0.0, 1e9)),
        "nvlink.recovery_new",
        REPLACE,
        link_of,
        lambda v, m: (value(link_of(v), "link.recovery_per_hour", float(v["per_hour"])),),
        "per_hour",
    ),
    entry(
        "nvlink_one_direction_slow",
        "One NVLink carries less away from its GPU than to it.",
        (GPU, LINK, FaultKey("loss_percent", 60.0, LOSS, 0.0, 99.0)),
        "nvlink.device_to_device_memcpy_write_ce_hot",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(link_of(v), "link.transmit", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "nvswitch_port_weak",
        "A port of an NVSwitch carries less while all GPUs copy to all, and enough for one pair alone.",
        (GPU, LINK, FaultKey("loss_percent", 60.0, LOSS, 0.0, 99.0)),
        "nvlink.all_to_all_write_ce_hot",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(link_of(v), "link.crowded", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "p2p_over_pcie_silently",
        "Copies between two GPUs take PCIe and not their NVLinks; every status says that all is well.",
        (GPU, PEER),
        "nvlink.link_bytes_share_hot",
        UNPROVEN,
        _pair,
        lambda v, m: tuple(value(way, "pair.over_pcie", True) for way in (_pair(v), _pair(v, back=True))),
    ),
    entry(
        "p2p_corrupts",
        "Data that one GPU writes to another, or reads from it, comes out wrong, at full speed.",
        (GPU, PEER, FaultKey("words", 1, "wrong words in each copy", 1)),
        "nvlink.wrong_words_hot",
        REPLACE,
        _pair,
        lambda v, m: (value(_pair(v), "pair.wrong_words", float(v["words"])),),
    ),
)
