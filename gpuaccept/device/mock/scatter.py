"""How a quantity of a simulated node scatters: from node to node, GPU to GPU, visit to visit and repeat to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from gpuaccept.device.mock import noise
from gpuaccept.device.mock.model import Spread
from gpuaccept.device.mock.noise import key, normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VISITS, REPEATS = 4, 3
"""What is drawn at once: these visits and their next repeats, of all subjects."""
KEPT = 8
"""Of these: subjects do not all begin a visit at the same time."""
VISIT = 1 << 24
"""Ticks that a visit may use for its draws: those of the next follow."""


class Subject(NamedTuple):
    """What scatters by itself: a kernel on a GPU, an operation on a pair. The same number is as fast everywhere."""

    number: int
    own: float = 1.0
    """How far it is from a typical one: 1 as its seed says."""
    timer: float = 1.0
    """What the timer of its GPU makes of every rate."""


class Scatter:
    """Factors on a quantity of many subjects: a pure function of the seed, when the node was found, and of which visit.

    Many are drawn at once, also ahead of time: one by one, each costs as much as a hundred, and nothing else of a
    simulated node is asked for as often.
    """

    def __init__(
        self,
        seed: int,
        found_s: float,
        spread: Spread,
        quantity: str,
        subjects: Sequence[Subject],
        what: str = "",
        slow_share: float = 0.0,
    ) -> None:
        """Visits and repeats are drawn by quantity and `what`, the subjects' own speed by quantity and number."""
        # the scatter from GPU to GPU is published as seen in one visit, so that visit's scatter is part of it
        apart = sqrt(max(0.0, spread.gpu**2 - spread.visit**2)) / 100.0
        everyone = 1.0 + spread.node / 100.0 * shared(seed, quantity.split(" ")[0])
        draws = noise.uniforms(key(seed, f"{quantity} gpu"), [one.number for one in subjects]).tolist()
        self._steady = [
            everyone * one.timer * (1.0 + apart * one.own * noise.normal_of(u))
            for one, u in zip(subjects, draws, strict=True)
        ]
        self._key = key(seed, f"{quantity}{what} visit", round(found_s * 1000))
        self._spread, self._slow_share = spread, slow_share
        self._drawn: dict[tuple[int, int], list[list[list[float]]]] = {}
        self._ends: dict[tuple[int, int], NDArray[np.float64]] = {}
        """(first visit, block) -> how far its last repeats are away, where repeats correlate."""

    def factors(self, visit: int, block: int) -> list[list[float]]:
        """The next REPEATS factors of each subject in a visit, after `block` times as many."""
        some, number = divmod(visit, VISITS)
        found = self._drawn.get((some, block))
        if found is None:
            if len(self._drawn) >= KEPT:
                del self._drawn[next(iter(self._drawn))]
            found = self._drawn[some, block] = self._draw(some * VISITS, block).tolist()
        return found[number]

    def _draw(self, first: int, block: int) -> NDArray[np.float64]:
        """By visit, subject and repeat."""
        import numpy as np

        spread = self._spread
        columns = np.arange(block * REPEATS, (block + 1) * REPEATS + 1)
        columns[0] = 0  # of the visit
        subjects = np.arange(len(self._steady))[:, None]
        ticks = np.arange(first, first + VISITS)[:, None, None] * VISIT + columns * len(subjects) + subjects
        u = noise.uniforms(self._key, ticks)
        away = noise.quantiles(spread.tails, u)
        visited, away, u = away[:, :, :1], away[:, :, 1:], u[:, :, 1:]
        if spread.correlation:
            self._correlate(away, first, block)
        factors = 1.0 + spread.repeat / 100.0 * away
        factors *= np.array(self._steady)[:, None] * (1.0 + spread.visit / 100.0 * visited)
        if self._slow_share:  # told by bits of the draw that it has no other use for
            factors = np.where((u * 2.0**42) % 1.0 < self._slow_share, factors * (0.995 - 0.015 * u), factors)
        return factors

    def _correlate(self, away: NDArray[np.float64], first: int, block: int) -> None:
        """Make each repeat resemble the one before it (AR(1)); the first of a block goes on from the block before."""
        share = self._spread.correlation
        if block and (first, block - 1) not in self._ends:
            self._draw(first, block - 1)
        before = self._ends.get((first, block - 1))
        for i in range(REPEATS):
            if before is not None:
                away[:, :, i] = share * before + sqrt(1.0 - share**2) * away[:, :, i]
            before = away[:, :, i]
        self._ends[first, block] = away[:, :, -1]


@lru_cache(maxsize=1024)
def shared(seed: int, quantity: str, place: int = 0) -> float:
    """How far a node, or one of its GPUs, is from a typical one in what many subjects share, in standard deviations."""
    return normal(key(seed, quantity, place))
