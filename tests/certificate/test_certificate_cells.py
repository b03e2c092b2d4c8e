"""What the certificate says of memory that no pattern was written to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gpuaccept.certificate.bounds import Bound, _cells


def said(**coverage: float) -> Bound:
    """Of a node of two GPUs; those that are not named were not tested."""
    found = {subject.replace("_", "/"): value for subject, value in coverage.items()}
    look: Any = SimpleNamespace(values=lambda metric: found, gpus=(0, 1))
    return _cells(look)


def test_the_gpu_with_the_most_untested_memory_bounds_it() -> None:
    assert said(gpu_0=97.5, gpu_1=96.25).bound == "≤ 3.75 % of memory"


def test_memory_of_a_gpu_that_was_not_tested_is_said_not_to_be() -> None:
    assert said(gpu_0=97.5).bound == "not tested"
    assert said().bound == "not tested"
