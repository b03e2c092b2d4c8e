"""The supervisor's side of the workers: hands out steps, notices silence, replaces what died; calls no driver."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait

import msgspec

from gpuaccept.check import SeriesBlock
from gpuaccept.data import Failure, Outcome, PlannedStep
from gpuaccept.device import open as device
from gpuaccept.errors import CUDA_FATAL, GpuacceptError
from gpuaccept.run.identify import OPEN_LIMIT_S, POLL_S, identify, loaded
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.messages import Block, Done, Failed, Open, Opened, Perform, process_state, unpack
from gpuaccept.run.perform import Performed, merged
from gpuaccept.run.performer import StepResult, Stopped, Watch
from gpuaccept.run.process import Nursery, Worker, end, start

_NODE = "node"
"""The worker for what happens between GPUs (on the mock: for everything)."""
_NODE_HANGS = 2
"""After so many hangs in calls that name no GPU the worker between GPUs is not started again."""
_NAMED_GPU = re.compile(r"^GPU (\d+): |^gpu/(\d+)")


@dataclass
class _Round:
    """What came of one step on some workers at the same time."""

    parts: list[Performed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    reasons: list[tuple[Outcome, str]] = field(default_factory=list)

    def add(self, other: _Round) -> None:
        """What another round gave, too."""
        self.parts += other.parts
        self.failures += other.failures
        self.events += other.events
        self.reasons += other.reasons


@dataclass
class Crew:
    """Worker processes over one device: on the mock one for all GPUs, else one a GPU and one for work between them.

    A worker is told to open its GPUs and to measure in one breath: all of them start at the same time, and what one of
    them waits for keeps no other waiting.
    """

    spec: device.DeviceSpec
    checks: Mapping[str, LoadedCheck]
    checks_dir: str = ""
    _nursery: Nursery | None = None
    _holder: Worker | None = None
    _workers: dict[str, Worker] = field(default_factory=dict)
    _excluded: dict[int, tuple[str, str]] = field(default_factory=dict)
    _apart: dict[int, str] = field(default_factory=dict)
    """GPUs that broke the worker between GPUs: left out of it, and measured alone."""
    _hangs: Counter[str] = field(default_factory=Counter)
    _gpus: tuple[int, ...] = ()
    _learned: device.Learned = device.NOTHING_LEARNED
    """What the identification of the node has shown: no worker opens a GPU that hung."""
    _memories: dict[str, bytes] = field(default_factory=dict)
    """What each worker was told of events: one that takes its place would not hear of them again."""
    _early: list[tuple[str, str, str]] = field(default_factory=list)
    """Events from before the first step, which tells them."""
    _clock: float = 0.0

    def __post_init__(self) -> None:
        self._traits = device.traits(self.spec)

    def open(self, check: Callable[[], None], start_s: float = 0.0) -> Opened:
        self._clock = start_s
        everything = Open(spec=self.spec, gpus=None, start_s=start_s, checks_dir=self.checks_dir)
        try:
            self._nursery = Nursery(self.spec.device)
            loaded(self._nursery.ready, check)
            if self._traits.one_worker:
                self._workers[_NODE] = self._fork(everything)
            found = identify(self._fork, everything, not self._traits.one_worker, self._traits.silence_s, check)
        except OSError as error:
            raise GpuacceptError(
                f"a measuring process could not start: {error}", "run it again with --debug"
            ) from error
        self._holder, opened = found.holder, found.opened
        self._gpus, self._clock = tuple(sorted({*opened.gpus, *found.left_out})), opened.now_s
        self._excluded |= found.left_out
        self._early = [("hang", f"gpu/{gpu}", text) for gpu, (_, text) in found.left_out.items()]
        if found.no_cuda:
            self._early.append(("hang", _NODE, found.no_cuda))
        addresses: tuple[str, ...] = ()
        if not found.left_out:
            by_index = {gpu.index: gpu.pci_bus_id for gpu in opened.facts.gpus}
            addresses = tuple(by_index.get(gpu, "") for gpu in range(1 + max(opened.gpus, default=-1)))
        without = tuple(found.left_out) or None
        self._learned = device.Learned(addresses=addresses, without=without, no_cuda=found.no_cuda)
        return msgspec.structs.replace(opened, gpus=self._gpus)

    def expect(self, steps: Sequence[PlannedStep]) -> None:
        for name in dict.fromkeys(name for step in steps if not step.skip for name in self._names(step)):
            if name not in self._workers:
                with suppress(OSError):  # the step that needs it tries again, and says why not
                    self._workers[name] = self._start(name)

    def perform(
        self, step: PlannedStep, seed: int, origin_s: float, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        watch.check()
        names = self._names(step)
        task = _Task(step, Perform(step=step, seed=seed, origin_s=origin_s), on_series, watch)
        out = _Round(failures=self._known_failures(step, names), events=self._early)
        self._early = []
        for at_once in [names] if step.at_once else [[name] for name in names]:
            out.add(self._round(at_once, task))
        performed = merged(out.parts) if out.parts else None
        if performed is not None:
            out.failures += performed.failures
        outcome, reason = out.reasons[0] if out.reasons else ("completed", "")
        return StepResult(
            performed=performed,
            outcome=outcome,
            reason=reason,
            failures=tuple(out.failures),
            events=tuple(out.events),
        )

    def close(self) -> None:
        end(*self._workers.values(), *([self._holder] if self._holder else []))
        self._workers.clear()
        self._holder = None
        if self._nursery:
            self._nursery.close()
        self._nursery = None

    # --- one round of workers ----------------------------------------------------------------------------------

    def _round(self, names: list[str], task: _Task) -> _Round:
        out = _Round()
        busy: dict[str, Worker] = {}
        for name in names:
            try:
                if name not in self._workers:
                    self._workers[name] = self._start(name)
                self._workers[name].tell(task.message)
                busy[name] = self._workers[name]
            except OSError as error:
                if name in self._workers:  # the next step starts another
                    end(self._workers.pop(name))
                self._gone(name, task.step, out, f"a measuring process could not start: {error}")
        while busy:
            try:
                task.watch.check()
            except Stopped:
                end(*(self._workers.pop(name) for name in busy))
                raise
            ready = wait([worker.pipe for worker in busy.values()], timeout=POLL_S)
            for name, worker in list(busy.items()):
                task.watch.progress(*worker.board.read()[2:])
                if worker.pipe in ready:
                    more, again = self._take(name, worker, task, out)
                elif worker.silence() > (self._traits.silence_s if worker.ready else OPEN_LIMIT_S):
                    more, again = False, self._hung(name, worker, task.step, out)
                else:
                    continue
                if not more:
                    del busy[name]
                if again:
                    task.watch.again()
                    out.add(self._round([name], task))
        return out

    def _take(self, name: str, worker: Worker, task: _Task, out: _Round) -> tuple[bool, bool]:
        """Read one message: (whether the worker has more to say about this step, whether to measure it again)."""
        try:
            message = unpack(worker.pipe.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError):
            self._died(name, worker, task.step, out)
            return False, False
        worker.heard()
        if isinstance(message, Block):
            task.on_series({(series, subject): (at, values) for series, subject, at, values in message.series})
            return True, False
        if isinstance(message, Done):
            self._clock = max(self._clock, message.now_s)
            if message.memory:
                self._memories[name] = message.memory
            return False, self._done(name, task.step, message.result, out)
        if isinstance(message, Failed):
            end(self._workers.pop(name))
            about = f"check {task.step.check} broke" if worker.ready else "a measuring process could not start"
            out.events.append(("worker_failed", name, message.fact))
            self._gone(name, task.step, out, f"{about}: {message.fact}")
            return False, False
        worker.ready = True
        return True, False

    def _done(self, name: str, step: PlannedStep, result: Performed, out: _Round) -> bool:
        """Keep what a worker measured. One that a fatal CUDA error broke is replaced; True: measure it again.

        Between GPUs such an error takes the other GPUs' figures with it: they are measured again without that GPU.
        """
        fatal = next((one for one in result.failures if _breaks(one)), None)
        if self._traits.one_worker or fatal is None:
            out.parts.append(result)
            return False
        end(self._workers.pop(name))
        named = _NAMED_GPU.match(fatal.reason) or _NAMED_GPU.match(fatal.subject)
        gpu = int(named[1] or named[2]) if named else None
        text = f"{fatal.reason}: no call of that process can succeed any more, it was replaced"
        out.events.append(("worker_replaced", _NODE if gpu is None else f"gpu/{gpu}", text))
        if name != _NODE or gpu is None or len(self._between()) < 2:
            out.parts.append(result)
            return False
        self._apart[gpu] = text
        out.failures += [one for one in result.failures if _concerns(one.subject, gpu)]
        out.failures.append(msgspec.structs.replace(fatal, metric=f"{step.check}.*", subject=f"gpu/{gpu}"))
        return True

    def _died(self, name: str, worker: Worker, step: PlannedStep, out: _Round) -> None:
        gpu, call = worker.board.read()[2:]
        end(self._workers.pop(name))
        code = worker.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit {code}"
        text = f"the measuring process died ({how}) in {call or 'start'}" + (
            f" on GPU {gpu}" if gpu is not None else ""
        )
        out.events.append(("worker_died", name if gpu is None else f"gpu/{gpu}", text))
        self._gone(name, step, out, text)

    def _hung(self, name: str, worker: Worker, step: PlannedStep, out: _Round) -> bool:
        """Kill a silent worker, name its GPU; True where the step can be measured on the GPUs that are left."""
        gpu, call = worker.board.read()[2:]
        limit = self._traits.silence_s if worker.ready else OPEN_LIMIT_S
        state = process_state(worker.process.pid)
        end(self._workers.pop(name))
        text = f"no progress for {limit:g} s in {call or 'start'}" + (f" on GPU {gpu}" if gpu is not None else "")
        text += ": the process can't be killed (state D), it was left behind" if state == "D" else ": process killed"
        if gpu is None and name != _NODE:
            gpu = int(name.split("/")[1])  # the only one that this process had
        out.events.append(("hang", _NODE if gpu is None else f"gpu/{gpu}", text))
        out.reasons.append(("timed_out", text))
        if gpu is None or gpu in self._excluded:  # a worker without that GPU asked for it: that is nobody's part
            self._hangs[text] += 1
            self._gone(name, step, out, text)
            return False
        self._excluded[gpu] = (call, text)
        out.failures.append(Failure(metric=f"{step.check}.*", subject=f"gpu/{gpu}", call=call, reason=text))
        if name == _NODE:
            return bool(self._between())
        if _NODE in self._workers:  # it has that GPU open: the next step starts another, without it
            end(self._workers.pop(_NODE))
        return False

    def _gone(self, name: str, step: PlannedStep, out: _Round, text: str) -> None:
        out.reasons.append(("error", text))
        gpus = self._gpus if name == _NODE else (int(name.split("/")[1]),)
        out.failures += [
            Failure(metric=f"{step.check}.*", subject=subject, reason=text)
            for subject in [*(f"gpu/{gpu}" for gpu in gpus), *([_NODE] if name == _NODE else [])]
        ]

    def _known_failures(self, step: PlannedStep, names: list[str]) -> list[Failure]:
        left_out = {gpu: (call, f"left out since {text}") for gpu, (call, text) in self._excluded.items()}
        if self._shared(step):
            left_out = {gpu: ("", f"left out since {text}") for gpu, text in self._apart.items()} | left_out
        failures = [
            Failure(metric=f"{step.check}.*", subject=f"gpu/{gpu}", call=call, reason=reason)
            for gpu, (call, reason) in sorted(left_out.items())
        ]
        if not names and len(left_out) < len(self._gpus):
            failures.append(Failure(metric=f"{step.check}.*", subject=_NODE, reason=self._given_up()))
        return failures

    # --- which workers -----------------------------------------------------------------------------------------

    def _shared(self, step: PlannedStep) -> bool:
        return self._traits.one_worker or self.checks[step.check].check.scope == "node"

    def _names(self, step: PlannedStep) -> list[str]:
        """The workers that a step needs, less those that can't measure any more."""
        if self._shared(step):
            return [_NODE] if self._between() and not self._given_up() else []
        return [f"gpu/{gpu}" for gpu in self._gpus if gpu not in self._excluded]

    def _between(self) -> tuple[int, ...]:
        return tuple(gpu for gpu in self._gpus if gpu not in self._excluded and gpu not in self._apart)

    def _given_up(self) -> str:
        """Why the worker between GPUs is not started again, or an empty text."""
        if self._hangs.total() < _NODE_HANGS:
            return ""
        return f"given up after {self._hangs.total()} hangs: {next(iter(self._hangs))}"

    def _start(self, name: str) -> Worker:
        gpus = self._between() if name == _NODE else (int(name.split("/")[1]),)
        learned = msgspec.structs.replace(self._learned, memory=self._memories.get(name, b""))
        return self._fork(
            Open(spec=self.spec, gpus=gpus, start_s=self._clock, checks_dir=self.checks_dir, learned=learned)
        )

    def _fork(self, message: Open) -> Worker:
        """A worker from the nursery; where that was killed, from another one. Raises OSError."""
        if self._nursery:
            try:
                return start(self._nursery, message)
            except OSError:
                self._nursery.close()
        self._nursery = Nursery(self.spec.device)
        return start(self._nursery, message)


@dataclass(frozen=True)
class _Task:
    """One step as the workers of a round are given it."""

    step: PlannedStep
    message: Perform
    on_series: Callable[[SeriesBlock], None]
    watch: Watch


def _breaks(failure: Failure) -> bool:
    return failure.call.startswith("cu") and failure.code in CUDA_FATAL


def _concerns(subject: str, gpu: int) -> bool:
    return any(end == f"gpu/{gpu}" or end.startswith(f"gpu/{gpu}/") for end in subject.split(">"))
