"""The node on the page: its board as a drawing with every GPU and NVLink, and the identities of all its parts."""

from __future__ import annotations

from itertools import groupby

from markupsafe import Markup
from msgspec import Struct

from gpuaccept.certificate import charts
from gpuaccept.certificate.lookup import Lookup, gravest, numbers_in
from gpuaccept.certificate.numbers import Quantity, quantity
from gpuaccept.data import GpuFacts, Result

TILE_FIGURES = (
    ("copy", ("memory_bandwidth.copy_sm_hot", "memory_bandwidth.copy_sm_cold")),
    ("margin", ("thermal_soak.margin_min",)),
    ("links", ("nvlink.links_active",)),
)
"""What a tile shows of its GPU: the first metric of each that was measured."""


class Figure(Struct, frozen=True):
    """One figure in a tile."""

    label: str
    value: Quantity
    bad: bool


class BadThread(Struct, frozen=True):
    """A link to look at: where it leaves the GPU, %, and its verdict."""

    x: str
    verdict: Result


class Tile(Struct, frozen=True):
    """One place on the board. `gpu` is None where no GPU was found."""

    place: int
    gpu: int | None
    slot: str
    serial: str
    verdict: Result
    figures: tuple[Figure, ...]
    plot: charts.Interval | None
    threads: Markup
    """Links without a finding; empty where that is all of them, which one drawing shows for every such tile."""
    whole: bool
    unseen: Markup
    bad_threads: tuple[BadThread, ...]


class Board(Struct, frozen=True):
    """All places, in rows of four; `fabric` is None where the node has no NVLink or more than two rows."""

    tiles: tuple[Tile, ...]
    columns: int
    fabric: str | None
    description: str
    unseen_links: int


class Identity(Struct, frozen=True):
    """One GPU in the table of identities; what is not known is empty."""

    index: int
    slot: str
    serial: str
    uuid: str
    bus: str
    vbios: str
    part_number: str
    model: str


def places(look: Lookup) -> tuple[tuple[str, int | None, GpuFacts | None], ...]:
    """(slot, module id, GPU) of every place of the board: by module id where the profile maps slots, else by index."""
    gpus = list(look.evidence.node.gpus)
    slots = look.cohort.slots if look.cohort else {}
    modules = sorted((m for m in slots if m.isdecimal()), key=int)
    out: list[tuple[str, int | None, GpuFacts | None]] = []
    if any(str(gpu.module_id) in slots for gpu in gpus):
        for module in modules:
            gpu = next((g for g in gpus if str(g.module_id) == module), None)
            out.append((slots[module], int(module), gpu))
            if gpu is not None:
                gpus.remove(gpu)
    return (*out, *((look.slot(gpu), gpu.module_id, gpu) for gpu in gpus))


def board(look: Lookup) -> Board:
    """The board with the gravest verdict of each GPU, and of each of its links."""
    links = _links(look)
    per_gpu = look.cohort.links_per_gpu if look.cohort else 0
    spots = places(look)
    tiles = tuple(_tile(look, number, slot, gpu, per_gpu, links) for number, (slot, _, gpu) in enumerate(spots))
    planned = (look.cohort.gpus if look.cohort else len(look.evidence.node.gpus)) * per_gpu
    bad = sum(1 for verdict in links.values() if verdict in ("fail", "inconclusive"))
    seen = sum(1 for verdict in links.values() if verdict in ("pass", "fail", "inconclusive"))
    switches = look.cohort.switches if look.cohort else 0
    through = f"{switches} NVSwitches" if switches > 1 else "NVSwitch" if switches else "NVLink"
    text = f"{seen} of {planned} links measured" + (f", {bad} with a finding" if bad else "")
    drawn = per_gpu > 0 and 0 < len(tiles) <= 8
    return Board(tiles, 4 if len(tiles) <= 16 else 9, through if drawn else None, text, planned - seen)


def loom(look: Lookup) -> tuple[tuple[str, Markup], ...]:
    """All links of a GPU, as they leave it downwards and upwards."""
    links = look.cohort.links_per_gpu if look.cohort else 0
    return (("down", charts.threads(range(links), links, 0, 50)), ("up", charts.threads(range(links), links, 50, 100)))


def identities(look: Lookup) -> tuple[Identity, ...]:
    """Every GPU that was found, in PCI order."""
    return tuple(
        Identity(
            gpu.index,
            look.slot(gpu) or (f"module {gpu.module_id}" if gpu.module_id is not None else ""),
            gpu.serial or "",
            gpu.uuid,
            gpu.pci_bus_id,
            gpu.vbios or "",
            gpu.board_part_number or "",
            gpu.name,
        )
        for gpu in look.evidence.node.gpus
    )


def models(look: Lookup) -> str:
    """`8 × NVIDIA B200`, or each model with its count."""
    names = sorted(gpu.name for gpu in look.evidence.node.gpus)
    return ", ".join(f"{len(list(same))} × {name}" for name, same in groupby(names)) or "no GPU found"


def _links(look: Lookup) -> dict[tuple[int, int], Result]:
    """(GPU, link) -> gravest required verdict of all that was measured of the link."""
    out: dict[tuple[int, int], set[Result]] = {}
    for judged in look.judgement.judged:
        limit, metric = look.limits.get(judged.limit), look.declared.get(judged.metric)
        if limit is None or metric is None or metric.subject != "link" or limit.effect != "require":
            continue
        for subject, verdict in look.verdicts(limit).items():
            gpu, link, _ = numbers_in(subject)
            if gpu is not None and link is not None:
                out.setdefault((gpu, link), set()).add(verdict)
    return {key: gravest(results, "skipped") for key, results in out.items()}


def _tile(
    look: Lookup, place: int, slot: str, gpu: GpuFacts | None, per_gpu: int, links: dict[tuple[int, int], Result]
) -> Tile:
    nothing = Markup("")
    if gpu is None:
        return Tile(place, None, slot, "", "skipped", (), None, nothing, False, nothing, ())
    upper = place < 4
    top, bottom = (0.0, 50.0) if upper else (50.0, 100.0)
    own = {link: verdict for (index, link), verdict in links.items() if index == gpu.index}
    good = [link for link in range(per_gpu) if own.get(link) == "pass"]
    bad = [(link, verdict) for link, verdict in sorted(own.items()) if verdict in ("fail", "inconclusive")]
    unseen = [link for link in range(per_gpu) if own.get(link, "skipped") in ("skipped", "error")]
    return Tile(
        place,
        gpu.index,
        slot,
        gpu.serial or "",
        _verdict(look, gpu.index),
        _figures(look, gpu.index),
        _plot(look, gpu.index),
        charts.threads(good if len(good) < per_gpu else [], per_gpu, top, bottom),
        len(good) == per_gpu > 0,
        charts.threads(unseen, per_gpu, top, bottom),
        tuple(BadThread(f"{charts.thread_x(link, per_gpu):g}", verdict) for link, verdict in bad),
    )


def _verdict(look: Lookup, gpu: int) -> Result:
    """Findings that name the GPU, and required limits on it and its links; a slow pair blames neither end by itself."""
    results: list[Result] = [finding.result for finding in look.judgement.findings if finding.part.gpu == gpu]
    for (name, subject), verdict in look.missed.items():
        index, _, peer = numbers_in(subject)
        limit = look.limits.get(name)
        if index == gpu and peer is None and limit is not None and limit.effect == "require":
            results.append(verdict.result)
    measured = any(f"gpu/{gpu}" in subjects for subjects in look.estimates.values())
    return gravest(results, "pass" if measured and look.judgement.judged else "skipped")


def _figures(look: Lookup, gpu: int) -> tuple[Figure, ...]:
    out = []
    for label, metrics in TILE_FIGURES:
        if label == "links" and (look.cohort is None or look.cohort.links_per_gpu == 0):
            continue
        metric = next((m for m in metrics if look.estimates.get(m)), metrics[0])
        estimate = look.estimates.get(metric, {}).get(f"gpu/{gpu}")
        declared = look.declared.get(metric)
        unit = declared.unit if declared and declared.unit != "links" else ""
        value = quantity(
            estimate.value if estimate else None, estimate.expanded_uncertainty if estimate else None, unit
        )
        bad = any(
            look.limits[name].metric == metric and subject == f"gpu/{gpu}" and verdict.result == "fail"
            for (name, subject), verdict in look.missed.items()
            if name in look.limits
        )
        out.append(Figure(label, value, bad))
    return tuple(out)


def _plot(look: Lookup, gpu: int) -> charts.Interval | None:
    """The tile's first figure against the absolute limit on it."""
    for metric in TILE_FIGURES[0][1]:
        limit = next((li for li in look.limits.values() if li.metric == metric and li.minimum is not None), None)
        values = look.values(metric)
        subject = f"gpu/{gpu}"
        if limit is None or limit.minimum is None or subject not in values:
            continue
        span, _ = charts.span_of(limit.minimum, values.values(), 1)
        return charts.interval(limit.minimum, 1, span, values[subject], 0.0, look.verdict(limit, subject))
    return None
