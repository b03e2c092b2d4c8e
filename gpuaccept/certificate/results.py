"""Results on the page: every limit with its worst subject and the distance to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup
from msgspec import Struct

from gpuaccept.certificate import charts
from gpuaccept.certificate.lookup import Lookup, counts_of, gravest, numbers_in, overall, words
from gpuaccept.certificate.numbers import Quantity, quantity
from gpuaccept.certificate.words import check_title
from gpuaccept.data import Judged, Limit, Result
from gpuaccept.judge import requirement


class Row(Struct, frozen=True):
    """One limit: its verdict over all subjects, the worst of them, and the distance to the limit."""

    verdict: Result
    label: str
    metric: str
    """Without the name of its check, which the group has."""
    effect: str
    worst: Quantity
    where: str
    plot: charts.Interval | None
    own_scale: bool
    cells: tuple[tuple[Result, Markup], ...]
    passed: int
    """Number of cells where all pass, so that one drawing serves all such rows; else 0."""
    requirement: str
    source: str
    note: int
    """Number of its reference in the list of sources."""
    counts: str


class Reference(Struct, frozen=True):
    """Where limits come from: the number that rows point to, the kind of source, and what the profile says of it."""

    number: int
    source: str
    text: str


class Group(Struct, frozen=True):
    """The limits on one check's metrics."""

    title: str
    check: str
    rows: tuple[Row, ...]


def groups(look: Lookup) -> tuple[Group, ...]:
    """All judged limits, grouped by check, in the profile's order."""
    known = _in_order(look)
    numbers = {(one.source, one.text): one.number for one in references(look)}
    return tuple(
        Group(check_title(check), check, tuple(_row(look, judged, numbers) for judged in rows))
        for check, rows in groupby(known, key=lambda judged: judged.metric.partition(".")[0])
    )


def references(look: Lookup) -> tuple[Reference, ...]:
    """Every source of a judged limit once, numbered in the order of the rows."""
    limits = (look.limits[judged.limit] for judged in _in_order(look))
    found = dict.fromkeys((limit.source, limit.reference) for limit in limits)
    return tuple(Reference(number, source, text) for number, (source, text) in enumerate(found, 1))


def _in_order(look: Lookup) -> list[Judged]:
    """Judged limits by check, checks in the order in which the profile first names them."""
    known = [judged for judged in look.judgement.judged if judged.limit in look.limits]
    checks = list(dict.fromkeys(judged.metric.partition(".")[0] for judged in known))
    return sorted(known, key=lambda judged: checks.index(judged.metric.partition(".")[0]))


def plot(look: Lookup, limit: Limit, subject: str, alone: bool = False) -> tuple[charts.Interval, bool] | None:
    """A subject's value against a limit, ticks for the others; and whether the row has a scale of its own."""
    threshold, values = look.threshold(limit), look.values(limit.metric)
    declared = look.declared.get(limit.metric)
    if threshold is None or subject not in values or declared is None or declared.kind in ("counted", "difference"):
        return None
    at, sign = threshold
    shown = {s: values[s] for s in look.verdicts(limit) if s in values}
    span, own = charts.span_of(at, shown.values(), sign)
    others = [] if alone else [value for s, value in shown.items() if s != subject]
    estimate = look.estimates[limit.metric][subject]
    u = (estimate.expanded_uncertainty or 0.0) if limit.max_deviation is None else 0.0
    return charts.interval(at, sign, span, values[subject], u, look.verdict(limit, subject), others), own


def _row(look: Lookup, judged: Judged, numbers: Mapping[tuple[str, str], int]) -> Row:
    limit = look.limits[judged.limit]
    declared = look.declared.get(judged.metric)
    verdicts = look.verdicts(limit)
    subjects = tuple(verdicts)
    worst = judged.worst.subject if judged.worst else subjects[0] if subjects else ""
    estimate = look.estimates.get(judged.metric, {}).get(worst)
    value = estimate.value if estimate else judged.worst.value if judged.worst else None
    drawn = plot(look, limit, worst) if worst else None
    verdict = overall(judged)
    cells = () if drawn else _cells(verdicts)
    plain_pass = len(cells) in (1, len(look.gpus)) and set(cells) == {"pass"}
    return Row(
        verdict=verdict,
        label=declared.description if declared else judged.metric,
        metric=judged.metric.partition(".")[2],
        effect=judged.effect,
        worst=_distinct(look, limit, subjects)
        if limit.unique and verdict == "pass"
        else quantity(value, estimate.expanded_uncertainty if estimate else None, limit.unit),
        where="" if limit.unique and verdict == "pass" else _where(look, limit, subjects, worst, exact=drawn is None),
        plot=drawn[0] if drawn else None,
        own_scale=drawn[1] if drawn else False,
        cells=() if drawn or plain_pass else charts.cells(cells),
        passed=len(cells) if plain_pass else 0,
        requirement=requirement(limit),
        source=limit.source,
        note=numbers[limit.source, limit.reference],
        counts=counts_of(judged),
    )


def _distinct(look: Lookup, limit: Limit, subjects: Sequence[str]) -> Quantity:
    """Identities that differ as they must: how many, since they stand in the table of identities."""
    estimates = look.estimates.get(limit.metric, {})
    return Quantity(f"{len({estimates[s].value for s in subjects if s in estimates})} different", "", "")


def _where(look: Lookup, limit: Limit, subjects: Sequence[str], worst: str, exact: bool) -> str:
    """Who is worst and how many samples say so; `all 8` where every subject passes with the same exact value."""
    estimates = look.estimates.get(limit.metric, {})
    if (
        exact
        and set(look.verdicts(limit).values()) == {"pass"}
        and len(subjects) > 1
        and len({estimates[s].value for s in subjects}) == 1
    ):
        return f"all {len(subjects)}"
    where = words(worst) if worst else "nothing planned"
    declared = look.declared.get(limit.metric)
    sampled = declared is not None and declared.kind == "sampled" and worst in estimates
    return f"{where}, n {estimates[worst].n}" if sampled else where


def _cells(verdicts: Mapping[str, Result]) -> tuple[Result, ...]:
    """One cell a GPU (the gravest verdict of its links or pairs), or one for the node."""
    by_gpu: dict[int | None, set[Result]] = {}
    for subject, verdict in verdicts.items():
        by_gpu.setdefault(numbers_in(subject)[0], set()).add(verdict)
    return tuple(gravest(results, "skipped") for results in by_gpu.values())
