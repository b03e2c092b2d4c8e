"""Risks of a limit against their definition by simulation, and against cases that can be told by hand."""

from __future__ import annotations

import random

import pytest
from judge_evidence import COPY, cohort, limit, sigma

from gpuaccept.certificate.risks import probability
from gpuaccept.data import Deviation, MetricFacts
from gpuaccept.judge import risk

FACTS = MetricFacts(typical=100.0, visit=sigma(0.5), gpu=sigma(1.0))


def test_risks_are_those_of_simulated_parts() -> None:
    of = cohort(metrics={COPY: FACTS})
    found = risk(limit("floor", COPY, minimum=99.0), of)
    assert found is not None
    u = 1.253 * 0.5 / of.visits**0.5
    guard, noise, trials = of.coverage_factor * u, random.Random(5), 200_000
    accepted = rejected = 0
    for _ in range(trials):
        part = noise.gauss(100.0, 1.0)
        passes = noise.gauss(part, u) >= 99.0 + guard
        accepted += part < 99.0 and passes
        rejected += part >= 99.0 and not passes
    assert found.uncertainty_percent == pytest.approx(u, rel=1e-6)
    assert found.false_reject == pytest.approx(rejected / trials, rel=0.05)
    assert found.false_accept == pytest.approx(accepted / trials, rel=0.3)
    assert found.smallest_loss_percent == pytest.approx(1.0 - guard + 1.645 * u, abs=1e-3)


def test_a_ceiling_mirrors_a_floor() -> None:
    of = cohort(metrics={COPY: FACTS})
    floor, ceiling = (
        risk(limit("one", COPY, **{side: at}), of) for side, at in (("minimum", 99.0), ("maximum", 101.0))
    )
    assert floor is not None and ceiling is not None
    assert tuple(floor) == pytest.approx(tuple(ceiling))


def test_a_deviation_that_is_declared_five_sigma_wide_is_seldom_seen_on_good_parts() -> None:
    found = risk(limit("node", COPY, max_deviation=Deviation(sigmas=5.0)), cohort(metrics={COPY: FACTS}))
    assert found is not None
    assert 2.9e-7 < found.false_reject < 1e-4  # 5 sigma of the parts alone is 2.9e-7; the visits add theirs


def test_what_the_profile_does_not_declare_has_no_risk() -> None:
    assert risk(limit("floor", COPY, minimum=99.0), cohort(metrics={})) is None
    assert risk(limit("one", COPY, equals=99.0), cohort(metrics={COPY: FACTS})) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "< 10⁻¹²"), (2.39e-6, "2 · 10⁻⁶"), (9.7e-5, "1 · 10⁻⁴"), (0.16, "0.2"), (0.05, "5 · 10⁻²")],
)
def test_probabilities_are_shown_with_one_digit(value: float, shown: str) -> None:
    assert probability(value) == shown
