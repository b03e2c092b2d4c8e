"""All that is measured on the GPUs by running something on them: one context a GPU, made at its first measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from gpuaccept.check import (
    CopyOperation,
    DeviceError,
    Engine,
    Gemm,
    HostDirection,
    LoadResult,
    MarchStep,
    Pattern,
    Precision,
    Pulse,
    SweepKernel,
    Transfer,
    Unavailable,
    Waves,
)
from gpuaccept.device.nvidia import sweeps
from gpuaccept.device.nvidia.calls import Cuda
from gpuaccept.device.nvidia.context import Context
from gpuaccept.device.nvidia.copies import Job
from gpuaccept.device.nvidia.cublaslt import library, needed
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.host_copies import host_jobs, keep_busy
from gpuaccept.device.nvidia.integrity import Integrity
from gpuaccept.device.nvidia.load import FEED_S, Load, Soak
from gpuaccept.device.nvidia.peers import peer_jobs
from gpuaccept.device.nvidia.soak_kernel import kernel_soak
from gpuaccept.device.nvidia.waves import square_waves

Transfers = tuple[Transfer | Unavailable, ...]
T = TypeVar("T")
_INVALID_VALUE = 1


class Compute:
    """The compute half of gpuaccept.check.Node, whose docstrings say what each method does. `find` names a GPU by its
    index, or raises DeviceError."""

    def __init__(self, cuda: Cuda, find: Callable[[int], Gpu], host: Host, pulse: Pulse) -> None:
        self._cuda, self._find, self._host, self._pulse = cuda, find, host, pulse
        self._contexts: dict[int, Context] = {}
        self._integrity: dict[int, Integrity] = {}
        self._loads: dict[int, Load] = {}

    # --- bandwidth -------------------------------------------------------------------------------------------------

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        return sweeps.sweep(self._context(gpu), kernel, buffer_bytes, passes, seed)

    def memory_regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        return sweeps.regions(self._context(gpu), region_bytes, passes, seed)

    def host_copies(
        self,
        gpus: Sequence[int],
        direction: HostDirection,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> Transfers:
        contexts = [_attempt(partial(self._context, gpu)) for gpu in gpus]
        usable = [context for context in contexts if isinstance(context, Context)]
        jobs = host_jobs(usable, direction, engine, bidirectional, buffer_bytes, passes, seed)
        return _in_order(contexts, jobs)

    def peer_copies(
        self,
        pairs: Sequence[tuple[int, int]],
        operation: CopyOperation,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> Transfers:
        contexts = [_attempt(partial(self._both, *pair)) for pair in pairs]
        usable = [pair for pair in contexts if not isinstance(pair, Unavailable)]
        jobs = peer_jobs(usable, operation, engine, bidirectional, buffer_bytes, passes, seed)
        return _in_order(contexts, jobs)

    @contextmanager
    def busy(self, gpu: int, seconds: float) -> Iterator[Callable[[], bool]]:
        """Copies from the host to a GPU run for as long as the block lasts, `seconds` at most, and what is given tells
        whether they still do: a link that has nothing to carry may be slow."""
        with keep_busy(self._context(gpu), seconds) as still:
            yield still

    def gemm(self, gpu: int, precision: Precision, size: int, passes: int, seed: int) -> Gemm:
        context = self._context(gpu)
        needed(gpu)
        from gpuaccept.device.nvidia import gemm  # numpy takes its time, and most workers multiply nothing

        return gemm.gemm(context, precision, size, passes, seed)

    # --- memory integrity ------------------------------------------------------------------------------------------

    def integrity_begin(self, gpu: int, share: float) -> int:
        context = self._context(gpu)
        if gpu in self._integrity:
            raise DeviceError("integrity_begin", _INVALID_VALUE, "memory is under test already", gpu)
        self._integrity[gpu] = Integrity(context, share)
        return self._integrity[gpu].size

    def integrity_step(self, gpu: int, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        return self._under_test("integrity_step", gpu).step(expected, write)

    def integrity_end(self, gpu: int) -> None:
        self._under_test("integrity_end", gpu)
        self._integrity.pop(gpu).close()

    def _under_test(self, call: str, gpu: int) -> Integrity:
        self._find(gpu)
        if gpu not in self._integrity:
            raise DeviceError(call, _INVALID_VALUE, "no memory is under test: integrity_begin comes first", gpu)
        return self._integrity[gpu]

    # --- load ------------------------------------------------------------------------------------------------------

    def load_begin(self, gpu: int, seed: int) -> None:
        """cuBLASLt where it is installed, since it alone is known to reach the power limit; else our own kernel. The
        result says which."""
        context = self._context(gpu)
        if gpu in self._loads:
            raise DeviceError("load_begin", _INVALID_VALUE, "a load runs already", gpu)
        self._loads[gpu] = Load(context, _soak(context, seed))

    def load_end(self, gpu: int) -> LoadResult:
        self._find(gpu)
        if gpu not in self._loads:
            raise DeviceError("load_end", _INVALID_VALUE, "no load runs: load_begin comes first", gpu)
        return self._loads.pop(gpu).end()

    def load_waves(
        self, gpus: Sequence[int], frequency_hz: float, in_phase: bool, seconds: float, seed: int
    ) -> tuple[Waves | Unavailable, ...]:
        """Our own kernel, which alone can be cut to half a period."""
        if frequency_hz <= 0 or seconds <= 0:
            raise DeviceError("load_waves", _INVALID_VALUE, "frequency and duration are above 0")
        if self._loads:
            raise DeviceError("load_waves", _INVALID_VALUE, "a load runs already", next(iter(self._loads)))
        contexts = [_attempt(partial(self._context, gpu)) for gpu in gpus]
        usable = [context for context in contexts if isinstance(context, Context)]
        ran = iter(
            square_waves(usable, frequency_hz, in_phase, seconds, seed, lambda: self._pulse(None, "wait"))
            if usable
            else ()
        )
        return tuple(one if isinstance(one, Unavailable) else next(ran) for one in contexts)

    def iterations(self, gpu: int) -> int:
        """Iterations that the load on a GPU has completed; 0 without one."""
        load = self._loads.get(gpu)
        return load.iterations if load else 0

    def feed(self) -> float | None:
        """Keep the loads going. Returns the seconds after which to do so again, or None where none runs."""
        for load in self._loads.values():
            load.feed()
        return FEED_S if self._loads else None

    # --- contexts --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give everything back, whatever fails."""
        for load in self._loads.values():
            load.close()
        for integrity in self._integrity.values():
            with suppress(DeviceError):
                integrity.close()
        for context in self._contexts.values():
            context.close()
        for held in (self._loads, self._integrity, self._contexts):
            held.clear()

    def _both(self, gpu: int, peer: int) -> tuple[Context, Context]:
        return self._context(gpu), self._context(peer)

    def _context(self, gpu: int) -> Context:
        found = self._find(gpu)
        if gpu not in self._contexts:
            self._contexts[gpu] = Context(self._cuda, found, self._host, self._pulse)
        return self._contexts[gpu]


def _soak(context: Context, seed: int) -> Soak:
    if library():
        from gpuaccept.device.nvidia.soak_gemm import GemmSoak  # see Compute.gemm

        try:
            return GemmSoak(context, seed)
        except DeviceError as error:
            if not error.call.startswith("cublasLt"):  # the GPU's failure, not one of a library that does not fit it
                raise
    return kernel_soak(context, seed)


def _attempt(action: Callable[[], T]) -> T | Unavailable:
    try:
        return action()
    except DeviceError as error:
        return Unavailable(error.call, error.code, error.name)


def _in_order(wanted: Sequence[object], jobs: Sequence[Job]) -> Transfers:
    """The jobs' results in the places of what could be begun; why not in the others."""
    done = iter(jobs)
    return tuple(one if isinstance(one, Unavailable) else next(done).result() for one in wanted)
