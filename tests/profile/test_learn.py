"""Limits from good records: what is proposed, what stays, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import profile_records as records
import pytest

from gpuaccept.data import Evidence, KernelCode, Limit
from gpuaccept.errors import UsageError
from gpuaccept.judge import judge
from gpuaccept.learn import Good, Lot, as_object, good_records, learn, report, yaml_of
from gpuaccept.learn.propose import _tolerance
from gpuaccept.learn.terms import Terms
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import LoadedProfile, load_profile
from gpuaccept.run.loading import declarations, load_checks

CHECKS = load_checks()
DECLARED = declarations(CHECKS)
PARAMETERS = {name: one.check.parameters for name, one in CHECKS.items()}
LOTS = ("--lot", "spring=*/spring/*", "--lot", "autumn=*/autumn/*")
FLOOR = "copy_sm_hot.floor"


def lot(seed: int) -> str:
    return "spring" if seed % 2 else "autumn"


@pytest.fixture(scope="module")
def evidence() -> dict[int, Evidence]:
    return {seed: records.real(records.measured(seed)) for seed in range(1, 21)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, evidence: dict[int, Evidence]) -> Path:
    made = tmp_path_factory.mktemp("learn")
    for seed, one in evidence.items():
        records.write(one, made / lot(seed) / f"{seed:02}.json")
    return made


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.json"))


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "gpuaccept", "profile", "learn", *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def learned(folder: Path) -> tuple[LoadedProfile, str, str]:
    """The profile that the command writes, its text, and what the command says."""
    out = folder / "learned.yaml"
    words = ("--profile", "hgx-b200", "--integrity-only", "--out", out, "--output", "json")
    done = command(folder, *files(folder), *LOTS, *words)
    assert done.returncode == 0, done.stderr
    body, text = json.loads(done.stdout), out.read_text(encoding="utf-8")
    assert (body["command"], body["out"], body["profile"]) == ("profile learn", str(out), text)
    assert {one["limit"] for one in body["outcomes"] if one["result"] == "raised"} >= {FLOOR}
    return load_profile(str(out)), text, "\n".join(line.removeprefix("# ") for line in text.splitlines())


def limits(loaded: LoadedProfile) -> dict[str, Limit]:
    return {limit.id: limit for limit in loaded.profile.cohorts[0].limits}


def test_what_is_written_is_a_profile_without_problems(learned: tuple[LoadedProfile, str, str]) -> None:
    loaded, text, _ = learned

    assert lint(loaded, DECLARED, PARAMETERS) == ()
    assert loaded.profile.name == "hgx-b200-learned"
    assert [layer.name for layer in loaded.layers][-1] == "learned.yaml"
    assert "SIMULATED" not in text


def test_floors_are_raised_and_say_where_they_come_from(learned: tuple[LoadedProfile, str, str]) -> None:
    loaded, text, said = learned
    before, after = limits(load_profile("hgx-b200")), limits(loaded)

    old, new = before[FLOOR], after[FLOOR]
    assert old.minimum is not None and new.minimum is not None
    assert old.minimum < new.minimum < 6290
    assert (new.source, new.effect, new.unit) == ("measured", old.effect, old.unit)
    for piece in ("20 good nodes of 2 lots", "ISO 16269-6", "driver 580.95.05", "power limit 1000 W", "before: 5975"):
        assert piece in new.reference
    assert f"raised       {FLOOR}: 5975 → {new.minimum:g} GB/s" in said
    assert "lot autumn 10, lot spring 10" in text
    facts = loaded.profile.cohorts[0].metrics["memory_bandwidth.copy_sm_hot"]
    assert facts.visit is not None and facts.gpu is not None
    assert facts.visit.sigma_percent == pytest.approx(0.15, rel=0.3) and facts.visit.source == "measured"
    assert facts.gpu.sigma_percent == pytest.approx(0.22, rel=0.3) and facts.gpu.degrees_of_freedom == 140


def test_a_floor_never_falls(learned: tuple[LoadedProfile, str, str]) -> None:
    loaded, _, said = learned
    before, after = limits(load_profile("hgx-b200")), limits(loaded)

    assert before.keys() <= after.keys()
    for name, limit in before.items():
        if limit.minimum is not None:
            now = after[name].minimum
            assert now is not None and now >= limit.minimum
    kept = [line for line in said.splitlines() if line.startswith("kept")]
    assert kept and all("would be lower than" in line for line in kept)
    assert after["host_to_device_memcpy_ce_cold.floor"] == before["host_to_device_memcpy_ce_cold.floor"]


def test_good_nodes_of_neither_lot_pass_and_a_slow_lot_does_not(
    learned: tuple[LoadedProfile, str, str], tmp_path: Path
) -> None:
    loaded, _, _ = learned
    slow = tmp_path / "slow.yaml"
    slow.write_text("hardware: hgx-b200\nset:\n  - {target: gpu/*, parameter: hbm.copy, factor: 0.96}\n")

    for seed in range(201, 207):
        assert judge(under(records.measured(seed), loaded)).decision == "accepted"
    at_the_floor = records.measured(301, str(slow))
    assert judge(at_the_floor).decision == "accepted"
    found = judge(under(at_the_floor, loaded))
    assert found.decision == "rejected"
    assert found.findings[0].metric == "memory_bandwidth.copy_sm_hot"


def under(evidence: Evidence, loaded: LoadedProfile) -> Evidence:
    """Evidence of the lean plan under the limits and facts that were learned."""
    (cohort,) = loaded.profile.cohorts
    plans = records.lean().profile.cohorts[0].plans
    cohort = msgspec.structs.replace(cohort, plans=plans)
    plan = msgspec.structs.replace(evidence.plan, cohort=cohort.name)
    return msgspec.structs.replace(
        evidence, plan=plan, profile=msgspec.structs.replace(loaded.profile, cohorts=(cohort,))
    )


def test_on_another_driver_or_power_limit_what_was_learned_is_inconclusive(
    learned: tuple[LoadedProfile, str, str], tmp_path: Path
) -> None:
    loaded, _, _ = learned
    for name, line in (
        ("driver", "{target: node, parameter: driver.version, value: 590.10.01}"),
        ("power", "{target: gpu/*, parameter: power.limit_w, value: 900}"),
    ):
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"hardware: hgx-b200\nset:\n  - {line}\n")
        judged = {one.limit: one for one in judge(under(records.measured(401, str(file)), loaded)).judged}
        assert judged[FLOOR].inconclusive == 8, name
        assert judged["gpu_count_nvml"].passed == 1


def good(evidence: dict[int, Evidence], lots: str = "spring autumn") -> list[Good]:
    names = lots.split()
    return [Good(f"{seed}", names[seed % len(names)], one) for seed, one in evidence.items()]


def scaled(evidence: Evidence, metric: str, factor: float, subjects: int = 99) -> Evidence:
    columns = tuple(
        msgspec.structs.replace(
            c,
            samples=tuple(
                tuple(float(v) * (factor if i < subjects else 1) for v in s) for i, s in enumerate(c.samples)
            ),
        )
        if c.metric == metric
        else c
        for c in evidence.columns
    )
    return msgspec.structs.replace(evidence, columns=columns)


def test_a_lot_that_differs_is_named_instead_of_a_limit(evidence: dict[int, Evidence]) -> None:
    metric = "memory_bandwidth.copy_sm_hot"
    mixed = {seed: scaled(one, metric, 0.97) if seed % 2 else one for seed, one in evidence.items()}
    found = learn(load_profile("hgx-b200").profile, good(mixed), DECLARED, 0.999999, 0.95)

    (outcome,) = [one for one in found.outcomes if one.metric == metric]
    assert outcome.result == "not learned"
    assert "lot autumn differs" in outcome.reason
    assert FLOOR not in {limit.id for limit in found.limits}


def test_a_good_node_beyond_the_limit_says_that_the_scatter_is_not_normal(evidence: dict[int, Evidence]) -> None:
    values = {f"{n}": [1000 + (n % 5) * 0.5] for n in range(40)}
    values["7"] = [990.0]
    terms = Terms(0.5, 0.5, "measured", "")
    held = [Good(name, "a" if int(name) % 2 else "b", evidence[1]) for name in values]

    limit, lowest, why = _tolerance(values, held, terms, 1.0)

    assert (limit, lowest) == (None, 990.0)
    assert "differs" in why or "not a normal one" in why


def test_where_lower_is_better_the_limit_is_learned_in_mirror(evidence: dict[int, Evidence]) -> None:
    values = {f"{n}": [1000 + (n * 7 % 11) * 0.5, 1001.0] for n in range(24)}
    held = [Good(name, "a" if int(name) % 2 else "b", evidence[1]) for name in values]
    terms = Terms(0.999, 0.95, "measured", "")

    floor, lowest, _ = _tolerance(values, held, terms, 1.0)
    ceiling, highest, _ = _tolerance(values, held, terms, -1.0)

    assert floor is not None and ceiling is not None
    assert floor < lowest == 1000 and ceiling > highest == 1005


def test_more_nodes_and_less_confidence_raise_the_limit(evidence: dict[int, Evidence]) -> None:
    def floor(share: float, confidence: float) -> float:
        found = learn(load_profile("hgx-b200").profile, good(evidence), DECLARED, share, confidence)
        return next(one.learned or 0 for one in found.outcomes if one.limit is not None and one.limit.id == FLOOR)

    assert floor(0.9999999, 0.95) < floor(0.999999, 0.95) < floor(0.999, 0.95) < floor(0.999, 0.6)


def test_a_metric_without_a_limit_gets_one_that_only_observes(evidence: dict[int, Evidence]) -> None:
    profile = load_profile("hgx-b200").profile
    (cohort,) = profile.cohorts
    fewer = tuple(one for one in cohort.limits if one.metric != "memory_bandwidth.copy_sm_hot")
    profile = msgspec.structs.replace(profile, cohorts=(msgspec.structs.replace(cohort, limits=fewer),))
    found = learn(profile, good(evidence), DECLARED, 0.999999, 0.95)

    (made,) = [one for one in found.limits if one.metric == "memory_bandwidth.copy_sm_hot"]
    assert (made.id, made.effect) == ("learned.memory_bandwidth.copy_sm_hot", "observe")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: with_node(e, driver_version="590.1"), "differ in driver: 580.95.05 and 590.1"),
        (lambda e: power(e, 900.0), "differ in power limit (W): 1000 and 900"),
        (lambda e: with_plan(e), "differ in plan"),
        (lambda e: with_check(e), "differ in digest of checks"),
        (
            lambda e: with_node(e, kernels=kernels("1")),
            "differ in digest of kernels: not in the record and soak.cu sm_100",
        ),
    ],
)
def test_what_limits_are_bound_to_is_not_mixed(
    evidence: dict[int, Evidence], folder: Path, tmp_path: Path, change: object, said: str
) -> None:
    other = tmp_path / "spring" / "other.json"
    records.write(change(evidence[19]), other)  # type: ignore[operator]
    used = [file for file in files(folder) if file.name != "19.json"] + [other]

    with pytest.raises(UsageError) as raised:
        good_records(used, LOT_PATTERNS, integrity_only=True)
    assert said in raised.value.fact


def kernels(digit: str) -> tuple[KernelCode, ...]:
    return (KernelCode(file="soak.cu", architecture="sm_100", sha256=digit * 64, made="shipped"),)


def test_the_head_names_the_kernels_that_measured_and_promises_nothing_of_them(evidence: dict[int, Evidence]) -> None:
    same = {seed: with_node(one, kernels=kernels("a")) for seed, one in evidence.items()}
    found = learn(load_profile("hgx-b200").profile, good(same), DECLARED, 0.999999, 0.95)
    text = yaml_of(found, name="learned", title="x", extends="hgx-b200", kind="hardware")

    assert "# Measured by the kernels soak.cu sm_100 aaaaaaaaaaaa: no judge asks for them" in text
    assert found.bound == "driver 580.95.05, power limit 1000 W"
    assert as_object(found)["kernels"] == "soak.cu sm_100 aaaaaaaaaaaa"


def test_a_wider_scatter_between_gpus_loosens_no_required_deviation(evidence: dict[int, Evidence]) -> None:
    metric, profile = "memory_bandwidth.copy_sm_hot", load_profile("hgx-b200").profile
    before = profile.cohorts[0].metrics[metric].gpu
    wide = {seed: scaled(one, metric, 1.006, subjects=4) for seed, one in evidence.items()}
    found = learn(profile, good(wide), DECLARED, 0.999999, 0.95)

    assert before is not None and found.metrics[metric].gpu == before
    (kept,) = [one for one in found.outcomes if "wider" in one.reason]
    assert kept.limit is not None and kept.limit.max_deviation is not None
    assert any(
        line.startswith(f"kept         {kept.limit.id}: the learned scatter between GPUs") for line in report(found)
    )

    observed = tuple(
        msgspec.structs.replace(one, effect="observe") if one.id == kept.limit.id else one
        for one in profile.cohorts[0].limits
    )
    cohorts = (msgspec.structs.replace(profile.cohorts[0], limits=observed),)
    found = learn(msgspec.structs.replace(profile, cohorts=cohorts), good(wide), DECLARED, 0.999999, 0.95)
    wider = found.metrics[metric].gpu
    assert wider is not None and wider.sigma_percent > before.sigma_percent


LOT_PATTERNS = (Lot("spring", "*/spring/*"), Lot("autumn", "*/autumn/*"))


def with_node(evidence: Evidence, **fields: object) -> Evidence:
    return msgspec.structs.replace(evidence, node=msgspec.structs.replace(evidence.node, **fields))


def with_plan(evidence: Evidence) -> Evidence:
    steps = tuple(
        msgspec.structs.replace(s, parameters={**s.parameters, "duration_s": 181.0}) if s.check == "thermal_soak" else s
        for s in evidence.plan.steps
    )
    # the profile's plan has to ask for the same, or the node is not accepted
    plan = msgspec.structs.replace(evidence.plan, steps=steps, name="other")
    return msgspec.structs.replace(evidence, plan=plan, profile=renamed(evidence))


def renamed(evidence: Evidence) -> object:
    (cohort,) = evidence.profile.cohorts
    plan = cohort.plans["lean"]
    steps = tuple(
        msgspec.structs.replace(s, parameters={"duration_s": 181}) if s.check == "thermal_soak" else s
        for s in plan.steps
    )
    plans = {**cohort.plans, "other": msgspec.structs.replace(plan, steps=steps)}
    return msgspec.structs.replace(evidence.profile, cohorts=(msgspec.structs.replace(cohort, plans=plans),))


def with_check(evidence: Evidence) -> Evidence:
    checks = tuple(msgspec.structs.replace(one, source_sha256="0" * 64) for one in evidence.checks)
    return msgspec.structs.replace(evidence, checks=checks)


def power(evidence: Evidence, watts: float) -> Evidence:
    (cohort,) = evidence.profile.cohorts
    kept = tuple(one for one in cohort.limits if one.metric != "inventory.power_limit_enforced")
    profile = msgspec.structs.replace(evidence.profile, cohorts=(msgspec.structs.replace(cohort, limits=kept),))
    columns = tuple(
        msgspec.structs.replace(c, samples=((watts,),) * len(c.samples))
        if c.metric == "inventory.power_limit_enforced"
        else c
        for c in evidence.columns
    )
    return msgspec.structs.replace(evidence, columns=columns, profile=profile)
