"""What a record says against what follows from its samples: the first difference, in words."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gpuaccept import series
from gpuaccept.data import Evidence, Judgement, Verdict
from gpuaccept.record.envelope import printable


def first_difference(stored: msgspec.Struct, computed: msgspec.Struct) -> str:
    """`judged[3].failed: 0 in the record, 1 when judged again`; empty where the values are equal."""
    if stored == computed:
        return ""
    return _difference(msgspec.to_builtins(stored), msgspec.to_builtins(computed), "")


def verdicts_alone(judgement: Judgement) -> Judgement:
    """A judgement without what is chosen for people: reasons, and findings put into words."""

    def bare(verdict: Verdict) -> Verdict:
        return msgspec.structs.replace(verdict, reason="")

    return msgspec.structs.replace(
        judgement,
        reason="",
        findings=(),
        judged=tuple(
            msgspec.structs.replace(
                one, worst=bare(one.worst) if one.worst else None, missed=tuple(bare(verdict) for verdict in one.missed)
            )
            for one in judgement.judged
        ),
    )


def series_difference(evidence: Evidence, path: Path) -> str:
    """What in a series file does not lead to the record's summaries and derived figures; empty where all does."""
    with path.open("rb") as file:
        raw = series.unpack(file.read(series.FILE_LIMIT_BYTES))
    if hashlib.sha256(raw).hexdigest() != evidence.series_sha256:
        return f"{path.name} is not the file that the record was made with"
    groups = series.decode(raw)
    if series.encode(groups) != raw:
        return f"{path.name} is not in canonical encoding"
    declared = [metric for check in evidence.checks for metric in check.metrics if metric.reduction is not None]
    if series.summarise(groups, declared) != evidence.series:
        return "the summaries in the record do not follow from the samples"
    stored: dict[str, dict[str, object]] = {metric.name: {} for metric in declared}
    for column in evidence.columns:
        if column.metric in stored:
            stored[column.metric].update(
                (subject, samples[0]) for subject, samples in zip(column.subjects, column.samples, strict=True)
            )
    for name, values in series.derive(groups, declared).items():
        if stored[name] != values:
            subject = next(s for s in sorted({*values, *stored[name]}) if values.get(s) != stored[name].get(s))
            return f"{name} of {subject} is {stored[name].get(subject)} in the record and {values.get(subject)} by them"
    return ""


def _difference(stored: Any, computed: Any, path: str) -> str:
    if isinstance(stored, dict) and isinstance(computed, dict):
        for key in [*stored, *(key for key in computed if key not in stored)]:
            if stored.get(key) != computed.get(key):
                return _difference(stored.get(key), computed.get(key), f"{path}.{key}" if path else str(key))
    if isinstance(stored, list | tuple) and isinstance(computed, list | tuple):
        for number, (one, other) in enumerate(zip(stored, computed, strict=False)):
            if one != other:
                return _difference(one, other, f"{path}[{number}]")
        return f"{path}: {len(stored)} in the record, {len(computed)} when computed again"
    return f"{path}: {_shown(stored)} in the record, {_shown(computed)} when computed again"


def _shown(value: Any) -> str:
    return printable(msgspec.json.encode(value).decode(), 120)
