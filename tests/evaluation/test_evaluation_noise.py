"""What the evaluation varies of the simulator: tails of the noise, and the same node on another day."""

from __future__ import annotations

import math

import pytest

from gpuaccept.device.mock import noise
from gpuaccept.device.mock.copies import Path
from gpuaccept.device.mock.model import Spread
from gpuaccept.device.mock.scatter import Scatter, Subject
from gpuaccept.device.open import DeviceSpec, open_node


def test_student_with_three_degrees_of_freedom_has_its_quantiles() -> None:
    # Tables of Student's t, 3 degrees of freedom: 2.3534 (95 %), 3.1824 (97.5 %), 10.2145 (99.9 %); variance 3.
    for share, t in ((0.95, 2.3534), (0.975, 3.1824), (0.999, 10.2145)):
        assert noise.student3_of(share) * math.sqrt(3) == pytest.approx(t, abs=2e-3)
        assert noise.student3_of(1 - share) == pytest.approx(-noise.student3_of(share))


@pytest.mark.parametrize(("tails", "beyond"), [("t3", 0.0138), ("t4", 0.0132), ("normal", 0.0027)])
def test_visits_have_the_tails_that_the_model_says(tails: str, beyond: float) -> None:
    spread = Spread(repeat=0.0, visit=1.0, gpu=1.0, node=0.0, tails=tails)  # type: ignore[arg-type]
    path = Path(lambda: 1.0, Scatter(5, 0.0, spread, "x", [Subject(0)]), 0)
    rates = [path.rate(10.0 * i, 1) for i in range(20_000)]

    assert sum(abs(rate - 1.0) > 0.03 for rate in rates) / len(rates) == pytest.approx(beyond, abs=0.003)


def test_a_node_found_on_another_day_is_the_same_node_with_other_noise() -> None:
    first, later = (
        open_node(DeviceSpec(device="mock:hgx-b200", seed=3, start_s=at), None, lambda gpu, call: None)
        for at in (0.0, 86_400.0)
    )

    assert [gpu.serial for gpu in first.facts().gpus] == [gpu.serial for gpu in later.facts().gpus]
    times = [node.memory_sweep(0, "copy", 1 << 30, 4, 1).elapsed_ns for node in (first, later)]
    assert times[0] != times[1]
    assert times[0] == pytest.approx(times[1], rel=0.02)
