"""Geometry of the certificate's drawings, in percent or in a box that the page stretches.

Everything here is made from numbers only, so it is safe inside an attribute; text stands outside stretched boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from markupsafe import Markup
from msgspec import Struct

from gpuaccept import series
from gpuaccept.data import Result, SeriesEnvelope
from gpuaccept.judge.statistics import median

LINE = 33.3
"""Where the limit stands in every plot, % from the left; right of it is good, whichever way the metric runs."""


TICK = 4
"""Ticks nearer than this (of 1000) are one: less than a pixel apart."""
CELLS = 9
"""Cells that find room in a plot."""
HEIGHT = 200
"""Height of the box of a band; the page shows it about 84 pixels high."""


class Interval(Struct, frozen=True):
    """One metric against its limit, in a box 1000 wide and 24 high: y, its U, and ticks of the other subjects."""

    at: Markup
    bar: Markup
    others: Markup
    verdict: Result


class Band(Struct, frozen=True):
    """Lowest to highest of a series over GPUs, the middle of it, and the extremes, in a box `width` by HEIGHT."""

    width: int
    area: Markup
    middle: Markup
    minimum: float
    maximum: float


def span_of(limit: float, values: Iterable[float], sign: int) -> tuple[float, bool]:
    """The distance from the limit to the right edge, and whether it is not the usual 10 % of the limit."""
    usual = abs(limit) * 0.10
    farthest = max((sign * (value - limit) for value in values), default=0.0)
    if usual > 0 and farthest <= usual:
        return usual, False
    return _nice(max(farthest, 1e-9)), True


def interval(
    limit: float,
    sign: int,
    span: float,
    value: float,
    uncertainty: float,
    verdict: Result,
    others: Sequence[float] = (),
) -> Interval:
    """Positions of a value y ± U, and of the other subjects, against a limit. `sign` is −1 where less is better."""

    def at(v: float) -> int:
        return round(min(990.0, max(10.0, 10 * LINE + sign * (v - limit) / span * (1000 - 10 * LINE))))

    low, high = sorted((at(value - uncertainty), at(value + uncertainty)))
    width = max(high - low, 8)
    ticks = sorted({at(other) // TICK * TICK for other in others})
    return Interval(
        at=Markup(f"M{at(value)} 12h0"),
        bar=Markup(f"M{low} 9h{width}v6h-{width}z"),
        others=Markup("".join(f"M{x} 7v10" for x in ticks)),
        verdict=verdict,
    )


def cells(results: Sequence[Result]) -> tuple[tuple[Result, Markup], ...]:
    """Exact results in the same box: open cells right of the line, what deviates left of it, farther out each time."""
    paths: dict[Result, list[str]] = {}
    out = 0
    for place, result in enumerate(results[:CELLS]):
        if result == "pass":
            paths.setdefault(result, []).append(f"M{370 + 68 * place} 9h44v6h-44z")
        elif out < 5:
            out += 1
            paths.setdefault(result, []).append(f"M{335 - 60 * out} 8h44v8h-44z")
    return tuple((result, Markup("".join(path))) for result, path in paths.items())


def passes(count: int) -> Markup:
    """Cells of `count` results that all pass."""
    results: list[Result] = ["pass"] * count
    return cells(results)[0][1]


class Course(Struct, frozen=True):
    """One series of one subject, as it is drawn."""

    subject: str
    samples: int
    envelope: SeriesEnvelope


def band(courses: Sequence[Course], low: float, high: float) -> Band:
    """One closed path around all given series, on a common axis of samples: a dip of one sample stays visible.

    A series that ended early (a GPU that was lost) takes part only up to where it ended.
    """
    longest = max(course.samples for course in courses)
    drawn = [_edges(course.envelope) for course in courses]
    parts = max(len(low_of) for low_of, _ in drawn)
    lows: list[list[float]] = [[] for _ in range(parts)]
    highs: list[list[float]] = [[] for _ in range(parts)]
    for course, (low_of, high_of) in zip(courses, drawn, strict=True):
        length = course.samples / longest * parts
        for i in range(min(parts, math.ceil(length))):
            k = min(len(low_of) - 1, int(i * len(low_of) / length))
            lows[i].append(low_of[k])
            highs[i].append(high_of[k])

    def y(value: float) -> int:
        return round(HEIGHT - (min(max(value, low), high) - low) / ((high - low) or 1.0) * HEIGHT)

    top, bottom = [y(max(v)) for v in highs], [y(min(v)) for v in lows]
    middle = [y(median([(a + b) / 2 for a, b in zip(u, v, strict=True)])) for u, v in zip(lows, highs, strict=True)]
    down = bottom[-1] - top[-1]
    return Band(
        width=max(1, parts - 1),
        area=Markup(f"{_line(top, 1)}l0 {down}{_steps(bottom[::-1], -1)}z"),
        middle=Markup(_line(middle, 1)),
        minimum=min(course.envelope.minimum for course in courses),
        maximum=max(course.envelope.maximum for course in courses),
    )


def axis(low: float, high: float, marks: Sequence[float] = ()) -> tuple[float, float, tuple[float, ...]]:
    """Bottom, top and two to four round ticks of a value axis that shows `low` to `high` and every mark."""
    low, high = min([low, *marks]), max([high, *marks])
    room = (high - low) or max(1.0, abs(high) * 0.1)
    step = _nice(room / 2.5)
    bottom = low - 0.08 * room
    top = high + 0.08 * room
    first = math.ceil(bottom / step)
    return bottom, top, tuple(i * step for i in range(first, first + 6) if bottom <= i * step <= top)


def height(value: float, low: float, high: float) -> str:
    """Position of a value on a vertical axis, % from the top."""
    return _percent(100 - (value - low) / ((high - low) or 1.0) * 100)


def strip_width(per_group: int, total: int) -> int:
    """Width of the box of a strip: ten a cell, eight between groups."""
    return max(1, 10 * total + 8 * (math.ceil(total / max(1, per_group)) - 1))


def squares(places: Iterable[int], per_group: int) -> Markup:
    """One path of cells at these places of a strip 100 high; a gap parts each group from the next."""
    return Markup("".join(f"M{10 * p + 8 * (p // max(1, per_group)) + 1} 18h7v64h-7z" for p in places))


def threads(places: Iterable[int], total: int, top: float, bottom: float) -> Markup:
    """Vertical lines at these places of `total`, in a 1000 x 100 box, from `top` to `bottom`."""
    return Markup("".join(f"M{thread_x(place, total) * 10:.0f} {_short(top)}V{_short(bottom)}" for place in places))


def thread_x(place: int, total: int) -> float:
    """Where link `place` of `total` leaves its GPU, %."""
    return 50.0 if total < 2 else round(8 + place * 84 / (total - 1), 2)


def _edges(envelope: SeriesEnvelope) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of a series that stayed the same the record has no course: it is one value."""
    low, high = series.edges_of(envelope)
    return (low, high) if low else ((envelope.minimum,), (envelope.maximum,))


def _line(ys: Sequence[int], step: int) -> str:
    return f"M0 {ys[0]}{_steps(ys, step)}"


def _steps(ys: Sequence[int], step: int) -> str:
    """Relative line to each next point, `step` to the right; points on one straight line are drawn as one."""
    moves: list[list[int]] = []
    for rise in (b - a for a, b in pairwise(ys)):
        if moves and moves[-1][1] == rise * (moves[-1][0] // step):
            moves[-1][0] += step
            moves[-1][1] += rise
        else:
            moves.append([step, rise])
    return "l" + " ".join(f"{x} {y}" for x, y in moves).replace(" -", "-") if moves else ""


def _nice(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= value * 0.999999), 10 * power)


def _percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _short(value: float) -> str:
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
