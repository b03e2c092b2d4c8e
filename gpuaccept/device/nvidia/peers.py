"""Copies between the memories of two GPUs, of many pairs at the same time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from gpuaccept.check import CopyOperation, Engine
from gpuaccept.device.nvidia.context import Context
from gpuaccept.device.nvidia.copies import LONGER, Job, ce_copy, run_jobs, sm_copy
from gpuaccept.device.nvidia.landing import Landing
from gpuaccept.device.nvidia.timing import Lane


@dataclass
class _PeerRoute:
    """`acting` pulls from `other`, or pushes to it, on its own stream and by its own events.

    Both may reach each other's memory before anything is timed: without that the driver would carry a copy through the
    host, and it would be a copy all the same.
    """

    acting: Context
    other: Context
    operation: CopyOperation
    engine: Engine
    size: int
    passes: int
    beyond: int
    seed: int
    lane: Lane = field(init=False)

    def prepare(self, stack: ExitStack) -> None:
        acting, other, size = self.acting, self.other, self.size
        acting.allow_peer(other)
        other.allow_peer(acting)
        origin, self._owner = (other, acting) if self.operation == "read" else (acting, other)
        (source,) = stack.enter_context(origin.buffers(size, 1))
        origin.fill(source, origin.blocks(size), self.seed)
        origin.wait()
        self._landing = Landing(self._owner, size, self.passes + self.beyond)
        (target,) = stack.enter_context(self._owner.buffers(self._landing.span, 1))
        self._landing.at(target)
        stream = stack.enter_context(acting.borrowed_stream())
        if self.engine == "ce":
            ends = self._owner.handle, source, origin.handle
            one_pass = ce_copy(acting, "cuMemcpyPeerAsync", stream, self._landing, *ends, size)
        else:
            one_pass = sm_copy(acting, stream, self._landing, source, size)
        self.lane = Lane(acting, stream, one_pass, self.passes, self.beyond)

    def spoil(self) -> None:
        self._owner.enter()
        self._landing.spoil(self.seed)
        self._owner.wait()

    def wrong(self) -> int:
        self._owner.enter()
        return self._landing.wrong(self.seed)


def peer_jobs(
    pairs: Sequence[tuple[Context, Context]],
    operation: CopyOperation,
    engine: Engine,
    bidirectional: bool,
    size: int,
    passes: int,
    seed: int,
) -> list[Job]:
    """See Node.peer_copies: one job a pair, done.

    Each route has a pattern of its own, so that what arrives from another pair's source does not pass. Both directions
    are timed where both run, and each goes on for half as long again, so that the other is disturbed up to its end.
    """
    beyond = math.ceil((LONGER - 1) * passes) if bidirectional else 0
    jobs = []
    for number, (gpu, peer) in enumerate(pairs):
        ways = [(gpu, peer), (peer, gpu)] if bidirectional else [(gpu, peer)]
        routes = [
            _PeerRoute(acting, other, operation, engine, size, passes, beyond, seed + 2 * number + way)
            for way, (acting, other) in enumerate(ways)
        ]
        jobs.append(Job(routes, len(routes), size, passes))
    run_jobs(jobs)
    return jobs
