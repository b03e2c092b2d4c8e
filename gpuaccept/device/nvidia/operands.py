"""Matrices of small whole numbers whose product is known exactly, and how each precision writes them.

Along the sum the numbers repeat with a period, so that the host can have the whole product for little: it is that of
one period, times the number of periods. Every sum is a whole number that the result's type holds, in whatever order it
is added up: of the absolute value 9 x size at most, below 2^24 for fp32; for fp8, whose tensor cores keep some 14 bits
of a sum on Hopper, size at most, so that sizes up to 8192 stay within 2^13.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuaccept.check import DeviceError, Precision

PERIOD = 128
_MOST = {"fp8": 8192}
_MOST_OTHERS = 32768
_LARGEST = 3
_LARGEST_FP8 = 1
_FP8_ONE, _SIGN8 = 0x38, 0x80
"""1.0 in e4m3, and its sign."""

Array = np.ndarray[Any, np.dtype[Any]]


class Operands:
    """A and B as bytes for the device, and the product that must come out, block of columns by block of columns."""

    def __init__(self, precision: Precision, size: int, seed: int, gpu: int) -> None:
        most = _MOST.get(precision, _MOST_OTHERS)
        if size % PERIOD or not PERIOD <= size <= most:
            reason = f"the size of a {precision} product is a multiple of {PERIOD} up to {most}"
            raise DeviceError("gemm", 0, reason, gpu)
        self.precision, self.size = precision, size
        random = np.random.default_rng(seed & 2**64 - 1)
        limit = _LARGEST_FP8 if precision == "fp8" else _LARGEST
        self._a, self._b = (random.integers(-limit, limit + 1, (size, PERIOD)).astype(np.float32) for _ in range(2))

    def a(self) -> Array:
        """Column after column: the sum runs along each."""
        return self._encoded(self._a)

    def b(self) -> Array:
        """See `a`."""
        return self._encoded(self._b)

    @property
    def result_type(self) -> np.dtype[Any]:
        """Of an element of the product."""
        return np.dtype({"fp64": np.float64, "int8": np.int32}.get(self.precision, np.float32))

    def columns(self, first: int, count: int) -> Array:
        """What columns of the product must be, each as a row here."""
        product = self._b[first : first + count] @ self._a.T * np.float32(self.size // PERIOD)
        return product.astype(self.result_type)

    def _encoded(self, numbers: Array) -> Array:
        if self.precision == "fp8":
            period = np.where(numbers == 0, 0, _FP8_ONE).astype(np.uint8) | np.where(numbers < 0, _SIGN8, 0).astype(
                np.uint8
            )
        elif self.precision == "bf16":
            period = (numbers.view(np.uint32) >> 16).astype(np.uint16)
        else:
            kinds = {"fp64": np.float64, "tf32": np.float32, "fp16": np.float16, "int8": np.int8}
            period = numbers.astype(kinds[self.precision])
        return np.ascontiguousarray(np.tile(period, self.size // PERIOD))
