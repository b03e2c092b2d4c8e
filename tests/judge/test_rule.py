"""The decision rule, sentence by sentence (docs/explanation/decision.md)."""

from __future__ import annotations

from typing import Any

import pytest
from judge_evidence import (
    ANCESTOR,
    COPY,
    COUNT,
    DRIVER,
    LIMITS,
    LINK_STATE,
    MARGIN,
    PAIR,
    PENDING,
    POWER,
    RATE,
    RECOVERY,
    SERIAL,
    edit,
    evidence,
    limit,
    lose,
    scale,
    sigma,
)
from msgspec.structs import replace

from gpuaccept.data import Deviation, Evidence, Failure, Judged, Judgement, MetricFacts
from gpuaccept.judge import estimates, judge, look
from gpuaccept.judge.subjects import related


def verdict(judgement: Judgement, limit_id: str, subject: str) -> str:
    """Result of one limit on one subject; `absent` where the limit is not judged."""
    for one in judgement.judged:
        if one.limit == limit_id:
            return next((v.result for v in one.missed if v.subject == subject), "pass")
    return "absent"


def only(judgement: Judgement, limit_id: str) -> Judged:
    return next(one for one in judgement.judged if one.limit == limit_id)


def all_samples(found: Evidence, metric: str, subject: str, *samples: Any) -> Evidence:
    """The same samples in every visit of a subject."""
    return edit(found, metric, lambda s, x, c: samples if s == subject else x)


def by_visit(found: Evidence, metric: str, subject: str, *values: float) -> Evidence:
    """One median per visit, in order of time."""
    times = sorted({c.at_s for c in found.columns if c.metric == metric})
    return edit(found, metric, lambda s, x, c: (values[times.index(c.at_s)],) * len(x) if s == subject else x)


def test_a_healthy_node_is_accepted() -> None:
    judgement = judge(evidence())
    assert judgement.decision == "accepted"
    assert judgement.findings == ()
    assert [one.passed for one in judgement.judged] == [1, 1, 8, 8, 8, 144, 144, 8, 8, 8, 8, 56]
    assert all(entry.planned == entry.measured for entry in judgement.coverage)


# --- guard band


@pytest.mark.parametrize(
    ("value", "expected"), [(5915.0, "pass"), (5914.9, "inconclusive"), (5885.2, "inconclusive"), (5885.1, "fail")]
)
def test_the_guard_band_lies_on_both_sides_of_a_floor(value: float, expected: str) -> None:
    # u/y = √((1.253·0.15 %)²/3 + (0.02 %)²) = 0.1103 %; U = 2.29 u = 0.2527 % of y
    found = all_samples(evidence(limits=[limit("floor", COPY, minimum=5900.0)]), COPY, "gpu/2", *[value] * 5)
    assert verdict(judge(found), "floor", "gpu/2") == expected


def test_a_ceiling_is_judged_in_mirror() -> None:
    found = evidence(limits=[limit("ceiling", COPY, maximum=6290.0)])
    assert verdict(judge(all_samples(found, COPY, "gpu/2", *[6270.0] * 5)), "ceiling", "gpu/2") == "pass"
    assert verdict(judge(all_samples(found, COPY, "gpu/2", *[6280.0] * 5)), "ceiling", "gpu/2") == "inconclusive"
    assert verdict(judge(all_samples(found, COPY, "gpu/2", *[6310.0] * 5)), "ceiling", "gpu/2") == "fail"


def test_few_degrees_of_freedom_take_students_t() -> None:
    facts = MetricFacts(visit=sigma(0.15, degrees=4), gpu=sigma(0.25), type_b_percent=0.02)
    many, few = (
        estimates(evidence(metrics={COPY: replace(facts, visit=sigma(0.15, degrees=d))}))[COPY]["gpu/0"]
        for d in (60, 4)
    )
    assert few.value == many.value
    assert few.expanded_uncertainty is not None and many.expanded_uncertainty is not None
    assert few.expanded_uncertainty / many.expanded_uncertainty == pytest.approx(3.637 / 2.29, abs=0.001)


def test_the_median_of_the_visits_medians_is_judged_never_the_best() -> None:
    found = by_visit(evidence(), COPY, "gpu/2", 5000.0, 5001.0, 7000.0)
    assert estimates(found)[COPY]["gpu/2"].value == 5001.0
    assert verdict(judge(found), "copy-floor", "gpu/2") != "pass"


def test_two_of_three_visits_are_not_enough() -> None:
    found = edit(evidence(), COPY, lambda s, x, c: None if s == "gpu/2" and c.at_s < 200 else x)
    judgement = judge(found)
    assert verdict(judgement, "copy-floor", "gpu/2") == "error"
    assert verdict(judgement, "copy-floor", "gpu/1") == "pass"
    assert judgement.decision == "not decided"
    assert "2 of 3 visits" in judgement.findings[0].reason


def test_a_visit_with_a_sample_missing_does_not_count() -> None:
    found = edit(evidence(), COPY, lambda s, x, c: x[1:] if s == "gpu/2" and c.at_s < 200 else x)
    assert verdict(judge(found), "copy-floor", "gpu/2") == "error"


def test_without_pooled_sigma_a_floor_is_an_error() -> None:
    found = evidence(metrics={})
    assert only(judge(found), "copy-floor").errors == 8
    assert only(judge(found), "copy-node").errors == 8


# --- scatter


def test_scatter_in_the_only_look_asks_for_another() -> None:
    found = by_visit(evidence(), COPY, "gpu/2", 6290.0, 6290.0, 6090.0)
    judgement = judge(found)
    assert verdict(judgement, "copy-floor", "gpu/2") == "inconclusive"
    assert look(found, judgement).checks == (("memory_bandwidth", "hot"),)


def test_a_heavy_tail_that_is_clear_of_the_limit_asks_for_nothing() -> None:
    found = by_visit(evidence(), COPY, "gpu/2", 6290.0, 6290.0, 6230.0)  # 3.7 sigma of scatter
    assert judge(found).decision == "accepted"


def test_a_heavy_tail_near_the_limit_asks_for_another_look() -> None:
    found = by_visit(evidence(), COPY, "gpu/2", 5955.0, 5955.0, 5904.0)
    judgement = judge(found)
    assert verdict(judgement, "copy-floor", "gpu/2") == "inconclusive"


def test_scatter_in_one_of_two_looks_condemns_nothing() -> None:
    found = by_visit(evidence(looks=2), COPY, "gpu/2", 6290.0, 6290.0, 6090.0, 6290.0, 6291.0, 6290.0)
    assert judge(found).decision == "accepted"


def test_scatter_in_every_look_is_a_finding() -> None:
    found = by_visit(evidence(looks=3), COPY, "gpu/2", *[6290.0, 6290.0, 6090.0] * 3)
    judgement = judge(found)
    assert verdict(judgement, "copy-floor", "gpu/2") == "inconclusive"
    assert look(found, judgement).checks == ()
    assert "scatter" in judgement.findings[0].title


def test_scatter_does_not_save_what_misses_in_every_visit() -> None:
    assert verdict(judge(by_visit(evidence(), COPY, "gpu/2", 5000.0, 5000.0, 4000.0)), "copy-floor", "gpu/2") == "fail"
    mixed = by_visit(evidence(), COPY, "gpu/2", 5000.0, 5000.0, 6290.0)
    assert verdict(judge(mixed), "copy-floor", "gpu/2") == "inconclusive"


# --- deviation


def test_a_straggler_in_the_first_look_asks_for_a_fresh_one() -> None:
    found = scale(evidence(), COPY, "gpu/2", 0.97)
    judgement = judge(found)
    assert verdict(judgement, "copy-node", "gpu/2") == "inconclusive"
    assert verdict(judgement, "copy-floor", "gpu/2") == "pass"
    assert look(found, judgement).checks == (("memory_bandwidth", "hot"),)


def test_the_fresh_look_alone_decides_on_a_straggler() -> None:
    both = scale(evidence(looks=2), COPY, "gpu/2", 0.97)
    first = scale(evidence(looks=2), COPY, "gpu/2", 0.97, look=1)
    second = scale(evidence(looks=2), COPY, "gpu/2", 0.97, look=2)
    assert verdict(judge(both), "copy-node", "gpu/2") == "fail"
    assert verdict(judge(first), "copy-node", "gpu/2") == "pass"
    assert verdict(judge(second), "copy-node", "gpu/2") == "pass"  # inside in look 1


def test_a_gpu_above_the_nodes_median_is_no_straggler() -> None:
    assert verdict(judge(scale(evidence(), COPY, "gpu/2", 1.05)), "copy-node", "gpu/2") == "pass"


def test_two_gpus_have_no_median_to_deviate_from() -> None:
    found = evidence(gpus=2, limits=[limit("node", COPY, max_deviation=Deviation())])
    assert only(judge(found), "node").errors == 2


def test_a_reading_outside_is_a_miss_at_once() -> None:
    limits = [limit("node", MARGIN, max_deviation=Deviation())]
    found = all_samples(evidence(limits=limits), MARGIN, "gpu/2", 20.0)
    assert verdict(judge(found), "node", "gpu/2") == "fail"


# --- readings and counters


@pytest.mark.parametrize(
    ("metric", "given", "sample", "expected"),
    [
        (COUNT, {"equals": 8.0}, "8", "pass"),
        (COUNT, {"equals": "8"}, "8", "pass"),
        (COUNT, {"equals": 8.0}, "7", "fail"),
        (COUNT, {"minimum": 8.0}, "9", "pass"),
        (COUNT, {"maximum": 8.0}, "9", "fail"),
        (COUNT, {"one_of": (4.0, 8.0)}, "8", "pass"),
        (COUNT, {"equals": 8.0}, "eight", "error"),
        (COUNT, {"equals": 8.0}, 8.0, "error"),
        (DRIVER, {"equals": "580.1"}, "580.1", "pass"),
        (DRIVER, {"equals": "580.1"}, "580.10", "fail"),
        (DRIVER, {"equals": 580.1}, "580.1", "error"),
        (DRIVER, {"minimum": 580.0}, "580.1", "error"),
        (DRIVER, {"equals": 0.1 + 0.2}, 0.3, "pass"),
        (DRIVER, {"equals": 0.3}, 0.3001, "fail"),
    ],
)
def test_readings_are_compared_by_their_kind(metric: str, given: dict[str, Any], sample: Any, expected: str) -> None:
    found = all_samples(evidence(limits=[limit("one", metric, **given)]), metric, "node", sample)
    assert verdict(judge(found), "one", "node") == expected


def test_a_matrix_states_a_text_for_each_ordered_pair() -> None:
    rows = [["-" if i == j else "node" for j in range(8)] for i in range(8)]
    rows[2][5] = "system"
    found = evidence(limits=[limit("topology", ANCESTOR, matrix=tuple(" ".join(row) for row in rows))])
    judgement = judge(found)
    assert [missed.subject for missed in judgement.judged[0].missed] == ["gpu/2>gpu/5"]
    assert verdict(judgement, "topology", "gpu/2>gpu/5") == "fail"
    assert verdict(judgement, "topology", "gpu/5>gpu/2") == "pass"
    assert "node, required = system" in judgement.judged[0].missed[0].reason


def test_a_pair_beyond_the_matrix_is_not_passed() -> None:
    found = evidence(limits=[limit("topology", ANCESTOR, matrix=("- node", "node -"))])
    assert verdict(judge(found), "topology", "gpu/0>gpu/1") == "pass"
    assert verdict(judge(found), "topology", "gpu/0>gpu/2") == "error"
    assert verdict(judge(found), "topology", "gpu/2>gpu/0") == "error"


def test_the_worst_visit_decides() -> None:
    found = evidence()
    last = max(c.at_s for c in found.columns if c.metric == PENDING)
    changed = edit(found, PENDING, lambda s, x, c: ("1",) if s == "gpu/2" and c.at_s == last else x)
    assert verdict(judge(changed), "pending", "gpu/2") == "inconclusive"


def test_what_was_bad_stays_bad_when_a_later_visit_is_missing() -> None:
    found = lose(all_samples(evidence(), LINK_STATE, "gpu/3/link/1", "inactive"), 3, 6)
    assert verdict(judge(found), "link-up", "gpu/3/link/1") == "fail"
    assert verdict(judge(found), "link-up", "gpu/3/link/2") == "error"


def test_a_change_is_the_last_visit_minus_the_first() -> None:
    found = evidence()
    first = min(c.at_s for c in found.columns if c.metric == RECOVERY)
    changed = edit(found, RECOVERY, lambda s, x, c: ("2",) if s == "gpu/1/link/4" and c.at_s == first else x)
    judgement = judge(changed)
    assert verdict(judgement, "recovery", "gpu/1/link/4") == "fail"
    assert estimates(changed)[RECOVERY]["gpu/1/link/4"].value == 1.0


def test_a_counter_that_went_backwards_was_not_measured() -> None:
    found = evidence()
    last = max(c.at_s for c in found.columns if c.metric == RECOVERY)
    changed = edit(found, RECOVERY, lambda s, x, c: ("1",) if s == "gpu/1/link/4" and c.at_s == last else x)
    assert verdict(judge(changed), "recovery", "gpu/1/link/4") == "error"


def test_a_rate_is_per_hour() -> None:
    found = evidence()
    times = sorted({c.at_s for c in found.columns if c.metric == RATE})
    changed = edit(found, RATE, lambda s, x, c: ("17",) if s == "gpu/1" and c.at_s == times[-1] else x)
    assert estimates(changed)[RATE]["gpu/1"].value == pytest.approx(10 * 3600 / (times[-1] - times[0]))


def test_unique_and_uniform() -> None:
    twins = all_samples(evidence(), SERIAL, "gpu/5", "serial-gpu/4")
    assert {v.subject for v in only(judge(twins), "serial").missed} == {"gpu/4", "gpu/5"}
    uniform = [limit("same", SERIAL, uniform=True)]
    same = edit(evidence(limits=uniform), SERIAL, lambda s, x, c: ("A",))
    assert judge(same).decision == "accepted"
    odd = all_samples(same, SERIAL, "gpu/6", "B")
    assert {v.subject for v in only(judge(odd), "same").missed} == {"gpu/6"}
    halves = edit(same, SERIAL, lambda s, x, c: ("A",) if s < "gpu/4" else ("B",))
    assert only(judge(halves), "same").failed == 8


# --- conditions


def test_a_missed_condition_turns_pass_and_fail_into_inconclusive_on_the_same_gpu() -> None:
    weak = all_samples(evidence(), POWER, "gpu/1", 800.0)
    judgement = judge(all_samples(weak, MARGIN, "gpu/1", 2.0))
    assert verdict(judgement, "margin", "gpu/1") == "inconclusive"
    assert verdict(judgement, "margin", "gpu/2") == "pass"
    assert judgement.decision == "not decided"


def test_a_condition_that_was_not_measured_is_missed() -> None:
    found = replace(evidence(), columns=tuple(c for c in evidence().columns if c.metric != POWER))
    assert only(judge(found), "margin").inconclusive == 8


def test_a_condition_leaves_errors_alone() -> None:
    weak = all_samples(evidence(), POWER, "gpu/1", 800.0)
    found = edit(weak, MARGIN, lambda s, x, c: None if s == "gpu/1" else x)
    assert verdict(judge(found), "margin", "gpu/1") == "error"


# --- plan, subjects, cohort


def test_a_metric_outside_the_plan_is_listed_and_does_not_decide() -> None:
    found = evidence(limits=[*LIMITS, limit("other", "memory_bandwidth.other", minimum=1.0)])
    judgement = judge(found)
    assert judgement.not_in_plan == ("other",)
    assert judgement.decision == "accepted"


def test_a_plan_that_lacks_a_step_of_the_profile_is_an_error() -> None:
    found = evidence()
    without = tuple(s for s in found.plan.steps if s.check != "ecc")
    cut = replace(found, plan=replace(found.plan, steps=without))
    judgement = judge(cut)
    assert only(judgement, "pending").errors == 8
    assert judgement.decision == "not decided"


def test_a_plan_with_easier_parameters_than_the_profiles_is_an_error() -> None:
    found = evidence()
    profile = found.profile
    plan = profile.cohorts[0].plans["acceptance"]
    asked = tuple(replace(s, parameters={"duration_s": 600}) if s.check == "thermal_soak" else s for s in plan.steps)
    cohort = replace(profile.cohorts[0], plans={"acceptance": replace(plan, steps=asked)})
    strict = replace(found, profile=replace(profile, cohorts=(cohort,)))

    def soaked(seconds: float) -> Evidence:
        steps = tuple(
            replace(s, parameters={"duration_s": seconds, "interval_s": 1.0}) if s.check == "thermal_soak" else s
            for s in strict.plan.steps
        )
        return replace(strict, plan=replace(strict.plan, steps=steps))

    assert only(judge(soaked(1.0)), "margin").errors == 8
    assert only(judge(soaked(600.0)), "margin").passed == 8


def test_what_is_left_out_is_skipped_and_keeps_the_node_undecided() -> None:
    found = evidence()
    steps = tuple(replace(s, skip="--skip") if s.check == "nvlink" else s for s in found.plan.steps)
    columns = tuple(c for c in found.columns if not c.metric.startswith("nvlink."))
    judgement = judge(replace(found, plan=replace(found.plan, steps=steps), columns=columns))
    assert only(judgement, "link-up").skipped == 144
    assert judgement.decision == "not decided"
    assert [f.result for f in judgement.findings] == ["skipped"]


def test_subjects_are_chosen_segment_by_segment() -> None:
    found = evidence(limits=[limit("some", LINK_STATE, equals="active", subjects="gpu/*/link/1")])
    assert only(judge(found), "some").passed == 8
    pairs = evidence(limits=[limit("pairs", PAIR, minimum=700.0, subjects="gpu/3>gpu/*")])
    assert only(judge(pairs), "pairs").passed == 7
    none = evidence(limits=[limit("none", LINK_STATE, equals="active", subjects="gpu/*")])
    assert only(judge(none), "none").errors == 1


def test_a_node_that_fits_no_cohort_is_not_what_was_ordered() -> None:
    judgement = judge(evidence(pci_device_ids=("2330",)))
    assert judgement.decision == "rejected"
    assert [(one.limit, one.failed) for one in judgement.judged] == [("inventory.model", 1)]
    assert judgement.findings[0].part.subject == "node"


def test_a_plan_for_another_cohort_decides_nothing() -> None:
    found = evidence()
    judgement = judge(replace(found, plan=replace(found.plan, cohort="other")))
    assert judgement.decision == "not decided"
    assert judgement.judged == ()


def test_a_node_without_gpus_is_not_decided() -> None:
    found = evidence()
    assert judge(replace(found, node=replace(found.node, gpus=()))).decision == "not decided"


def test_an_incomplete_run_is_at_best_not_decided() -> None:
    stopped = replace(evidence(), complete=False, incomplete_reason="Ctrl-C")
    assert judge(stopped).decision == "not decided"
    assert judge(scale(stopped, COPY, "gpu/2", 0.5)).decision == "rejected"


def test_a_profile_that_requires_nothing_of_this_plan_decides_nothing() -> None:
    assert judge(evidence(limits=[limit("seen", COPY, minimum=1.0, effect="observe")])).decision == "not decided"


def test_a_failure_says_why_something_was_not_measured() -> None:
    found = edit(evidence(), COPY, lambda s, x, c: None if s == "gpu/4" else x)
    failure = Failure(metric="memory_bandwidth.*", subject="gpu/4", call="cuMemAlloc", code=2, reason="out of memory")
    at = next(i for i, run in enumerate(found.steps) if run.check == "memory_bandwidth")
    steps = list(found.steps)
    steps[at] = replace(steps[at], failures=(failure,))
    finding = judge(replace(found, steps=tuple(steps))).findings[0]
    assert (finding.result, finding.part.gpu, finding.reason) == ("error", 4, "out of memory")


# --- looks


def test_no_look_is_asked_for_a_subject_that_fails_anyway() -> None:
    found = scale(evidence(), COPY, "gpu/2", 0.5)
    assert look(found, judge(found)).checks == ()


def test_no_look_is_asked_where_a_condition_is_missed() -> None:
    found = evidence(limits=[*LIMITS, limit("v", POWER, minimum=2000.0, effect="valid", valid_for=("*.copy_hot",))])
    judgement = judge(found)
    assert only(judgement, "copy-floor").inconclusive == 8
    assert look(found, judgement).checks == ()


def test_an_observed_limit_asks_for_no_look() -> None:
    found = evidence(limits=[limit("seen", COPY, minimum=6290.0, effect="observe"), limit("c", COUNT, equals=8.0)])
    assert look(found, judge(found)).checks == ()


def test_looks_end_where_the_cohort_says() -> None:
    found = evidence(looks=3, limits=[limit("floor", COPY, minimum=6290.0)])
    judgement = judge(found)
    assert judgement.decision == "not decided"
    assert look(found, judgement).checks == ()


def test_a_condition_on_a_pair_bears_on_the_same_two_gpus_alone() -> None:
    assert related("gpu/2>gpu/5", "gpu/5>gpu/2")
    assert not related("gpu/2>gpu/5", "gpu/2>gpu/4")
    assert related("gpu/2>gpu/5", "gpu/2") and related("gpu/2", "gpu/2>gpu/5")
    assert related("node", "gpu/2>gpu/5")
