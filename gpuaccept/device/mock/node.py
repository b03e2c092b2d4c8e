"""The simulated node: the device protocol over the model, its deviations and a virtual clock.

Its state is a function of scenario, seed and virtual time, and of the calls of this process: the load that runs, and
when a visit began. A node opened with a later start time therefore goes on with the same faults, counters of errors
and noise; its GPUs have cooled down to idle (replacing a worker is taken to last that long).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Literal, NoReturn

from gpuaccept.check import (
    CopyOperation,
    EccCounters,
    Engine,
    Fabric,
    Link,
    LoadResult,
    PairStatus,
    Pulse,
    Sensors,
    Settings,
    SweepKernel,
    Transfer,
    Unavailable,
    gpu_subject,
    pair_subject,
)
from gpuaccept.data import NodeFacts
from gpuaccept.device.mock import registers
from gpuaccept.device.mock.copies import Path, heat_factor
from gpuaccept.device.mock.identity import node_facts
from gpuaccept.device.mock.model import When
from gpuaccept.device.mock.physics import Body
from gpuaccept.device.mock.world import World
from gpuaccept.errors import DeviceError, DeviceUnavailable

BLOCK = 60
"""Sensor samples in a block."""
CALL_S = 0.001
"""Virtual time that a call takes beside what it measures, s [judgement]."""
BUFFERS = {"read": 1, "write": 1, "copy": 2, "triad": 3, "local_copy_ce": 2}
"""Buffers that a sweep allocates."""
SHARES: dict[str, tuple[int, int]] = {"read": (1, 0), "write": (0, 1), "copy": (1, 1), "triad": (2, 1)}
"""Buffers that one pass reads and writes; the copy engine's copy is 1 and 1, and its rate counts them once."""
CUDA_CALLS = {
    "memory_sweep": "cuLaunchKernel",
    "host_copy": "cuMemcpyAsync",
    "peer_copies": "cuMemcpyPeerAsync",
    "load_begin": "cuLaunchKernel",
    "load_end": "cuStreamSynchronize",
}
"""The driver's call that fails where the GPU does."""
USABLE = 0.973
"""Part of the reported memory that can be allocated: 178.4 of 183.4 GB [B200 listing]."""


class MockNode:
    """`gpuaccept.check.Node`, simulated."""

    def __init__(
        self,
        world: World,
        seed: int,
        gpus: tuple[int, ...] | None,
        pulse: Pulse,
        start_s: float = 0.0,
        real_time: bool = False,
    ) -> None:
        self.world, self.model, self.seed, self.start = world, world.model, seed, start_s
        self._pulse, self._real_time = pulse, real_time
        self._now = start_s
        self._origin = time.monotonic()
        self._closed = False
        self._bodies: list[Body] = []
        self._places = tuple(
            place
            for place in range(self.model.gpus)
            if world.value("gpu.present", gpu_subject(place), True, 0.0, self.holds)
        )
        self.gpus = tuple(range(len(self._places))) if gpus is None else gpus
        if any(gpu not in range(len(self._places)) for gpu in self.gpus):
            raise DeviceUnavailable(
                f"there is no GPU {max(self.gpus)} in {self.model.name}", "choose from those present"
            )
        self._bodies = [Body(self, place) for place in range(self.model.gpus)]
        self._generation = 0
        self._changes = world.next_change(start_s)
        self._paths: dict[Any, Path] = {}
        self._heat: dict[int, tuple[float, float]] = {}
        self._guarded = bool(world.names & {"gpu.lost", "call.hang", "cuda.not_ready", "memory.allocation_fails"})
        self._load_marks: dict[int, float] = {}
        self._bank: Any = None
        self._links: dict[int, tuple[int, tuple[Link, ...]]] = {}

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
        return self.world.value(parameter, gpu_subject(place), base, t, self.holds)

    def holds(self, when: When, subject: str) -> bool:
        """Whether conditions hold now for a subject: its own GPU's temperatures, or the highest for the node."""
        if when.gpus_active_above is not None and sum(b.loaded for b in self._bodies) <= when.gpus_active_above:
            return False
        if when.temperature_above is None and when.memory_temperature_above is None:
            return True
        place = subject.removeprefix("gpu/").split("/")[0].split(">")[0]
        bodies = [self._bodies[int(place)]] if place.isdigit() and self._bodies else self._bodies
        return (
            when.temperature_above is None or any(body.latest_temperature > when.temperature_above for body in bodies)
        ) and (
            when.memory_temperature_above is None
            or any(body.latest_memory_temperature > when.memory_temperature_above for body in bodies)
        )

    def _flag(self, parameter: str, place: int) -> bool:
        return bool(self.world.value(parameter, gpu_subject(place), False, self._now, self.holds))

    # --- clock and guards -------------------------------------------------------------------------------------

    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._pulse(None, "wait")
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        """Move the clock; in real time, sleep until it is so late, with a pulse every half second."""
        if self.world.conditional:
            self.world.accrue(self._now, seconds, self.holds)
        self._now = round(self._now + seconds, 9)
        if self._real_time:
            while (left := self._origin + self._now - self.start - time.monotonic()) > 0:
                time.sleep(min(left, 0.5))
                self._pulse(None, "wait")

    def _place(self, gpu: int, call: str, nvml: str = "") -> int:
        """Before each call on a GPU: heartbeat, and every way in which the call itself can fail."""
        self._pulse(gpu, call)
        if self._now >= self._changes or self.world.conditional:
            self._generation += 1
            self._changes = self.next_change(self._now)
            self._observe()
        if self._closed:
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
        place = self._places[gpu]
        if self._guarded:
            failure = self._failure(place, call, nvml)
            if failure is not None:
                raise DeviceError(failure.call, failure.code, failure.reason, gpu)
        return place

    def _observe(self) -> None:
        """Bring what conditions look at up to now."""
        if self.world.conditional:
            for body in self._bodies:
                body.observe(self._now)

    def _failure(self, place: int, call: str, nvml: str) -> Unavailable | None:
        if self._flag("call.hang", place):
            _hang()
        if self._flag("gpu.lost", place):
            return (
                Unavailable(nvml, 15, "NVML_ERROR_GPU_IS_LOST")
                if nvml
                else Unavailable(CUDA_CALLS[call], 719, "CUDA_ERROR_LAUNCH_FAILED")
            )
        if nvml:
            return None
        if self._flag("cuda.not_ready", place):
            return Unavailable("cuInit", 802, "CUDA_ERROR_SYSTEM_NOT_READY")
        if self._flag("memory.allocation_fails", place):
            return Unavailable("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY")
        return None

    # --- identity and registers -------------------------------------------------------------------------------

    def facts(self) -> NodeFacts:
        """Read the whole node's identity anew."""
        self._pulse(None, "facts")
        lost = frozenset(place for place in self._places if self._guarded and self._flag("gpu.lost", place))
        return node_facts(self.world, self.seed, self._places, lost, self.holds)

    def settings(self, gpu: int) -> Settings:
        """Modes and limits of one GPU."""
        place = self._place(gpu, "settings", "nvmlDeviceGetEccMode")
        return registers.settings(self.world, place, self._now, self.holds)

    def ecc(self, gpu: int) -> EccCounters:
        """ECC and row-remapping state of one GPU."""
        place = self._place(gpu, "ecc", "nvmlDeviceGetMemoryErrorCounter")
        return registers.ecc(self.world, self.seed, place, self._now, self.holds)

    def links(self, gpu: int) -> tuple[Link, ...]:
        """All NVLinks of one GPU."""
        place = self._place(gpu, "links", "nvmlDeviceGetNvLinkState")
        return registers.links(self.world, place, self._now, self.holds)

    def fabric(self, gpu: int) -> Fabric:
        """Fabric registration of one GPU."""
        place = self._place(gpu, "fabric", "nvmlDeviceGetGpuFabricInfoV")
        return registers.fabric(self.world, place, self._now, self.holds)

    def pair(self, gpu: int, peer: int) -> PairStatus:
        """P2P status of an ordered pair."""
        place = self._place(gpu, "pair", "nvmlDeviceGetP2PStatus")
        other = self._place(peer, "pair", "nvmlDeviceGetP2PStatus")
        return registers.pair(self.world, place, other, self._now, self.holds)

    # --- copies -----------------------------------------------------------------------------------------------

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        """Stream over device memory."""
        place = self._place(gpu, "memory_sweep")
        if kernel not in BUFFERS:
            raise DeviceError("cuModuleGetFunction", 500, "CUDA_ERROR_NOT_FOUND", gpu)
        self._allocate(gpu, place, buffer_bytes * BUFFERS[kernel], passes)
        path = self._paths.get((place, kernel)) or self._sweep_path(place, kernel)
        moved = buffer_bytes * passes
        rate = path.rate(self._now, int(self._now * 1e9), self._generation) * self._heat_factor(place)
        if kernel == "local_copy_ce":
            reads, writes, counted = moved, moved, moved
        else:
            read, write = SHARES[kernel]
            reads, writes = read * moved, write * moved
            counted = reads + writes
        elapsed = int(counted / rate) or 1
        self._pass(CALL_S + elapsed * 1e-9 + buffer_bytes / rate * 1e-9)
        wrong = 0 if not self.world.names else int(self.number("memory.wrong_words", place, 0.0, self._now))
        return Transfer(elapsed, reads, writes, wrong)

    def host_copy(
        self,
        gpu: int,
        direction: Literal["host_to_device", "device_to_host"],
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> Transfer:
        """Copy between pinned host memory and a GPU."""
        place = self._place(gpu, "host_copy")
        self._allocate(gpu, place, buffer_bytes, passes)
        path = self._paths.get((place, direction)) or self._host_path(place, direction)
        moved = buffer_bytes * passes
        elapsed = int(moved / path.rate(self._now, int(self._now * 1e9), self._generation)) or 1
        self._pass(CALL_S + elapsed * 1e-9)
        wrong = 0 if not self.world.names else int(self.number("host.wrong_words", place, 0.0, self._now))
        return Transfer(elapsed, moved, moved, wrong)

    def peer_copies(
        self,
        pairs: Sequence[tuple[int, int]],
        operation: CopyOperation,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        """Copies of all pairs at the same time."""
        if not pairs:
            return ()
        first = pairs[0][0]
        self._pulse(first, "peer_copies")
        now, names = self._now, self.world.names
        if now >= self._changes or self.world.conditional:
            self._generation += 1
            self._changes = self.next_change(now)
            self._observe()
        generation, places, paths = self._generation, self._places, self._paths
        code = f"{'bidirectional_' if bidirectional else ''}{operation}_{engine}"
        tick = int(now * 1e9)
        moved = buffer_bytes * passes * (2 if bidirectional else 1)
        crowd = _crowd(pairs) if len({gpu for pair in pairs for gpu in pair}) < 2 * len(pairs) else 1
        longest = 0
        out: list[Transfer | Unavailable] = []
        for gpu, peer in pairs:
            if names or self._closed or gpu not in self.gpus or peer not in self.gpus or gpu == peer:
                failure = self._pair_failure(gpu, peer, operation, buffer_bytes, passes)
                if failure is not None:
                    out.append(failure)
                    continue
            path = paths.get((code, gpu, peer)) or self._pair_path(code, gpu, peer, engine)
            rate = path.rate(now, tick, generation)
            if rate <= 0.0:
                out.append(Unavailable("cuMemcpyPeerAsync", 719, "CUDA_ERROR_LAUNCH_FAILED"))
                continue
            elapsed = int(moved * crowd / rate) or 1
            if elapsed > longest:
                longest = elapsed
            wrong = 0
            if names:
                wrong = int(
                    self.world.value("pair.wrong_words", pair_subject(places[gpu], places[peer]), 0.0, now, self.holds)
                )
            out.append(Transfer(elapsed, moved, moved, wrong))
        self._pass(CALL_S + longest * 1e-9)
        return tuple(out)

    def _pair_failure(
        self, gpu: int, peer: int, operation: CopyOperation, buffer_bytes: int, passes: int
    ) -> Unavailable | None:
        """Why a pair can't copy: an ordinary error of either end, or no access between them."""
        try:
            for end in (gpu, peer):
                self._allocate(end, self._place(end, "peer_copies"), buffer_bytes, passes)
        except DeviceError as error:
            return Unavailable(error.call, error.code, error.name)
        if gpu == peer:
            return Unavailable("cuCtxEnablePeerAccess", 101, "CUDA_ERROR_INVALID_DEVICE")
        status = registers.pair(self.world, self._places[gpu], self._places[peer], self._now, self.holds)
        if (status.p2p_read if operation == "read" else status.p2p_write) != "ok":
            return Unavailable("cuCtxEnablePeerAccess", 217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED")
        return None

    def _allocate(self, gpu: int, place: int, wanted: int, passes: int) -> None:
        if wanted <= 0 or passes <= 0:
            raise DeviceError("cuMemAlloc", 1, "CUDA_ERROR_INVALID_VALUE", gpu)
        if wanted > (self.model.gpu.memory_total_mib << 20) * USABLE:
            raise DeviceError("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", gpu)

    def _heat_factor(self, place: int) -> float:
        until, factor = self._heat.get(place, (-inf, 1.0))
        if self._now < until:
            return factor
        body = self._bodies[place]
        body.advance(self._now)
        factor = heat_factor(self.model, body.memory_temperature(self._now))
        self._heat[place] = (self._now + 0.1, factor)
        return factor

    def _sweep_path(self, place: int, kernel: SweepKernel) -> Path:
        def ask() -> float:
            rate = self.number(f"hbm.{kernel}", place, getattr(self.model.memory, kernel), self._now)
            rate *= self.number("hbm.bandwidth", place, 1.0, self._now)
            if kernel != "local_copy_ce":
                lock = self.number("clock.sm_lock_mhz", place, inf, self._now)
                rate *= min(1.0, lock / self.model.memory.sm_clock_knee_mhz)
            return rate

        noise = self.model.noise
        path = Path(ask, noise.hbm, self.seed, f"hbm {kernel}", place, noise.slow_repeat_share)
        self._paths[(place, kernel)] = path
        return path

    def _host_path(self, place: int, direction: Literal["host_to_device", "device_to_host"]) -> Path:
        def ask() -> float:
            rate = self.number(f"host.{direction}", place, getattr(self.model.host, direction), self._now)
            return rate * self.number("host.bandwidth", place, 1.0, self._now)

        path = Path(ask, self.model.noise.host, self.seed, f"host {direction}", place)
        self._paths[(place, direction)] = path
        return path

    def _pair_path(self, code: str, gpu: int, peer: int, engine: Engine) -> Path:
        one, other = self._places[gpu], self._places[peer]

        def ask() -> float:
            carried = min(
                registers.carried(self.world, one, self._now, self.holds),
                registers.carried(self.world, other, self._now, self.holds),
            )
            share = self.world.value("pair.bandwidth", pair_subject(one, other), 1.0, self._now, self.holds)
            return float(getattr(self.model.nvlink, code)) * carried * share

        spread = self.model.noise.nvlink_ce if engine == "ce" else self.model.noise.nvlink_sm
        path = Path(ask, spread, self.seed, f"nvlink {code}", one * 64 + other)
        self._paths[(code, gpu, peer)] = path
        return path

    # --- load and sensors -------------------------------------------------------------------------------------

    def load_begin(self, gpu: int, seed: int) -> None:
        """Start the soak load on a GPU."""
        body = self._bodies[self._place(gpu, "load_begin")]
        if body.loaded:
            raise DeviceError("cuLaunchKernel", 400, "CUDA_ERROR_INVALID_HANDLE", gpu)
        body.forget()
        body.begin(self._now)

    def load_end(self, gpu: int) -> LoadResult:
        """Stop the load and compare its results."""
        place = self._place(gpu, "load_end")
        body = self._bodies[place]
        if not body.loaded:
            raise DeviceError("cuStreamSynchronize", 400, "CUDA_ERROR_INVALID_HANDLE", gpu)
        body.forget()
        wrong = [
            self.world.integral("load.mismatches_per_hour", gpu_subject(place), 0.0, t, self.holds) / 3600.0
            for t in (body.load_began, self._now)
        ]
        iterations = int(body.finish(self._now))
        return LoadResult(iterations, int(wrong[1]) - int(wrong[0]), self.model.load.implementation)

    def sensors(
        self, gpus: Sequence[int], seconds: float, interval: float
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        """Sample in blocks of 60 (in real time, of a second)."""
        if interval <= 0 or seconds < 0:
            raise DeviceError("nvmlDeviceGetFieldValues", 2, "NVML_ERROR_INVALID_ARGUMENT")
        for gpu in gpus:
            if gpu not in self.gpus:
                self._place(gpu, "sensors", "nvmlDeviceGetFieldValues")
        begin = self._now
        count = int(seconds / interval + 1e-9) + 1
        block = max(1, min(BLOCK, round(1.0 / interval))) if self._real_time else BLOCK
        return self._blocks(gpus, begin, interval, count, block)

    def _blocks(
        self, gpus: Sequence[int], begin: float, interval: float, count: int, block: int
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        for first in range(0, count, block):
            at = [round(begin + i * interval, 6) for i in range(first, min(first + block, count))]
            for gpu in gpus:
                self._pulse(gpu, "sensors")
            self._pass(max(0.0, at[-1] - self._now))
            yield self._read(gpus, at)

    def _read(self, gpus: Sequence[int], at: list[float]) -> dict[int, Sensors | Unavailable]:
        if self._closed:
            raise DeviceError("nvmlDeviceGetFieldValues", 1, "NVML_ERROR_UNINITIALIZED")
        out: dict[int, Sensors | Unavailable] = {}
        ends: dict[int, int] = {}
        for gpu in gpus:
            ends[gpu] = registers.answering(self.world, self._places[gpu], at, self.holds) if self._guarded else len(at)
            if self._guarded and self._flag("call.hang", self._places[gpu]):
                _hang()
        if self._bank is None:
            from gpuaccept.device.mock.sensors import SensorBank

            self._bank = SensorBank(self._bodies, self.world)
        for length in set(ends.values()):
            group = [gpu for gpu in gpus if ends[gpu] == length]
            if not length:
                out |= {g: Unavailable("nvmlDeviceGetFieldValues", 15, "NVML_ERROR_GPU_IS_LOST") for g in group}
                continue
            places = [self._places[gpu] for gpu in group]
            read = self._bank.read(places, at[:length], self._memory_clock, self.holds)
            out |= dict(zip(group, read, strict=True))
        for body in self._bodies:
            body.forget()
        return out

    def _memory_clock(self, place: int) -> float:
        return self.number("clock.memory_mhz", place, self.model.clock.memory_mhz, self._now)

    def close(self) -> None:
        """Stop loads; calls after this fail."""
        if not self._closed:
            for body in self._bodies:
                if body.loaded:
                    body.finish(self._now)
            self._closed = True


def _crowd(pairs: Sequence[tuple[int, int]]) -> int:
    """How many copies the busiest GPU takes part in on the same side: they share its links."""
    return max(max(sum(pair[side] == gpu for pair in pairs) for pair in pairs for gpu in pair) for side in (0, 1))


def _hang() -> NoReturn:
    """As a driver call that never returns."""
    while True:
        time.sleep(3600)
