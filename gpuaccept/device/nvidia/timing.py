"""Times what runs on one stream or on many at once, by each GPU's own events, without the launches.

Every stream is held by a kernel that polls the same word of host memory, until the host has queued everything on all of
them: one store starts them all. A host that is too slow shows as an error of all of them, never as a result.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.context import POINTER, U64, Context, Stream

HOLD_NS = 2_000_000_000
"""How long the start gate waits for the host to queue a span."""
IDLE_S = 0.5
"""After this long without work the clocks may have dropped: warm up before measuring."""
WARM_SPAN_S = 0.005
WARM_MINIMUM_S, WARM_MAXIMUM_S = 0.1, 1.0
WARM_AGREEMENT = 0.005
"""Warm when three successive spans agree within this."""


@dataclass
class OneGpu:
    """Work on one GPU among others. A failure is its own, and ends it."""

    context: Context
    error: DeviceError | None = field(default=None, init=False)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something on this GPU, unless it has failed already."""
        if self.error is None:
            try:
                self.context.enter()
                action()
            except DeviceError as error:
                self.error = error


@dataclass
class Lane(OneGpu):
    """One pass of work, many times on one stream: `passes` of them are timed, `beyond` more follow, so that what is
    timed beside it is disturbed up to its end. After `timed`, either `elapsed_ns` or `error` is set."""

    stream: Stream
    one_pass: Callable[[], None]
    passes: int
    beyond: int = 0
    elapsed_ns: int = 0

    def hold(self, latch: int) -> None:
        """Queue the start gate."""
        arguments = (latch, POINTER), (HOLD_NS, U64)
        self.context.launch("hold", 1, *arguments, stream=self.stream.handle, threads=1)

    def queue(self, passes: int, beyond: int = 0) -> None:
        """Queue passes between the events, and some after."""
        self.context.call("cuEventRecord", self.stream.start, self.stream.handle)
        for _ in range(passes):
            self.one_pass()
        self.context.call("cuEventRecord", self.stream.end, self.stream.handle)
        for _ in range(beyond):
            self.one_pass()

    def finish(self) -> None:
        """Wait for all that is queued, and read the span."""
        self.context.wait(self.stream.handle)
        self.context.busy_until = time.monotonic()
        span_ms = self.context.call("cuEventElapsedTime", self.stream.start, self.stream.end)
        self.elapsed_ns = max(1, round(float(span_ms) * 1e6))


def timed(lanes: Sequence[Lane]) -> None:
    """Run all lanes from one common start."""
    if not lanes:
        return
    address = lanes[0].context.latch
    latch = (ctypes.c_uint32 * 2).from_address(address)
    latch[0] = latch[1] = 0
    try:
        for lane in lanes:
            lane.attempt(partial(lane.hold, address))
        for lane in lanes:
            lane.attempt(partial(lane.queue, lane.passes, lane.beyond))
    finally:
        latch[0] = 1
    _finish(lanes)
    if latch[1]:
        for lane in lanes:
            late = DeviceError("hold", 0, "the host was too slow to queue the span", lane.context.index)
            lane.error = lane.error or late


def warm_up(lanes: Sequence[Lane]) -> None:
    """After idling, run until the clocks are up: until spans agree, at least and at most for the times above.

    This writes what the timed passes write: what they are to overwrite is filled after it.
    """
    begun = time.monotonic()
    if all(begun - lane.context.busy_until <= IDLE_S for lane in lanes):
        return
    spans = [_span_s(lanes, 1)]
    passes = max(1, round(WARM_SPAN_S / max(spans[0], 1e-6)))
    while (spent := time.monotonic() - begun) < WARM_MAXIMUM_S and any(lane.error is None for lane in lanes):
        spans = [*spans[-2:], _span_s(lanes, passes) / passes]
        steady = len(spans) == 3 and max(spans) - min(spans) <= WARM_AGREEMENT * max(spans)
        if steady and spent >= WARM_MINIMUM_S:
            return


def _span_s(lanes: Sequence[Lane], passes: int) -> float:
    for lane in lanes:
        lane.attempt(partial(lane.queue, passes))
    _finish(lanes)
    return max((lane.elapsed_ns for lane in lanes if lane.error is None), default=0) / 1e9


def _finish(lanes: Sequence[Lane]) -> None:
    """A lane that failed may have work queued all the same: it is waited for before its memory is given back."""
    for lane in lanes:
        failed, lane.error = lane.error, None
        lane.attempt(lane.finish)
        lane.error = failed or lane.error
