"""The pipeline: one function from profile and device to signed record and certificate, whoever calls it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

from gpuaccept import __version__, replay, series
from gpuaccept.ambient import Ambient
from gpuaccept.certificate import html, text
from gpuaccept.data import Environment, Evidence, Judgement, LedgerPosition, Statement
from gpuaccept.device.open import DeviceSpec, check_spec, record_of
from gpuaccept.errors import (
    EXIT_ACCEPTED,
    EXIT_INTERRUPTED,
    EXIT_NOT_DECIDED,
    EXIT_REJECTED,
    DeviceUnavailable,
    Interrupted,
    ProfileError,
    UsageError,
)
from gpuaccept.judge import judge, look
from gpuaccept.profile.digest import digest
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.record import envelope, keys, statement, store
from gpuaccept.record.ledger import Ledger
from gpuaccept.record.node_key import node_key
from gpuaccept.run.crew import Crew, InProcess, Performer, Stopped
from gpuaccept.run.journal import Begin, End, Journal, More, fold
from gpuaccept.run.loading import LoadedCheck, declarations, load_checks
from gpuaccept.run.messages import Opened
from gpuaccept.run.plan import cohort_of, estimate_s, further_steps, make_plan
from gpuaccept.run.session import Observer, Session

CONCLUDE_S = 2.0
"""Kept back from a deadline for judging, signing and rendering: several times what they take on a slow core."""
_CODES = {
    "accepted": EXIT_ACCEPTED,
    "accepted with concession": EXIT_ACCEPTED,
    "rejected": EXIT_REJECTED,
    "not decided": EXIT_NOT_DECIDED,
}


@dataclass(frozen=True)
class Request:
    """What to accept, by what, and where to leave it. `out` None writes nothing (evaluation)."""

    profile: LoadedProfile
    spec: DeviceSpec
    plan: str = "acceptance"
    """Empty, in a replay: the plan of the record."""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    out: Path | None = None
    deadline_s: float | None = None
    checks_dir: Path | None = None
    key: Path | None = None
    """Signs a real run instead of the node's own key."""
    state_dir: Path | None = None
    language: str = "en"
    in_process: bool = False


@dataclass(frozen=True)
class Accepted:
    """What a run left: the statement, its signed bytes, the page, and the exit code that says it all."""

    statement: Statement
    envelope: bytes
    page: bytes
    series: bytes
    """Inflated bytes of series.json.gz, empty where there are no series."""
    exit_code: int
    notes: tuple[str, ...] = ()
    """What of a record did not come along in a replay."""


@dataclass
class Clock:
    """Says when a run has to end: by its deadline, or since somebody asked."""

    ambient: Ambient
    deadline_s: float | None = None
    asked: str = ""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.ambient.monotonic()

    def stop(self, reason: str) -> None:
        """Ask the run to end as soon as it can (for signal handlers)."""
        self.asked = reason

    def check(self) -> None:
        """Raise Stopped when the run has to end."""
        if self.asked:
            raise Stopped("interrupted", self.asked)
        if self.deadline_s is not None:
            kept = min(CONCLUDE_S, self.deadline_s / 4)
            if self.ambient.monotonic() - self._began > self.deadline_s - kept:
                raise Stopped("not_reached", f"the deadline of {self.deadline_s:g} s was reached")


def run_node(
    request: Request,
    ambient: Ambient | None = None,
    observer: Observer | None = None,
    clock: Clock | None = None,
) -> Accepted:
    """Measure one node, judge it, sign the record, render the certificate, and write them to `request.out`.

    Raises UsageError and ProfileError before anything is measured, DeviceUnavailable where nothing can be, and
    Interrupted where somebody stops the run before the device is open.
    """
    ambient = ambient or Ambient()
    if (record := record_of(request.spec)) is not None:
        return _replay(request, Path(record), ambient)
    with _opened(request, ambient, observer, clock) as run:
        run.measure()
    evidence, groups = fold(run.journal.entries)
    return _conclude(request, ambient, evidence, run.signing, series.encode(groups) if groups else b"", run.ended_as)


def judge_node(request: Request, ambient: Ambient | None = None) -> tuple[Evidence, Judgement]:
    """Measure and judge as `run_node` does, and leave nothing behind: for evaluation over many simulated nodes."""
    with _opened(request, ambient or Ambient(), None, None) as run:
        run.measure()
    evidence, _ = fold(run.journal.entries, summaries=False)
    return evidence, judge(evidence)


def check_request(request: Request, checks: dict[str, LoadedCheck]) -> None:
    """Everything that can be found wrong before the device is opened. Raises UsageError or ProfileError."""
    check_spec(request.spec)
    problems = lint(request.profile, declarations(checks), {name: one.check.parameters for name, one in checks.items()})
    if problems:
        raise ProfileError(problems)
    profile = request.profile.profile
    for cohort in profile.cohorts:
        if request.plan in cohort.plans:
            make_plan(profile, cohort, request.plan, checks, request.only, request.skip)
            break
    else:
        known = sorted({name for cohort in profile.cohorts for name in cohort.plans})
        raise UsageError(
            f"--plan {request.plan}: profile {profile.name} has no such plan", "it has: " + ", ".join(known)
        )
    if request.key is not None:
        keys.read(request.key)
    if request.out is not None:
        prepare(request.out)


def prepare(out: Path) -> None:
    """Make the result directory. Raises UsageError where it can't be written, or holds something."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UsageError(f"--out {out}: is not empty", "name a directory that is new or empty")
        probe = out / ".write-test"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}", "name a directory that can be written") from error


# --- measuring -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Signing:
    key: keys.SigningKey
    ledger: Ledger | None


@dataclass
class _Run:
    """A run with its device open."""

    request: Request
    ambient: Ambient
    observer: Observer
    clock: Clock
    checks: dict[str, LoadedCheck]
    performer: Performer
    opened: Opened
    signing: _Signing
    journal: Journal
    ended_as: str = "completed"

    def measure(self) -> None:
        """Perform the plan and, where that does not decide, further looks; every step ends up in the journal."""
        request, facts = self.request, self.opened.facts
        profile = request.profile.profile
        cohort = cohort_of(profile, facts)
        plan = make_plan(profile, cohort, request.plan, self.checks, request.only, request.skip)
        run_id = self.ambient.random_bytes(16).hex()
        seconds = estimate_s(plan, self.checks, len(facts.gpus))
        self.observer.opened(facts.host, len(facts.gpus), plan.name, len(plan.steps), seconds)
        if self.signing.ledger is not None:
            self.signing.ledger.start(run_id, self.ambient.utc(), digest(profile))
        self.journal.append(
            Begin(
                run_id=run_id,
                started_at=self.ambient.utc(),
                simulated=self.opened.simulated,
                profile=profile,
                profile_layers=request.profile.layers,
                plan=plan,
                node=facts,
                environment=Environment(
                    gpuaccept_version=__version__,
                    python_version=self.ambient.python_version(),
                    libraries=self.opened.libraries,
                ),
                checks=tuple(self.checks[name].facts() for name in dict.fromkeys(step.check for step in plan.steps)),
            )
        )
        session = Session(self.performer, self.journal, run_id, self.observer, self.clock.check)
        session.run(plan.steps)
        if cohort is not None:
            _look_again(session, self.journal, cohort.looks, cohort.visits, self.observer)
        self.ended_as = session.ended_as
        self.journal.append(End(ended_at=self.ambient.utc(), complete=not session.ended, reason=session.ended))


@contextmanager
def _opened(request: Request, ambient: Ambient, observer: Observer | None, clock: Clock | None) -> Iterator[_Run]:
    """Check the request, open the device, and let go of everything at the end, however it comes."""
    clock = clock or Clock(ambient, request.deadline_s)
    checks = load_checks(request.checks_dir)
    check_request(request, checks)
    performer: Performer = (
        InProcess(request.spec, checks)
        if request.in_process
        else Crew(request.spec, checks, str(request.checks_dir or ""))
    )
    journal: Journal | None = None
    try:
        opened = performer.open(clock.check)
        signing = _signing(request, opened, ambient)
        journal = Journal(request.out / "journal.jsonl" if request.out is not None else None)
        yield _Run(request, ambient, observer or Observer(), clock, checks, performer, opened, signing, journal)
    except Stopped as stopped:  # a run that is going on stops by itself, with a record
        error = Interrupted if stopped.outcome == "interrupted" else DeviceUnavailable
        raise error(f"{stopped.reason}, before the device was open", "nothing was measured") from stopped
    finally:
        performer.close()
        if journal is not None:
            journal.close()


def _look_again(session: Session, journal: Journal, looks: int, visits: int, observer: Observer) -> None:
    """Measure again what could not be decided, until it is or the profile's looks are used up."""
    for number in range(2, looks + 1):
        if session.ended:
            return
        evidence, _ = fold(journal.entries, summaries=False)
        again = look(evidence, judge(evidence))
        steps = further_steps(evidence.plan, again, number, visits)
        if not steps:
            return
        observer.looking_again(number, ", ".join(f"{check} {state}".strip() for check, state in again.checks))
        journal.append(More(steps=steps))
        session.run(steps)


NO_LEDGER = LedgerPosition(number=1, started=1, unfinished=0, head="", persistent=False)
"""A simulated run is no run of a node: no ledger counts it."""

# --- replay ----------------------------------------------------------------------------------------------------


def _replay(request: Request, record: Path, ambient: Ambient) -> Accepted:
    """Judge the samples of a record by the request's profile: a simulated run in which nothing is measured."""
    for option, given in (("--only", request.only), ("--skip", request.skip), ("--deadline", request.deadline_s)):
        if given:
            raise UsageError(f"{option} is for measuring, and a replay measures nothing", f"leave {option} out")
    checks = load_checks(request.checks_dir)
    source = replay.read(record)
    request = with_changes(request, plan=request.plan or source.evidence.plan.name)
    check_request(request, checks)
    signing = _throwaway(request, ambient)
    run_id = ambient.random_bytes(16).hex()
    found = replay.replay(source, request.profile, request.plan, checks, run_id)
    accepted = _conclude(request, ambient, found.evidence, signing, found.series, "completed")
    return with_changes(accepted, notes=found.notes)


# --- conclusion ------------------------------------------------------------------------------------------------


def _signing(request: Request, opened: Opened, ambient: Ambient) -> _Signing:
    """A simulated run is signed by a key that is thrown away; a real one by the node's, and is in its ledger."""
    if opened.simulated is not None:
        return _throwaway(request, ambient)
    node = node_key(request.state_dir)
    return _Signing(keys.read(request.key) if request.key is not None else node.key, Ledger(node))


def _throwaway(request: Request, ambient: Ambient) -> _Signing:
    if request.key is not None:
        raise UsageError("--key: a simulated run is signed by a key that is thrown away", "leave --key out")
    return _Signing(keys.throwaway(ambient.random_bytes(32)), None)


def _conclude(
    request: Request, ambient: Ambient, evidence: Evidence, signing: _Signing, raw_series: bytes, ended_as: str
) -> Accepted:
    judgement = judge(evidence)
    made = statement.build(
        evidence,
        judgement,
        signing.ledger.position(evidence.run_id) if signing.ledger is not None else NO_LEDGER,
        (statement.signer("node", signing.key.public),),
        html.TEMPLATE,
        request.language,
    )
    signed = envelope.sign(statement.encode(made), [signing.key])
    page = html.render(made, signed)
    if request.out is not None:
        files = {"record.json": signed, "certificate.html": page}
        if raw_series:
            files["series.json.gz"] = series.pack(raw_series)
        files["summary.txt"] = text.summary(made).encode()
        files["summary.json"] = text.summary_json(made)
        store.write_new(request.out, files)
    if signing.ledger is not None:
        signing.ledger.finish(evidence.run_id, ambient.utc(), hashlib.sha256(signed).hexdigest())
    code = EXIT_INTERRUPTED if ended_as == "interrupted" else _CODES[judgement.decision]
    return Accepted(statement=made, envelope=signed, page=page, series=raw_series, exit_code=code)
