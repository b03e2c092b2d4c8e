"""Timed matrix products by cuBLASLt, each element of the last one compared with the right whole number."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from gpuaccept.check import Gemm, Precision
from gpuaccept.device.nvidia.context import Context
from gpuaccept.device.nvidia.cublaslt import Product
from gpuaccept.device.nvidia.operands import Array, Operands
from gpuaccept.device.nvidia.timing import Lane, timed, warm_up

_SPOILT = 0x5A5A5A5A
"""What the result holds before it is timed: no whole number of the size of a result, in any type."""
_CHUNK = 512
"""Columns that are compared at a time: bounds the host's memory."""


def gemm(context: Context, precision: Precision, size: int, passes: int, seed: int) -> Gemm:
    """See Node.gemm. Raises DeviceError where cuBLASLt is not installed or has no kernel for it."""
    context.enter()
    with ExitStack() as stack:
        product = Product(context, precision, size)
        stack.callback(product.close)
        operands = Operands(precision, size, seed, context.index)
        a, b, d = upload(context, stack, operands)
        product.queue(a, b, d)  # its code is loaded at the first call, which must not wait for a held stream
        context.wait()
        lane = Lane(context, context.stream, lambda: product.queue(a, b, d), passes)
        for run in (warm_up, timed):
            if run is timed:
                words = size * size * operands.result_type.itemsize // 4
                context.call("cuMemsetD32Async", d, _SPOILT, words, context.stream.handle)
            run([lane])
            if lane.error:
                raise lane.error
        wrong = wrong_elements(context, operands, d)
    return Gemm(lane.elapsed_ns, passes * 2 * size**3, wrong, product.implementation)


def upload(context: Context, stack: ExitStack, operands: Operands) -> tuple[int, int, int]:
    """A and B in device memory, and room for D."""
    places = []
    for matrix in (operands.a(), operands.b()):
        (place,) = stack.enter_context(context.buffers(matrix.nbytes, 1))
        context.call("cuMemcpyHtoDAsync", place, matrix.ctypes.data, matrix.nbytes, context.stream.handle)
        context.wait()
        places.append(place)
    result = operands.size**2 * operands.result_type.itemsize
    (d,) = stack.enter_context(context.buffers(result, 1))
    return places[0], places[1], d


def wrong_elements(context: Context, operands: Operands, d: int) -> int:
    """How many elements of the whole product are not the right whole number, bit for bit; -0 is 0."""
    wrong = 0
    row = operands.size * operands.result_type.itemsize
    for first in range(0, operands.size, _CHUNK):
        count = min(_CHUNK, operands.size - first)
        got: Array = np.empty((count, operands.size), operands.result_type)
        context.call("cuMemcpyDtoHAsync", got.ctypes.data, d + first * row, got.nbytes, context.stream.handle)
        context.wait()
        wrong += int(np.count_nonzero(~(got == operands.columns(first, count))))  # not-a-number is wrong too
    return wrong
