"""Tables of many parts: links as strips, pairs as matrices, and the figures of every GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from markupsafe import Markup
from msgspec import Struct

from gpuaccept.certificate import charts
from gpuaccept.certificate.lookup import SEVERITY, Lookup, counts_of, gravest, numbers_in, overall, words
from gpuaccept.certificate.numbers import as_float, digits_of, number, scalar
from gpuaccept.certificate.regions import MAP
from gpuaccept.certificate.words import check_title
from gpuaccept.data import Limit, Result
from gpuaccept.judge import Estimate, requirement

IDENTITIES = ("inventory.serial", "inventory.uuid")
"""Metrics that the table of identities shows."""


class Strip(Struct, frozen=True):
    """One exact metric of every link or pair: a cell each, grouped by GPU; what deviates is named beside it."""

    label: str
    metric: str
    requirement: str
    effect: str
    counts: str
    frame: str
    """Kind of its subjects: the drawing of all cells, which `paths` are laid over."""
    width: int
    paths: tuple[tuple[Result, Markup], ...]
    verdict: Result
    description: str


class Cell(Struct, frozen=True):
    """One ordered pair in a matrix."""

    text: str
    verdict: Result
    worst: bool


class Matrix(Struct, frozen=True):
    """One metric of all ordered pairs: rows act, columns are their peers; None on the diagonal."""

    title: str
    metric: str
    unit: str
    requirement: str
    gpus: tuple[int, ...]
    rows: tuple[tuple[int, tuple[Cell | None, ...]], ...]
    note: str


class Annex(Struct, frozen=True):
    """One metric of every GPU. `same` is set instead of `cells` where all show the same text."""

    label: str
    unit: str
    cells: tuple[tuple[str, Result, bool], ...]
    same: str
    uncertainty: str
    limit: str


def strips(look: Lookup) -> tuple[Strip, ...]:
    """Every limit on an exact metric of links or pairs."""
    out = []
    for judged in look.judgement.judged:
        limit, declared = look.limits.get(judged.limit), look.declared.get(judged.metric)
        if limit is None or declared is None or declared.subject not in ("link", "pair") or declared.kind == "sampled":
            continue
        if limit.matrix is not None:
            continue
        drawn = strip(look, limit)
        out += [drawn] if drawn is not None else []
    return tuple(out)


def frames(look: Lookup) -> tuple[tuple[str, int, Markup], ...]:
    """For each kind of subject, width and all cells of a strip, drawn once a page."""
    gpus = len(look.gpus)
    return tuple(
        (kind, charts.strip_width(n, gpus * n), charts.squares(range(gpus * n), n))
        for kind, n in _per_gpu(look).items()
        if n > 0
    )


def _per_gpu(look: Lookup) -> dict[str, int]:
    links = look.cohort.links_per_gpu if look.cohort else 0
    return {"gpu": 1, "link": links, "pair": len(look.gpus) - 1}


def strip(look: Lookup, limit: Limit) -> Strip | None:
    """All subjects of an exact limit as cells; None for the node's, or where the limit was not judged."""
    judged = next((one for one in look.judgement.judged if one.limit == limit.id), None)
    declared = look.declared.get(limit.metric)
    if judged is None or declared is None or declared.subject == "node":
        return None
    gpus = look.gpus
    per_gpu = _per_gpu(look)[declared.subject]
    places: dict[int, Result] = dict.fromkeys(range(len(gpus) * per_gpu), "skipped")
    verdicts = look.verdicts(limit)
    for at, verdict in zip(_places(tuple(verdicts), gpus, per_gpu), verdicts.values(), strict=True):
        if at is not None:
            places[at] = verdict
    found: dict[Result, list[int]] = {r: [k for k, v in places.items() if v == r] for r in SEVERITY if r != "pass"}
    return Strip(
        label=declared.description,
        metric=limit.metric,
        requirement=requirement(limit),
        effect=limit.effect,
        counts=counts_of(judged),
        frame=declared.subject,
        width=charts.strip_width(per_gpu, len(places)),
        paths=tuple((r, charts.squares(at, per_gpu)) for r, at in found.items() if at),
        verdict=overall(judged),
        description=f"{declared.subject}s of {len(gpus)} GPUs: {counts_of(judged)}",
    )


@lru_cache(maxsize=64)
def _places(subjects: tuple[str, ...], gpus: tuple[int, ...], per_gpu: int) -> tuple[int | None, ...]:
    """Where in a strip each subject stands; None where it has no place there."""
    out: list[int | None] = []
    for subject in subjects:
        gpu, link, peer = numbers_in(subject)
        place = 0 if link is None else link
        if gpu in gpus and peer in gpus and peer != gpu:
            place = gpus.index(peer) - (peer > gpu)
        out.append(gpus.index(gpu) * per_gpu + place if gpu in gpus and place < per_gpu else None)
    return tuple(out)


def matrices(look: Lookup) -> tuple[Matrix, ...]:
    """Every sampled metric of pairs that was measured and has a limit; the others stand in the record. Then every text
    that the profile states a matrix of."""
    gpus = tuple(gpu.index for gpu in look.evidence.node.gpus)
    out = []
    for metric, declared in look.declared.items():
        values, limits = look.values(metric), look.limits_on.get(metric, ())
        if declared.subject != "pair" or declared.kind != "sampled" or not values or not limits:
            continue
        verdicts = [look.verdicts(limit) for limit in limits]
        worst = (max if declared.better == "lower" else min)(values, key=lambda s: (values[s], s))
        best = (min if declared.better == "lower" else max)(values.values())
        digits = 0 if best >= 1000 else 1
        rows = []
        for gpu in gpus:
            cells: list[Cell | None] = []
            for peer in gpus:
                subject = f"gpu/{gpu}>gpu/{peer}"
                results = [of[subject] for of in verdicts if subject in of]
                text = number(values[subject], digits) if subject in values else "–"
                cells.append(None if gpu == peer else Cell(text, gravest(results, "pass"), subject == worst))
            rows.append((gpu, tuple(cells)))
        note = f"lowest {number(values[worst], digits)} ({words(worst)}), highest {number(best, digits)}"
        if declared.better == "lower":
            note = f"highest {number(values[worst], digits)} ({words(worst)}), lowest {number(best, digits)}"
        texts = ", ".join(requirement(limit) for limit in limits)
        out.append(Matrix(declared.description, metric, declared.unit, texts, gpus, tuple(rows), note))
    stated = [judged for judged in look.judgement.judged if judged.limit in look.limits]
    return (*out, *(_stated(look, look.limits[one.limit], gpus) for one in stated if look.limits[one.limit].matrix))


def _stated(look: Lookup, limit: Limit, gpus: tuple[int, ...]) -> Matrix:
    """The texts that were read, against the profile's matrix."""
    declared, estimates = look.declared[limit.metric], look.estimates.get(limit.metric, {})
    verdicts = look.verdicts(limit)

    def cell(gpu: int, peer: int) -> Cell | None:
        subject = f"gpu/{gpu}>gpu/{peer}"
        if gpu == peer or subject not in verdicts:
            return None
        text = scalar(estimates[subject].value, 5) if subject in estimates else "–"
        return Cell(text, verdicts[subject], False)

    rows = tuple((gpu, tuple(cell(gpu, peer) for peer in gpus)) for gpu in gpus)
    judged = next(one for one in look.judgement.judged if one.limit == limit.id)
    note = counts_of(judged) + ("" if limit.effect == "require" else f" · {limit.effect}")
    return Matrix(declared.description, limit.metric, "as NVML names it", requirement(limit), gpus, rows, note)


def annex(look: Lookup) -> tuple[tuple[str, tuple[Annex, ...]], ...]:
    """Every metric of GPUs that was measured, by check; identities stand in their own table, the map is drawn."""
    gpus = [f"gpu/{gpu.index}" for gpu in look.evidence.node.gpus]
    out = []
    for check in look.evidence.checks:
        rows = []
        for declared in check.metrics:
            estimates = look.estimates.get(declared.name, {})
            shown = declared.subject == "gpu" and declared.name not in IDENTITIES and declared.name != MAP
            if shown and any(gpu in estimates for gpu in gpus):
                rows.append(_annex(look, declared.name, declared.unit, gpus, estimates))
        if rows:
            out.append((check_title(check.name), tuple(rows)))
    return tuple(out)


def _annex(look: Lookup, metric: str, unit: str, gpus: Sequence[str], estimates: Mapping[str, Estimate]) -> Annex:
    declared = look.declared[metric]
    limits = look.limits_on.get(metric, ())
    verdicts = [look.verdicts(limit) for limit in limits]
    uncertainties = [e.expanded_uncertainty for e in estimates.values() if e.expanded_uncertainty]
    digits = digits_of(max(uncertainties)) if uncertainties else None
    numbers = look.values(metric)
    pick = {"higher": min, "lower": max}.get(declared.better)
    worst = pick(numbers, key=lambda s: numbers[s]) if pick and len(set(numbers.values())) > 1 else ""
    cells = []
    for gpu in gpus:
        estimate = estimates.get(gpu)
        results = [of[gpu] for of in verdicts if gpu in of]
        if estimate is None:
            cells.append(("–", gravest(results, "skipped"), False))
            continue
        value = as_float(estimate.value)
        text = number(value, digits) if value is not None and digits is not None else scalar(estimate.value, 5)
        cells.append((text, gravest(results, "pass"), gpu == worst))
    texts = {text for text, _, _ in cells}
    same = texts.pop() if len(texts) == 1 and all(v == "pass" for _, v, _ in cells) and digits is None else ""
    return Annex(
        label=metric.partition(".")[2],
        unit=unit,
        cells=() if same else tuple(cells),
        same=same,
        uncertainty=number(max(uncertainties), digits)
        if uncertainties and digits is not None
        else "exact"
        if declared.kind in ("counted", "difference")
        else "–",
        limit=", ".join(requirement(limit).removesuffix(f" {limit.unit}") for limit in limits),
    )
