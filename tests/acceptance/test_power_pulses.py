"""Power pulses: only where somebody agreed, named on the certificate, and what only they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuaccept.acceptance import Accepted, Request, run_node
from gpuaccept.ambient import Fixed
from gpuaccept.data import Finding, PlannedStep
from gpuaccept.device.open import DeviceSpec, faults, open_node
from gpuaccept.errors import ProfileError, UsageError
from gpuaccept.evaluation import run, smallest_severity
from gpuaccept.matrix import AGREED_IN_SIMULATION, PULSES, PULSES_PLAN, pulses_profile, try_one
from gpuaccept.profile.load import load_profile, names
from gpuaccept.run.loading import load_checks
from gpuaccept.run.perform import perform
from gpuaccept.run.plan import parameters_of

DEVICE = "mock:hgx-b200"
FAULT = next(fault for fault in faults() if fault.name == "psu_droop_at_pulses")
EXAMPLE = PULSES.read_text(encoding="utf-8")


def pulsed(*asked: str, device: str = DEVICE, **options: tuple[str, ...]) -> Accepted:
    spec = DeviceSpec(device=device, seed=1, faults=asked)
    request = Request(profile=pulses_profile(), spec=spec, plan=PULSES_PLAN, in_process=True, **options)
    return run_node(request, Fixed(seed=1))


def lead(accepted: Accepted) -> Finding:
    return accepted.statement.predicate.judgement.findings[0]


def test_a_healthy_node_passes_and_its_certificate_says_who_agreed() -> None:
    accepted = pulsed()

    assert accepted.statement.predicate.judgement.decision == "accepted"
    assert f"power_pulse: agreed to by {AGREED_IN_SIMULATION}".encode() in accepted.page


def test_pulses_that_were_left_out_were_agreed_to_by_nobody() -> None:
    assert b"agreed to by" not in pulsed(skip=("power_pulse",)).page


def test_a_droop_at_pulses_is_named_with_frequency_and_phase_and_is_the_facilitys() -> None:
    found = lead(pulsed(FAULT.name))

    assert (found.limit, found.value, found.part.subject) == ("pulse_braked_at", "10 Hz in phase", "node")
    assert (found.result, found.cause, found.action) == ("fail", "facility", "call the facility")


def test_no_other_plan_sees_it() -> None:
    trial = run(load_profile("de-industrial-ai-cloud"), DEVICE, 1, (FAULT.name,))

    assert trial.judgement.decision == "accepted"


def test_the_matrix_tries_it_with_an_agreement_for_simulated_nodes_alone() -> None:
    shown = try_one(FAULT)

    assert shown.expected and shown.named and shown.measured
    assert shown.caught_by == ("power_pulse",)


@pytest.mark.parametrize(("factor", "decision"), [(1.2, "rejected"), (0.5, "accepted")])
def test_the_smallest_droop_that_is_found(factor: float, decision: str) -> None:
    smallest = smallest_severity(FAULT, pulses_profile().profile.cohorts[0], DEVICE)
    assert smallest is not None
    asked = f"{FAULT.name}:share_percent={factor * smallest:.6f}"

    assert pulsed(asked).statement.predicate.judgement.decision == decision


def scenario(tmp_path: Path, deviation: str) -> str:
    file = tmp_path / "pulses.yaml"
    file.write_text(f"hardware: hgx-b200\nset:\n  - {{target: gpu/5, {deviation}}}\n")
    return f"mock:{file}"


def test_a_gpu_that_pulses_alone_make_compute_wrongly_is_named_with_the_frequency(tmp_path: Path) -> None:
    wrong = "parameter: load.mismatches_per_hour, value: 7200, when: {pulses: out of phase, pulses_above_hz: 100}"
    found = lead(pulsed(device=scenario(tmp_path, wrong)))

    assert (found.limit, found.value, found.part.subject) == (
        "pulse_mismatched_at", "1000 Hz out of phase", "gpu/5",
    )  # fmt: skip
    assert (found.cause, found.action) == ("hardware", "replace")


def test_a_gpu_that_pulses_throw_off_the_bus_is_lost_at_that_frequency(tmp_path: Path) -> None:
    lost = "parameter: gpu.lost, value: true, when: {pulses: any, pulses_below_hz: 1}"
    found = lead(pulsed(device=scenario(tmp_path, lost)))

    assert found.part.subject == "gpu/5"
    assert (found.result, found.cause, found.action) == ("error", "hardware", "reboot and re-run")
    assert "at 0.1 Hz in phase" in found.reason


def test_pulses_that_draw_no_power_prove_nothing(tmp_path: Path) -> None:
    weak = "parameter: clock.sm_lock_mhz, value: 300"
    judgement = pulsed(device=scenario(tmp_path, weak)).statement.predicate.judgement

    (power,) = [one for one in judgement.judged if one.limit == "pulse_power"]
    assert [one.subject for one in power.missed] == ["gpu/5"]
    (braked,) = [one for one in judgement.judged if one.limit == "pulse_braked_at"]
    assert [(one.subject, one.result) for one in braked.missed] == [("gpu/5", "inconclusive")]


@pytest.mark.parametrize(("given", "waves"), [({}, 10), ({"slowest_hz": 100.0}, 4)])
def test_slower_waves_can_be_left_out(given: dict[str, float], waves: int) -> None:
    loaded = load_checks()["power_pulse"]
    step = PlannedStep(check="power_pulse", visit=1, parameters={"agreed_by": AGREED_IN_SIMULATION, **given})
    node = open_node(DeviceSpec(device=DEVICE, seed=1), None, lambda gpu, call: None)
    columns = perform(node, loaded, step, 1, 0.0, lambda block: None).columns
    node.close()

    assert {len(samples) for one in columns if one.metric == "power_pulse.bursts" for samples in one.samples} == {waves}
    assert loaded.check.seconds(parameters_of(loaded.check, step.parameters), 8) == waves * 11.0


# --- the agreement -------------------------------------------------------------------------------------------------


def started(text: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(text, encoding="utf-8")
    spec = DeviceSpec(device=DEVICE, seed=1)
    run_node(Request(profile=load_profile(str(file)), spec=spec, plan=PULSES_PLAN, in_process=True), Fixed(seed=1))


@pytest.mark.parametrize("said", ['""', '"        "', '"yes"', '"E. Engineer"', '"2026"'])
def test_without_a_name_and_a_date_nothing_runs(said: str, tmp_path: Path) -> None:
    text = EXAMPLE.replace('agreed_by: ""', f"agreed_by: {said}")
    with pytest.raises(ProfileError) as refused:
        started(text, tmp_path)
    (problem,) = refused.value.problems
    assert problem.path.endswith(".parameters.agreed_by")
    assert problem.line == 1 + text[: text.index("agreed_by:")].count("\n")
    assert problem.text.startswith("must say who agreed to power pulses of all GPUs in phase, and the date")


def test_a_step_that_says_nothing_of_an_agreement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as refused:
        started(EXAMPLE.replace('agreed_by: ""', ""), tmp_path)
    (problem,) = refused.value.problems
    assert problem.text.startswith("power_pulse runs only where agreed_by says who agreed to power pulses")


def test_the_check_itself_takes_no_parameters_without_an_agreement() -> None:
    check = load_checks()["power_pulse"].check
    with pytest.raises(UsageError, match="agreed_by"):
        parameters_of(check, {})
    assert parameters_of(check, {"agreed_by": "A. Person, 2026-11-30"})


@pytest.mark.parametrize("name", names())
def test_no_bundled_plan_pulses(name: str) -> None:
    for cohort in load_profile(name).profile.cohorts:
        for plan in cohort.plans.values():
            assert "power_pulse" not in {step.check for step in plan.steps}


def test_the_example_is_refused_as_it_comes(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="agreed_by"):
        started(EXAMPLE, tmp_path)
