"""Numbers, units and spans of time in words."""

from __future__ import annotations

import pytest

from gpuaccept.judge.wording import duration, with_unit


@pytest.mark.parametrize(
    "unit, one",
    [
        ("errors", "error"), ("steps", "step"), ("processes", "process"), ("GPUs", "GPU"), ("SMs", "SM"),
        ("errors/h", "error/h"), ("GB/s", "GB/s"), ("s", "s"), ("%", "%"), ("°C", "°C"), ("Gbps", "Gbps"),
    ],
)  # fmt: skip
def test_one_of_what_is_counted_is_singular(unit: str, one: str) -> None:
    assert with_unit(1.0, unit) == f"1 {one}"
    assert with_unit(2.0, unit) == f"2 {unit}"
    assert with_unit(0.0, unit) == f"0 {unit}"


def test_a_span_of_time_is_said_in_words() -> None:
    assert [duration(s) for s in (0.4, 7.2, 119, 120, 3599, 3600, 7500)] == [
        "0 s", "7 s", "119 s", "2 min", "1 h", "1 h", "2 h 5 min",
    ]  # fmt: skip
