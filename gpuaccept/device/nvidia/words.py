"""NVML's numbers in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpuaccept.check import Reading


def word(words: Mapping[int, str]) -> Callable[[Any], Reading]:
    """A conversion of numbers; one that is not listed says so."""
    return lambda value: words.get(value, f"unknown {value}")


def translated(value: Reading, words: Mapping[int, str]) -> Reading:
    """A reading in words, where there is one."""
    return words.get(value, f"unknown {value}") if isinstance(value, int) else value
