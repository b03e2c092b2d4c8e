"""An evaluation runs, stops, goes on, and says of every figure how many nodes it rests on."""

from __future__ import annotations

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpuaccept.device.open import DeviceSpec, model, scenarios
from gpuaccept.errors import UsageError
from gpuaccept.evaluation import campaign, results, trials, variations
from gpuaccept.evaluation.campaign import FORMS, Sizes
from gpuaccept.evaluation.page import About, page
from gpuaccept.evaluation.trials import Result, Task, perform

PROFILE, MODEL = "de-industrial-ai-cloud", "hgx-b200"
ROOT = Path(__file__).resolve().parents[2]
ABOUT = About(profile=PROFILE, profile_digest="0" * 64, model=MODEL, program="x", minutes={"node": 5.0}, form="tiny")


def _task(**changes: object) -> Task:
    fields: dict[str, object] = {"group": "healthy", "profile": PROFILE, "device": f"mock:{MODEL}", "seed": 1}
    return Task(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def healthy() -> Result:
    return perform(_task(plan="quick"))


def test_a_task_gives_the_same_result_again(healthy: Result) -> None:
    assert healthy.decision == "accepted"
    assert perform(_task(plan="quick")) == healthy


def test_a_fault_is_found_and_its_part_named() -> None:
    result = perform(_task(group="fault", plan="quick", faults=("ecc_off:gpu=3",)))

    assert (result.decision, result.named, result.expected) == ("rejected", True, True)


def test_what_the_program_could_not_do_is_no_verdict() -> None:
    result = perform(_task(plan="no-such-plan"))

    assert result.decision == ""
    assert "no-such-plan" in result.broke


def test_a_wider_sigma_widens_the_pooled_ones_of_the_profile() -> None:
    name = "memory_bandwidth.copy_sm_hot"
    usual, wide = (trials._profile(PROFILE, sigma).profile.cohorts[0].metrics[name] for sigma in (1.0, 2.0))
    assert usual.gpu is not None
    assert wide.gpu is not None
    assert wide.gpu.sigma_percent == 2 * usual.gpu.sigma_percent


def test_stated_intervals_are_compared_with_a_twin_without_scatter(tmp_path: Path) -> None:
    result = perform(_task(plan="node", twin=variations.write_twin(MODEL, tmp_path)))

    held, number = map(sum, zip(*result.covered.values(), strict=True))
    assert number > 500
    assert 0.9 < held / number <= 1.0


STAGE = ("resistance_k_per_kw", "time_constant_s")


@pytest.mark.parametrize("name", scenarios())
def test_what_no_source_gives_of_cooling_and_scatter_is_marked_where_it_stands(name: str) -> None:
    """A number that is judgement and not marked is never varied, so nobody learns what hangs on it."""
    lines = campaign.scenario_file(name).read_text().splitlines()
    bare = [line for line in lines if ":" in line.partition("#")[0] and not line.startswith("#")]
    of_cooling = [
        line for line in bare if re.search("resistance_k_per_kw|time_constant_s|(slow|slower)_percent:", line)
    ]
    scatter = [line for line in bare if re.search(r"\b(repeat|visit): +(?!0\.0\b)[0-9.]+", line)]
    assert not [line for line in (*of_cooling, *scatter) if "[J]" not in line]


def test_an_item_of_a_list_is_varied_with_the_rest_of_it_as_it_was(tmp_path: Path) -> None:
    made, _ = variations.write_variations(MODEL, campaign.scenario_file(MODEL), tmp_path)
    (one,) = [one for one in made if one.label.startswith("thermal.stages.1.time_constant_s doubled")]
    before, after = (model(DeviceSpec(device=device)).thermal.stages for device in (f"mock:{MODEL}", one.device))
    assert [stage.time_constant_s for stage in after] == [8, 240, 600] != [stage.time_constant_s for stage in before]
    assert [stage.resistance_k_per_kw for stage in after] == [stage.resistance_k_per_kw for stage in before]


def test_every_judged_number_is_varied_both_ways_or_said_to_be_impossible(tmp_path: Path) -> None:
    path = campaign.scenario_file(MODEL)
    numbers = variations.judged(path)
    made, refused = variations.write_variations(MODEL, path, tmp_path)
    labels = [one.label for one in (*made, *refused)]

    assert {"noise.hbm.visit", "thermal.inlet_c", "host.far_percent"} <= numbers.keys()
    assert {f"thermal.stages.{stage}.{of}" for stage in range(3) for of in STAGE} <= numbers.keys()
    assert {"memory.slow_percent", "noise.sm_clock_mhz.repeat", "noise.idle_power_w.visit"} <= numbers.keys()
    assert not {"memory.copy", "memory.slow_above_c", "noise.host.gpu"} & numbers.keys()  # published
    for name in numbers:
        assert {label.split()[1] for label in labels if label.startswith(f"{name} ")} == {"halved", "doubled"}
    assert all(" must be at " in one.why for one in refused)
    assert len({one.device for one in made}) == len(made)


def test_results_are_kept_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, file, asked = [_task(seed=seed) for seed in range(1, 5)], tmp_path / "r.jsonl", []

    def fake(task: Task) -> Result:
        asked.append(task.seed)
        return Result(key=task.key, decision="accepted")

    monkeypatch.setattr(results, "perform", fake)
    results.evaluate(tasks[:2], file, 1)
    with file.open("ab") as torn:
        torn.write(b'{"program":"')

    found = results.evaluate(tasks, file, 1)

    assert asked == [1, 2, 3, 4]
    assert found.keys() == {task.key for task in tasks}
    assert file.read_bytes().count(b"\n") == 4


def test_results_of_another_program_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "perform", lambda task: Result(key=task.key, decision="accepted"))
    results.evaluate([_task()], tmp_path / "r.jsonl", 1)

    assert results.read(tmp_path / "r.jsonl", results.program_digest())
    assert not results.read(tmp_path / "r.jsonl", "another")


def test_a_task_that_was_sent_to_another_process_has_the_same_key() -> None:
    import pickle

    task = _task()
    assert pickle.loads(pickle.dumps(task)).key == task.key


def test_whenever_it_is_stopped_every_group_has_its_share() -> None:
    tasks = [_task(group=group, seed=seed) for group, n in (("healthy", 90), ("fault", 30)) for seed in range(n)]
    first = campaign.interleaved(tasks)[:40]
    assert sum(task.group == "fault" for task in first) == pytest.approx(10, abs=1)


def test_the_page_says_how_much_fewer_nodes_it_has_than_a_figure_needs(tmp_path: Path) -> None:
    made = campaign.campaign(FORMS["tiny"], PROFILE, MODEL, tmp_path)
    good = [task for task in made.tasks if task.group == "healthy"]
    text = page(made, {task.key: Result(key=task.key, decision="accepted") for task in good}, ABOUT)

    assert (
        "**It is smaller than the figures need**: 2 good nodes without a reject bound false rejects to 77.6 %" in text
    )
    assert "| good nodes rejected | at most 0.008 % | 0 of 2; at most 77.6 % |" in text
    assert "| stated 95 % intervals that hold the true value | 95 ± 1 % | none tried |" in text


def test_what_was_missed_stands_on_the_page_worst_first(tmp_path: Path) -> None:
    made = campaign.campaign(Sizes(0, 0, 2, 0, 0, (), 0, 0, 0), PROFILE, MODEL, tmp_path)
    outcomes = {}
    for task in made.tasks:
        lost = task.faults[0] == "gpu_missing"
        wrong = task.faults[0] == "ecc_off"
        outcomes[task.key] = Result(
            key=task.key, decision="accepted" if lost else "rejected", named=not wrong, expected=True, subject="gpu/7"
        )
    part = page(made, outcomes, ABOUT).split("## Not found")[1].split("## Faults that come")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]

    assert [re.findall(r"`(\w+)`", row)[0] for row in rows] == ["gpu_missing"] * 2 + ["ecc_off"] * 2


def test_a_directory_of_scenarios_runs_whoever_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "cold plate.yaml").write_text(
        "hardware: hgx-b200\nset:\n- {target: gpu/2, parameter: ecc.mode, value: disabled}\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "scripts/evaluate.py", "--scenarios", tmp_path, "--scenario", "1", "--processes", "1",
         "--work", tmp_path / "work"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "in simulation" in done.stdout
    assert re.search(r"`cold plate.yaml` \| quick \| 1 of 1: 100 %.*gpu/2", done.stdout)


def test_a_directory_without_scenarios_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.yaml file"):
        campaign.scenarios(FORMS["tiny"], tmp_path)


def test_faults_that_come_in_mid_run_are_tried_at_other_moments_too(tmp_path: Path) -> None:
    sizes = Sizes(0, 0, 0, 0, 0, (), 0, 0, 0, onset=1)
    made = [task for task in campaign.campaign(sizes, PROFILE, MODEL, tmp_path).tasks if task.group == "onset"]
    results_ = {
        task.key: Result(key=task.key, decision="accepted" if float(task.label) > 460 else "rejected", named=True)
        for task in made
    }
    about = About(PROFILE, "0" * 64, MODEL, "x", {"node": 7.5, "acceptance": 32.0}, "tiny")
    text = page(campaign.Campaign(tuple(made)), results_, about)
    part = text.split("## Faults that come in mid-run")[1].split("## What the plan")[0]

    assert {task.plan for task in made} == {"node", "acceptance"}
    assert all(f"at_s={task.label}" in task.faults[0] for task in made)
    assert re.search(r"\| 300 s \| (\d+) of \1: 100 %", part)
    assert re.search(r"\| 900 s \| 0 of \d+: 0 %.*`xid_79_in_soak`", part)


def test_what_comes_rarely_is_said_to_be_missed(tmp_path: Path) -> None:
    about = About(PROFILE, "0" * 64, MODEL, "x", {"node": 7.5}, "tiny")
    text = page(campaign.Campaign(()), {}, about)

    # 8.6 an hour: 1.075 in 7.5 minutes, none in exp(-1.075) = 34 % of nodes
    assert "| `nvlink_recoveries_creeping` | 8.6 recoveries of a link | 1.07 | 34 % |" in text


def test_verdicts_that_flip_between_two_tests_of_a_node_are_counted(tmp_path: Path) -> None:
    again = _task(group="retest", label="good", start_s=campaign.DAY_S)
    first = Result(key="", decision="accepted", passed=96, missed={"a gpu/0": "fail", "b gpu/1": "inconclusive"})
    second = Result(key="", decision="accepted", passed=96, missed={"c gpu/0": "fail", "b gpu/1": "fail"})
    made = campaign.Campaign((_task(), again))
    text = page(made, {_task().key: first, again.key: second}, ABOUT)

    assert "| verdicts that went from pass to fail or back, good | at most 0.01 % | 2 of 97; at most" in text
    assert "| accepted ↔ rejected on re-test, good | at most 0.01 % | 0 of 1; at most" in text


def test_a_good_node_s_result_counts_its_verdicts(healthy: Result) -> None:
    assert healthy.passed > 500
    assert "pass" not in healthy.missed.values()


def test_intervals_of_other_shapes_of_scatter_stand_apart(tmp_path: Path) -> None:
    sizes = Sizes(0, 0, 0, 0, 0, (), 0, 1, 0, shape=1)
    made = [task for task in campaign.campaign(sizes, PROFILE, MODEL, tmp_path).tasks if task.group == "coverage"]
    found = {task.key: Result(key=task.key, covered={"a.b": (95 if not task.label else 90, 100)}) for task in made}
    text = page(campaign.Campaign(tuple(made)), found, ABOUT)

    assert [task.label for task in made] == ["", *campaign.OTHER_SHAPES]
    assert "| stated 95 % intervals that hold the true value | 95 ± 1 % | 95 of 100: 95 %" in text
    assert re.search(r"\| no tails: normal \| 90 of 100: 90 %", text)


def test_one_group_alone_can_be_simulated_and_another_folder_goes_on_from_what_was_published(tmp_path: Path) -> None:
    for work, minutes in ("work", "1"), ("other", "0"):
        done = subprocess.run(
            [sys.executable, "scripts/evaluate.py", "--form", "tiny", "--only", "healthy", "--healthy", "0",
             "--only", "coverage", "--minutes", minutes, "--processes", "1",
             "--work", tmp_path / work, "--page", tmp_path / "page.md"],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    kept, other = ((tmp_path / work / "results.jsonl").read_text() for work in ("work", "other"))
    assert sorted(map(_group, kept.splitlines())) == ["coverage", "healthy"]
    assert sorted(other.splitlines()) == sorted(
        kept.replace(str(tmp_path / "work"), str(tmp_path / "other")).splitlines()
    )
    assert "| node | 1 | 0 of 1" in (tmp_path / "page.md").read_text()


def test_the_page_and_the_results_beside_it_are_of_one_evaluation() -> None:
    text = (ROOT / "docs" / "reference" / "evaluation.md").read_text()
    lines = lzma.decompress((ROOT / "docs" / "reference" / "evaluation.jsonl.xz").read_bytes()).decode().splitlines()
    good = sum(_group(line) == "healthy" and '\\"plan\\":\\"acceptance\\"' in line for line in lines)
    (program,) = {json.loads(line)["program"] for line in lines}

    assert f"(program `{program}`)" in text
    assert f"| good nodes rejected | at most 0.008 % | 0 of {good};" in text


def _group(line: str) -> str:
    found = re.search(r'\\"group\\":\\"(\w+)\\"', line)
    return found[1] if found else ""


MODELS = sorted(path.stem for path in (ROOT / "profiles" / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_evaluated_by_its_own_profile(model: str, tmp_path: Path) -> None:
    sizes = Sizes(0, 0, 1, 1, 0, (), 1, 0, 0)
    made = campaign.campaign(sizes, model, model, tmp_path).tasks
    cohort = campaign.cohort_for(model, model)
    severities = {
        fault.name: trials.smallest_severity(fault, cohort, f"mock:{model}") for fault in campaign.applicable(model)
    }

    assert all(one is None or one > 0 for one in severities.values())
    known = {name for name, one in severities.items() if one is not None}
    assert {task.faults[0].partition(":")[0] for task in made if task.label == "1.2 ×"} == known
    assert {"hbm_bandwidth_low", "straggler", "ecc_corrected_storm"} <= known
    required = {limit.id for limit in cohort.limits if limit.effect == "require"}
    assert ("thermal_interface_bad" in known) == ("margin_min" in required)


def test_a_fault_that_the_model_can_not_have_is_tried_on_one_that_can(tmp_path: Path) -> None:
    sizes = Sizes(0, 0, 1, 0, 0, (), 0, 0, 0)
    made = campaign.campaign(sizes, PROFILE, MODEL, tmp_path)
    other = [task for task in made.tasks if task.device != f"mock:{MODEL}"]
    tried = {task.faults[0] for task in made.tasks}

    assert {(task.faults[0], task.plan) for task in other} >= {
        (fault, plan) for fault in ("c2c_down", "pump_dead", "leak_slow") for plan in ("node", "acceptance")
    }
    assert {(task.profile, task.device) for task in other} == {("gb200-nvl72", "mock:gb200-nvl72")}
    assert {fault.name for fault in campaign.faults() if not fault.needs_agreement} == tried

    found = {task.key: Result(key=task.key, decision="rejected", named=True) for task in made.tasks}
    text = page(made, found, ABOUT)
    part = text.split("**On another model**")[1].split("## Not found")[0]
    assert "| `pump_dead` | on gb200-nvl72 | node | 1 of 1: 100 %" in part
    assert "tried on `gb200-nvl72`" in text


@pytest.mark.parametrize(("fault", "part"), [("c2c_down", "gpu"), ("pump_dead", "node"), ("leak_slow", "node")])
def test_a_fault_of_another_model_is_found_there(fault: str, part: str) -> None:
    result = perform(
        _task(group="fault", profile="gb200-nvl72", device="mock:gb200-nvl72", plan="acceptance", faults=(fault,))
    )
    assert (result.broke, result.decision == "accepted") == ("", False)
    assert result.subject.startswith(part)
