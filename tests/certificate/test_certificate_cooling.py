"""What the certificate says of a hot day: at what inlet the node was tested, and what that leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gpuaccept.certificate.bounds import Bound, _cooling
from gpuaccept.data import Failure

WARM = {"inlet_temperature": 24.0, "margin_min": 30.0, "margin_bound": 28.0, "sw_thermal_share": 0.0}


def said(highest: float | None = 27.0, failures: tuple[Failure, ...] = (), **figures: float | None) -> Bound:
    """Of a node of two GPUs, the first of which is a kelvin worse; None leaves a figure out."""
    values = {
        f"thermal_soak.{name}": {"gpu/0": value, "gpu/1": value} for name, value in figures.items() if value is not None
    }
    limit = SimpleNamespace(metric="thermal_soak.inlet_temperature", maximum=highest)
    look: Any = SimpleNamespace(
        values=lambda metric: values.get(metric, {}),
        gpus=(0, 1),
        limits={"inlet": limit},
        evidence=SimpleNamespace(steps=(SimpleNamespace(failures=failures),)),
    )
    return _cooling(look)


def test_the_margin_at_the_highest_inlet_follows_from_the_one_that_was_measured() -> None:
    found = said(**WARM)
    assert found.bound == "margin ≥ 25.0 K at 27 °C"  # 28 K at 24 °C, less 3 K
    assert "tested at an inlet of 24.0 °C" in found.why
    assert said(**{**WARM, "margin_bound": None}).bound == "margin ≥ 27.0 K at 27 °C"


@pytest.mark.parametrize(
    "change",
    [
        {"sw_thermal_share": 0.2},
        {"hw_thermal_share": 0.1},
        {"margin_min": None, "margin_bound": None},
        {"highest": None},
    ],
)
def test_no_margin_is_concluded_where_it_does_not_follow(change: dict[str, float | None]) -> None:
    found = said(**{**WARM, **change})
    assert (found.bound, found.why) == ("not tested", "tested at an inlet of 24.0 °C only")


def test_a_soak_at_the_highest_inlet_was_the_test() -> None:
    found = said(**{**WARM, "inlet_temperature": 28.0})
    assert found.bound == "tested" and "28.0 °C" in found.why


def test_an_inlet_that_is_not_known_is_said_with_its_reason() -> None:
    why = Failure(metric="thermal_soak.inlet_temperature", subject="gpu/0", reason="ipmitool is not installed")
    found = said(failures=(why,), **{**WARM, "inlet_temperature": None})
    assert (found.bound, found.why) == (
        "not tested",
        "the inlet's temperature is not known: ipmitool is not installed",
    )
