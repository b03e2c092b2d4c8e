"""What evidence has to look like before it is judged: a signature says who wrote it, not that it makes sense."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from gpuaccept.data import STARS_LIMIT, Column, Evidence, MetricDeclaration, Scalar, Statement
from gpuaccept.record.envelope import printable
from gpuaccept.record.statement import certificate_id, predicate_type, subjects

STUB_UUID = "GPU-57ab57ab"
"""UUIDs of the stub driver start with this: such a run is simulated, whatever its record says."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
INTEGER = re.compile(r"-?\d{1,40}", re.ASCII)
SUBJECT = re.compile(r"[A-Za-z0-9/>._:-]{1,80}")
GPUS_LIMIT = 256
"""A bound that no real record comes near: the judge expands every GPU up to the highest index."""


def problems(statement: Statement) -> tuple[str, ...]:
    """Everything in a statement that contradicts itself, as sentences; empty where it makes sense."""
    return tuple(_statement(statement)) + tuple(_evidence(statement.predicate.evidence))


def _statement(statement: Statement) -> Iterator[str]:
    predicate = statement.predicate
    evidence = predicate.evidence
    if statement.predicate_type != predicate_type(evidence):
        simulated = "simulated" if evidence.simulated else "not simulated"
        yield f"the predicate type is {printable(statement.predicate_type)}, and the evidence is {simulated}"
    if statement.subject != subjects(evidence.node):
        yield "the subjects are not the node and GPUs of the evidence"
    if predicate.certificate_id != certificate_id(evidence):
        yield f"the certificate id {printable(predicate.certificate_id)} does not belong to this run"
    if not predicate.signers:
        yield "the record lists no signer"
    ledger = predicate.ledger
    if not 1 <= ledger.number <= ledger.started or not 0 <= ledger.unfinished < ledger.started:
        yield f"the ledger position is impossible: run {ledger.number} of {ledger.started}"


def _evidence(evidence: Evidence) -> Iterator[str]:
    for name, text in (("start", evidence.started_at), ("end", evidence.ended_at)):
        if not TIME.fullmatch(text):
            yield f"the {name} of the run is not a UTC time: {printable(text)}"
    if evidence.started_at > evidence.ended_at:
        yield f"the run ended ({printable(evidence.ended_at)}) before it started ({printable(evidence.started_at)})"
    if evidence.simulated is None and any(gpu.uuid.startswith(STUB_UUID) for gpu in evidence.node.gpus):
        yield "a GPU has the UUID of the stub driver, and the record does not say that it is simulated"
    if any(not 0 <= gpu.index < GPUS_LIMIT for gpu in evidence.node.gpus):
        yield f"a GPU's index is not between 0 and {GPUS_LIMIT - 1}"
    for limit in (limit for cohort in evidence.profile.cohorts for limit in cohort.limits):
        if max(pattern.count("*") for pattern in (limit.subjects, *limit.valid_for)) > STARS_LIMIT:
            yield f"a pattern of limit {limit.id} has more than {STARS_LIMIT} stars"
    yield from _twice("GPU index", (str(gpu.index) for gpu in evidence.node.gpus))
    yield from _twice("GPU UUID", (gpu.uuid for gpu in evidence.node.gpus))
    yield from _twice("check", (check.name for check in evidence.checks))
    yield from _twice("metric", (metric.name for check in evidence.checks for metric in check.metrics))
    yield from _twice("series", (f"{one.name} of {of.subject}" for of in evidence.series for one in of.series))
    yield from _twice("cohort", (cohort.name for cohort in evidence.profile.cohorts))
    yield from _twice("measurement", (f"{c.metric}, visit {c.visit}, look {c.look}" for c in evidence.columns))
    if evidence.series and not evidence.series_sha256:
        yield "series are summarised, and the digest of their samples is missing"
    declared = {metric.name: metric for check in evidence.checks for metric in check.metrics}
    of_subjects = {subjects: tuple(_subjects(subjects)) for subjects in {one.subjects for one in evidence.columns}}
    for column in evidence.columns:
        yield from _column(column, declared.get(column.metric), of_subjects[column.subjects])


def _subjects(subjects: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with subjects, which many columns share."""
    yield from _twice("subject", subjects)
    if not all(map(SUBJECT.fullmatch, subjects)):
        yield "a subject has a name that no check gives"


def _column(column: Column, metric: MetricDeclaration | None, of_subjects: tuple[str, ...]) -> Iterator[str]:
    where = f"{column.metric}, visit {column.visit}"
    if metric is None:
        yield f"{where}: no check of the record declares this metric"
        return
    if len(column.subjects) != len(column.samples):
        yield f"{where}: {len(column.subjects)} subjects and samples of {len(column.samples)}"
        return
    for fault in of_subjects:
        yield f"{where}: {fault}"
    sizes = set(map(len, column.samples))
    if 0 in sizes:
        yield f"{where}: a subject has 0 samples"
    if metric.reduction is not None and sizes - {0, 1}:
        yield f"{where}: a figure that is derived from a series has several samples"
    distinct: set[Scalar] = set().union(*column.samples)
    texts = [sample for sample in distinct if isinstance(sample, str)]
    if metric.kind == "sampled" or metric.reduction is not None:
        if texts:
            yield f"{where}: a sample is not a number"
    elif metric.kind in ("counted", "difference", "rate") and not (
        len(texts) == len(distinct) and all(map(INTEGER.fullmatch, texts))
    ):
        yield f"{where}: a sample of a counter is not an integer"


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    listed = tuple(names)
    if len(set(listed)) != len(listed):
        name, count = Counter(listed).most_common(1)[0]
        yield f"{what} {printable(name)} stands there {count} times"
