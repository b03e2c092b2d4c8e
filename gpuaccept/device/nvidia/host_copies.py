"""Copies between the host's pinned memory and GPUs, of several GPUs at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from gpuaccept.check import DeviceError, Engine, HostDirection
from gpuaccept.device.nvidia.context import Context
from gpuaccept.device.nvidia.copies import LONGER, Job, ce_copy, run_jobs, sm_copy
from gpuaccept.device.nvidia.landing import Landing
from gpuaccept.device.nvidia.timing import Lane, timed

BUSY_S = 0.5
"""How long copies keep a link busy that is being looked at: NVML's PCIe calls take some ms each."""
_BUSY_BYTES, _LARGE_BUSY_BYTES = 16 << 20, 64 << 20
_MOST_COPIES = 1000
"""The driver's queue holds about this many before a call waits: at 55 GB/s, 0.3 s of the smaller copies."""
_NOT_READY = 600


@dataclass
class _HostRoute:
    """One direction of one GPU. What arrives at the host is verified after it was copied back to another buffer; what
    leaves the host was put there from the GPU, so a host buffer is never written by the CPU."""

    context: Context
    direction: HostDirection
    engine: Engine
    size: int
    passes: int
    seed: int
    lane: Lane = field(init=False)

    def prepare(self, stack: ExitStack) -> None:
        context, size = self.context, self.size
        stream = stack.enter_context(context.borrowed_stream())
        self._landing = Landing(context, size, self.passes)
        (near,) = stack.enter_context(context.buffers(size, 1))
        (self._far,) = stack.enter_context(context.buffers(self._landing.span, 1))
        context.fill(near, context.blocks(size), self.seed)
        if self.direction == "host_to_device":
            call, source = "cuMemcpyHtoDAsync", context.pinned(self.direction, size)
            context.call("cuMemcpyDtoHAsync", source, near, size, context.stream.handle)
            self._landing.at(self._far)
        else:
            call, source = "cuMemcpyDtoHAsync", near
            self._host = context.pinned(self.direction, self._landing.span)
            self._landing.at(self._host)
        if self.engine == "ce":
            one_pass = ce_copy(context, call, stream, self._landing, source, size)
        else:
            one_pass = sm_copy(context, stream, self._landing, source, size)
        context.wait()
        self.lane = Lane(context, stream, one_pass, self.passes)

    def spoil(self) -> None:
        self.context.enter()
        self._landing.spoil(self.seed, self._far)
        if self.direction == "device_to_host":
            self._copy("cuMemcpyDtoHAsync", self._host, self._far)
        self.context.wait()

    def wrong(self) -> int:
        self.context.enter()
        if self.direction == "device_to_host":
            self._copy("cuMemcpyHtoDAsync", self._far, self._host)
        return self._landing.wrong(self.seed, base=self._far)

    def _copy(self, call: str, to: int, source: int) -> None:
        """All that the passes write, between its place in the host and its place on the GPU."""
        self.context.call(call, to, source, self._landing.span, self.context.stream.handle)


def host_jobs(
    contexts: Sequence[Context],
    direction: HostDirection,
    engine: Engine,
    bidirectional: bool,
    size: int,
    passes: int,
    seed: int,
) -> list[Job]:
    """See Node.host_copies: one job a GPU, done. The opposite direction is interference: verified, not counted."""
    opposite: HostDirection = "device_to_host" if direction == "host_to_device" else "host_to_device"
    jobs = []
    for number, context in enumerate(contexts):
        own = seed + 2 * number
        routes = [_HostRoute(context, direction, engine, size, passes, own)]
        if bidirectional:
            routes.append(_HostRoute(context, opposite, engine, size, math.ceil(LONGER * passes), own + 1))
        jobs.append(Job(routes, 1, size, passes))
    run_jobs(jobs)
    return jobs


@contextmanager
def keep_busy(context: Context, seconds: float) -> Iterator[Callable[[], bool]]:
    """Queue copies to the GPU for about `seconds`, then the block; wait for the rest of them after it. The block is
    given a function that tells whether they still run."""
    size = _BUSY_BYTES if seconds <= BUSY_S else _LARGE_BUSY_BYTES
    with ExitStack() as stack:
        stream = stack.enter_context(context.borrowed_stream())
        (target,) = stack.enter_context(context.buffers(size, 1))
        source = context.pinned("busy", size)
        lane = Lane(context, stream, lambda: context.call("cuMemcpyHtoDAsync", target, source, size, stream.handle), 4)
        timed([lane])
        if lane.error:
            raise lane.error
        copies = min(_MOST_COPIES, max(1, round(seconds * 4e9 / lane.elapsed_ns)))
        stack.callback(lane.attempt, lane.finish)
        lane.attempt(lambda: lane.queue(copies))
        if lane.error:
            raise lane.error

        def still() -> bool:
            try:
                context.call("cuEventQuery", stream.end)
            except DeviceError as error:
                if error.code != _NOT_READY:
                    raise
                return True
            return False

        yield still
