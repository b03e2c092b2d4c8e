"""March elements over nearly all memory of one GPU, and what is found out about each word that was wrong."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gpuaccept.check import DeviceError, MarchStep, Pattern, WrongWord
from gpuaccept.device.nvidia.arena import HANDLES, Arena
from gpuaccept.device.nvidia.context import POINTER, U32, U64, Context, u32
from gpuaccept.device.nvidia.timing import Lane, timed

LISTED = 64
"""Wrong words that a step lists; all are counted."""
RETESTS = 8
_FAULT = struct.Struct("<Q6I")
"""`fault` of memtest.cu: word, expected, got, read again, wrong again, SM, unused."""
_LIST = LISTED * _FAULT.size
_ROTATION = 512 << 20
"""Each sweep begins this much further on, so that what L2 still holds of the last one (126 MB on a B200) is not what is
read first."""
_L2_TIMES = 2
"""A part is tested again after this many times the L2's bytes of other memory were read."""


class Integrity:
    """Memory under test, from `begin` to `close`."""

    def __init__(self, context: Context, share: float) -> None:
        self._context, self._steps, self._results = context, 0, 0
        context.enter()
        context.kernels.load("memtest.cu")
        l2 = context.attribute(context.cuda.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)
        self._flush_bytes = _L2_TIMES * l2
        self._results = int(context.call("cuMemAlloc", 8 + _LIST))
        """The count of wrong words, then the list of faults."""
        try:
            total = int(context.call("cuMemGetInfo")[1])
            self._arena = Arena(context, int(share * total))
        except DeviceError:
            self._free_results()
            raise
        self.size = self._arena.size

    def step(self, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        """See Node.integrity_step."""
        context = self._context
        if expected is None and write is None:
            raise DeviceError("integrity_step", 0, "a step reads, writes or does both", context.index)
        context.enter()
        context.call("cuMemsetD32Async", self._results, 0, (8 + _LIST) // 4, context.stream.handle)
        start = self._steps * _ROTATION % self.size // context.tile * context.tile
        self._steps += 1
        parts = [(begin, end) for begin, end in ((start, self.size), (0, start)) if begin < end]

        def one_pass() -> None:
            for begin, end in parts:
                self._march(expected, write, begin, end)

        lane = Lane(context, context.stream, one_pass, 1)
        timed([lane])
        if lane.error:
            raise lane.error
        wrong, listed = self._found()
        if listed and expected is not None:
            listed = self._test_again(listed, expected, write)
        read, written = self.size * (expected is not None), self.size * (write is not None)
        return MarchStep(lane.elapsed_ns, read, written, wrong, listed)

    def close(self) -> None:
        """Give the memory back."""
        self._arena.close()
        self._free_results()

    def _free_results(self) -> None:
        results, self._results = self._results, 0
        if results:
            self._context.enter()
            self._context.call("cuMemFree", results)

    def _march(self, expected: Pattern | None, write: Pattern | None, begin: int, end: int) -> None:
        context = self._context
        where = (self._arena.base + begin, POINTER), (begin // context.vector, U64)
        was = [(u32(expected.value), U32)] if expected else []
        to = [(u32(write.value), U32)] if write else []
        report = [(self._results, POINTER), (self._results + 8, POINTER), (LISTED, U32)] if expected else []
        if expected and write:
            kernel = f"step_{expected.kind}_{write.kind}"
        elif expected:
            kernel = f"check_{expected.kind}"
        else:
            assert write is not None
            kernel = f"write_{write.kind}"
        context.launch(kernel, context.blocks(end - begin), *where, *was, *to, *report)

    def _found(self) -> tuple[int, tuple[WrongWord, ...]]:
        """The count, and the list by address."""
        found = self._context.fetch(self._results, 8 + _LIST)
        wrong = int.from_bytes(found[:8], "little")
        faults = _FAULT.iter_unpack(found[8 : 8 + min(wrong, LISTED) * _FAULT.size])
        words = [WrongWord(4 * word, right, got, again, times, sm) for word, right, got, again, times, sm, _ in faults]
        return wrong, tuple(sorted(words))

    def _test_again(
        self, words: tuple[WrongWord, ...], expected: Pattern, write: Pattern | None
    ) -> tuple[WrongWord, ...]:
        """Write the page of each wrong word anew, let other memory pass through L2, and read the word, several times
        over. What the step had written is put back in the end."""
        context = self._context
        page = HANDLES[-1]
        pages = sorted({word.offset_bytes // page * page for word in words})
        for _ in range(RETESTS):
            for begin in pages:
                self._march(None, expected, begin, begin + page)
            self._flush(pages)
            listed = (self._arena.base, POINTER), (self._results + 8, POINTER), (len(words), U32)
            context.launch("retest", 1, *listed, threads=LISTED)
        for begin in pages:
            self._march(None, write or expected, begin, begin + page)
        return self._found()[1]

    def _flush(self, pages: list[int]) -> None:
        """Read memory that is none of these pages, as much as pushes them out of L2; less where there is no more."""
        context, left = self._context, self._flush_bytes
        for begin, end in _between(pages, self.size):
            if left <= 0:
                return
            size = min(end - begin, -(-left // HANDLES[-1]) * HANDLES[-1])
            buffer = self._arena.base + begin
            context.launch("bw_read", context.blocks(size), (buffer, POINTER), (context.counters, POINTER))
            left -= size


def _between(pages: list[int], size: int) -> Iterator[tuple[int, int]]:
    """The stretches of memory between pages, in order."""
    begin = 0
    for page in pages:
        if page > begin:
            yield begin, page
        begin = page + HANDLES[-1]
    if begin < size:
        yield begin, size
