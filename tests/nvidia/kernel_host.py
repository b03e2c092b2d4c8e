"""The kernels' own source, compiled for the host: launched over memory of this process."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, NamedTuple

from stub_driver.build import build

BLOCK, TILE = 256, 16384
"""Threads a block, and the bytes that one block covers: 4 vectors of 16 bytes a thread."""
ROOM = 64


class Fault(ctypes.Structure):
    """memtest.cu's `fault`."""

    _fields_ = (
        ("word", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("expected", "got", "again", "wrong_again", "sm", "unused")),
    )


class Report(NamedTuple):
    """What a march step found."""

    count: int
    faults: list[Fault]

    def told(self) -> list[tuple[int, int, int, int]]:
        """(word, expected, got, read again) of each, by address."""
        return sorted((f.word, f.expected, f.got, f.again) for f in self.faults)


_NO_BLOCK, _NONE_MOVED = ctypes.c_long(-1), (ctypes.c_long * 2)(-1, -1)
"""No block is odd, none is taken for another (cuda_shim.h)."""


class Kernels:
    """Every kernel of the build as a function: `run(name, blocks, arguments…)`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(build() / "libkernels.so"))

    def run(self, name: str, blocks: int, *arguments: Any, threads: int = BLOCK) -> None:
        assert self._library.stub_kernel_known(name.encode()), name
        grid, block = (ctypes.c_uint * 3)(blocks, 1, 1), (ctypes.c_uint * 3)(threads, 1, 1)
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(each) for each in arguments))
        self._library.stub_kernel_run(name.encode(), grid, block, pointers, None, _NO_BLOCK, _NONE_MOVED)


class Memory:
    """Memory under test: `tiles` blocks of it."""

    def __init__(self, kernels: Kernels, tiles: int) -> None:
        self.kernels, self.tiles = kernels, tiles
        self.words = (ctypes.c_uint32 * (tiles * TILE // 4))()

    def march(self, name: str, *values: int, first_tile: int = 0, tiles: int | None = None) -> Report:
        """One of step_K_N(was, next), check_K(was), write_N(next), over these tiles."""
        count, faults = ctypes.c_uint64(0), (Fault * ROOM)()
        report = (pointer(count), pointer(faults), ctypes.c_uint32(ROOM)) if not name.startswith("write") else ()
        self.kernels.run(
            name,
            self.tiles - first_tile if tiles is None else tiles,
            ctypes.c_void_p(ctypes.addressof(self.words) + first_tile * TILE),
            ctypes.c_uint64(first_tile * TILE // 16),
            *(ctypes.c_uint32(value) for value in values),
            *report,
        )
        return Report(count.value, list(faults[: min(count.value, ROOM)]))

    def retest(self, faults: Iterable[Fault]) -> list[Fault]:
        """Read each listed word once more."""
        listed = list(faults)
        array = (Fault * len(listed))(*listed)
        self.kernels.run("retest", 1, pointer(self.words), pointer(array), ctypes.c_uint32(len(listed)), threads=ROOM)
        return list(array)


def pointer(of: Any) -> ctypes.c_void_p:
    """A kernel argument that points there."""
    return ctypes.c_void_p(ctypes.addressof(of))
