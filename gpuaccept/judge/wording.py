"""Numbers and limits in words, the same on every machine."""

from __future__ import annotations

from gpuaccept.data import Limit, Scalar


def number(value: Scalar | None) -> str:
    """A value as people write it: six significant digits at most, no trailing zeros, text as it is."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:59] + "…"
    text = f"{value:.6g}"
    return f"{value:.0f}" if "e" in text and abs(value) < 1e15 and value == int(value) else text


def with_unit(value: Scalar | None, unit: str) -> str:
    """A value and its unit; text has none."""
    return f"{number(value)} {unit}" if unit and isinstance(value, float | int) else number(value)


def requirement(limit: Limit) -> str:
    """A limit in words, for example `≥ 5900 GB/s`."""
    if limit.minimum is not None:
        return f"≥ {with_unit(limit.minimum, limit.unit)}"
    if limit.maximum is not None:
        return f"≤ {with_unit(limit.maximum, limit.unit)}"
    if limit.equals is not None:
        return f"= {with_unit(limit.equals, limit.unit)}"
    if limit.one_of is not None:
        return "one of " + ", ".join(with_unit(value, limit.unit) for value in limit.one_of)
    if limit.max_deviation is not None:
        return f"within {number(limit.max_deviation.sigmas)} σ of the node's median"
    return "the same everywhere" if limit.uniform else "different everywhere"
