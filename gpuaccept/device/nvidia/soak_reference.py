"""What checks/kernels/soak.cu must give, in the host's integers: the same operands, products and signature.

It shares no code with the kernel, and no floating point: a GPU whose tensor cores are wrong in the same way on every
SM still differs from it.
"""

from __future__ import annotations

import functools

MOST_STEPS = 100_000
"""steps * 16 * 9 must stay below 2^24, where fp32 holds every whole number."""
_ACCUMULATORS = 8
_U32, _U64 = 2**32 - 1, 2**64 - 1

_Matrix = list[list[int]]


@functools.lru_cache(maxsize=64)
def soak_signature(seed: int, steps: int) -> int:
    """The signature of each warp of `soak_mma(seed, steps)`: 64 bits. `steps` is even, from 2 to MOST_STEPS."""
    if steps % 2 or not 2 <= steps <= MOST_STEPS:
        raise ValueError(f"steps is even, from 2 to {MOST_STEPS}, not {steps}")
    a, b = _matrices(seed)
    total = 0
    for lane in range(32):
        h = 0
        for second in b:
            for i in range(4):
                row, column = lane // 4 + i // 2 * 8, lane % 4 * 2 + i % 2
                product = sum(first[row][k] * second[k][column] for first in a for k in range(16))
                h = (h * 0x100000001B3 + (steps // 2 * product & _U32)) & _U64
        h ^= h >> 29
        total += h * (0xBF58476D1CE4E5B9 + 2 * lane)
    return total & _U64


def _matrices(seed: int) -> tuple[list[_Matrix], list[_Matrix]]:
    """Two A (16 x 16) and eight B (16 x 8) as the registers of 32 lanes spell them.

    The layout is that of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"): a lane holds two neighbours of a
    row of A in each register, and two neighbours of a column of B.
    """
    a = [[[0] * 16 for _ in range(16)] for _ in range(2)]
    b = [[[0] * 8 for _ in range(16)] for _ in range(_ACCUMULATORS)]
    for lane in range(32):
        group, place = lane // 4, lane % 4 * 2
        r = _mix(lane, seed)
        for register in range(8 + 2 * _ACCUMULATORS):
            for half, value in enumerate(_pair(r)):
                if register < 8:
                    row, column = group + register % 2 * 8, place + register % 4 // 2 * 8 + half
                    a[register // 4][row][column] = value
                else:
                    b[(register - 8) // 2][place + register % 2 * 8 + half][group] = value
            r = (r * 1664525 + 1013904223) & _U32
            r ^= r >> 16
    return a, b


def _mix(lane: int, seed: int) -> int:
    x = (lane * 0x9E3779B1 + seed) & _U32
    x ^= x >> 15
    return x * 0x2C1B3C6D & _U32


def _pair(r: int) -> tuple[int, int]:
    """Two whole numbers from -3 to 3: each two bits for the size and one for the sign."""
    low, high = r & 3, r >> 3 & 3
    return (-low if r & 4 else low), (-high if r & 32 else high)
