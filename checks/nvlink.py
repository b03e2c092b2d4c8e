"""Whether every NVLink is up and clean, whether every pair of GPUs can reach each other, and how fast.

On a switch, pairs of different GPUs do not disturb each other: 8 GPUs are 7 rounds of 4 pairs, each in both orders.
What the links of both ends count over a round is the proof of the path that its copies took. A weak port of a switch
shows only where several GPUs meet in it, so at last one copies to all, all to one, and all to all.
"""

from collections import Counter, defaultdict
from typing import Annotated, NamedTuple

from gpuaccept.check import (
    Better,
    Check,
    CopyOperation,
    DeviceError,
    Engine,
    Kind,
    Link,
    Meta,
    Metric,
    Node,
    PairStatus,
    Parameters,
    Reading,
    SubjectKind,
    Transfer,
    Unavailable,
    Visit,
    gpu_subject,
    link_subject,
    pair_subject,
)

MIB = 1 << 20
Pair = tuple[int, int]
Carried = int | Unavailable | None
"""Bytes that all links of a GPU have carried, both ways; None for a GPU that has no links."""
STATES = {"on": "active", "off": "inactive"}


class Settings(Parameters, frozen=True, kw_only=True):
    """`passes` over the buffer make one timed span of 5 ms or more."""

    states: bool = True
    """Read states and counters: at the start and the end of a run is enough for their differences."""
    copies: bool = True
    """Copy between all pairs, one to one and all at once, and prove the path."""
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
TOGETHER = (
    ("one_to_all_write_ce", 0, "Write from one GPU to all others at once, summed, copy engine"),
    ("all_to_one_write_ce", 1, "Write from all other GPUs to one at once, summed, copy engine"),
    ("all_to_all_write_ce", 0, "Write from each GPU to all others while all do, summed, copy engine"),
)
"""Metric, and which end of its pairs is the GPU that it is of."""
COUNTERS = (
    ("recovery", "recovery", "Link recoveries in life"),
    ("recovery_new", "recovery", "New link recoveries"),
    ("recovery_failed_new", "recovery_failed", "New link recoveries that failed"),
    ("effective_errors_new", "effective_errors", "New errors after correction"),
    ("symbol_errors_new", "symbol_errors", "New symbol errors"),
    ("packet_errors_new", "packet_errors", "New packets that came wrong or were thrown away"),
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
    found: dict[str, Link] = {}
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            links = node.links(gpu)
            found |= {link_subject(gpu, link.number): link for link in links}
            visit.measured("links_active", gpu_subject(gpu), sum(link.state == "on" for link in links))
            visit.measured("remote_ids", gpu_subject(gpu), _ends(links))
        with visit.part(gpu_subject(gpu)):
            fabric = node.fabric(gpu)
            visit.measured("fabric_state", gpu_subject(gpu), fabric.state)
            visit.measured("fabric_status", gpu_subject(gpu), fabric.status)
            visit.measured("fabric_health", gpu_subject(gpu), fabric.health)
    _links(visit, found)
    pairs: dict[str, PairStatus] = {}
    for gpu, peer in ((gpu, peer) for gpu in node.gpus for peer in node.gpus if gpu != peer):
        with visit.part(pair_subject(gpu, peer)):
            pairs[pair_subject(gpu, peer)] = node.pair(gpu, peer)
    for name in PairStatus._fields:
        visit.measured_all(name, {subject: (getattr(status, name),) for subject, status in pairs.items()})


def _links(visit: Visit, found: dict[str, Link]) -> None:
    states, rates = dict[str, tuple[Reading]](), dict[str, tuple[Reading]]()
    for subject, link in found.items():
        state, rate = link.state, link.raw_rate_mbps
        states[subject] = (STATES.get(state, state) if isinstance(state, str) else state,)
        rates[subject] = (rate / 1000 if isinstance(rate, int | float) else rate,)
    visit.measured_all("state", states)
    visit.measured_all("raw_rate", rates)
    for name in ("version", "remote_type"):
        visit.measured_all(name, _read(found, name))
    for name, source, _ in COUNTERS:
        readings = _read(found, source)
        if readings and all(isinstance(value, Unavailable) for (value,) in readings.values()):
            readings = {"node": next(iter(readings.values()))}  # this generation does not count it: said once
        visit.measured_all(name, readings)


def _ends(links: tuple[Link, ...]) -> Reading:
    """How many links of a GPU end at which device. On a good HGX H200 the links of one number go to different switches,
    and still each GPU has 4, 5, 5 and 4 at the same four: the counts can be compared, the numbers can't. On an HGX B200
    all have one id, which is no device's (both: openfabric-systems/simllm, tests/fixtures/nccl_topology).
    """
    ids = [link.remote_pci_id for link in links]
    unknown = [one for one in ids if isinstance(one, Unavailable)]
    if unknown and len(unknown) == len(ids):
        return unknown[0]
    told = Counter("not told" if isinstance(one, Unavailable) else str(one) for one in ids)
    return ", ".join(f"{told[name]} {name}" for name in sorted(told)) or "none"


def _read(found: dict[str, Link], field: str) -> dict[str, tuple[Reading]]:
    return {subject: (getattr(link, field),) for subject, link in found.items()}


class _Copied:
    """What copies left: spans by metric and pair, wrong words, and pairs that can't copy, or not over their links."""

    def __init__(self, visit: Visit) -> None:
        self.visit, self.seed = visit, visit.seed
        self.spans: dict[str, dict[Pair, list[Transfer | Unavailable]]] = {copy.name: {} for copy in COPIES}
        self.wrong: dict[Pair, int] = {}
        self.failed: dict[Pair, Unavailable] = {}
        self.detours: set[Pair] = set()
        self.given_up: set[str] = set()

    def run(
        self, node: Node, name: str, pairs: tuple[Pair, ...], copy: "Copy", passes: int, settings: Settings
    ) -> tuple[Transfer | Unavailable, ...]:
        """A span for each pair; none where an error of the call as a whole was said, and the metric given up."""
        if name in self.given_up or not pairs:
            return ()
        self.seed += 1
        self.given_up.add(name)
        with self.visit.part("node", name):
            size = settings.buffer_mib * MIB
            spans = node.peer_copies(pairs, copy.operation, copy.engine, copy.bidirectional, size, passes, self.seed)
            if len(spans) != len(pairs):
                raise DeviceError("peer_copies", 0, f"{len(pairs)} pairs were to copy, {len(spans)} told of it")
            self.given_up.discard(name)
            return spans
        return ()

    def repeat(self, node: Node, pairs: tuple[Pair, ...], copy: "Copy", settings: Settings) -> None:
        """All repeats of one kind of copy; a pair that fails is not asked again."""
        of_pair = self.spans[copy.name]
        of_pair |= {pair: [] for pair in pairs}
        for _ in range(settings.repeats):
            spans = self.run(node, copy.name, pairs, copy, settings.passes, settings)
            for pair, span in zip(pairs, spans, strict=False):
                of_pair[pair].append(span)
            if Unavailable in map(type, spans):
                pairs = tuple([pair for pair in pairs if not isinstance(of_pair[pair][-1], Unavailable)])

    def moved(self, pair: Pair) -> int:
        """Bytes that a pair has written in all spans so far; failures and wrong words of them are noted."""
        moved = 0
        for of_pair in self.spans.values():
            for span in of_pair.get(pair, ()):
                if isinstance(span, Unavailable):
                    self.failed.setdefault(pair, span)
                else:
                    moved += span.bytes_written
                    self.wrong[pair] = self.wrong.get(pair, 0) + span.wrong_words
        return moved


def _copies(node: Node, visit: Visit, settings: Settings) -> None:
    copied, shares = _Copied(visit), dict[Pair, Reading]()
    after: dict[int, Carried] = {}
    for pairs in rounds(node.gpus):
        before = _carried(node, pairs, after)
        for copy in COPIES:
            copied.repeat(node, pairs, copy, settings)
        after = _carried(node, pairs, {})
        for pair in pairs:
            moved = copied.moved(pair)
            nothing = copied.failed.get(pair, Unavailable("peer_copies", 0, "nothing was copied"))
            share = _share([(before[gpu], after[gpu]) for gpu in pair], moved) if moved else nothing
            shares |= {} if share is None else {pair: share}
    copied.detours = {pair for pair, share in shares.items() if isinstance(share, float) and share < 50}
    for name, of_pair in copied.spans.items():
        measured = [(pair_subject(*pair), list(map(_rate, of_pair[pair]))) for pair in sorted(of_pair)]
        visit.measured_all(name, {subject: rates for subject, rates in measured if rates})
    visit.measured_all("link_bytes_share", {pair_subject(*pair): [shares[pair]] for pair in sorted(shares)})
    _together(node, copied, settings, after)
    visit.measured_all("wrong_words", {pair_subject(*pair): [copied.wrong[pair]] for pair in sorted(copied.wrong)})


def _rate(span: Transfer | Unavailable) -> Reading:
    return span if isinstance(span, Unavailable) else _rounded(span.bytes_written / span.elapsed_ns)


def _rounded(rate: float) -> float:
    """GB/s as recorded: to 0.1 where it is a hundred and more, which is below what the timer can tell."""
    # a fifth of the time of round(rate, 1), of which it is the half-up twin
    return int(rate * 10 + 0.5) / 10 if rate >= 100 else float(f"{rate:.4g}")


def _carried(node: Node, pairs: tuple[Pair, ...], known: dict[int, Carried]) -> dict[int, Carried]:
    """What each GPU's links have carried. Between two rounds nothing is copied: what is known is not read again."""
    gpus = sorted({gpu for pair in pairs for gpu in pair})
    return {gpu: known[gpu] if isinstance(known.get(gpu), int) else _read_links(node, gpu) for gpu in gpus}


def _read_links(node: Node, gpu: int) -> Carried:
    try:
        links = node.link_traffic(gpu)
    except DeviceError as error:
        return Unavailable(error.call, error.code, str(error))
    if not links:
        return None
    _, sent, received = zip(*links, strict=True)
    counts = sent + received
    if Unavailable in map(type, counts):
        return next(count for count in counts if isinstance(count, Unavailable))
    return sum(map(int, counts))


def _share(ends: list[tuple[Carried, Carried]], moved: int) -> Reading | None:
    """Percent of the copied bytes that the links of both ends carried: less is another way. None: no links."""
    carried = []
    for before, after in ends:
        if isinstance(before, Unavailable) or isinstance(after, Unavailable):
            return before if isinstance(before, Unavailable) else after
        if before is None or after is None:
            return None
        carried.append(after - before)
    return round(100 * min(carried) / moved, 1)


def _together(node: Node, copied: _Copied, settings: Settings, known: dict[int, Carried]) -> None:
    """Pairs without access, or on another way than their links, are left out here: they are told of by themselves.

    Where all copy to all, what a GPU shows is scaled up to all its pairs: a pair less does not speed up the others.
    What the links of a GPU carried of all these copies is the proof of their path: `known` is what they had before.
    """
    everyone = [(a, b) for a in node.gpus for b in node.gpus if a != b]
    usable = tuple([pair for pair in everyone if pair not in copied.failed and pair not in copied.detours])
    before, moved = _carried(node, usable, known), dict[Pair, int]()
    for name, end, _ in TOGETHER:
        groups = [usable]
        if not name.startswith("all_to_all"):
            groups = [tuple([pair for pair in usable if pair[end] == gpu]) for gpu in node.gpus]
        rates: dict[int, list[Reading]] = {}
        for group in groups * settings.repeats:
            found: dict[int, list[float]] = defaultdict(list)
            spans = copied.run(node, name, group, COPIES[1], 1, settings)
            for pair, span in zip(group, spans, strict=False):
                if isinstance(span, Unavailable):
                    copied.failed.setdefault(pair, span)
                    continue
                found[pair[end]].append(span.bytes_written / span.elapsed_ns)
                copied.wrong[pair] = copied.wrong.get(pair, 0) + span.wrong_words
                moved[pair] = moved.get(pair, 0) + span.bytes_written
            for gpu, each in found.items():
                scale = (len(node.gpus) - 1) / len(each) if len(groups) == 1 else 1.0
                rates.setdefault(gpu, []).append(_rounded(sum(each) * scale))
        for gpu in node.gpus if name not in copied.given_up else ():
            mine = [why for pair, why in sorted(copied.failed.items()) if gpu in pair]
            lost = [why for pair, why in sorted(copied.failed.items()) if pair[end] == gpu and pair in usable]
            none = [*lost, *mine, Unavailable("peer_copies", 0, "no pair of this GPU copies over its links")][:1]
            copied.visit.measured(name, gpu_subject(gpu), *(none if lost else rates.get(gpu, none)))
    after = _carried(node, usable, {})
    for gpu in before:
        copied_bytes = sum(size for pair, size in moved.items() if gpu in pair)
        nothing = Unavailable("peer_copies", 0, "nothing was copied")
        share = _share([(before[gpu], after[gpu])], copied_bytes) if copied_bytes else nothing
        if share is not None:
            copied.visit.measured("together_bytes_share", gpu_subject(gpu), share)


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
    crowds = (2 * gpus + 1) * parameters.repeats if parameters.copies else 0
    # 6 ms a span (10 ms where a GPU meets all others), and as much again to fill and to verify
    return 0.5 + 0.02 * gpus * gpus + 0.02 * spans + 0.03 * crowds


def _of_copies(name: str, unit: str, description: str, kind: Kind = "sampled", subject: SubjectKind = "pair") -> Metric:
    better: Better = "lower" if kind == "counted" else "higher"
    return Metric(name, unit, description, kind, better, subject, by_state=True, group="copies")


_FABRIC = "`systemctl restart nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says what it waits for."
_BYPASSED = "`nvidia-smi nvlink -s` and `nvidia-smi topo -p2p n` show the links and pairs that are out of use."
_P2P = "`nvidia-smi topo -p2p {mode}` shows all pairs; look in /etc/modprobe.d for options of the module nvidia."
REMEDIES = {
    "fabric_state": _FABRIC,
    "fabric_status": _FABRIC,
    "fabric_health": _FABRIC,
    "p2p_read": _P2P.replace("{mode}", "r"),
    "p2p_write": _P2P.replace("{mode}", "w"),
    "link_bytes_share": _BYPASSED,
    "together_bytes_share": _BYPASSED,
}

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
        Metric("remote_ids", "", "NVLinks by the PCI id of what they end at", group="state"),
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
        *(_of_copies(copy.name, "GB/s", copy.description) for copy in COPIES),
        *(_of_copies(name, "GB/s", description, subject="gpu") for name, _, description in TOGETHER),
        _of_copies("link_bytes_share", "%", "Part of the copied bytes that NVLinks carried", "read"),
        _of_copies("together_bytes_share", "%", "The same, while several GPUs meet in one", "read", "gpu"),
        _of_copies("wrong_words", "words", "Words that came out wrong between two GPUs", "counted"),
    ),
    measure=measure,
    remedies=REMEDIES,
    parameters=Settings,
    seconds=_seconds,
    detects=(
        "nvlink_link_down",
        "nvlink_slow",
        "nvlink_errors",
        "nvlink_remote_wrong_type",
        "p2p_disabled",
        "fabric_not_ready",
        "nvlink_recoveries_creeping",
        "nvlink_one_direction_slow",
        "nvswitch_port_weak",
        "p2p_over_pcie_silently",
        "p2p_corrupts",
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
