"""Numbers and geometry: what is printed is what was measured, and good is always right of the line."""

from __future__ import annotations

import certificate_samples as samples
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept.certificate import charts
from gpuaccept.certificate.bounds import rule_of_three
from gpuaccept.certificate.numbers import duration, number, percent, plain, quantity
from gpuaccept.series import summarise


@pytest.mark.parametrize(
    ("value", "u", "shown"),
    [
        (6512.4, 21.3, "6512 ± 21 X"),
        (0.98765, 0.0123, "0.988 ± 0.012 X"),
        (-3.5, None, "−3.5 X"),
        ("18", None, "18 X"),
        ("1652949100547", None, "1652949100547 X"),
        (None, None, "not measured"),
        (183359.0, None, "183\u202f359 X"),
        (53.125, None, "53.125 X"),
        (-0.0001, 0.5, "0.00 ± 0.50 X"),
    ],
)
def test_quantities(value: float | str | None, u: float | None, shown: str) -> None:
    assert str(quantity(value, u, "X")) == shown


def test_all_of_it_is_the_only_hundred_percent() -> None:
    assert percent(143, 144).startswith("99.3") and percent(1199.9, 1200).startswith("99.9")
    assert percent(8, 8).startswith("100") and percent(0, 0) == "none planned"


def test_durations() -> None:
    assert [duration(s) for s in (0.25, 45, 600, 3600, 7500)] == ["0.2 s", "45 s", "10 min", "1 h", "2 h 5 min"]


def test_the_rule_of_three() -> None:
    assert rule_of_three(4.0) == "0.75" and rule_of_three(0.5) == "6.00"


@given(st.floats(-1e12, 1e12))
def test_a_printed_number_is_the_number(value: float) -> None:
    for text in (plain(value), number(value, 3)):
        back = float(text.replace("\u202f", "").replace("−", "-"))
        assert back == pytest.approx(value, rel=1e-5, abs=1e-3)


MEASURED = st.floats(-1e6, 1e6)


def places(path: str) -> list[float]:
    """Where each stroke of a path begins, from the left."""
    return [float(stroke.split()[0]) for stroke in path.split("M")[1:]]


def heights(band: charts.Band) -> list[int]:
    """Every height of a band's outline: first absolute, then by its relative steps."""
    start, _, moves = band.area.strip("Mz").partition("l")
    y, found = int(start.split()[1]), []
    for step in moves.replace("-", " -").replace("l", " ").split()[1::2]:
        y += int(step)
        found.append(y)
    return found


@given(st.floats(0, 1e6), st.sampled_from([1, -1]), MEASURED, st.lists(MEASURED, max_size=5))
def test_good_is_right_of_the_line_whichever_way_the_metric_runs(
    limit: float, sign: int, value: float, others: list[float]
) -> None:
    span, _ = charts.span_of(limit, [value, *others], sign)
    drawn = charts.interval(limit, sign, span, value, 0.0, "pass", others)
    at = places(drawn.at)[0]
    assert 10 <= at <= 990
    if sign * (value - limit) > span * 2e-3:
        assert at > 10 * charts.LINE
    if sign * (value - limit) < -span * 2e-3:
        assert at < 10 * charts.LINE


def test_exact_results_that_deviate_stand_left_of_the_line() -> None:
    drawn = dict(charts.cells(["pass", "fail", "pass", "error"]))
    assert all(x > 10 * charts.LINE for x in places(drawn["pass"])) and len(places(drawn["pass"])) == 2
    assert all(x < 10 * charts.LINE for x in places(drawn["fail"]) + places(drawn["error"]))


def courses(gpus: int, name: str) -> list[charts.Course]:
    """One series of each GPU of a sample soak."""
    found = summarise(samples.soak(gpus, None), samples.METRICS)
    return [charts.Course(of.subject, of.count, one) for of in found for one in of.series if one.name == name]


def test_a_dip_of_one_sample_stays_visible() -> None:
    found = courses(8, "thermal_soak.sm_clock")
    lowest = max(heights(charts.band(found, 800, 2000)))
    assert lowest == pytest.approx(charts.HEIGHT * (2000 - 812) / 1200, abs=2)


def test_a_gpu_that_was_lost_takes_part_until_then() -> None:
    [whole] = courses(1, "thermal_soak.temperature")
    colder = msgspec.structs.replace(whole.envelope, minimum=whole.envelope.minimum - 20)
    gone = charts.Course("gpu/1", whole.samples // 2, colder)
    alone, both = heights(charts.band([whole], 0, 100)), heights(charts.band([whole, gone], 0, 100))
    assert max(both) > max(alone)
    assert charts.band([whole, gone], 0, 100).width == charts.band([whole], 0, 100).width


def test_a_sensor_that_never_moved_is_a_straight_line() -> None:
    [whole] = courses(1, "thermal_soak.temperature")
    still = msgspec.structs.replace(whole.envelope, low="", high="", minimum=50.0, maximum=50.0)
    assert set(heights(charts.band([charts.Course("gpu/0", whole.samples, still)], 0, 100))) == {charts.HEIGHT // 2}


def test_strips_keep_every_cell_apart_and_inside() -> None:
    lefts = places(charts.squares(range(144), 18))
    assert len(lefts) == 144 and lefts == sorted(set(lefts))
    assert lefts[-1] + 7 < charts.strip_width(18, 144)
