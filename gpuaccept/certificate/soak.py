"""Soak series on the page: one band over all GPUs a sensor, with the limits on it."""

from __future__ import annotations

from msgspec import Struct

from gpuaccept.certificate import charts
from gpuaccept.certificate.lookup import Lookup, numbers_in, words
from gpuaccept.certificate.numbers import duration, number, plain
from gpuaccept.judge import requirement

PANELS = (
    ("thermal_soak.temperature", "GPU temperature", 0),
    ("thermal_soak.margin", "Margin to slowdown", 0),
    ("thermal_soak.memory_temperature", "Memory temperature", 0),
    ("thermal_soak.power", "Board power", 0),
    ("thermal_soak.sm_clock", "SM clock", 0),
)
"""Series that are drawn, with decimals of their values; the others are in the record."""

REDUCED = {"mean": "mean", "minimum": "lowest", "maximum": "highest"}


class Tick(Struct, frozen=True):
    """A number at the value axis."""

    y: str
    text: str


class Panel(Struct, frozen=True):
    """One series. `marked` are bands of GPUs that miss a limit on it, drawn over the band of all."""

    title: str
    unit: str
    band: charts.Band
    marked: tuple[charts.Band, ...]
    ticks: tuple[Tick, ...]
    limits: tuple[tuple[str, str], ...]
    lowest: str
    highest: str
    description: str


class Soak(Struct, frozen=True):
    """All panels on one time axis: seconds under load, the pauses between segments left out."""

    panels: tuple[Panel, ...]
    times: tuple[tuple[str, str, str], ...]
    seconds: str
    samples: str
    gap: str
    early: tuple[str, ...]
    energy: str


def soak(look: Lookup) -> Soak | None:
    """The panels, or None where no series was recorded."""
    panels = tuple(panel for name, title, digits in PANELS if (panel := _panel(look, name, title, digits)) is not None)
    everything = look.evidence.series
    if not panels:
        return None
    longest = max(summary.count for summary in everything)
    loaded = look.values("thermal_soak.duration")
    seconds = max(loaded.values()) if loaded else max(s.last_s - s.first_s for s in everything)
    ended = sorted(
        {s.subject for s in everything if s.count < 0.98 * longest}, key=lambda s: (numbers_in(s)[0] or 0, s)
    )
    energy = look.values("thermal_soak.energy")
    return Soak(
        panels=panels,
        times=_times(seconds),
        seconds=duration(seconds),
        samples=plain(longest),
        gap=plain(round(max(s.largest_gap_s for s in everything), 2)),
        early=tuple(words(subject) for subject in ended),
        energy=f"{number(sum(energy.values()) / 1e6, 1)} MJ" if energy else "",
    )


def _panel(look: Lookup, name: str, title: str, digits: int) -> Panel | None:
    found = [
        charts.Course(of.subject, of.count, one) for of in look.evidence.series for one in of.series if one.name == name
    ]
    if not found:
        return None
    limits = []
    bad: set[str] = set()
    for limit in look.limits.values():
        declared = look.declared.get(limit.metric)
        if declared is None or declared.series != name or declared.reduction not in REDUCED:
            continue
        threshold = look.threshold(limit)
        if threshold is None:
            continue
        limits.append((threshold[0], f"{REDUCED[declared.reduction]} {requirement(limit)}"))
        bad |= {s.subject for s in found if look.verdict(limit, s.subject) == "fail"}
    low, high = min(s.envelope.minimum for s in found), max(s.envelope.maximum for s in found)
    unit = found[0].envelope.unit
    bottom, top, ticks = charts.axis(low, high, [at for at, _ in limits])
    return Panel(
        title=title,
        unit=unit,
        band=charts.band(found, bottom, top),
        marked=tuple(charts.band([s], bottom, top) for s in found if s.subject in bad),
        ticks=tuple(Tick(charts.height(t, bottom, top), plain(t)) for t in ticks),
        limits=tuple((charts.height(at, bottom, top), text) for at, text in limits),
        lowest=number(low, digits),
        highest=number(high, digits),
        description=f"{title} of {len(found)} GPUs under load: "
        f"lowest {number(low, digits)}, highest {number(high, digits)} {unit}",
    )


def _times(seconds: float) -> tuple[tuple[str, str, str], ...]:
    """(position, anchor, text) of the marks of the time axis."""
    unit, size = ("min", 60.0) if seconds < 3 * 3600 else ("h", 3600.0)
    if seconds < 180:
        unit, size = "s", 1.0
    total = seconds / size or 1.0
    step = next(s for s in (1, 2, 5, 10, 15, 20, 30, 60, 120, 10**6) if total / s <= 7)
    marks = [
        (f"{min(100.0, 100 * i * step / total):.2f}", "middle" if i else "start", plain(i * step))
        for i in range(int(total / step + 0.05) + 1)
    ]
    last = marks[-1]
    anchor = "end" if float(last[0]) > 96 else last[1]
    return (*marks[:-1], (last[0], anchor, f"{last[2]} {unit}"))
