"""Findings: one for each thing to act on, naming the part, the cause and what to do."""

from __future__ import annotations

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

from gpuaccept.data import Evidence, Finding
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
    assert any("--only memory_bandwidth" in sentence for sentence in finding.advice)


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
