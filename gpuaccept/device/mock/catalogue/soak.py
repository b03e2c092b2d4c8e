"""Faults of cooling, power and clocks, and what happens under load."""

from __future__ import annotations

from gpuaccept.device.fault import FaultKey
from gpuaccept.device.mock.catalogue.entry import (
    AT,
    FACILITY,
    GPU,
    REPLACE,
    SETTING,
    Entry,
    entry,
    factor,
    from_of,
    gpu_of,
    left,
    node_of,
    typical,
    value,
)

FAULTS: tuple[Entry, ...] = (
    entry(
        "gpu_fallen_off_bus",
        "A GPU falls off the bus in mid-run: NVML says it is lost, CUDA launches fail.",
        (GPU, AT),
        "thermal_soak.duration",
        ("error", "hardware", "reboot and re-run"),
        gpu_of,
        lambda v, m: (value(gpu_of(v), "gpu.lost", True, from_of(v)),),
    ),
    entry(
        "thermal_interface_bad",
        "Heat leaves one GPU badly: paste or mounting.",
        (GPU, FaultKey("extra_percent", 100.0, "percent more thermal resistance")),
        "thermal_soak.margin_min",
        REPLACE,
        gpu_of,
        lambda v, m: (
            factor(gpu_of(v), "thermal.resistance", 1.0 + float(v["extra_percent"]) / 100.0),
            typical(gpu_of(v)),
        ),
        "extra_percent",
    ),
    entry(
        "cooling_flow_low",
        "The whole node gets too little coolant: air on an air-cooled model.",
        (FaultKey("loss_percent", 80.0, "percent of the flow that is lost", 0.0, 99.0),),
        "thermal_soak.sw_thermal_share",
        FACILITY,
        node_of,
        lambda v, m: (factor("gpu/*", "thermal.flow", left(v)), typical("gpu/*")),
        "loss_percent",
    ),
    entry(
        "power_brake",
        "The supply asks all GPUs to brake, again and again.",
        (FaultKey("share_percent", 5.0, "percent of the time", 0.0, 100.0),),
        "thermal_soak.hw_power_brake_share",
        FACILITY,
        node_of,
        lambda v, m: (value("gpu/*", "power.brake_share", float(v["share_percent"]) / 100.0),),
        "share_percent",
    ),
    entry(
        "clock_capped",
        "The SM clock of one GPU is locked low: no event reason says so.",
        (GPU, FaultKey("loss_percent", 62.0, "percent below the highest clock", 0.0, 95.0)),
        "thermal_soak.unexplained_clock_share",
        SETTING,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "clock.sm_lock_mhz", round(m.clock.sm_max_mhz * left(v))), typical(gpu_of(v))),
        "loss_percent",
    ),
)
