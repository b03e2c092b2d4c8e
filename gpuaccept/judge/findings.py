"""From verdicts to findings: what is no pass, put together by the part that a person has to act on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from gpuaccept.data import Cause, Finding, Limit, Part
from gpuaccept.judge.advice import is_lost, remedy
from gpuaccept.judge.outcome import GRAVITY, Condition, Miss, Outcome, Why
from gpuaccept.judge.parts import MISSING, missing_gpus, part, words
from gpuaccept.judge.scope import Scope, check_of
from gpuaccept.judge.stop import stopped
from gpuaccept.judge.subjects import NODE, gpus_of, link_of, order
from gpuaccept.judge.wording import number, requirement, shortfall, subject_matter, with_unit

COUNTS = "inventory.gpu_count_"
"""Metrics that say how many GPUs there are: too few is about the GPU that is missing."""
_SPECIFIC: dict[Cause, int] = {"hardware": 0, "facility": 1, "configuration": 2, "tool": 3, "unknown": 4}


class _Item(NamedTuple):
    place: int
    """Of the limit in the profile: earlier limits speak first."""
    outcome: Outcome
    miss: Miss
    shared: bool
    """The node misses this limit: all of its GPUs do, or half of them in the soak, where they share air and supply."""
    when: int
    """Place of the failure in the run, if there is one: what went wrong first speaks for what followed."""


def findings(scope: Scope, outcomes: Iterable[Outcome]) -> tuple[Finding, ...]:
    """All findings, the rejecting ones first, one for each part and cause, and one for all that a stop left undone."""
    groups = _by_part(scope, [outcome for outcome in outcomes if outcome.misses and outcome.limit.effect != "observe"])
    out = []
    undone = [item for item in groups.get(NODE, ()) if _waits(item.miss, "stopped")]
    if undone or not scope.evidence.complete:
        groups[NODE] = [item for item in groups.get(NODE, ()) if not _waits(item.miss, "stopped")]
        limits = dict.fromkeys(item.outcome.limit.id for item in undone)
        out.append((GRAVITY["error"], order(NODE), -1, stopped(scope.evidence, tuple(limits))))
    for subject, items in groups.items():
        for group in _by_cause(subject, items):
            out.append((_rank(group[0]), order(subject), group[0].place, _finding(scope, subject, group)))
    return tuple(finding for *_, finding in sorted(out, key=lambda row: row[:3]))


def _by_part(scope: Scope, outcomes: list[Outcome]) -> dict[str, list[_Item]]:
    absent = missing_gpus(scope.evidence, scope.cohort.gpus)
    blamed = _blamed_pairs(scope, outcomes, absent)
    everyone = frozenset(range(scope.gpus)).difference(absent)
    failed = (failure for run in scope.evidence.steps for failure in run.failures)
    when = {failure: place for place, failure in reversed(list(enumerate(failed)))}
    groups: dict[str, list[_Item]] = defaultdict(list)
    for place, outcome in enumerate(outcomes):
        where = {s: blamed.get(s, s) for s, miss in outcome.misses.items() if not _waits(miss, "skipped", "stopped")}
        hit = frozenset().union(*(gpus_of(target) for target in where.values())) & everyone
        several = hit == everyone or (_of_soak(outcome) and len(hit) >= max(3, len(everyone) / 2))
        shared = several and len(everyone) > 1 and not any(">" in target for target in where.values())
        for subject, miss in outcome.misses.items():
            # what the run left out is a matter of the run, whatever part it is of
            own = where.get(subject, NODE)
            target = NODE if shared and gpus_of(own).isdisjoint(absent) else own
            counted = subject == NODE and outcome.limit.metric.startswith(COUNTS)
            # what is stated for one index misses where a missing GPU has moved the later ones up
            moved = outcome.limit.subjects.startswith("gpu/") and check_of(outcome.limit.metric) == "inventory"
            follows = absent and (counted or moved) and subject in where
            item = _Item(place, outcome, miss, shared, when[miss.failure] if miss.failure else len(when))
            for one in [f"gpu/{gpu}" for gpu in absent] if follows else [target]:
                groups[one].append(item)
    return _heat_first(_joined_links(groups))


def _waits(miss: Miss, *whys: Why) -> bool:
    """Whether nothing is known of it but that the run left something out, or was stopped."""
    return miss.root.why in whys and not miss.missed


def _heat_first(groups: dict[str, list[_Item]]) -> dict[str, list[_Item]]:
    """Where the node as a whole gets too hot or too little power, what its GPUs show hot follows from that."""
    node = groups.get(NODE, [])
    if not any(item.shared and _of_soak(item.outcome) and item.miss.result == "fail" for item in node):
        return groups
    for target in [target for target in groups if target != NODE]:
        follows = [item for item in groups[target] if _of_soak(item.outcome) or _is_hot(item.outcome)]
        node += follows
        groups[target] = [item for item in groups[target] if item not in follows]
    return {target: items for target, items in groups.items() if items}


def _of_soak(outcome: Outcome) -> bool:
    return outcome.declared is not None and outcome.declared.reduction is not None


def _is_hot(outcome: Outcome) -> bool:
    return outcome.limit.metric.endswith("_hot")


def _blamed_pairs(scope: Scope, outcomes: list[Outcome], absent: Sequence[int]) -> dict[str, str]:
    """Pair -> the GPU that explains it, or the node where all pairs miss.

    A GPU that is not there explains its pairs. Another one does where it is in all that are left and no other is, or in
    half of all pairs that it could be in.
    """
    left = {
        subject
        for outcome in outcomes
        for subject, miss in outcome.misses.items()
        if ">" in subject and not _waits(miss, "skipped", "stopped")
    }
    out: dict[str, str] = {}
    for gpu in absent:
        mine = {subject for subject in left if gpu in gpus_of(subject)}
        out.update(dict.fromkeys(mine, f"gpu/{gpu}"))
        left -= mine
    present = scope.gpus - len(absent)
    if len(left) >= present * (present - 1) > 2:
        return out | dict.fromkeys(left, NODE)
    while left:
        counts = Counter(gpu for subject in sorted(left) for gpu in gpus_of(subject)).most_common()
        gpu, most = min(counts, key=lambda entry: (-entry[1], entry[0]))
        explains_all = most == len(left) and sum(count == most for _, count in counts) == 1
        if not explains_all and (most < present - 1 or present < 3):
            break
        mine = {subject for subject in left if gpu in gpus_of(subject)}
        out.update(dict.fromkeys(mine, f"gpu/{gpu}"))
        left -= mine
    out.update({subject: _both_ways(subject) for subject in left})
    return out


def _both_ways(subject: str) -> str:
    """One name for a pair and its reverse."""
    low, high = sorted(gpus_of(subject))
    return f"gpu/{low}>gpu/{high}"


def _joined_links(groups: dict[str, list[_Item]]) -> dict[str, list[_Item]]:
    """A single link speaks for what its GPU's links and pairs show; several links of a GPU are a matter of the GPU."""
    links: dict[int, list[str]] = defaultdict(list)
    for target in groups:
        if link_of(target) is not None:
            links[min(gpus_of(target))].append(target)
    for gpu, targets in links.items():
        own = f"gpu/{gpu}"
        if len(targets) > 1 or any(item.miss.result == "error" for item in groups.get(own, ())):
            for target in targets:
                groups[own] = groups.get(own, []) + groups.pop(target)
        elif own in groups:
            check = check_of(groups[targets[0]][0].outcome.limit.metric)
            mine = [item for item in groups[own] if check_of(item.outcome.limit.metric) == check]
            rest = [item for item in groups[own] if check_of(item.outcome.limit.metric) != check]
            groups[targets[0]] += mine
            groups[own] = rest
    return {target: items for target, items in groups.items() if items}


def _by_cause(subject: str, items: list[_Item]) -> list[list[_Item]]:
    """Failures apart by cause; what could not be measured or told goes with the gravest of its part.

    On the node it stays apart by check, or by the call that failed: two checks that did not run are two things to do.
    """
    items = sorted(items, key=partial(_weight, subject))
    groups: dict[str, list[_Item]] = {}
    causes: dict[str, str] = {}
    for item in items:
        if item.miss.result == "fail":
            cause = item.outcome.limit.cause
            groups.setdefault(cause, []).append(item)
            causes.setdefault(_check(item), cause)
    gravest = next(iter(groups), "")
    others: dict[str, list[_Item]] = {}
    for item in items:
        if item.miss.result != "fail":
            others.setdefault(_trouble(item) if subject == NODE else gravest, []).append(item)
    for trouble, members in others.items():
        known = next((causes[_check(item)] for item in members if _check(item) in causes), trouble)
        groups.setdefault(known if subject == NODE else trouble, []).extend(members)
    return list(groups.values())


def _check(item: _Item) -> str:
    """The check that a verdict, or the condition that it hangs on, belongs to."""
    return check_of(_limit(item).metric)


def _limit(item: _Item) -> Limit:
    """The limit that there is something to do about: the verdict's own, or the condition's that it hangs on."""
    return item.miss.condition.limit if item.miss.condition else item.outcome.limit


def _trouble(item: _Item) -> str:
    """What verdicts without a result have in common: the driver call that failed, or the check."""
    failure = item.miss.failure
    return f"{failure.call} {failure.code}" if failure and failure.call else _check(item)


def _weight(subject: str, item: _Item) -> tuple[int, int, bool, int, bool, int, int, tuple[tuple[int, int | str], ...]]:
    """The leading verdict of a group is the gravest, of the most telling reason, of the most specific cause.

    Of a link, its own state says more than the number of links that its GPU has left.
    """
    telling = {"limit": 0, "not measured": 0, "condition": 1 if item.miss.missed else 3}.get(item.miss.why, 2)
    if item.miss.result == "error" and not is_lost(item.miss):
        telling = 2
    specific = _SPECIFIC[item.outcome.limit.cause]
    alone = not (item.shared and _of_soak(item.outcome))
    counted = link_of(subject) is not None and item.miss.subject != subject
    result = GRAVITY[item.miss.result]
    return result, telling, alone, item.when, counted, specific, item.place, order(item.miss.subject)


def _rank(item: _Item) -> int:
    return GRAVITY[item.miss.result]


def _finding(scope: Scope, subject: str, items: list[_Item]) -> Finding:
    lead = items[0]
    limit, declared, miss = lead.outcome.limit, lead.outcome.declared, lead.miss
    named = {item.miss.subject for item in items if item.outcome is lead.outcome} - {subject, NODE}
    found = part(scope.evidence, subject)
    why = remedy(scope, found, lead.outcome, miss, lead.shared)
    new = _new_names(scope, lead)
    also = dict.fromkeys(item.outcome.limit.id for item in items if item.outcome.limit.id != limit.id)
    return Finding(
        result=miss.result,
        part=found,
        title=_title(found, lead) + (f" ({number(new)})" if new else ""),
        metric=limit.metric,
        limit=limit.id,
        value=miss.value,
        expanded_uncertainty=miss.uncertainty,
        unit=declared.unit if declared else limit.unit,
        requirement=requirement(limit) + (f" of {with_unit(miss.middle, limit.unit)}" if miss.middle else ""),
        reason=_reason(lead, sorted(named, key=order), new),
        cause=why.cause,
        action=why.action,
        advice=why.advice,
        also=tuple(also),
    )


def _title(found: Part, lead: _Item) -> str:
    name = words(found)
    limit, declared, miss = lead.outcome.limit, lead.outcome.declared, lead.miss
    about = subject_matter(declared.description) if declared else limit.metric
    if found.name == MISSING:
        return "A GPU is missing" + (f" from slot {found.slot}" if found.slot else "")
    if miss.why == "not measured" and is_lost(miss):
        return f"{name} was lost during the run"
    what = {
        "limit": shortfall(declared, limit, miss.value),
        "guard": f"{about} is too near to its limit to tell",
        "scatter": f"{about} scatters from visit to visit",
        "fresh look": f"{about} stands out from the node and has to be measured again",
        "condition": f"{about} does not count",
        "not measured": f"{about} could not be measured",
        "not planned": f"{about} was not planned",
        "skipped": f"{check_of(limit.metric)} was left out",
        "stopped": f"{about} was not measured before the run was stopped",
    }[miss.why]
    if miss.condition is not None:
        if miss.missed:
            what = f"{shortfall(declared, limit, miss.value)}, but that does not count"
        what += _unmet(miss.condition)
    return f"{name[:1].upper()}{name[1:]}: {what}"


def _unmet(condition: Condition) -> str:
    """Why a condition that was not measured was not: what was measured and missed is a finding by itself."""
    check = check_of(condition.limit.metric)
    return {
        "skipped": f": {check} was left out",
        "stopped": ": the run was stopped",
        "not planned": f": {check} was not planned",
        "not measured": f": {condition.limit.id} could not be measured",
    }.get(condition.miss.why, "")


def _new_names(scope: Scope, lead: _Item) -> str:
    """What the check's text lists at its last visit and did not at its first: the events that a limit counts."""
    by = lead.outcome.declared.named_by if lead.outcome.declared else ""
    if not by or lead.miss.why != "limit":
        return ""
    texts = [
        str(samples[-1])
        for column in sorted(scope.evidence.columns, key=lambda column: column.at_s)
        if column.metric == by
        for subject, samples in zip(column.subjects, column.samples, strict=False)
        if subject == lead.miss.subject and samples
    ]
    new = Counter(texts[-1].split(", ")) - Counter(texts[0].split(", ")) if texts else Counter()
    return ", ".join(new)


def _reason(lead: _Item, named: list[str], new: str = "") -> str:
    text = f"{lead.miss.reason}: {new}" if new else lead.miss.reason
    if named:
        shown = ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
        text = f"{text} ({shown})"
    return text[:400]
