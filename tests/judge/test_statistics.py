"""Statistics of the decision rule against published tables."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from gpuaccept.data import MetricFacts, Sigma, Tails
from gpuaccept.device.mock.noise import student_of
from gpuaccept.judge.estimate import interval_of
from gpuaccept.judge.statistics import coverage, deviation, median, median_factor, student


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


_DRAW: dict[Tails, Callable[[random.Random], float]] = {
    "normal": lambda dice: dice.gauss(0.0, 1.0),
    "t4": lambda dice: student_of(dice.random() or 0.5),  # standard deviation 1
}


@pytest.mark.parametrize("n", [2, 3, 4, 6, 9, 25])
@pytest.mark.parametrize("tails", ["normal", "t4"])
def test_the_factor_of_a_median_is_that_of_simulated_medians(tails: Tails, n: int) -> None:
    dice, draw = random.Random(3), _DRAW[tails]
    medians = [median([draw(dice) for _ in range(n)]) for _ in range(12_000)]

    assert deviation(medians) * math.sqrt(n) == pytest.approx(median_factor(tails, n), rel=0.025)


@pytest.mark.parametrize("visits", [3, 6, 9])
@pytest.mark.parametrize("tails", ["normal", "t4"])
def test_the_95_percent_interval_holds_95_percent_of_simulated_figures(tails: Tails, visits: int) -> None:
    sigma = Sigma(sigma_percent=0.15, degrees_of_freedom=100, source="assumption", reference="declared")
    half = interval_of(MetricFacts(visit=sigma, type_b_percent=0.02), sigma, visits, tails)
    dice, draw, held, trials = random.Random(4), _DRAW[tails], 0, 12_000
    for _ in range(trials):
        timer = 0.0002 * dice.gauss(0.0, 1.0)
        held += abs(timer + median([0.0015 * draw(dice) for _ in range(visits)])) <= half

    assert held / trials == pytest.approx(0.95, abs=0.01)
