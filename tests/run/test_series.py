"""Arithmetic on series: the run and the verifier must come to the same figures."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept import series
from gpuaccept.data import MetricDeclaration, SeriesGroup
from gpuaccept.errors import EvidenceError

finite = st.floats(min_value=-1e9, max_value=1e9)


def group(values: tuple[float, ...], segments: tuple[int, ...] = (0,), step: float = 1.0) -> SeriesGroup:
    return SeriesGroup(
        subject="gpu/0",
        names=("a.b",),
        units=("W",),
        segments=segments,
        at_s=tuple(i * step for i in range(len(values))),
        values=(values,),
    )


@given(st.lists(finite, min_size=1, max_size=700))
def test_an_envelope_never_hides_a_sample(values: list[float]) -> None:
    [summary] = series.summarise([group(tuple(values))], [])
    [envelope] = summary.series
    low, high = series.edges_of(envelope)

    assert (summary.count, envelope.minimum, envelope.maximum) == (len(values), min(values), max(values))
    if min(values) == max(values):
        assert low == high == ()
        return
    parts = min(len(values), series.BUCKETS)
    slack = 1e-9 * (abs(envelope.minimum) + abs(envelope.maximum))
    for i in range(parts):
        part = values[len(values) * i // parts : len(values) * (i + 1) // parts]
        assert low[i] - slack <= min(part)
        assert max(part) <= high[i] + slack


def test_a_counter_has_no_envelope() -> None:
    derived = MetricDeclaration(
        name="a.c",
        unit="%",
        kind="read",
        better="lower",
        subject="gpu",
        description="",
        series="a.b",
        reduction="share",
    )
    [summary] = series.summarise([group((1.0, 2.0, 3.0))], [derived])

    assert [(one.low, one.high) for one in summary.series] == [("", "")]


@given(st.lists(finite, min_size=2, max_size=50))
def test_packing_is_lossless_and_deterministic(values: list[float]) -> None:
    raw = series.encode([group(tuple(values))])

    assert series.pack(raw) == series.pack(raw)
    assert series.decode(series.unpack(series.pack(raw))) == (group(tuple(values)),)


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "FILE_LIMIT_BYTES", 1000)

    with pytest.raises(EvidenceError, match="too large"):
        series.unpack(series.pack(b"0" * 1001))


@pytest.mark.parametrize("junk", [b"", b"x", series.pack(b"[]") + b"x", series.pack(b"[]")[:-3]])
def test_junk_is_evidence_that_is_not_valid(junk: bytes) -> None:
    with pytest.raises(EvidenceError):
        series.unpack(junk)


def test_a_mean_leaves_out_the_ramp() -> None:
    ramp = (0.0,) * 30 + (900.0,) * 70
    assert series.reduce(group(ramp), ramp, "mean") == 900.0


def test_a_share_is_of_the_time_within_segments() -> None:
    counter = (0.0, 1e9, 1e9, 2e9)
    assert series.reduce(group(counter, (0, 2)), counter, "share") == 100.0


def test_a_counter_that_ran_backwards_is_not_measured() -> None:
    counter = (5.0, 3.0)
    assert series.reduce(group(counter), counter, "difference") is None


def test_a_slowing_load_shows_in_the_ratio_of_thirds() -> None:
    steady = tuple(float(i) for i in range(90))
    slowing = tuple(float(i) if i < 61 else 60 + (i - 60) * 0.9 for i in range(90))
    assert series.reduce(group(steady), steady, "ratio_of_thirds") == pytest.approx(1.0)
    assert series.reduce(group(slowing), slowing, "ratio_of_thirds") == pytest.approx(0.9, rel=0.01)


def test_a_gap_between_segments_is_no_gap() -> None:
    joined = SeriesGroup(
        subject="gpu/0",
        names=("a.b",),
        units=("",),
        segments=(0, 2),
        at_s=(0.0, 1.0, 500.0, 502.0),
        values=((1.0,) * 4,),
    )
    assert series.largest_gap(joined) == 2.0


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 9.0]) | finite, min_size=3, max_size=60))
def test_an_extreme_is_that_of_the_medians_of_three_samples(values: list[float]) -> None:
    medians = [median(values[i : i + 3]) for i in range(len(values) - 2)]

    assert series.reduce(group(tuple(values)), tuple(values), "minimum") == min(medians)
    assert series.reduce(group(tuple(values)), tuple(values), "maximum") == max(medians)


def test_one_reading_that_its_neighbours_deny_is_no_heat() -> None:
    glitch = (30.0,) * 50 + (5.0,) + (30.0,) * 50
    heat = (30.0,) * 50 + (5.0, 6.0) + (30.0,) * 50

    assert series.reduce(group(glitch), glitch, "minimum") == 30.0
    assert series.reduce(group(heat), heat, "minimum") == 6.0


def warming(seconds: int, stages: tuple[tuple[float, float], ...], seed: int = 1) -> tuple[float, ...]:
    """°C of a GPU that starts at 25 °C, each second, in whole kelvins with 0.3 K of noise."""
    dice = random.Random(seed)
    rises = (sum(k * (1 - math.exp(-t / tau)) for k, tau in stages) for t in range(seconds))
    return tuple(float(round(25 + rise + dice.gauss(0.0, 0.3))) for rise in rises)


@pytest.mark.parametrize("stages", [((30.0, 15.0),), ((25.0, 15.0), (15.0, 120.0)), ((20.0, 20.0), (5.0, 600.0))])
def test_what_may_still_come_is_not_above_the_bound(stages: tuple[tuple[float, float], ...]) -> None:
    """97.5 % of instants from 150 s on, as in docs/explanation/soak.md."""
    end, held, trials = 25 + sum(k for k, _ in stages), 0, 0
    for seed in range(6):
        course = warming(900, stages, seed)
        for seconds in range(152, 900, 40):
            seen = course[:seconds]
            upper = series.reduce(group(seen), seen, "upper_bound")
            assert upper is not None
            held += upper >= end
            trials += 1
    assert held / trials >= 0.975
    assert upper == pytest.approx(end, abs=4.0)


def test_a_lower_bound_mirrors_an_upper_one() -> None:
    course = warming(400, ((25.0, 15.0), (15.0, 120.0)))
    mirrored = tuple(-value for value in course)
    upper = series.reduce(group(course), course, "upper_bound")

    assert upper is not None
    assert series.reduce(group(mirrored), mirrored, "lower_bound") == pytest.approx(-upper)


def test_a_soak_that_was_too_short_has_no_bound() -> None:
    short, long = warming(140, ((30.0, 15.0),)), warming(200, ((30.0, 15.0),))
    both = long + short
    of_both = series.reduce(group(both, (0, 200)), both, "upper_bound")

    assert series.reduce(group(short), short, "upper_bound") is None
    assert of_both == series.reduce(group(long), long, "upper_bound")  # a short segment later says nothing new
    assert series.reduce(group(long[:20], step=10.0), long[:20], "upper_bound") is None  # too few samples
