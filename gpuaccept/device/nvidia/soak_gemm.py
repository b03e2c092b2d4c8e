"""The soak by cuBLASLt: products of whole numbers in bf16 at the tensor cores' full rate, each summed up exactly, while
the copy engine moves memory beside them."""

from __future__ import annotations

import ctypes
import hashlib
from contextlib import ExitStack

import numpy as np

from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.context import POINTER, Context
from gpuaccept.device.nvidia.cublaslt import Product
from gpuaccept.device.nvidia.gemm import upload
from gpuaccept.device.nvidia.load import ITERATION_S
from gpuaccept.device.nvidia.operands import Operands
from gpuaccept.device.nvidia.timing import Lane, timed

SIZE = 8192
"""Of the matrices: large enough for the full rate of every GPU so far."""
_SLOTS = 64
"""Results that are queued at a time; as deep as load.Load is."""
_COLUMNS = 512
_COPY_BYTES = 1 << 30
_COPY_SHARE = 8
"""Each of the two buffers of copies takes at most this fraction of the memory that is free."""
_COPY_TIME = 0.5
"""Part of an iteration that its copies take when nothing else runs. A copy engine moves 9/10 of the memory's
bandwidth (H100, nvbandwidth's device_local_copy: 2 x 1519 of 3352 GB/s) or less: so this is some third of it, as in
soak_kernel.py, to be tuned on a card."""


class GemmSoak:
    """See load.Soak. An iteration is a batch of products, and copies at the same time, on a stream of their own. After
    each product every element of the result is read and added to the batch's sum of 64 bits, which is known.

    The copies go from one buffer to another of the same contents and back, so that a word that was changed on the way
    stays so, and is counted in the end. They are the copy engine's: a kernel would take SMs from the products.
    """

    def __init__(self, context: Context, seed: int) -> None:
        self._context = context
        self._stack = ExitStack()
        self._wrong, self._copies = 0, 0
        self.idle_sms: tuple[int, ...] = ()
        try:
            self._begin(seed)
        except DeviceError:
            self.close()
            raise

    def _begin(self, seed: int) -> None:
        context = self._context
        context.enter()
        self._product = Product(context, "bf16", SIZE)
        self._stack.callback(self._product.close)
        self.implementation = f"{self._product.implementation} {SIZE} beside copies"
        operands = Operands("bf16", SIZE, seed, context.index)
        self._a, self._b, self._d = upload(context, self._stack, operands)
        (self._sums,) = self._stack.enter_context(context.buffers(8 * _SLOTS, 1))
        self._host_sums = context.pinned("sums of the soak", 8 * _SLOTS)
        self._stack.callback(context.drop_pinned, "sums of the soak")
        self._blocks = context.blocks(4 * SIZE * SIZE)
        self._expect(operands)
        self._one()  # its code is loaded at the first call
        context.wait()
        trial = Lane(context, context.stream, self._one, 4)
        timed([trial])
        if trial.error:
            raise trial.error
        one_s = trial.elapsed_ns / 4e9
        self._batch = max(1, round(ITERATION_S / one_s))
        self.iteration_s = self._batch * one_s
        self._begin_copies(seed)

    def _begin_copies(self, seed: int) -> None:
        context = self._context
        free = int(context.call("cuMemGetInfo")[0])
        self._size, self._seed = min(_COPY_BYTES, free // _COPY_SHARE) // context.tile * context.tile, seed
        self._buffers = self._stack.enter_context(context.buffers(self._size, 2))
        for buffer in self._buffers:
            context.fill(buffer, context.blocks(self._size), seed)
        context.wait()
        self._beside = self._stack.enter_context(context.borrowed_stream())
        trial = Lane(context, self._beside, self._copy, 4)
        timed([trial])
        if trial.error:
            raise trial.error
        self._per_iteration = max(1, round(_COPY_TIME * self.iteration_s * 4e9 / trial.elapsed_ns))

    def _copy(self) -> None:
        """One more copy, the other way than the one before it."""
        to, source = self._buffers if self._copies % 2 else reversed(self._buffers)
        self._copies += 1
        self._context.call("cuMemcpyDtoDAsync", to, source, self._size, self._beside.handle)

    def _expect(self, operands: Operands) -> None:
        """The sum of the right product's words, as bw_read adds them (common.cuh, `fold`), and its digest."""
        total, digest = 0, hashlib.sha256()
        for first in range(0, SIZE, _COLUMNS):
            columns = np.ascontiguousarray(operands.columns(first, min(_COLUMNS, SIZE - first)) + np.float32(0))
            total += int(columns.view(np.uint64).sum(dtype=np.uint64))
            digest.update(columns.tobytes())
        self._sum, self.digest = total % 2**64, digest.hexdigest()

    def _one(self, slot: int = 0) -> None:
        self._product.queue(self._a, self._b, self._d)
        self._context.launch("bw_read", self._blocks, (self._d, POINTER), (self._sums + 8 * slot, POINTER))

    def queue(self, slot: int) -> None:
        """See load.Soak."""
        call, stream = self._context.call, self._context.stream.handle
        call("cuMemsetD32Async", self._sums + 8 * slot, 0, 2, stream)
        beside, begun, copied = self._beside
        call("cuEventRecord", begun, stream)
        call("cuStreamWaitEvent", beside, begun, 0)
        for _ in range(self._per_iteration):
            self._copy()
        call("cuEventRecord", copied, beside)
        for _ in range(self._batch):
            self._one(slot)
        call("cuStreamWaitEvent", stream, copied, 0)  # neither gets ahead of the other
        call("cuMemcpyDtoHAsync", self._host_sums + 8 * slot, self._sums + 8 * slot, 8, stream)

    def retire(self, slot: int) -> None:
        """See load.Soak."""
        got = ctypes.c_uint64.from_address(self._host_sums + 8 * slot).value
        self._wrong += got != self._batch * self._sum % 2**64

    def finish(self) -> tuple[int, None]:
        """Iterations of another sum, and words of memory that changed. Which SM it was can't be told from a library's
        kernel."""
        blocks = self._context.blocks(self._size)
        spoilt = self._context.wrong([(buffer, blocks) for buffer in self._buffers], self._seed)
        return self._wrong + spoilt, None

    def close(self) -> None:
        """See load.Soak."""
        with self._stack:
            pass
