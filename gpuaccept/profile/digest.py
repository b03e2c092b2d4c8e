"""The digest that names a resolved profile, computed without reading any file."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gpuaccept.data import Cohort, OtherCohort, Profile


def digest(profile: Profile) -> str:
    """sha256 of the profile's canonical JSON: every field in declared order, defaults filled in, map keys sorted.

    Each cohort stands in it as the sha256 of its own canonical JSON, so a record that holds one cohort in full, and of
    the others these digests, names the same profile.
    """
    global _newest
    if _newest is None or _newest[0] is not profile:
        _newest = profile, _digest(profile)
    return _newest[1]


_newest: tuple[Profile, str] | None = None
"""What `digest` was asked last, since a page and its verification both name one profile."""


def _digest(profile: Profile) -> str:
    others = {one.place: one.sha256 for one in profile.others}
    own = iter(profile.cohorts)
    places = range(len(profile.cohorts) + len(profile.others))
    fields: dict[str, Any] = _filled(profile)
    del fields["others"]
    fields["cohorts"] = [others.get(place) or _sha256(next(own, None)) for place in places]
    return _sha256(fields)


def narrowed(profile: Profile, cohort: Cohort | None) -> Profile:
    """The profile with one cohort in full and the digests of the others; whole where `cohort` is None."""
    if cohort is None:
        return profile
    others = tuple(
        OtherCohort(name=one.name, place=place, sha256=_sha256(one))
        for place, one in enumerate(profile.cohorts)
        if one is not cohort
    )
    return msgspec.structs.replace(profile, cohorts=(cohort,), others=others)


def _sha256(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(_filled(value))).hexdigest()


_PLAIN = frozenset({str, float, int, bool, type(None)})
"""Types of values that are written as they are."""


def _filled(value: Any) -> Any:
    """Plain values with every default written out, whatever the types leave out in a record."""
    if isinstance(value, msgspec.Struct):
        fields = dict(zip(value.__struct_encode_fields__, msgspec.structs.astuple(value), strict=True))
        fields.update([(name, _filled(item)) for name, item in fields.items() if item and type(item) not in _PLAIN])
        return fields
    if isinstance(value, dict):
        return {key: _filled(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [_filled(item) for item in value]
    return value
