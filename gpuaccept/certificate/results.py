"""Results on the page: every limit with its worst subject, links as strips, pairs as matrices, values of every GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from gpuaccept.certificate import charts
from gpuaccept.certificate.lookup import SEVERITY, Lookup, gravest, numbers_in, overall, words
from gpuaccept.certificate.numbers import Quantity, as_float, digits_of, number, plain, quantity, requirement, scalar
from gpuaccept.certificate.words import check_title
from gpuaccept.data import Judged, Limit, Result
from gpuaccept.judge import Estimate


@dataclass(frozen=True)
class Row:
    """One limit: its verdict over all subjects, the worst of them, and the distance to the limit."""

    verdict: Result
    label: str
    metric: str
    effect: str
    worst: Quantity
    where: str
    plot: charts.Interval | None
    own_scale: bool
    cells: tuple[Result, ...]
    requirement: str
    source: str
    reference: str
    counts: str


@dataclass(frozen=True)
class Group:
    """The limits on one check's metrics."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Strip:
    """One exact metric of every link or pair: a cell each, grouped by GPU; what deviates is named beside it."""

    label: str
    metric: str
    requirement: str
    effect: str
    counts: str
    paths: tuple[tuple[Result, Markup], ...]
    verdict: Result
    description: str


@dataclass(frozen=True)
class Cell:
    """One ordered pair in a matrix."""

    text: str
    verdict: Result
    worst: bool


@dataclass(frozen=True)
class Matrix:
    """One copy metric of all ordered pairs: rows act, columns are their peers; None on the diagonal."""

    title: str
    metric: str
    unit: str
    requirement: str
    gpus: tuple[int, ...]
    rows: tuple[tuple[int, tuple[Cell | None, ...]], ...]
    note: str


@dataclass(frozen=True)
class Annex:
    """One metric of every GPU. `same` is set instead of `cells` where all show the same text."""

    label: str
    unit: str
    cells: tuple[tuple[str, Result, bool], ...]
    same: str
    uncertainty: str
    limit: str


def groups(look: Lookup) -> tuple[Group, ...]:
    """All judged limits, grouped by check, in the profile's order."""
    known = [judged for judged in look.judgement.judged if judged.limit in look.limits]
    checks = list(dict.fromkeys(judged.metric.partition(".")[0] for judged in known))
    known.sort(key=lambda judged: checks.index(judged.metric.partition(".")[0]))
    return tuple(
        Group(check_title(check), tuple(_row(look, judged) for judged in rows))
        for check, rows in groupby(known, key=lambda judged: judged.metric.partition(".")[0])
    )


def strips(look: Lookup) -> tuple[Strip, ...]:
    """Every limit on an exact metric of links or pairs."""
    out = []
    for judged in look.judgement.judged:
        limit, declared = look.limits.get(judged.limit), look.declared.get(judged.metric)
        if limit is None or declared is None or declared.subject not in ("link", "pair") or declared.kind == "sampled":
            continue
        out.append(_strip(look, judged, limit, declared.subject))
    return tuple(out)


def matrices(look: Lookup) -> tuple[Matrix, ...]:
    """Every sampled metric of pairs that was measured, judged or not."""
    gpus = tuple(gpu.index for gpu in look.evidence.node.gpus)
    out = []
    for metric, declared in look.declared.items():
        values = look.values(metric)
        if declared.subject != "pair" or declared.kind != "sampled" or not values:
            continue
        limits = [limit for limit in look.limits.values() if limit.metric == metric]
        worst = (max if declared.better == "lower" else min)(values, key=lambda s: (values[s], s))
        best = (min if declared.better == "lower" else max)(values.values())
        digits = 0 if best >= 1000 else 1
        rows = []
        for gpu in gpus:
            cells: list[Cell | None] = []
            for peer in gpus:
                subject = f"gpu/{gpu}>gpu/{peer}"
                results = [look.verdict(limit, subject) for limit in limits if subject in look.subjects(limit)]
                text = number(values[subject], digits) if subject in values else "–"
                cells.append(None if gpu == peer else Cell(text, gravest(results, "pass"), subject == worst))
            rows.append((gpu, tuple(cells)))
        note = f"lowest {number(values[worst], digits)} ({words(worst)}), highest {number(best, digits)}"
        if declared.better == "lower":
            note = f"highest {number(values[worst], digits)} ({words(worst)}), lowest {number(best, digits)}"
        texts = ", ".join(requirement(limit) for limit in limits)
        out.append(Matrix(declared.description, metric, declared.unit, texts, gpus, tuple(rows), note))
    return tuple(out)


def annex(look: Lookup) -> tuple[tuple[str, tuple[Annex, ...]], ...]:
    """Every metric of GPUs that was measured, by check; identities stand in their own table."""
    gpus = [f"gpu/{gpu.index}" for gpu in look.evidence.node.gpus]
    out = []
    for check in look.evidence.checks:
        rows = []
        for declared in check.metrics:
            estimates = look.estimates.get(declared.name, {})
            if declared.subject == "gpu" and any(gpu in estimates for gpu in gpus):
                if declared.name not in ("inventory.serial", "inventory.uuid"):
                    rows.append(_annex(look, declared.name, declared.unit, gpus, estimates))
        if rows:
            out.append((check_title(check.name), tuple(rows)))
    return tuple(out)


def plot(look: Lookup, limit: Limit, subject: str, alone: bool = False) -> tuple[charts.Interval, bool] | None:
    """A subject's value against a limit, ticks for the others; and whether the row has a scale of its own."""
    threshold, values = look.threshold(limit), look.values(limit.metric)
    declared = look.declared.get(limit.metric)
    if threshold is None or subject not in values or declared is None or declared.kind in ("counted", "difference"):
        return None
    at, sign = threshold
    shown = {s: values[s] for s in look.subjects(limit) if s in values}
    span, own = charts.span_of(at, shown.values(), sign)
    others = [] if alone else [value for s, value in shown.items() if s != subject]
    estimate = look.estimates[limit.metric][subject]
    u = (estimate.expanded_uncertainty or 0.0) if limit.max_deviation is None else 0.0
    return charts.interval(at, sign, span, values[subject], u, look.verdict(limit, subject), others), own


def _row(look: Lookup, judged: Judged) -> Row:
    limit = look.limits[judged.limit]
    declared = look.declared.get(judged.metric)
    subjects = look.subjects(limit)
    worst = judged.worst.subject if judged.worst else subjects[0] if subjects else ""
    estimate = look.estimates.get(judged.metric, {}).get(worst)
    value = estimate.value if estimate else judged.worst.value if judged.worst else None
    drawn = plot(look, limit, worst) if worst else None
    verdict = overall(judged)
    return Row(
        verdict=verdict,
        label=declared.description if declared else judged.metric,
        metric=judged.metric,
        effect=judged.effect,
        worst=quantity(value, estimate.expanded_uncertainty if estimate else None, limit.unit),
        where=_where(look, limit, subjects, worst, exact=drawn is None),
        plot=drawn[0] if drawn else None,
        own_scale=drawn[1] if drawn else False,
        cells=() if drawn else _cells(look, limit, subjects),
        requirement=requirement(limit),
        source=limit.source,
        reference=limit.reference,
        counts=_counts(judged),
    )


def _where(look: Lookup, limit: Limit, subjects: Sequence[str], worst: str, exact: bool) -> str:
    """Who is worst and how many samples say so; `all 8` where every subject passes with the same exact value."""
    estimates = look.estimates.get(limit.metric, {})
    passed = all(look.verdict(limit, subject) == "pass" for subject in subjects)
    if exact and passed and len(subjects) > 1 and len({estimates[s].value for s in subjects}) == 1:
        return f"all {len(subjects)}"
    where = words(worst) if worst else "nothing planned"
    n = estimates[worst].n if worst in estimates else 0
    return where if n <= 1 else f"{where}, n {n}"


def _cells(look: Lookup, limit: Limit, subjects: Sequence[str]) -> tuple[Result, ...]:
    """One cell a GPU (the gravest verdict of its links or pairs), or one for the node."""
    by_gpu: dict[int | None, list[Result]] = {}
    for subject in subjects:
        by_gpu.setdefault(numbers_in(subject)[0], []).append(look.verdict(limit, subject))
    return tuple(gravest(results, "skipped") for results in by_gpu.values())


def _strip(look: Lookup, judged: Judged, limit: Limit, kind: str) -> Strip:
    gpus = [gpu.index for gpu in look.evidence.node.gpus]
    per_gpu = len(gpus) - 1 if kind == "pair" else look.cohort.links_per_gpu if look.cohort else 0
    places: dict[Result, list[int]] = {}
    for subject in look.subjects(limit):
        gpu, link, peer = numbers_in(subject)
        if gpu not in gpus:
            continue
        if kind == "link" and link is not None and link < per_gpu:
            place = link
        elif kind == "pair" and peer in gpus and peer != gpu:
            place = gpus.index(peer) - (gpus.index(peer) > gpus.index(gpu))
        else:
            continue
        places.setdefault(look.verdict(limit, subject), []).append(gpus.index(gpu) * per_gpu + place)
    total = len(gpus) * per_gpu
    declared = look.declared[judged.metric]
    return Strip(
        label=declared.description,
        metric=judged.metric,
        requirement=requirement(limit),
        effect=judged.effect,
        counts=_counts(judged),
        paths=tuple(
            (result, charts.squares(sorted(places[result]), per_gpu, total)) for result in SEVERITY if result in places
        ),
        verdict=overall(judged),
        description=f"{kind}s of {len(gpus)} GPUs: {_counts(judged)}",
    )


def _annex(look: Lookup, metric: str, unit: str, gpus: Sequence[str], estimates: dict[str, Estimate]) -> Annex:
    declared = look.declared[metric]
    limits = [limit for limit in look.limits.values() if limit.metric == metric]
    uncertainties = [e.expanded_uncertainty for e in estimates.values() if e.expanded_uncertainty]
    digits = digits_of(max(uncertainties)) if uncertainties else None
    numbers = look.values(metric)
    pick = {"higher": min, "lower": max}.get(declared.better)
    worst = pick(numbers, key=lambda s: numbers[s]) if pick and len(set(numbers.values())) > 1 else ""
    cells = []
    for gpu in gpus:
        estimate = estimates.get(gpu)
        results = [look.verdict(limit, gpu) for limit in limits if gpu in look.subjects(limit)]
        if estimate is None:
            cells.append(("–", gravest(results, "skipped"), False))
            continue
        value = as_float(estimate.value)
        text = number(value, digits) if value is not None and digits is not None else scalar(estimate.value)
        cells.append((text, gravest(results, "pass"), gpu == worst))
    texts = {text for text, _, _ in cells}
    same = texts.pop() if len(texts) == 1 and all(v == "pass" for _, v, _ in cells) and digits is None else ""
    return Annex(
        label=metric.partition(".")[2],
        unit=unit,
        cells=() if same else tuple(cells),
        same=same,
        uncertainty=number(max(uncertainties), digits) if uncertainties and digits is not None else "exact",
        limit=", ".join(requirement(limit).removesuffix(f" {limit.unit}") for limit in limits),
    )


def _counts(judged: Judged) -> str:
    """`8 pass`, `7 pass, 1 fail`."""
    pairs = (
        (judged.passed, "pass"),
        (judged.failed, "fail"),
        (judged.inconclusive, "inconclusive"),
        (judged.errors, "not measured"),
        (judged.skipped, "skipped"),
    )
    return ", ".join(f"{plain(count)} {word}" for count, word in pairs if count) or "nothing planned"
