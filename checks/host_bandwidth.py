"""How fast every GPU copies from and to the host while all GPUs do.

Alone each may have the whole of what they share: an up-link of two GPUs, the memory of a socket. Each
one's own time counts, and every word is verified. This is a reading of how paths are laid, not a figure of a GPU: what
is shared shows as tens of percent.
"""

from typing import Annotated

from gpuaccept.check import (
    Check,
    HostDirection,
    Meta,
    Metric,
    Node,
    Parameters,
    Reading,
    Unavailable,
    Visit,
    gpu_subject,
)

MIB = 1 << 20


class Settings(Parameters, frozen=True, kw_only=True):
    """`passes` over the buffer make one timed span: at 55 GB/s some 80 ms, beside which a start that is not quite
    common is nothing."""

    buffer_mib: Annotated[int, Meta(ge=1, le=8192)] = 1024
    passes: Annotated[int, Meta(ge=1, le=1000)] = 4
    repeats: Annotated[int, Meta(ge=1, le=100)] = 3


DIRECTIONS: tuple[tuple[str, HostDirection, str], ...] = (
    ("host_to_all_memcpy_ce", "host_to_device", "Copy from host to device while all do, copy engine"),
    ("all_to_host_memcpy_ce", "device_to_host", "Copy from device to host while all do, copy engine"),
)


def measure(node: Node, visit: Visit) -> None:
    """One direction after the other, all GPUs at the same time."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    seed, size = visit.seed, settings.buffer_mib * MIB
    wrong: dict[int, list[Reading]] = {gpu: [] for gpu in node.gpus}
    for name, direction, _ in DIRECTIONS:
        rates: dict[int, list[Reading]] = {gpu: [] for gpu in node.gpus}
        with visit.part("node"):
            for _ in range(settings.repeats):
                spans = node.host_copies(node.gpus, direction, "ce", False, size, settings.passes, seed)
                seed += 1
                for gpu, span in zip(node.gpus, spans, strict=True):
                    if isinstance(span, Unavailable):
                        rates[gpu].append(span)
                        wrong[gpu].append(span)
                        continue
                    wrong[gpu].append(span.wrong_words)
                    rates[gpu].append(float(f"{span.bytes_written / span.elapsed_ns:.4g}"))
            visit.measured_all(name, {gpu_subject(gpu): samples for gpu, samples in rates.items()})
    visit.measured_all("wrong_words", {gpu_subject(gpu): [_sum(words)] for gpu, words in wrong.items() if words})


def _sum(words: list[Reading]) -> Reading:
    """Of all spans; where one was not made, why."""
    failed = next((one for one in words if isinstance(one, Unavailable)), None)
    return sum(int(one) for one in words if not isinstance(one, Unavailable)) if failed is None else failed


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    # 55 GB/s each and as much again to fill and to verify; half of that where two share an up-link
    return 0.5 + len(DIRECTIONS) * parameters.repeats * parameters.passes * parameters.buffer_mib / 1024 * 0.08


CHECK = Check(
    name="host_bandwidth",
    purpose="Bandwidth between host and every GPU while all GPUs copy, with every word verified",
    scope="node",
    metrics=(
        *(Metric(name, "GB/s", description, better="higher") for name, _, description in DIRECTIONS),
        Metric("wrong_words", "words", "Words that came out wrong while all GPUs copy", "counted", "lower"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("pcie_uplink_shared", "pcie_width_reduced", "pcie_gen_down_under_load", "numa_wrong"),
)
