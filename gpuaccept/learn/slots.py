"""Heat in the same slot of other nodes: one limit a slot, since slots differ by the air that reaches them.

Learned from is thermal resistance where every record has it, else the highest temperature, which holds the inlet's
differences too. A slot's own nodes give its mean, all slots together the scatter around their means: twenty nodes of
one slot alone would say little of it. What is proposed only observes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from gpuaccept.check import gpu_subject
from gpuaccept.data import Cohort, Limit, MetricDeclaration
from gpuaccept.judge import Estimate
from gpuaccept.judge.subjects import selected
from gpuaccept.learn.records import Good
from gpuaccept.learn.terms import DIGITS, Outcome, Terms, rounded
from gpuaccept.learn.tolerance import Sample, below, rank, sample

METRICS = ("thermal_soak.thermal_resistance", "thermal_soak.temperature_max")
"""The first that every GPU of every record has is learned from. `margin_min` is the second in mirror, and required."""
MODULE = "inventory.module_id"
SHARE = 0.999
"""Of good GPUs that a slot's limit passes, unless another is asked for: it observes, so a false alarm costs a look."""


class Slot(NamedTuple):
    """One place of a GPU: its subject in every record, its module id where there is one, and what it is called."""

    subject: str
    module: int | None
    name: str


def slot_outcomes(
    cohort: Cohort,
    records: Sequence[Good],
    estimated: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    declared: Mapping[str, MetricDeclaration],
    terms: Terms,
) -> list[Outcome]:
    """A limit for each slot. `estimated` is record file -> metric -> subject -> what was measured of it."""
    metric = next((name for name in METRICS if name in declared and _everywhere(name, cohort, estimated)), None)
    if metric is None:
        if not any(METRICS[-1] in found for found in estimated.values()):
            return []  # no soak was measured: nobody asks for its slots
        return [Outcome("not learned", METRICS[-1], None, reason="not every GPU of every record has it")]
    slots = _slots(cohort, records)
    if isinstance(slots, str):
        return [Outcome("not learned", metric, None, reason=slots)]
    worst = {  # the judge puts each visit to the limit, so the worst one counts
        one.file: {s: float(found.maximum) for s, found in estimated[one.file][metric].items()} for one in records
    }
    return [_of_slot(slot, slots, metric, declared[metric], cohort, worst, records, terms) for slot in slots]


def slot_conditions(cohort: Cohort, records: Sequence[Good], limits: Sequence[Limit], terms: Terms) -> list[Limit]:
    """That each GPU number means the slot that it meant in the records: elsewhere, the limits are inconclusive."""
    slots = _slots(cohort, records)
    learned = {limit.subjects: limit.metric for limit in limits if limit.metric in METRICS and limit.subjects != "*"}
    return [
        Limit(
            id=f"learned.slot.{slot.name}",
            metric=MODULE,
            subjects=slot.subject,
            equals=float(slot.module),
            unit="",
            effect="valid",
            missed="inconclusive",
            cause="configuration",
            action="measure again",
            source=terms.source,
            reference=f"{terms.reference}; the slot that this GPU number meant"[:400],
            valid_for=(learned[slot.subject],),
        )
        for slot in (slots if not isinstance(slots, str) else ())
        if slot.module is not None and slot.subject in learned
    ]


def _everywhere(metric: str, cohort: Cohort, estimated: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> bool:
    every = {gpu_subject(gpu) for gpu in range(cohort.gpus)}
    return all(
        found.get(metric, {}).keys() == every and all(isinstance(e.maximum, float) for e in found[metric].values())
        for found in estimated.values()
    )


def _slots(cohort: Cohort, records: Sequence[Good]) -> list[Slot] | str:
    """Slots by module id where the cohort maps them, else by GPU number; a reason where a number means several."""
    if not cohort.slots:
        return [Slot(gpu_subject(gpu), None, f"gpu-{gpu}") for gpu in range(cohort.gpus)]
    first = records[0].evidence.node.gpus
    for one in records:
        for gpu, other in zip(one.evidence.node.gpus, first, strict=False):
            if gpu.module_id is None:
                return f"{one.file}: the module id of GPU {gpu.index} is not known, so its slot isn't"
            if (gpu.index, gpu.module_id) != (other.index, other.module_id):
                return (
                    f"GPU {gpu.index} is module {other.module_id} in {records[0].file} and {gpu.module_id} in "
                    f"{one.file}: a limit is of a GPU number, which means no one slot here"
                )
    return [Slot(gpu_subject(gpu.index), gpu.module_id, f"module-{gpu.module_id}") for gpu in first]


def _of_slot(
    slot: Slot,
    slots: Sequence[Slot],
    metric: str,
    declaration: MetricDeclaration,
    cohort: Cohort,
    worst: Mapping[str, Mapping[str, float]],
    records: Sequence[Good],
    terms: Terms,
) -> Outcome:
    own = [
        limit
        for limit in cohort.limits
        if limit.metric == metric and limit.maximum is not None and selected((slot.subject,), limit.subjects)
    ]
    tightest = min(own, key=lambda limit: limit.maximum or 0.0, default=None)
    before = tightest.maximum if tightest else None
    name = f"{metric} in slot {cohort.slots.get(str(slot.module), slot.name)}"
    learned, highest, why = _ceiling(slot, slots, worst, records, terms)
    if learned is None:
        return Outcome("not learned", name, None, None, before, highest, why)
    if before is not None and learned >= before:
        said = f"the learned limit {learned:g} would be higher than the {before:g} {declaration.unit} that is there"
        return Outcome("kept", name, tightest, learned, before, highest, said)
    earlier = tightest if tightest is not None and tightest.subjects == slot.subject else None
    made = earlier or Limit(
        id=f"learned.{metric.partition('.')[2]}.{slot.name}",
        metric=metric,
        subjects=slot.subject,
        unit=declaration.unit,
        effect="observe",
        cause="hardware",
        action="replace",
        source=terms.source,
        reference="",
    )
    text = (
        f"{terms.reference}; slot {cohort.slots.get(str(slot.module), slot.name)} of {len(records)} nodes, one-sided "
        f"normal tolerance limit (ISO 16269-6) for {terms.share:.7g} of GPUs at confidence {terms.confidence:g}, "
        "scatter of all slots, each lot left out once"
    )
    made = msgspec.structs.replace(made, maximum=learned, source=terms.source, reference=text[:400])
    return Outcome("raised" if earlier else "new", metric, made, learned, before, highest)


def _ceiling(
    slot: Slot, slots: Sequence[Slot], worst: Mapping[str, Mapping[str, float]], records: Sequence[Good], terms: Terms
) -> tuple[float | None, float, str]:
    """The slot's limit, its highest node, and why there is no limit."""
    own = {file: values[slot.subject] for file, values in worst.items()}
    highest = max(own.values())
    limits = []
    for lot in (None, *sorted({one.lot for one in records})):
        files = [one.file for one in records if one.lot != lot]
        found = _pooled(slot, slots, [worst[file] for file in files])
        if found.sigma == 0:
            return None, highest, "all values are the same: there is no scatter to learn from"
        limit = -below(found._replace(mean=-found.mean), terms.share, terms.confidence)
        beyond = [one.file for one in records if one.lot == lot and own[one.file] > limit]
        if beyond:
            said = f"lot {lot} differs: {beyond[0]} reaches {own[beyond[0]]:.6g}, above the {limit:.6g} "
            return None, highest, said + "that the other lots lead to"
        limits.append(limit)
    if place := rank(len(own), terms.share, terms.confidence):
        limits.append(sorted(own.values(), reverse=True)[place - 1])
    if highest > max(limits):
        return None, highest, f"a good node lies beyond {max(limits):.6g}: the scatter is not a normal one"
    return rounded(max(limits), DIGITS, down=False), highest, ""


def _pooled(slot: Slot, slots: Sequence[Slot], nodes: Sequence[Mapping[str, float]]) -> Sample:
    """The slot's mean with the scatter of all slots around theirs; GPUs of one node may resemble each other.

    Each slot's mean was taken from the same values, which hides 1/n of the variance: it is put back.
    """
    count = len(nodes)
    means = {one.subject: sum(node[one.subject] for node in nodes) / count for one in slots}
    back = sqrt(count / (count - 1))
    around = sample([[back * (node[one.subject] - means[one.subject]) for one in slots] for node in nodes])
    return around._replace(mean=means[slot.subject], size=float(count), nodes=count, subjects=1.0)
