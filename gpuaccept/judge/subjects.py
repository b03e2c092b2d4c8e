"""Which subjects a metric has on a node, which of them a limit means, and which parts two subjects share."""

from __future__ import annotations

import re
from functools import lru_cache

from gpuaccept.columns import NODE as NODE
from gpuaccept.columns import every as expected

__all__ = ["NODE", "expected", "gpus_of", "link_of", "order", "pattern", "related", "selected"]

_GPU = re.compile(r"gpu/([0-9]{1,4})")


@lru_cache(maxsize=256)
def pattern(glob: str) -> re.Pattern[str]:
    """A pattern in which `*` stands for any run of characters and nothing else is special."""
    return re.compile(".*".join(re.escape(part) for part in glob.split("*")), re.DOTALL)


@lru_cache(maxsize=256)
def selected(subjects: tuple[str, ...], glob: str) -> tuple[str, ...]:
    """The subjects that a limit's `subjects` means: `*` alone all, else segment by segment."""
    return subjects if glob == "*" else tuple(subject for subject in subjects if _fits(subject, glob))


@lru_cache(maxsize=4096)
def gpus_of(subject: str) -> frozenset[int]:
    """Indices of the GPUs that a subject is, or is a part of; empty for the node."""
    return frozenset(int(index) for index in _GPU.findall(subject))


@lru_cache(maxsize=256)
def link_of(subject: str) -> int | None:
    """Number of the link that a subject is, or None."""
    head, mark, tail = subject.partition("/link/")
    return int(tail) if mark and _GPU.fullmatch(head) and tail.isdigit() else None


def related(one: str, other: str) -> bool:
    """Whether a condition on one subject bears on the other: one is the node, or they share a GPU.

    Two pairs are related only where they are the same two GPUs: the path of one pair says nothing of another's.
    """
    if ">" in one and ">" in other:
        return gpus_of(one) == gpus_of(other)
    return NODE in (one, other) or not gpus_of(one).isdisjoint(gpus_of(other))


def order(subject: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts subjects as people count: 2 before 10."""
    return tuple((0, int(word)) if word.isdigit() else (1, word) for word in re.split(r"(\d+)", subject))


def _fits(subject: str, glob: str) -> bool:
    mine, theirs = subject.split("/"), glob.split("/")
    return len(mine) == len(theirs) and all(
        pattern(glob_part).fullmatch(part) for part, glob_part in zip(mine, theirs, strict=True)
    )
