"""The digest that names a resolved profile, computed without reading any file."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gpuaccept.data import Profile


def digest(profile: Profile) -> str:
    """sha256 of the profile's canonical JSON: every field in declared order, defaults filled in, map keys sorted."""
    return hashlib.sha256(msgspec.json.encode(_filled(profile))).hexdigest()


def _filled(value: Any) -> Any:
    """Plain values with every default written out, whatever the types leave out in a record."""
    if isinstance(value, msgspec.Struct):
        names_ = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {shown: _filled(getattr(value, name)) for name, shown in names_}
    if isinstance(value, dict):
        return {key: _filled(value[key]) for key in sorted(value)}
    if isinstance(value, tuple | list):
        return [_filled(item) for item in value]
    return value
