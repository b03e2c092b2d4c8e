"""One run of a plan: performs its steps in order, writes each to the journal, and stops in time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuaccept.check import SeriesBlock
from gpuaccept.data import Event, Outcome, PlannedStep, StepRun
from gpuaccept.run.journal import Again, Happened, Journal, Measured
from gpuaccept.run.performer import Performer, StepResult, Stopped, Watch


class Observer:
    """Told what a run does; the command line shows it. Every method may be left as it is."""

    def opened(self, node: str, gpus: int, plan: str, steps: int, seconds: float) -> None:
        """The device is open and the plan is made; it should take about `seconds`."""

    def step_started(self, number: int, total: int, step: PlannedStep) -> None:
        """A step begins."""

    def progress(self, gpu: int | None, call: str) -> None:
        """A call is being made on a GPU (None: on the node)."""

    def step_ended(self, number: int, total: int, run: StepRun) -> None:
        """A step ended."""

    def looking_again(self, number: int, what: str) -> None:
        """Another look is taken, since `what` could not be decided."""


@dataclass
class Session:
    """Performs steps for one run. `ended` says why the run stopped before its plan was done, or is empty."""

    performer: Performer
    journal: Journal
    run_id: str
    origin_s: float
    """The node's clock at the start of the run: times count from there."""
    observer: Observer
    check: Callable[[], None]
    """Raises Stopped when the run has to end now."""
    ended: str = ""
    ended_as: Outcome = "completed"
    number: int = 0
    """Steps that are done."""
    clock_s: float = 0.0
    """Seconds since the start at which the last step ended."""

    def run(self, steps: Sequence[PlannedStep]) -> None:
        """Perform the steps in order; what is left out, or not reached, is written down as such."""
        total = self.number + len(steps)
        self.performer.expect(steps)
        for step in steps:
            self.number += 1
            self.observer.step_started(self.number, total, step)
            run = self._one(step)
            self.observer.step_ended(self.number, total, run)

    def _one(self, step: PlannedStep) -> StepRun:
        if step.skip:
            return self._write(step, StepResult(performed=None, outcome="skipped", reason=f"left out by {step.skip}"))
        if self.ended:
            return self._write(step, StepResult(performed=None, outcome="not_reached", reason=self.ended))
        seed = int.from_bytes(hashlib.sha256(f"{self.run_id} {self.number}".encode()).digest()[:4], "big")
        number = self.number
        watch = Watch(
            check=self.check,
            progress=self.observer.progress,
            again=lambda: self.journal.append(Again(step=number)),
        )
        try:
            result = self.performer.perform(
                step, seed, self.origin_s, lambda block: self._sampled(number, step, block), watch
            )
        except Stopped as stopped:
            self.ended, self.ended_as = stopped.reason, stopped.outcome
            result = StepResult(performed=None, outcome=stopped.outcome, reason=stopped.reason)
        return self._write(step, result)

    def _sampled(self, number: int, step: PlannedStep, block: SeriesBlock) -> None:
        """Series belong to the plan's own steps: the soak before a further look only warms the node up."""
        if step.look == 1:
            self.journal.samples(number, block)

    def _write(self, step: PlannedStep, result: StepResult) -> StepRun:
        performed = result.performed
        started = performed.started_s if performed else self.clock_s
        self.clock_s = max(self.clock_s, performed.ended_s if performed else self.clock_s)
        run = StepRun(
            check=step.check,
            state=step.state,
            visit=step.visit,
            look=step.look,
            outcome=result.outcome,
            reason=result.reason,
            started_s=started,
            ended_s=performed.ended_s if performed else self.clock_s,
            failures=result.failures,
        )
        for kind, subject, text in result.events:
            self.journal.append(Happened(event=Event(at_s=self.clock_s, kind=kind, subject=subject, text=text)))
        self.journal.append(Measured(step=run, columns=performed.columns if performed else ()))
        return run
