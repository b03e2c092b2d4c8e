"""The public API of checks: what a check file imports, and the device protocol that it measures through.

A check is one file with a module-level `CHECK`. It measures and never decides: limits stand in the profile. Nothing
else of gpuaccept may be imported by a check. The protocol below returns only what NVML and CUDA return (times, bytes,
counters, codes), so no check can tell a real GPU from a simulated one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import msgspec

from gpuaccept.data import Better, Column, Failure, GpuFacts, Kind, NodeFacts, Reduction, Scalar, SubjectKind
from gpuaccept.errors import DeviceError, DeviceUnavailable, GpuacceptError

__all__ = [
    "Check",
    "CopyOperation",
    "DeviceError",
    "DeviceUnavailable",
    "EccCounters",
    "Engine",
    "Fabric",
    "GpuFacts",
    "Link",
    "LoadResult",
    "Metric",
    "Node",
    "NodeFacts",
    "PairStatus",
    "Parameters",
    "Pulse",
    "Reading",
    "Sensors",
    "Settings",
    "SweepKernel",
    "Transfer",
    "Unavailable",
    "Visit",
    "gpu_subject",
    "link_subject",
    "pair_subject",
]


# --- what a device returns -----------------------------------------------------------------------------------------


class Unavailable(NamedTuple):
    """A value that could not be read: "not supported" and "not in this driver" both mean not measured."""

    call: str
    code: int
    reason: str


Reading = int | float | str | Unavailable

Engine = Literal["ce", "sm"]
SweepKernel = Literal["read", "write", "copy", "triad", "local_copy_ce"]
CopyOperation = Literal["read", "write"]


class Transfer(NamedTuple):
    """One timed transfer. `elapsed_ns` is GPU event time between the first and the last byte, launches excluded.

    `bytes_read` and `bytes_written` are the bytes asked for in that time, of both ends. `wrong_words` counts the 32-bit
    words that differ from the expected pattern in the whole destination, checked after the timed span.
    """

    elapsed_ns: int
    bytes_read: int
    bytes_written: int
    wrong_words: int


class Settings(NamedTuple):
    """Modes and limits of one GPU (NVML). Power in mW, clocks in MHz, modes as NVML's words in lower case."""

    ecc_mode: Reading
    ecc_mode_pending: Reading
    mig_mode: Reading
    mig_mode_pending: Reading
    persistence_mode: Reading
    compute_mode: Reading
    cc_mode: Reading
    power_limit_enforced_mw: Reading
    sm_clock_max_mhz: Reading
    memory_clock_max_mhz: Reading
    recovery_action: Reading


class EccCounters(NamedTuple):
    """ECC and row-remapping state of one GPU: counters as integers, flags as 0 or 1."""

    dram_corrected_volatile: Reading
    dram_uncorrected_volatile: Reading
    sram_corrected_volatile: Reading
    sram_uncorrected_volatile: Reading
    dram_corrected_aggregate: Reading
    dram_uncorrected_aggregate: Reading
    sram_corrected_aggregate: Reading
    sram_uncorrected_aggregate: Reading
    sram_threshold_exceeded: Reading
    remapped_rows_correctable: Reading
    remapped_rows_uncorrectable: Reading
    row_remapping_pending: Reading
    row_remapping_failure: Reading
    remap_banks_none: Reading
    remap_banks_low: Reading
    channel_repair_pending: Reading
    tpc_repair_pending: Reading


class Link(NamedTuple):
    """One NVLink of one GPU. `state` is off | on | sleep; `raw_rate_mbps` is MB/s of signalling, 53125 on NVLink 5.

    Counters that a generation lacks are Unavailable: NVLink 4 has crc and replay, NVLink 5 has the effective ones.
    """

    number: int
    state: Reading
    version: Reading
    remote_type: Reading
    remote_pci_id: Reading
    raw_rate_mbps: Reading
    recovery: Reading
    recovery_failed: Reading
    effective_errors: Reading
    symbol_errors: Reading
    crc_errors: Reading
    replay_errors: Reading


class Fabric(NamedTuple):
    """Fabric registration: state (not supported | not started | in progress | completed), status, unhealthy flags.

    `health` is `healthy`, or the comma-separated names of the flags of the health mask that are set.
    """

    state: Reading
    status: Reading
    health: Reading


class PairStatus(NamedTuple):
    """P2P status of an ordered pair (NVML's words, `ok` where it works) and its nearest common ancestor."""

    p2p_read: Reading
    p2p_write: Reading
    common_ancestor: Reading


class Sensors(NamedTuple):
    """A block of sensor samples of one GPU, columns of equal length; a column that can't be read is Unavailable.

    Times in seconds of the node's clock; power W; temperatures °C, margin K to slowdown; clocks MHz; the four
    event-reason counters are ns since driver load; energy mJ; iterations completed by the load (0 without).
    """

    at_s: tuple[float, ...]
    power_w: tuple[float, ...] | Unavailable
    temperature_c: tuple[float, ...] | Unavailable
    memory_temperature_c: tuple[float, ...] | Unavailable
    margin_k: tuple[float, ...] | Unavailable
    sm_clock_mhz: tuple[float, ...] | Unavailable
    memory_clock_mhz: tuple[float, ...] | Unavailable
    event_reasons: tuple[int, ...] | Unavailable
    sw_power_cap_ns: tuple[int, ...] | Unavailable
    sw_thermal_ns: tuple[int, ...] | Unavailable
    hw_thermal_ns: tuple[int, ...] | Unavailable
    hw_power_brake_ns: tuple[int, ...] | Unavailable
    energy_mj: tuple[int, ...] | Unavailable
    iterations: tuple[int, ...]


class LoadResult(NamedTuple):
    """What a soak load did: iterations of the kernel, how many results differ bit for bit, and which kernel ran."""

    iterations: int
    mismatches: int
    implementation: str


Pulse = Callable[[int | None, str], None]
"""Called by a device before each driver call: (GPU, or None for the node; name of the call). It is the heartbeat."""


class Node(Protocol):
    """The GPUs of one machine, or those of them that this process is to use. Every method may raise DeviceError."""

    @property
    def gpus(self) -> tuple[int, ...]:
        """Indices (PCI order) that this process measures."""

    def now(self) -> float:
        """Seconds of a monotonic clock: the machine's, or the simulation's."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def facts(self) -> NodeFacts:
        """Read the whole node's identity anew."""

    def settings(self, gpu: int) -> Settings: ...

    def ecc(self, gpu: int) -> EccCounters: ...

    def links(self, gpu: int) -> tuple[Link, ...]:
        """All NVLinks that the GPU has, up or down."""

    def fabric(self, gpu: int) -> Fabric: ...

    def pair(self, gpu: int, peer: int) -> PairStatus: ...

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        """Stream `passes` times over buffers of `buffer_bytes`; a new pattern from `seed`; verified afterwards.

        Counts one way as the kernel moves it: read n, write n, copy n + n, triad 2n + n. `local_copy_ce` is the copy
        engine's device-to-device copy, n + n.
        """

    def host_copy(
        self,
        gpu: int,
        direction: Literal["host_to_device", "device_to_host"],
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> Transfer:
        """Copy engine between pinned memory of the GPU's own NUMA node and the GPU; n bytes read, n written."""

    def peer_copies(
        self,
        pairs: Sequence[tuple[int, int]],
        operation: CopyOperation,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        """Copies of all `pairs` (gpu, peer) at the same time. `read`: gpu pulls from peer; `write`: gpu pushes to peer.

        Bidirectional runs the opposite direction too and counts the bytes of both. One pair's failure is its own.
        """

    def load_begin(self, gpu: int, seed: int) -> None:
        """Start the soak load (tensor and memory) on a GPU and return; it runs while `sensors` or `wait` run."""

    def load_end(self, gpu: int) -> LoadResult: ...

    def sensors(
        self, gpus: Sequence[int], seconds: float, interval: float
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        """Sample for `seconds`, every `interval`, in blocks: each yields every GPU's samples since the last block.

        The first sample is taken at once and the last after `seconds`: 601 samples in 600 s at 1 s.
        """

    def close(self) -> None:
        """Free everything that this process holds."""


# --- what a check declares -----------------------------------------------------------------------------------------


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a check's parameters: annotate fields with types, defaults and bounds (`msgspec.Meta`)."""


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


@dataclass(frozen=True)
class Check:
    """A check: what it measures, what it needs, what it must be able to detect.

    `scope` says which GPUs one process sees: `gpu` checks run in one worker a GPU, `node` checks in one for all.
    `groups(parameters)` names the metric groups that a step with these parameters yields (default: all metrics).
    `seconds(parameters, gpus)` estimates the duration. `series` maps each series' name to its unit.
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


def gpu_subject(gpu: int) -> str:
    """`gpu/3`."""
    return f"gpu/{gpu}"


def link_subject(gpu: int, link: int) -> str:
    """`gpu/3/link/11`."""
    return f"gpu/{gpu}/link/{link}"


def pair_subject(gpu: int, peer: int) -> str:
    """`gpu/2>gpu/5`: gpu 2 acts (reads from, or writes to) gpu 5."""
    return f"gpu/{gpu}>gpu/{peer}"


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
    _metrics: dict[str, Metric] = field(init=False)
    clock: Callable[[], float] = lambda: 0.0

    def __post_init__(self) -> None:
        self._metrics = {metric.name: metric for metric in self.check.metrics}

    def full_name(self, metric: str) -> str:
        """The complete name of one of this check's metrics in this visit's state."""
        return full_name(self.check.name, self._metrics[metric], self.state)

    def measured(self, metric: str, subject: str, *samples: Reading) -> None:
        """Record raw samples of a metric of a subject. A sample that is Unavailable makes it a measurement not made."""
        declared = self._metrics.get(metric)
        if declared is None:
            raise GpuacceptError(
                f"check {self.check.name} measured {metric}, which it does not declare", "add it to CHECK.metrics"
            )
        name = full_name(self.check.name, declared, self.state)
        for sample in samples:
            if isinstance(sample, Unavailable):
                self.failures.append(
                    Failure(metric=name, subject=subject, call=sample.call, code=sample.code, reason=sample.reason)
                )
                return
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = (self.clock(), {})
        if subject in column[1]:
            raise GpuacceptError(
                f"check {self.check.name} measured {metric} of {subject} twice in one visit", "give all samples at once"
            )
        column[1][subject] = tuple([_encoded(declared.kind, sample) for sample in samples])

    def series(self, block: SeriesBlock) -> None:
        """Hand over a block of series samples; names without the check's prefix, subjects as `gpu/3`."""
        self.on_series({(f"{self.check.name}.{name}", subject): data for (name, subject), data in block.items()})

    @contextmanager
    def part(self, subject: str, metric: str = "*") -> Iterator[None]:
        """What fails in this block is not measured for this subject (and metric); the check goes on with the next."""
        try:
            yield
        except DeviceError as error:
            name = f"{self.check.name}.*" if metric == "*" else self.full_name(metric)
            self.failures.append(
                Failure(metric=name, subject=subject, call=error.call, code=error.code, reason=str(error))
            )

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


def full_name(check: str, metric: Metric, state: str) -> str:
    """`check.metric`, with the state as suffix where the metric is by state."""
    return f"{check}.{metric.name}_{state}" if metric.by_state and state else f"{check}.{metric.name}"


def _encoded(kind: Kind, sample: Reading) -> Scalar:
    if kind in ("counted", "difference", "rate"):
        return str(int(sample))  # type: ignore[arg-type]
    return sample if isinstance(sample, str) else float(sample)  # type: ignore[arg-type]
