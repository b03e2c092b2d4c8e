"""Each rule of the linter, broken once; and the bundled profiles, which break none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from profile_samples import HARDWARE, LIMIT, PARAMETERS, declared, write

from gpuaccept.bundled import bundled
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import load_profile, names

DECLARED = declared()


def found(tmp_path: Path, text: str) -> list[str]:
    loaded = load_profile(write(tmp_path, "small.yaml", text))
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in lint(loaded, DECLARED, PARAMETERS)]


def test_the_small_profile_is_clean(tmp_path: Path) -> None:
    assert found(tmp_path, HARDWARE) == []


def limit(**changes: str) -> str:
    """The sample's limit with some lines replaced, and other lines added."""
    lines = LIMIT.strip("\n").split("\n")
    for key, value in changes.items():
        lines = [line for line in lines if not line.startswith(f"    {key}:")]
        if value:
            lines.append(f"    {key}: {value}")
    return HARDWARE.replace(LIMIT.strip("\n"), "\n".join(lines))


def stated(rows: str) -> str:
    """The sample for two GPUs with a matrix of their nearest common ancestors."""
    text = limit(metric="nvlink.common_ancestor", unit='""', minimum="", matrix=rows)
    return text.replace("gpus: 8", "gpus: 2")


VISIT = "    visit: {sigma_percent: 0.15, degrees_of_freedom: 100, source: assumption, reference: declared}\n"
GPU = VISIT.replace("visit", "gpu").replace("0.15", "0.25")
HOT = "      - {check: memory_bandwidth, state: hot}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            limit(metric="memory_bandwidth.copy_sm"),
            "no check declares memory_bandwidth.copy_sm; did you mean memory_ba",
        ),
        (limit(unit="MB/s"), "memory_bandwidth.copy_sm_hot is in GB/s, not in MB/s"),
        (limit(minimum=""), "copy.floor needs exactly one of minimum, maximum, equals"),
        (limit(max_deviation="{sigmas: 5}"), "it has minimum and max_deviation"),
        (limit(minimum="", uniform="false"), "it has none"),
        (limit(minimum="7673"), "7673 is above the ceiling 7672: nothing can reach it"),
        (limit(minimum="3000"), "3000 is below half of the typical 6290: it would pass a fault"),
        (limit(minimum="", maximum="7000"), "higher is better for memory_bandwidth.copy_sm_hot: this would fail good"),
        (limit(minimum="", equals="6290"), "memory_bandwidth.copy_sm_hot is measured with uncertainty; use minimum"),
        (
            limit(metric="thermal_soak.sw_thermal_share", unit='"%"'),
            "lower is better for thermal_soak.sw_thermal_share",
        ),
        (limit(subjects="gpu/9"), "'gpu/9' matches no gpu of this cohort; a gpu is called gpu/3"),
        (limit(subjects="gpu/*/link/*"), "'gpu/*/link/*' matches no gpu of this cohort"),
        (limit(effect="valid"), "copy.floor has effect valid, but valid_for names no metric that it conditions"),
        (limit(valid_for="[ecc.*]"), "only a limit of effect valid conditions others; this one has effect require"),
        (limit(effect="valid", valid_for="[eec.*]"), "'eec.*' matches no metric"),
        (
            limit(metric="inventory.model", unit='""'),
            "inventory.model is a text, which has no size; use equals or one_of",
        ),
        (limit(metric="nvlink.version", unit='""', minimum="", equals="5.0"), "is a text; write the value in quotes"),
        (limit(metric="inventory.model", unit='""', minimum="", one_of="[]"), "is empty, so nothing can meet it"),
        (
            limit(metric="inventory.memory_total", unit="MiB", minimum="", equals='"8"'),
            "inventory.memory_total is a number; found the text '8'",
        ),
        (limit(minimum="", matrix='["-"]'), "is for text that is read of pairs, which memory_bandwidth.copy_sm_hot"),
        (stated('["- node"]'), "has 1 rows; this cohort has 2 GPUs, and each is a row"),
        (stated('["- node", "node"]'), "has 1 words; a row has one for each of the 2 GPUs"),
        (stated('["- node", "- node"]'), "`-` stands for the GPU itself: as word 2 of this row, and nowhere else"),
        (HARDWARE.replace(VISIT, ""), "can't be judged without metrics.memory_bandwidth.copy_sm_hot.visit"),
        (
            limit(minimum="", max_deviation="{sigmas: 5}").replace(GPU, ""),
            "needs metrics.memory_bandwidth.copy_sm_hot.gpu, the scatter from GPU to GPU",
        ),
        (HARDWARE.replace("typical: 6290", "typical: 8000"), "8000 is above the ceiling 7672"),
        (HARDWARE.replace("  memory_bandwidth.copy_sm_hot:", "  memory_bandwidth.copy_hot:"), "no check declares this"),
        (HARDWARE.replace('["2901"]', "[]"), "is empty, so no node can belong to this cohort"),
        (HARDWARE.replace('{"1": SXM 1}', '{"1": SXM 1, "2": SXM 1}'), "2 modules are in the slot SXM 1"),
        (HARDWARE.replace('{"1": SXM 1}', '{"one": SXM 1}'), "a module id is a whole number"),
        (HARDWARE.replace(HOT, "", 1), "copy.floor needs 3 visits to memory_bandwidth.copy_sm_hot, the plan makes 2"),
        (HARDWARE.replace("check: memory_bandwidth, state: hot", "check: ecc"), "measures nothing that is required"),
        (limit(effect="observe"), "the plan acceptance measures nothing that is required, so it could accept anything"),
        (
            HARDWARE.replace("check: memory_bandwidth", "check: memory_bandwith", 1),
            "there is no check memory_bandwith; did",
        ),
        (HARDWARE.replace(", state: hot", "", 1), "memory_bandwidth is measured cold or hot; add the state"),
        (HARDWARE.replace("{paths:", "{path:"), "memory_bandwidth has no such parameter; did you mean paths?"),
        (HARDWARE.replace("{paths: device}", "{repeats: 99}"), "must be at most 50; found 99"),
        (HARDWARE.replace("{paths: device}", "{repeats: many}"), "must be a whole number; found 'many'"),
        (HARDWARE.split("plans:")[0] + "plans: {}\n", "there is none, so nothing can be run"),
    ],
)
def test_what_the_linter_refuses(tmp_path: Path, text: str, said: str) -> None:
    problems = found(tmp_path, text)

    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("small.yaml:") and problem.split(":")[1] != "0" for problem in problems)


def test_a_zero_is_a_limit(tmp_path: Path) -> None:
    text = limit(metric="ecc.dram_uncorrected_aggregate", unit="errors", minimum="", equals="0")

    assert not any("exactly one" in problem for problem in found(tmp_path, text))


def test_a_plan_that_requires_only_a_change_and_visits_it_once_requires_nothing(tmp_path: Path) -> None:
    once = "      - {check: ecc}\n"
    text = limit(metric="ecc.dram_uncorrected_new", unit="errors", minimum="", equals="0").split(HOT)[0] + once

    assert any("measures nothing that is required" in one for one in found(tmp_path, text))
    assert found(tmp_path, text + once) == []


def test_a_device_id_belongs_to_one_cohort(tmp_path: Path) -> None:
    write(tmp_path, "hw.yaml", HARDWARE)
    cohorts = "[{name: a, extends: ./hw.yaml}, {name: b, extends: ./hw.yaml}]"
    text = f'kind: site\nname: s\nversion: "1"\ntitle: t\ncohorts: {cohorts}\n'

    assert found(tmp_path, text) == [
        "hw.yaml:6:18: cohorts[1].pci_device_ids[0]: 2901 already belongs to the cohort a, so a node would fit both"
    ]


@pytest.mark.parametrize("name", names())
def test_bundled_profiles_fit_the_checks_that_come_with_them(name: str) -> None:
    from gpuaccept.run.loading import declarations, load_checks

    checks = load_checks()
    parameters = {one.check.name: one.check.parameters for one in checks.values()}
    assert [str(problem) for problem in lint(load_profile(name), declarations(checks), parameters)] == []


@pytest.mark.parametrize("name", names())
def test_a_bundled_profile_is_named_as_its_file_and_has_the_four_plans(name: str) -> None:
    profile = load_profile(name).profile

    assert profile.name == name
    for cohort in profile.cohorts:
        assert {plan: spec.acceptance for plan, spec in cohort.plans.items()} == {
            "acceptance": True,
            "node": False,
            "quick": False,
            "burnin": True,
        }


@pytest.mark.parametrize("name", names())
def test_a_floor_is_95_percent_of_the_figure_that_its_reference_states(name: str) -> None:
    """The lowest published good figure of the metric or of its neighbour: no more than what is typical."""
    for cohort in load_profile(name).profile.cohorts:
        floors = [limit for limit in cohort.limits if limit.metric in cohort.metrics and limit.minimum is not None]
        assert len(floors) >= 6
        for limit in floors:
            typical = cohort.metrics[limit.metric].typical
            stated = re.search(r"0\.95 x ([0-9.]+)", limit.reference)
            assert stated is not None and typical is not None and limit.minimum is not None, limit.id
            assert float(stated[1]) <= typical, limit.id
            assert 0.947 * float(stated[1]) <= limit.minimum <= 0.95 * float(stated[1]), limit.id


def test_the_bundled_names_are_the_files() -> None:
    files = [path.stem for folder in ("hardware", "sites") for path in (bundled("profiles") / folder).glob("*.yaml")]

    assert sorted(names()) == sorted(files)
