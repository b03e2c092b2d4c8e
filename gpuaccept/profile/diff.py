"""What differs between two resolved profiles, by what each thing is called rather than by where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from gpuaccept.data import Cohort, Profile, Value


class Change(Value, frozen=True, kw_only=True):
    """One difference: `path` names it (`cohort dgx-b200 / limit copy_sm_hot.floor / minimum`)."""

    change: Literal["added", "removed", "changed"]
    path: str
    before: Any = None
    after: Any = None


def compare(before: Profile, after: Profile) -> tuple[Change, ...]:
    """Every difference, in the order of the profiles. Limits, metrics and plans are matched by their name.

    Cohorts are matched by name; of two profiles with one cohort each, these two are compared, whatever they are called.
    """
    pairs: dict[str, tuple[Cohort | None, Cohort | None]] = {}
    if len(before.cohorts) == len(after.cohorts) == 1:
        pairs[after.cohorts[0].name] = (before.cohorts[0], after.cohorts[0])
    else:
        first = {cohort.name: cohort for cohort in before.cohorts}
        second = {cohort.name: cohort for cohort in after.cohorts}
        pairs = {name: (first.get(name), second.get(name)) for name in {**first, **second}}
    changes = list(_walk("", _plain(before, "cohorts"), _plain(after, "cohorts")))
    for name, (one, other) in pairs.items():
        if one is None or other is None:
            kind: Literal["added", "removed"] = "removed" if other is None else "added"
            changes.append(Change(change=kind, path=f"cohort {name}", before=_title(one), after=_title(other)))
        else:
            changes += _walk(f"cohort {name}", _named(one), _named(other))
    return tuple(changes)


def _plain(value: msgspec.Struct, *leave_out: str) -> dict[str, Any]:
    fields = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    return {shown: msgspec.to_builtins(getattr(value, name)) for name, shown in fields if name not in leave_out}


def _named(cohort: Cohort) -> dict[str, Any]:
    """A cohort with every collection keyed by what its members are called."""
    out = _plain(cohort, "limits", "metrics", "plans", "slots")
    out |= {f"slot {module}": name for module, name in cohort.slots.items()}
    out |= {f"metric {name}": _plain(facts) for name, facts in cohort.metrics.items()}
    out |= {f"limit {limit.id}": _plain(limit) for limit in cohort.limits}
    out |= {f"plan {name}": _plain(plan) for name, plan in cohort.plans.items()}
    return out


def _walk(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in {**before, **after}:
        below = f"{path} / {key}" if path else key
        if key not in after:
            yield Change(change="removed", path=below, before=before[key])
        elif key not in before:
            yield Change(change="added", path=below, after=after[key])
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            yield from _walk(below, before[key], after[key])
        elif before[key] != after[key]:
            yield Change(change="changed", path=below, before=before[key], after=after[key])


def _title(cohort: Cohort | None) -> str | None:
    return f"{cohort.hardware}, {cohort.gpus} GPUs, {len(cohort.limits)} limits" if cohort else None
