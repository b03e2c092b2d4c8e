"""A profile's digest is the same whether a record holds all of its cohorts or one, and differs where anything does."""

from __future__ import annotations

import msgspec

from gpuaccept.profile.digest import digest, narrowed
from gpuaccept.profile.load import load_profile


def test_a_narrowed_profile_has_the_digest_of_the_whole() -> None:
    profile = load_profile("de-industrial-ai-cloud").profile
    assert len(profile.cohorts) > 1
    for cohort in profile.cohorts:
        small = narrowed(profile, cohort)
        assert [one.name for one in small.cohorts] == [cohort.name]
        assert digest(small) == digest(profile)


def test_a_change_of_a_cohort_changes_the_digest() -> None:
    profile = load_profile("de-industrial-ai-cloud").profile
    small = narrowed(profile, profile.cohorts[0])
    own = msgspec.structs.replace(small.cohorts[0], visits=small.cohorts[0].visits + 1)
    other = msgspec.structs.replace(small.others[0], sha256="0" * 64)
    assert digest(msgspec.structs.replace(small, cohorts=(own,))) != digest(profile)
    assert digest(msgspec.structs.replace(small, others=(other,))) != digest(profile)


def test_without_a_cohort_the_profile_stays_whole() -> None:
    profile = load_profile("de-industrial-ai-cloud").profile
    assert narrowed(profile, None) is profile
