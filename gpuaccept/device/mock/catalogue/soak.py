"""Faults of cooling, power and clocks, and what happens under load."""

from __future__ import annotations

from gpuaccept.data import Action, Cause, Result
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
from gpuaccept.device.mock.model import Deviation, HardwareModel, When

HANGS: tuple[Result, Cause, Action] = ("error", "unknown", "reboot and re-run")
ONSET = FaultKey("at_s", 400.0, "seconds after the start of the run")
"""What comes at a moment: a bus, a driver or a process gives way, a clock locks.

No physics says when, so the default is a choice: some minutes into the first soak of the plan `acceptance`. A run that
has ended by then can't see it, whatever it checks. So the evaluation tries other moments too, and says for each plan
which of them it sees.
"""
STILL = 0.02
"""Part of the flow that convection alone keeps up [judgement]."""
SOAK_S, STEPS = 1800.0, 30
"""What changes slowly does so over this time, in so many steps: a minute is short beside the slowest time constant."""


def _over_time(target: str, parameter: str, first: float, last: float) -> tuple[Deviation, ...]:
    """A factor that goes evenly from one value to another, and stays there."""
    step = SOAK_S / STEPS
    return tuple(
        Deviation(
            target=target,
            parameter=parameter,
            factor=first + (last - first) * number / STEPS,
            from_=f"{number * step:.6f}s",
            until=f"{(number + 1) * step:.6f}s" if number < STEPS else None,
        )
        for number in range(1, STEPS + 1)
    )


def _half_way(model: HardwareModel) -> float:
    """°C: far above an idle GPU of a model, and below every one under load."""
    whole = sum(stage.resistance_k_per_kw for stage in model.thermal.stages) / 1000.0
    return round(model.thermal.inlet_c + 0.5 * whole * model.power.limit_w * model.power.capped_share, 1)


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
    entry(
        "xid_79_in_soak",
        "A GPU falls off the bus in the soak, when it is hot: past half of the way from inlet to full load.",
        (GPU, ONSET),
        "thermal_soak.duration",
        ("error", "hardware", "reboot and re-run"),
        gpu_of,
        lambda v, m: (
            Deviation(
                target=gpu_of(v),
                parameter="gpu.lost",
                value=True,
                from_=from_of(v),
                when=When(temperature_above=_half_way(m)),
            ),
        ),
    ),
    entry(
        "driver_hang",
        "Every driver call on one GPU blocks for ever, from early in the run on.",
        (GPU, FaultKey("at_s", 1.0, "seconds after the start of the run")),
        "memory_bandwidth.copy_sm_hot",
        HANGS,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "call.hang", True, from_of(v)),),
        needs_workers=True,
    ),
    entry(
        "driver_hang_in_soak",
        "Every driver call on one GPU blocks for ever, from the first soak on.",
        (GPU, ONSET),
        "thermal_soak.duration",
        HANGS,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "call.hang", True, from_of(v)),),
        needs_workers=True,
    ),
    entry(
        "tool_crash",
        "A measuring process dies in the soak, once.",
        (ONSET,),
        "thermal_soak.duration",
        HANGS,
        node_of,
        lambda v, m: (value("node", "tool.crash", True, from_of(v)),),
        needs_workers=True,
    ),
    entry(
        "fan_slow",
        "The fan before one GPU turns slowly: that GPU gets too little air.",
        (GPU, FaultKey("loss_percent", 65.0, "percent of the flow that is lost", 0.0, 99.0)),
        "thermal_soak.margin_min",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(gpu_of(v), "thermal.flow", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "pump_dead",
        "The pump of the coolant stops in the run: next to nothing flows any more.",
        (FaultKey("at_s", 300.0, "seconds after the start of the run"),),
        "thermal_soak.sw_thermal_share",
        FACILITY,
        node_of,
        lambda v, m: (Deviation(target="gpu/*", parameter="thermal.flow", factor=STILL, from_=from_of(v)),),
    ),
    entry(
        "leak_slow",
        "Coolant leaks away: the flow falls evenly over the half hour of a soak.",
        (FaultKey("loss_percent", 90.0, "percent of the flow that is lost in the end", 0.0, 99.0),),
        "thermal_soak.sw_thermal_share",
        FACILITY,
        node_of,
        lambda v, m: (*_over_time("gpu/*", "thermal.flow", 1.0, left(v)), typical("gpu/*")),
        "loss_percent",
    ),
    entry(
        "paste_pumpout",
        "The paste under one GPU creeps out while it is hot: heat leaves it worse and worse.",
        (GPU, FaultKey("extra_percent", 150.0, "percent more thermal resistance after half an hour")),
        "thermal_soak.margin_min",
        REPLACE,
        gpu_of,
        lambda v, m: (
            *_over_time(gpu_of(v), "thermal.resistance", 1.0, 1.0 + float(v["extra_percent"]) / 100.0),
            typical(gpu_of(v)),
        ),
        "extra_percent",
    ),
    entry(
        "sensor_stuck",
        "The temperature sensor of one GPU stands still: it shows the same, idle and loaded.",
        (GPU, FaultKey("celsius", 41.0, "what it shows, °C")),
        "thermal_soak.temperature_range",
        REPLACE,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "sensor.temperature_c", float(v["celsius"])),
            value(gpu_of(v), "sensor.margin_k", m.thermal.maximum_c - float(v["celsius"])),
        ),
    ),
    entry(
        "clock_stuck_low",
        "The SM clock of one GPU stays low from some moment of the soak on: no event reason says so.",
        (
            GPU,
            ONSET,
            FaultKey("loss_percent", 62.0, "percent below the highest clock", 0.0, 95.0),
        ),
        "thermal_soak.unexplained_clock_share",
        SETTING,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "clock.sm_lock_mhz", round(m.clock.sm_max_mhz * left(v)), from_of(v)),
            typical(gpu_of(v)),
        ),
        "loss_percent",
    ),
    entry(
        "psu_droop_in_phase",
        "The supply asks all GPUs to brake, but only while all of them are under load.",
        (FaultKey("share_percent", 5.0, "percent of the time", 0.0, 100.0),),
        "thermal_soak.hw_power_brake_share",
        FACILITY,
        node_of,
        lambda v, m: (
            Deviation(
                target="gpu/*",
                parameter="power.brake_share",
                value=float(v["share_percent"]) / 100.0,
                when=When(gpus_active_above=m.gpus - 1),
            ),
        ),
        "share_percent",
    ),
    entry(
        "psu_droop_at_pulses",
        "The supply can't follow pulses of load some times a second: it asks all GPUs to brake, but only then.",
        (FaultKey("share_percent", 5.0, "percent of the time of such pulses", 0.0, 100.0),),
        "power_pulse.braked_at",
        FACILITY,
        node_of,
        lambda v, m: (
            Deviation(
                target="gpu/*",
                parameter="power.brake_share",
                value=float(v["share_percent"]) / 100.0,
                when=When(pulses="in phase", pulses_above_hz=1.0, pulses_below_hz=100.0),
            ),
        ),
        "share_percent",
    ),
)
