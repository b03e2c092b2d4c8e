"""Where the passes of a copy land, so that each of them leaves a trace that is verified.

Each pass writes one step further on than the one before it: the first step of what it writes is covered by no later
pass. A pass that was skipped, or that repeats another one's, leaves there what belongs elsewhere, and shows.
"""

from __future__ import annotations

from gpuaccept.device.nvidia.context import Context

_STEPS = 256
"""A step is this part of what a pass writes (at least a tile): the buffer is little longer for it, and from 512 MiB on
each pass begins on a whole 2 MiB page, as the first does."""


class Landing:
    """The places of `passes` passes of `size` bytes each; further ones begin anew. Memory is placed with `at`."""

    def __init__(self, context: Context, size: int, passes: int) -> None:
        self._context, self._size, self._passes = context, size, passes
        self._step = max(1, context.blocks(size) // _STEPS) * context.tile
        self._next = self._base = 0
        self.span = size + (passes - 1) * self._step
        """Bytes that all passes together write."""

    def at(self, base: int) -> None:
        """The passes write from this address on."""
        self._base = base

    def next(self) -> int:
        """Address of the next pass."""
        address = self._base + self._next * self._step
        self._next = (self._next + 1) % self._passes
        return address

    def spoil(self, seed: int, base: int | None = None) -> None:
        """Queue the writing of another pattern over all of it, and begin anew. `base`: where to write, if it is to be
        copied on from there."""
        self._next = 0
        self._context.fill(self._base if base is None else base, self._context.blocks(self.span), ~seed)

    def wrong(self, seed: int, factor: int = 1, base: int | None = None) -> int:
        """How many words are not `factor` times the pattern of `seed`: the first step of each pass, and all of the
        last. `base`: where to look, if it was copied on."""
        base = self._base if base is None else base
        starts = [base + number * self._step for number in range(self._passes)]
        places = [(start, self._context.blocks(self._step)) for start in starts[:-1]]
        return self._context.wrong([*places, (starts[-1], self._context.blocks(self._size))], seed, factor)
