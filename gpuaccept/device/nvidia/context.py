"""One GPU's CUDA context: its kernels, streams and memory, and the pattern that proves that data moved."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from gpuaccept.check import DeviceError, Pulse
from gpuaccept.device.nvidia.calls import Cuda
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.kernels import BLOCK, Kernels

POINTER, U32, U64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
"""Types of kernel arguments."""
_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: waits for no other stream."""
_PORTABLE_MAPPED = 3
"""CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP."""
_COUNTERS = 2
_PINNED, _LATCH, _READBACK = 16384, 0, 64
"""Size of the small pinned block, and where in it the latch and the small results lie."""
_PEER_ACCESS_ALREADY_ENABLED = 704


class Stream(NamedTuple):
    """A stream and the two events that time what is queued on it."""

    handle: Any
    start: Any
    end: Any


class Context:
    """Everything that this process holds on one GPU. Raises DeviceError for whatever the driver refuses.

    What is taken is noted together with how to give it back, so that `close` gives all of it back in reverse order,
    whatever went wrong in between. Calls act on the current context: `enter` comes first.
    """

    def __init__(self, cuda: Cuda, gpu: Gpu, host: Host, pulse: Pulse) -> None:
        if gpu.ordinal is None:
            raise DeviceError("cuDeviceGetPCIBusId", 0, cuda.lacking or "CUDA does not see this GPU", gpu.index)
        self.cuda, self.index, self.ordinal = cuda, gpu.index, gpu.ordinal
        self.busy_until = float("-inf")
        """When a measurement last ended, in seconds of the monotonic clock."""
        self._host, self._pci_address = host, gpu.pci_address
        self._undo: list[Callable[[], object]] = []
        self._idle_streams: list[Stream] = []
        self._pinned: dict[str, tuple[int, int]] = {}
        try:
            self._open(pulse)
        except DeviceError:
            self.close()
            raise

    def _open(self, pulse: Pulse) -> None:
        self.handle = self.call("cuDevicePrimaryCtxRetain", self.ordinal)
        self._undo.append(lambda: self.call("cuDevicePrimaryCtxRelease", self.ordinal))
        self.enter()
        kinds = self.cuda.driver.CUdevice_attribute
        major = self.attribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        minor = self.attribute(kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        self.architecture = f"sm_{major}{minor}"
        self.kernels = Kernels(self.cuda, self.index, self.architecture, pulse)
        self._undo.append(self.kernels.close)
        self.kernels.load("stream.cu")
        self.stream = self._new_stream()
        self.counters = int(self.call("cuMemAlloc", 8 * _COUNTERS))
        self._undo.append(lambda: self.call("cuMemFree", self.counters))
        self._small = self._pin(_PINNED)
        self._undo.append(lambda: self.call("cuMemFreeHost", self._small))
        self.launch("tile_bytes", 1, (self.counters, POINTER))
        self.tile, self.vector = self.read_counters()
        """Bytes that a block covers, and bytes of a vector."""

    def close(self) -> None:
        """Give everything back. On a GPU that is lost the driver does so when the process ends."""
        if not self._undo:
            return
        with suppress(DeviceError):
            self.enter()
        self.cuda.current = None  # for whoever comes after it
        for name in tuple(self._pinned):
            with suppress(DeviceError):
                self.drop_pinned(name)
        while self._undo:
            with suppress(DeviceError):
                self._undo.pop()()

    # --- calls -----------------------------------------------------------------------------------------------------

    def call(self, name: str, *arguments: Any) -> Any:
        """A driver call on behalf of this GPU: its value."""
        return self.cuda.call(self.index, name, *arguments)

    def enter(self) -> None:
        """Make this context the current one. A worker calls the driver from one thread, so what is current stays so."""
        if self.cuda.current is not self:
            self.cuda.current = None
            self.call("cuCtxSetCurrent", self.handle)
            self.cuda.current = self

    def attribute(self, kind: Any) -> int:
        """A device attribute (CU_DEVICE_ATTRIBUTE_…)."""
        return int(self.call("cuDeviceGetAttribute", kind, self.ordinal))

    def launch(
        self,
        kernel: str,
        blocks: int,
        *arguments: tuple[int, Any],
        stream: Any = None,
        threads: int = BLOCK,
        shared: int = 0,
    ) -> None:
        """Queue a kernel, on the main stream where none is named; `shared` bytes a block beyond those it declares."""
        values, types = zip(*arguments, strict=True)
        self.call(
            "cuLaunchKernel",
            self.kernels.functions[kernel],
            *(blocks, 1, 1),
            *(threads, 1, 1),
            *(shared, stream or self.stream.handle, (values, types), 0),
        )

    def wait(self, stream: Any = None) -> None:
        """Until a stream has done all that is queued on it."""
        self.call("cuStreamSynchronize", stream or self.stream.handle)

    def allow_peer(self, peer: Context) -> None:
        """Let this GPU read and write the memory of another one."""
        if not self.call("cuDeviceCanAccessPeer", self.ordinal, peer.ordinal):
            reason = f"GPU {self.index} can't reach the memory of GPU {peer.index}"
            raise DeviceError("cuDeviceCanAccessPeer", 0, reason, self.index)
        self.enter()
        try:
            self.call("cuCtxEnablePeerAccess", peer.handle, 0)
        except DeviceError as error:
            if error.code != _PEER_ACCESS_ALREADY_ENABLED:
                raise

    # --- streams ---------------------------------------------------------------------------------------------------

    def _new_stream(self) -> Stream:
        handle = self.call("cuStreamCreate", _NON_BLOCKING)
        self._undo.append(lambda: self.call("cuStreamDestroy", handle))
        return Stream(handle, self._new_event(), self._new_event())

    def _new_event(self) -> Any:
        event = self.call("cuEventCreate", 0)
        self._undo.append(lambda: self.call("cuEventDestroy", event))
        return event

    @contextmanager
    def borrowed_stream(self) -> Iterator[Stream]:
        """A stream beside the main one, kept for the next who needs one."""
        self.enter()
        stream = self._idle_streams.pop() if self._idle_streams else self._new_stream()
        try:
            yield stream
        finally:
            self._idle_streams.append(stream)

    # --- memory ----------------------------------------------------------------------------------------------------

    @contextmanager
    def buffers(self, size: int, count: int) -> Iterator[list[int]]:
        """Device memory for as long as the block lasts."""
        self.enter()
        memory: list[int] = []
        try:
            for _ in range(count):
                memory.append(int(self.call("cuMemAlloc", size)))
            yield memory
        finally:
            with suppress(DeviceError):  # after a fatal error nothing can be freed, and the first error counts
                self.enter()
            for buffer in memory:
                with suppress(DeviceError):
                    self.call("cuMemFree", buffer)

    def pinned(self, name: str, size: int) -> int:
        """Pinned memory of the GPU's NUMA node, kept under its name for the next use in the same size: pinning a GiB
        takes long."""
        address, held = self._pinned.get(name, (0, 0))
        if held != size:
            self.drop_pinned(name)
            address = self._pin(size)
            self._pinned[name] = (address, size)
        return address

    def drop_pinned(self, name: str) -> None:
        """Give pinned memory back, if any is held under the name."""
        address, held = self._pinned.pop(name, (0, 0))
        if held:
            self.call("cuMemFreeHost", address)

    def _pin(self, size: int) -> int:
        """Pages come from the node of the CPU that touches them first: the driver does so in this thread."""
        node = self._host.numa_node(self._pci_address)
        allowed = os.sched_getaffinity(0)
        near = self._host.cpus(node) & allowed if node is not None else frozenset()
        if near:
            os.sched_setaffinity(0, near)
        try:
            return int(self.call("cuMemHostAlloc", size, _PORTABLE_MAPPED))
        finally:
            os.sched_setaffinity(0, allowed)

    @property
    def latch(self) -> int:
        """Address of the two words of the start gate, for every GPU and for the host."""
        return self._small + _LATCH

    def fetch(self, source: int, size: int) -> bytes:
        """A small result from device memory, after all that is queued on the main stream."""
        self.call("cuMemcpyDtoHAsync", self._small + _READBACK, source, size, self.stream.handle)
        self.wait()
        return ctypes.string_at(self._small + _READBACK, size)

    # --- the pattern -----------------------------------------------------------------------------------------------

    def blocks(self, size: int) -> int:
        """Blocks that cover a buffer."""
        if size <= 0 or size % self.tile:
            raise DeviceError("cuMemAlloc", 0, f"a buffer is a multiple of {self.tile} bytes", self.index)
        return size // self.tile

    def fill(self, buffer: int, blocks: int, seed: int) -> None:
        """Queue the writing of a seed's pattern."""
        self.launch("bw_write", blocks, (buffer, POINTER), (u32(seed), U32))

    def wrong(self, places: Iterable[tuple[int, int]], seed: int, factor: int = 1) -> int:
        """How many words of these places (address, blocks) are not `factor` times a seed's pattern, begun in each."""
        self.zero_counters()
        common = (u32(seed), U32), (factor, U32), (self.counters, POINTER)
        for address, blocks in places:
            self.launch("verify", blocks, (address, POINTER), *common)
        return self.read_counters()[0]

    def read_wrong(self, buffer: int, blocks: int, seed: int, passes: int) -> int:
        """The same after timed reads; at least one where these did not sum up to what had been written."""
        total = self.read_counters()[0]
        self.launch("expected_sum", blocks, (u32(seed), U32), (self.counters + 8, POINTER))
        expected = passes * self.read_counters()[1] % 2**64
        return self.wrong([(buffer, blocks)], seed) or int(total != expected)

    def zero_counters(self) -> None:
        """Queue the zeroing of both counters."""
        self.call("cuMemsetD32Async", self.counters, 0, 2 * _COUNTERS, self.stream.handle)

    def read_counters(self) -> tuple[int, int]:
        """Both counters, after all that is queued on the main stream."""
        first, second = (U64 * _COUNTERS).from_buffer_copy(self.fetch(self.counters, 8 * _COUNTERS))
        return first, second


def u32(seed: int) -> int:
    """A seed as the kernels take it."""
    return seed & 0xFFFFFFFF
