"""Statistics of the decision rule against published tables."""

from __future__ import annotations

import math

import pytest

from gpuaccept.judge.statistics import coverage, deviation, median, student


@pytest.mark.parametrize(
    ("tail", "degrees", "expected"),
    [  # NIST/SEMATECH e-Handbook, table 1.3.6.7.2
        (0.025, 1, 12.706),
        (0.025, 2, 4.303),
        (0.025, 4, 2.776),
        (0.05, 10, 1.812),
        (0.01, 29, 2.462),
        (0.001, 5, 5.893),
        (0.025, 100, 1.984),
    ],
)
def test_students_t_is_that_of_the_tables(tail: float, degrees: float, expected: float) -> None:
    assert student(tail, degrees) == pytest.approx(expected, abs=6e-4)


def test_with_many_degrees_of_freedom_t_is_the_normal_factor() -> None:
    assert coverage(2.29, 1e6) == pytest.approx(2.29, abs=1e-4)


def test_few_degrees_of_freedom_widen_the_guard_band() -> None:
    factors = [coverage(2.29, degrees) for degrees in (2, 5, 10, 29)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == pytest.approx(6.61, abs=0.05)  # two degrees of freedom at Pocock's level


def test_factors_are_rounded_so_that_every_machine_has_the_same() -> None:
    assert student(0.025, 7) == round(student(0.025, 7), 6)


def test_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([5.0]) == 5.0


def test_deviation_of_a_sample_divides_by_n_minus_one() -> None:
    assert deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
