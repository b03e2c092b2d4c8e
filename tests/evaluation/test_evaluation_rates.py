"""Rates never claim more than their number of trials allows."""

from __future__ import annotations

import pytest

from gpuaccept.evaluation.rates import Rate, at_most, needed, upper95, wilson


def test_the_wilson_interval_is_that_of_the_tables() -> None:
    # Newcombe 1998, table I: 81 of 263 and 15 of 148, score method without continuity correction.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)


def test_no_success_bounds_by_the_rule_of_three() -> None:
    assert upper95(0, 2000) == pytest.approx(0.001497, rel=1e-3)
    assert upper95(0, 100) == pytest.approx(3 / 100, rel=0.02)
    assert upper95(0, 0 + 1) == pytest.approx(0.95)


def test_the_bound_is_where_so_few_successes_have_five_percent() -> None:
    bound = upper95(3, 50)
    assert at_most(3, 50, bound) == pytest.approx(0.05, abs=1e-9)
    assert upper95(50, 50) == 1.0


def test_one_in_12500_needs_more_than_37000_nodes_without_a_reject() -> None:
    number = needed(1 / 12_500)
    assert number == 37_446
    assert upper95(0, number) <= 1 / 12_500 < upper95(0, number - 1)


def test_a_rate_without_trials_says_so() -> None:
    assert str(Rate(0, 0)) == "none tried"
    assert str(Rate(20, 20)) == "20 of 20: 100 % (83.9–100)"
