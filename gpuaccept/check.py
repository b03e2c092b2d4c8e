"""The public API of checks: what a check file imports.

A check is one file with a module-level `CHECK`. It measures and never decides: limits stand in the profile. Nothing
else of gpuaccept may be imported by a check; the device protocol (`gpuaccept.protocol`) is handed on from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Literal

import msgspec
from msgspec import Meta

from gpuaccept.data import Better, Column, Failure, GpuFacts, Kind, NodeFacts, Reduction, Scalar, SubjectKind
from gpuaccept.errors import DeviceError, DeviceUnavailable, GpuacceptError
from gpuaccept.protocol import (
    CopyOperation,
    EccCounters,
    Engine,
    Fabric,
    Gemm,
    HostDirection,
    HostState,
    KernelEvent,
    Link,
    LinkTraffic,
    LoadResult,
    MarchStep,
    Node,
    PairStatus,
    Pattern,
    PatternKind,
    Pcie,
    Port,
    Precision,
    Process,
    Pulse,
    Reading,
    Sensors,
    Settings,
    SweepKernel,
    Transfer,
    Unavailable,
    Waves,
    WrongWord,
)
from gpuaccept.series import BOUND_AFTER_S, BOUND_SAMPLES, BOUND_WINDOW_S, bound

__all__ = [
    "BOUND_AFTER_S",
    "BOUND_SAMPLES",
    "BOUND_WINDOW_S",
    "Better",
    "Check",
    "CopyOperation",
    "DeviceError",
    "DeviceUnavailable",
    "EccCounters",
    "Engine",
    "Fabric",
    "Gemm",
    "GpuFacts",
    "HostDirection",
    "HostState",
    "KernelEvent",
    "Kind",
    "Link",
    "LinkTraffic",
    "LoadResult",
    "MarchStep",
    "Meta",
    "Metric",
    "Node",
    "NodeFacts",
    "PairStatus",
    "Parameters",
    "Pattern",
    "PatternKind",
    "Pcie",
    "Port",
    "Precision",
    "Process",
    "Pulse",
    "Reading",
    "Reduction",
    "Sensors",
    "Settings",
    "SubjectKind",
    "SweepKernel",
    "Transfer",
    "Unavailable",
    "Visit",
    "Waves",
    "WrongWord",
    "bound",
    "gpu_subject",
    "link_subject",
    "pair_subject",
]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a check's parameters: annotate fields with types, defaults and bounds (`Meta`, which is msgspec's)."""


@dataclass(frozen=True)
class Metric:
    """One figure of a check. Its complete name is `check.name`, with `_cold` or `_hot` where it is `by_state`.

    Kinds: `sampled` is repeated and judged by its median with uncertainty; `read` is a reading (text or number);
    `counted` is an integer; `difference` and `rate` (per hour) are the change of a counter from its first to its last
    visit. `series` and `reduction` derive the figure from a series of samples instead: the engine computes it, and
    `gpuaccept verify` computes it again.
    """

    name: str
    unit: str
    description: str
    kind: Kind = "read"
    better: Better = "neither"
    subject: SubjectKind = "gpu"
    by_state: bool = False
    series: str = ""
    reduction: Reduction | None = None
    group: str = ""
    """Which part of the check measures it: see `Check.groups`."""
    named_by: str = ""
    """Of a count: the check's metric that lists, as text with commas, what is counted; a finding names what is new."""


@dataclass(frozen=True)
class Check:
    """A check: what it measures, what it needs, what it must be able to detect.

    `scope` says which GPUs one process sees: `gpu` checks run in one worker a GPU, `node` checks in one for all.
    `groups(parameters)` names the metric groups that a step with these parameters yields (default: all metrics).
    `seconds(parameters, gpus)` estimates the duration. `series` maps each series' name to its unit.
    `remedies` maps a metric to a sentence for whoever is at the node: how the setting that it shows is put right. In it
    `{gpu}` becomes ` -i BUS`, as nvidia-smi takes it, where the finding is of one GPU.
    """

    name: str
    purpose: str
    scope: Literal["gpu", "node"]
    metrics: tuple[Metric, ...]
    measure: Callable[[Node, Visit], None]
    parameters: type[Parameters] = Parameters
    seconds: Callable[[Parameters, int], float] = lambda parameters, gpus: 1.0
    detects: tuple[str, ...] = ()
    groups: Callable[[Parameters], frozenset[str]] | None = None
    series: tuple[tuple[str, str], ...] = ()
    remedies: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=4096)
def gpu_subject(gpu: int) -> str:
    """`gpu/3`."""
    return f"gpu/{gpu}"


@lru_cache(maxsize=4096)
def link_subject(gpu: int, link: int) -> str:
    """`gpu/3/link/11`."""
    return f"gpu/{gpu}/link/{link}"


@lru_cache(maxsize=4096)
def pair_subject(gpu: int, peer: int) -> str:
    """`gpu/2>gpu/5`: gpu 2 acts (reads from, or writes to) gpu 5."""
    return f"gpu/{gpu}>gpu/{peer}"


COUNTS = ("counted", "difference", "rate")
"""Kinds whose samples are integers."""
AS_THEY_ARE = {float, str}
"""Types of samples that are recorded as they are."""
SeriesBlock = dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]]
"""(series, subject) -> (times in s, values)."""


@dataclass
class Visit:
    """One visit to a check: where it puts what it measured. The engine writes it to the journal as one entry."""

    check: Check
    parameters: Parameters
    state: str = ""
    visit: int = 1
    look: int = 1
    seed: int = 0
    """For data patterns: another one in each visit."""
    on_series: Callable[[SeriesBlock], None] = lambda block: None
    failures: list[Failure] = field(default_factory=list)
    _columns: dict[str, tuple[float, dict[str, tuple[Scalar, ...]]]] = field(default_factory=dict)
    _metrics: dict[str, tuple[str, bool]] = field(init=False)
    """Metric -> (complete name in this visit's state, whether it counts)."""
    clock: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        self._metrics = {
            metric.name: (full_name(self.check.name, metric, self.state), metric.kind in COUNTS)
            for metric in self.check.metrics
        }

    def full_name(self, metric: str) -> str:
        """The complete name of one of this check's metrics in this visit's state."""
        return self._metrics[metric][0]

    def measured(self, metric: str, subject: str, *samples: Reading) -> None:
        """Record raw samples of a metric of a subject. A sample that is Unavailable makes it a measurement not made."""
        self.measured_all(metric, {subject: samples})

    def measured_all(self, metric: str, samples: Mapping[str, Sequence[Reading]]) -> None:
        """`measured` of many subjects: subject -> its samples."""
        declared = self._metrics.get(metric)
        if declared is None:
            raise GpuacceptError(
                f"check {self.check.name} measured {metric}, which it does not declare", "add it to CHECK.metrics"
            )
        name, counts = declared
        column = self._columns.get(name)
        for subject, each in samples.items():
            types = set(map(type, each))
            if Unavailable in types:
                why = next(sample for sample in each if isinstance(sample, Unavailable))
                failure = Failure(metric=name, subject=subject, call=why.call, code=why.code, reason=why.reason)
                self.failures.append(failure)
                continue
            if column is None:
                column = self._columns[name] = (self.clock(), {})
            if subject in column[1]:
                raise GpuacceptError(
                    f"check {self.check.name} measured {metric} of {subject} twice in one visit",
                    "give all samples at once",
                )
            known: Iterable[int | float | str] = each  # type: ignore[assignment]
            column[1][subject] = (
                tuple([str(int(sample)) for sample in known])
                if counts
                else tuple(known)
                if types <= AS_THEY_ARE
                else tuple([sample if isinstance(sample, str) else float(sample) for sample in known])
            )

    def series(self, block: SeriesBlock) -> None:
        """Hand over a block of series samples; names without the check's prefix, subjects as `gpu/3`."""
        names = {name: f"{self.check.name}.{name}" for name, _ in block}
        self.on_series({(names[name], subject): data for (name, subject), data in block.items()})

    def part(self, subject: str, metric: str = "*") -> Part:
        """What fails in this block is not measured for this subject (and metric); the check goes on with the next."""
        return Part(self, subject, metric)

    def columns(self) -> tuple[Column, ...]:
        """All that was measured in this visit, one column a metric."""
        return tuple(
            Column(
                metric=name,
                visit=self.visit,
                look=self.look,
                at_s=round(at, 6),
                subjects=tuple(measured),
                samples=tuple(measured.values()),
            )
            for name, (at, measured) in self._columns.items()
        )


class Part:
    """`Visit.part`: a DeviceError within it becomes a failure of what was to be measured there."""

    __slots__ = ("_metric", "_subject", "_visit")

    def __init__(self, visit: Visit, subject: str, metric: str) -> None:
        self._visit, self._subject, self._metric = visit, subject, metric

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, DeviceError):
            return False
        visit, metric = self._visit, self._metric
        name = f"{visit.check.name}.*" if metric == "*" else visit.full_name(metric)
        visit.failures.append(
            Failure(metric=name, subject=self._subject, call=error.call, code=error.code, reason=str(error))
        )
        return True


def full_name(check: str, metric: Metric, state: str) -> str:
    """`check.metric`, with the state as suffix where the metric is by state."""
    return f"{check}.{metric.name}_{state}" if metric.by_state and state else f"{check}.{metric.name}"
