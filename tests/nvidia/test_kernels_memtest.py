"""memtest.cu on the host: every march step accepts what it should find, and names each word that is otherwise."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from kernel_host import TILE, Kernels, Memory

pytestmark = pytest.mark.needs("gcc")

TILES = 3
KINDS = ("solid", "address", "random")
VALUES = {"solid": 0x0F0F1234, "address": 0xFFFFFFFF, "random": 77}
NEXT = {"solid": 0x80000001, "address": 0, "random": 0xDEADBEEF}


def _mixed(vector: int, value: int) -> int:
    x = ((vector & 0xFFFFFFFF) ^ ((vector >> 32) * 0x85EBCA6B)) * 0x9E3779B1 + value & 0xFFFFFFFF
    x ^= x >> 15
    return x * 0x2C1B3C6D & 0xFFFFFFFF


LANES = (0, 0x9E3779B9, 0x3C6EF372, 0xDAA66D2B)
CONTENTS: dict[str, Callable[[int, int], int]] = {
    "solid": lambda word, value: value,
    "address": lambda word, value: (word & 0xFFFFFFFF) ^ (word >> 32) * 0x01000193 & 0xFFFFFFFF ^ value,
    "random": lambda word, value: _mixed(word // 4, value) ^ LANES[word % 4],
}


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return Kernels()


@pytest.fixture
def memory(kernels: Kernels) -> Memory:
    return Memory(kernels, TILES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pattern_is_what_the_protocol_says(memory: Memory, kind: str) -> None:
    memory.march(f"write_{kind}", VALUES[kind])

    assert list(memory.words) == [CONTENTS[kind](word, VALUES[kind]) for word in range(len(memory.words))]


@pytest.mark.parametrize("was", KINDS)
@pytest.mark.parametrize("then", KINDS)
def test_a_step_reads_the_old_pattern_and_leaves_the_next(memory: Memory, was: str, then: str) -> None:
    memory.march(f"write_{was}", VALUES[was])
    found = memory.march(f"step_{was}_{then}", VALUES[was], NEXT[then])
    after = memory.march(f"check_{then}", NEXT[then])

    assert (found.count, after.count) == (0, 0)
    assert list(memory.words[:8]) == [CONTENTS[then](word, NEXT[then]) for word in range(8)]


@pytest.mark.parametrize(
    "kernel", [f"step_{was}_{then}" for was in KINDS for then in KINDS] + [f"check_{k}" for k in KINDS]
)
def test_flipped_bits_are_found_at_their_address(memory: Memory, kernel: str) -> None:
    was = kernel.split("_")[1]
    memory.march(f"write_{was}", VALUES[was])
    flips = {0: 1 << 31, 1: 1, 4095: 0x10, 4096: 0x30, len(memory.words) - 1: 1 << 7}
    for word, bits in flips.items():
        memory.words[word] ^= bits

    values = (VALUES[was], NEXT[kernel.split("_")[2]]) if kernel.startswith("step") else (VALUES[was],)
    found = memory.march(kernel, *values)

    right = {word: CONTENTS[was](word, VALUES[was]) for word in flips}
    assert found.count == len(flips)
    assert found.told() == [(word, right[word], right[word] ^ bits, right[word] ^ bits) for word, bits in flips.items()]
    assert {fault.word: fault.sm for fault in found.faults} == {word: word * 4 // TILE for word in flips}


def test_two_words_that_changed_places_are_two_wrong_words(memory: Memory) -> None:
    """A sum would not see it: an address line that is stuck does this."""
    memory.march("write_address", 0)
    memory.words[5], memory.words[4096 + 5] = memory.words[4096 + 5], memory.words[5]

    assert memory.march("check_address", 0).told() == [(5, 5, 4101, 4101), (4101, 4101, 5, 5)]


def test_a_sweep_may_begin_anywhere_and_words_keep_their_index(memory: Memory) -> None:
    memory.march("write_address", 0, first_tile=1)
    memory.march("write_address", 0, tiles=1)
    memory.words[2 * 4096 + 9] ^= 2

    assert memory.march("check_address", 0).told() == [(8201, 8201, 8203, 8203)]
    assert memory.march("check_address", 0, first_tile=2).told() == [(8201, 8201, 8203, 8203)]
    assert memory.march("check_address", 0, first_tile=0, tiles=2).count == 0


def test_addresses_above_16_gib_differ_from_those_below(kernels: Kernels) -> None:
    words = (ctypes.c_uint32 * (TILE // 4))()
    at = ctypes.c_void_p(ctypes.addressof(words))
    kernels.run("write_address", 1, at, ctypes.c_uint64(2**32 // 4), ctypes.c_uint32(0))

    assert list(words[:4]) == [CONTENTS["address"](2**32 + word, 0) for word in range(4)]
    assert words[0] != 0


def test_memory_that_is_wrong_everywhere_is_counted_in_full_and_listed_in_part(memory: Memory) -> None:
    memory.march("write_solid", 0)
    found = memory.march("check_solid", 0xFFFFFFFF)

    assert found.count == len(memory.words)
    assert len(found.faults) == 64
    assert len({fault.word for fault in found.faults}) == 64
    assert all((fault.expected, fault.got) == (0xFFFFFFFF, 0) for fault in found.faults)


def test_a_retest_counts_the_words_that_are_wrong_again(memory: Memory) -> None:
    memory.march("write_random", 3)
    stuck, transient = 17, 4099
    for word in (stuck, transient):
        memory.words[word] ^= 1
    faults = memory.march("check_random", 3).faults

    for _ in range(8):
        memory.march("write_random", 3)
        memory.words[stuck] ^= 1
        faults = memory.retest(faults)

    assert {fault.word: fault.wrong_again for fault in faults} == {stuck: 8, transient: 0}
