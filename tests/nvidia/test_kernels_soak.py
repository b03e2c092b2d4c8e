"""soak.cu and soak_wide.cu on the host against the host's integers, and their tallies by SM."""

from __future__ import annotations

import ctypes

import pytest
from kernel_host import BLOCK, Kernels, pointer

from gpuaccept.device.nvidia.soak_reference import signature, wide_signature

pytestmark = pytest.mark.needs("gcc")

SMS, VECTOR = 512, 16
MOST_STEPS = 100_000
"""As soak.cu says: steps * 16 * 9 < 2^24, where fp32 holds every whole number."""


class Tally(ctypes.Structure):
    """soak.cu's `tally`."""

    _fields_ = (("done", ctypes.c_uint32), ("wrong", ctypes.c_uint32))


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return Kernels()


def soak(kernels: Kernels, seed: int, steps: int, expected: int, blocks: int = 2) -> tuple[list[tuple[int, int]], int]:
    """(done, wrong) by SM, and the signature of one that was wrong."""
    tally, wrong = (Tally * SMS)(), ctypes.c_uint64(0)
    null = ctypes.c_void_p(0)
    kernels.run(
        "soak_mma",
        blocks,
        *(ctypes.c_uint32(seed), ctypes.c_uint32(steps), ctypes.c_uint64(expected), ctypes.c_uint32(0)),
        *(null, null, ctypes.c_uint64(0), pointer(tally), pointer(wrong)),
    )
    return [(each.done, each.wrong) for each in tally], wrong.value


@pytest.mark.parametrize(("seed", "steps"), [(0, 2), (1, 64), (2**32 - 1, 4096), (20251124, MOST_STEPS)])
def test_the_kernels_floating_point_gives_the_hosts_integers(kernels: Kernels, seed: int, steps: int) -> None:
    tallies, _ = soak(kernels, seed, steps, signature(seed, steps))

    assert tallies[:3] == [(8, 0), (8, 0), (0, 0)]


def test_another_result_is_counted_on_its_sm_and_shown(kernels: Kernels) -> None:
    tallies, odd = soak(kernels, 5, 64, signature(5, 64) ^ 1, blocks=1)

    assert tallies[:2] == [(8, 8), (0, 0)]
    assert odd == signature(5, 64)


def test_the_tally_goes_on_over_launches_and_blocks_of_one_sm(kernels: Kernels) -> None:
    tallies, _ = soak(kernels, 5, 64, signature(5, 64), blocks=SMS + 1)

    assert tallies == [(16, 0)] + [(8, 0)] * (SMS - 1)


def test_every_seed_and_every_number_of_steps_has_its_own_signature() -> None:
    signatures = {signature(seed, steps) for seed in range(6) for steps in (2, 4, 1024)}

    assert len(signatures) == 18


def test_memory_that_moves_beside_it_arrives(kernels: Kernels) -> None:
    tiles, words = 4, 4 * BLOCK * VECTOR // 4
    source, target = (ctypes.c_uint32 * words)(*range(1, words + 1)), (ctypes.c_uint32 * words)()
    tally, wrong = (Tally * SMS)(), ctypes.c_uint64(0)
    expected = signature(9, 64)

    def run(mask: int) -> None:
        kernels.run(
            "soak_mma",
            2,
            *(ctypes.c_uint32(9), ctypes.c_uint32(64), ctypes.c_uint64(expected), ctypes.c_uint32(mask)),
            *(pointer(source), pointer(target), ctypes.c_uint64(tiles), pointer(tally), pointer(wrong)),
        )

    run(63)  # once in 64 steps: each block moves its first tile
    assert list(target) == [*range(1, words // 2 + 1), *[0] * (words // 2)]
    run(31)  # twice: two tiles of each of the two blocks
    assert list(target) == list(source)
    assert [each.wrong for each in tally[:2]] == [0, 0]


# --- soak_wide ------------------------------------------------------------------------------------------------------

ROWS, THREADS = 128, 128


def soak_wide(kernels: Kernels, seed: int, steps: int, expected: int, blocks: int = 2) -> list[tuple[int, int]]:
    """(done, wrong) by SM."""
    tally, wrong = (Tally * SMS)(), ctypes.c_uint64(0)
    null = ctypes.c_void_p(0)
    kernels.run(
        "soak_wide",
        blocks,
        *(ctypes.c_uint32(seed), ctypes.c_uint32(steps), ctypes.c_uint64(expected), ctypes.c_uint32(0)),
        *(null, null, ctypes.c_uint64(0), pointer(tally), pointer(wrong)),
        threads=THREADS,
    )
    return [(each.done, each.wrong) for each in tally]


@pytest.mark.parametrize(("seed", "steps"), [(0, 16), (1, 64), (2**32 - 1, 4096), (20251124, MOST_STEPS)])
def test_the_wide_kernels_floating_point_gives_the_hosts_integers(kernels: Kernels, seed: int, steps: int) -> None:
    right = wide_signature(seed, steps, ROWS)
    assert soak_wide(kernels, seed, steps, right)[:3] == [(1, 0), (1, 0), (0, 0)]
    assert soak_wide(kernels, seed, steps, right ^ 1)[:3] == [(1, 1), (1, 1), (0, 0)]


def test_the_wide_reference_is_the_plain_product_of_its_operands() -> None:
    """Without numpy and without the trick that pairs of steps are equal."""
    m32, m64, rows, steps = 2**32 - 1, 2**64 - 1, 64, 16

    def element(i: int, seed: int) -> int:
        x = (i * 0x9E3779B1 + seed) & m32
        x ^= x >> 15
        r = (x * 0x2C1B3C6D & m32) >> 7
        return -(r & 3) if r & 4 else r & 3

    total = 0
    for row in range(rows):
        for column in range(256):
            value = sum(
                element(row * 16 + k, 21 + step % 2) * element(column * 16 + k, 23)
                for step in range(2)
                for k in range(16)
            )
            h = (row * 256 + column << 32 | value * steps // 2 & m32) * 0xBF58476D1CE4E5B9 & m64
            total += (h ^ h >> 29) * 0x94D049BB133111EB
    assert wide_signature(7, steps, rows) == total & m64


def test_memory_that_moves_beside_the_wide_soak_arrives(kernels: Kernels) -> None:
    tiles, words = 4, 4 * 2 * THREADS * VECTOR // 4
    source, target = (ctypes.c_uint32 * words)(*range(1, words + 1)), (ctypes.c_uint32 * words)()
    tally, wrong = (Tally * SMS)(), ctypes.c_uint64(0)
    expected = wide_signature(9, 64, ROWS)

    def run(mask: int) -> None:
        kernels.run(
            "soak_wide",
            2,
            *(ctypes.c_uint32(9), ctypes.c_uint32(64), ctypes.c_uint64(expected), ctypes.c_uint32(mask)),
            *(pointer(source), pointer(target), ctypes.c_uint64(tiles), pointer(tally), pointer(wrong)),
            threads=THREADS,
        )

    run(63)  # once in 64 steps: each block moves its first tile
    assert list(target) == [*range(1, words // 2 + 1), *[0] * (words // 2)]
    run(15)
    assert list(target) == list(source)
    assert [each.wrong for each in tally[:2]] == [0, 0]
