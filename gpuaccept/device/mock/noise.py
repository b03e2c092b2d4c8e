"""Noise that is a pure function of seed, quantity and tick: hashing in place of a generator's hidden state.

SplitMix64 (Steele, Lea, Flood 2014) turns a 64-bit key and a tick (a time or a number) into a uniform number.
Student's t with four degrees of freedom has a closed quantile function (Shaw 2006, equation 35 ff.), so each draw costs
one hash. Scaled by 1/sqrt(2), the standard deviation of that t, its own standard deviation is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import acos, atan2, cos, pi, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MASK = 0xFFFFFFFFFFFFFFFF
GOLDEN = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
_UNIT = 2.0**-53
_NORMAL = NormalDist()
_SQRT2 = sqrt(2.0)


def mix(z: int) -> int:
    """The SplitMix64 finaliser: 64 bits in, 64 well mixed bits out."""
    z &= MASK
    z = ((z ^ (z >> 30)) * MIX_1) & MASK
    z = ((z ^ (z >> 27)) * MIX_2) & MASK
    return z ^ (z >> 31)


def key(seed: int, quantity: str, subject: int = 0) -> int:
    """The key of one quantity of one subject under a seed."""
    return of_subject(of_quantity(seed, quantity), subject)


@lru_cache(maxsize=4096)
def of_quantity(seed: int, quantity: str) -> int:
    """What the keys of all subjects of a quantity are made from."""
    return mix(seed * GOLDEN + crc32(quantity.encode()))


def of_subject(of: int, subject: int) -> int:
    """The key of one subject of a quantity."""
    return mix(of + (subject + 1) * MIX_1)


def uniform(of: int, tick: int) -> float:
    """Uniform on (0, 1)."""
    return ((mix(of + tick * GOLDEN) >> 11) + 0.5) * _UNIT


def normal(of: int, tick: int = 0) -> float:
    """Standard normal."""
    return _NORMAL.inv_cdf(uniform(of, tick))


def student(of: int, tick: int) -> float:
    """Student's t with four degrees of freedom, scaled to standard deviation 1."""
    return student_of(uniform(of, tick))


def student_of(u: float) -> float:
    """The quantile function of that t."""
    root = sqrt(4.0 * u * (1.0 - u))
    excess = cos(acos(min(1.0, root)) / 3.0) / root - 1.0
    t = _SQRT2 * sqrt(excess) if excess > 0.0 else 0.0
    return t if u > 0.5 else -t


def normal_of(u: float) -> float:
    """The quantile function of the standard normal distribution."""
    return _NORMAL.inv_cdf(u)


def student3_of(u: float) -> float:
    """The quantile function of Student's t with three degrees of freedom, scaled to standard deviation 1.

    Scaled so, x solves 1/2 + (x / (1 + x^2) + atan x) / pi = u (Shaw 2006, equation 34); by bisection.
    """
    tail, low, high = min(u, 1.0 - u), 0.0, 1e6
    for _ in range(60):
        x = (low + high) / 2.0
        # atan(1/x) in place of pi/2 - atan(x): the tail keeps its digits
        low, high = (x, high) if (atan2(1.0, x) - x / (1.0 + x * x)) / pi > tail else (low, x)
    return low if u > 0.5 else -low


QUANTILES: dict[str, Callable[[float], float]] = {"t3": student3_of, "t4": student_of, "normal": normal_of}
"""By the name that a model gives the tails of its noise; all have standard deviation 1."""


def uniforms(keys: Any, ticks: Any) -> NDArray[np.float64]:
    """Uniform numbers for arrays of keys and ticks (broadcast against each other), as `uniform` gives them."""
    import numpy as np

    # in place: of a few hundred numbers, an operation costs its call and its memory
    z = np.asarray(np.asarray(ticks, np.uint64) * GOLDEN + np.asarray(keys, np.uint64))
    z ^= z >> 30
    z *= MIX_1
    z ^= z >> 27
    z *= MIX_2
    z ^= z >> 31
    z >>= 11
    out = z.astype(np.float64)
    out += 0.5
    out *= _UNIT
    return out


def students(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """`student_of` of an array."""
    import numpy as np

    root = np.sqrt(4.0 * u * (1.0 - u))
    excess = np.cos(np.arccos(np.minimum(1.0, root)) / 3.0) / root - 1.0
    return np.copysign(_SQRT2 * np.sqrt(np.maximum(0.0, excess)), u - 0.5)


def quantiles(tails: str, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quantile function of QUANTILES that `tails` names, of an array."""
    import numpy as np

    if tails == "t4":
        return students(u)
    one = QUANTILES[tails]
    return np.array([one(each) for each in u.ravel().tolist()]).reshape(u.shape)


def wander(of: int, t: float, period: float) -> float:
    """A slow random walk without memory: normal values at multiples of `period` seconds, straight lines between."""
    i = int(t // period)
    share = t / period - i
    return knot(of, i) * (1.0 - share) + knot(of, i + 1) * share


@lru_cache(maxsize=4096)
def knot(of: int, i: int) -> float:
    """The `i`-th of the values between which a wander goes."""
    return normal(of, i)
