"""Square waves of the soak's own kernel on many GPUs at a time, timed by the host's clock from one thread.

A burst is one launch, or many where half a period is longer than a launch may be. Where GPUs are to begin together,
each holds its burst at a gate of host memory (timing.py) until one store opens all of them. Out of phase each has a
gate of its own. The next burst is queued in the idle half of the period, when the one before has been done.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gpuaccept.check import Unavailable, Waves
from gpuaccept.device.nvidia.context import POINTER, U64, Context
from gpuaccept.device.nvidia.soak_kernel import KernelSoak, kernel_soak
from gpuaccept.device.nvidia.timing import HOLD_NS, OneGpu

OPERANDS = 2
"""Sets of operands: what each gives has to be calculated anew for each frequency."""
MOST_LAUNCHES = 512
"""Of a burst: the driver's queue holds about 1000 before a call waits, and what waits at a gate must not."""
LEAD_S = 0.05
"""How long before its time a burst is queued, at most: long bursts take some launches."""
LATE = 0.1
"""Part of a period by which a burst may begin late."""
_SPIN_S = 0.0002
"""For the last of a wait the clock is watched: a sleep ends some tens of microseconds late."""
_SLICE_S = 0.5


@dataclass
class _Wave(OneGpu):
    """One GPU's part: what it runs in each period, and what became of it."""

    soak: KernelSoak | None = None
    launches: int = 1
    bursts: int = 0
    late: int = 0
    mismatches: int = 0

    def prepare(self, seed: int, half_s: float) -> None:
        """Cut the kernel so that a whole number of launches is half a period long."""
        self.soak = kernel_soak(self.context, seed, OPERANDS)
        whole_s = max(self.soak.iteration_s, 1e-6)
        self.launches = min(MOST_LAUNCHES, max(1, round(half_s / whole_s)))
        self.soak.cut(half_s / (whole_s * self.launches))

    def hold(self, latch: int) -> None:
        """Queue the gate of a burst."""
        self.context.launch("hold", 1, (latch, POINTER), (HOLD_NS, U64), threads=1)

    def launch(self) -> None:
        """Queue one launch of a burst."""
        assert self.soak is not None
        self.soak.queue(0)

    def finish(self) -> None:
        """When all is done: compare the results."""
        assert self.soak is not None
        self.context.wait()
        self.mismatches, _ = self.soak.finish()
        self.context.busy_until = time.monotonic()

    def close(self) -> None:
        """Give all back."""
        if self.soak is not None:
            self.soak.close()

    def result(self) -> Waves | Unavailable:
        """See Node.load_waves."""
        if self.error is not None or self.soak is None:
            error = self.error
            return Unavailable(error.call, error.code, error.name) if error else Unavailable("load_waves", 0, "not run")
        return Waves(self.bursts, self.late, self.mismatches, self.soak.implementation)


def square_waves(
    contexts: Sequence[Context],
    frequency_hz: float,
    in_phase: bool,
    seconds: float,
    seed: int,
    waiting: Callable[[], None],
) -> list[Waves | Unavailable]:
    """See Node.load_waves; `waiting` is called while nothing is to be done."""
    period = 1.0 / frequency_hz
    waves = [_Wave(context) for context in contexts]
    try:
        for wave in waves:
            wave.attempt(partial(wave.prepare, seed, period / 2))
        groups = [waves] if in_phase else [[wave] for wave in waves]
        for group in groups:  # not timed: the first launch of a kernel in a process takes longer
            _arm(group)
            _release(group)
        begin = time.monotonic() + min(LEAD_S, period)
        for burst in range(max(1, round(seconds * frequency_hz))):
            for place, group in enumerate(groups):
                due = begin + (burst + place / len(groups)) * period
                _until(due - min(LEAD_S, period / 4), waiting)
                _arm(group)
                _until(due, waiting)
                late = time.monotonic() - due > LATE * period
                late |= _release(group)
                for wave in group:
                    wave.bursts += wave.error is None
                    wave.late += late and wave.error is None
        for wave in waves:
            _after_failure(wave)
    finally:
        for wave in waves:
            wave.close()
    return [wave.result() for wave in waves]


def _arm(group: Sequence[_Wave]) -> None:
    """Queue a burst of each GPU behind their common gate, launch by launch, so that none gets far ahead."""
    latch = group[0].context.latch
    for wave in group:  # all have passed the gate before it is shut again
        wave.attempt(wave.context.wait)
    (ctypes.c_uint32 * 2).from_address(latch)[:] = [0, 0]
    for wave in group:
        wave.attempt(partial(wave.hold, latch))
    for number in range(max(wave.launches for wave in group)):
        for wave in group:
            if number < wave.launches:
                wave.attempt(wave.launch)


def _release(group: Sequence[_Wave]) -> bool:
    """Open the gate; whether it had opened by itself, since the host was too slow."""
    words = (ctypes.c_uint32 * 2).from_address(group[0].context.latch)
    words[0] = 1
    return bool(words[1])


def _until(due: float, waiting: Callable[[], None]) -> None:
    while (left := due - time.monotonic()) > 0:
        if left > _SPIN_S:
            waiting()
            time.sleep(min(left - _SPIN_S, _SLICE_S))


def _after_failure(wave: _Wave) -> None:
    """A GPU that failed may have work queued all the same: it is waited for before its memory is given back."""
    failed, wave.error = wave.error, None
    wave.attempt(wave.finish)
    wave.error = failed or wave.error
