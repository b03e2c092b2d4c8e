"""Timed sweeps and copies on one GPU, each with the proof that the data moved.

The shape of a measurement: fill the source with a new pattern; warm up; fill the destination with another pattern; hold
the stream; queue the start event, all passes and the end event; release; read the span; verify the whole destination.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

from gpuaccept.check import DeviceError, Pulse, SweepKernel, Transfer
from gpuaccept.device.nvidia.calls import Cuda
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.kernels import BLOCK, Kernels

_HOLD_NS = 2_000_000_000
"""How long the start gate waits for the host to queue a span."""
_IDLE_S = 0.5
"""After this long without work the clocks may have dropped: warm up before measuring."""
_WARM_SPAN_S = 0.005
_WARM_MINIMUM_S, _WARM_MAXIMUM_S = 0.1, 1.0
_WARM_AGREEMENT = 0.005
"""Warm when three successive spans agree within this."""
_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: waits for no other stream."""
_PORTABLE_MAPPED = 3
"""CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP."""
_COUNTER = 8
_PINNED, _LATCH, _READBACK = 64, 0, 16
"""Size of the small pinned block, and where in it the latch and the counters' copies lie."""
_TRIAD_FACTOR = 4
"""b + 3 c where b = c."""


class Compute:
    """One GPU's context, kernels and buffers. Raises DeviceError for whatever the driver refuses."""

    def __init__(self, cuda: Cuda, gpu: Gpu, host: Host, pulse: Pulse) -> None:
        if gpu.ordinal is None:
            raise DeviceError("cuDeviceGetPCIBusId", 0, "CUDA does not see this GPU", gpu.index)
        self._cuda, self._gpu, self._host = cuda, gpu, host
        self._ordinal = gpu.ordinal
        self._context = self._call("cuDevicePrimaryCtxRetain", self._ordinal)
        self._enter()
        kinds = cuda.driver.CUdevice_attribute
        major, minor = (
            self._call("cuDeviceGetAttribute", kind, self._ordinal)
            for kind in (
                kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
            )
        )
        self._kernels = Kernels(cuda, gpu.index, f"sm_{major}{minor}", pulse)
        self._kernels.load("stream.cu")
        self._stream = self._call("cuStreamCreate", _NON_BLOCKING)
        self._start, self._end = self._call("cuEventCreate", 0), self._call("cuEventCreate", 0)
        self._counters = int(self._call("cuMemAlloc", 2 * _COUNTER))
        self._pinned = self._pin(_PINNED)
        self._host_buffer = (0, 0)
        self._busy_until = float("-inf")
        self._launch("tile_bytes", 1, (self._counters, ctypes.c_void_p))
        self._tile = self._counter(0)

    def sweep(self, kernel: SweepKernel, size: int, passes: int, seed: int) -> Transfer:
        """See Node.memory_sweep."""
        self._enter()
        blocks = self._blocks(size)
        buffers = {"read": 1, "write": 1, "triad": 3}.get(kernel, 2)
        with self._buffers(size, buffers) as memory:
            target, *sources = memory
            for source in [target] if kernel == "read" else sources:
                self._fill(source, blocks, seed)
            one_pass = self._one_pass(kernel, memory, blocks, size, seed)
            self._warm_up(one_pass)
            if kernel != "read":
                self._fill(target, blocks, ~seed)
            elapsed = self._timed(one_pass, passes)
            if kernel == "read":
                wrong = self._read_wrong(target, blocks, seed, passes)
            else:
                wrong = self._wrong(target, blocks, seed, _TRIAD_FACTOR if kernel == "triad" else 1)
        read = {"read": 1, "write": 0, "triad": 2}.get(kernel, 1)
        return Transfer(elapsed, passes * size * read, passes * size * (kernel != "read"), wrong)

    def host_copy(
        self, direction: Literal["host_to_device", "device_to_host"], size: int, passes: int, seed: int
    ) -> Transfer:
        """See Node.host_copy. What arrives at the host is verified after it was copied back to another buffer."""
        self._enter()
        blocks = self._blocks(size)
        with self._buffers(size, 2) as (near, far):
            host = self._pinned_buffer(size)
            if direction == "host_to_device":
                self._fill(near, blocks, seed)
                self._call("cuMemcpyDtoHAsync", host, near, size, self._stream)
                copy = self._copy("cuMemcpyHtoDAsync", far, host, size)
                self._warm_up(copy)
                self._fill(far, blocks, ~seed)
                elapsed = self._timed(copy, passes)
            else:
                self._fill(near, blocks, seed)
                self._fill(far, blocks, ~seed)
                copy = self._copy("cuMemcpyDtoHAsync", host, near, size)
                self._warm_up(copy)
                self._call("cuMemcpyDtoHAsync", host, far, size, self._stream)
                elapsed = self._timed(copy, passes)
                self._call("cuMemcpyHtoDAsync", far, host, size, self._stream)
            wrong = self._wrong(far, blocks, seed, 1)
        return Transfer(elapsed, passes * size, passes * size, wrong)

    def close(self) -> None:
        """Give everything back. On a GPU that is lost the driver does so when the process ends."""
        with suppress(DeviceError):
            self._enter()
            if self._host_buffer[1]:
                self._call("cuMemFreeHost", self._host_buffer[0])
            self._call("cuMemFreeHost", self._pinned)
            self._call("cuMemFree", self._counters)
            self._call("cuEventDestroy", self._start)
            self._call("cuEventDestroy", self._end)
            self._call("cuStreamDestroy", self._stream)
            self._call("cuDevicePrimaryCtxRelease", self._ordinal)

    # --- one pass, timed passes ------------------------------------------------------------------------------------

    def _one_pass(
        self, kernel: SweepKernel, memory: list[int], blocks: int, size: int, seed: int
    ) -> Callable[[], None]:
        target, pointer = memory[0], ctypes.c_void_p
        source = memory[-1]
        if kernel == "local_copy_ce":
            return self._copy("cuMemcpyDtoDAsync", target, source, size)
        if kernel == "read":
            return lambda: self._launch("bw_read", blocks, (target, pointer), (self._counters, pointer))
        if kernel == "write":
            return lambda: self._launch("bw_write", blocks, (target, pointer), (_u32(seed), ctypes.c_uint32))
        if kernel == "copy":
            return lambda: self._launch("bw_copy", blocks, (source, pointer), (target, pointer))
        return lambda: self._launch("bw_triad", blocks, (target, pointer), (memory[1], pointer), (source, pointer))

    def _copy(self, call: str, to: int, source: int, size: int) -> Callable[[], None]:
        return lambda: self._call(call, to, source, size, self._stream)

    def _timed(self, one_pass: Callable[[], None], passes: int) -> int:
        """Nanoseconds of `passes` passes by the GPU's events, without the launches."""
        self._zero_counters()
        latch = (ctypes.c_uint32 * 2).from_address(self._pinned + _LATCH)
        latch[0] = latch[1] = 0
        self._launch("hold", 1, (self._pinned + _LATCH, ctypes.c_void_p), (_HOLD_NS, ctypes.c_uint64), threads=1)
        self._call("cuEventRecord", self._start, self._stream)
        try:
            for _ in range(passes):
                one_pass()
            self._call("cuEventRecord", self._end, self._stream)
        finally:
            latch[0] = 1
        self._wait()
        self._busy_until = time.monotonic()
        if latch[1]:
            raise DeviceError("hold", 0, "the host was too slow to queue the span", self._gpu.index)
        return max(1, round(self._elapsed_s() * 1e9))

    def _warm_up(self, one_pass: Callable[[], None]) -> None:
        """After idling, run until the clocks are up: until spans agree, at least and at most for the times above.

        This writes what the timed passes write: what they are to overwrite is filled after it.
        """
        begun = time.monotonic()
        if begun - self._busy_until <= _IDLE_S:
            return
        spans = [self._span_s(one_pass, 1)]
        passes = max(1, round(_WARM_SPAN_S / max(spans[0], 1e-6)))
        while (spent := time.monotonic() - begun) < _WARM_MAXIMUM_S:
            spans = [*spans[-2:], self._span_s(one_pass, passes) / passes]
            steady = len(spans) == 3 and max(spans) - min(spans) <= _WARM_AGREEMENT * max(spans)
            if steady and spent >= _WARM_MINIMUM_S:
                return

    def _span_s(self, one_pass: Callable[[], None], passes: int) -> float:
        self._call("cuEventRecord", self._start, self._stream)
        for _ in range(passes):
            one_pass()
        self._call("cuEventRecord", self._end, self._stream)
        self._wait()
        return self._elapsed_s()

    def _elapsed_s(self) -> float:
        return float(self._call("cuEventElapsedTime", self._start, self._end)) / 1e3

    # --- proof -----------------------------------------------------------------------------------------------------

    def _read_wrong(self, buffer: int, blocks: int, seed: int, passes: int) -> int:
        """Wrong words in memory; at least one where the timed reads did not sum up to what was written."""
        total = self._counter(0)
        self._launch("expected_sum", blocks, (_u32(seed), ctypes.c_uint32), (self._counters + 8, ctypes.c_void_p))
        expected = passes * self._counter(1) % 2**64
        return self._wrong(buffer, blocks, seed, 1) or int(total != expected)

    def _wrong(self, buffer: int, blocks: int, seed: int, factor: int) -> int:
        self._zero_counters()
        self._launch(
            "verify",
            blocks,
            (buffer, ctypes.c_void_p),
            (_u32(seed), ctypes.c_uint32),
            (factor, ctypes.c_uint32),
            (self._counters, ctypes.c_void_p),
        )
        return self._counter(0)

    # --- small things ----------------------------------------------------------------------------------------------

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._cuda.call(self._gpu.index, name, *arguments)

    def _enter(self) -> None:
        self._call("cuCtxSetCurrent", self._context)

    def _wait(self) -> None:
        self._call("cuStreamSynchronize", self._stream)

    def _launch(self, kernel: str, blocks: int, *arguments: tuple[int, Any], threads: int = BLOCK) -> None:
        values, types = zip(*arguments, strict=True)
        self._call(
            "cuLaunchKernel",
            self._kernels.functions[kernel],
            *(blocks, 1, 1),
            *(threads, 1, 1),
            *(0, self._stream, (values, types), 0),
        )

    def _fill(self, buffer: int, blocks: int, seed: int) -> None:
        self._launch("bw_write", blocks, (buffer, ctypes.c_void_p), (_u32(seed), ctypes.c_uint32))

    def _blocks(self, size: int) -> int:
        if size <= 0 or size % self._tile:
            raise DeviceError("cuMemAlloc", 0, f"a buffer is a multiple of {self._tile} bytes", self._gpu.index)
        return size // self._tile

    def _zero_counters(self) -> None:
        self._call("cuMemsetD32Async", self._counters, 0, 2 * _COUNTER // 4, self._stream)

    def _counter(self, number: int) -> int:
        self._call("cuMemcpyDtoHAsync", self._pinned + _READBACK, self._counters, 2 * _COUNTER, self._stream)
        self._wait()
        return (ctypes.c_uint64 * 2).from_address(self._pinned + _READBACK)[number]

    @contextmanager
    def _buffers(self, size: int, count: int) -> Iterator[list[int]]:
        memory: list[int] = []
        try:
            for _ in range(count):
                memory.append(int(self._call("cuMemAlloc", size)))
            yield memory
        finally:
            for buffer in memory:
                with suppress(DeviceError):  # after a fatal error nothing can be freed, and the first error counts
                    self._call("cuMemFree", buffer)

    def _pinned_buffer(self, size: int) -> int:
        """Pinned memory of the GPU's NUMA node, kept for the next copy of the same size: pinning a GiB takes long."""
        address, held = self._host_buffer
        if held != size:
            if held:
                self._call("cuMemFreeHost", address)
                self._host_buffer = (0, 0)
            self._host_buffer = (self._pin(size), size)
        return self._host_buffer[0]

    def _pin(self, size: int) -> int:
        """Pages come from the node of the CPU that touches them first: the driver does so in this thread."""
        node = self._host.numa_node(self._gpu.pci_address)
        allowed = os.sched_getaffinity(0)
        near = self._host.cpus(node) & allowed if node is not None else frozenset()
        if near:
            os.sched_setaffinity(0, near)
        try:
            return int(self._call("cuMemHostAlloc", size, _PORTABLE_MAPPED))
        finally:
            os.sched_setaffinity(0, allowed)


def _u32(seed: int) -> int:
    return seed & 0xFFFFFFFF
