"""A hardware model as a file that `--device mock:FILE` reads, each fitted value with where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpuaccept.fit.fitted import Fitted
from gpuaccept.reading.write import comment, number, quoted

_COLUMN = 44


def yaml_of(found: Fitted, name: str) -> str:
    """The file, with what was fitted, how well, and what is the base model's."""
    values: dict[str, Any] = msgspec.to_builtins(found.model)
    values["name"] = name
    values["description"] = f"{found.base}, fitted to {found.captures} captured nodes"
    reasons = {**found.reasons, "name": "", "description": ""}
    return "\n".join([*(comment(line, 300) for line in _head(found)), model_yaml(values, reasons)])


def model_yaml(values: Mapping[str, Any], reasons: Mapping[str, str]) -> str:
    """A model's plain values as YAML; `reasons` (path -> reason) become comments."""
    return "\n".join([*_lines(values, "", "", reasons), ""])


def _head(found: Fitted) -> Iterator[str]:
    yield f"Fitted by `gpuaccept profile fit` to {found.captures} captured nodes. Values without a comment are those of"
    yield f"the model {found.base}: they were not fitted."
    if found.simulated:
        yield "Captures of simulated nodes are among them: this says nothing about any hardware."
    yield ""
    yield "Median of the captures, and of this model without noise:"
    for one in found.agreement:
        yield f"  {one.metric}: {one.captured:.6g}, {one.simulated:.6g}"
    yield ""
    yield "Not fitted, as in the model beneath:"
    for line in found.not_fitted:
        yield f"  {line}"


def _lines(values: Mapping[str, Any], path: str, indent: str, reasons: Mapping[str, str]) -> Iterator[str]:
    for key, value in values.items():
        below = f"{path}.{key}" if path else key
        reason = reasons.get(below, "")
        if value is None:
            continue
        deep = isinstance(value, dict) and any(isinstance(one, dict | list) for one in value.values())
        if isinstance(value, dict) and (deep or not path):
            if not path:
                yield ""
            yield _line(f"{indent}{key}:", reason)
            yield from _lines(value, below, f"{indent}  ", reasons)
        elif isinstance(value, dict):
            own = [f"{part}: {reasons[f'{below}.{part}']}" for part in value if f"{below}.{part}" in reasons]
            yield _line(f"{indent}{key}: {_flow(value)}", "; ".join([*own, *([reason] if reason else [])]))
        else:
            yield _line(f"{indent}{key}: {_flow(value)}", reason)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, float | int) else _word(str(value))


def _word(text: str) -> str:
    """Text in quotes, but for the one word that the reader looks for: `kind: model`."""
    return text if text == "model" else quoted(text)


def _line(text: str, reason: str) -> str:
    return f"{text:{_COLUMN}} {comment(reason, 300)}" if reason else text
