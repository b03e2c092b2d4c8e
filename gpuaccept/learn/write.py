"""What was learned, as a profile layer that `gpuaccept profile check` accepts, and in words."""

from __future__ import annotations

from collections.abc import Iterator

from gpuaccept.data import Limit, MetricFacts, Sigma
from gpuaccept.learn.propose import Learned
from gpuaccept.learn.terms import Outcome
from gpuaccept.reading.write import comment, number, quoted


def yaml_of(found: Learned, *, name: str, title: str, extends: str, kind: str) -> str:
    """A profile file of `kind` hardware or site that extends `extends` and holds what was learned."""
    lines = [comment(line, 400) for line in _head(found)]
    lines += [
        f"kind: {kind}",
        f"name: {quoted(name)}",
        'version: "1"',
        f"title: {quoted(title[:400])}",
        f"extends: {quoted(extends)}",
    ]
    body = [*_metrics(found.metrics), *_limits(found.limits)]
    if kind == "site":
        lines += ["cohorts:", f"  - name: {quoted(found.cohort.name)}", *(f"    {line}" for line in body)]
    else:
        lines += body
    return "\n".join([*lines, ""])


def report(found: Learned) -> Iterator[str]:
    """One line a limit: what became of it, and why."""
    for one in found.outcomes:
        yield _said(one, found)


def as_object(found: Learned) -> dict[str, object]:
    """What was learned, for other programs: the terms, and what became of each limit."""
    return {
        "cohort": found.cohort.name,
        "lots": found.lots,
        "share": found.share,
        "slot_share": found.slot_share,
        "confidence": found.confidence,
        "bound": found.bound,
        "kernels": found.kernels,
        "source": found.source,
        "outcomes": [
            {
                "result": one.result,
                "metric": one.metric,
                "limit": one.limit.id if one.limit is not None else None,
                "subjects": one.limit.subjects if one.limit is not None else None,
                "unit": one.limit.unit if one.limit is not None else None,
                "learned": one.learned,
                "before": one.before,
                "worst": one.lowest,
                "reason": one.reason,
            }
            for one in found.outcomes
        ],
    }


def _head(found: Learned) -> Iterator[str]:
    nodes = sum(found.lots.values())
    if found.source == "assumption":
        yield "SIMULATED: some of these records are of simulated nodes. Use this file for nothing but a trial."
    yield "Proposed by `gpuaccept profile learn`. Buyer and supplier agree on it before it binds; no node of these"
    yield "records may be judged by it."
    yield f"From {nodes} good nodes: " + ", ".join(f"lot {lot} {count}" for lot, count in found.lots.items())
    yield f"Bound to {found.bound}: on others, limits learned here are inconclusive."
    yield f"Measured by the kernels {found.kernels}: no judge asks for them, so learn again where they change."
    yield f"Each limit passes {found.share:.7g} of good nodes at confidence {found.confidence:g} (ISO 16269-6:2014),"
    yield f"each limit of a slot {found.slot_share:.7g} of good GPUs in it."
    yield from report(found)


def _said(one: Outcome, found: Learned) -> str:
    name = one.limit.id if one.limit is not None else one.metric
    unit = one.limit.unit if one.limit is not None else ""
    seen = f"; the worst node reached {one.lowest:.6g}" if one.lowest is not None else ""
    if one.result == "raised":
        return f"raised       {name}: {one.before:g} → {one.learned:g} {unit}{seen}"
    if one.result == "new":
        return f"new          {name}: {one.learned:g} {unit}, only observed until you require it{seen}"
    return f"{one.result:12} {name}: {one.reason}"


def _metrics(metrics: dict[str, MetricFacts]) -> Iterator[str]:
    yield "metrics:"
    for name, facts in metrics.items():
        yield f"  {name}:"
        for key in ("typical", "ceiling"):
            if (value := getattr(facts, key)) is not None:
                yield f"    {key}: {number(value)}"
        for key in ("visit", "gpu"):
            if (sigma := getattr(facts, key)) is not None:
                yield f"    {key}: {_sigma(sigma)}"
        yield f"    type_b_percent: {number(facts.type_b_percent)}"
        yield f"    source: {facts.source}"
        yield f"    reference: {quoted(facts.reference)}"


def _sigma(sigma: Sigma) -> str:
    return (
        f"{{sigma_percent: {number(sigma.sigma_percent)}, degrees_of_freedom: {number(sigma.degrees_of_freedom)}, "
        f"source: {sigma.source}, reference: {quoted(sigma.reference)}}}"
    )


def _limits(limits: tuple[Limit, ...]) -> Iterator[str]:
    if limits:
        yield "limits:"
    for limit in limits:
        yield f"  - id: {quoted(limit.id)}"
        yield f"    metric: {limit.metric}"
        if limit.subjects != "*":
            yield f"    subjects: {quoted(limit.subjects)}"
        for key in ("minimum", "maximum", "equals"):
            value = getattr(limit, key)
            if value is not None:
                yield f"    {key}: {number(value)}"
        if limit.one_of is not None:
            yield f"    one_of: [{', '.join(quoted(str(value)) for value in limit.one_of)}]"
        yield f"    unit: {quoted(limit.unit)}"
        yield f"    effect: {limit.effect}"
        if limit.missed != "fail":
            yield f"    missed: {limit.missed}"
        yield f"    cause: {limit.cause}"
        yield f"    action: {limit.action}"
        yield f"    source: {limit.source}"
        yield f"    reference: {quoted(limit.reference)}"
        if limit.valid_for:
            yield f"    valid_for: [{', '.join(quoted(one) for one in limit.valid_for)}]"
