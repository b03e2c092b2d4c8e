"""How fast every GPU moves data in its own memory, and between host memory and its own.

GB/s are 10^9 bytes a second of GPU event time. `read_sm`, `write_sm`, `device_local_copy` and the host copies count
every byte once; `copy_sm` and `triad_sm` count what is read and what is written, as BabelStream does. A
`bidirectional` host copy counts its own direction only, while the other one runs, as nvbandwidth does.

The map reads nearly all memory in regions of a GiB, each timed by itself: a stack or channel that is slow at some
addresses only is lost in a mean over buffers. It is drawn several times, and a region's rate is the median of its
timings: the slowest of 180 single timings tells of the one that was disturbed, while a region that is slow is so each
time. A region's character in `region_map` says how far it is below the median
of the regions: `MAP_STEPS` has one for each 0.1 %, from 0.8 % above to 5.5 % below (and beyond).
"""

from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal, NamedTuple

from gpuaccept.check import (
    Check,
    DeviceError,
    Engine,
    HostDirection,
    Meta,
    Metric,
    Node,
    Parameters,
    Reading,
    SweepKernel,
    Transfer,
    Unavailable,
    Visit,
    gpu_subject,
)

MIB = 1 << 20


class Settings(Parameters, frozen=True, kw_only=True):
    """`passes` over the buffer make one timed span of 5 ms or more: events resolve 0.5 µs."""

    paths: Literal["device", "host", "host_both_ways", "host_sm", "regions"] = "device"
    buffer_mib: Annotated[int, Meta(ge=1, le=16384)] = 4096
    """A buffer of 32 times the L2 of a B200: what the cache serves is below the noise."""
    passes: Annotated[int, Meta(ge=1, le=1000)] = 10
    host_buffer_mib: Annotated[int, Meta(ge=1, le=8192)] = 1024
    repeats: Annotated[int, Meta(ge=3, le=100)] = 5
    warm_up_passes: Annotated[int, Meta(ge=0, le=10000)] = 160
    """About 0.1 s of reading on a B200 before anything is timed: clocks rise from idle in tens of ms."""
    region_mib: Annotated[int, Meta(ge=64, le=65536)] = 1024
    region_passes: Annotated[int, Meta(ge=1, le=1000)] = 14
    """2 ms for a region of a B200."""
    region_repeats: Annotated[int, Meta(ge=3, le=100)] = 3
    """Maps that are drawn: three is the least that outvotes one disturbed timing."""


MAP_STEPS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
MAP_STEP = 0.001
MAP_ABOVE = 8
"""`MAP_STEPS[MAP_ABOVE]` is the median."""


KERNELS: tuple[tuple[str, SweepKernel, str], ...] = (
    ("read_sm", "read", "Device memory read, SM kernel"),
    ("write_sm", "write", "Device memory write, SM kernel"),
    ("copy_sm", "copy", "Device memory copy, SM kernel, read and written"),
    ("triad_sm", "triad", "Device memory triad, SM kernel, read and written"),
    ("device_local_copy", "local_copy_ce", "Copy within device memory, copy engine, bytes counted once"),
)


class HostCopy(NamedTuple):
    """A metric of `paths`, and the copy that it times."""

    paths: str
    metric: str
    direction: HostDirection
    engine: Engine
    both_ways: bool
    description: str


_TO, _FROM = "Copy from host to device", "Copy from device to host"
_BOTH = "while the other direction runs, copy engine"
HOST_COPIES = (
    HostCopy("host", "host_to_device_memcpy_ce", "host_to_device", "ce", False, f"{_TO}, copy engine"),
    HostCopy("host", "device_to_host_memcpy_ce", "device_to_host", "ce", False, f"{_FROM}, copy engine"),
    HostCopy(
        "host_both_ways", "host_to_device_bidirectional_memcpy_ce", "host_to_device", "ce", True, f"{_TO} {_BOTH}"
    ),
    HostCopy(
        "host_both_ways", "device_to_host_bidirectional_memcpy_ce", "device_to_host", "ce", True, f"{_FROM} {_BOTH}"
    ),
    HostCopy("host_sm", "host_to_device_memcpy_sm", "host_to_device", "sm", False, f"{_TO}, SM kernel"),
    HostCopy("host_sm", "device_to_host_memcpy_sm", "device_to_host", "sm", False, f"{_FROM}, SM kernel"),
)
HOST_WORDS = "host words"
"""The group of what all host copies yield."""


def measure(node: Node, visit: Visit) -> None:
    """Time every kernel or host copy on every GPU; each repeat has its own pattern, verified in the whole buffer."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            if settings.paths == "device":
                _device(node, visit, settings, gpu)
            elif settings.paths == "regions":
                _regions(node, visit, settings, gpu)
            else:
                _host(node, visit, settings, gpu)


def _device(node: Node, visit: Visit, settings: Settings, gpu: int) -> None:
    buffer, seed, wrong = settings.buffer_mib * MIB, visit.seed, 0
    if settings.warm_up_passes:
        node.memory_sweep(gpu, "read", buffer, settings.warm_up_passes, seed)
    for name, kernel, _ in KERNELS:
        spans = [node.memory_sweep(gpu, kernel, buffer, settings.passes, seed + i) for i in range(settings.repeats)]
        seed += settings.repeats
        wrong += sum(span.wrong_words for span in spans)
        visit.measured(name, gpu_subject(gpu), *(_rate(kernel, span) for span in spans))
    visit.measured("wrong_words", gpu_subject(gpu), wrong)


def _regions(node: Node, visit: Visit, settings: Settings, gpu: int) -> None:
    subject, size = gpu_subject(gpu), settings.region_mib * MIB
    totals = {facts.index: facts.memory_total_bytes for facts in node.facts().gpus}
    maps = [
        node.memory_regions(gpu, size, settings.region_passes, visit.seed + repeat)
        for repeat in range(settings.region_repeats)
    ]
    spans = maps[0]
    if gpu not in totals or not spans or any(len(one) != len(spans) for one in maps):
        raise DeviceError("memory_regions", 0, "the regions of the memory were not all read", gpu)
    timings = [[span.bytes_read / span.elapsed_ns for span in one] for one in maps]
    rates = list(map(_middle, zip(*timings, strict=True)))
    middle = median(rates)
    slowest = min(rates)
    visit.measured("region_slowest_share", subject, round(100 * slowest / middle, 2))
    visit.measured("region_slowest_at", subject, round(rates.index(slowest) * settings.region_mib / 1024, 3))
    visit.measured("region_coverage", subject, round(100 * size * len(spans) / totals[gpu], 2))
    visit.measured("region_map", subject, drawn(rates, middle))
    visit.measured("region_wrong_words", subject, sum(span.wrong_words for one in maps for span in one))


def _middle(timings: tuple[float, ...]) -> float:
    """The median; of three, as is usual, without the ceremony."""
    return sorted(timings)[1] if len(timings) == 3 else median(timings)


def drawn(rates: Sequence[float], middle: float) -> str:
    """A character a region: how far its rate is below the middle one, in steps of 0.1 %."""
    last = len(MAP_STEPS) - 1
    steps = [round((1 - rate / middle) / MAP_STEP) + MAP_ABOVE for rate in rates]
    return "".join([MAP_STEPS[step if 0 <= step <= last else min(last, max(0, step))] for step in steps])


def _host(node: Node, visit: Visit, settings: Settings, gpu: int) -> None:
    buffer, seed, wrong = settings.host_buffer_mib * MIB, visit.seed, 0
    for copy in _host_copies(settings):
        samples: list[Reading] = []
        for _ in range(settings.repeats):
            (span,) = node.host_copies((gpu,), copy.direction, copy.engine, copy.both_ways, buffer, 1, seed)
            seed += 1
            if isinstance(span, Unavailable):
                samples.append(span)
                break
            wrong += span.wrong_words
            samples.append(float(f"{span.bytes_written / span.elapsed_ns:.4g}"))
        visit.measured(copy.metric, gpu_subject(gpu), *samples)
    visit.measured("host_wrong_words", gpu_subject(gpu), wrong)


def _host_copies(settings: Settings) -> tuple[HostCopy, ...]:
    return tuple(copy for copy in HOST_COPIES if copy.paths == settings.paths)


def _rate(kernel: SweepKernel, span: Transfer) -> float:
    """GB/s, to six digits: a tenth of what the timer can tell."""
    elapsed_ns, read, written, _ = span
    moved = read if kernel == "read" else written if kernel in ("write", "local_copy_ce") else read + written
    rate = moved / elapsed_ns
    return int(rate * 100 + 0.5) / 100 if 1000 <= rate < 9999 else float(f"{rate:.6g}")


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    if parameters.paths == "device":  # 15 ms a span and as much to fill and verify, all GPUs at once
        return 1.0 + len(KERNELS) * parameters.repeats * 0.04
    if parameters.paths == "regions":
        # 183 GB at 7.1 TB/s a pass, and two to fill and verify
        return 1.0 + parameters.region_repeats * (parameters.region_passes + 2) * 0.026
    return gpus * (0.5 + len(_host_copies(parameters)) * parameters.repeats * 0.06)


def _groups(parameters: Parameters) -> frozenset[str]:
    assert isinstance(parameters, Settings)
    return frozenset([parameters.paths, HOST_WORDS] if _host_copies(parameters) else [parameters.paths])


def _metric(name: str, description: str, group: str) -> Metric:
    return Metric(name, "GB/s", description, kind="sampled", better="higher", by_state=True, group=group)


def _map(name: str, unit: str, description: str, better: Literal["higher", "neither"] = "neither") -> Metric:
    return Metric(name, unit, description, better=better, group="regions")


def _wrong(name: str, description: str, group: str) -> Metric:
    return Metric(name, "words", description, kind="counted", better="lower", by_state=True, group=group)


CHECK = Check(
    name="memory_bandwidth",
    purpose="Bandwidth of device memory, and between host and device, with every word verified",
    scope="gpu",
    metrics=(
        *(_metric(name, description, "device") for name, _, description in KERNELS),
        *(_metric(copy.metric, copy.description, copy.paths) for copy in HOST_COPIES),
        _map("region_slowest_share", "%", "Rate of the slowest region of device memory over the middle one", "higher"),
        _map("region_slowest_at", "GiB", "Where the slowest region of device memory begins"),
        _map("region_coverage", "%", "Part of device memory that the map shows", "higher"),
        _map("region_map", "", "Rates of all regions of device memory"),
        Metric(
            "region_wrong_words",
            "words",
            "Words that came out wrong in a region of device memory",
            "counted",
            "lower",
            group="regions",
        ),
        _wrong("wrong_words", "Words that came out wrong in device memory", "device"),
        _wrong("host_wrong_words", "Words that came out wrong between host and device", HOST_WORDS),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=(
        "hbm_bandwidth_low",
        "hbm_region_slow",
        "straggler",
        "memory_alloc_fails",
        "driver_hang",
        "paste_pumpout",
        "pcie_both_ways_slow",
    ),
    groups=_groups,
)
