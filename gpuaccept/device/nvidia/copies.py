"""Copies on many streams and GPUs at the same time, each verified whole: what host and peer copies have in common.

A route is one copy in one direction, over and over. A job is what one result is made of: the route that is measured,
and the opposite one where both directions run. A job that fails, whenever it does, is left out and spoils no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from gpuaccept.check import DeviceError, Transfer, Unavailable
from gpuaccept.device.nvidia.context import POINTER, Context, Stream
from gpuaccept.device.nvidia.landing import Landing
from gpuaccept.device.nvidia.timing import Lane, timed, warm_up

LONGER = 1.5
"""By how much the opposite direction outlasts what is measured."""


class Route(Protocol):
    """One copy in one direction."""

    lane: Lane

    def prepare(self, stack: ExitStack) -> None:
        """Take memory and a stream (given back by the stack), write the pattern to the source, make the lane."""

    def spoil(self) -> None:
        """Write another pattern to the destination, and wait until it is there."""

    def wrong(self) -> int:
        """How many words of the destination are not the source's pattern (see Landing)."""


@dataclass
class Job:
    """`routes` run together. The first `counted` of them are timed, and their bytes of `passes` passes over `size`
    counted: in the time of the slowest, since each goes on until the others have been timed."""

    routes: Sequence[Route]
    counted: int
    size: int
    passes: int
    error: DeviceError | None = None
    wrong_words: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something for this job, unless it has failed already."""
        if self.error is None:
            try:
                action()
            except DeviceError as error:
                self.error = error

    def prepare(self) -> None:
        for route in self.routes:
            route.prepare(self.stack)

    def spoil(self) -> None:
        for route in self.routes:
            if route.lane.error:
                raise route.lane.error
            route.spoil()

    def verify(self) -> None:
        for route in self.routes:
            if route.lane.error:
                raise route.lane.error
            self.wrong_words += route.wrong()

    def result(self) -> Transfer | Unavailable:
        """The measurement, or why there is none."""
        if self.error:
            return Unavailable(self.error.call, self.error.code, self.error.name)
        moved = self.counted * self.passes * self.size
        elapsed = max(route.lane.elapsed_ns for route in self.routes[: self.counted])
        return Transfer(elapsed, moved, moved, self.wrong_words)


def run_jobs(jobs: Sequence[Job]) -> None:
    """Do all jobs at the same time. What they hold is given back when this returns."""
    with ExitStack() as stack:
        for job in jobs:
            stack.callback(job.stack.close)
            job.attempt(job.prepare)
        warm_up(_lanes(jobs))
        for job in jobs:
            job.attempt(job.spoil)
        timed(_lanes(jobs))
        for job in jobs:
            job.attempt(job.verify)


def _lanes(jobs: Sequence[Job]) -> list[Lane]:
    return [route.lane for job in jobs if job.error is None for route in job.routes]


def sm_copy(context: Context, stream: Stream, landing: Landing, source: int, size: int) -> Callable[[], None]:
    """A pass of the copy kernel, wherever the two buffers lie."""
    blocks = context.blocks(size)
    return lambda: context.launch("bw_copy", blocks, (source, POINTER), (landing.next(), POINTER), stream=stream.handle)


def ce_copy(context: Context, call: str, stream: Stream, landing: Landing, *arguments: object) -> Callable[[], None]:
    """A pass of the copy engine by the driver's call of that name, whose first argument is the destination."""
    return lambda: context.call(call, landing.next(), *arguments, stream.handle)
