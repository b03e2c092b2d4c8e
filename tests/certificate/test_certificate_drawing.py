"""Numbers and geometry: what is printed is what was measured, and good is always right of the line."""

from __future__ import annotations

import certificate_samples as samples
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
        ("12345678901234567890", None, "12\u202f345\u202f678\u202f901\u202f234\u202f567\u202f890 X"),
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


@given(st.floats(0, 1e6), st.sampled_from([1, -1]), st.floats(-1e6, 1e6), st.lists(st.floats(-1e6, 1e6), max_size=5))
def test_good_is_right_of_the_line_whichever_way_the_metric_runs(
    limit: float, sign: int, value: float, others: list[float]
) -> None:
    span, _ = charts.span_of(limit, [value, *others], sign)
    drawn = charts.interval(limit, sign, span, value, 0.0, "pass", others)
    at = float(drawn.at)
    assert 1 <= at <= 99.01
    if sign * (value - limit) > span * 1e-3:
        assert at > charts.LINE
    if sign * (value - limit) < -span * 1e-3:
        assert at < charts.LINE


def test_a_dip_of_one_sample_stays_visible() -> None:
    found = [s for s in summarise(samples.soak(8, None)) if s.name == "thermal_soak.sm_clock"]
    band = charts.band(found, 800, 2000)
    lowest = max(float(point.split()[1]) for point in band.area.strip("MZ").split("L"))
    assert lowest == pytest.approx(100 - 12 / 12, abs=0.2)


def test_a_gpu_that_was_lost_takes_part_until_then() -> None:
    whole = summarise(samples.soak(1, None))[0]
    gone = summarise(samples.soak(1, None))[0]
    gone = type(gone)(
        **{
            **{f: getattr(gone, f) for f in gone.__struct_fields__},
            "count": whole.count // 2,
            "low": tuple(v - 20 for v in gone.low[:100]),
            "high": gone.high[:100],
        }
    )
    alone = charts.band([whole], 0, 100).area.strip("MZ").split("L")
    both = charts.band([whole, gone], 0, 100).area.strip("MZ").split("L")
    assert both[200:299] == alone[200:299] and both[-1] != alone[-1]


def test_strips_keep_every_cell_apart_and_inside() -> None:
    path = charts.squares(range(144), 18, 144)
    lefts = [float(piece.split()[0]) for piece in path.split("M")[1:]]
    assert len(lefts) == 144 and lefts == sorted(set(lefts)) and lefts[-1] < 1000
