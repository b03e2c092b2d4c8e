"""What the soak kernels' products give, in whole numbers on the host: the values that every GPU must agree with.

It repeats the kernels' own arithmetic: how operands come from a seed (`mix`, `small`, `operands`), where mma.m16n8k16
puts them (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type"), and how a result is signed.
"""

from __future__ import annotations

from typing import Any

_ACCUMULATORS = 8
_COLUMNS, _DEPTH = 256, 16
"""Of soak_wide.cu: columns of a block's product, and terms that a step adds to each of its sums."""
_LANES = range(32)
_M32, _M64 = 2**32 - 1, 2**64 - 1

Matrix = list[list[int]]


def signature(seed: int, steps: int) -> int:
    """The 64-bit signature of one warp after `steps` steps (an even number)."""
    a, b = _operands(seed)
    products = [_product(a, one) for one in b]
    total = 0
    for lane in _LANES:
        h = 0
        for n in range(_ACCUMULATORS):
            for i in range(4):
                row, column = (lane >> 2) + (i >> 1) * 8, (lane & 3) * 2 + (i & 1)
                h = (h * 0x100000001B3 + (products[n][row][column] * (steps // 2) & _M32)) & _M64
        h ^= h >> 29
        total += h * (0xBF58476D1CE4E5B9 + 2 * lane)
    return total & _M64


def wide_signature(seed: int, steps: int, rows: int) -> int:
    """The 64-bit signature of one block of soak_wide.cu, whose product has `rows`, after `steps` steps (even)."""
    import numpy as np  # takes its time, and few GPUs need it

    def operand(length: int, which: int) -> Any:
        x = np.arange(length * _DEPTH, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed * 3 + which & _M32)
        x ^= x >> np.uint32(15)
        x = x * np.uint32(0x2C1B3C6D) >> np.uint32(7)
        size = (x & np.uint32(3)).astype(np.int64)
        return np.where(x & np.uint32(4), -size, size).reshape(length, _DEPTH)

    product = (operand(rows, 0) + operand(rows, 1)) @ operand(_COLUMNS, 2).T * (steps // 2)
    place = np.arange(rows * _COLUMNS, dtype=np.uint64)
    h = place << np.uint64(32) | (product.reshape(-1) & _M32).astype(np.uint64)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ h >> np.uint64(29)) * np.uint64(0x94D049BB133111EB)
    return int(h.sum(dtype=np.uint64))


def _product(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(row[k] * b[k][column] for k in range(16)) for column in range(8)] for row in a]


def _operands(seed: int) -> tuple[Matrix, list[Matrix]]:
    """The sum of the two A (16 x 16), which are used in turn, and the B (16 x 8) of each accumulator."""
    a: Matrix = [[0] * 16 for _ in range(16)]
    b: list[Matrix] = [[[0] * 8 for _ in range(16)] for _ in range(_ACCUMULATORS)]
    for lane in _LANES:
        words = _random_words(lane, seed)
        row, column = lane >> 2, (lane & 3) * 2
        for number in range(8):
            i = number & 3
            for half, value in enumerate(_pair(words[number])):
                a[row + (i & 1) * 8][column + (i >> 1) * 8 + half] += value
        for number in range(2 * _ACCUMULATORS):
            for half, value in enumerate(_pair(words[8 + number])):
                b[number >> 1][column + (number & 1) * 8 + half][row] = value
    return a, b


def _random_words(lane: int, seed: int) -> list[int]:
    x = (lane * 0x9E3779B1 + seed) & _M32
    x ^= x >> 15
    x = x * 0x2C1B3C6D & _M32
    words = []
    for _ in range(8 + 2 * _ACCUMULATORS):
        words.append(x)
        x = (x * 1664525 + 1013904223) & _M32
        x ^= x >> 16
    return words


def _pair(word: int) -> tuple[int, int]:
    low, high = word & 3, word >> 3 & 3
    return -low if word & 4 else low, -high if word & 32 else high
