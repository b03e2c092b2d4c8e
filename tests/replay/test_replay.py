"""A record's samples through today's judge and page: the same samples, the profile that is named, never a real run."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest
import replay_records as records

from gpuaccept import replay
from gpuaccept.check import Check, Metric
from gpuaccept.data import Evidence
from gpuaccept.errors import EXIT_ACCEPTED, EXIT_NOT_DECIDED, EXIT_REJECTED
from gpuaccept.judge import judge
from gpuaccept.profile.load import load_profile
from gpuaccept.record.envelope import open_record
from gpuaccept.record.statement import SIMULATED_RECORD
from gpuaccept.run.loading import LoadedCheck, load_checks
from gpuaccept.verify import verify_path

STRICT = """\
kind: hardware
name: strict
version: "1"
title: A copy floor that good nodes of this model don't reach
extends: hgx-b200
limits:
  - {id: FLOOR, metric: memory_bandwidth.copy_sm_hot, minimum: 6500, unit: GB/s, cause: hardware, action: replace,
     source: contract, reference: a test}
"""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("healthy")
    records.measured(out)
    return out


def parts(evidence: Evidence) -> tuple[object, ...]:
    return evidence.columns, evidence.series, evidence.series_sha256, evidence.node, evidence.steps


def test_a_replay_judges_the_same_samples_and_says_what_it_is(healthy: Path, tmp_path: Path) -> None:
    record = (healthy / "record.json").read_bytes()
    before = open_record(record).statement.predicate
    made = records.replayed(healthy / "record.json", tmp_path / "out")
    evidence = records.evidence_of(made)

    assert made.exit_code == EXIT_ACCEPTED
    assert evidence.simulated is not None
    assert (evidence.simulated.by, evidence.simulated.digest) == ("replay", hashlib.sha256(record).hexdigest())
    assert evidence.simulated.scenario == before.certificate_id
    assert made.statement.predicate_type == SIMULATED_RECORD
    assert parts(evidence) == parts(before.evidence)
    assert made.statement.predicate.judgement == before.judgement
    assert made.statement.predicate.signers != before.signers
    assert (tmp_path / "out" / "series.json.gz").read_bytes() == (healthy / "series.json.gz").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "certificate.html", "record.json", "series.json.gz", "summary.json", "summary.txt",
    ]  # fmt: skip
    assert b"replay" in made.page and b"SIMULATED" in made.page


@pytest.mark.parametrize("name", ["record.json", "certificate.html"])
def test_what_a_replay_leaves_is_valid(healthy: Path, tmp_path: Path, name: str) -> None:
    records.replayed(healthy / name, tmp_path / "out")

    found = verify_path(tmp_path / "out" / name, integrity_only=True, allow_simulated=True, require_series=True)
    assert (found.problems, found.exit_code, found.series) == ((), 0, "match")
    assert verify_path(tmp_path / "out" / name, integrity_only=True).exit_code == 4


def test_a_stricter_profile_rejects_what_another_accepted(healthy: Path, tmp_path: Path) -> None:
    floor = next(
        one.id
        for one in load_profile("hgx-b200").profile.cohorts[0].limits
        if one.metric == "memory_bandwidth.copy_sm_hot" and one.minimum is not None
    )
    (tmp_path / "strict.yaml").write_text(STRICT.replace("FLOOR", floor), encoding="utf-8")

    made = records.replayed(healthy / "record.json", profile=str(tmp_path / "strict.yaml"))

    assert made.exit_code == EXIT_REJECTED
    judged = {one.limit: one for one in made.statement.predicate.judgement.judged}
    assert judged[floor].failed == 8
    assert records.evidence_of(made).profile.name == "strict"
    assert [layer.name for layer in records.evidence_of(made).profile_layers] == ["hgx-b200.yaml", "strict.yaml"]


def test_a_fault_is_found_again(tmp_path: Path) -> None:
    first = records.measured(tmp_path / "faulty", "hbm_bandwidth_low:gpu=3")
    again = records.replayed(tmp_path / "faulty" / "record.json")

    assert (first.exit_code, again.exit_code) == (EXIT_REJECTED, EXIT_REJECTED)
    assert again.statement.predicate.judgement.findings == first.statement.predicate.judgement.findings


def test_a_plan_that_asks_for_more_than_was_measured_is_not_decided(healthy: Path) -> None:
    made = records.replayed(healthy / "record.json", plan="acceptance")

    assert made.exit_code == EXIT_NOT_DECIDED
    assert records.evidence_of(made).plan.name == "acceptance"


def test_a_node_of_another_kind_fits_no_cohort(healthy: Path) -> None:
    made = records.replayed(healthy / "record.json", profile="hgx-h100")

    assert made.exit_code == EXIT_REJECTED
    assert made.statement.predicate.judgement.findings[0].metric == "inventory.model"


def test_without_the_series_file_the_records_figures_stand_and_it_is_said(healthy: Path, tmp_path: Path) -> None:
    shutil.copy(healthy / "record.json", tmp_path / "alone.json")
    made = records.replayed(tmp_path / "alone.json", tmp_path / "out")

    assert made.exit_code == EXIT_ACCEPTED
    assert any(note.startswith("series.json.gz is not beside the record") for note in made.notes)
    assert not (tmp_path / "out" / "series.json.gz").exists()
    found = verify_path(tmp_path / "out" / "record.json", integrity_only=True, allow_simulated=True)
    assert (found.problems, found.series) == ((), "absent")
    assert [event.text for event in records.evidence_of(made).events if event.kind == "replay"] == list(made.notes)


def under(source: replay.Source, checks: dict[str, LoadedCheck]) -> replay.Replayed:
    return replay.replay(source, load_profile("hgx-b200"), "node", checks, "0" * 32)


def edited(loaded: LoadedCheck, name: str, **fields: object) -> LoadedCheck:
    """A check of another version, one of whose declared metrics differs."""
    metrics = tuple(msgspec.structs.replace(one, **fields) if one.name == name else one for one in loaded.declarations)
    return dataclasses.replace(loaded, declarations=metrics, sha256="0" * 64)


def test_a_check_that_is_gone_is_named_and_its_limits_are_not_met(healthy: Path) -> None:
    checks = load_checks()
    del checks["ecc"]
    found = under(replay.read(healthy / "record.json"), checks)

    assert "left out: check ecc, which is not there today" in found.notes
    assert not [c for c in found.evidence.columns if c.metric.startswith("ecc.")]
    assert all(step.check != "ecc" for step in (*found.evidence.plan.steps, *found.evidence.steps))
    judgement = judge(found.evidence)
    assert judgement.decision == "not decided"
    assert {one.limit for one in judgement.judged if one.errors} >= {"dram_uncorrected_new"} or any(
        one.metric.startswith("ecc.") and one.errors for one in judgement.judged
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"unit": "GiB/s"}, "its unit was GB/s and is GiB/s"), ({"kind": "read"}, "its kind was sampled and is read")],
)
def test_samples_that_mean_something_else_today_are_left_out(
    healthy: Path, fields: dict[str, str], reason: str
) -> None:
    checks, name = load_checks(), "memory_bandwidth.copy_sm_hot"
    checks["memory_bandwidth"] = edited(checks["memory_bandwidth"], name, **fields)
    found = under(replay.read(healthy / "record.json"), checks)

    assert f"left out, since {reason}: {name}" in found.notes
    assert not [c for c in found.evidence.columns if c.metric == name]
    assert any("another version of memory_bandwidth" in note for note in found.notes)
    assert judge(found.evidence).decision == "not decided"


def test_a_metric_that_the_record_lacks_is_not_measured(healthy: Path) -> None:
    checks = load_checks()
    loaded = checks["memory_bandwidth"]
    more = Metric("scatter_sm", "GB/s", "new", kind="sampled", better="higher", by_state=True, group="device")
    declared = msgspec.structs.replace(
        loaded.declarations[0], name="memory_bandwidth.scatter_sm_hot", kind="sampled", unit="GB/s"
    )
    check = dataclasses.replace(loaded.check, metrics=(*loaded.check.metrics, more))
    checks["memory_bandwidth"] = dataclasses.replace(loaded, check=check, declarations=(*loaded.declarations, declared))
    profile = load_profile("hgx-b200")
    (cohort,) = profile.profile.cohorts
    floor = next(one for one in cohort.limits if one.metric == "memory_bandwidth.copy_sm_hot")
    limit = msgspec.structs.replace(floor, id="new", metric="memory_bandwidth.scatter_sm_hot")
    stricter = msgspec.structs.replace(cohort, limits=(*cohort.limits, limit))
    profile = dataclasses.replace(profile, profile=msgspec.structs.replace(profile.profile, cohorts=(stricter,)))

    found = replay.replay(replay.read(healthy / "record.json"), profile, "node", checks, "0" * 32)

    assert any("no samples of" in note and "memory_bandwidth.scatter_sm_hot" in note for note in found.notes)
    judgement = judge(found.evidence)
    assert judgement.decision == "not decided"
    assert next(one for one in judgement.judged if one.limit == "new").errors == 8


def test_a_figure_is_derived_from_the_series_again_by_todays_rule(healthy: Path) -> None:
    checks, name = load_checks(), "thermal_soak.power_mean"
    checks["thermal_soak"] = edited(checks["thermal_soak"], name, reduction="range")
    source = replay.read(healthy / "record.json")
    (now,) = [c for c in under(source, checks).evidence.columns if c.metric == name]
    (then,) = [c for c in source.evidence.columns if c.metric == name]

    assert source.groups is not None
    power = [group.values[group.names.index("thermal_soak.power")] for group in source.groups]
    assert [sample for (sample,) in now.samples] == [round(max(values) - min(values), 6) for values in power]
    assert now.samples != then.samples

    alone = under(source._replace(groups=None), checks)
    assert not [c for c in alone.evidence.columns if c.metric == name]
    assert any(name in note and "derived in another way" in note for note in alone.notes)


def test_parameters_of_another_version_promise_all_that_the_check_can_measure(healthy: Path) -> None:
    source = replay.read(healthy / "record.json")
    plan = source.evidence.plan
    steps = tuple(
        msgspec.structs.replace(step, parameters={**step.parameters, "paths": "sideways", "old": 1})
        if step.check == "memory_bandwidth"
        else step
        for step in plan.steps
    )
    evidence = msgspec.structs.replace(source.evidence, plan=msgspec.structs.replace(plan, steps=steps))
    found = under(source._replace(evidence=evidence), load_checks())

    (step, *_) = [one for one in found.evidence.plan.steps if one.check == "memory_bandwidth"]
    assert {"memory_bandwidth.copy_sm_cold", "memory_bandwidth.host_to_device_memcpy_ce_cold"} <= set(step.metrics)
    assert step.parameters["old"] == 1
    assert judge(found.evidence).decision == "not decided"


def test_a_replay_can_be_replayed(healthy: Path, tmp_path: Path) -> None:
    records.replayed(healthy / "record.json", tmp_path / "one")
    again = records.replayed(tmp_path / "one" / "record.json", tmp_path / "two")

    simulated = records.evidence_of(again).simulated
    assert simulated is not None and simulated.by == "replay"
    assert simulated.digest == hashlib.sha256((tmp_path / "one" / "record.json").read_bytes()).hexdigest()


def test_a_check_without_groups_yields_all_its_metrics() -> None:
    def measure(node: object, visit: object) -> None: ...

    check = Check("c", "p", "gpu", (Metric("m", "", "d"), Metric("n", "", "d", by_state=True)), measure)
    step = msgspec.convert({"check": "c", "state": "hot", "visit": 1}, type=replay.PlannedStep)

    assert replay._metrics(check, step) == ("c.m", "c.n_hot")
