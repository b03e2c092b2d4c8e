"""Layers of profiles: what is inherited, what is replaced, where it came from, and what can't be merged."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profile_samples import HARDWARE, LIMIT, PARAMETERS, declared, write

from gpuaccept.errors import ProfileError
from gpuaccept.profile.digest import digest
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import load_profile

SITE = """\
kind: site
name: here
version: "3"
title: Hall B
cohorts:
  - name: left
    extends: ./small.yaml
"""


def said(path: str) -> str:
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    return str(caught.value)


@pytest.fixture
def small(tmp_path: Path) -> str:
    return write(tmp_path, "small.yaml", HARDWARE)


def test_a_hardware_file_is_a_profile_of_one_cohort(small: str) -> None:
    loaded = load_profile(small)

    (cohort,) = loaded.profile.cohorts
    assert (loaded.profile.name, cohort.name, cohort.hardware) == ("small", "small", "small")
    assert [limit.id for limit in cohort.limits] == ["copy.floor"]
    assert [layer.name for layer in loaded.layers] == ["small.yaml"]
    assert loaded.origins["cohorts[0].limits[0].minimum"] == f"{small}:20"
    assert "cohorts[0].limits[0].effect" not in loaded.origins


def test_a_site_replaces_limits_by_id_metrics_and_plans_by_name_and_the_rest_whole(tmp_path: Path, small: str) -> None:
    site = write(
        tmp_path,
        "site.yaml",
        SITE
        + """\
    gpus: 4
    slots: {"9": X}
    metrics:
      memory_bandwidth.copy_sm_cold: {typical: 6000}
    plans:
      acceptance: {purpose: own, steps: [{check: ecc}]}
      more: {purpose: more, steps: [{check: ecc}]}
    limits:
"""
        + indent(LIMIT.replace("5975", "6100") + LIMIT.replace("copy.floor", "another"), "    "),
    )

    loaded = load_profile(site)

    (cohort,) = loaded.profile.cohorts
    assert (cohort.name, cohort.hardware, cohort.gpus, cohort.links_per_gpu) == ("left", "small", 4, 18)
    assert cohort.slots == {"9": "X"}
    assert [(limit.id, limit.minimum) for limit in cohort.limits] == [("copy.floor", 6100), ("another", 5975)]
    assert list(cohort.metrics) == ["memory_bandwidth.copy_sm_hot", "memory_bandwidth.copy_sm_cold"]
    assert {name: plan.purpose for name, plan in cohort.plans.items()} == {"acceptance": "own", "more": "more"}
    assert [layer.name for layer in loaded.layers] == ["small.yaml", "site.yaml"]
    assert loaded.origins["cohorts[0].gpus"] == f"{site}:8"
    assert loaded.origins["cohorts[0].links_per_gpu"].endswith("small.yaml:8")


def test_a_rack_changes_one_cohort_of_a_site(tmp_path: Path, small: str) -> None:
    write(tmp_path, "site.yaml", SITE)
    rack = write(
        tmp_path,
        "racks/r1.yaml",
        "kind: site\nname: r1\nextends: ../site.yaml\ncohorts: [{name: left, visits: 5}]\nnotes: [rack 1]\n",
    )

    profile = load_profile(rack).profile

    assert (profile.name, profile.version, profile.title) == ("r1", "3", "Hall B")
    assert [(cohort.name, cohort.visits) for cohort in profile.cohorts] == [("left", 5)]
    assert profile.notes == ("rack 1",)


def test_a_node_extends_a_hardware_profile_as_a_site_of_one_cohort(tmp_path: Path, small: str) -> None:
    node = write(
        tmp_path,
        "node.yaml",
        'kind: site\nname: n7\nversion: "1"\ntitle: Node 7\nextends: small.yaml\ncohorts: [{name: small, gpus: 7}]\n',
    )

    (cohort,) = load_profile(node).profile.cohorts
    assert (cohort.name, cohort.hardware, cohort.gpus, len(cohort.limits)) == ("small", "small", 7, 1)


def test_a_layer_without_cohorts_keeps_all(tmp_path: Path, small: str) -> None:
    write(tmp_path, "site.yaml", SITE)
    rack = write(tmp_path, "r.yaml", "kind: site\nname: r\nextends: site.yaml\n")

    assert load_profile(rack).profile.cohorts == load_profile(str(tmp_path / "site.yaml")).profile.cohorts


def test_hardware_extends_hardware(tmp_path: Path, small: str) -> None:
    half = write(tmp_path, "half.yaml", "kind: hardware\nname: half\nextends: small.yaml\ngpus: 4\n")

    (cohort,) = load_profile(half).profile.cohorts
    assert (cohort.name, cohort.hardware, cohort.gpus, len(cohort.limits)) == ("half", "half", 4, 1)


def test_an_observe_limit_can_be_removed_with_a_reason_that_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "small.yaml", HARDWARE.replace("    unit: GB/s", "    effect: observe\n    unit: GB/s"))
    site = write(tmp_path, "site.yaml", SITE + "    remove: [{limit: copy.floor, reason: no such path here}]\n")

    profile = load_profile(site).profile

    assert profile.cohorts[0].limits == ()
    assert profile.notes == ("left: the limit copy.floor was removed: no such path here",)


def test_a_required_limit_can_not_be_removed(tmp_path: Path, small: str) -> None:
    site = write(tmp_path, "site.yaml", SITE + "    remove:\n      - {limit: copy.floor, reason: too hard}\n")

    assert f"{site}:9:9: remove[0].limit: only an observe limit can be removed" in said(site)


def test_removing_what_is_not_there_names_the_nearest(tmp_path: Path, small: str) -> None:
    site = write(tmp_path, "site.yaml", SITE + "    remove: [{limit: copy.flor, reason: x}]\n")

    assert "no limit of this id is inherited; did you mean copy.floor?" in said(site)


def test_the_digest_is_of_what_a_profile_says_not_of_how_it_is_written(tmp_path: Path, small: str) -> None:
    again = write(tmp_path, "b/small.yaml", "# a comment\n" + HARDWARE.replace("visits: 3\n", "") + "visits: 3\n")
    other = write(tmp_path, "c/small.yaml", HARDWARE.replace("5975", "5976"))

    first = digest(load_profile(small).profile)
    assert digest(load_profile(again).profile) == first
    assert digest(load_profile(other).profile) != first
    assert len(first) == 64


def test_a_loop_is_named_with_all_its_files(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        write(tmp_path, f"{one}.yaml", f"kind: site\nname: {one}\nextends: {other}.yaml\n")

    found = said(str(tmp_path / "a.yaml"))
    assert "c.yaml:3:10: extends: the profiles extend each other in a loop: a.yaml → b.yaml → c.yaml → a.yaml" in found


def test_a_cohort_that_extends_its_own_site_is_no_hardware(tmp_path: Path) -> None:
    site = write(tmp_path, "site.yaml", SITE.replace("./small.yaml", "./site.yaml"))

    assert "in a loop: site.yaml → site.yaml" in said(site)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    extends:", "    extend:"),
        ("name: left", "name: {}"),
        ("cohorts:\n  - name: left\n    extends: ./small.yaml", "extend: de-industrial-ai-cloud"),
    ],
)
def test_what_a_layer_would_have_brought_is_not_missing(tmp_path: Path, small: str, old: str, new: str) -> None:
    problems = said(write(tmp_path, "site.yaml", SITE.replace(old, new))).splitlines()

    assert len(problems) == 1, problems
    assert "did you mean extends?" in problems[0] or "name: must be text" in problems[0]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("./small.yaml", "hgx-b20", "site.yaml:7:14: extends: no profile of this name comes with gpuaccept; did you"),
        ("./small.yaml", "./nothing.yaml", "site.yaml:7:14: extends: "),
        ("./small.yaml", "[a]", "site.yaml:7:14: extends: must be the name or path of a profile; found a list"),
        ("./small.yaml", "de-industrial-ai-cloud", "extends: de-industrial-ai-cloud is not a hardware profile"),
        ("kind: site", "kind: sit", "site.yaml:1:7: kind: must be hardware or site; found 'sit'; did you mean site?"),
        ("kind: site\n", "", "site.yaml:1:1: the key kind is missing"),
        ("extends: ./small.yaml", "gpus: 8", "slots, metrics, limits, plans are missing (or extends, which"),
        ("- name: left", "- nmae: left", "cohorts[0].nmae: unknown key; did you mean name?"),
        ("cohorts:", "cohorts: {}\nx:", "cohorts: must be a list (- item); found a mapping"),
        ("cohorts:", "cohort:", "unknown key; did you mean cohorts?"),
        ("    extends", "    limits: none\n    extends", "cohorts[0].limits: must be a list (- item); found 'none'"),
        (
            "    extends",
            "    limits: [3]\n    extends",
            "cohorts[0].limits[1]: must be a mapping (key: value); found 3",
        ),
        ("    extends", "    metrics: [3]\n    extends", "cohorts[0].metrics: must be a mapping (key: value); found a"),
        ("    extends", "    remove: 3\n    extends", "cohorts[0].remove: must be a list (- item); found 3"),
        (
            "    extends",
            "    remove: [3]\n    extends",
            "cohorts[0].remove[0]: must be a mapping (key: value); found 3",
        ),
        ("version", "notes: 3\nversion", "notes: must be a list (- item); found 3"),
    ],
)
def test_what_can_not_be_merged_has_a_place(tmp_path: Path, small: str, old: str, new: str, text: str) -> None:
    site = write(tmp_path, "site.yaml", SITE.replace(old, new))

    assert text in said(site)


def test_ids_and_names_that_are_given_twice_are_named_with_both_lines(tmp_path: Path, small: str) -> None:
    twice = write(tmp_path, "twice.yaml", HARDWARE.replace("\nplans:", LIMIT.rstrip("\n") + "\nplans:"))
    site = write(tmp_path, "site.yaml", SITE + "  - name: left\n    extends: ./small.yaml\n")

    assert "twice.yaml:26:9: limits[1].id: 'copy.floor' is given twice; first on line 18" in said(twice)
    assert "site.yaml:8:11: cohorts[1].name: 'left' is given twice; first on line 6" in said(site)


def test_a_layer_names_a_cohort_that_is_not_there(tmp_path: Path, small: str) -> None:
    write(tmp_path, "site.yaml", SITE)
    rack = write(tmp_path, "r.yaml", "kind: site\nname: r\nextends: site.yaml\ncohorts: [{name: lefft, gpus: 4}]\n")

    assert "here has no cohort lefft; did you mean left? A new cohort needs extends" in said(rack)


def test_a_list_is_no_profile(tmp_path: Path) -> None:
    assert "list.yaml:1:1: a profile is a mapping" in said(write(tmp_path, "list.yaml", "- kind: site\n"))


def test_problems_of_all_layers_are_reported_with_their_own_file(tmp_path: Path) -> None:
    write(tmp_path, "small.yaml", HARDWARE.replace("gpus: 8", "gpus: eight"))
    site = write(tmp_path, "site.yaml", SITE + "    visits: 2\n")

    found = said(site)
    assert "small.yaml:7:7: cohorts[0].gpus: must be a whole number; found 'eight'" in found
    assert "site.yaml:8:13: cohorts[0].visits: must be at least 3; found 2" in found


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert "'hgx-b2000': no profile of this name comes with gpuaccept; did you mean hgx-b200?" in said("hgx-b2000")
    assert "no profile of this name" in said("a\0b")
    assert "there is no such file" in said("./hgx-b200.yaml")


SITE_LINES = (SITE + "    remove: [{limit: a, reason: b}]\n    limits:" + indent(LIMIT, "    ")).splitlines()
VALUES = [
    "",
    " 3",
    " [a]",
    " {a: b}",
    " [{id: x}]",
    " -1e9",
    " true",
    " copy.floor",
    " ./site.yaml",
    " hgx-b200",
    " null",
]
EDITS = st.tuples(st.integers(0, 60), st.sampled_from(["cut", "double", "value", "indent"]), st.sampled_from(VALUES))


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(EDITS, min_size=1, max_size=4))
def test_a_mangled_profile_is_a_profile_or_a_profile_error(
    tmp_path: Path, hardware: bool, edits: list[tuple[int, str, str]]
) -> None:
    lines = HARDWARE.splitlines() if hardware else list(SITE_LINES)
    for at, how, value in edits:
        at %= len(lines)
        key = lines[at].split(":")[0]
        lines[at : at + 1] = {
            "cut": [],
            "double": [lines[at], lines[at]],
            "value": [f"{key}:{value}"],
            "indent": [f"  {lines[at]}"],
        }[how] or ["# cut"]
    write(tmp_path, "small.yaml", "\n".join(lines) if hardware else HARDWARE)
    site = write(tmp_path, "site.yaml", SITE if hardware else "\n".join(lines))
    for path in (site, str(tmp_path / "small.yaml")):
        try:
            loaded = load_profile(path)
        except ProfileError as error:
            assert error.problems and all(problem.text for problem in error.problems)
        else:
            lint(loaded, declared(), PARAMETERS)
