"""Judging a record or page again from its own bytes: signatures, shape, verdicts, series, and the page itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec

from gpuaccept import __version__, errors
from gpuaccept.ambient import Ambient
from gpuaccept.data import Decision, Evidence, Judgement, Profile, Statement, Value
from gpuaccept.errors import EvidenceError, UsageError
from gpuaccept.record import envelope, shape
from gpuaccept.record.difference import first_difference, series_difference, verdicts_alone
from gpuaccept.record.trust import Trust, read_trust

PAGE_LIMIT_BYTES = 64 << 20
SERIES_FILE = "series.json.gz"
_REMEDY = "`gpuaccept verify` says all that is wrong with it"
Series = Literal["match", "differ", "absent"]
Page = Literal["exact", "differs", "none"]
EXIT_CODES: dict[Decision, int] = {
    "accepted": errors.EXIT_ACCEPTED,
    "accepted with concession": errors.EXIT_ACCEPTED,
    "rejected": errors.EXIT_REJECTED,
    "not decided": errors.EXIT_NOT_DECIDED,
}


class Verification(Value, frozen=True, kw_only=True):
    """What was found out about one file. `decision` is the record's own, confirmed where `valid`."""

    file: str
    valid: bool
    exit_code: int
    problems: tuple[str, ...]
    """Why it is not valid."""
    decision: Decision | None = None
    """None where the record can't even be read."""
    reason: str = ""
    """The judgement's reason for its decision."""
    acceptance: bool = False
    """Whether the plan is an acceptance: what passes another is passed, and accepts no node."""
    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was not checked, and what else the reader has to know."""
    signers: tuple[str, ...] = ()
    series: Series = "absent"
    page: Page = "none"
    """`none`: the file is a record, not a page."""
    simulated: bool = False
    certificate_id: str = ""
    node: str = ""
    plan: str = ""
    profile: str = ""
    profile_sha256: str = ""
    record_sha256: str = ""
    rejudged: Decision | None = None
    """The decision by the profile that the verifier gave."""
    rejudged_reason: str = ""
    """The reason for it."""
    rejudged_by: str = ""


class _Findings(msgspec.Struct):
    problems: list[str] = []
    checked: list[str] = []
    notes: list[str] = []
    signers: list[str] = []
    series: Series = "absent"
    page: Page = "none"


def verify_path(
    path: Path,
    *,
    at: str | None = None,
    trust: Path | Trust | None = None,
    integrity_only: bool = False,
    allow_simulated: bool = False,
    profile: Profile | None = None,
    require_series: bool = False,
) -> Verification:
    """Check a record or certificate, offline. `at` is the time to check at (RFC 3339, UTC; default: now).

    Raises UsageError where the file, the trust file or a combination of options can't be used; whatever is wrong with
    the evidence itself stands in the result, with exit code 4.
    """
    if trust is not None and integrity_only:
        raise UsageError("--trust and --integrity-only exclude each other", "drop one of them")
    if isinstance(trust, Path):
        trust = read_trust(trust)
    found = _Findings()
    try:
        data = _read(path)
        page, record = page_and_record(data)
        opened = envelope.open_record(record)
    except EvidenceError as error:
        return Verification(file=str(path), valid=False, exit_code=errors.EXIT_EVIDENCE, problems=(error.fact,))
    found.checked.append("signature and canonical bytes")
    statement = opened.statement
    evidence = statement.predicate.evidence
    _check_signers(found, opened, trust, integrity_only)
    _check_simulated(found, statement, allow_simulated)
    found.problems += shape.problems(statement)
    if found.problems:
        found.notes.append("the evidence was not judged again, since the record is not in order")
    else:
        _check_judgement(found, statement)
        _check_series(found, evidence, path.parent / SERIES_FILE, require_series)
        _check_page(found, opened, page)
    if not evidence.plan.acceptance and statement.predicate.judgement.decision == "accepted":
        found.notes.append(f"plan {evidence.plan.name} is no acceptance: this record does not accept the node")
    at = at or Ambient().utc()
    if shape.TIME.fullmatch(evidence.ended_at) and evidence.ended_at > at:
        found.notes.append(f"the run ended at {evidence.ended_at}, which is later than now ({at})")
    if not evidence.complete:
        found.notes.append(f"the run is incomplete: {envelope.printable(evidence.incomplete_reason)}")
    rejudged = _judge(found, _by_profile(evidence, profile)) if profile and not found.problems else None
    if profile and rejudged and (beside := _not_measured(statement.predicate.judgement, rejudged)):
        found.notes.append(f"required by {profile.name}, not measured in this run, so not decided on: {beside}")
    return _verification(path, found, opened, rejudged, profile)


def read_record(path: Path) -> envelope.Opened:
    """The record of a file, or that of a page: whole, signed by those that it lists, and not at odds with itself.

    Says nothing on who signed. Raises UsageError where there is no such file, EvidenceError for anything else.
    """
    try:
        opened = envelope.open_record(page_and_record(_read(path))[1])
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error.fact}", error.remedy or _REMEDY) from None
    found = shape.problems(opened.statement)
    if found:
        raise EvidenceError(f"{path}: {found[0]}", _REMEDY)
    return opened


def page_and_record(data: bytes) -> tuple[bytes | None, bytes]:
    """What a file is: a page and the record in it, or a record alone. Raises EvidenceError where it is neither."""
    if not data:
        raise EvidenceError("the file is empty")
    if data.startswith(b"{"):
        return None, data
    if not data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise EvidenceError("the file is neither a record nor a certificate")
    from gpuaccept.certificate.html import extract

    return data, extract(data)[0]


def worst_exit_code(codes: list[int]) -> int:
    """Over several records: 4 if any, else 5, else 3, else 0."""
    order = (errors.EXIT_EVIDENCE, errors.EXIT_REJECTED, errors.EXIT_NOT_DECIDED)
    return next((code for code in order if code in codes), errors.EXIT_ACCEPTED)


def _read(path: Path) -> bytes:
    if not path.exists():
        raise UsageError(f"there is no file {path}", "name a record.json or certificate.html")
    if path.is_dir():
        raise UsageError(f"{path} is a directory", "name the record.json or certificate.html in it")
    try:
        with path.open("rb") as file:
            data = file.read(PAGE_LIMIT_BYTES + 1)
    except OSError as error:
        raise EvidenceError(f"the file can't be read: {error.strerror}") from None
    if len(data) > PAGE_LIMIT_BYTES:
        raise EvidenceError(f"the file is larger than {PAGE_LIMIT_BYTES >> 20} MiB")
    return data


def _check_signers(found: _Findings, opened: envelope.Opened, trust: Trust | None, integrity_only: bool) -> None:
    """Whom the signatures are by: the trust file alone says that, never the record."""
    for role, key in opened.signers:
        if trust is None:
            found.signers.append(f"{role}: unknown (key sha256:{key.keyid})")
            continue
        try:
            entry = trust.vouch(role, key, opened.statement.predicate.evidence.ended_at)
        except EvidenceError as error:
            found.signers.append(f"{role}: not trusted (key sha256:{key.keyid})")
            found.problems.append(error.fact)
        else:
            found.signers.append(f"{role}: {entry.person}, {entry.organisation} (key sha256:{key.keyid})")
    if trust is not None:
        if not any(role == "node" for role, _ in opened.signers):
            found.problems.append("no node key signed the record")
        found.checked.append(f"signers against {trust.file}")
    elif integrity_only:
        found.notes.append("who signed was not checked (--integrity-only): anyone can make a record with a new key")
    else:
        found.problems.append("the signer is unknown: give the buyer's --trust FILE, or --integrity-only")


def _check_simulated(found: _Findings, statement: Statement, allow_simulated: bool) -> None:
    if statement.predicate.evidence.simulated is None:
        return
    if allow_simulated:
        found.notes.append("SIMULATED: this record says nothing about any hardware")
    else:
        found.problems.append("the run was simulated: it says nothing about any hardware (see --allow-simulated)")


def _check_judgement(found: _Findings, statement: Statement) -> None:
    predicate = statement.predicate
    judged = _judge(found, predicate.evidence)
    if judged is None:
        return
    version = predicate.evidence.environment.gpuaccept_version
    difference = (
        first_difference(predicate.judgement, judged)
        if version == __version__
        else first_difference(verdicts_alone(predicate.judgement), verdicts_alone(judged))
    )
    if not difference and version != __version__:
        found.notes.append(
            f"the words beside the verdicts were not compared: gpuaccept {envelope.printable(version)} chose them"
        )
    if difference:
        found.problems.append(f"the stored judgement does not follow from the evidence: {difference}")
    else:
        samples = sum(len(one) for column in predicate.evidence.columns for one in column.samples)
        found.checked.append(f"judgement, from {samples} raw samples")


def _judge(found: _Findings, evidence: Evidence) -> Judgement | None:
    from gpuaccept.judge import judge

    try:
        return judge(evidence)
    except Exception as error:
        found.problems.append(f"the evidence can't be judged: {_said(error)}")
        return None


def _not_measured(stored: Judgement, rejudged: Judgement) -> str:
    """Required limits that another profile adds and that do not decide: a metric's name may just be mistyped."""
    added = [name for name in rejudged.not_in_plan if name not in stored.not_in_plan]
    return ", ".join(added[:8]) + (f" and {len(added) - 8} more" if len(added) > 8 else "")


def _check_series(found: _Findings, evidence: Evidence, path: Path, required: bool) -> None:
    if not evidence.series_sha256:
        found.notes.append("the run has no series")
        return
    if not path.is_file():
        text = f"{SERIES_FILE} is not beside it: figures that come from series were taken from the record"
        (found.problems if required else found.notes).append(text)
        return
    try:
        difference = series_difference(evidence, path)
    except Exception as error:
        difference = _said(error)
    if difference:
        found.series = "differ"
        found.problems.append(f"series differ: {difference}")
    else:
        found.series = "match"
        found.checked.append(f"{len(evidence.series)} series, and the figures that come from them")


def _check_page(found: _Findings, opened: envelope.Opened, page: bytes | None) -> None:
    if page is None:
        return
    from gpuaccept.certificate import html

    template = opened.statement.predicate.template
    _, page_template, _ = html.extract(page)
    found.page = "differs"
    if template != html.TEMPLATE or page_template != template:
        found.problems.append(
            f"the page's template {envelope.printable(page_template)} is not known to this version, "
            "so what the page shows can't be checked; `gpuaccept render` makes a new page from the record"
        )
        return
    try:
        rendered = html.render(opened.statement, opened.envelope)
    except Exception as error:
        found.problems.append(f"the page can't be rendered: {_said(error)}")
        return
    if rendered != page:
        found.problems.append(f"the page does not show what its record says: {_page_difference(page, rendered)}")
        return
    found.page = "exact"
    found.checked.append("the page, byte for byte against its record")


def _page_difference(page: bytes, rendered: bytes) -> str:
    text = page.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").rstrip(b"\n")
    if text == rendered.rstrip(b"\n"):
        return "its line ends or its byte order mark were changed, its text was not; `gpuaccept render` mends that"
    pairs = zip(page.split(b"\n"), rendered.split(b"\n"), strict=False)
    line = next((number for number, (one, other) in enumerate(pairs, 1) if one != other), 0)
    return f"it differs from line {line} on" if line else "it is cut short or continued"


def _said(error: Exception) -> str:
    """What code that expects sensible evidence raised: on a record that a hostile signer made up, that is anything."""
    if os.environ.get("GPUACCEPT_DEBUG"):
        raise error
    fact = error.fact if isinstance(error, errors.GpuacceptError) else f"{type(error).__name__}: {error}"
    return envelope.printable(fact)


def _by_profile(evidence: Evidence, profile: Profile) -> Evidence:
    """The same evidence under another profile, in the cohort of it that the node's GPUs are of."""
    from gpuaccept.judge.scope import cohort_of

    under = msgspec.structs.replace(evidence, profile=profile)
    cohort = cohort_of(under)
    plan = msgspec.structs.replace(evidence.plan, cohort=cohort.name if cohort else "")
    return msgspec.structs.replace(under, plan=plan)


def _verification(
    path: Path, found: _Findings, opened: envelope.Opened, rejudged: Judgement | None, profile: Profile | None
) -> Verification:
    from gpuaccept.profile.digest import digest

    predicate = opened.statement.predicate
    evidence = predicate.evidence
    deciding = rejudged or predicate.judgement
    return Verification(
        file=str(path),
        valid=not found.problems,
        exit_code=errors.EXIT_EVIDENCE if found.problems else EXIT_CODES[deciding.decision],
        decision=predicate.judgement.decision,
        reason=envelope.printable(predicate.judgement.reason, 400),
        acceptance=evidence.plan.acceptance,
        problems=tuple(found.problems),
        checked=tuple(found.checked),
        notes=tuple(found.notes),
        signers=tuple(found.signers),
        series=found.series,
        page=found.page,
        simulated=evidence.simulated is not None,
        certificate_id=envelope.printable(predicate.certificate_id),
        node=envelope.printable(evidence.node.serial or evidence.node.host),
        plan=evidence.plan.name,
        profile=f"{evidence.profile.name} {envelope.printable(evidence.profile.version)}",
        profile_sha256=digest(evidence.profile),
        record_sha256=hashlib.sha256(opened.envelope).hexdigest(),
        rejudged=rejudged.decision if rejudged else None,
        rejudged_reason=envelope.printable(rejudged.reason, 400) if rejudged else "",
        rejudged_by=profile.name if profile else "",
    )
