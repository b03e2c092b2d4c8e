"""Scatter by level is found again in samples that were drawn with known scatter."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from gpuaccept.fit.levels import levels

SIGMAS = (0.2, 0.4, 0.7, 0.5)


def student(generator: random.Random) -> float:
    """Student's t, four degrees of freedom, at standard deviation 1."""
    chi = sum(generator.gauss(0, 1) ** 2 for _ in range(4))
    return generator.gauss(0, 1) / (chi / 4) ** 0.5 / 2**0.5


def drawn(
    nodes: int,
    gpus: int = 8,
    visits: int = 3,
    repeats: int = 5,
    seed: int = 1,
    rho: float = 0.0,
    slow: Callable[[random.Random], float] = lambda generator: 1.0,
) -> dict[str, dict[str, list[list[float]]]]:
    """A tree of samples with SIGMAS (repeat, visit, gpu as seen in one visit, node), in percent of 5000."""
    draw = random.Random(seed)
    repeat, visit, gpu, node = (sigma / 100 for sigma in SIGMAS)
    apart = (gpu**2 - visit**2) ** 0.5
    out: dict[str, dict[str, list[list[float]]]] = {}
    for n in range(nodes):
        of_node = 1 + node * draw.gauss(0, 1)
        for g in range(gpus):
            of_gpu = of_node * (1 + apart * draw.gauss(0, 1))
            rows = []
            for _ in range(visits):
                of_visit = of_gpu * (1 + visit * student(draw))
                now, row = draw.gauss(0, 1), []
                for _ in range(repeats):
                    now = rho * now + (1 - rho**2) ** 0.5 * (draw.gauss(0, 1) if rho else student(draw))
                    row.append(5000 * of_visit * (1 + repeat * now) * slow(draw))
                rows.append(row)
            out.setdefault(f"n{n}", {})[f"gpu/{g}"] = rows
    return out


def test_every_level_is_found_again() -> None:
    found = levels([drawn(60), drawn(60, seed=2)])

    assert None not in found
    got = [level.sigma_percent for level in found[:4] if level is not None]
    assert got == pytest.approx(SIGMAS, rel=0.15)
    assert found.node is not None and found.node.values == 60


def test_a_few_slow_repeats_do_not_move_the_scatter() -> None:
    found = levels([drawn(30, slow=lambda draw: 0.98 if draw.random() < 0.01 else 1.0)])

    assert found.repeat is not None and found.repeat.sigma_percent == pytest.approx(0.2, rel=0.1)
    assert found.visit is not None and found.visit.sigma_percent == pytest.approx(0.4, rel=0.1)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_the_correlation_of_neighbouring_repeats_is_found_again(rho: float) -> None:
    assert levels([drawn(40, repeats=10, rho=rho)]).correlation == pytest.approx(rho, abs=0.06)


def test_repeats_that_do_not_correlate_are_said_to_be_so() -> None:
    found = levels([drawn(40)]).correlation

    assert found is not None and found < 0.08


def test_a_level_that_too_few_values_show_is_none() -> None:
    one = levels([drawn(1)])
    single = levels([drawn(5, gpus=1, visits=1, repeats=1)])

    assert one.node is None and one.gpu is not None
    assert single[:3] == (None, None, None)
    assert single.correlation is None
    assert levels([{"n": {"gpu/0": [[5.0, 5.0, 5.0]]}}]).repeat is not None
    assert levels([]) == (None, None, None, None, None)
