"""Timed sweeps over one GPU's own memory, each with the proof that the data moved.

The shape of a measurement: fill the source with a new pattern; warm up; fill the destination with another pattern; time
the passes; verify the whole destination.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuaccept.check import SweepKernel, Transfer
from gpuaccept.device.nvidia.arena import Arena
from gpuaccept.device.nvidia.context import POINTER, Context
from gpuaccept.device.nvidia.timing import Lane, timed, warm_up

_TRIAD_FACTOR = 4
"""b + 3 c where b = c."""
_BUFFERS = {"read": 1, "write": 1, "triad": 3}
_READS = {"read": 1, "write": 0, "triad": 2}


def sweep(context: Context, kernel: SweepKernel, size: int, passes: int, seed: int) -> Transfer:
    """See Node.memory_sweep."""
    context.enter()
    blocks = context.blocks(size)
    with context.buffers(size, _BUFFERS.get(kernel, 2)) as memory:
        target, *sources = memory
        for source in [target] if kernel == "read" else sources:
            context.fill(source, blocks, seed)
        lane = Lane(context, context.stream, _one_pass(context, kernel, memory, blocks, size, seed), passes)
        _warm(lane)
        if kernel != "read":
            context.fill(target, blocks, ~seed)
        elapsed = _time(lane)
        if kernel == "read":
            wrong = context.read_wrong(target, blocks, seed, passes)
        else:
            wrong = context.wrong(target, blocks, seed, _TRIAD_FACTOR if kernel == "triad" else 1)
    read = _READS.get(kernel, 1)
    return Transfer(elapsed, passes * size * read, passes * size * (kernel != "read"), wrong)


def regions(context: Context, region: int, passes: int, seed: int) -> tuple[Transfer, ...]:
    """See Node.memory_regions. The last region is what is left, and each has a pattern of its own, all of them written
    before the first is read: memory that is there twice shows."""
    context.enter()
    context.blocks(region)
    transfers = []
    with Arena(context) as arena:
        parts = [(start, min(region, arena.size - start)) for start in range(0, arena.size, region)]
        for number, (start, size) in enumerate(parts):
            context.fill(arena.base + start, context.blocks(size), seed + number)
        for number, (start, size) in enumerate(parts):
            buffer, blocks = arena.base + start, context.blocks(size)
            lane = Lane(context, context.stream, _read(context, buffer, blocks), passes)
            _warm(lane)
            elapsed = _time(lane)
            wrong = context.read_wrong(buffer, blocks, seed + number, passes)
            transfers.append(Transfer(elapsed, passes * size, 0, wrong))
    return tuple(transfers)


def _warm(lane: Lane) -> None:
    warm_up([lane])
    if lane.error:
        raise lane.error


def _time(lane: Lane) -> int:
    lane.context.zero_counters()
    timed([lane])
    if lane.error:
        raise lane.error
    return lane.elapsed_ns


def _read(context: Context, buffer: int, blocks: int) -> Callable[[], None]:
    return lambda: context.launch("bw_read", blocks, (buffer, POINTER), (context.counters, POINTER))


def _one_pass(
    context: Context, kernel: SweepKernel, memory: list[int], blocks: int, size: int, seed: int
) -> Callable[[], None]:
    target, source = memory[0], memory[-1]
    if kernel == "local_copy_ce":
        return lambda: context.call("cuMemcpyDtoDAsync", target, source, size, context.stream.handle)
    if kernel == "read":
        return _read(context, target, blocks)
    if kernel == "write":
        return lambda: context.fill(target, blocks, seed)
    if kernel == "copy":
        return lambda: context.launch("bw_copy", blocks, (source, POINTER), (target, POINTER))
    return lambda: context.launch("bw_triad", blocks, (target, POINTER), (memory[1], POINTER), (source, POINTER))
