"""Timed sweeps over one GPU's own memory, each with the proof that the data moved.

The shape of a measurement: fill the source with a new pattern; warm up; fill the destination with another pattern; time
the passes; verify the trace of each and all of the last one's.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuaccept.check import SweepKernel, Transfer
from gpuaccept.device.nvidia.arena import Arena
from gpuaccept.device.nvidia.context import POINTER, Context
from gpuaccept.device.nvidia.landing import Landing
from gpuaccept.device.nvidia.timing import Lane, timed, warm_up

_TRIAD_FACTOR = 4
"""b + 3 c where b = c."""
_SOURCES = {"write": 0, "copy": 1, "local_copy_ce": 1, "triad": 2}
"""Buffers that a pass reads, beside the one that it writes."""


def sweep(context: Context, kernel: SweepKernel, size: int, passes: int, seed: int) -> Transfer:
    """See Node.memory_sweep."""
    context.enter()
    blocks = context.blocks(size)
    if kernel == "read":
        with context.buffers(size, 1) as (target,):
            context.fill(target, blocks, seed)
            lane = Lane(context, context.stream, _read(context, target, blocks), passes)
            _warm(lane)
            elapsed = _time(lane)
            wrong = context.read_wrong(target, blocks, seed, passes)
        return Transfer(elapsed, passes * size, 0, wrong)
    landing = Landing(context, size, passes)
    with context.buffers(landing.span, 1) as (target,), context.buffers(size, _SOURCES[kernel]) as sources:
        landing.at(target)
        for source in sources:
            context.fill(source, blocks, seed)
        lane = Lane(context, context.stream, _one_pass(context, kernel, landing, sources, blocks, size, seed), passes)
        _warm(lane)
        landing.spoil(seed)
        elapsed = _time(lane)
        wrong = landing.wrong(seed, _TRIAD_FACTOR if kernel == "triad" else 1)
    return Transfer(elapsed, passes * size * _SOURCES[kernel], passes * size, wrong)


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
    context: Context, kernel: SweepKernel, landing: Landing, sources: list[int], blocks: int, size: int, seed: int
) -> Callable[[], None]:
    if kernel == "local_copy_ce":
        return lambda: context.call("cuMemcpyDtoDAsync", landing.next(), sources[0], size, context.stream.handle)
    if kernel == "write":
        return lambda: context.fill(landing.next(), blocks, seed)
    if kernel == "copy":
        return lambda: context.launch("bw_copy", blocks, (sources[0], POINTER), (landing.next(), POINTER))
    a, b = (sources[0], POINTER), (sources[1], POINTER)
    return lambda: context.launch("bw_triad", blocks, (landing.next(), POINTER), a, b)
