"""The soak by one of gpuaccept's own kernels: tensor cores at work on whole numbers, with a copy through memory beside.

`MMA` (soak.cu) runs on every GPU; `wide` (soak_wide.cu) has the tensor cores' full rate on those that need other
instructions for it, and stays off where no card has confirmed it.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia import soak_reference
from gpuaccept.device.nvidia.context import POINTER, U32, U64, Context, u32
from gpuaccept.device.nvidia.kernels import files_of, is_lacking
from gpuaccept.device.nvidia.timing import Lane, timed

OPERANDS = 16
"""Sets of operands that iterations use in turn: wires toggle differently with each."""
STEPS = 100_000
"""Of a launch: the most whose sums stay within the integers that fp32 holds (soak.cu). By the instruction rates some 10
to 30 ms. The same everywhere, since the result depends on it."""
WIDE_ROWS = {"sm_90": 64, "sm_100": 128, "sm_103": 128}
"""Architecture -> rows of the product of a block of soak_wide.cu: what one instruction takes there."""
_MASK = 15
"""A block copies 8 KiB (soak.cu) or two vectors a thread (soak_wide.cu) every 16 steps: by the instruction rates some
third of the memory bandwidth of H100 and B200, to be tuned on a card."""
_COPY_BYTES = 1 << 30
_COPY_SHARE = 8
"""Each of the two buffers takes at most this fraction of the memory that is free."""
_WIDE_BLOCKS = 2
"""Of soak_wide.cu on an SM. On Hopper registers have room for no more; on Blackwell a third would wait for tensor
memory (512 columns an SM, 256 a block) until another has ended, and the grid is not promised to be placed evenly."""
_WIDE_SHARED = 64 << 10
"""With its own 17 KiB, three such blocks need more than the 228 KiB of an SM (CUDA programming guide, "Technical
Specifications per Compute Capability", 10.0 and 10.3), and two don't."""
_MOST_SMS = 1024
"""Room in the tally: %smid may be larger than the number of SMs."""
_TALLY = _MOST_SMS * 8


def idle_sms(done: Sequence[int], sms: int) -> tuple[int, ...]:
    """SMs, of `sms` that the GPU has, which came to no result. The kernel fills every SM that it is given: such a one
    was kept from it. Numbers may have holes (PTX ISA, %nsmid): as many are named as are lacking, the lowest first.
    """
    lacking = max(0, sms - sum(map(bool, done)))
    return tuple(islice((sm for sm, count in enumerate(done) if not count), lacking))


class SoakKernel(NamedTuple):
    """One of our kernels, and what it computes."""

    file: str
    name: str
    instruction: str
    threads: int
    results: int
    """Signatures that a block comes to: one a warp, or one in all."""
    vectors: int
    """Vectors that a tile of its copy has."""
    blocks: int
    """Most blocks of an SM that run at a time."""
    shared: int
    """Bytes of shared memory that a block is given beyond its own, so that no more of them fit on an SM."""
    signature: Callable[[int, int], int]
    """(seed, steps) -> the signature that every one of its results must be."""


MMA = SoakKernel("soak.cu", "soak_mma", "mma.sync", 256, 8, 256, 1024, 0, soak_reference.signature)


def wide(architecture: str) -> SoakKernel | None:
    """The kernel at the tensor cores' full rate for `sm_NN`, confirmed or not; None where there is none."""
    rows = WIDE_ROWS.get(architecture)
    if rows is None:
        return None
    instruction = "wgmma" if architecture == "sm_90" else "tcgen05"

    def signature(seed: int, steps: int) -> int:
        return soak_reference.wide_signature(seed, steps, rows)

    shared = _WIDE_SHARED if instruction == "tcgen05" else 0
    return SoakKernel("soak_wide.cu", "soak_wide", instruction, 128, 1, 256, _WIDE_BLOCKS, shared, signature)


def kernel_for(architecture: str) -> SoakKernel:
    """The soak kernel of a GPU of `sm_NN`."""
    return (wide(architecture) if "soak_wide.cu" in files_of(architecture) else None) or MMA


def kernel_soak(context: Context, seed: int, operands: int = OPERANDS) -> KernelSoak:
    """The soak by our own kernel: at the full rate where its code can be had and loaded, else by the instruction that
    every GPU has."""
    kernel = kernel_for(context.architecture)
    try:
        return KernelSoak(context, seed, kernel, operands)
    except DeviceError as error:
        if kernel == MMA or not is_lacking(error):
            raise
    return KernelSoak(context, seed, MMA, operands)


class KernelSoak:
    """See load.Soak. A launch compares its signatures with the host's by itself and counts by SM."""

    def __init__(self, context: Context, seed: int, kernel: SoakKernel, operands: int = OPERANDS) -> None:
        self._context, self._seed, self._kernel, self._launches = context, seed, kernel, 0
        self._seeds, self._steps = tuple(map(u32, range(seed, seed + operands))), STEPS
        self._memory: list[int] = []
        self.idle_sms: tuple[int, ...] = ()
        self.implementation = f"gpuaccept {kernel.name} ({kernel.instruction} bf16) {context.architecture}"
        context.enter()
        context.kernels.load(kernel.file)
        try:
            self._begin(seed)
        except DeviceError:
            self.close()
            raise

    def _begin(self, seed: int) -> None:
        context, kernel = self._context, self._kernel
        kinds = context.cuda.driver.CUdevice_attribute
        self._sms = context.attribute(kinds.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        call, function = "cuOccupancyMaxActiveBlocksPerMultiprocessor", context.kernels.functions[kernel.name]
        if kernel.shared:
            allowed = context.cuda.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            context.call("cuFuncSetAttribute", function, allowed, kernel.shared)
        resident = int(context.call(call, function, kernel.threads, kernel.shared))
        self._blocks = self._sms * max(1, min(kernel.blocks, resident))
        self._prepare_memory()
        self._signature = self._take(8)
        self._tally = self._take(_TALLY)
        context.call("cuMemsetD32Async", self._tally, 0, _TALLY // 4, context.stream.handle)
        self.cut(1.0)
        results = b"".join(result.to_bytes(8, "little") for _, result in self._operands)
        self.digest = hashlib.sha256(results).hexdigest()
        trial = Lane(context, context.stream, lambda: self.queue(0), 1)
        for _ in range(2):  # the first is slower
            timed([trial])
            if trial.error:
                raise trial.error
        self.iteration_s = trial.elapsed_ns / 1e9

    def cut(self, share: float) -> None:
        """Make each further launch this share of a whole one long: an even number of steps, up to `STEPS`."""
        self._steps = min(STEPS, max(2, 2 * round(STEPS * share / 2)))
        self._operands = [(value, self._kernel.signature(value, self._steps)) for value in self._seeds]

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
            self._kernel.name,
            self._blocks,
            (seed, U32),
            (self._steps, U32),
            (expected, U64),
            (_MASK, U32),
            (self._from, POINTER),
            (self._to, POINTER),
            (self._size // (self._kernel.vectors * self._context.vector), U64),
            (self._tally, POINTER),
            (self._signature, POINTER),
            threads=self._kernel.threads,
            shared=self._kernel.shared,
        )

    def retire(self, slot: int) -> None:
        """See load.Soak: the kernel has counted already."""

    def finish(self) -> tuple[int, tuple[int, ...]]:
        """Results of another signature, results that never came, and words of memory that changed."""
        context = self._context
        tally = (ctypes.c_uint32 * (2 * _MOST_SMS)).from_buffer_copy(context.fetch(self._tally, _TALLY))
        done, wrong = tally[0::2], tally[1::2]
        missing = abs(self._launches * self._blocks * self._kernel.results - sum(done))
        blocks = context.blocks(self._size)
        spoilt = context.wrong([(self._from, blocks), (self._to, blocks)], self._seed)
        self.idle_sms = idle_sms(done, self._sms)
        return sum(wrong) + missing + spoilt, tuple(sm for sm, count in enumerate(wrong) if count)

    def close(self) -> None:
        """See load.Soak."""
        with suppress(DeviceError):
            self._context.enter()
        while self._memory:
            with suppress(DeviceError):
                self._context.call("cuMemFree", self._memory.pop())
