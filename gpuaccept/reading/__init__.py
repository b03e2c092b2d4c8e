"""The one strict reader of files that people write: profiles, scenarios, trust files and orders."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from gpuaccept.reading.convert import convert
from gpuaccept.reading.yaml import parse, parse_bytes, read_bytes

T = TypeVar("T")

__all__ = ["read_file", "read_text"]


def read_file(path: Path, type: type[T]) -> T:
    """The value that a YAML file describes. Raises ProfileError with every problem, each with file:line:column."""
    return convert(parse_bytes(read_bytes(path, str(path)), str(path)), type)[0]


def read_text(text: str, file: str, type: type[T]) -> T:
    """As read_file, from text; `file` is its name in messages."""
    return convert(parse(text, file), type)[0]
