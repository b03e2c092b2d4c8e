"""The supervisor's side of the workers: starts them, hands out steps, notices silence, kills or abandons."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Protocol

import msgspec

from gpuaccept.check import Node, SeriesBlock
from gpuaccept.data import Failure, Outcome, PlannedStep
from gpuaccept.device import open as device
from gpuaccept.errors import DeviceUnavailable, GpuacceptError, UsageError
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.messages import Block, Done, Failed, Open, Opened, Perform, PulseBoard, pack, process_state, unpack
from gpuaccept.run.perform import Performed, merged, perform

OPEN_LIMIT_S = 120.0
"""Longest time from starting a worker to its device being open: loading a driver on a large node takes a minute."""
DEBUG_VARIABLE = "GPUACCEPT_DEBUG"
"""Set by --debug: workers then write to the terminal what their libraries print."""
_POLL_S = 0.1
_KILL_WAIT_S = 1.0


class Stopped(Exception):
    """The run has to end now: `outcome` is interrupted (Ctrl-C) or not_reached (deadline)."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a step went: what was measured (None: nothing), why not, and what happened meanwhile."""

    performed: Performed | None
    outcome: Outcome
    reason: str = ""
    failures: tuple[Failure, ...] = ()
    events: tuple[tuple[str, str, str], ...] = ()
    """(kind, subject, text)."""


@dataclass(frozen=True)
class Watch:
    """What a run looks at while it waits: `check` raises Stopped; `progress` is told what is being called.

    `again` is told when the step starts anew after a hang: series that it gave until then do not count.
    """

    check: Callable[[], None] = lambda: None
    progress: Callable[[int | None, str], None] = lambda gpu, call: None
    again: Callable[[], None] = lambda: None


class Performer(Protocol):
    """Something that performs steps: the crew of worker processes, or this very process."""

    def open(self, check: Callable[[], None]) -> Opened:
        """Open the device; `check` is asked while it waits. Raises DeviceUnavailable, UsageError or Stopped."""

    def perform(
        self, step: PlannedStep, seed: int, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        """Measure one step. Raises Stopped."""

    def close(self) -> None:
        """Let go of the device, whatever state it is in."""


class InProcess:
    """Performs steps in this process, for tests and evaluation: no protection against a driver that hangs."""

    def __init__(self, spec: device.DeviceSpec, checks: Mapping[str, LoadedCheck]) -> None:
        self._spec = spec
        self._checks = checks
        self._node: Node | None = None
        self._origin = 0.0

    def open(self, check: Callable[[], None]) -> Opened:
        check()
        self._node = device.open_node(self._spec, None, lambda gpu, call: None, 0.0)
        self._origin = self._node.now()
        return Opened(
            now_s=self._origin,
            gpus=self._node.gpus,
            facts=self._node.facts(),
            libraries=device.libraries(self._spec),
            simulated=device.simulated(self._spec),
        )

    def perform(
        self, step: PlannedStep, seed: int, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        assert self._node is not None
        watch.check()
        result = perform(self._node, self._checks[step.check], step, seed, self._origin, on_series)
        return StepResult(performed=result, outcome="completed", failures=result.failures)

    def close(self) -> None:
        if self._node is not None:
            self._node.close()


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    pipe: Connection
    board: PulseBoard
    gpus: tuple[int, ...] | None
    since: float
    now_s: float = 0.0

    def silence(self) -> float:
        return time.monotonic() - max(self.since, self.board.read()[1])


@dataclass
class Crew:
    """Worker processes over one device: on the mock one for all GPUs, else one a GPU and one for work between them."""

    spec: device.DeviceSpec
    checks: Mapping[str, LoadedCheck]
    checks_dir: str = ""
    _holder: _Worker | None = None
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _excluded: dict[int, tuple[str, str]] = field(default_factory=dict)
    _gpus: tuple[int, ...] = ()
    _origin: float = 0.0
    _clock: float = 0.0

    def __post_init__(self) -> None:
        self._traits = device.traits(self.spec)

    def open(self, check: Callable[[], None]) -> Opened:
        watch = Watch(check=check)
        self._holder = self._start(None)
        first = self._start(None) if self._traits.one_worker else None
        if first is not None:
            self._workers["node"] = first
        opened = self._opened(self._holder, watch)
        self._gpus, self._origin, self._clock = opened.gpus, opened.now_s, opened.now_s
        if first is not None:
            self._opened(first, watch)
        return opened

    def perform(
        self, step: PlannedStep, seed: int, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        watch.check()
        shared = self._traits.one_worker or self.checks[step.check].check.scope == "node"
        names = ["node"] if shared else [f"gpu/{gpu}" for gpu in self._gpus if gpu not in self._excluded]
        parts: list[Performed] = []
        failures = self._known_failures(step)
        events: list[tuple[str, str, str]] = []
        reasons: list[tuple[Outcome, str]] = []
        rounds = [names] if step.at_once else [[name] for name in names]
        for at_once in rounds:
            done = self._round(at_once, step, seed, on_series, watch)
            parts += done.parts
            failures += done.failures
            events += done.events
            reasons += done.reasons
        performed = merged(parts) if parts else None
        if performed is not None:
            failures += list(performed.failures)
        outcome, reason = reasons[0] if reasons else ("completed", "")
        return StepResult(
            performed=performed, outcome=outcome, reason=reason, failures=tuple(failures), events=tuple(events)
        )

    def close(self) -> None:
        _end(*self._workers.values(), *([self._holder] if self._holder else []))
        self._workers.clear()
        self._holder = None

    # --- one round of workers ----------------------------------------------------------------------------------

    @dataclass
    class _Round:
        parts: list[Performed] = field(default_factory=list)
        failures: list[Failure] = field(default_factory=list)
        events: list[tuple[str, str, str]] = field(default_factory=list)
        reasons: list[tuple[Outcome, str]] = field(default_factory=list)

    def _round(
        self,
        names: list[str],
        step: PlannedStep,
        seed: int,
        on_series: Callable[[SeriesBlock], None],
        watch: Watch,
    ) -> _Round:
        out = self._Round()
        busy: dict[str, _Worker] = {}
        for name in names:
            try:
                busy[name] = worker = self._worker(name, watch)
                worker.since = time.monotonic()
                worker.pipe.send_bytes(pack(Perform(step=step, seed=seed, origin_s=self._origin)))
            except (GpuacceptError, OSError) as error:
                busy.pop(name, None)
                if name in self._workers:  # the next step starts another
                    _end(self._workers.pop(name))
                self._gone(name, step, out, f"a measuring process could not start: {error}")
        while busy:
            try:
                watch.check()
            except Stopped:
                _end(*(self._workers.pop(name) for name in busy))
                raise
            ready = wait([worker.pipe for worker in busy.values()], timeout=_POLL_S)
            for name, worker in list(busy.items()):
                gpu, call = worker.board.read()[2:]
                watch.progress(gpu, call)
                if worker.pipe in ready:
                    if self._take(name, worker, step, on_series, out):
                        del busy[name]
                elif worker.silence() > self._traits.silence_s:
                    del busy[name]
                    again = self._hung(name, worker, step, out)
                    if again:
                        watch.again()
                        retry = self._round([name], step, seed, on_series, watch)
                        out.parts += retry.parts
                        out.failures += retry.failures
                        out.events += retry.events
                        out.reasons += retry.reasons
        return out

    def _take(
        self,
        name: str,
        worker: _Worker,
        step: PlannedStep,
        on_series: Callable[[SeriesBlock], None],
        out: _Round,
    ) -> bool:
        """Read one message; True when the worker has nothing more to say about this step."""
        try:
            message = unpack(worker.pipe.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError):
            gpu, call = worker.board.read()[2:]
            _end(self._workers.pop(name))
            code = worker.process.returncode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit {code}"
            text = f"the measuring process died ({how}) in {call}" + (f" on GPU {gpu}" if gpu is not None else "")
            out.events.append(("worker_died", "node" if gpu is None else f"gpu/{gpu}", text))
            self._gone(name, step, out, text)
            return True
        worker.since = time.monotonic()
        if isinstance(message, Block):
            on_series({(series, subject): (at, values) for series, subject, at, values in message.series})
            return False
        if isinstance(message, Done):
            worker.now_s = message.now_s
            self._clock = max(self._clock, message.now_s)
            out.parts.append(message.result)
        elif isinstance(message, Failed):
            _end(self._workers.pop(name))
            out.events.append(("worker_failed", "node", message.fact))
            self._gone(name, step, out, f"check {step.check} broke: {message.fact}")
        return True

    def _hung(self, name: str, worker: _Worker, step: PlannedStep, out: _Round) -> bool:
        """Kill a silent worker, name its GPU; True where the step can be measured on the GPUs that are left."""
        gpu, call = worker.board.read()[2:]
        state = process_state(worker.process.pid)
        _end(self._workers.pop(name))
        text = f"no progress for {self._traits.silence_s:g} s in {call}" + (f" on GPU {gpu}" if gpu is not None else "")
        text += ": the process can't be killed (state D), it was left behind" if state == "D" else ": process killed"
        out.events.append(("hang", "node" if gpu is None else f"gpu/{gpu}", text))
        out.reasons.append(("timed_out", text))
        if gpu is None:
            self._gone(name, step, out, text)
            return False
        self._excluded[gpu] = (call, text)
        out.failures.append(Failure(metric=f"{step.check}.*", subject=f"gpu/{gpu}", call=call, reason=text))
        return name == "node" and len(self._excluded) < len(self._gpus)

    def _gone(self, name: str, step: PlannedStep, out: _Round, text: str) -> None:
        out.reasons.append(("error", text))
        gpus = self._gpus if name == "node" else (int(name.split("/")[1]),)
        out.failures += [
            Failure(metric=f"{step.check}.*", subject=subject, reason=text)
            for subject in [*(f"gpu/{gpu}" for gpu in gpus), *(["node"] if name == "node" else [])]
        ]

    def _known_failures(self, step: PlannedStep) -> list[Failure]:
        return [
            Failure(metric=f"{step.check}.*", subject=f"gpu/{gpu}", call=call, reason=f"left out since {text}")
            for gpu, (call, text) in sorted(self._excluded.items())
        ]

    # --- processes ---------------------------------------------------------------------------------------------

    def _worker(self, name: str, watch: Watch) -> _Worker:
        if name not in self._workers:
            left = tuple(gpu for gpu in self._gpus if gpu not in self._excluded)
            worker = self._start(left if name == "node" else (int(name.split("/")[1]),))
            self._workers[name] = worker
            self._opened(worker, watch)
        return self._workers[name]

    def _start(self, gpus: tuple[int, ...] | None) -> _Worker:
        ours, theirs = Pipe(duplex=True)
        board = PulseBoard()
        command = [sys.executable, "-m", "gpuaccept.run.worker", str(theirs.fileno()), str(board.fd)]
        environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(), board.fd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get(DEBUG_VARIABLE) else subprocess.DEVNULL,
            env=environment,
            process_group=0,  # a terminal's Ctrl-C is for the supervisor, also while a worker starts
        )
        theirs.close()
        ours.send_bytes(pack(Open(spec=self.spec, gpus=gpus, start_s=self._clock, checks_dir=self.checks_dir)))
        return _Worker(process=process, pipe=ours, board=board, gpus=gpus, since=time.monotonic())

    def _opened(self, worker: _Worker, watch: Watch) -> Opened:
        while not worker.pipe.poll(_POLL_S):
            watch.check()
            if worker.silence() > OPEN_LIMIT_S:
                gpu, call = worker.board.read()[2:]
                _end(worker)
                where = f" on GPU {gpu}" if gpu is not None else ""
                raise DeviceUnavailable(
                    f"the driver did not answer in {call or 'start'}{where} for {OPEN_LIMIT_S:g} s",
                    "look for XIDs in the kernel log, then reboot the node",
                )
        try:
            message = unpack(worker.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            _end(worker)
            raise GpuacceptError(
                f"a measuring process ended at once (exit {worker.process.returncode})", "run it again with --debug"
            ) from error
        if isinstance(message, Failed):
            kind = {"unavailable": DeviceUnavailable, "usage": UsageError}.get(message.kind, GpuacceptError)
            raise kind(message.fact, message.remedy)
        assert isinstance(message, Opened)
        worker.now_s = message.now_s
        return message


def _end(*workers: _Worker) -> None:
    """Kill, wait a moment for all together, leave behind what can't be killed: a deadline may be near."""
    for worker in workers:
        worker.pipe.close()
        worker.process.kill()
    limit = time.monotonic() + _KILL_WAIT_S
    for worker in workers:
        try:
            worker.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.returncode = -9  # state D: the kernel ends it when the driver lets go
        worker.board.close()
