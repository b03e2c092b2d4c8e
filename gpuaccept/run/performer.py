"""What performs the steps of a run, and how each of them went: the crew of worker processes, or this very process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from gpuaccept.check import Node, SeriesBlock
from gpuaccept.data import Failure, Outcome, PlannedStep
from gpuaccept.device import open as device
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.messages import Opened
from gpuaccept.run.neighbours import neighbours
from gpuaccept.run.perform import Performed, perform


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

    def open(self, check: Callable[[], None], start_s: float = 0.0) -> Opened:
        """Open the device; `check` is asked while it waits. Raises DeviceUnavailable, UsageError or Stopped.

        A simulated node goes on from `start_s`, the seconds of its virtual clock.
        """

    def expect(self, steps: Sequence[PlannedStep]) -> None:
        """Told which steps come next: what they need may start, all at once."""

    def perform(
        self, step: PlannedStep, seed: int, origin_s: float, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        """Measure one step; times count from `origin_s` of the node's clock. Raises Stopped."""

    def close(self) -> None:
        """Let go of the device, whatever state it is in."""


class InProcess:
    """Performs steps in this process, for tests and evaluation: no protection against a driver that hangs."""

    def __init__(self, spec: device.DeviceSpec, checks: Mapping[str, LoadedCheck]) -> None:
        self._spec = spec
        self._checks = checks
        self._node: Node | None = None

    def open(self, check: Callable[[], None], start_s: float = 0.0) -> Opened:
        check()
        self._node = device.open_node(self._spec, None, lambda gpu, call: None, start_s)
        others, unseen = neighbours(self._node)
        return Opened(
            now_s=self._node.now(),
            gpus=self._node.gpus,
            facts=self._node.facts(),
            libraries=device.libraries(self._spec),
            simulated=device.simulated(self._spec),
            neighbours=others,
            unseen=unseen,
        )

    def expect(self, steps: Sequence[PlannedStep]) -> None:
        pass

    def perform(
        self, step: PlannedStep, seed: int, origin_s: float, on_series: Callable[[SeriesBlock], None], watch: Watch
    ) -> StepResult:
        assert self._node is not None
        watch.check()
        result = perform(self._node, self._checks[step.check], step, seed, origin_s, on_series)
        return StepResult(performed=result, outcome="completed", failures=result.failures)

    def close(self) -> None:
        if self._node is not None:
            self._node.close()
