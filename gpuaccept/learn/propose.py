"""From good records to limits: pooled scatter, tolerance limits, each lot left out once, never below the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from typing import NamedTuple

import msgspec

from gpuaccept.data import Cohort, Evidence, Limit, MetricDeclaration, MetricFacts, Profile, Sigma, Source
from gpuaccept.errors import UsageError
from gpuaccept.judge import estimates
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.scope import cohort_of
from gpuaccept.judge.statistics import median
from gpuaccept.learn.records import POWER_LIMIT, Good, kernels, power_limits
from gpuaccept.learn.slots import SHARE, slot_conditions, slot_outcomes
from gpuaccept.learn.terms import DIGITS, Outcome, Terms, rounded
from gpuaccept.learn.tolerance import Sample, below, rank, sample, vouched

DRIVER = "inventory.driver_version"
Values = dict[str, dict[str, list[list[float]]]]
"""Node file -> subject -> visits -> samples."""


class Learned(NamedTuple):
    """All that was learned from one set of records."""

    cohort: Cohort
    metrics: dict[str, MetricFacts]
    limits: tuple[Limit, ...]
    outcomes: tuple[Outcome, ...]
    lots: dict[str, int]
    share: float
    slot_share: float
    confidence: float
    bound: str
    """What the limits are bound to, in words: on anything else they are inconclusive."""
    kernels: str
    """The code that measured it, in words. No judge asks for it."""
    source: Source


def learn(
    profile: Profile,
    records: Sequence[Good],
    declared: Mapping[str, MetricDeclaration],
    share: float,
    confidence: float,
    slot_share: float = SHARE,
) -> Learned:
    """Propose limits for the cohort of `profile` that the records' nodes are of.

    Sampled metrics with a better side, with as many visits to every subject as the cohort asks for, are learned from;
    and heat, each slot by itself (`slot_share` of good GPUs pass).
    Raises UsageError where there are none.
    """
    cohort = _cohort(profile, records)
    lots = {lot: sum(one.lot == lot for one in records) for lot in sorted({one.lot for one in records})}
    simulated = any(one.evidence.simulated is not None for one in records)
    source: Source = "assumption" if simulated else "measured"
    bound = _bound(records[0].evidence)
    reference = (
        f"{'SIMULATED: ' if simulated else ''}learned from {len(records)} good nodes of {len(lots)} lots, {bound}"
    )
    terms = Terms(share, confidence, source, reference)
    facts, unusable = {}, []
    for name in _candidates(declared, records):
        values = _values(name, declared[name], records)
        if not _enough(values, cohort.visits):
            said = f"not every subject was visited {cohort.visits} times in every record"
            unusable.append(Outcome("not learned", name, None, reason=said))
            continue
        facts[name], wider = _facts(values, cohort, name, terms)
        unusable += wider
    if not facts:
        raise UsageError(
            "the records hold no sampled metric with enough visits to learn from",
            f"learn from runs of a plan that visits each check {cohort.visits} times, such as node or acceptance",
        )
    changed = msgspec.structs.replace(cohort, metrics={**cohort.metrics, **facts})
    judged = {one.file: estimates(_under(one.evidence, profile, changed)) for one in records}
    outcomes = []
    for name in facts:
        higher = declared[name].better == "higher"
        reached = {
            one.file: [
                float(e.value) - float(e.expanded_uncertainty or 0) * (1 if higher else -1)
                for e in judged[one.file][name].values()
            ]
            for one in records
        }
        outcomes += _limits(name, declared[name], cohort, reached, records, terms)
    terms = terms._replace(share=slot_share)
    outcomes += slot_outcomes(cohort, records, judged, declared, terms)
    limits = tuple(one.limit for one in outcomes if one.limit is not None and one.result in ("raised", "new"))
    return Learned(
        cohort=cohort,
        metrics=facts,
        limits=(*limits, *_conditions(limits, records, cohort, terms)) if limits else (),
        outcomes=(*outcomes, *unusable),
        lots=lots,
        share=share,
        slot_share=slot_share,
        confidence=confidence,
        bound=bound,
        kernels=", ".join(sorted(kernels(records[0].evidence))),
        source=source,
    )


def applied(profile: Profile, found: Learned) -> Profile:
    """The profile with what was learned in it."""
    limits = {limit.id: limit for limit in (*found.cohort.limits, *found.limits)}
    cohort = msgspec.structs.replace(
        found.cohort, metrics={**found.cohort.metrics, **found.metrics}, limits=tuple(limits.values())
    )
    cohorts = tuple(cohort if one.name == cohort.name else one for one in profile.cohorts)
    return msgspec.structs.replace(profile, cohorts=cohorts)


def _cohort(profile: Profile, records: Sequence[Good]) -> Cohort:
    cohorts = {}
    for one in records:
        found = cohort_of(msgspec.structs.replace(one.evidence, profile=profile))
        if found is None:
            raise UsageError(f"{one.file}: the node fits no cohort of profile {profile.name}", "name another --profile")
        cohorts[found.name] = found
    if len(cohorts) > 1:
        raise UsageError(f"the records are of several cohorts: {', '.join(cohorts)}", "learn each cohort by itself")
    return next(iter(cohorts.values()))


def _under(evidence: Evidence, profile: Profile, cohort: Cohort) -> Evidence:
    plan = msgspec.structs.replace(evidence.plan, cohort=cohort.name)
    return msgspec.structs.replace(evidence, plan=plan, profile=msgspec.structs.replace(profile, cohorts=(cohort,)))


def _bound(evidence: Evidence) -> str:
    return f"driver {evidence.node.driver_version[:40]}, power limit {next(iter(power_limits(evidence)))[:20]} W"


def _candidates(declared: Mapping[str, MetricDeclaration], records: Sequence[Good]) -> list[str]:
    seen = dict.fromkeys(column.metric for one in records for column in one.evidence.columns)
    return [n for n in seen if n in declared and declared[n].kind == "sampled" and declared[n].better != "neither"]


def _values(name: str, metric: MetricDeclaration, records: Sequence[Good]) -> Values:
    out: Values = {}
    for one in records:
        measured = Measured([c for c in one.evidence.columns if c.metric == name], (), repetitive=False)
        out[one.file] = {s: [list(map(float, visit)) for visit in measured.visits(s)] for s in measured.subjects}
    return out


def _enough(values: Values, visits: int) -> bool:
    subjects = [set(of) for of in values.values()]
    return all(of and of == subjects[0] for of in subjects) and all(
        len(rows) >= visits for of in values.values() for rows in of.values()
    )


def _facts(values: Values, cohort: Cohort, name: str, terms: Terms) -> tuple[MetricFacts, list[Outcome]]:
    """Median and pooled scatter, floored at the type B uncertainty: repetition can't show less than that.

    Scatter between GPUs is the unit of `max_deviation`: a wider one than before would make what is required looser.
    So the smaller one stays there, and the outcomes say so.
    """
    visits = [[median(visit) for visit in rows] for of in values.values() for rows in of.values()]
    nodes = [[median([median(visit) for visit in rows]) for rows in of.values()] for of in values.values()]
    old = cohort.metrics.get(name) or MetricFacts()
    typical = median([value for node in nodes for value in node])
    gpu = _sigma(nodes, old.type_b_percent, "subject to subject within a node", terms) or old.gpu
    kept = []
    if gpu is not None and old.gpu is not None and gpu.sigma_percent > old.gpu.sigma_percent:
        said = (
            f"the learned scatter between GPUs of {gpu.sigma_percent:g} % would be wider than the "
            f"{old.gpu.sigma_percent:g} % that it is counted in"
        )
        kept = [
            Outcome("kept", name, limit, reason=said)
            for limit in cohort.limits
            if limit.metric == name and limit.max_deviation is not None and limit.effect != "observe"
        ]
        gpu = old.gpu if kept else gpu
    facts = MetricFacts(
        typical=rounded(typical, DIGITS + 1, down=True),
        ceiling=old.ceiling,
        visit=_sigma(visits, old.type_b_percent, "visit to visit of one subject", terms),
        gpu=gpu,
        type_b_percent=old.type_b_percent,
        source=terms.source,
        reference=terms.reference[:400],
    )
    return facts, kept


def _sigma(groups: Sequence[Sequence[float]], type_b: float, what: str, terms: Terms) -> Sigma | None:
    free = sum(len(group) - 1 for group in groups)
    if not free:
        return None
    squares = fsum(
        ((value / mean) - 1) ** 2 for group in groups for mean in [fsum(group) / len(group)] for value in group
    )
    percent = max(100 * sqrt(squares / free), type_b, 0.001)
    return Sigma(
        sigma_percent=rounded(percent, 3, down=False),
        degrees_of_freedom=float(free),
        source=terms.source,
        reference=f"{what}, {terms.reference}"[:400],
    )


def _limits(
    name: str,
    metric: MetricDeclaration,
    cohort: Cohort,
    reached: Mapping[str, list[float]],
    records: Sequence[Good],
    terms: Terms,
) -> list[Outcome]:
    """Every bound on the metric that covers all subjects, learned anew; a new one, which observes, where there is none.

    `reached` is each subject's value less U (plus U where lower is better): what has to be on the limit's good side.
    """
    higher = metric.better == "higher"
    kind = "minimum" if higher else "maximum"
    bounds: list[Limit | None] = [
        one for one in cohort.limits if one.metric == name and one.subjects == "*" and getattr(one, kind) is not None
    ]
    learned, lowest, why = _tolerance(reached, records, terms, -1.0 if not higher else 1.0)
    out = []
    for limit in bounds or [None]:
        before = getattr(limit, kind) if limit is not None else None
        if learned is None:
            out.append(Outcome("not learned", name, limit, None, before, lowest, why))
        elif before is not None and (learned <= before if higher else learned >= before):
            word = "lower" if higher else "higher"
            said = f"the learned limit {learned:g} would be {word} than the {before:g} {metric.unit} that is required"
            out.append(Outcome("kept", name, limit, learned, before, lowest, said))
        else:
            made = limit or Limit(
                id=f"learned.{name}",
                metric=name,
                unit=metric.unit,
                effect="observe",
                cause="hardware",
                action="replace",
                source=terms.source,
                reference="",
            )
            text = f"{terms.reference}; {_method(len(records), terms)}{f'; before: {before:g}' if before else ''}"
            made = msgspec.structs.replace(made, **{kind: learned}, source=terms.source, reference=text[:400])
            out.append(Outcome("raised" if limit else "new", name, made, learned, before, lowest))
    return out


def _method(nodes: int, terms: Terms) -> str:
    return (
        f"one-sided normal tolerance limit (ISO 16269-6) on value less U for {terms.share:.7g} of nodes at confidence "
        f"{terms.confidence:g}, each lot left out once; order statistics alone vouch for "
        f"{vouched(nodes, terms.confidence):.3f} of nodes at the lowest node"
    )


def _tolerance(
    reached: Mapping[str, list[float]], records: Sequence[Good], terms: Terms, sign: float
) -> tuple[float | None, float, str]:
    """The limit, the lowest node (for `sign` −1: the highest), and why there is no limit."""
    nodes = {file: [sign * value for value in values] for file, values in reached.items()}
    worst = sorted(min(values) for values in nodes.values())

    def limit_of(files: Sequence[str]) -> tuple[float, Sample]:
        found = sample([nodes[file] for file in files])
        return below(found, terms.share, terms.confidence), found

    whole, found = limit_of(list(nodes))
    limits = [whole]
    for lot in sorted({one.lot for one in records}):
        others = [one.file for one in records if one.lot != lot]
        without, _ = limit_of(others)
        own = [one.file for one in records if one.lot == lot and min(nodes[one.file]) < without]
        if own:
            said = (
                f"lot {lot} differs: {own[0]} reaches {sign * min(nodes[own[0]]):.6g}, below the {sign * without:.6g} "
            )
            return None, sign * worst[0], said + "that the other lots lead to"
        limits.append(without)
    if place := rank(len(worst), terms.share, terms.confidence):
        limits.append(worst[place - 1])
    limit = min(limits)
    if limit > worst[0]:
        return None, sign * worst[0], f"a good node lies beyond {sign * limit:.6g}: the scatter is not a normal one"
    if found.sigma == 0:
        return None, sign * worst[0], "all values are the same: there is no scatter to learn from"
    return sign * rounded(limit, DIGITS, down=True), sign * worst[0], ""


def _conditions(limits: Sequence[Limit], records: Sequence[Good], cohort: Cohort, terms: Terms) -> tuple[Limit, ...]:
    """What the limits are bound to, as conditions: on another driver or power limit they are inconclusive."""
    evidence = records[0].evidence
    metrics = tuple(dict.fromkeys(limit.metric for limit in limits))
    driver = Limit(
        id="learned.driver",
        metric=DRIVER,
        one_of=(evidence.node.driver_version,),
        unit="",
        effect="valid",
        cause="configuration",
        action="correct the setting",
        source=terms.source,
        reference=terms.reference[:400],
        valid_for=metrics,
    )
    power = msgspec.structs.replace(
        driver, id="learned.power_limit", metric=POWER_LIMIT, one_of=None, unit="W",
        equals=float(next(iter(power_limits(evidence)))),
    )  # fmt: skip
    return driver, power, *slot_conditions(cohort, records, limits, terms)
