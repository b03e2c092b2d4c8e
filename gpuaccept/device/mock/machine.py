"""The machine under the simulated node: its virtual clock, its parameters now, and how its calls fail."""

from __future__ import annotations

import os
import time
from typing import NamedTuple, NoReturn

from gpuaccept.check import Pulse, Unavailable, gpu_subject
from gpuaccept.device.mock.model import When
from gpuaccept.device.mock.physics import Body
from gpuaccept.device.mock.world import World
from gpuaccept.errors import DeviceError, DeviceUnavailable

CUDA_CALLS = {
    "memory_sweep": "cuLaunchKernel",
    "memory_regions": "cuLaunchKernel",
    "integrity_begin": "cuMemCreate",
    "integrity_step": "cuLaunchKernel",
    "integrity_end": "cuMemUnmap",
    "gemm": "cublasLtMatmul",
    "host_copies": "cuMemcpyAsync",
    "peer_copies": "cuMemcpyPeerAsync",
    "load_begin": "cuLaunchKernel",
    "load_end": "cuStreamSynchronize",
    "load_waves": "cuLaunchKernel",
}
"""The driver's call that fails where the GPU does."""

CALL_S = 0.001
"""Virtual time that a call takes beside what it measures, s [judgement]."""
CRASHED = 139
"""Exit code of a process that a fault ends, as a shell reports a segmentation fault."""
GUARDED = {"gpu.lost", "call.hang", "cuda.not_ready", "memory.allocation_fails", "tool.crash"}
"""Parameters by which a call itself can fail."""
WIDEST_SPREAD = 2.0
"""Largest `gpu.spread`: beyond it a resistance or a clock might be drawn below zero."""


class Wave(NamedTuple):
    """Square waves of load that run now."""

    frequency_hz: float
    in_phase: bool

    def fits(self, when: When) -> bool:
        """Whether it is one of those that a condition asks for."""
        return (
            when.pulses in (None, "any", "in phase" if self.in_phase else "out of phase")
            and (when.pulses_above_hz is None or self.frequency_hz > when.pulses_above_hz)
            and (when.pulses_below_hz is None or self.frequency_hz < when.pulses_below_hz)
        )


made = tuple.__new__
"""`made(Transfer, (…))` is the NamedTuple without a call in Python: a third of the time, where thousands are made."""


class Machine:
    """Clock, parameters and GPUs of one simulated node. GPU i sits at `places[i]` of the board."""

    def __init__(
        self, world: World, seed: int, gpus: tuple[int, ...] | None, pulse: Pulse, start_s: float, real_time: bool
    ) -> None:
        self.world, self.model, self.seed, self.start = world, world.model, seed, start_s
        self.pulse, self.real_time, self.closed = pulse, real_time, False
        self.time_s = start_s
        self.wave: Wave | None = None
        self.bodies: list[Body] = []
        self.places = tuple(
            place
            for place in range(self.model.gpus)
            if world.value("gpu.present", gpu_subject(place), True, 0.0, self.holds)
        )
        self.gpus = tuple(range(len(self.places))) if gpus is None else gpus
        for gpu in self.gpus:
            if gpu not in range(len(self.places)):
                known = f"GPUs 0 to {len(self.places) - 1}"
                raise DeviceUnavailable(f"there is no GPU {gpu}: this simulated node has {known}", f"choose of {known}")
        self.bodies = [Body(self, place) for place in range(self.model.gpus)]
        total_mib = float(self.model.gpu.memory_total_mib)
        self.memory_bytes = tuple(
            int(self.number("memory.total_mib", place, total_mib, 0.0)) << 20 for place in range(self.model.gpus)
        )
        """That NVML reports, by place: a deviation of it holds for the whole run."""
        self.generation = 0
        """Rises whenever parameters may have changed."""
        self.guarded = bool(
            world.names & {"gpu.lost", "call.hang", "cuda.not_ready", "memory.allocation_fails", "tool.crash"}
        )
        self._changes = world.next_change(start_s)
        self._origin = time.monotonic()

    # --- parameters -------------------------------------------------------------------------------------------

    @property
    def conditional(self) -> bool:
        """Whether any deviation depends on a condition, so that nothing may be kept between calls."""
        return self.world.conditional

    def next_change(self, t: float) -> float:
        """The next time after `t` at which a parameter may change."""
        return self.world.next_change(t)

    def number(self, parameter: str, place: int, base: float, t: float) -> float:
        """A parameter of the GPU at a place of the board."""
        if parameter not in self.world.names:
            return base
        return self.world.value(parameter, gpu_subject(place), base, t, self.holds)

    def spread(self, place: int) -> float:
        """How far the GPU at a place is from a typical one: 1 as its seed says."""
        return min(WIDEST_SPREAD, self.number("gpu.spread", place, 1.0, 0.0))

    def holds(self, when: When, subject: str) -> bool:
        """Whether conditions hold now for a subject: its own GPU's temperatures, or the highest for the node."""
        if when.gpus_active_above is not None and self._active() <= when.gpus_active_above:
            return False
        of_pulses = (when.pulses, when.pulses_above_hz, when.pulses_below_hz) != (None, None, None)
        if of_pulses and (self.wave is None or not self.wave.fits(when)):
            return False
        if when.temperature_above is None and when.memory_temperature_above is None:
            return True
        place = subject.removeprefix("gpu/").split("/")[0].split(">")[0]
        bodies = [self.bodies[int(place)]] if place.isdigit() and self.bodies else self.bodies
        return (
            when.temperature_above is None or any(body.latest_temperature > when.temperature_above for body in bodies)
        ) and (
            when.memory_temperature_above is None
            or any(body.latest_memory_temperature > when.memory_temperature_above for body in bodies)
        )

    def _active(self) -> int:
        """How many GPUs are under load at a time: half of them where their pulses are out of phase."""
        loaded = sum(body.loaded for body in self.bodies)
        return (loaded + 1) // 2 if self.wave is not None and not self.wave.in_phase else loaded

    def flag(self, parameter: str, place: int) -> bool:
        """A flag of the GPU at a place of the board, now."""
        return bool(self.world.value(parameter, gpu_subject(place), False, self.time_s, self.holds))

    # --- clock and guards -------------------------------------------------------------------------------------

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self.time_s

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.pulse(None, "wait")
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Move the clock; in real time, sleep until it is so late, with a pulse every half second."""
        if self.world.conditional:
            self.world.accrue(self.time_s, seconds, self.holds)
        self.time_s = int((self.time_s + seconds) * 1e9 + 0.5) / 1e9  # round(…, 9) at a fifth of the time
        if self.real_time:
            while (left := self._origin + self.time_s - self.start - time.monotonic()) > 0:
                time.sleep(min(left, 0.5))
                self.pulse(None, "wait")

    def place(self, gpu: int, call: str, nvml: str = "") -> int:
        """Before each call on a GPU: heartbeat, and every way in which the call itself can fail."""
        self.pulse(gpu, call)
        self.refresh()
        if self.closed:
            raise (
                DeviceError(nvml, 1, "NVML_ERROR_UNINITIALIZED", gpu)
                if nvml
                else DeviceError(CUDA_CALLS[call], 4, "CUDA_ERROR_DEINITIALIZED", gpu)
            )
        if gpu not in self.gpus:
            raise DeviceError(
                "nvmlDeviceGetHandleByIndex_v2" if nvml else "cuDeviceGet",
                2 if nvml else 101,
                "NVML_ERROR_INVALID_ARGUMENT" if nvml else "CUDA_ERROR_INVALID_DEVICE",
                gpu,
            )
        place = self.places[gpu]
        if self.guarded:
            failure = self._failure(place, call, nvml)
            if failure is not None:
                raise DeviceError(failure.call, failure.code, failure.reason, gpu)
        return place

    def refresh(self) -> None:
        """Bring everything that was derived from parameters up to now."""
        if self.time_s >= self._changes or self.world.conditional:
            self.generation += 1
            self._changes = self.next_change(self.time_s)
            if self.world.conditional:
                for body in self.bodies:
                    body.observe(self.time_s)

    def _failure(self, place: int, call: str, nvml: str) -> Unavailable | None:
        self.maybe_crash()
        if self.flag("call.hang", place):
            hang()
        if self.flag("gpu.lost", place):
            return (
                Unavailable(nvml, 15, "NVML_ERROR_GPU_IS_LOST")
                if nvml
                else Unavailable(CUDA_CALLS[call], 719, "CUDA_ERROR_LAUNCH_FAILED")
            )
        if nvml:
            return None
        if self.flag("cuda.not_ready", place):
            return Unavailable("cuInit", 802, "CUDA_ERROR_SYSTEM_NOT_READY")
        if self.flag("memory.allocation_fails", place):
            return Unavailable("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY")
        return None

    def maybe_crash(self) -> None:
        """End this process at once, as a driver's fault does; a later one goes on."""
        if self.start == 0.0 and self.world.value("tool.crash", "node", False, self.time_s, self.holds):
            os._exit(CRASHED)


def hang() -> NoReturn:
    """As a driver call that never returns."""
    while True:
        time.sleep(3600)
