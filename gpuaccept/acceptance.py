"""The pipeline: one function from profile and device to signed record and certificate, whoever calls it."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path
from weakref import WeakKeyDictionary

from gpuaccept import __version__, replay, series
from gpuaccept.ambient import Ambient
from gpuaccept.certificate import html, text
from gpuaccept.data import Cohort, Environment, Event, Evidence, Judgement, LedgerPosition, Plan, Profile, Statement
from gpuaccept.device.open import DeviceSpec, check_spec, record_of
from gpuaccept.device.open import given as faults_of
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
from gpuaccept.judge import judge
from gpuaccept.profile.digest import digest, narrowed
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.record import envelope, keys, statement, store
from gpuaccept.record.ledger import Ledger
from gpuaccept.record.node_key import node_key
from gpuaccept.run.clock import Clock
from gpuaccept.run.crew import Crew
from gpuaccept.run.directory import prepare, withdraw
from gpuaccept.run.journal import Again, Begin, Booted, End, Happened, Journal
from gpuaccept.run.loading import LoadedCheck, declarations, load_checks
from gpuaccept.run.measure import measure
from gpuaccept.run.messages import Opened
from gpuaccept.run.neighbours import in_one_sentence
from gpuaccept.run.performer import InProcess, Performer, Stopped
from gpuaccept.run.plan import AGREED_BY, cohort_of, estimate_s, make_plan
from gpuaccept.run.resume import JOURNAL, Earlier, after_boot, check_same, earlier
from gpuaccept.run.session import Observer, Session

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
    resume: bool = False
    """Go on with the run that was cut short in `out`."""
    force_busy: bool = False
    """Measure although others compute on the GPUs."""


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
    """What a person should know of this run: what of a record did not come along in a replay, that it was resumed."""


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
    evidence, groups = run.journal.fold()
    raw = series.encode(groups) if groups else b""
    accepted = _conclude(request, ambient, evidence, run.judged or judge(evidence), run.signing, raw, run.ended_as)
    return with_changes(accepted, notes=(*run.notes, *_too_late(request.spec, run.opened.now_s, evidence)))


def _too_late(spec: DeviceSpec, began_s: float, evidence: Evidence) -> Iterator[str]:
    """Simulated faults that would have begun after the run: a person who asked for one would miss it."""
    ended_s = began_s + max((step.ended_s for step in evidence.steps), default=0.0)
    for fault, values in faults_of(spec) if spec.faults else ():
        if float(values.get("at_s", 0.0)) > ended_s:
            yield f"the fault {fault.name} begins at {values['at_s']} s: the run ended at {ended_s:.0f} s, without it"


def judge_node(request: Request, ambient: Ambient | None = None) -> tuple[Evidence, Judgement]:
    """Measure and judge as `run_node` does, and leave nothing behind: for evaluation over many simulated nodes."""
    request = with_changes(request, force_busy=True)  # a neighbour is one of the faults to be judged
    with _uncollected():
        evidence, judged = _measured(request, ambient or Ambient())
        return evidence, judged or judge(evidence)


def _measured(request: Request, ambient: Ambient) -> tuple[Evidence, Judgement | None]:
    """What a run leaves behind: when this returns, its hundred thousands of samples are freed."""
    with _opened(request, ambient, None, None) as run:
        run.measure()
    return run.journal.fold(summaries=False)[0], run.judged


@dataclass
class _Known:
    """What is known of a profile in this process: an evaluation asks the same of it for every node."""

    fit_for: set[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = field(default_factory=set)
    """Plan, `only`, `skip`, and the digests of all checks, that it was checked with."""
    narrowed: dict[str, Profile] = field(default_factory=dict)
    """By cohort; empty is none."""


_known: WeakKeyDictionary[LoadedProfile, _Known] = WeakKeyDictionary()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: all that a node's run makes it needs until its end, and a fifth of the time is
    spent on finding out so."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def check_request(request: Request, checks: dict[str, LoadedCheck]) -> None:
    """Everything that can be found wrong before the device is opened. Raises UsageError or ProfileError."""
    check_spec(request.spec)
    asked = (request.plan, request.only, request.skip, tuple(one.sha256 for one in checks.values()))
    known = _known.setdefault(request.profile, _Known()).fit_for
    if asked not in known:
        _check_profile(request, checks)
        known.add(asked)
    if request.key is not None:
        keys.read(request.key)


def _check_profile(request: Request, checks: dict[str, LoadedCheck]) -> None:
    problems = lint(request.profile, declarations(checks), {name: one.check.parameters for name, one in checks.items()})
    if problems:
        raise ProfileError(problems)
    profile = request.profile.profile
    for cohort in profile.cohorts:
        if request.plan in cohort.plans:
            plan = make_plan(profile, cohort, request.plan, checks, request.only, request.skip)
            if all(step.skip for step in plan.steps):
                listed = ", ".join(dict.fromkeys(step.check for step in plan.steps))
                raise UsageError("--only and --skip leave nothing to measure", f"plan {plan.name} has: {listed}")
            break
    else:
        known = sorted({name for cohort in profile.cohorts for name in cohort.plans})
        raise UsageError(
            f"--plan {request.plan}: profile {profile.name} has no such plan", "it has: " + ", ".join(known)
        )


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
    before: Earlier | None
    ended_as: str = "completed"
    judged: Judgement | None = None
    """Of all that was measured, where that is known when measuring ends."""
    notes: list[str] = field(default_factory=list)

    def measure(self) -> None:
        """Perform the plan and, where that does not decide, further looks; every step ends up in the journal."""
        facts, profile, before = self.opened.facts, self.request.profile.profile, self.before
        cohort = cohort_of(profile, facts)
        begin = self._begin(cohort)
        booted: Booted | None = None
        if before is not None:
            check_same(before.begin, begin)
            booted = after_boot(before, begin) if before.end is None else None
            begin = before.begin
        seconds = estimate_s(begin.plan, self.checks, len(facts.gpus))
        self.observer.opened(facts.host, len(facts.gpus), begin.plan.name, len(begin.plan.steps), seconds)
        if self.signing.ledger is not None:
            self.signing.ledger.start(begin.run_id, self.ambient.utc(), digest(profile))
        session = Session(self.performer, self.journal, begin.run_id, begin.origin_s, self.observer, self.clock.check)
        if before is None:
            self.journal.append(begin)
            self._note_agreements(begin.plan)
        else:
            session.number, session.clock_s = before.done, before.clock_s
            session.origin_s = before.origin_s
            if before.sampled:
                self.journal.append(Again(step=before.done + 1))
            self._note(before.clock_s, "resumed", before.describe())
            if booted is not None:
                session.origin_s, session.clock_s = booted.origin_s, booted.boot.at_s
                text = f"the node was booted meanwhile: boot {before.boot_id} until here, then {booted.boot.boot_id}"
                self._note(booted.boot.at_s, "booted", f"{text}; counters began anew, and are read from here on again")
                self.journal.append(booted)
        self._note_neighbours(session.clock_s)
        if before is not None and before.end is not None:
            return
        self.judged = measure(session, cohort)
        self.ended_as = session.ended_as
        self.journal.append(End(ended_at=self.ambient.utc(), complete=not session.ended, reason=session.ended))

    def _begin(self, cohort: Cohort | None) -> Begin:
        request = self.request
        plan = make_plan(request.profile.profile, cohort, request.plan, self.checks, request.only, request.skip)
        return Begin(
            run_id=self.ambient.random_bytes(16).hex(),
            started_at=self.ambient.utc(),
            origin_s=self.opened.now_s,
            simulated=self.opened.simulated,
            profile=_narrowed(request.profile, cohort),
            profile_layers=request.profile.layers,
            plan=plan,
            node=self.opened.facts,
            environment=Environment(
                gpuaccept_version=__version__,
                python_version=self.ambient.python_version(),
                libraries=self.opened.libraries,
            ),
            checks=tuple(self.checks[name].facts() for name in dict.fromkeys(step.check for step in plan.steps)),
        )

    def _note_agreements(self, plan: Plan) -> None:
        """Who agreed to what a step does to more than this node stands on the certificate."""
        agreed = (step for step in plan.steps if step.parameters.get(AGREED_BY) and not step.skip)
        for check, by in dict.fromkeys((step.check, step.parameters[AGREED_BY]) for step in agreed):
            self._note(0.0, "agreed", f"{check}: agreed to by {by}")

    def _note_neighbours(self, at_s: float) -> None:
        """That the node was not free, or that nobody could say so, stands in the record."""
        for one in self.opened.neighbours:
            self._note(at_s, "other_process", f"{one}: measured all the same (--force-busy)", f"gpu/{one.gpu}")
        if self.opened.unseen:
            self._note(at_s, "others_unknown", f"whether others compute here is not known: {self.opened.unseen}")

    def _note(self, at_s: float, kind: str, text: str, subject: str = "node") -> None:
        self.notes.append(text)
        self.journal.append(Happened(event=Event(at_s=at_s, kind=kind, subject=subject, text=text)))


def _narrowed(loaded: LoadedProfile, cohort: Cohort | None) -> Profile:
    known, name = _known.setdefault(loaded, _Known()).narrowed, cohort.name if cohort else ""
    if name not in known:
        known[name] = narrowed(loaded.profile, cohort)
    return known[name]


@contextmanager
def _opened(request: Request, ambient: Ambient, observer: Observer | None, clock: Clock | None) -> Iterator[_Run]:
    """Check the request, open the device, and let go of everything at the end, however it comes."""
    clock = clock or Clock(ambient, request.deadline_s)
    checks = load_checks(request.checks_dir)
    check_request(request, checks)
    before = earlier(request.out) if request.resume and request.out is not None else None
    made = prepare(request.out) if request.out is not None and before is None else ()
    performer: Performer = (
        InProcess(request.spec, checks)
        if request.in_process
        else Crew(request.spec, checks, str(request.checks_dir or ""))
    )
    journal: Journal | None = None
    try:
        opened = performer.open(clock.check, before.origin_s + before.clock_s if before else 0.0)
        _refuse_busy(request, opened)
        signing = _signing(request, opened, ambient)
        path = request.out / JOURNAL if request.out is not None else None
        journal = Journal(path, before.entries if before else ())
        yield _Run(request, ambient, observer or Observer(), clock, checks, performer, opened, signing, journal, before)
    except Stopped as stopped:  # a run that is going on stops by itself, with a record
        error = Interrupted if stopped.outcome == "interrupted" else DeviceUnavailable
        raise error(f"{stopped.reason}, before the device was open", "nothing was measured") from stopped
    finally:
        performer.close()
        if journal is not None:
            journal.close()
        withdraw(made)


def _refuse_busy(request: Request, opened: Opened) -> None:
    if opened.neighbours and not request.force_busy:
        raise DeviceUnavailable(
            f"the node is in use: {in_one_sentence(opened.neighbours)}",
            "end it, or wait for it; --force-busy measures all the same, and the record says so",
        )


NO_LEDGER = LedgerPosition(number=1, started=1, unfinished=0, head="", persistent=False)
"""A simulated run is no run of a node: no ledger counts it."""

# --- replay ----------------------------------------------------------------------------------------------------


def _replay(request: Request, record: Path, ambient: Ambient) -> Accepted:
    """Judge the samples of a record by the request's profile: a simulated run in which nothing is measured."""
    measuring = (
        *(("--only", request.only), ("--skip", request.skip), ("--deadline", request.deadline_s)),
        *(("--resume", request.resume), ("--force-busy", request.force_busy)),
    )
    for option, given in measuring:
        if given:
            raise UsageError(f"{option} is for measuring, and a replay measures nothing", f"leave {option} out")
    checks = load_checks(request.checks_dir)
    source = replay.read(record)
    request = with_changes(request, plan=request.plan or source.evidence.plan.name)
    check_request(request, checks)
    signing = _throwaway(request, ambient)
    run_id = ambient.random_bytes(16).hex()
    found = replay.replay(source, request.profile, request.plan, checks, run_id)
    if request.out is not None:
        prepare(request.out)
    judgement = judge(found.evidence)
    accepted = _conclude(request, ambient, found.evidence, judgement, signing, found.series, "completed")
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
    request: Request,
    ambient: Ambient,
    evidence: Evidence,
    judgement: Judgement,
    signing: _Signing,
    raw_series: bytes,
    ended_as: str,
) -> Accepted:
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
        files = {"certificate.html": page}
        if raw_series:
            files["series.json.gz"] = series.pack(raw_series)
        files["summary.txt"] = text.summary(made).encode()
        files["summary.json"] = text.summary_json(made)
        files["record.json"] = signed  # last: a run whose disk was full before it goes on with --resume
        store.write_new(request.out, files, again=request.resume)
    if signing.ledger is not None:
        signing.ledger.finish(evidence.run_id, ambient.utc(), hashlib.sha256(signed).hexdigest())
    code = EXIT_INTERRUPTED if ended_as == "interrupted" else _CODES[judgement.decision]
    return Accepted(statement=made, envelope=signed, page=page, series=raw_series, exit_code=code)
