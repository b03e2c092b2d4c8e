"""Findings: one for each thing to act on, naming the part, the cause and what to do."""

from __future__ import annotations

import pytest
from judge_evidence import (
    COPY,
    COUNT,
    DRIVER,
    LIMITS,
    LINK_STATE,
    MARGIN,
    PAIR,
    PENDING,
    POWER,
    cohort,
    edit,
    evidence,
    limit,
    lose,
    scale,
)
from msgspec.structs import replace

from gpuaccept.data import Column, Evidence, Finding, MetricDeclaration
from gpuaccept.judge import judge, part


def the_only(found: Evidence) -> Finding:
    findings = judge(found).findings
    assert len(findings) == 1, [(f.part.subject, f.limit) for f in findings]
    return findings[0]


def slow_pairs(found: Evidence, *subjects: str) -> Evidence:
    return edit(found, PAIR, lambda s, x, c: tuple(float(v) * 0.9 for v in x) if s in subjects else x)


def test_a_gpu_that_fell_off_the_bus_is_one_finding() -> None:
    finding = the_only(lose(evidence(), 3, 3))
    assert (finding.result, finding.part.gpu, finding.cause, finding.action) == (
        "error",
        3,
        "hardware",
        "reboot and re-run",
    )
    assert finding.title == "GPU 3 was lost during the run"
    assert len(finding.also) > 5


def test_the_finding_names_serial_slot_and_module() -> None:
    finding = the_only(scale(evidence(), COPY, "gpu/2", 0.9))
    found = finding.part
    assert (found.serial, found.slot, found.module_id, found.pci_bus_id) == ("serial-2", "GPU 3", 3, "0000:02:00.0")
    assert finding.requirement == "≥ 5900 GB/s"
    assert (finding.cause, finding.action) == ("hardware", "replace")
    assert "(serial serial-2, slot GPU 3, module 3)" in finding.advice[0]


def test_a_missing_gpu_is_named_by_the_slot_that_no_gpu_takes() -> None:
    found = evidence(gpus=7)
    of = cohort(gpus=8)
    gpus = tuple(replace(g, module_id=g.index + 1 + (g.index >= 4)) for g in found.node.gpus)  # module 5 is not there
    found = replace(
        found, profile=replace(found.profile, cohorts=(of,)), node=replace(found.node, gpus=gpus, gpu_count_nvml=7)
    )
    finding = the_only(found)
    assert (finding.result, finding.limit) == ("fail", "gpu-count")
    assert (finding.part.module_id, finding.part.slot) == (5, "GPU 5")
    assert finding.title == "A GPU is missing from slot GPU 5"
    assert not any("label" in sentence for sentence in finding.advice), "a GPU that is not there has no label"
    assert [s for s in finding.advice if "GPU 5" in s] == [
        "Look whether a GPU sits in slot GPU 5: one without contact or power is missing for the software too.",
        "Open a case with the supplier for the missing GPU of slot GPU 5 (module 5) and attach the record.",
    ]


def test_several_missing_gpus_are_each_named_by_their_slot_and_explain_their_pairs() -> None:
    found = evidence(gpus=3)
    profile, node = replace(found.profile, cohorts=(cohort(gpus=8),)), replace(found.node, gpu_count_nvml=3)
    findings = judge(replace(found, profile=profile, node=node)).findings
    assert [finding.title for finding in findings] == [f"A GPU is missing from slot GPU {slot}" for slot in range(4, 9)]
    assert {(finding.result, finding.cause, finding.action) for finding in findings} == {
        ("fail", "hardware", "replace")
    }
    assert [finding.part.module_id for finding in findings] == [4, 5, 6, 7, 8]


def test_what_all_pairs_miss_is_a_matter_of_the_node_beside_a_missing_gpu_too() -> None:
    found = evidence(gpus=7)
    profile, node = replace(found.profile, cohorts=(cohort(gpus=8),)), replace(found.node, gpu_count_nvml=7)
    all_pairs = [f"gpu/{a}>gpu/{b}" for a in range(7) for b in range(7) if a != b]
    findings = judge(slow_pairs(replace(found, profile=profile, node=node), *all_pairs)).findings
    assert [(finding.part.name == "missing GPU", finding.limit) for finding in findings] == [
        (True, "gpu-count"),
        (False, "pair-floor"),
    ]
    assert (findings[1].part.subject, findings[1].part.gpu) == ("node", None)


@pytest.mark.parametrize(
    ("code", "cause", "action"),
    [
        (214, "hardware", "reset and re-run"),
        (719, "unknown", "reset and re-run"),
        (2, "tool", "measure again"),
    ],
)
def test_a_broken_off_kernel_is_no_matter_of_this_program_alone(code: int, cause: str, action: str) -> None:
    found = lose(evidence(), 3, 3, "cuLaunchKernel", code)
    steps = tuple(
        replace(step, failures=tuple(replace(one, reason=f"GPU 3: it returned {code}") for one in step.failures))
        for step in found.steps
    )
    finding = the_only(replace(found, steps=steps))
    assert (finding.result, finding.part.gpu, finding.cause, finding.action) == ("error", 3, cause, action)


def test_one_dead_link_is_a_matter_of_that_link() -> None:
    links = limit("links", "nvlink.state", equals="active")
    found = evidence(limits=[*LIMITS, links])
    finding = the_only(edit(found, LINK_STATE, lambda s, x, c: ("inactive",) if s == "gpu/3/link/11" else x))
    assert (finding.part.gpu, finding.part.link, finding.also) == (3, 11, ("links",))


def test_many_dead_links_of_a_gpu_are_a_matter_of_the_gpu() -> None:
    found = edit(evidence(), LINK_STATE, lambda s, x, c: ("inactive",) if s.startswith("gpu/3/link/1") else x)
    finding = the_only(found)
    assert (finding.part.gpu, finding.part.link) == (3, None)
    assert "gpu/3/link/10" in finding.reason


def test_pairs_are_blamed_on_the_gpu_that_is_in_all_of_them() -> None:
    found = slow_pairs(evidence(), *(f"gpu/3>gpu/{i}" for i in range(8)), *(f"gpu/{i}>gpu/3" for i in range(8)))
    assert the_only(found).part.gpu == 3


def test_a_single_slow_pair_stays_a_pair() -> None:
    finding = the_only(slow_pairs(evidence(), "gpu/5>gpu/2", "gpu/2>gpu/5"))
    assert (finding.part.gpu, finding.part.peer) == (2, 5)


def test_two_bad_gpus_are_two_findings() -> None:
    bad = [f"gpu/{a}>gpu/{b}" for a in range(8) for b in range(8) if a != b and {a, b} & {1, 6}]
    parts = [finding.part.gpu for finding in judge(slow_pairs(evidence(), *bad)).findings]
    assert sorted(p for p in parts if p is not None) == [1, 6]


def test_what_all_gpus_miss_is_a_matter_of_the_node() -> None:
    finding = the_only(edit(evidence(), PENDING, lambda s, x, c: ("1",)))
    assert (finding.part.subject, finding.action) == ("node", "reset and re-run")


def test_heat_of_all_gpus_is_a_matter_of_the_facility() -> None:
    finding = the_only(edit(evidence(), MARGIN, lambda s, x, c: (4.0,)))
    assert (finding.part.subject, finding.cause, finding.action) == ("node", "facility", "call the facility")
    one = the_only(edit(evidence(), MARGIN, lambda s, x, c: (4.0,) if s == "gpu/1" else x))
    assert (one.part.subject, one.cause, one.action) == ("gpu/1", "hardware", "replace")


def test_failures_of_two_causes_are_two_findings() -> None:
    other = limit("also", COPY, minimum=6000.0, cause="configuration", action="correct the setting")
    findings = judge(scale(evidence(limits=[*LIMITS, other]), COPY, "gpu/2", 0.9)).findings
    assert {finding.cause for finding in findings} == {"hardware", "configuration"}


def test_a_missed_condition_leads_what_it_conditions() -> None:
    finding = the_only(edit(evidence(), POWER, lambda s, x, c: (800.0,) if s == "gpu/1" else x))
    assert (finding.limit, finding.result, finding.cause, finding.also) == (
        "power",
        "inconclusive",
        "tool",
        ("margin",),
    )


def test_rejecting_findings_come_first() -> None:
    found = edit(evidence(), PENDING, lambda s, x, c: ("1",) if s == "gpu/0" else x)
    found = edit(found, DRIVER, lambda s, x, c: ("570",))
    findings = judge(found).findings
    assert [finding.result for finding in findings] == ["fail", "inconclusive"]


def test_observed_misses_are_counted_and_no_finding() -> None:
    found = evidence(limits=[*LIMITS, limit("seen", COUNT, equals=4.0, effect="observe")])
    judgement = judge(found)
    assert (judgement.observed_misses, judgement.findings, judgement.decision) == (1, (), "accepted")


FAULTY = {
    "replace": lambda: scale(evidence(), COPY, "gpu/2", 0.9),
    "reset and re-run": lambda: edit(evidence(), PENDING, lambda s, x, c: ("1",) if s == "gpu/2" else x),
    "reboot and re-run": lambda: lose(evidence(), 3, 3),
    "correct the setting": lambda: edit(evidence(), DRIVER, lambda s, x, c: ("570",)),
    "call the facility": lambda: edit(evidence(), MARGIN, lambda s, x, c: (4.0,)),
    "measure again": lambda: edit(evidence(), COPY, lambda s, x, c: None if s == "gpu/4" else x),
}


@pytest.mark.parametrize("action", FAULTY)
@pytest.mark.parametrize("acceptance", [True, False])
def test_advice_names_no_command_that_the_evidence_does_not_hold(action: str, acceptance: bool) -> None:
    found = FAULTY[action]()
    found = replace(found, plan=replace(found.plan, acceptance=acceptance))
    finding = the_only(found)
    said = " ".join(finding.advice)
    what = "the acceptance" if acceptance else "the plan `acceptance`"
    assert finding.action == action
    assert f"un {what} again with the same command" in said
    assert "gpuaccept run" not in said and "--only" not in said


def test_a_setting_to_correct_is_named() -> None:
    finding = the_only(edit(evidence(), DRIVER, lambda s, x, c: ("570",)))
    assert finding.advice[0] == (
        "Correct the setting on the node: figure inventory.driver_version (570, required one of 580.1, 580.2)."
    )


@pytest.mark.parametrize(
    ("metric", "subject", "typed"),
    [(DRIVER, "node", "run `tool`"), (PENDING, "gpu/2", "run `tool -i 0000:02:00.0`")],
)
def test_how_a_setting_is_corrected_is_what_its_check_says(metric: str, subject: str, typed: str) -> None:
    limits = [replace(one, action="correct the setting") for one in LIMITS if one.metric == metric]
    found = edit(evidence(limits=limits), metric, lambda s, x, c: ("1",) if s == subject else x)
    checks = tuple(
        replace(check, metrics=tuple(replace(one, remedy="run `tool{gpu}`") for one in check.metrics))
        for check in found.checks
    )
    assert the_only(replace(found, checks=checks)).advice[1].startswith(typed)
    assert the_only(found).advice[1] == "Reboot if the setting asks for it."


def test_what_stands_out_is_shown_with_the_node_s_median_as_a_number() -> None:
    found = evidence(limits=[one for one in LIMITS if one.id == "copy-node"], looks=2)
    finding = the_only(scale(found, COPY, "gpu/2", 0.97))
    assert finding.result == "fail"
    middle = finding.requirement.removeprefix("within 5 σ of the node's median of ").removesuffix(" GB/s")
    assert float(middle) == pytest.approx(6290, rel=0.01)
    assert f"below the node's median of {middle} GB/s" in finding.reason


def test_one_requirement_is_and_two_are() -> None:
    one = judge(edit(evidence(), COUNT, lambda s, x, c: ("9",))).reason
    total = one.split(" of ")[-1].split()[0]
    assert one.endswith(f"1 of {total} requirements is measured and not met.")
    two = judge(edit(evidence(), LINK_STATE, lambda s, x, c: ("no",) if s in ("gpu/0/link/0", "gpu/0/link/1") else x))
    assert two.reason.endswith(f"2 of {total} requirements are measured and not met.")
    alone = judge(edit(evidence(limits=[LIMITS[0]]), COUNT, lambda s, x, c: ("9",)))
    assert alone.reason.endswith("1 of 1 requirement is measured and not met.")


def test_coverage_says_how_many_gpus_had_the_whole_soak() -> None:
    duration = MetricDeclaration(
        name="thermal_soak.duration",
        unit="s",
        description="Length of the soak",
        series="thermal_soak.series",
        reduction="duration",
    )
    found = evidence()
    steps = tuple(
        replace(step, parameters={"duration_s": 600}, metrics=(*step.metrics, duration.name))
        if step.check == "thermal_soak"
        else step
        for step in found.plan.steps
    )
    checks = tuple(
        replace(check, metrics=(*check.metrics, duration)) if check.name == "thermal_soak" else check
        for check in found.checks
    )
    soaked = tuple(f"gpu/{i}" for i in range(8) if i != 3)
    column = Column(metric=duration.name, at_s=700.0, subjects=soaked, samples=((1799.0,),) * 7)
    found = replace(found, plan=replace(found.plan, steps=steps), checks=checks, columns=(*found.columns, column))
    entries = {entry.what: (entry.planned, entry.measured) for entry in judge(found).coverage}
    assert entries["GPUs with the whole soak"] == (8.0, 7.0)
    assert entries["shortest soak of a GPU"] == (1800.0, 0.0)


def test_coverage_counts_what_was_not_measured() -> None:
    judgement = judge(lose(evidence(), 3, 3))
    entries = {entry.what: (entry.planned, entry.measured) for entry in judgement.coverage}
    assert entries["GPUs"] == (8.0, 7.0)
    assert entries["NVLinks"] == (144.0, 126.0)
    assert entries["GPU pairs"] == (56.0, 42.0)


def test_a_part_is_known_by_its_subject() -> None:
    found = evidence()
    assert part(found, "node").name == "node-1"
    assert (part(found, "gpu/3").serial, part(found, "gpu/3/link/11").link) == ("serial-3", 11)
    pair = part(found, "gpu/5>gpu/2")
    assert (pair.gpu, pair.peer) == (5, 2)
    assert part(found, "host/nic/mlx5_0").name == "host/nic/mlx5_0"
