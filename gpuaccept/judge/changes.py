"""Counters that are judged by their change: the last reading less the first, or that per hour.

They begin anew when the node is booted, so no difference reaches across a boot: the changes before and after it are
added.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from gpuaccept.data import Kind
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.readings import Unjudgeable, integer, is_count


class Changes(Struct, frozen=True):
    """By how much the counter of each subject changed, or why that can't be told."""

    values: dict[str, float]
    problems: dict[str, str]


def changes(measured: Measured, kind: Kind, boots: Sequence[float] = ()) -> Changes:
    """The change of every subject, in counts, or for a rate in counts an hour. `boots` are the times of boots, s."""
    if measured.even and not boots and _none_changed(measured):
        return Changes(dict.fromkeys(measured.subjects, 0.0), {})
    values, problems = {}, {}
    for subject in measured.subjects:
        try:
            values[subject] = _change(measured, subject, kind, boots)
        except Unjudgeable as error:
            problems[subject] = str(error)
    return Changes(values, problems)


def _change(measured: Measured, subject: str, kind: Kind, boots: Sequence[float]) -> float:
    windows: dict[int, list[tuple[float, int]]] = {}
    """Boots before it -> (time, count) of each reading between two boots."""
    for (at, *_), samples in zip(measured.keys(subject), measured.visits(subject), strict=True):
        windows.setdefault(bisect_right(boots, at), []).append((at, max(map(integer, samples))))
    if not windows:
        raise Unjudgeable("not measured")
    total, seconds = 0, 0.0
    for readings in windows.values():
        if any(later < earlier for (_, earlier), (_, later) in pairwise(readings)):
            raise Unjudgeable("the counter went backwards: it was reset during the run")
        total += readings[-1][1] - readings[0][1]
        seconds += readings[-1][0] - readings[0][0]
    if boots and max(map(len, windows.values())) < 2:
        raise Unjudgeable("the node was booted between its readings")
    if kind == "difference":
        return float(total)
    if seconds <= 0:
        raise Unjudgeable("no time passed between the counter's visits")
    return float(total) * 3600 / seconds


def _none_changed(measured: Measured) -> bool:
    """Whether every counter shows one and the same count in all visits, over a span of time: the usual case."""
    columns = measured.columns()
    first = columns[0].samples
    if columns[-1].at_s <= columns[0].at_s:
        return False
    if len(measured.distinct()) > 1 and any(column.samples != first for column in columns):
        return False
    return all(len(samples) == 1 and is_count(samples[0]) for samples in measured.distinct())
