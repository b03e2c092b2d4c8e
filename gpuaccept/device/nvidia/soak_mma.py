"""The soak by gpuaccept's own kernel (soak.cu): mma.sync from registers, with a copy through memory beside it."""

from __future__ import annotations

import ctypes
import hashlib
from contextlib import suppress

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.context import POINTER, U32, U64, Context, u32
from gpuaccept.device.nvidia.kernels import BLOCK
from gpuaccept.device.nvidia.soak_reference import signature
from gpuaccept.device.nvidia.timing import Lane, timed

OPERANDS = 16
"""Sets of operands that iterations use in turn: wires toggle differently with each."""
STEPS = 100_000
"""Of a launch: the most whose sums stay within the integers that fp32 holds (soak.cu). By the instruction rates some 10
to 30 ms. The same everywhere, since the result depends on it."""
_MASK = 15
"""A block copies 8 KiB every 16 steps: by the instruction rates some third of the memory bandwidth of H100 and B200, to
be tuned on a card."""
_COPY_BYTES = 1 << 30
_COPY_SHARE = 8
"""Each of the two buffers takes at most this fraction of the memory that is free."""
_MOST_SMS = 1024
"""Room in the tally: %smid may be larger than the number of SMs."""
_WARP = 32
_TALLY = _MOST_SMS * 8


class MmaSoak:
    """See load.Soak. A launch compares each warp's signature with the host's by itself and counts by SM."""

    def __init__(self, context: Context, seed: int) -> None:
        self._context, self._seed, self._launches = context, seed, 0
        self._memory: list[int] = []
        self.implementation = f"gpuaccept soak_mma (mma.sync bf16) {context.architecture}"
        context.enter()
        context.kernels.load("soak.cu")
        try:
            self._begin(seed)
        except DeviceError:
            self.close()
            raise

    def _begin(self, seed: int) -> None:
        context = self._context
        kinds = context.cuda.driver.CUdevice_attribute
        sms = context.attribute(kinds.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        call, function = "cuOccupancyMaxActiveBlocksPerMultiprocessor", context.kernels.functions["soak_mma"]
        self._blocks = sms * max(1, int(context.call(call, function, BLOCK, 0)))
        self._prepare_memory()
        self._signature = self._take(8)
        self._tally = self._take(_TALLY)
        context.call("cuMemsetD32Async", self._tally, 0, _TALLY // 4, context.stream.handle)
        self._operands = [(value, signature(value, STEPS)) for value in map(u32, range(seed, seed + OPERANDS))]
        results = b"".join(result.to_bytes(8, "little") for _, result in self._operands)
        self.digest = hashlib.sha256(results).hexdigest()
        trial = Lane(context, context.stream, lambda: self.queue(0), 1)
        for _ in range(2):  # the first is slower
            timed([trial])
            if trial.error:
                raise trial.error
        self.iteration_s = trial.elapsed_ns / 1e9

    def _prepare_memory(self) -> None:
        """Two buffers of the same contents: what the load copies over the second may change nothing in it."""
        context = self._context
        free = int(context.call("cuMemGetInfo")[0])
        self._size = min(_COPY_BYTES, free // _COPY_SHARE) // context.tile * context.tile
        self._from, self._to = self._take(self._size), self._take(self._size)
        for buffer in (self._from, self._to):
            context.fill(buffer, context.blocks(self._size), self._seed)

    def _take(self, size: int) -> int:
        memory = int(self._context.call("cuMemAlloc", size))
        self._memory.append(memory)
        return memory

    def queue(self, slot: int) -> None:
        """See load.Soak: no result is per slot."""
        seed, expected = self._operands[self._launches % len(self._operands)]
        self._launches += 1
        self._context.launch(
            "soak_mma",
            self._blocks,
            (seed, U32),
            (STEPS, U32),
            (expected, U64),
            (_MASK, U32),
            (self._from, POINTER),
            (self._to, POINTER),
            (self._size // (BLOCK * self._context.vector), U64),
            (self._tally, POINTER),
            (self._signature, POINTER),
        )

    def retire(self, slot: int) -> None:
        """See load.Soak: the kernel has counted already."""

    def finish(self) -> tuple[int, tuple[int, ...]]:
        """Warps of another signature, warps that never came to an end, and words of memory that changed."""
        context = self._context
        tally = (ctypes.c_uint32 * (2 * _MOST_SMS)).from_buffer_copy(context.fetch(self._tally, _TALLY))
        done, wrong = tally[0::2], tally[1::2]
        missing = abs(self._launches * self._blocks * (BLOCK // _WARP) - sum(done))
        spoilt = sum(context.wrong(buffer, context.blocks(self._size), self._seed) for buffer in (self._from, self._to))
        return sum(wrong) + missing + spoilt, tuple(sm for sm, count in enumerate(wrong) if count)

    def close(self) -> None:
        """See load.Soak."""
        with suppress(DeviceError):
            self._context.enter()
        while self._memory:
            with suppress(DeviceError):
                self._context.call("cuMemFree", self._memory.pop())
