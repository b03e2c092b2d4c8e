"""Whether every NVLink is up and clean, whether every pair of GPUs can reach each other, and how fast.

On a switch, pairs of different GPUs do not disturb each other: 8 GPUs are 7 rounds of 4 pairs, each in both orders.
"""

from typing import Annotated, NamedTuple

from msgspec import Meta

from gpuaccept.check import (
    Check,
    CopyOperation,
    Engine,
    Link,
    Metric,
    Node,
    Parameters,
    Reading,
    Unavailable,
    Visit,
    gpu_subject,
    link_subject,
    pair_subject,
)

MIB = 1 << 20
STATES = {"on": "active", "off": "inactive"}


class Settings(Parameters, frozen=True, kw_only=True):
    """`passes` over the buffer make one timed span of 5 ms or more."""

    states: bool = True
    """Read states and counters: at the start and the end of a run is enough for their differences."""
    copies: bool = True
    """Copy between all pairs."""
    buffer_mib: Annotated[int, Meta(ge=1, le=8192)] = 1024
    passes: Annotated[int, Meta(ge=1, le=1000)] = 4
    repeats: Annotated[int, Meta(ge=3, le=100)] = 3


class Copy(NamedTuple):
    """One kind of copy between two GPUs."""

    name: str
    operation: CopyOperation
    engine: Engine
    bidirectional: bool
    description: str


COPIES = (
    Copy("device_to_device_memcpy_read_ce", "read", "ce", False, "Read from another GPU, copy engine"),
    Copy("device_to_device_memcpy_write_ce", "write", "ce", False, "Write to another GPU, copy engine"),
    Copy("device_to_device_bidirectional_memcpy_read_ce", "read", "ce", True, "Read both ways, summed, copy engine"),
    Copy("device_to_device_bidirectional_memcpy_write_ce", "write", "ce", True, "Write both ways, summed, copy engine"),
    Copy("device_to_device_memcpy_read_sm", "read", "sm", False, "Read from another GPU, SM kernel"),
    Copy("device_to_device_memcpy_write_sm", "write", "sm", False, "Write to another GPU, SM kernel"),
)
COUNTERS = (
    ("recovery", "recovery", "Link recoveries in life"),
    ("recovery_new", "recovery", "New link recoveries"),
    ("recovery_failed_new", "recovery_failed", "New link recoveries that failed"),
    ("effective_errors_new", "effective_errors", "New errors after correction"),
    ("symbol_errors_new", "symbol_errors", "New symbol errors"),
    ("crc_errors_new", "crc_errors", "New CRC errors"),
    ("replay_errors_new", "replay_errors", "New replays"),
)


def measure(node: Node, visit: Visit) -> None:
    """States first; then the copies, so that the next visit's counters show what they did."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    if settings.states:
        _states(node, visit)
    if settings.copies:
        _copies(node, visit, settings)


def _states(node: Node, visit: Visit) -> None:
    found: list[tuple[str, Link]] = []
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            links = node.links(gpu)
            found += [(link_subject(gpu, link.number), link) for link in links]
            visit.measured("links_active", gpu_subject(gpu), sum(link.state == "on" for link in links))
        with visit.part(gpu_subject(gpu)):
            fabric = node.fabric(gpu)
            visit.measured("fabric_state", gpu_subject(gpu), fabric.state)
            visit.measured("fabric_status", gpu_subject(gpu), fabric.status)
            visit.measured("fabric_health", gpu_subject(gpu), fabric.health)
    _links(visit, found)
    for gpu, peer in ((gpu, peer) for gpu in node.gpus for peer in node.gpus if gpu != peer):
        with visit.part(pair_subject(gpu, peer)):
            status = node.pair(gpu, peer)
            visit.measured("p2p_read", pair_subject(gpu, peer), status.p2p_read)
            visit.measured("p2p_write", pair_subject(gpu, peer), status.p2p_write)
            visit.measured("common_ancestor", pair_subject(gpu, peer), status.common_ancestor)


def _links(visit: Visit, found: list[tuple[str, Link]]) -> None:
    for subject, link in found:
        state = STATES.get(link.state, link.state) if isinstance(link.state, str) else link.state
        visit.measured("state", subject, state)
        rate = link.raw_rate_mbps
        visit.measured("raw_rate", subject, rate / 1000 if isinstance(rate, int | float) else rate)
        visit.measured("version", subject, link.version)
        visit.measured("remote_type", subject, link.remote_type)
    for name, source, _ in COUNTERS:
        readings: list[tuple[str, Reading]] = [(subject, getattr(link, source)) for subject, link in found]
        if readings and all(isinstance(value, Unavailable) for _, value in readings):
            readings = [("node", readings[0][1])]  # this generation does not count it: said once
        for subject, value in readings:
            visit.measured(name, subject, value)


def _copies(node: Node, visit: Visit, settings: Settings) -> None:
    wrong: dict[tuple[int, int], int] = {}
    seed = visit.seed
    for copy in COPIES:
        rates: dict[tuple[int, int], list[float]] = {}
        dead: set[tuple[int, int]] = set()
        with visit.part("node", copy.name):
            for pairs in rounds(node.gpus):
                for _ in range(settings.repeats):
                    alive = tuple(pair for pair in pairs if pair not in dead)
                    seed += 1
                    spans = node.peer_copies(
                        alive,
                        copy.operation,
                        copy.engine,
                        copy.bidirectional,
                        settings.buffer_mib * MIB,
                        settings.passes,
                        seed,
                    )
                    for pair, span in zip(alive, spans, strict=True):
                        if isinstance(span, Unavailable):
                            visit.measured(copy.name, pair_subject(*pair), span)
                            dead.add(pair)
                        else:
                            rates.setdefault(pair, []).append(float(f"{span.bytes_written / span.elapsed_ns:.6g}"))
                            wrong[pair] = wrong.get(pair, 0) + span.wrong_words
        for pair in sorted(rates.keys() - dead):
            visit.measured(copy.name, pair_subject(*pair), *rates[pair])
    for pair in sorted(wrong):
        visit.measured("wrong_words", pair_subject(*pair), wrong[pair])


def rounds(gpus: tuple[int, ...]) -> list[tuple[tuple[int, int], ...]]:
    """All ordered pairs in rounds of pairs that share no GPU: a round-robin tournament by the circle method."""
    ring: list[int | None] = [*gpus] if len(gpus) % 2 == 0 else [*gpus, None]
    out = []
    for _ in range(len(ring) - 1):
        meetings = zip(ring[: len(ring) // 2], reversed(ring[len(ring) // 2 :]), strict=True)
        pairs = tuple((a, b) for a, b in meetings if a is not None and b is not None)
        out += [pairs, tuple((b, a) for a, b in pairs)]
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return [pairs for pairs in out if pairs]


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    spans = len(rounds(tuple(range(gpus)))) * len(COPIES) * parameters.repeats if parameters.copies else 0
    return 0.5 + 0.02 * gpus * gpus + 0.02 * spans  # 6 ms a span, and as much again to fill and to verify


def _copy_metrics() -> tuple[Metric, ...]:
    return tuple(
        Metric(copy.name, "GB/s", copy.description, "sampled", "higher", "pair", by_state=True, group="copies")
        for copy in COPIES
    )


CHECK = Check(
    name="nvlink",
    purpose="State, errors and reach of every NVLink and pair of GPUs, and verified copies between all pairs",
    scope="node",
    metrics=(
        Metric("links_active", "links", "NVLinks that are active", "counted", "higher", group="state"),
        Metric("state", "", "State of the NVLink", subject="link", group="state"),
        Metric("raw_rate", "GB/s", "Raw rate of the NVLink", subject="link", group="state"),
        Metric("version", "", "NVLink version", subject="link", group="state"),
        Metric("remote_type", "", "What the NVLink ends at", subject="link", group="state"),
        Metric("fabric_state", "", "Fabric registration", group="state"),
        Metric("fabric_status", "", "Status of the fabric registration", group="state"),
        Metric("fabric_health", "", "Health of the fabric as the GPU sees it", group="state"),
        Metric("p2p_read", "", "Peer access for reading", subject="pair", group="state"),
        Metric("p2p_write", "", "Peer access for writing", subject="pair", group="state"),
        Metric("common_ancestor", "", "Nearest common ancestor on PCIe", subject="pair", group="state"),
        *(
            Metric(
                name,
                "events",
                description,
                "difference" if name.endswith("_new") else "counted",
                "lower",
                "link",
                group="state",
            )
            for name, _, description in COUNTERS
        ),
        *_copy_metrics(),
        Metric(
            "wrong_words",
            "words",
            "Words that came out wrong between two GPUs",
            "counted",
            "lower",
            "pair",
            by_state=True,
            group="copies",
        ),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=(
        "nvlink_link_down",
        "nvlink_slow",
        "nvlink_errors",
        "nvlink_remote_wrong_type",
        "p2p_disabled",
        "fabric_not_ready",
    ),
    groups=lambda parameters: frozenset(
        group
        for group, wanted in (
            ("state", getattr(parameters, "states", True)),
            ("copies", getattr(parameters, "copies", True)),
        )
        if wanted
    ),
)
