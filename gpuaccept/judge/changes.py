"""Counters that are judged by their change: the last reading less the first, or that per hour."""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct

from gpuaccept.data import Kind
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.readings import Unjudgeable, integer, is_count


class Changes(Struct, frozen=True):
    """By how much the counter of each subject changed, or why that can't be told."""

    values: dict[str, float]
    problems: dict[str, str]


def changes(measured: Measured, kind: Kind) -> Changes:
    """The change of every subject, in counts, or for a rate in counts an hour."""
    if measured.even and _none_changed(measured):
        return Changes(dict.fromkeys(measured.subjects, 0.0), {})
    values, problems = {}, {}
    for subject in measured.subjects:
        try:
            values[subject] = _change(measured, subject, kind)
        except Unjudgeable as error:
            problems[subject] = str(error)
    return Changes(values, problems)


def _change(measured: Measured, subject: str, kind: Kind) -> float:
    readings = [max(map(integer, samples)) for samples in measured.visits(subject)]
    if not readings:
        raise Unjudgeable("not measured")
    if any(later < earlier for earlier, later in pairwise(readings)):
        raise Unjudgeable("the counter went backwards: it was reset during the run")
    total = float(readings[-1] - readings[0])
    if kind == "difference":
        return total
    keys = measured.keys(subject)
    seconds = keys[-1][0] - keys[0][0]
    if seconds <= 0:
        raise Unjudgeable("no time passed between the counter's visits")
    return total * 3600 / seconds


def _none_changed(measured: Measured) -> bool:
    """Whether every counter shows one and the same count in all visits, over a span of time: the usual case."""
    columns = measured.columns()
    first = columns[0].samples
    if columns[-1].at_s <= columns[0].at_s:
        return False
    if len(measured.distinct()) > 1 and any(column.samples != first for column in columns):
        return False
    return all(len(samples) == 1 and is_count(samples[0]) for samples in measured.distinct())
