"""Counters over a run in which the node was booted: each boot has a window of its own."""

from __future__ import annotations

import pytest

from gpuaccept.data import Column, Kind
from gpuaccept.judge.changes import Changes, changes
from gpuaccept.judge.measured import Measured


def counted(kind: Kind, boots: tuple[float, ...], *readings: tuple[float, int]) -> Changes:
    columns = [
        Column(metric="c.m", visit=visit, at_s=at, subjects=("gpu/0",), samples=((str(count),),))
        for visit, (at, count) in enumerate(readings, 1)
    ]
    return changes(Measured(columns, ("gpu/0",)), kind, boots)


@pytest.mark.parametrize(
    ("boots", "readings", "total"),
    [
        ((), ((0, 3), (10, 3)), 0.0),
        ((15.0,), ((0, 7), (10, 7), (20, 0), (30, 0)), 0.0),
        ((15.0,), ((0, 7), (10, 9), (20, 0), (30, 0)), 2.0),  # what was counted before the boot stays counted
        ((15.0,), ((0, 7), (10, 9), (20, 0), (30, 1)), 3.0),
        ((15.0,), ((0, 7), (20, 0), (30, 1)), 1.0),
        ((15.0, 25.0), ((0, 7), (20, 5), (30, 1), (40, 2)), 1.0),
        ((20.0,), ((0, 7), (20, 0), (30, 0)), 0.0),
    ],
)
def test_changes_of_all_boots_are_added(
    boots: tuple[float, ...], readings: tuple[tuple[float, int], ...], total: float
) -> None:
    assert counted("difference", boots, *readings) == Changes({"gpu/0": total}, {})


def test_a_rate_counts_no_time_across_a_boot() -> None:
    found = counted("rate", (7000.0,), (0, 4), (3600, 6), (10800, 0), (14400, 4))
    assert found.values == {"gpu/0": 3.0}


@pytest.mark.parametrize(
    ("boots", "readings", "problem"),
    [
        ((), ((0, 7), (20, 0)), "the counter went backwards: it was reset during the run"),
        ((15.0,), ((0, 7), (10, 6), (20, 0), (30, 0)), "the counter went backwards: it was reset during the run"),
        ((15.0,), ((0, 7), (20, 0)), "the node was booted between its readings"),
    ],
)
def test_what_can_not_be_told_is_no_change(
    boots: tuple[float, ...], readings: tuple[tuple[float, int], ...], problem: str
) -> None:
    assert counted("difference", boots, *readings) == Changes({}, {"gpu/0": problem})
