"""What a well-formed profile still gets wrong: limits that can't bind, floors that can't be right, idle plans.

Every rule here keeps a limit from passing, or failing, for a reason that nobody intended (docs/reference/profile.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpuaccept.check import gpu_subject, link_subject, pair_subject
from gpuaccept.data import STARS_LIMIT, Cohort, Limit, MetricDeclaration, MetricFacts, PlanSpec, Step
from gpuaccept.errors import Problem
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.reading.convert import in_file_order, nearest, wrong
from gpuaccept.reading.yaml import Place

FLOOR_OF_TYPICAL = 0.5
"""A floor below this share of the typical figure would pass hardware at half speed: a mistake, not a requirement."""

_KINDS = ("minimum", "maximum", "equals", "one_of", "uniform", "unique", "max_deviation", "matrix")
_Found = Iterator[tuple[str, str]]
"""(path below the cohort, what is wrong there)."""


def lint(
    loaded: LoadedProfile, declared: Mapping[str, MetricDeclaration], parameters: Mapping[str, type[msgspec.Struct]]
) -> tuple[Problem, ...]:
    """Every problem of a resolved profile, given all metrics that checks declare and each check's parameters."""
    found = list(_cohorts(loaded.profile.cohorts))
    for index, cohort in enumerate(loaded.profile.cohorts):
        rules = (
            _slots(cohort),
            _facts(cohort, declared),
            _limits(cohort, declared),
            _plans(cohort, declared, parameters),
        )
        found += [(f"cohorts[{index}].{path}", text) for rule in rules for path, text in rule]
    return in_file_order(_place(loaded, path).problem(path, text) for path, text in found)


def _place(loaded: LoadedProfile, path: str) -> Place:
    """Where a path was written, or the nearest thing around it that was."""
    while path:
        if path in loaded.places:
            return loaded.places[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return loaded.places.get("", Place(loaded.profile.name, 0, 0))


def _cohorts(cohorts: tuple[Cohort, ...]) -> _Found:
    names = [cohort.name for cohort in cohorts]
    owner: dict[str, str] = {}
    for index, cohort in enumerate(cohorts):
        if cohort.name in names[:index]:
            yield f"cohorts[{index}].name", f"the cohort {cohort.name} is there twice"
        if not cohort.pci_device_ids:
            yield f"cohorts[{index}].pci_device_ids", "is empty, so no node can belong to this cohort"
        for number, device in enumerate(cohort.pci_device_ids):
            if device in owner:
                said = f"{device} already belongs to the cohort {owner[device]}, so a node would fit both"
                yield f"cohorts[{index}].pci_device_ids[{number}]", said
            owner.setdefault(device, cohort.name)


def _slots(cohort: Cohort) -> _Found:
    for module, count in Counter(cohort.slots.values()).items():
        if count > 1:
            yield "slots", f"{count} modules are in the slot {module}"
    for module in cohort.slots:
        if not module.isdecimal():
            yield f"slots.{module}", "a module id is a whole number"


def _facts(cohort: Cohort, declared: Mapping[str, MetricDeclaration]) -> _Found:
    for name, facts in cohort.metrics.items():
        path = f"metrics.{name}"
        if name not in declared:
            yield path, f"no check declares this metric{nearest(name, declared)}"
        if facts.typical is not None and facts.ceiling is not None and facts.typical > facts.ceiling:
            yield f"{path}.typical", f"{facts.typical:g} is above the ceiling {facts.ceiling:g}"


def _limits(cohort: Cohort, declared: Mapping[str, MetricDeclaration]) -> _Found:
    ids = [limit.id for limit in cohort.limits]
    for index, limit in enumerate(cohort.limits):
        path = f"limits[{index}]"
        if limit.id in ids[:index]:
            yield f"{path}.id", f"the id {limit.id} is given twice"
        given = _given(limit)
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "has none"
            yield path, f"{limit.id} needs exactly one of {', '.join(_KINDS)}; it {said}"
        yield from _conditions(path, limit, declared)
        metric = declared.get(limit.metric)
        if metric is None:
            yield f"{path}.metric", f"no check declares {limit.metric}{nearest(limit.metric, declared)}"
            continue
        if limit.unit != metric.unit:
            yield f"{path}.unit", f"{limit.metric} is in {metric.unit or 'no unit'}, not in {limit.unit or 'no unit'}"
        if not _matches(limit.subjects, _subjects(cohort, metric)):
            said = f"{limit.subjects!r} matches no {metric.subject} of this cohort"
            yield f"{path}.subjects", f"{said}; a {metric.subject} is called {_example(metric)}"
        yield from _type(path, limit, metric)
        yield from _matrix(path, limit, metric, cohort.gpus)
        yield from _bound(path, limit, metric, cohort.metrics.get(limit.metric))


def _conditions(path: str, limit: Limit, declared: Mapping[str, MetricDeclaration]) -> _Found:
    if limit.effect == "valid" and not limit.valid_for:
        yield path, f"{limit.id} has effect valid, but valid_for names no metric that it conditions"
    if limit.effect != "valid" and limit.valid_for:
        yield f"{path}.valid_for", f"only a limit of effect valid conditions others; this one has effect {limit.effect}"
    for where, pattern in (
        ("subjects", limit.subjects),
        *((f"valid_for[{i}]", p) for i, p in enumerate(limit.valid_for)),
    ):
        if pattern.count("*") > STARS_LIMIT:
            yield f"{path}.{where}", f"{pattern!r} has more than {STARS_LIMIT} stars: a verifier refuses it"
    for index, pattern in enumerate(limit.valid_for):
        if not _matches(pattern, declared):
            yield f"{path}.valid_for[{index}]", f"{pattern!r} matches no metric{nearest(pattern, declared)}"


def _type(path: str, limit: Limit, metric: MetricDeclaration) -> _Found:
    """Text and numbers never compare, and a measured figure never equals anything."""
    if metric.kind == "sampled":
        for kind in ("equals", "one_of", "uniform", "unique"):
            if kind in _given(limit):
                yield (
                    f"{path}.{kind}",
                    f"{limit.metric} is measured with uncertainty; use minimum, maximum or max_deviation",
                )
        return
    text = metric.kind == "read" and not metric.unit and metric.reduction is None
    if text:
        for kind in ("minimum", "maximum", "max_deviation"):
            if kind in _given(limit):
                yield f"{path}.{kind}", f"{limit.metric} is a text, which has no size; use equals or one_of"
    values = [("equals", limit.equals)] if limit.equals is not None else []
    values += [(f"one_of[{number}]", value) for number, value in enumerate(limit.one_of or ())]
    if limit.one_of == ():
        yield f"{path}.one_of", "is empty, so nothing can meet it"
    for where, value in values:
        if text and not isinstance(value, str):
            yield f"{path}.{where}", f"{limit.metric} is a text; write the value in quotes"
        if not text and isinstance(value, str):
            yield f"{path}.{where}", f"{limit.metric} is a number; found the text {value!r}"


def _matrix(path: str, limit: Limit, metric: MetricDeclaration, gpus: int) -> _Found:
    if limit.matrix is None:
        return
    if metric.subject != "pair" or metric.kind != "read" or metric.unit:
        yield f"{path}.matrix", f"is for text that is read of pairs, which {limit.metric} is not"
    if len(limit.matrix) != gpus:
        yield f"{path}.matrix", f"has {len(limit.matrix)} rows; this cohort has {gpus} GPUs, and each is a row"
    for number, row in enumerate(limit.matrix):
        words = row.split()
        if len(words) != gpus:
            yield f"{path}.matrix[{number}]", f"has {len(words)} words; a row has one for each of the {gpus} GPUs"
        elif [at for at, word in enumerate(words) if word == "-"] != [number]:
            yield (
                f"{path}.matrix[{number}]",
                f"`-` stands for the GPU itself: as word {number + 1} of this row, and nowhere else",
            )


def _bound(path: str, limit: Limit, metric: MetricDeclaration, facts: MetricFacts | None) -> _Found:
    if limit.minimum is not None and metric.better == "lower":
        yield f"{path}.minimum", f"lower is better for {limit.metric}: this would fail good hardware; use maximum"
    if limit.maximum is not None and metric.better == "higher":
        yield f"{path}.maximum", f"higher is better for {limit.metric}: this would fail good hardware; use minimum"
    if limit.max_deviation is not None and (facts is None or facts.gpu is None):
        yield f"{path}.max_deviation", f"needs metrics.{limit.metric}.gpu, the scatter from GPU to GPU"
    bounded = limit.minimum is not None or limit.maximum is not None
    if metric.kind == "sampled" and bounded and limit.effect == "require" and (facts is None or facts.visit is None):
        yield path, f"{limit.id} can't be judged without metrics.{limit.metric}.visit, the scatter from visit to visit"
    if limit.minimum is None or facts is None:
        return
    if facts.ceiling is not None and limit.minimum > facts.ceiling:
        yield f"{path}.minimum", f"{limit.minimum:g} is above the ceiling {facts.ceiling:g}: nothing can reach it"
    if facts.typical is not None and limit.minimum < FLOOR_OF_TYPICAL * facts.typical:
        yield (
            f"{path}.minimum",
            f"{limit.minimum:g} is below half of the typical {facts.typical:g}: it would pass a fault",
        )


def _plans(
    cohort: Cohort, declared: Mapping[str, MetricDeclaration], parameters: Mapping[str, type[msgspec.Struct]]
) -> _Found:
    if not cohort.plans:
        yield "plans", "there is none, so nothing can be run"
    by_state = {name.split(".", 1)[0] for name in declared}
    by_state -= {name.split(".", 1)[0] for name in declared if not name.endswith(("_cold", "_hot"))}
    for name, plan in cohort.plans.items():
        path = f"plans.{name}"
        for index, step in enumerate(plan.steps):
            for where, text in _step(step, step.check in by_state, parameters):
                yield f"{path}.steps[{index}]{where}", text
        visits = _visits(plan, declared)
        required = [limit for limit in cohort.limits if limit.effect == "require" and visits[limit.metric]]
        # One visit shows no change: the judge counts such a limit as not in the plan, as if its check were not there.
        required = [one for one in required if visits[one.metric] > 1 or not _is_change(declared[one.metric])]
        if not required:
            yield path, f"the plan {name} measures nothing that is required, so it could accept anything"
        for limit in required:
            sampled = declared[limit.metric].kind == "sampled"
            if sampled and visits[limit.metric] < cohort.visits:
                said = (
                    f"{limit.id} needs {cohort.visits} visits to {limit.metric}, the plan makes {visits[limit.metric]}"
                )
                yield f"{path}.steps", f"{said}: it could never be decided"


def _step(step: Step, by_state: bool, parameters: Mapping[str, type[msgspec.Struct]]) -> _Found:
    known = parameters.get(step.check)
    if known is None:
        yield ".check", f"there is no check {step.check}{nearest(step.check, parameters)}"
        return
    if by_state and not step.state:
        yield "", f"{step.check} is measured cold or hot; add the state"
    fields = {field.encode_name: field for field in msgspec.structs.fields(known)}
    for name, value in step.parameters.items():
        if name not in fields:
            yield f".parameters.{name}", f"{step.check} has no such parameter{nearest(name, fields)}"
            continue
        if said := wrong(value, fields[name].type):
            meant = _meant(fields[name].type)
            yield f".parameters.{name}", f"must say {meant}; found {value!r}" if meant else said
    for name, field in fields.items():
        default = field.default
        given = name in step.parameters or default is msgspec.NODEFAULT
        if not given and wrong(default, field.type):  # a default that is no answer: the plan must give one
            yield (
                ".parameters",
                f"{step.check} runs only where {name} says {_meant(field.type) or 'what its bounds allow'}",
            )


def _meant(kind: object) -> str:
    """What a parameter must hold in the words of its own description, where it has one."""
    meta = next((one for one in getattr(kind, "__metadata__", ()) if isinstance(one, msgspec.Meta)), None)
    return meta.description or "" if meta is not None else ""


def _visits(plan: PlanSpec, declared: Mapping[str, MetricDeclaration]) -> Counter[str]:
    """How often a plan visits each metric, at most: what a step's parameters leave out is not known here."""
    steps = Counter((step.check, step.state) for step in plan.steps)
    visits: Counter[str] = Counter()
    for name in declared:
        check = name.split(".", 1)[0]
        states = [state for state in ("cold", "hot") if name.endswith(f"_{state}")]
        for (visited, state), count in steps.items():
            if visited == check and (not states or state in states):
                visits[name] += count
    return visits


def _is_change(metric: MetricDeclaration) -> bool:
    return metric.kind in ("difference", "rate")


def _given(limit: Limit) -> list[str]:
    values = ((kind, getattr(limit, kind)) for kind in _KINDS)
    return [kind for kind, value in values if value is not None and value is not False]


def _subjects(cohort: Cohort, metric: MetricDeclaration) -> Iterator[str]:
    gpus = range(cohort.gpus)
    if metric.subject == "node":
        yield "node"
    elif metric.subject == "gpu":
        yield from (gpu_subject(gpu) for gpu in gpus)
    elif metric.subject == "link":
        yield from (link_subject(gpu, link) for gpu in gpus for link in range(cohort.links_per_gpu))
    else:
        yield from (pair_subject(gpu, peer) for gpu in gpus for peer in gpus if gpu != peer)


def _example(metric: MetricDeclaration) -> str:
    return {"node": "node", "gpu": "gpu/3", "link": "gpu/3/link/11", "pair": "gpu/2>gpu/5"}[metric.subject]


def _matches(pattern: str, texts: Iterable[str]) -> bool:
    """Whether any fits, as the judge matches: `*` alone is everything, else any characters within one `/` segment."""
    if pattern == "*":
        return any(True for _ in texts)
    compiled = re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))
    return any(compiled.fullmatch(text) for text in texts)
