"""Rates with the intervals that their number of trials allows."""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959964
"""Two-sided 95 % point of the normal distribution."""


class Rate(NamedTuple):
    """So many of so many trials."""

    successes: int
    trials: int

    @property
    def share(self) -> float:
        """Successes by trials; not a number without trials."""
        return self.successes / self.trials if self.trials else math.nan

    def __str__(self) -> str:
        """`19 of 20: 95 % (76-99)`, with the two-sided 95 % Wilson interval."""
        if not self.trials:
            return "none tried"
        low, high = wilson(self.successes, self.trials)
        return f"{self.successes} of {self.trials}: {100 * self.share:.3g} % ({100 * low:.3g}–{100 * high:.3g})"


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Two-sided 95 % interval of a rate (Wilson 1927): near 95 % also where few or all succeed."""
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    spread = Z95 * math.sqrt(share * (1 - share) / trials + Z95 * Z95 / (4 * trials * trials))
    middle, whole = share + Z95 * Z95 / (2 * trials), 1 + Z95 * Z95 / trials
    low, high = (middle - spread) / whole, (middle + spread) / whole
    return (0.0 if successes == 0 else max(0.0, low)), (1.0 if successes == trials else min(1.0, high))


def upper95(successes: int, trials: int) -> float:
    """One-sided upper 95 % bound of a rate (Clopper and Pearson 1934), never too low: 1 - 0.05^(1/n) for none."""
    if successes >= trials:
        return 1.0
    if successes == 0:
        return float(-math.expm1(math.log(0.05) / trials))
    low, high = successes / trials, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(successes, trials, middle) > 0.05 else (low, middle)
    return high


def at_most(successes: int, trials: int, share: float) -> float:
    """Probability of so many successes or fewer, binomial."""
    if share >= 1.0:
        return 1.0 if successes >= trials else 0.0
    if share <= 0.0:
        return 1.0
    logs = (
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(share)
        + (trials - k) * math.log1p(-share)
        for k in range(successes + 1)
    )
    return math.fsum(math.exp(one) for one in logs)


def needed(bound: float) -> int:
    """Trials without a success that keep the upper 95 % bound at or below `bound`."""
    return math.ceil(math.log(0.05) / math.log1p(-bound))
