"""Square waves of load on all GPUs, in phase and out of phase: what supply, bus bar and GPUs make of steep steps.

A steady soak asks a supply for much power, pulses ask it to follow. All GPUs of a node that step together are the worst
that a supply meets, and a hall of such nodes is an event for the grid: it is run only where the plan says who agreed.
Clocks, power limits and modes stay as they are: what pulses is the soak's own kernel.
"""

from collections.abc import Iterator
from typing import Annotated

from gpuaccept.check import (
    Check,
    DeviceError,
    Meta,
    Metric,
    Node,
    Parameters,
    Reading,
    Sensors,
    Unavailable,
    Visit,
    Waves,
    gpu_subject,
)

FREQUENCIES_HZ = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""From the regulation of a supply down to what its capacitors alone must bridge."""
LOAD_SEED = 1
"""Of the operands: always the same, as in the soak."""
BRAKED_NS = 1_000_000
"""A wave braked where the counter of the power brake rose by more: a counter of time, so zero says too much."""
NOWHERE = "none"


class Settings(Parameters, frozen=True, kw_only=True):
    """`agreed_by` has no default that is accepted: the plan must say who agreed to in-phase pulses, and when.

    Each of the frequencies from `slowest_hz` up runs for `seconds`, and for one period at least, all GPUs in phase and
    then out of phase.
    """

    agreed_by: Annotated[
        str,
        Meta(
            pattern=r"\S.*[0-9]{4}",
            max_length=200,
            description="who agreed to power pulses of all GPUs in phase, and the date with its year",
        ),
    ] = ""
    seconds: Annotated[float, Meta(ge=0.01, le=600.0)] = 10.0
    slowest_hz: Annotated[float, Meta(gt=0.0, le=1000.0)] = FREQUENCIES_HZ[0]
    """Those who agree may do so to fast pulses only: what a hall and a grid meet are the slow ones."""


METRICS = (
    Metric("braked_at", "", "Frequency at which the power supply braked"),
    Metric("mismatched_at", "", "Frequency at which results differed bit for bit"),
    Metric("xids_at", "", "XIDs and the frequency at which they came"),
    Metric("hw_power_brake_share", "%", "Time braked by the power supply, wave by wave", better="lower"),
    Metric("hw_thermal_share", "%", "Time slowed by hardware for heat, wave by wave", better="lower"),
    Metric("mismatches", "results", "Results that differ bit for bit, wave by wave", "counted", "lower"),
    Metric("power_of_limit", "%", "Mean power of the enforced limit, wave by wave: a square wave is about half"),
    Metric("bursts", "bursts", "Bursts of load, wave by wave", "counted", "higher"),
    Metric("late_share", "%", "Bursts that began more than a tenth of a period late, wave by wave", better="lower"),
    Metric("load_implementation", "", "Kernel that made the load"),
)


def measure(node: Node, visit: Visit) -> None:
    """Wave after wave; what failed on a GPU is said with the wave in which it did."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    seen = {gpu: _Seen() for gpu in node.gpus}
    left: tuple[int, ...] = node.gpus
    for frequency, in_phase in _waves(settings):
        left = _wave(node, visit, settings, left, seen, frequency, in_phase)
    for metric in METRICS:
        visit.measured_all(metric.name, {gpu_subject(gpu): seen[gpu].samples(metric.name) for gpu in left})


def _waves(settings: Settings) -> Iterator[tuple[float, bool]]:
    frequencies = [frequency for frequency in FREQUENCIES_HZ if frequency >= settings.slowest_hz]
    yield from ((frequency, in_phase) for in_phase in (True, False) for frequency in frequencies)


def _named(frequency: float, in_phase: bool) -> str:
    return f"{frequency:g} Hz {_phase(in_phase)}"


def _phase(in_phase: bool) -> str:
    return "in phase" if in_phase else "out of phase"


def _listed(waves: list[tuple[float, bool]]) -> str:
    """`1, 10 Hz in phase; 10 Hz out of phase`."""
    texts = []
    for in_phase in (True, False):
        if found := [f"{frequency:g}" for frequency, phase in waves if phase is in_phase]:
            texts.append(f"{', '.join(found)} Hz {_phase(in_phase)}")
    return "; ".join(texts) or NOWHERE


def _wave(
    node: Node,
    visit: Visit,
    settings: Settings,
    gpus: tuple[int, ...],
    seen: "dict[int, _Seen]",
    frequency: float,
    in_phase: bool,
) -> tuple[int, ...]:
    """One wave, between two readings of the counters; the GPUs that are left after it."""
    name, left = _named(frequency, in_phase), []
    with visit.part("node"):
        before = _sensors(node, gpus)
        heard = {gpu: node.xids(gpu) for gpu in gpus}
        ran = node.load_waves(gpus, frequency, in_phase, settings.seconds, LOAD_SEED) if gpus else ()
        after = _sensors(node, gpus)
        for gpu, waves in zip(gpus, ran, strict=True):
            with visit.part(gpu_subject(gpu)):
                for one in (before[gpu], after[gpu], waves):  # NVML says what CUDA does not: that it is lost
                    if isinstance(one, Unavailable):
                        raise DeviceError(one.call, one.code, f"{one.reason} at {name}", gpu)
                first, last = before[gpu], after[gpu]
                assert not isinstance(first, Unavailable)
                assert not isinstance(waves, Unavailable) and not isinstance(last, Unavailable)
                limit_mw = node.settings(gpu).power_limit_enforced_mw
                seen[gpu].add((frequency, in_phase), first, waves, last, limit_mw)
                seen[gpu].add_xids(name, heard[gpu], node.xids(gpu))
                left.append(gpu)
    return tuple(left)


def _sensors(node: Node, gpus: tuple[int, ...]) -> dict[int, Sensors | Unavailable]:
    """One reading of all GPUs."""
    return {gpu: one for block in node.sensors(gpus, 0.0, 1.0) for gpu, one in block.items()} if gpus else {}


class _Seen:
    """What all waves showed on one GPU."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Reading]] = {}
        self._at: dict[str, list[tuple[float, bool]]] = {"braked_at": [], "mismatched_at": []}
        self._xids: list[str] = []
        self._missing: dict[str, Unavailable] = {}

    def add(self, wave: tuple[float, bool], first: Sensors, waves: Waves, last: Sensors, limit_mw: Reading) -> None:
        """One wave: frequency and whether in phase."""
        seconds = last.at_s[-1] - first.at_s[-1]
        for column in ("hw_power_brake", "hw_thermal"):
            ns = _rise(first, last, f"{column}_ns")
            self._add(f"{column}_share", ns if isinstance(ns, Unavailable) else _digits(ns / seconds * 1e-7))
        braked_ns = _rise(first, last, "hw_power_brake_ns")
        if isinstance(braked_ns, Unavailable):
            self._missing["braked_at"] = braked_ns
        elif braked_ns > BRAKED_NS:
            self._at["braked_at"].append(wave)
        if waves.mismatches:
            self._at["mismatched_at"].append(wave)
        energy_mj = _rise(first, last, "energy_mj")
        if isinstance(energy_mj, Unavailable) or isinstance(limit_mw, Unavailable):
            self._add("power_of_limit", energy_mj if isinstance(energy_mj, Unavailable) else limit_mw)
        else:
            self._add("power_of_limit", _digits(energy_mj / seconds / float(limit_mw) * 100))
        self._add("mismatches", waves.mismatches)
        self._add("bursts", waves.bursts)
        self._add("late_share", _digits(100 * waves.late / waves.bursts))
        self._samples["load_implementation"] = [waves.implementation]

    def add_xids(self, name: str, before: tuple[int, ...] | Unavailable, after: tuple[int, ...] | Unavailable) -> None:
        """XIDs that came in one wave."""
        if isinstance(before, Unavailable):
            self._missing["xids_at"] = before
        elif isinstance(after, Unavailable):
            self._missing["xids_at"] = after
        else:
            self._xids += [f"{xid} at {name}" for xid in after[len(before) :]]

    def samples(self, metric: str) -> list[Reading]:
        """All samples of a metric."""
        if metric in self._missing:
            return [self._missing[metric]]
        if metric == "xids_at":
            return [", ".join(self._xids) or NOWHERE]
        if metric in self._at:
            return [_listed(self._at[metric])]
        return self._samples[metric]

    def _add(self, metric: str, sample: Reading) -> None:
        self._samples.setdefault(metric, []).append(sample)


def _rise(first: Sensors, last: Sensors, column: str) -> int | Unavailable:
    """By how much a counter rose from one reading to the next."""
    values: tuple[tuple[int, ...] | Unavailable, ...] = (getattr(first, column), getattr(last, column))
    for one in values:
        if isinstance(one, Unavailable):
            return one
    before, after = values
    return int(after[-1]) - int(before[-1])


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    return sum(max(parameters.seconds, 1 / frequency) + 1.0 for frequency, _ in _waves(parameters))


CHECK = Check(
    name="power_pulse",
    purpose="What pulses of load on all GPUs do to power supply and results; only where somebody agreed",
    scope="node",
    metrics=METRICS,
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("psu_droop_at_pulses",),
)
