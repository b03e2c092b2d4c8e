"""The scatter of the simulator is what the model file declares, at each level, with the heavy tails it promises."""

from __future__ import annotations

from statistics import fmean, median, pstdev, stdev

import numpy as np
import pytest
from mock_raw import GIB, MakeNode, Soak, gb_per_s

from gpuaccept.device.mock import noise
from gpuaccept.device.mock.copies import Path
from gpuaccept.device.mock.model import Spread
from gpuaccept.device.mock.scatter import Scatter, Subject

DRAWS = 20_000


def test_student_has_unit_deviation_and_heavy_tails() -> None:
    values = noise.students(noise.uniforms(np.uint64(noise.key(3, "test")), np.arange(400_000)))
    assert abs(float(values.mean())) < 0.01
    assert float(values.std()) == pytest.approx(1.0, rel=0.04)
    # P(|t| > 3 sqrt 2) for 4 degrees of freedom is 0.0132; a normal has 0.0027
    assert float((abs(values) > 3.0).mean()) == pytest.approx(0.0132, rel=0.1)


def test_scalars_and_arrays_draw_the_same() -> None:
    of = noise.key(1, "same", 4)
    scalars = [noise.student(of, tick) for tick in (0, 1, 10**12)]
    assert noise.students(noise.uniforms(of, [0, 1, 10**12])).tolist() == pytest.approx(scalars, rel=1e-12)


def test_normal_is_normal() -> None:
    values = [noise.normal(noise.key(seed, "gpu", 3)) for seed in range(DRAWS)]
    assert stdev(values) == pytest.approx(1.0, rel=0.03)
    assert sum(abs(value) > 3 for value in values) / DRAWS == pytest.approx(0.0027, abs=0.0015)


def test_keys_of_quantities_and_subjects_are_independent() -> None:
    keys = {noise.key(seed, what, place) for seed in range(20) for what in ("a", "b", "c") for place in range(64)}
    assert len(keys) == 20 * 3 * 64


def _path(spread: Spread, seed: int = 1) -> Path:
    return Path(lambda: 1000.0, Scatter(seed, 0.0, spread, "test", [Subject(0)]), 0)


def test_repeats_of_a_visit_scatter_by_the_repeat_sigma() -> None:
    path = _path(Spread(repeat=0.1, visit=1.0, gpu=1.0, node=1.0))
    rates = [path.rate(i * 0.01, 0) for i in range(DRAWS)]
    assert pstdev(rates) / fmean(rates) * 100 == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_neighbouring_repeats_correlate_as_declared_and_scatter_no_more(rho: float) -> None:
    path = _path(Spread(repeat=0.1, visit=0.0, gpu=0.0, node=0.0, correlation=rho))
    rates = [path.rate(i * 0.01, 0) for i in range(DRAWS)]
    assert float(np.corrcoef(rates[:-1], rates[1:])[0, 1]) == pytest.approx(rho, abs=0.03)
    assert pstdev(rates) / fmean(rates) * 100 == pytest.approx(0.1, rel=0.06)


def test_visits_scatter_by_the_visit_sigma_and_share_it_within() -> None:
    path = _path(Spread(repeat=0.0, visit=0.2, gpu=0.0, node=0.0))
    visits = []
    for visit in range(DRAWS):
        repeats = {path.rate(visit * 10.0 + i * 0.02, 0) for i in range(3)}
        assert len(repeats) == 1
        visits.append(repeats.pop())
    assert pstdev(visits) / fmean(visits) * 100 == pytest.approx(0.2, rel=0.05)


def test_gpus_scatter_by_the_gpu_sigma(make_node: MakeNode) -> None:
    deviations = []
    for seed in range(60):
        node = make_node(seed=seed)
        values = [median(gb_per_s(node.memory_sweep(gpu, "read", GIB, 20, i)) for i in range(3)) for gpu in node.gpus]
        mean = fmean(values)
        deviations += [(value / mean - 1.0) ** 2 for value in values]
    sigma = (sum(deviations) / (60 * 7)) ** 0.5 * 100
    assert sigma == pytest.approx((0.25**2 + 0.1**2 / 2) ** 0.5, rel=0.12)


def test_nvlink_pairs_of_a_node_differ_by_less_than_half_a_percent(make_node: MakeNode) -> None:
    node = make_node()
    rates = [
        gb_per_s(node.peer_copies([(a, b)], "write", "ce", False, GIB, 8, 1)[0], True)
        for a in node.gpus
        for b in node.gpus
        if a != b
    ]
    assert pstdev(rates) / fmean(rates) * 100 == pytest.approx((0.10**2 + 0.03**2) ** 0.5, rel=0.35)
    assert fmean(rates) == pytest.approx(774, rel=0.01)


def test_power_and_temperature_read_as_nvml_rounds_them(make_node: MakeNode) -> None:
    soak = Soak(make_node())
    for gpu in range(8):
        assert all(value == round(value) for value in soak.samples[gpu]["temperature_c"])
        assert all(round(value * 1000, 6) == round(value * 1000) for value in soak.samples[gpu]["power_w"])
        assert max(soak.samples[gpu]["power_w"]) <= 1019
        assert 980 < soak.settled(gpu, "power_w") < 1000
        assert stdev(soak.samples[gpu]["power_w"][100:]) == pytest.approx(5.0, rel=0.35)


def test_temperatures_at_load_are_those_of_the_published_node(make_node: MakeNode) -> None:
    temperatures = [Soak(make_node(seed=seed)).settled(gpu, "temperature_c") for seed in (1, 2) for gpu in range(8)]
    assert 52 < fmean(temperatures) < 61
    assert 1.0 < stdev(temperatures) < 5.5
