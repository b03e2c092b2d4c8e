"""The stored matrix of checks and faults is of this catalogue and these checks, and a run shows the same."""

from __future__ import annotations

import msgspec
import pytest

from gpuaccept.data import Judged, Judgement, Verdict
from gpuaccept.device.open import faults
from gpuaccept.errors import UsageError
from gpuaccept.matrix import digest_of, fitting, stored, try_one
from gpuaccept.proof import who
from gpuaccept.run.loading import load_checks

CHECKS = load_checks()
SAMPLE = ("vbios_mixed", "ecc_corrected_storm", "nvlink_link_down", "sm_silent_corruption", "memory_alloc_fails")
"""Faults that are run again: of several checks, of several checks at once, and one that can't be measured."""


def test_every_fault_is_in_the_matrix_and_was_found_as_the_catalogue_says() -> None:
    rows = stored().rows
    assert [row.fault for row in rows] == [fault.name for fault in faults()]
    assert not [row.fault for row in rows if not (row.expected and row.named)]
    assert not [row.fault for row in rows if row.decision == "accepted" or not row.caught_by]


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_catches_a_fault_and_says_of_those_that_it_catches_that_it_detects_them(name: str) -> None:
    caught = {row.fault for row in stored().rows if row.measured and name in row.caught_by}
    not_measured = {row.fault for row in stored().rows if not row.measured and name in row.caught_by}
    claimed = set(CHECKS[name].check.detects)
    assert caught, f"{name} catches no fault of the catalogue: add one that it must catch, then `make matrix`"
    assert caught <= claimed <= caught | not_measured


def test_the_matrix_is_of_these_checks_and_profiles() -> None:
    assert stored().digest == digest_of(CHECKS), "checks or profiles have changed since: run `make matrix`"


@pytest.mark.parametrize("name", SAMPLE)
def test_a_run_shows_what_the_matrix_says(name: str) -> None:
    row = next(row for row in stored().rows if row.fault == name)
    assert try_one(next(fault for fault in faults() if fault.name == name)) == row


def test_a_matrix_of_other_checks_is_refused() -> None:
    fewer = {name: one for name, one in CHECKS.items() if name != "ecc"}
    with pytest.raises(UsageError, match="says nothing of them"):
        fitting(fewer)


def test_a_check_follows_where_it_could_not_measure_or_does_not_count() -> None:
    def judged(metric: str, result: str, reason: str, effect: str = "require") -> Judged:
        verdict = Verdict(subject="gpu/2", result=result, reason=reason)  # type: ignore[arg-type]
        return Judged(limit=metric, metric=metric, effect=effect, missed=(verdict,))  # type: ignore[arg-type]

    found = Judgement(
        decision="rejected", reason="", plan="", cohort="", findings=(), coverage=(), not_in_plan=(), assumptions=0,
        observed_misses=1, judged=(
            judged("a.one", "fail", "too low"),
            judged("b.one", "error", "was not measured"),
            judged("c.one", "inconclusive", "does not count: a.one is not met"),
            judged("d.one", "inconclusive", "too near to its limit"),
            judged("e.one", "fail", "too low", "observe"),
        ),
    )  # fmt: skip
    assert who(found) == ({"a", "d"}, {"b"}, {"c"})
    assert who(msgspec.structs.replace(found, judged=())) == (set(), set(), set())
