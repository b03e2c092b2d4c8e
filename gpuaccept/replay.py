"""A record as a source of evidence: its raw samples through today's checks' metrics, under the profile that is named.

A record holds what checks measured, not the driver calls that they made, so there is no node to open: the samples go
to the judge as they are. Nothing is measured, and the run that comes out is a simulated one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from gpuaccept import __version__, series
from gpuaccept.check import Check
from gpuaccept.data import Column, Event, Evidence, MetricDeclaration, Plan, PlannedStep, SeriesGroup, Simulated
from gpuaccept.errors import EvidenceError
from gpuaccept.judge.scope import cohort_of
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.record.difference import series_difference
from gpuaccept.record.envelope import printable
from gpuaccept.run.journal import derived_columns
from gpuaccept.run.loading import LoadedCheck, declarations
from gpuaccept.run.plan import step_metrics
from gpuaccept.verify import SERIES_FILE, read_record


class Source(NamedTuple):
    """A record that can be replayed."""

    evidence: Evidence
    certificate_id: str
    sha256: str
    """Of the envelope's bytes."""
    groups: tuple[SeriesGroup, ...] | None
    """The samples of its series; None where the file is not beside the record."""


class Replayed(NamedTuple):
    """Evidence of a replay, the inflated bytes of its series, and what of the record did not come along."""

    evidence: Evidence
    series: bytes
    notes: tuple[str, ...]


def read(path: Path) -> Source:
    """The record of a file, and the series beside it.

    Who signed the record is not asked: whatever it says, what comes out is simulated. Raises UsageError where there is
    no such file, EvidenceError where the record was altered, contradicts itself, or the series are not its own.
    """
    opened = read_record(path)
    predicate = opened.statement.predicate
    file = path.parent / SERIES_FILE
    groups = None
    if predicate.evidence.series_sha256 and file.is_file():
        try:
            difference = series_difference(predicate.evidence, file)
            with file.open("rb") as stream:
                groups = series.decode(series.unpack(stream.read(series.FILE_LIMIT_BYTES)))
        except OSError as error:
            raise EvidenceError(f"{file} can't be read: {error.strerror}") from error
        if difference:
            raise EvidenceError(f"{file}: series differ: {difference}", "replay the record without this file beside it")
    return Source(predicate.evidence, predicate.certificate_id, hashlib.sha256(opened.envelope).hexdigest(), groups)


def replay(
    source: Source, profile: LoadedProfile, plan: str, checks: Mapping[str, LoadedCheck], run_id: str
) -> Replayed:
    """The evidence that today's judge is handed: the record's samples as they are, the profile and plan named.

    Steps are those that the record planned, with the metrics that today's checks would yield in them: what the plan of
    the profile asks for beyond them is lacking, and a metric that the record knows nothing of is not measured.
    """
    before = source.evidence
    declared = declarations(dict(checks))
    left_out = _left_out(before, declared, derived=source.groups is not None)
    steps, lacking = _steps(before.plan.steps, checks)
    groups = _known(source.groups or (), checks)
    columns = [c for c in before.columns if c.metric not in left_out and not _again(declared[c.metric], source)]
    if source.groups is not None:
        columns += derived_columns(groups, list(declared.values()))
    raw = series.encode(groups) if groups else b""
    notes = (
        *lacking,
        *_grouped(left_out),
        *_unmeasured(steps, columns),
        *_series_notes(source, groups),
        *_changed_checks(before, checks),
    )
    taking_part = [checks[name] for name in dict.fromkeys(step.check for step in steps)]
    under = msgspec.structs.replace(
        before,
        run_id=run_id,
        simulated=Simulated(by="replay", scenario=source.certificate_id, digest=source.sha256),
        profile=profile.profile,
        profile_layers=profile.layers,
        environment=msgspec.structs.replace(before.environment, gpuaccept_version=__version__),
        checks=tuple(one.facts() for one in taking_part),
        steps=tuple(step for step in before.steps if step.check in checks),
        columns=tuple(columns),
        events=(*before.events, *(Event(at_s=0.0, kind="replay", text=note) for note in notes)),
    )
    if source.groups is not None:
        under = msgspec.structs.replace(
            under,
            series=series.summarise(groups, list(declared.values())),
            series_sha256=hashlib.sha256(raw).hexdigest() if raw else "",
        )
    cohort = cohort_of(under)
    spec = cohort.plans.get(plan) if cohort else None
    made = Plan(
        name=plan,
        acceptance=spec.acceptance if spec else False,
        cohort=cohort.name if cohort else "",
        steps=steps,
    )
    return Replayed(msgspec.structs.replace(under, plan=made), raw, notes)


def _left_out(before: Evidence, declared: Mapping[str, MetricDeclaration], derived: bool) -> dict[str, str]:
    """Metric of the record's samples -> why they can't be those of today's metric of that name."""
    then = {metric.name: metric for check in before.checks for metric in check.metrics}
    out: dict[str, str] = {}
    for name in dict.fromkeys(column.metric for column in before.columns):
        now, was = declared.get(name), then[name]
        if now is None:
            out[name] = "no check declares it today"
            continue
        for field in ("unit", "kind", "subject"):
            if getattr(now, field) != getattr(was, field):
                was_, is_ = (printable(getattr(one, field), 40) or "none" for one in (was, now))
                out[name] = f"its {field} was {was_} and is {is_}"
                break
        else:
            same = (was.series, was.reduction) == (now.series, now.reduction)
            if not same and not (derived and now.reduction is not None):
                out[name] = "it is derived in another way today, and the series are not there to do so"
    return out


def _again(now: MetricDeclaration, source: Source) -> bool:
    """Whether a figure is derived from the series again, so that the record's own is not needed."""
    return source.groups is not None and now.reduction is not None


def _steps(
    planned: Iterable[PlannedStep], checks: Mapping[str, LoadedCheck]
) -> tuple[tuple[PlannedStep, ...], list[str]]:
    """The record's steps with the metrics of today, and the checks that there are no more."""
    steps, gone = [], {}
    for step in planned:
        loaded = checks.get(step.check)
        if loaded is None:
            gone[step.check] = f"left out: check {step.check}, which is not there today"
            continue
        metrics = _metrics(loaded.check, step)
        steps.append(msgspec.structs.replace(step, metrics=metrics))
    return tuple(steps), list(gone.values())


def _metrics(check: Check, step: PlannedStep) -> tuple[str, ...]:
    """What today's check yields in a step; all that it declares, where its parameters are no longer those."""
    known = {field.encode_name for field in msgspec.structs.fields(check.parameters)}
    given = {name: value for name, value in step.parameters.items() if name in known}
    try:
        return step_metrics(check, msgspec.convert(given, type=check.parameters), step.state)
    except msgspec.ValidationError:
        whole = msgspec.convert({}, type=check.parameters)
        ungrouped = Check(check.name, check.purpose, check.scope, check.metrics, check.measure)
        return step_metrics(ungrouped, whole, step.state)


def _known(groups: Iterable[SeriesGroup], checks: Mapping[str, LoadedCheck]) -> tuple[SeriesGroup, ...]:
    """Groups without the series that today's checks do not have, or have in another unit."""
    units = {f"{name}.{key}": unit for name, one in checks.items() for key, unit in one.check.series}
    out = []
    for group in groups:
        rows = zip(group.names, group.units, group.values, strict=True)
        kept = [row for row in rows if units.get(row[0]) == row[1]]
        if kept:
            names, of, values = zip(*kept, strict=True)
            out.append(msgspec.structs.replace(group, names=names, units=of, values=values))
    return tuple(out)


def _grouped(left_out: Mapping[str, str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return [f"left out, since {reason}: {', '.join(names)}" for reason, names in reasons.items()]


def _unmeasured(steps: Iterable[PlannedStep], columns: Iterable[Column]) -> list[str]:
    """Metrics of today's checks in these steps that the record has no samples of."""
    wanted = dict.fromkeys(name for step in steps if not step.skip for name in step.metrics)
    missing = wanted.keys() - {column.metric for column in columns}
    if not missing:
        return []
    return [f"not measured: the record has no samples of {', '.join(name for name in wanted if name in missing)}"]


def _series_notes(source: Source, groups: tuple[SeriesGroup, ...]) -> list[str]:
    if not source.evidence.series_sha256:
        return []
    if source.groups is None:
        return [f"{SERIES_FILE} is not beside the record: figures that come from series are those of the record"]
    lost = {name for group in source.groups for name in group.names} - {name for g in groups for name in g.names}
    return [f"left out: series {', '.join(sorted(lost))}: no check has them today"] if lost else []


def _changed_checks(before: Evidence, checks: Mapping[str, LoadedCheck]) -> list[str]:
    changed = [one.name for one in before.checks if one.name in checks and checks[one.name].sha256 != one.source_sha256]
    if not changed:
        return []
    return [f"measured by another version of {', '.join(changed)}: the samples are judged as if by today's"]
