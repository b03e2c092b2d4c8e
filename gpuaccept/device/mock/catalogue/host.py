"""Faults of the machine around the GPUs, and what its kernel log tells of them."""

from __future__ import annotations

from collections.abc import Callable

from gpuaccept.device.fault import FaultKey, FaultValues
from gpuaccept.device.mock.catalogue.entry import (
    AT,
    GPU,
    REPLACE,
    SETTING,
    UNPROVEN,
    Entry,
    entry,
    factor,
    from_of,
    gpu_of,
    node_of,
    typical,
    value,
)
from gpuaccept.device.mock.model import Deviation, HardwareModel
from gpuaccept.device.mock.world import port_subject
from gpuaccept.errors import UsageError

ORDERED_FOR = ("hgx-b200",)
"""What is plugged in beside the GPUs is the site's order: these are found where a site's profile states it, and the one
that does is of this model."""
WITH_SWITCHES = ("hgx-a100", "hgx-h100", "hgx-h200", "hgx-b200", "hgx-b300")
"""Models with NVSwitches on their own board: those of a rack stand in trays of their own."""
COUNT = FaultKey("count", 1, "how many are missing", 1, 1000)


def _slow_port(values: FaultValues, model: HardwareModel) -> tuple[Deviation, ...]:
    port = int(values["port"])
    if port >= model.server.ports:
        raise UsageError(f"fault nic_port_slow: there is no port {port}: this model has {model.server.ports}")
    return (value(port_subject(port), "port.rate_gbps", float(values["rate_gbps"])),)


def _fewer(parameter: str) -> Callable[[FaultValues, HardwareModel], tuple[Deviation, ...]]:
    return lambda v, m: (Deviation(target="node", parameter=f"host.{parameter}", add=-float(v["count"])),)


FAULTS: tuple[Entry, ...] = (
    entry(
        "numa_wrong",
        "The firmware does not say to which NUMA node one GPU belongs: its host copies take memory of the far one.",
        (GPU, FaultKey("node", -1, "NUMA node that the firmware gives, -1 for none", -1, 1000)),
        "host.numa_node",
        UNPROVEN,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.numa_node", float(v["node"])),),
    ),
    entry(
        "iommu_acs_on",
        "The IOMMU translates, and PCIe bridges above the GPUs send peer traffic through the root (ACS).",
        (FaultKey("bridges", 8, "bridges that redirect", 1, 1000),),
        "host.acs_redirect",
        SETTING,
        node_of,
        lambda v, m: (
            value("node", "host.iommu", "translated"),
            value("node", "host.acs_redirect", float(v["bridges"])),
        ),
    ),
    entry(
        "governor_powersave",
        "The CPUs run with a frequency governor that saves power.",
        (FaultKey("governor", "powersave", "frequency governor"),),
        "host.governor",
        SETTING,
        node_of,
        lambda v, m: (value("node", "host.governor", str(v["governor"])),),
    ),
    entry(
        "nic_port_slow",
        "One network port trains at less than its rate.",
        (FaultKey("port", 3, "number of the network port"), FaultKey("rate_gbps", 200.0, "rate in Gb/s", 1.0)),
        "host.port_rate_lowest",
        REPLACE,
        node_of,
        _slow_port,
        applies_to=ORDERED_FOR,
    ),
    entry(
        "nvme_missing",
        "An NVMe drive is not found.",
        (COUNT,),
        "host.nvme_count",
        REPLACE,
        node_of,
        _fewer("nvme"),
        applies_to=ORDERED_FOR,
    ),
    entry(
        "dimm_missing",
        "A memory module is not found.",
        (COUNT,),
        "host.dimms_count",
        REPLACE,
        node_of,
        _fewer("dimms"),
        applies_to=ORDERED_FOR,
    ),
    entry(
        "other_process_running",
        "Somebody else computes on one GPU and takes a part of its memory's bandwidth.",
        (GPU, FaultKey("loss_percent", 15.0, "percent of the bandwidth that the other takes", 0.0, 99.0)),
        "host.other_processes",
        UNPROVEN,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "gpu.other_processes", 1.0),
            factor(gpu_of(v), "hbm.bandwidth", 1.0 - float(v["loss_percent"]) / 100.0),
            typical(gpu_of(v)),
        ),
    ),
    entry(
        "xid_94",
        "The driver logs a memory error that it could contain (XID 94).",
        (GPU, AT),
        "host.xid_contained_new",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.xid", 94.0, from_of(v)),),
    ),
    entry(
        "xid_79",
        "A GPU falls off the bus in mid-run, and the driver logs it (XID 79).",
        (GPU, AT),
        "host.xid_lost_new",
        ("fail", "hardware", "reboot and re-run"),
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.xid", 79.0, from_of(v)), value(gpu_of(v), "gpu.lost", True, from_of(v))),
    ),
    entry(
        "xid_119",
        "The processor that runs a GPU's firmware (GSP) no longer answers the driver (XID 119).",
        (GPU, AT),
        "host.xid_reset_new",
        ("fail", "unknown", "reset and re-run"),
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.xid", 119.0, from_of(v)),),
    ),
    entry(
        "xid_149",
        "The driver logs that one NVLink went down (XID 149, fatal).",
        (GPU, AT),
        "host.xid_link_new",
        ("fail", "hardware", "reset and re-run"),
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.xid", 149.0, from_of(v)),),
    ),
    entry(
        "sxid_fatal",
        "An NVSwitch reports a fatal error on one of its links (SXid 20034).",
        (AT,),
        "host.sxid_fatal_new",
        ("fail", "hardware", "reset and re-run"),
        node_of,
        lambda v, m: (value("node", "host.sxid", 20034.0, from_of(v)),),
        applies_to=WITH_SWITCHES,
    ),
    entry(
        "sxid_nonfatal",
        "An NVSwitch reports an error after which it goes on (SXid 20009).",
        (AT,),
        "host.sxid_nonfatal_new",
        ("inconclusive", "unknown", "measure again"),
        node_of,
        lambda v, m: (value("node", "host.sxid_nonfatal", 20009.0, from_of(v)),),
        applies_to=WITH_SWITCHES,
    ),
)
