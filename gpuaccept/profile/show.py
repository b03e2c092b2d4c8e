"""A resolved profile as text: every value with the file and line that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpuaccept.profile.load import LoadedProfile
from gpuaccept.reading.yaml import join

COMMENT_COLUMN = 72


def origins(loaded: LoadedProfile) -> dict[str, str]:
    """Path of every value of the resolved profile to `file:line`, or `default` where no file gives it."""
    places = loaded.origins
    return {path: places.get(path, "default") for path, _ in _leaves("", _plain(loaded.profile))}


def text(loaded: LoadedProfile) -> Iterator[str]:
    """Lines in the form of YAML, each value followed by where it came from."""
    yield from _lines("", _plain(loaded.profile), loaded.origins, "", "")


def _plain(value: Any) -> Any:
    """Plain values; defaults that say nothing (None, empty, false) are left out, other defaults are written."""
    if isinstance(value, msgspec.Struct):
        fields = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
        return {field.encode_name: _plain(item) for field, item in fields if item or item != field.default}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(join(path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        yield path, value


def _lines(path: str, value: Any, places: Mapping[str, str], lead: str, indent: str) -> Iterator[str]:
    """`lead` stands before the first line, `indent` before the others."""
    if isinstance(value, dict):
        for key, item in value.items():
            below = join(path, key)
            name = key if key.replace("_", "").replace(".", "").isalpha() else _scalar(key)
            if isinstance(item, dict | list):
                yield f"{lead}{name}:"
                yield from _lines(below, item, places, f"{indent}  ", f"{indent}  ")
            else:
                yield _commented(f"{lead}{name}: {_scalar(item)}", places.get(below, "default"))
            lead = indent
    else:
        for index, item in enumerate(value):
            below = f"{path}[{index}]"
            if isinstance(item, dict | list):
                yield from _lines(below, item, places, f"{lead}- ", f"{indent}  ")
            else:
                yield _commented(f"{lead}- {_scalar(item)}", places.get(below, "default"))
            lead = indent


def _commented(line: str, origin: str) -> str:
    return f"{line:<{COMMENT_COLUMN}}  # {origin}"


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return msgspec.json.encode(value).decode()
