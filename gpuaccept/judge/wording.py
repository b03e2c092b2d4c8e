"""Numbers and limits in words, the same on every machine."""

from __future__ import annotations

from gpuaccept.data import Limit, MetricDeclaration, Scalar


def number(value: Scalar | None) -> str:
    """A value as people write it: six significant digits at most, no trailing zeros, text as it is."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:59] + "…"
    text = f"{value:.6g}"
    return f"{value:.0f}" if "e" in text and abs(value) < 1e15 and value == int(value) else text


def with_unit(value: Scalar | None, unit: str) -> str:
    """A value and its unit, one of which is singular; text has none."""
    if not unit or not isinstance(value, float | int):
        return number(value)
    return f"{number(value)} {unit if value != 1 else singular(unit)}"


def singular(unit: str) -> str:
    """One of what is counted: `1 error`, `1 process`, `1 error/h`; a unit of measure stays as it is."""
    counted, slash, rest = unit.partition("/")
    if len(counted) < 3 or not counted.endswith("s") or counted.endswith(("ss", "us", "is", "bps")):
        return unit
    return counted[: -2 if counted.endswith("sses") else -1] + slash + rest


def duration(seconds: float) -> str:
    """A span of time in words: `45 s`, `30 min`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{minutes} min" if hours == 0 else f"{hours} h {minutes} min" if minutes else f"{hours} h"


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
    if limit.matrix is not None:
        return "as the profile's matrix"
    if limit.max_deviation is not None:
        return f"within {number(limit.max_deviation.sigmas)} σ of the node's median"
    return "the same everywhere" if limit.uniform else "different everywhere"


def subject_matter(description: str) -> str:
    """What a description is about, to stand within a sentence: no detail after its first comma, colon or bracket."""
    about = description
    for mark in (", ", ": ", " ("):
        about = about.partition(mark)[0]
    about = about.rstrip(".")
    return about[:1].lower() + about[1:] if about[1:2].islower() else about


def shortfall(declared: MetricDeclaration | None, limit: Limit, value: Scalar | None) -> str:
    """In plain words what is wrong with a value that misses its limit: `device memory copy is too slow`."""
    about = subject_matter(declared.description) if declared else limit.metric
    kind = declared.kind if declared else "read"
    if limit.max_deviation is not None:
        return f"{about} is out of line with the node"
    if limit.uniform or limit.unique:
        return f"{about} is {'not the same everywhere' if limit.uniform else 'not different everywhere'}"
    bound = next((v for v in (limit.minimum, limit.maximum, limit.equals) if v is not None), None)
    if isinstance(value, str) or not isinstance(bound, float | int) or value is None:
        wanted = f"not {number(bound)}" if bound is not None else "which is not allowed"
        return f"{about} is {number(value)}, {wanted}"
    if declared is not None and "(1 yes" in declared.description:
        return about if value else f"no {about}"
    less = value < bound
    if kind in ("counted", "difference", "rate") and limit.unit:
        return f"too {'few' if less else 'many'} {about}"
    if kind == "sampled" and limit.unit.endswith("/s"):
        return f"{about} is too {'slow' if less else 'fast'}"
    return f"{about} is too {'low' if less else 'high'}"
