"""Columns as a record writes them: a full set of subjects in one word, equal samples once.

`gpu/0..7` stands for gpu/0 to gpu/7, `gpu/0..7/link/0..17` for all links of each, `gpu/0..7>gpu/0..7` for all ordered
pairs; one entry of `samples` beside many subjects holds for each of them. There is one packed form of a column, and
records in another form are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from gpuaccept.data import Column, Scalar, SubjectKind
from gpuaccept.errors import EvidenceError

NODE = "node"
_RANGE = re.compile(r"gpu/0\.\.([1-9]\d?)(?:/link/0\.\.([1-9]\d?)|>gpu/0\.\.([1-9]\d?))?")
_LINK = re.compile(r"gpu/(\d{1,2})/link/(\d{1,2})")


def pack(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Columns in the form that a record writes."""
    return tuple(
        msgspec.structs.replace(column, subjects=_short(column.subjects), samples=_once(column.samples))
        for column in columns
    )


def unpack(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Columns with every subject and its samples. Raises EvidenceError where they were not packed as `pack` does."""
    out = []
    for column in columns:
        subjects = expand(column.subjects[0]) if len(column.subjects) == 1 else column.subjects
        samples = column.samples
        if len(samples) == 1 and len(subjects) > 1:
            samples = samples * len(subjects)
        if len(samples) != len(subjects):
            raise EvidenceError(f"{column.metric}: {len(subjects)} subjects have {len(samples)} entries of samples")
        if _short(subjects) != column.subjects or _once(samples) != column.samples:
            raise EvidenceError(f"{column.metric}: its subjects or samples are not packed as gpuaccept packs them")
        out.append(msgspec.structs.replace(column, subjects=subjects, samples=samples))
    return tuple(out)


@lru_cache(maxsize=256)
def expand(subject: str) -> tuple[str, ...]:
    """The subjects that a range stands for; any other subject stands for itself."""
    match = _RANGE.fullmatch(subject)
    if match is None:
        return (subject,)
    gpus = int(match[1]) + 1
    if match[2]:
        return every("link", gpus, int(match[2]) + 1)
    if match[3]:
        return every("pair", gpus, 0) if match[3] == match[1] else (subject,)
    return every("gpu", gpus, 0)


@lru_cache(maxsize=64)
def every(kind: SubjectKind, gpus: int, links: int) -> tuple[str, ...]:
    """All subjects of a kind on a node of `gpus` GPUs with `links` links each, in order."""
    if kind == "node":
        return (NODE,)
    if kind == "gpu":
        return tuple(f"gpu/{i}" for i in range(gpus))
    if kind == "link":
        return tuple(f"gpu/{i}/link/{j}" for i in range(gpus) for j in range(links))
    return tuple(f"gpu/{i}>gpu/{j}" for i in range(gpus) for j in range(gpus) if i != j)


@lru_cache(maxsize=256)
def _short(subjects: tuple[str, ...]) -> tuple[str, ...]:
    """One range where it stands for exactly these subjects in this order, else the subjects."""
    if len(subjects) < 2:
        return subjects
    last = subjects[-1]
    link = _LINK.fullmatch(last)
    if link:
        candidate = f"gpu/0..{link[1]}/link/0..{link[2]}"
    elif ">" in last:
        highest = last.split(">", 1)[0].removeprefix("gpu/")
        candidate = f"gpu/0..{highest}>gpu/0..{highest}"
    else:
        candidate = f"gpu/0..{last.removeprefix('gpu/')}"
    return (candidate,) if expand(candidate) == subjects else subjects


def _once(samples: tuple[tuple[Scalar, ...], ...]) -> tuple[tuple[Scalar, ...], ...]:
    """Equal samples of all subjects once. Compared with their types: 1.0 is not the text 1."""
    first = samples[0] if samples else ()
    return (first,) if len(samples) > 1 and all(entry == first for entry in samples) else samples
