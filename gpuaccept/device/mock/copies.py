"""How long copies take on a simulated node: rates by parameters, temperature, clock and links, with their noise."""

from __future__ import annotations

from collections.abc import Callable
from math import acos, cos, inf, sqrt

from gpuaccept.device.mock.model import HardwareModel, Spread
from gpuaccept.device.mock.noise import GOLDEN, MASK, MIX_1, MIX_2, key, normal, student

VISIT_GAP_S = 1.0
"""Calls of one quantity without a longer pause than this are one visit and share its noise, s [judgement]."""
_SQRT2 = sqrt(2.0)


class Path:
    """One way that bytes take (a kernel on a GPU, a direction of a host copy, an operation on a pair).

    `ask` gives its rate in GB/s without noise; it is asked anew with each generation of the parameters.
    """

    __slots__ = (
        "_ask",
        "_asked",
        "_base",
        "_factor",
        "_last",
        "_repeat",
        "_repeat_key",
        "_slow",
        "_steady",
        "_visit",
        "_visit_key",
    )

    def __init__(
        self, ask: Callable[[], float], spread: Spread, seed: int, quantity: str, subject: int, slow_share: float = 0.0
    ) -> None:
        steady = 1.0 + spread.node / 100.0 * normal(key(seed, quantity.split(" ")[0]))
        steady *= 1.0 + spread.gpu / 100.0 * normal(key(seed, f"{quantity} gpu", subject))
        self._ask, self._steady = ask, steady
        self._visit, self._repeat = spread.visit / 100.0, spread.repeat / 100.0
        self._visit_key = key(seed, f"{quantity} visit", subject)
        self._repeat_key = key(seed, f"{quantity} repeat", subject)
        self._slow = int(slow_share * 2048)
        self._last, self._asked = -inf, -1
        self._base = self._factor = 1.0

    def rate(self, now: float, tick: int, generation: int) -> float:
        """GB/s of the next copy, at `now` (s; `tick` is the same in ns)."""
        if generation != self._asked:
            self._asked, self._base = generation, self._ask() * self._steady
        if now - self._last > VISIT_GAP_S:
            self._factor = 1.0 + self._visit * student(self._visit_key, tick)
        self._last = now
        z = (self._repeat_key + tick * GOLDEN) & MASK
        z = ((z ^ (z >> 30)) * MIX_1) & MASK
        z = ((z ^ (z >> 27)) * MIX_2) & MASK
        z ^= z >> 31
        u = ((z >> 11) + 0.5) * 1.1102230246251565e-16
        root = sqrt(4.0 * u * (1.0 - u))
        excess = cos(acos(root if root < 1.0 else 1.0) / 3.0) / root - 1.0
        t = _SQRT2 * sqrt(excess) if excess > 0.0 else 0.0
        rate = self._base * self._factor * (1.0 + self._repeat * (t if u > 0.5 else -t))
        if z & 0x7FF < self._slow:
            rate *= 0.995 - 0.015 * u
        return rate


def heat_factor(model: HardwareModel, memory_c: float) -> float:
    """What the memory's temperature leaves of its rate: a slope, and a step where refresh doubles."""
    memory = model.memory
    factor = 1.0 + memory.percent_per_kelvin / 100.0 * (memory_c - memory.reference_c)
    if memory_c > memory.slower_above_c:
        return factor * (1.0 + memory.slower_percent / 100.0)
    if memory_c > memory.slow_above_c:
        return factor * (1.0 + memory.slow_percent / 100.0)
    return factor
