"""What is concluded from a series of samples by arithmetic alone: summaries, and the scalars that limits judge.

The engine computes these when a run ends, and `gpuaccept verify` computes them again from series.json.gz.
"""

from __future__ import annotations

import base64
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from math import ceil, floor, fsum, sqrt
from operator import sub

import msgspec

from gpuaccept.data import MetricDeclaration, Reduction, SeriesEnvelope, SeriesGroup, SeriesSummary
from gpuaccept.errors import EvidenceError

BUCKETS = 64
"""Parts of a series whose minimum and maximum the record keeps."""
_Extreme = Callable[..., float]
"""`min` or `max`."""
_STEPS = 255
"""Height of an envelope in steps, each a byte."""
BOUND_AFTER_S, BOUND_WINDOW_S, SLOWEST_S = 150.0, 120.0, 600.0
"""A bound is told of a segment that lasted so long, from the window at its end, with this slowest time constant. Until
then it was seen to fail in more than 2.5 % of instants (docs/explanation/soak.md)."""
BOUND_SAMPLES = 30
"""Fewest samples in that window."""
STEP_VARIANCE = 1 / 12
"""Of readings in whole kelvins, K²: rounding hides so much scatter."""
SETTLE_S = 30.0
"""A mean leaves out the first seconds of each segment: clocks and power ramp up in them (docs/explanation/soak.md)."""
FILE_LIMIT_BYTES = 64 << 20
"""Largest series file that is inflated: 8 GPUs, 13 series, 24 h at 1 Hz are about 60 MB."""


def encode(groups: Sequence[SeriesGroup]) -> bytes:
    """The inflated bytes of series.json.gz; their sha256 stands in the record."""
    return msgspec.json.encode(list(groups))


def pack(raw: bytes) -> bytes:
    """Gzip with no name and no time: the same samples give the same file."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(raw) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """Inflate series.json.gz, never beyond FILE_LIMIT_BYTES. Raises EvidenceError."""
    inflater = zlib.decompressobj(31)
    try:
        raw = inflater.decompress(packed, FILE_LIMIT_BYTES)
    except zlib.error as error:
        raise EvidenceError(f"series.json.gz can't be inflated: {error}") from error
    if inflater.unconsumed_tail or inflater.unused_data or not inflater.eof:
        raise EvidenceError("series.json.gz is cut short, too large, or has something after its end")
    return raw


def decode(raw: bytes) -> tuple[SeriesGroup, ...]:
    """Typed groups from the inflated bytes. Raises EvidenceError."""
    try:
        groups = msgspec.json.decode(raw, type=tuple[SeriesGroup, ...])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise EvidenceError(f"series.json.gz does not hold series: {error}") from error
    for group in groups:
        if any(len(values) != len(group.at_s) for values in group.values) or len(group.names) != len(group.values):
            raise EvidenceError(f"series.json.gz: the series of {group.subject} differ in length")
        if not group.segments or group.segments[0] != 0 or list(group.segments) != sorted(set(group.segments)):
            raise EvidenceError(f"series.json.gz: the segments of {group.subject} are not in order")
        if group.segments[-1] >= max(1, len(group.at_s)):
            raise EvidenceError(f"series.json.gz: a segment of {group.subject} starts after its end")
    return groups


def summarise(groups: Iterable[SeriesGroup], declared: Iterable[MetricDeclaration]) -> tuple[SeriesSummary, ...]:
    """What the record keeps of each series.

    A counter (a series of which `declared` derives differences) and a series that stays the same have no envelope:
    their course says nothing that first, last, minimum and maximum don't.
    """
    counters = {m.series for m in declared if m.reduction in ("difference", "share", "ratio_of_thirds")}
    out = []
    for group in groups:
        if not group.at_s:
            continue
        count = len(group.at_s)
        edges = [count * i // min(BUCKETS, count) for i in range(min(BUCKETS, count) + 1)]
        spans = list(pairwise(edges))
        envelopes = []
        for name, unit, values in zip(group.names, group.units, group.values, strict=True):
            lowest, highest = min(values), max(values)
            drawn = name not in counters and lowest < highest
            envelopes.append(
                SeriesEnvelope(
                    name=name,
                    unit=unit,
                    minimum=lowest,
                    maximum=highest,
                    mean=round(fsum(values) / count, 6),
                    low=_drawn([min(values[a:b]) for a, b in spans], lowest, highest, floor) if drawn else "",
                    high=_drawn([max(values[a:b]) for a, b in spans], lowest, highest, ceil) if drawn else "",
                )
            )
        out.append(
            SeriesSummary(
                subject=group.subject,
                count=count,
                first_s=group.at_s[0],
                last_s=group.at_s[-1],
                largest_gap_s=largest_gap(group),
                series=tuple(envelopes),
            )
        )
    return tuple(out)


def edges_of(envelope: SeriesEnvelope) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest value of each part of a series, to 1/255 of its range; empty where there is no envelope.

    Raises EvidenceError where the record holds no such thing.
    """
    step = (envelope.maximum - envelope.minimum) / _STEPS
    try:
        low, high = (base64.b64decode(text, validate=True) for text in (envelope.low, envelope.high))
    except ValueError as error:
        raise EvidenceError(f"an envelope of {envelope.name} is not base64") from error
    if len(low) != len(high):
        raise EvidenceError(f"an envelope of {envelope.name} has two lengths")
    return tuple(envelope.minimum + step * b for b in low), tuple(envelope.minimum + step * b for b in high)


def _drawn(values: Sequence[float], lowest: float, highest: float, rounded: Callable[[float], int]) -> str:
    """Values as bytes between lowest (0) and highest (255), rounded outwards so that no sample lies outside."""
    scale = _STEPS / (highest - lowest)
    return base64.b64encode(bytes(min(_STEPS, max(0, rounded((v - lowest) * scale))) for v in values)).decode()


def derive(groups: Iterable[SeriesGroup], declared: Iterable[MetricDeclaration]) -> dict[str, dict[str, float]]:
    """Metric -> subject -> value, for every declared metric that is derived from a series (rounded to 6 decimals).

    A subject whose counter ran backwards (a driver was loaded anew) is left out: it was not measured.
    """
    wanted = [metric for metric in declared if metric.reduction is not None]
    out: dict[str, dict[str, float]] = {metric.name: {} for metric in wanted}
    for group in groups:
        for metric in wanted:
            if metric.series in group.names and len(group.at_s) > 1 and metric.reduction is not None:
                value = reduce(group, group.values[group.names.index(metric.series)], metric.reduction)
                if value is not None:
                    out[metric.name][group.subject] = round(value, 6)
    return out


def reduce(group: SeriesGroup, values: Sequence[float], how: Reduction) -> float | None:
    """One scalar of one series.

    mean: of the samples at least SETTLE_S after their segment began (the second half of a shorter one); minimum,
    maximum: the extreme that two of three successive samples reach (`_confirmed`); range: highest less lowest sample;
    difference: last minus first, summed over segments; share: that difference in ns as a percentage of the duration;
    duration, largest_gap: s; ratio_of_thirds: rate of a counter in the last third of the last segment, over that in the
    second third of the first; lower_bound, upper_bound: what the series can't fall below, or rise above (`_bound`).
    """
    spans = _spans(group)
    if how == "minimum":
        return _confirmed(values, min, max)
    if how == "maximum":
        return _confirmed(values, max, min)
    if how == "range":
        return max(values) - min(values)
    if how == "duration":
        return fsum(group.at_s[b - 1] - group.at_s[a] for a, b in spans)
    if how == "largest_gap":
        return largest_gap(group)
    if how == "mean":
        settled = [*chain.from_iterable(values[_settled(group, a, b) : b] for a, b in spans)]
        return fsum(settled) / len(settled) if settled else None
    if how in ("lower_bound", "upper_bound"):
        return _bound(group.at_s, values, spans, -1.0 if how == "lower_bound" else 1.0)
    if how == "ratio_of_thirds":
        first, last = spans[0], spans[-1]
        third = (first[1] - first[0]) // 3
        early = _rate(group, values, first[0] + third, first[0] + 2 * third)
        late = _rate(group, values, last[1] - 1 - (last[1] - last[0]) // 3, last[1] - 1)
        return late / early if early and late is not None and early > 0 else None
    changes = [values[b - 1] - values[a] for a, b in spans]
    if any(change < 0 for change in changes):
        return None
    if how == "difference":
        return fsum(changes)
    duration = fsum(group.at_s[b - 1] - group.at_s[a] for a, b in spans)
    return 100.0 * fsum(changes) / (duration * 1e9) if duration > 0 else None


def _confirmed(values: Sequence[float], extreme: _Extreme, milder: _Extreme) -> float:
    """The extreme of the medians of three successive samples: one reading that its neighbours deny is no heat."""
    most = extreme(values)
    if len(values) < 3:
        return most
    first = values.index(most)
    bound = extreme([*values[max(0, first - 2) : first], *values[first + 1 : first + 3]])
    if bound == most:
        return most
    # only two that both lie beyond what stands beside the extreme itself can be more than that
    if extreme is max:  # two loops: the question which of them would take as long as the comparison
        beyond = [i for i, v in enumerate(values) if v > bound]
    else:
        beyond = [i for i, v in enumerate(values) if v < bound]
    pairs = [*pairwise(beyond), *zip(beyond, beyond[2:], strict=False)]
    return extreme([bound, *(milder(values[i], values[j]) for i, j in pairs if j - i < 3)])


def _bound(at_s: Sequence[float], values: Sequence[float], spans: Sequence[tuple[int, int]], up: float) -> float | None:
    """`bound` at the end of the last segment that is long enough, from its last BOUND_WINDOW_S.

    None where no segment lasted BOUND_AFTER_S or its window has fewer than BOUND_SAMPLES.
    """
    long = [(a, b) for a, b in spans if at_s[b - 1] - at_s[a] >= BOUND_AFTER_S]
    if not long:
        return None
    a, b = long[-1]
    a = bisect_left(at_s, at_s[b - 1] - BOUND_WINDOW_S, a, b)
    return bound(at_s[a:b], values[a:b], up, SLOWEST_S) if b - a >= BOUND_SAMPLES else None


def bound(at_s: Sequence[float], values: Sequence[float], up: float, slowest_s: float) -> float:
    """What samples in whole units can't rise above (`up` 1) or fall below (-1) later, in their unit.

    Value + 2u + max(0, slope + 2 u(slope)) `slowest_s` at the end of a straight line through them; below in mirror. No
    exponential is fitted. Why: docs/explanation/soak.md.
    """
    n = len(values)
    centre, middle = fsum(at_s) / n, fsum(values) / n
    away = [at - centre for at in at_s]
    spread = fsum(t * t for t in away)
    slope = fsum(t * (v - middle) for t, v in zip(away, values, strict=True)) / spread
    rest = fsum((v - middle - slope * t) ** 2 for t, v in zip(away, values, strict=True))
    sigma = sqrt(rest / (n - 2) + STEP_VARIANCE)
    change = max(0.0, up * slope + 2 * sigma / sqrt(spread))
    return middle + slope * away[-1] + up * (2 * sigma / sqrt(n) + change * slowest_s)


def largest_gap(group: SeriesGroup) -> float:
    """Longest time between two neighbouring samples of one segment, s."""
    at = group.at_s
    gaps = (max(map(sub, at[a + 1 : b], at[a : b - 1]), default=0.0) for a, b in _spans(group))
    return round(max(gaps, default=0.0), 6)


def _spans(group: SeriesGroup) -> list[tuple[int, int]]:
    edges = [*group.segments, len(group.at_s)]
    return list(pairwise(edges))


def _settled(group: SeriesGroup, a: int, b: int) -> int:
    start, end = group.at_s[a], group.at_s[b - 1]
    after = start + SETTLE_S if end - start >= 2 * SETTLE_S else (start + end) / 2
    return min(bisect_left(group.at_s, after, a, b), b - 1)


def _rate(group: SeriesGroup, values: Sequence[float], a: int, b: int) -> float | None:
    span = group.at_s[b] - group.at_s[a] if 0 <= a < b < len(group.at_s) else 0.0
    return (values[b] - values[a]) / span if span > 0 else None
