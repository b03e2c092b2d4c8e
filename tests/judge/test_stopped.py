"""A run that was stopped: one finding for all that it left undone, and what was measured before keeps its own."""

from __future__ import annotations

import pytest
from judge_evidence import (
    ANCESTOR,
    COPY,
    DRIVER,
    LIMITS,
    MARGIN,
    PENDING,
    POWER,
    edit,
    evidence,
    leave_out,
    limit,
    lose,
    scale,
    stop,
)
from msgspec.structs import replace

from gpuaccept.data import Evidence, Finding
from gpuaccept.judge import judge


def the_stop(found: Evidence) -> Finding:
    (finding,) = (one for one in judge(found).findings if one.limit == "run.steps")
    return finding


@pytest.mark.parametrize("made", [0, 1, 2, 5, 8, 12])
def test_what_a_stop_left_undone_is_one_finding(made: int) -> None:
    each = [limit(f"serial-{i}", "inventory.serial", subjects=f"gpu/{i}", equals=f"serial-gpu/{i}") for i in range(8)]
    judgement = judge(stop(evidence(limits=[*each, *LIMITS]), made))
    (finding,) = judgement.findings
    assert judgement.decision == "not decided"
    assert (finding.result, finding.part.subject) == ("error", "node")
    assert (finding.cause, finding.action) == ("tool", "measure again")
    were = "was" if made == 1 else "were"
    assert finding.title == f"The run was stopped after 7 s: {made} of 13 steps {were} made"
    assert (finding.value, finding.unit, finding.requirement) == (float(made), "steps", "= 13 steps")
    assert not any("supplier" in sentence or "doctor" in sentence for sentence in finding.advice)


def test_what_failed_before_a_stop_keeps_its_own_finding() -> None:
    found = edit(evidence(), PENDING, lambda s, x, c: ("1",) if s == "gpu/3" else x)
    findings = judge(stop(found, 4)).findings
    assert [(one.limit, one.part.gpu, one.action) for one in findings] == [
        ("run.steps", None, "measure again"),
        ("pending", 3, "reset and re-run"),
    ]


def test_a_gpu_that_was_lost_before_a_stop_is_named() -> None:
    findings = judge(stop(lose(evidence(), 3, 3), 6)).findings
    assert [(one.limit == "run.steps", one.part.gpu) for one in findings] == [(False, 3), (True, None)]


def test_a_rejection_stands_however_the_run_ended() -> None:
    failing = limit("driver", DRIVER, equals="570")
    judgement = judge(stop(evidence(limits=[failing, *LIMITS]), 2))
    assert judgement.decision == "rejected"
    assert [one.limit for one in judgement.findings] == ["driver", "run.steps"]


def test_pairs_are_blamed_on_their_gpu_although_no_speed_was_reached() -> None:
    mine = {f"gpu/{a}>gpu/{b}" for a in range(8) for b in range(8) if a != b and 3 in (a, b)}
    far = limit("ancestor", ANCESTOR, equals="node")
    found = edit(evidence(limits=[*LIMITS, far]), ANCESTOR, lambda s, x, c: ("system",) if s in mine else x)
    findings = judge(stop(found, 8)).findings
    assert [(one.limit, one.part.gpu) for one in findings] == [("ancestor", 3), ("run.steps", None)]


def test_what_a_condition_was_not_reached_for_keeps_its_part_and_blames_nobody() -> None:
    alone = limit("alone", DRIVER, equals="580.1", effect="valid", valid_for=(COPY,), cause="configuration")
    found = stop(scale(evidence(limits=[*LIMITS, alone]), COPY, "gpu/2", 0.9), 12)
    own = next(one for one in judge(found).findings if one.part.gpu == 2)
    assert (own.result, own.cause, own.action) == ("inconclusive", "tool", "measure again")
    assert own.title.endswith("is too slow, but that does not count: the run was stopped")
    assert len(judge(found).findings) == 2


def test_a_soak_that_was_cut_short_is_a_matter_of_the_stop() -> None:
    short = edit(evidence(), POWER, lambda s, x, c: (300.0,))
    found = stop(short, 2)
    partial = tuple(column for column in short.columns if column.metric in (POWER, MARGIN))
    (finding,) = judge(replace(found, columns=(*found.columns, *partial))).findings
    assert (finding.limit, "power" in finding.also) == ("run.steps", True)


def test_steps_that_were_left_out_are_not_counted_as_undone() -> None:
    assert the_stop(stop(leave_out(evidence(), "nvlink"), 5)).requirement == "= 10 steps"


def test_a_record_without_an_end_says_so_although_all_was_measured() -> None:
    finding = the_stop(replace(evidence(), complete=False))
    assert finding.title == "The run was stopped after 1 h: 13 of 13 steps were made"
    assert finding.reason.startswith("its end is missing")


@pytest.mark.parametrize("ended", ["", "yesterday", "2026-01-01T00:00:00", "2025-01-01T00:00:00Z"])
def test_where_the_end_tells_no_time_the_steps_do(ended: str) -> None:
    found = replace(stop(evidence(), 3), ended_at=ended)
    assert the_stop(found).title == "The run was stopped after 3 min: 3 of 13 steps were made"


def test_a_deadline_asks_for_a_later_one() -> None:
    assert "with a later deadline" in the_stop(stop(evidence(), 3, "the deadline of 7 s was reached")).advice[-1]
