"""How fast every GPU moves data in its own memory, and between host memory and its own.

GB/s are 10^9 bytes a second of GPU event time. `read_sm`, `write_sm`, `device_local_copy` and the host copies count
every byte once; `copy_sm` and `triad_sm` count what is read and what is written, as BabelStream does.
"""

from typing import Annotated, Literal

from msgspec import Meta

from gpuaccept.check import (
    Check,
    HostDirection,
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

    paths: Literal["device", "host"] = "device"
    buffer_mib: Annotated[int, Meta(ge=1, le=16384)] = 4096
    """A buffer of 32 times the L2 of a B200: what the cache serves is below the noise."""
    passes: Annotated[int, Meta(ge=1, le=1000)] = 10
    host_buffer_mib: Annotated[int, Meta(ge=1, le=8192)] = 1024
    repeats: Annotated[int, Meta(ge=3, le=100)] = 5
    warm_up_passes: Annotated[int, Meta(ge=0, le=10000)] = 160
    """About 0.1 s of reading on a B200 before anything is timed: clocks rise from idle in tens of ms."""


KERNELS: tuple[tuple[str, SweepKernel, str], ...] = (
    ("read_sm", "read", "Device memory read, SM kernel"),
    ("write_sm", "write", "Device memory write, SM kernel"),
    ("copy_sm", "copy", "Device memory copy, SM kernel, read and written"),
    ("triad_sm", "triad", "Device memory triad, SM kernel, read and written"),
    ("device_local_copy", "local_copy_ce", "Copy within device memory, copy engine, bytes counted once"),
)
DIRECTIONS: tuple[tuple[str, HostDirection, str], ...] = (
    ("host_to_device_memcpy_ce", "host_to_device", "Copy from host to device, copy engine"),
    ("device_to_host_memcpy_ce", "device_to_host", "Copy from device to host, copy engine"),
)


def measure(node: Node, visit: Visit) -> None:
    """Time every kernel or direction on every GPU; each repeat has its own pattern, verified in the whole buffer."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            if settings.paths == "device":
                _device(node, visit, settings, gpu)
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


def _host(node: Node, visit: Visit, settings: Settings, gpu: int) -> None:
    buffer, seed, wrong = settings.host_buffer_mib * MIB, visit.seed, 0
    for name, direction, _ in DIRECTIONS:
        samples: list[Reading] = []
        for _ in range(settings.repeats):
            (span,) = node.host_copies((gpu,), direction, "ce", False, buffer, 1, seed)
            seed += 1
            if isinstance(span, Unavailable):
                samples.append(span)
                break
            wrong += span.wrong_words
            samples.append(round(span.bytes_written / span.elapsed_ns, 4))
        visit.measured(name, gpu_subject(gpu), *samples)
    visit.measured("host_wrong_words", gpu_subject(gpu), wrong)


def _rate(kernel: SweepKernel, span: Transfer) -> float:
    """GB/s, to four decimals: a tenth of what the timer can tell."""
    moved = {"read": span.bytes_read, "write": span.bytes_written, "local_copy_ce": span.bytes_written}
    return round(moved.get(kernel, span.bytes_read + span.bytes_written) / span.elapsed_ns, 4)


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    if parameters.paths == "device":  # 15 ms a span and as much to fill and verify, all GPUs at once
        return 1.0 + len(KERNELS) * parameters.repeats * 0.04
    return gpus * (0.5 + len(DIRECTIONS) * parameters.repeats * 0.06)


def _metric(name: str, description: str, group: str) -> Metric:
    return Metric(name, "GB/s", description, kind="sampled", better="higher", by_state=True, group=group)


def _wrong(name: str, description: str, group: str) -> Metric:
    return Metric(name, "words", description, kind="counted", better="lower", by_state=True, group=group)


CHECK = Check(
    name="memory_bandwidth",
    purpose="Bandwidth of device memory, and between host and device, with every word verified",
    scope="gpu",
    metrics=(
        *(_metric(name, description, "device") for name, _, description in KERNELS),
        *(_metric(name, description, "host") for name, _, description in DIRECTIONS),
        _wrong("wrong_words", "Words that came out wrong in device memory", "device"),
        _wrong("host_wrong_words", "Words that came out wrong between host and device", "host"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("hbm_bandwidth_low", "straggler", "memory_alloc_fails"),
    groups=lambda parameters: frozenset([parameters.paths]) if isinstance(parameters, Settings) else frozenset(),
)
