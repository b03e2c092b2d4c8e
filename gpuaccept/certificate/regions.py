"""The map of device memory: a strip a GPU, a cell a region, marked where it reads slower than that GPU's middle one."""

from __future__ import annotations

from markupsafe import Markup
from msgspec import Struct

from gpuaccept.certificate.lookup import Lookup
from gpuaccept.certificate.words import plural
from gpuaccept.data import Scalar

MAP = "memory_bandwidth.region_map"
"""The check's text: a character a region, in the order of addresses."""
STEPS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
MIDDLE, STEP_PERCENT = 8, 0.1
"""Its alphabet (checks/memory_bandwidth.py): `STEPS[MIDDLE]` is the middle, each later one 0.1 % slower."""
TONES = (1.0, 2.0, 4.0)
"""From these percent below the middle a cell is marked, each time more strongly."""


class Row(Struct, frozen=True):
    """One GPU: its regions in a box `width` by 1, those that are slow by tone, and what that says in words."""

    gpu: int
    width: int
    tones: tuple[tuple[int, Markup], ...]
    words: str


class Regions(Struct, frozen=True):
    """The maps of all GPUs that have one."""

    rows: tuple[Row, ...]
    legend: str


def regions(look: Lookup) -> Regions | None:
    """The maps of a node; None where none was measured."""
    found = look.estimates.get(MAP, {})
    rows = tuple(
        _row(gpu.index, _levels(found[subject].value))
        for gpu in look.evidence.node.gpus
        if (subject := f"gpu/{gpu.index}") in found
    )
    legend = (
        f"Marked: {TONES[0]:g}\u202f% and more slower than the GPU's middle region, red from {TONES[-1]:g}\u202f% on."
    )
    return Regions(rows, legend) if rows else None


def _levels(text: Scalar) -> tuple[float, ...]:
    """Percent below the middle of each region; empty for what is no map."""
    if not isinstance(text, str) or not text or set(text) - set(STEPS):
        return ()
    return tuple((STEPS.index(character) - MIDDLE) * STEP_PERCENT for character in text)


def _row(gpu: int, levels: tuple[float, ...]) -> Row:
    if not levels:
        return Row(gpu, 1, (), "no map that this page can draw")
    tones: dict[int, list[str]] = {}
    for place, level in enumerate(levels):
        tone = sum(level >= percent - STEP_PERCENT / 2 for percent in TONES)
        if tone:
            tones.setdefault(tone, []).append(f"M{place} 0h1v1h-1z")
    slow = sum(map(len, tones.values()))
    words = f"{plural(slow, 'region')} of {len(levels)} slow" if slow else f"{len(levels)} regions, none slow"
    return Row(gpu, len(levels), tuple((tone, Markup("".join(paths))) for tone, paths in sorted(tones.items())), words)
