"""What soak.cu's product gives, in whole numbers on the host: the value that every warp of every GPU must agree with.

It repeats the kernel's own arithmetic: how operands come from a seed (`mix`, `pair`, `operands`), where mma.m16n8k16
puts them (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type"), and how a warp's result is signed.
"""

from __future__ import annotations

_ACCUMULATORS = 8
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
