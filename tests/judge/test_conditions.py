"""Conditions: what was measured and missed is to blame, what was not measured is only to be measured."""

from __future__ import annotations

import pytest
from judge_evidence import COUNT, DRIVER, LIMITS, PAIR, edit, evidence, leave_out, limit, scale
from msgspec.structs import replace

from gpuaccept.data import Evidence, Failure, Finding, Limit
from gpuaccept.judge import judge

SETTING = {"cause": "configuration", "action": "correct the setting"}
ALONE = limit("alone", DRIVER, equals="580.1", effect="valid", valid_for=("nvlink.*_hot",), **SETTING)
ONLY_PAIRS = tuple(one for one in LIMITS if one.metric == PAIR)


def on_pairs(found: Evidence) -> Finding:
    """The only finding that is about the pairs' limit."""
    (finding,) = (one for one in judge(found).findings if "pair-floor" in (one.limit, *one.also))
    return finding


def fails(found: Evidence, check: str, reason: str) -> Evidence:
    """A check that could not measure anything."""
    failure = Failure(metric=f"{check}.*", subject="node", reason=reason)
    runs = tuple(replace(run, failures=(failure,)) if run.check == check else run for run in found.steps)
    columns = tuple(column for column in found.columns if not column.metric.startswith(f"{check}."))
    return replace(found, steps=runs, columns=columns)


def with_condition(*more: Limit) -> Evidence:
    return evidence(limits=[*ONLY_PAIRS, ALONE, *more])


def test_a_condition_that_was_left_out_blames_no_setting() -> None:
    finding = on_pairs(leave_out(with_condition(), "inventory"))
    assert (finding.result, finding.cause, finding.action) == ("inconclusive", "tool", "measure again")
    assert finding.reason.startswith("does not count: alone was not measured (left out by --only)")
    assert finding.title.endswith("does not count: inventory was left out")
    assert "but without `--only`" in finding.advice[-1]
    assert not any("orrect the setting" in sentence for sentence in finding.advice)


def test_a_condition_that_could_not_be_measured_says_why() -> None:
    finding = on_pairs(fails(with_condition(), "inventory", "the driver gives no answer"))
    assert (finding.cause, finding.action) == ("tool", "measure again")
    verdict = next(
        one for one in judge(fails(with_condition(), "inventory", "no answer")).judged if one.limit != "alone"
    )
    assert verdict.missed[0].reason == "does not count: alone was not measured (no answer)"


def test_a_condition_that_hangs_is_not_blamed_on_the_setting_either() -> None:
    finding = on_pairs(fails(with_condition(), "inventory", "no progress for 2 s"))
    assert (finding.cause, finding.action) == ("unknown", "reboot and re-run")


def test_a_condition_that_the_plan_does_not_measure_is_named_as_that() -> None:
    found = with_condition()
    of = found.profile.cohorts[0]
    spec = of.plans["acceptance"]
    fewer = replace(spec, steps=tuple(step for step in spec.steps if step.check != "inventory"))
    of = replace(of, plans={"acceptance": fewer, "whole": spec})
    steps = tuple(step for step in found.plan.steps if step.check != "inventory")
    found = replace(
        found,
        plan=replace(found.plan, steps=steps),
        profile=replace(found.profile, cohorts=(of,)),
        steps=tuple(run for run in found.steps if run.check != "inventory"),
        columns=tuple(column for column in found.columns if not column.metric.startswith("inventory.")),
    )
    finding = on_pairs(found)
    assert (finding.cause, finding.action) == ("tool", "measure again")
    assert "alone was not measured (plan acceptance does not measure inventory.driver_version)" in finding.reason
    assert finding.advice[-1].endswith("has all steps of the check `inventory`: `whole`.")


def test_a_condition_that_was_missed_is_still_blamed_with_what_was_found() -> None:
    found = edit(with_condition(), DRIVER, lambda s, x, c: ("570",))
    finding = judge(found).findings[0]
    assert (finding.cause, finding.action) == ("configuration", "correct the setting")
    assert (
        finding.advice[0] == "Correct the setting on the node: figure inventory.driver_version (570, required = 580.1)."
    )
    verdict = next(one for one in judge(found).judged if one.limit == "pair-floor").missed[0]
    assert verdict.reason == "does not count: alone is not met (570, required = 580.1)"


@pytest.mark.parametrize("first", [True, False])
def test_of_two_conditions_the_one_that_was_missed_speaks(first: bool) -> None:
    heavy = limit("heavy", "ecc.row_remapping_pending", equals=0.0, effect="valid", valid_for=("nvlink.*",), **SETTING)
    limits = [*ONLY_PAIRS, *([heavy, ALONE] if first else [ALONE, heavy])]
    found = edit(leave_out(evidence(limits=limits), "inventory"), heavy.metric, lambda s, x, c: ("1",))
    verdicts = next(one for one in judge(found).judged if one.limit == "pair-floor").missed
    assert {verdict.reason for verdict in verdicts} == {"does not count: heavy is not met (1, required = 0)"}


def test_a_miss_that_does_not_count_stays_with_its_part() -> None:
    found = leave_out(scale(with_condition(), PAIR, "gpu/5>gpu/2", 0.9), "inventory")
    finding = next(one for one in judge(found).findings if one.part.gpu is not None)
    assert (finding.result, finding.cause, finding.part.gpu, finding.part.peer) == ("inconclusive", "tool", 2, 5)
    assert "is too slow, but that does not count: inventory was left out" in finding.title


def test_what_was_left_out_is_one_finding_a_check() -> None:
    each = [limit(f"serial-{i}", "inventory.serial", subjects=f"gpu/{i}", equals=f"serial-gpu/{i}") for i in range(8)]
    found = leave_out(evidence(limits=[*each, limit("count", COUNT, equals=8.0), *ONLY_PAIRS]), "inventory", "--skip")
    (finding,) = judge(found).findings
    assert (finding.result, finding.part.subject, finding.reason[:18]) == ("skipped", "node", "left out by --skip")
