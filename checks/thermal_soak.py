"""Every GPU under full load for a set time: power, temperatures, clocks and throughput, and results bit for bit.

The samples go to the series; what limits judge is derived from them by arithmetic that `verify` repeats.
"""

from typing import Annotated

from msgspec import Meta

from gpuaccept.check import Check, DeviceError, Metric, Node, Parameters, Sensors, Unavailable, Visit, gpu_subject

Floats = tuple[float, ...]
CLOCK_LOW = 0.97
"""Below this share of the highest SM clock a sample needs a reason."""
POWER_LOW = 0.60
"""Below this share of the enforced limit, power is no reason for a low clock."""
IDLE = 0x1
"""Event reason `GPU idle` (nvml.h), which explains nothing under load; every other reason does."""


class Settings(Parameters, frozen=True, kw_only=True):
    """How long to load the GPUs, and how often to read their sensors, both in s."""

    duration_s: Annotated[float, Meta(ge=1.0, le=604800.0)] = 600.0
    interval_s: Annotated[float, Meta(ge=0.05, le=60.0)] = 1.0


# Series -> unit, and the column of Sensors with its factor to that unit.
SERIES: dict[str, tuple[str, str, float]] = {
    "power": ("W", "power_w", 1.0),
    "temperature": ("°C", "temperature_c", 1.0),
    "memory_temperature": ("°C", "memory_temperature_c", 1.0),
    "margin": ("K", "margin_k", 1.0),
    "sm_clock": ("MHz", "sm_clock_mhz", 1.0),
    "sw_power_cap": ("ns", "sw_power_cap_ns", 1.0),
    "sw_thermal": ("ns", "sw_thermal_ns", 1.0),
    "hw_thermal": ("ns", "hw_thermal_ns", 1.0),
    "hw_power_brake": ("ns", "hw_power_brake_ns", 1.0),
    "energy": ("J", "energy_mj", 1e-3),
    "iterations": ("iterations", "iterations", 1.0),
}
METRICS = (
    Metric("power_mean", "W", "Mean power under load", series="power", reduction="mean"),
    Metric("temperature_max", "°C", "Highest GPU temperature", series="temperature", reduction="maximum"),
    Metric(
        "memory_temperature_max",
        "°C",
        "Highest memory temperature",
        better="lower",
        series="memory_temperature",
        reduction="maximum",
    ),
    Metric(
        "margin_min",
        "K",
        "Smallest margin to thermal slowdown",
        better="higher",
        series="margin",
        reduction="minimum",
    ),
    Metric("sm_clock_mean", "MHz", "Mean SM clock under load", better="higher", series="sm_clock", reduction="mean"),
    Metric("sw_power_cap_share", "%", "Time at the power limit", series="sw_power_cap", reduction="share"),
    Metric(
        "sw_thermal_share",
        "%",
        "Time slowed by software for heat",
        better="lower",
        series="sw_thermal",
        reduction="share",
    ),
    Metric(
        "hw_thermal_share",
        "%",
        "Time slowed by hardware for heat",
        better="lower",
        series="hw_thermal",
        reduction="share",
    ),
    Metric(
        "hw_power_brake_share",
        "%",
        "Time braked by the power supply",
        better="lower",
        series="hw_power_brake",
        reduction="share",
    ),
    Metric("energy", "J", "Energy used", series="energy", reduction="difference"),
    Metric(
        "throughput_ratio",
        "",
        "Throughput of the last third over that of the settled first",
        better="higher",
        series="iterations",
        reduction="ratio_of_thirds",
    ),
    Metric(
        "unexplained_clock_share",
        "",
        "Share of samples with a low SM clock and no reason for it",
        better="lower",
        series="unexplained_clock",
        reduction="mean",
    ),
    Metric("duration", "s", "Time under load", better="higher", series="power", reduction="duration"),
    Metric(
        "largest_gap", "s", "Longest time between two samples", better="lower", series="power", reduction="largest_gap"
    ),
    Metric("mismatches", "results", "Results that differ bit for bit", kind="counted", better="lower"),
    Metric("load_implementation", "", "Kernel that made the load"),
)


def measure(node: Node, visit: Visit) -> None:
    """Load every GPU, hand over the samples as they come, then compare the results."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    clock_needs: dict[int, tuple[float, float] | Unavailable] = {}
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            needs = _clock_needs(node, gpu)
            node.load_begin(gpu, visit.seed)
            clock_needs[gpu] = needs
    loaded = tuple(clock_needs)
    said: set[tuple[str, str]] = set()
    lost: set[int] = set()
    with visit.part("node"):
        for block in node.sensors(loaded, settings.duration_s, settings.interval_s) if loaded else ():
            series: dict[tuple[str, str], tuple[Floats, Floats]] = {}
            for gpu, sensors in block.items():
                subject = gpu_subject(gpu)
                if isinstance(sensors, Unavailable):
                    if gpu not in lost:
                        lost.add(gpu)
                        with visit.part(subject):
                            raise DeviceError(sensors.call, sensors.code, sensors.reason, gpu)
                    continue
                for name, values in _columns(sensors, clock_needs[gpu]).items():
                    if isinstance(values, Unavailable):
                        _say(visit, said, subject, name, values)
                    else:
                        series[name, subject] = (sensors.at_s, values)
            visit.series(series)
    for gpu in (gpu for gpu in loaded if gpu not in lost):
        with visit.part(gpu_subject(gpu)):
            result = node.load_end(gpu)
            visit.measured("mismatches", gpu_subject(gpu), result.mismatches)
            visit.measured("load_implementation", gpu_subject(gpu), result.implementation)


def _clock_needs(node: Node, gpu: int) -> tuple[float, float] | Unavailable:
    """SM clock (MHz) and power (W) below which a sample of the clock is not explained."""
    settings = node.settings(gpu)
    clock, power = settings.sm_clock_max_mhz, settings.power_limit_enforced_mw
    if isinstance(clock, Unavailable):
        return clock
    if isinstance(power, Unavailable):
        return power
    return CLOCK_LOW * float(clock), POWER_LOW * float(power) / 1000


def _columns(sensors: Sensors, needs: tuple[float, float] | Unavailable) -> dict[str, Floats | Unavailable]:
    """Series -> values of one block of one GPU."""
    out: dict[str, Floats | Unavailable] = {}
    for name, (_, column, factor) in SERIES.items():
        values = getattr(sensors, column)
        if isinstance(values, Unavailable):
            out[name] = values
        elif factor == 1.0:
            out[name] = tuple(map(float, values))
        else:
            out[name] = tuple([round(value * factor, 3) for value in values])
    clock, power, reasons = sensors.sm_clock_mhz, sensors.power_w, sensors.event_reasons
    for needed in (needs, clock, power, reasons):
        if isinstance(needed, Unavailable):
            out["unexplained_clock"] = needed
            return out
    assert not isinstance(needs, Unavailable) and not isinstance(clock, Unavailable)
    assert not isinstance(power, Unavailable) and not isinstance(reasons, Unavailable)
    low_clock, low_power = needs
    out["unexplained_clock"] = tuple(
        [
            1.0 if mhz < low_clock and watt < low_power and not why & ~IDLE else 0.0
            for mhz, watt, why in zip(clock, power, reasons, strict=True)
        ]
    )
    return out


def _say(visit: Visit, said: set[tuple[str, str]], subject: str, series: str, why: Unavailable) -> None:
    """Record once that a series can't be read, for every metric that is derived from it."""
    if (subject, series) not in said:
        said.add((subject, series))
        for metric in METRICS:
            if metric.series == series:
                visit.measured(metric.name, subject, why)


CHECK = Check(
    name="thermal_soak",
    purpose="Power, temperatures, clocks and bit-exact results of every GPU under sustained load",
    scope="gpu",
    metrics=METRICS,
    measure=measure,
    parameters=Settings,
    seconds=lambda parameters, gpus: parameters.duration_s + 2.0 if isinstance(parameters, Settings) else 2.0,
    detects=("gpu_fallen_off_bus", "thermal_interface_bad", "cooling_flow_low", "power_brake", "clock_capped"),
    series=(*((name, unit) for name, (unit, _, _) in SERIES.items()), ("unexplained_clock", "")),
)
