"""Every GPU under full load for a set time: power, temperatures, clocks and throughput, and results bit for bit.

The samples go to the series; what limits judge is derived from them by arithmetic that `verify` repeats. The load
starts from the same operands on every GPU and in every visit, so that each must give the digest that all others give.
"""

from statistics import fmean
from typing import Annotated, Literal

from gpuaccept.check import (
    BOUND_AFTER_S,
    BOUND_SAMPLES,
    BOUND_WINDOW_S,
    Check,
    DeviceError,
    LoadResult,
    Meta,
    Metric,
    Node,
    Parameters,
    Reading,
    Reduction,
    Sensors,
    Unavailable,
    Visit,
    bound,
    gpu_subject,
)

Floats = tuple[float, ...]
CLOCK_LOW = 0.97
"""Below this share of the highest SM clock a sample needs a reason."""
POWER_LOW = 0.60
"""Below this share of the enforced limit, power is no reason for a low clock."""
LOAD_SEED = 1
"""Of the operands: always the same, so that digests compare over GPUs, visits, nodes and years."""
IDLE = 0x1
"""Event reason `GPU idle` (nvml.h), which explains nothing under load; every other reason does."""


class Settings(Parameters, frozen=True, kw_only=True):
    """How long to load the GPUs, and how often to read their sensors, both in s.

    With `end_early` the load ends as soon as the margin can be shown to stay above `margin_needed_k` whatever comes
    (`steady`), on all GPUs of this process; `tau_max_s` is the slowest time constant that the coolant may have.
    """

    duration_s: Annotated[float, Meta(ge=1.0, le=604800.0)] = 600.0
    interval_s: Annotated[float, Meta(ge=0.05, le=60.0)] = 1.0
    end_early: bool = False
    tau_max_s: Annotated[float, Meta(ge=1.0, le=36000.0)] = 600.0
    margin_needed_k: Annotated[float, Meta(ge=0.0, le=100.0)] = 10.0


NO_DIGEST = Unavailable("load result", 0, "this load computes no digest")
SMS_ALIKE = Unavailable("load result", 0, "this load can't tell which SM computed what")
HEAT_S = 120.0
"""Length of the end of a soak that thermal resistance is told from."""


# Series -> unit, the column of Sensors, and what a whole number in it is divided by (0: it holds floats in that unit).
SERIES: dict[str, tuple[str, str, int]] = {
    "power": ("W", "power_w", 0),
    "temperature": ("°C", "temperature_c", 0),
    "memory_temperature": ("°C", "memory_temperature_c", 0),
    "margin": ("K", "margin_k", 0),
    "sm_clock": ("MHz", "sm_clock_mhz", 0),
    "sw_power_cap": ("ns", "sw_power_cap_ns", 1),
    "sw_thermal": ("ns", "sw_thermal_ns", 1),
    "hw_thermal": ("ns", "hw_thermal_ns", 1),
    "hw_power_brake": ("ns", "hw_power_brake_ns", 1),
    "energy": ("J", "energy_mj", 1000),
    "iterations": ("iterations", "iterations", 1),
}


def _of(
    series: str,
    reduction: Reduction,
    name: str,
    unit: str,
    description: str,
    better: Literal["higher", "lower", "neither"] = "neither",
) -> Metric:
    return Metric(name, unit, description, better=better, series=series, reduction=reduction)


METRICS = (
    _of("power", "mean", "power_mean", "W", "Mean power under load"),
    _of("temperature", "maximum", "temperature_max", "°C", "Highest GPU temperature"),
    _of("memory_temperature", "maximum", "memory_temperature_max", "°C", "Highest memory temperature", "lower"),
    _of("margin", "minimum", "margin_min", "K", "Smallest margin to thermal slowdown", "higher"),
    _of("margin", "lower_bound", "margin_bound", "K", "Margin that is left when all is warm, at least", "higher"),
    _of("temperature", "upper_bound", "temperature_bound", "°C", "Temperature when all is warm, at most", "lower"),
    _of("temperature", "range", "temperature_range", "K", "Highest less lowest GPU temperature", "higher"),
    _of("sm_clock", "mean", "sm_clock_mean", "MHz", "Mean SM clock under load", "higher"),
    _of("sw_power_cap", "share", "sw_power_cap_share", "%", "Time at the power limit"),
    _of("sw_thermal", "share", "sw_thermal_share", "%", "Time slowed by software for heat", "lower"),
    _of("hw_thermal", "share", "hw_thermal_share", "%", "Time slowed by hardware for heat", "lower"),
    _of("hw_power_brake", "share", "hw_power_brake_share", "%", "Time braked by the power supply", "lower"),
    _of("energy", "difference", "energy", "J", "Energy used"),
    _of(
        "iterations",
        "ratio_of_thirds",
        "throughput_ratio",
        "",
        "Throughput of the last third over that of the settled first",
        "higher",
    ),
    _of(
        "unexplained_clock",
        "mean",
        "unexplained_clock_share",
        "",
        "Share of samples with a low SM clock and no reason for it",
        "lower",
    ),
    _of("power", "duration", "duration", "s", "Time under load", "higher"),
    _of("power", "largest_gap", "largest_gap", "s", "Longest time between two samples", "lower"),
    Metric("mismatches", "results", "Results that differ bit for bit", kind="counted", better="lower"),
    Metric("odd_sms", "SMs", "SMs that computed something else than the others", kind="counted", better="lower"),
    Metric("odd_sm_numbers", "", "Which SMs did"),
    Metric("digest", "", "Digest of what the load computed"),
    Metric("inlet_temperature", "°C", "Air that the node draws in, mean of start and end of the soak"),
    Metric(
        "thermal_resistance", "K/kW", "GPU temperature over that of the inlet for its power, at the end", better="lower"
    ),
    Metric("iterations_per_joule", "iterations/J", "Work for its energy", better="higher"),
    Metric("load_implementation", "", "Kernel that made the load"),
)


def measure(node: Node, visit: Visit) -> None:
    """Load every GPU, hand over the samples as they come, then compare the results."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    clock_needs: dict[int, tuple[float, float] | Unavailable] = {}
    inlet = _inlet(node)
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            needs = _clock_needs(node, gpu)
            node.load_begin(gpu, LOAD_SEED)
            clock_needs[gpu] = needs
    loaded = tuple(clock_needs)
    work, heat = _Work(), _Heat()
    margins = {gpu: _Margin() for gpu in loaded}
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
                work.add(gpu, sensors)
                heat.add(gpu, sensors)
                if settings.end_early:
                    margins[gpu].add(sensors)
            visit.series(series)
            if settings.end_early and all(margins[gpu].steady(settings) for gpu in loaded if gpu not in lost):
                break
    inlet_end = inlet if isinstance(inlet, Unavailable) else _inlet(node)
    for gpu in (gpu for gpu in loaded if gpu not in lost):
        with visit.part(gpu_subject(gpu)):
            result = node.load_end(gpu)
            visit.measured("inlet_temperature", gpu_subject(gpu), _middle(inlet, inlet_end))
            visit.measured("thermal_resistance", gpu_subject(gpu), heat.resistance(gpu, inlet_end))
            visit.measured("mismatches", gpu_subject(gpu), result.mismatches)
            odd, numbers = _odd_sms(result)
            visit.measured("odd_sms", gpu_subject(gpu), odd)
            visit.measured("odd_sm_numbers", gpu_subject(gpu), numbers)
            visit.measured("digest", gpu_subject(gpu), result.digest or NO_DIGEST)
            visit.measured("iterations_per_joule", gpu_subject(gpu), work.per_joule(gpu))
            visit.measured("load_implementation", gpu_subject(gpu), result.implementation)


def _odd_sms(result: LoadResult) -> tuple[Reading, Reading]:
    """How many SMs computed something else, and which. That nobody can tell, or that the load never ran on some, is not
    none."""
    if result.odd_sms is None or not result.digest:
        why = SMS_ALIKE if result.odd_sms is None else NO_DIGEST
        return why, why
    if result.idle_sms and not result.odd_sms:
        why = Unavailable("load result", 0, f"no part of the load ran on SM {_numbers(result.idle_sms)}")
        return why, why
    return len(result.odd_sms), _numbers(result.odd_sms) or "none"


def _numbers(sms: tuple[int, ...]) -> str:
    return ", ".join(map(str, sms[:16]))


class _Work:
    """Iterations and energy of each GPU from its first to its last sample."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[int, int]] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._missing: dict[int, Unavailable] = {}

    def add(self, gpu: int, sensors: Sensors) -> None:
        if isinstance(sensors.energy_mj, Unavailable):
            self._missing[gpu] = sensors.energy_mj
        elif sensors.at_s:
            self._first.setdefault(gpu, (sensors.iterations[0], sensors.energy_mj[0]))
            self._last[gpu] = (sensors.iterations[-1], sensors.energy_mj[-1])

    def per_joule(self, gpu: int) -> float | Unavailable:
        if gpu in self._missing or gpu not in self._last:
            return self._missing.get(gpu, Unavailable("energy", 0, "no sample was read"))
        (work, energy), (work_0, energy_0) = self._last[gpu], self._first[gpu]
        if energy <= energy_0:
            return Unavailable("energy", 0, "the energy counter did not rise")
        return float(f"{(work - work_0) / (energy - energy_0) * 1e3:.5g}")


class _Heat:
    """Temperature and power of each GPU over the end of its soak: `HEAT_S`, or the second half of a shorter one."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}
        self._kept: dict[int, list[tuple[Floats, Floats, Floats]]] = {}
        self._missing: dict[int, Unavailable] = {}

    def add(self, gpu: int, sensors: Sensors) -> None:
        power, temperature = sensors.power_w, sensors.temperature_c
        for column in (power, temperature):
            if isinstance(column, Unavailable):
                self._missing[gpu] = column
        if isinstance(power, Unavailable) or isinstance(temperature, Unavailable) or not sensors.at_s:
            return
        self._began.setdefault(gpu, sensors.at_s[0])
        kept = self._kept.setdefault(gpu, [])
        kept.append((sensors.at_s, power, temperature))
        while kept[0][0][-1] < sensors.at_s[-1] - HEAT_S:
            del kept[0]

    def resistance(self, gpu: int, inlet: Reading) -> float | Unavailable:
        """K/kW, from the mean temperature, the mean power and the inlet at the end of the soak."""
        if isinstance(inlet, Unavailable):
            return inlet
        if gpu in self._missing:
            return self._missing[gpu]
        kept = self._kept.get(gpu)
        if not kept:
            return Unavailable("sensors", 0, "no sample was read")
        end = kept[-1][0][-1]
        start = end - min(HEAT_S, (end - self._began[gpu]) / 2)
        power = [watt for at, watts, _ in kept for t, watt in zip(at, watts, strict=True) if t >= start]
        heat = [
            celsius for at, _, temperature in kept for t, celsius in zip(at, temperature, strict=True) if t >= start
        ]
        rise = fmean(heat) - float(inlet)
        if rise <= 0 or fmean(power) <= 0:
            return Unavailable("thermal resistance", 0, f"the GPU is {rise:.3g} K warmer than the inlet: not its air")
        return float(f"{rise / fmean(power) * 1e3:.5g}")


def _inlet(node: Node) -> Reading:
    try:
        return node.inlet()
    except DeviceError as error:
        return Unavailable(error.call, error.code, str(error))


def _middle(start: Reading, end: Reading) -> Reading:
    if isinstance(start, Unavailable):
        return start
    return end if isinstance(end, Unavailable) else (float(start) + float(end)) / 2


class _Margin:
    """The margin of one GPU over the last `BOUND_WINDOW_S`: whether it can still fall below what is needed."""

    def __init__(self) -> None:
        self._at: list[float] = []
        self._values: list[float] = []
        self._began = 0.0

    def add(self, sensors: Sensors) -> None:
        if isinstance(sensors.margin_k, Unavailable) or not sensors.at_s:
            return
        self._began = self._began or sensors.at_s[0]
        self._at += sensors.at_s
        self._values += map(float, sensors.margin_k)
        keep = sum(at >= self._at[-1] - BOUND_WINDOW_S for at in self._at)
        self._at, self._values = self._at[-keep:], self._values[-keep:]

    def steady(self, settings: Settings) -> bool:
        """Whether even the margin's lower bound is above the need."""
        if len(self._at) < BOUND_SAMPLES or self._at[-1] - self._began < BOUND_AFTER_S:
            return False
        return bound(self._at, self._values, -1.0, settings.tau_max_s) > settings.margin_needed_k


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
    for name, (_, column, divisor) in SERIES.items():
        values = getattr(sensors, column)
        out[name] = _divided(values, divisor) if divisor and not isinstance(values, Unavailable) else values
    clock, power, reasons = sensors.sm_clock_mhz, sensors.power_w, sensors.event_reasons
    for needed in (needs, clock, power, reasons):
        if isinstance(needed, Unavailable):
            out["unexplained_clock"] = needed
            return out
    assert not isinstance(needs, Unavailable) and not isinstance(clock, Unavailable)
    assert not isinstance(power, Unavailable) and not isinstance(reasons, Unavailable)
    low_clock, low_power = needs
    if min(power, default=low_power) >= low_power or min(clock, default=low_clock) >= low_clock:  # nothing to explain
        out["unexplained_clock"] = (0.0,) * len(clock)
        return out
    out["unexplained_clock"] = tuple(
        [
            1.0 if mhz < low_clock and watt < low_power and not why & ~IDLE else 0.0
            for mhz, watt, why in zip(clock, power, reasons, strict=True)
        ]
    )
    return out


def _divided(counts: tuple[int, ...], divisor: int) -> Floats:
    """Each count divided; most counters stand still."""
    if counts and counts.count(counts[0]) == len(counts):
        return (counts[0] / divisor,) * len(counts)
    if divisor == 1:
        return tuple(map(float, counts))
    return tuple([count / divisor for count in counts])


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
    remedies={
        "unexplained_clock_share": "`nvidia-smi{gpu} -q -d CLOCK` shows clocks that are locked, `nvidia-smi{gpu} -rgc`"
        " frees them.",
    },
    parameters=Settings,
    seconds=lambda parameters, gpus: parameters.duration_s + 2.0 if isinstance(parameters, Settings) else 2.0,
    detects=(
        "gpu_fallen_off_bus",
        "xid_79_in_soak",
        "driver_hang_in_soak",
        "tool_crash",
        "sm_silent_corruption",
        "sm_silent_corruption_intermittent",
        "thermal_interface_bad",
        "paste_pumpout",
        "fan_slow",
        "cooling_flow_low",
        "pump_dead",
        "leak_slow",
        "sensor_stuck",
        "power_limit_low",
        "power_brake",
        "psu_droop_in_phase",
        "clock_capped",
        "clock_stuck_low",
    ),
    series=(*((name, unit) for name, (unit, _, _) in SERIES.items()), ("unexplained_clock", "")),
)
