"""Tolerance limits against published tables, and against what they promise."""

from __future__ import annotations

import random
from statistics import NormalDist

import pytest

from gpuaccept.learn.tolerance import below, factor, rank, sample, vouched


@pytest.mark.parametrize(
    ("size", "share", "confidence", "k"),
    [
        (5, 0.90, 0.95, 3.407),
        (10, 0.95, 0.95, 2.911),
        (10, 0.99, 0.95, 3.981),
        (20, 0.95, 0.95, 2.396),
        (20, 0.99, 0.95, 3.295),
        (50, 0.99, 0.95, 2.862),
        (100, 0.95, 0.95, 1.927),
    ],
)
def test_factors_are_those_of_the_published_tables(size: int, share: float, confidence: float, k: float) -> None:
    """One-sided factors, unknown sigma (NIST Handbook 91, table A-7; ISO 16269-6 tabulates the same)."""
    assert factor(size, share, confidence) == pytest.approx(k, abs=6e-4)


def test_the_factor_falls_with_n_towards_the_quantile() -> None:
    factors = [factor(n, 0.999999, 0.95) for n in (10, 20, 50, 200, 2000)]

    assert factors == sorted(factors, reverse=True)
    assert NormalDist().inv_cdf(0.999999) < factors[-1] < 5.0


@pytest.mark.parametrize(
    ("count", "share", "confidence", "place"),
    [(58, 0.95, 0.95, 0), (59, 0.95, 0.95, 1), (92, 0.95, 0.95, 1), (93, 0.95, 0.95, 2), (298, 0.99, 0.95, 0),
     (299, 0.99, 0.95, 1), (28, 0.9, 0.95, 0), (29, 0.9, 0.95, 1), (46, 0.9, 0.95, 2), (20, 0.999999, 0.95, 0)],
)  # fmt: skip
def test_order_statistics_are_those_of_the_published_tables(
    count: int, share: float, confidence: float, place: int
) -> None:
    assert rank(count, share, confidence) == place


def test_the_lowest_of_twenty_vouches_for_little() -> None:
    assert vouched(20, 0.95) == pytest.approx(0.8609, abs=1e-4)


@pytest.mark.parametrize(("node", "gpu"), [(1.0, 0.0), (0.3, 1.0), (1.0, 1.0), (2.0, 0.5)])
def test_the_limit_passes_the_share_of_nodes_at_the_confidence(node: float, gpu: float) -> None:
    """Nodes whose GPUs resemble each other: the limit must lie below the true one in 95 % of sets of 20 nodes."""
    draw, share, subjects = random.Random(3), 0.99, 8
    true = _true_limit(node, gpu, share, subjects)
    sets = 150
    good = 0
    for _ in range(sets):
        nodes = []
        for _ in range(20):
            middle = node * draw.gauss(0, 1)
            nodes.append([middle + gpu * draw.gauss(0, 1) for _ in range(subjects)])
        good += below(sample(nodes), share, 0.95) <= true
    assert good / sets > 0.89  # 0.95 less three standard errors


def _true_limit(node: float, gpu: float, share: float, subjects: int) -> float:
    """What 99 % of nodes reach with all their GPUs, from a large sample."""
    draw = random.Random(4)
    lowest = []
    for _ in range(30_000):
        middle = node * draw.gauss(0, 1)
        lowest.append(min(middle + gpu * draw.gauss(0, 1) for _ in range(subjects)) if gpu else middle)
    return sorted(lowest)[round((1 - share) * len(lowest))]


def test_values_that_are_all_the_same_have_no_scatter() -> None:
    found = sample([[5.0, 5.0], [5.0, 5.0], [5.0, 5.0]])

    assert (found.mean, found.sigma) == (5.0, 0.0)
    assert below(found, 0.99, 0.95) == 5.0
