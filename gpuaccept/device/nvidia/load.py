"""The soak load of one GPU: short launches, queued ahead, each with a result that is known exactly.

No thread feeds it. `Node.wait`, and with it `Node.sensors`, tops the queue up every `FEED_S`: so each driver call is
made, announced and watched where all others are, and a GPU that hangs shows as silence, which the heartbeat of a
feeding thread would hide. The queue holds `AHEAD_S` of work: more than reading sensors takes, and the load ends within
that time.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from gpuaccept.check import DeviceError, LoadResult
from gpuaccept.device.nvidia.context import Context

FEED_S = 0.1
AHEAD_S = 0.8
ITERATION_S = 0.02
"""How long one iteration is made to take: far longer than a launch, and short enough that iterations show the rate."""
_DEEPEST = 64
_NOT_READY = 600
"""CUDA_ERROR_NOT_READY: what is queued before the event has not been done yet."""


class Soak(Protocol):
    """What is run over and over: on tensor cores and memory, of known result."""

    implementation: str
    digest: str
    """Of what every iteration should give, in hex."""
    iteration_s: float
    idle_sms: tuple[int, ...]
    """Those on which it never ran, known after `finish`."""

    def queue(self, slot: int) -> None:
        """Queue one iteration; `slot` is its place among those that are queued, for results of its own."""

    def retire(self, slot: int) -> None:
        """Take the results of an iteration that has been done."""

    def finish(self) -> tuple[int, tuple[int, ...] | None]:
        """When all is done: how many results were wrong, and the SMs that gave them (None: it can't tell)."""

    def close(self) -> None:
        """Give everything back."""


class Load:
    """A soak that runs on a GPU from its making to `end`."""

    def __init__(self, context: Context, soak: Soak) -> None:
        self._context, self._soak = context, soak
        self._depth = min(_DEEPEST, max(2, math.ceil(AHEAD_S / max(soak.iteration_s, 1e-4))))
        self._queued = self._done = 0
        self._events: list[Any] = []
        self._running: deque[int] = deque()
        self.error: DeviceError | None = None
        try:
            context.enter()
            for _ in range(self._depth):
                self._events.append(context.call("cuEventCreate", 0))
            self._top_up()
        except DeviceError:
            self.close()
            raise

    @property
    def iterations(self) -> int:
        """Iterations that the GPU has completed."""
        return self._done

    def feed(self) -> None:
        """Take what is done and queue as much again. What goes wrong is told at the end: others are being sampled."""
        if self.error is None:
            try:
                self._context.enter()
                self._top_up()
            except DeviceError as error:
                self.error = error

    def end(self) -> LoadResult:
        """Let what is queued finish, and give all back."""
        try:
            if self.error:
                raise self.error
            self._context.enter()
            self._context.wait()
            while self._running:
                self._retire()
            soak = self._soak
            mismatches, odd = soak.finish()
            return LoadResult(self._done, mismatches, soak.implementation, soak.digest, odd, soak.idle_sms)
        finally:
            self.close()

    def close(self) -> None:
        """Give all back, after what is queued has been done."""
        with suppress(DeviceError):
            self._context.enter()
            if self._running:
                self._context.wait()
        self._running.clear()
        while self._events:
            with suppress(DeviceError):
                self._context.call("cuEventDestroy", self._events.pop())
        self._soak.close()

    def _top_up(self) -> None:
        """At most one depth of launches: a GPU that is faster than this host must not keep it here."""
        while self._running and self._is_done(self._running[0]):
            self._retire()
        for _ in range(self._depth - len(self._running)):
            slot = self._queued % self._depth
            self._soak.queue(slot)
            self._context.call("cuEventRecord", self._events[slot], self._context.stream.handle)
            self._running.append(slot)
            self._queued += 1

    def _retire(self) -> None:
        self._soak.retire(self._running.popleft())
        self._done += 1

    def _is_done(self, slot: int) -> bool:
        try:
            self._context.call("cuEventQuery", self._events[slot])
        except DeviceError as error:
            if error.code == _NOT_READY:
                return False
            raise
        return True
