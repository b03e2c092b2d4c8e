"""What all that is learned shares: the terms that it is learned on, what became of a limit, and how it is rounded."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import Literal, NamedTuple

from gpuaccept.data import Limit, Source

DIGITS = 5
"""Significant digits of a proposed limit, rounded to the side that passes more."""
Result = Literal["raised", "new", "kept", "not learned"]


class Outcome(NamedTuple):
    """What became of one limit. `learned` is its tolerance limit, `lowest` the lowest node's value less U."""

    result: Result
    metric: str
    limit: Limit | None
    learned: float | None = None
    before: float | None = None
    lowest: float | None = None
    reason: str = ""


class Terms(NamedTuple):
    """What share of good nodes (of GPUs, for slots) a limit passes, at what confidence, and where it comes from."""

    share: float
    confidence: float
    source: Source
    reference: str


def rounded(value: float, digits: int, down: bool) -> float:
    """A value to so many significant digits, downwards or upwards."""
    if value == 0:
        return 0.0
    power = digits - 1 - floor(log10(abs(value)))
    scaled = round(value * 10.0**power, 6)
    return round((floor if down else ceil)(scaled) / 10.0**power, max(power, 0) + 1)
