"""The failure sheet: what to do about each part, in the order to work on."""

from __future__ import annotations

from msgspec import Struct

from gpuaccept.certificate import charts, results, tables
from gpuaccept.certificate.lookup import Lookup, words
from gpuaccept.certificate.node import places
from gpuaccept.certificate.numbers import Quantity, as_float, number, quantity
from gpuaccept.certificate.words import WHO, plural
from gpuaccept.data import Cause, Finding, Part, Result
from gpuaccept.judge import requirement
from gpuaccept.judge.statistics import median

ALSO = 8
"""Other limits of a part that are written out."""
DETAILED = 12
"""Findings that are written out; the others stand in the list only."""


class Spot(Struct, frozen=True):
    """One place of the board in the small map beside a finding."""

    x: int
    y: int
    text: str
    here: bool


class Map(Struct, frozen=True):
    """Where the part sits."""

    spots: tuple[Spot, ...]
    width: int
    height: int
    description: str


class Also(Struct, frozen=True):
    """Another limit that the same part misses."""

    result: Result
    label: str
    metric: str
    where: str
    value: Quantity
    requirement: str


class Item(Struct, frozen=True):
    """One finding as the sheet shows it. `part` is label -> text; `codes` says which of them are identifiers."""

    nr: int
    result: Result
    title: str
    subject: str
    slot: str
    serial: str
    map: Map | None
    part: tuple[tuple[str, str, bool], ...]
    value: Quantity
    requirement: str
    source: str
    metric: str
    plot: charts.Interval | None
    gist: str
    cause: Cause
    who: str
    action: str
    strip: tables.Strip | None
    advice: tuple[tuple[tuple[str, bool], ...], ...]
    """Sentences of (text, is a command) pieces."""
    evidence: tuple[str, ...]
    also: tuple[Also, ...]
    further: str


def items(look: Lookup) -> tuple[Item, ...]:
    """Every finding, in the judgement's order."""
    return tuple(_item(look, nr, finding) for nr, finding in enumerate(look.judgement.findings, 1))


def place_of(part: Part) -> tuple[tuple[str, str, bool], ...]:
    """Everything known of where a part is and what it is: (label, text, is an identifier)."""
    rows = [("Part", words(part.subject), False)]
    if part.name:
        rows.append(("Name" if part.gpu is None else "Model", part.name, False))
    if part.slot:
        rows.append(("Slot", part.slot, False))
    if part.module_id is not None:
        rows.append(("Module", str(part.module_id), False))
    rows += [(label, text, True) for label, text in (("Serial", part.serial), ("Bus", part.pci_bus_id)) if text]
    return tuple(rows)


def pieces(sentence: str) -> tuple[tuple[str, bool], ...]:
    """(text, is a command): what stands between backquotes is a command."""
    return tuple((text, bool(k % 2)) for k, text in enumerate(sentence.split("`")) if text)


def _item(look: Lookup, nr: int, finding: Finding) -> Item:
    limit, subject = look.limits.get(finding.limit), finding.part.subject
    drawn = results.plot(look, limit, subject) if limit is not None else None
    also, further = _also(look, finding)
    return Item(
        nr=nr,
        result=finding.result,
        title=finding.title,
        subject=words(subject),
        slot=finding.part.slot,
        serial=finding.part.serial,
        map=_map(look, finding.part),
        part=place_of(finding.part),
        value=quantity(finding.value, finding.expanded_uncertainty, finding.unit),
        requirement=finding.requirement,
        source=f"{limit.source}: {limit.reference}" if limit else "",
        metric=finding.metric,
        plot=drawn[0] if drawn else None,
        strip=tables.strip(look, limit) if limit is not None and drawn is None else None,
        gist=_gist(look, finding, drawn is not None),
        cause=finding.cause,
        who=WHO[finding.cause],
        action=finding.action,
        advice=tuple(pieces(sentence) for sentence in finding.advice),
        evidence=_evidence(look, finding),
        also=also,
        further=further,
    )


def _gist(look: Lookup, finding: Finding, drawn: bool) -> str:
    """What was measured; and the judge's reason, where value and limit beside it don't say the same."""
    declared, limit = look.declared.get(finding.metric), look.limits.get(finding.limit)
    if declared is None:
        return finding.reason
    plain = drawn and finding.result == "fail" and limit is not None and limit.max_deviation is None
    return declared.description if plain else f"{declared.description}: {finding.reason}"


def _evidence(look: Lookup, finding: Finding) -> tuple[str, ...]:
    """What the record says beside the leading verdict: the other GPUs, the part's other misses, events."""
    subject, lines = finding.part.subject, []
    metric = look.declared.get(finding.metric)
    values, estimate = look.values(finding.metric), look.estimates.get(finding.metric, {}).get(subject)
    rest = [value for other, value in values.items() if other != subject]
    own = as_float(finding.value)
    if subject in values and len(rest) > 1 and own is not None and median(rest) != 0:
        middle = median(rest)
        kind = {"gpu": "GPUs", "link": "links", "pair": "pairs"}.get(metric.subject if metric else "", "subjects")
        text = quantity(middle, None, finding.unit)
        percent = 100 * (own - middle) / abs(middle)
        side = f"{number(abs(percent), 1)} % {'below' if percent < 0 else 'above'} it" if percent else "the same"
        lines.append(f"Median of the other {len(rest)} {kind}: {text}; this one is {side}.")
    if estimate is not None and metric is not None and metric.kind == "sampled":
        low, high = quantity(estimate.minimum, None, ""), quantity(estimate.maximum, None, finding.unit)
        lines.append(f"{estimate.n} samples in {estimate.visits} visits, lowest {low.value}, highest {high}.")
    lines += [
        f"Event at {event.at_s:.1f} s: {event.text}"
        for event in look.evidence.events
        if event.subject == subject or (finding.part.gpu is not None and event.subject == f"gpu/{finding.part.gpu}")
    ][:4]
    return tuple(lines)


def _also(look: Lookup, finding: Finding) -> tuple[tuple[Also, ...], str]:
    """The other limits that the part misses: measured ones, the first ALSO of them; and how many there are beyond."""
    shown: list[Also] = []
    for name in finding.also:
        limit = look.limits.get(name)
        verdict = look.missed.get((name, finding.part.subject)) or next(
            (v for (key, _), v in look.missed.items() if key == name), None
        )
        if limit is None or verdict is None or verdict.value is None or len(shown) == ALSO:
            continue
        declared = look.declared.get(limit.metric)
        shown.append(
            Also(
                verdict.result,
                declared.description if declared else limit.metric,
                limit.metric,
                words(verdict.subject),
                quantity(verdict.value, verdict.expanded_uncertainty, limit.unit),
                requirement(limit),
            )
        )
    rest = len(finding.also) - len(shown)
    text = f"{plural(rest, 'further limit')} of the same part not met or not measured: see Results." if rest else ""
    return tuple(shown), text


def _map(look: Lookup, part: Part) -> Map | None:
    """The board with the part's place filled; None where the finding is about the whole node."""
    spots = places(look)
    if part.gpu is None and part.module_id is None:
        return None
    columns = 4 if len(spots) <= 16 else 9
    drawn, name = [], ""
    for k, (slot, module, gpu) in enumerate(spots):
        here = (gpu is not None and gpu.index == part.gpu) or (
            gpu is None and module is not None and module == part.module_id
        )
        across = gpu is not None and gpu.index == part.peer
        name = slot or (f"GPU {gpu.index}" if gpu else "") if here else name
        text = str(gpu.index) if gpu is not None else "?"
        drawn.append(Spot(2 + k % columns * 33, 2 + k // columns * 36, text, here or across))
    if not any(spot.here for spot in drawn):
        return None
    rows = -(-len(spots) // columns)
    return Map(tuple(drawn), 33 * min(columns, len(spots)) + 1, 36 * rows - 4, f"Place on the board: {name}")
