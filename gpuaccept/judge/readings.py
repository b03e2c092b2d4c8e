"""Limits on what is read or counted: no uncertainty, every sample of every visit judged, the worst decides."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from gpuaccept.data import Kind, Limit, Scalar
from gpuaccept.judge.measured import Samples
from gpuaccept.judge.outcome import Miss
from gpuaccept.judge.wording import number, requirement, with_unit

Number = int | float
EQUAL_WITHIN = 1e-9
"""Relative difference of numbers that are equal: a decimal fraction in a profile has no exact binary form."""
_INTEGER = re.compile(r"-?[0-9]{1,30}")


class Unjudgeable(Exception):
    """A sample that a limit can't be put to, and why."""


def integer(sample: Scalar) -> int:
    """A counter's sample. Raises Unjudgeable for anything but a decimal integer as text."""
    if is_count(sample) or (isinstance(sample, str) and _INTEGER.fullmatch(sample)):
        return int(sample)
    raise Unjudgeable(f"{number(sample)!r} is not a count")


def is_count(sample: Scalar) -> bool:
    """Whether a sample is a natural number as text: the usual case of a counter, told without a pattern."""
    return isinstance(sample, str) and sample.isascii() and sample.isdigit() and len(sample) <= 30


def as_shown(kind: Kind, sample: Scalar) -> Scalar:
    """A sample as a verdict shows it: counters as numbers while a float holds them exactly."""
    if kind == "read" or not isinstance(sample, str) or not _INTEGER.fullmatch(sample):
        return sample
    return float(sample) if abs(int(sample)) <= 1 << 53 else sample


def stated(limit: Limit, subject: str) -> Limit:
    """The limit as it stands for one subject: a matrix states a text for each pair, or for a pair beyond it nothing."""
    if limit.matrix is None:
        return limit
    return msgspec.structs.replace(limit, matrix=None, equals=stated_texts(limit.matrix).get(subject))


@lru_cache(maxsize=8)
def stated_texts(matrix: tuple[str, ...]) -> dict[str, str]:
    """What a matrix states for each ordered pair."""
    return {f"gpu/{gpu}>gpu/{peer}": word for gpu, row in enumerate(matrix) for peer, word in enumerate(row.split())}


def keeper(limit: Limit, kind: Kind) -> Callable[[Scalar], bool]:
    """Whether a sample keeps the limit (minimum, maximum, equals or one_of). It raises Unjudgeable, also where nothing
    is stated.
    """
    convert: Callable[[Scalar], Number | str] = integer if kind == "counted" else _as_it_is
    if limit.minimum is not None or limit.maximum is not None:
        low = limit.minimum if limit.minimum is not None else float("-inf")
        high = limit.maximum if limit.maximum is not None else float("inf")

        def within(sample: Scalar) -> bool:
            value = convert(sample)
            if isinstance(value, str):
                raise Unjudgeable(f"{number(value)!r} is text where the limit is a number")
            return low <= value <= high

        return within
    allowed = limit.one_of if limit.one_of is not None else (limit.equals,) if limit.equals is not None else ()

    def among(sample: Scalar) -> bool:
        value = convert(sample)
        if value in allowed:
            return True
        for one in allowed:
            if _equal(value, one, kind):
                return True
        if not allowed:
            raise Unjudgeable("the profile states nothing for it")
        if kind != "counted" and not any(isinstance(one, str) is isinstance(value, str) for one in allowed):
            raise Unjudgeable(f"{number(sample)!r} can't be compared with {requirement(limit)}: text against a number")
        return False

    return among


def _as_it_is(sample: Scalar) -> Number | str:
    return sample


def judge_samples(
    limit: Limit, kind: Kind, unit: str, visits: Iterable[Samples], subject: str, keeps: Callable[[Scalar], bool]
) -> Miss | None:
    """Judge every sample of a subject; the one that is farthest beyond the limit is shown."""
    bad: Scalar | None = None
    problem = ""
    for samples in visits:
        for sample in samples:
            try:
                if keeps(sample):
                    continue
            except Unjudgeable as error:
                problem = problem or str(error)
                continue
            if bad is None or _farther(limit, sample, bad):
                bad = sample
    if bad is not None:
        value = as_shown(kind, bad)
        return Miss(subject, "fail", value, None, f"{with_unit(value, unit)}, required {requirement(limit)}", "limit")
    return Miss(subject, "error", None, None, problem, "not measured") if problem else None


def same_everywhere(limit: Limit, kind: Kind, readings: dict[str, list[Scalar]]) -> dict[str, Miss]:
    """`uniform`: every reading equals the one that most subjects show first; a tie condemns all."""
    ranking = Counter(values[0] for values in readings.values()).most_common(2)
    tie = len(ranking) == 2 and ranking[0][1] == ranking[1][1]
    reference = ranking[0][0] if ranking else ""
    out = {}
    for subject, values in readings.items():
        other = next((value for value in values if value != reference), None)
        if tie or other is not None:
            value = as_shown(kind, values[0] if tie or other is None else other)
            reason = f"{number(value)}: no reading is shared by most" if tie else f"{number(value)} where most show "
            reason += "" if tie else number(as_shown(kind, reference))
            out[subject] = Miss(subject, "fail", value, None, reason, "limit")
    return out


def different_everywhere(kind: Kind, readings: dict[str, list[Scalar]]) -> dict[str, Miss]:
    """`unique`: no reading of a subject is also one of another subject."""
    own = [set(values) for values in readings.values()]
    if len(set().union(*own)) == sum(map(len, own)):
        return {}
    owners: dict[Scalar, set[str]] = {}
    for subject, values in readings.items():
        for value in values:
            owners.setdefault(value, set()).add(subject)
    out = {}
    for subject, values in readings.items():
        for value in values:
            others = sorted(owners[value] - {subject})
            if others:
                reason = f"{number(as_shown(kind, value))} is also shown by {others[0]}"
                out[subject] = Miss(subject, "fail", as_shown(kind, value), None, reason, "limit")
                break
    return out


def _equal(value: Number | str, allowed: Scalar, kind: Kind) -> bool:
    if isinstance(allowed, str):
        return (str(value) if kind == "counted" else value) == allowed
    if isinstance(value, str):
        return False
    return abs(value - allowed) <= EQUAL_WITHIN * max(abs(value), abs(allowed))


def _farther(limit: Limit, sample: Scalar, than: Scalar) -> bool:
    if limit.minimum is None and limit.maximum is None:
        return False
    a, b = float(sample), float(than)
    return a < b if limit.minimum is not None else a > b
