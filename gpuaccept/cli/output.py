"""What all commands print with: text that is safe on a terminal, durations, JSON envelopes."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from gpuaccept.errors import UsageError

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h)$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Directory(click.Path):
    """A directory to write to. An empty text is refused: as a path it would mean the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click.Path does."""
        if value == "":
            self.fail("it is empty: name a directory", param, ctx)
        return super().convert(value, param, ctx)


def safe(text: str) -> str:
    """Text from files and devices for a terminal: control and bidi characters are shown, never executed."""
    import unicodedata

    return "".join(
        char
        if char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        else f"\\u{{{ord(char):X}}}"
        for char in text
    )


def seconds(text: str, option: str) -> float:
    """`20s`, `30m`, `2h`, `500ms` in seconds. Raises UsageError."""
    match = _DURATION.match(text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(f"{option} {safe(text)}: not a duration", "write 20s, 30m or 2h")
    return float(match[1]) * _UNITS[match[2]]


def duration(value: float) -> str:
    """Seconds as people say them: 12 s, 3 min 20 s, 2 h 5 min."""
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{int(value) // 60} min {int(value) % 60} s"
    return f"{int(value) // 3600} h {int(value) % 3600 // 60} min"


def emit(command: str, body: dict[str, Any]) -> None:
    """The JSON envelope of a command's output: documented in docs/reference/json-output.md."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode({"command": command, "version": 1, **body})).decode()
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # what a stream puts for `±` by itself is no JSON
        import json

        text = json.dumps(json.loads(text), indent=2)
    sys.stdout.write(text + "\n")


def say(answer: Callable[[], None], kept: str) -> None:
    """Print an answer. Where standard output is full or gone, that is said, and `kept`: the exit code still holds."""
    try:
        answer()
        sys.stdout.flush()
    except OSError as error:
        silence()
        print(f"gpuaccept: standard output can't be written: {error.strerror}\n  {safe(kept)}", file=sys.stderr)


def silence() -> None:
    """Nothing more goes to standard output: what its buffer holds would fail again when the process ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def is_of_standard_output(error: OSError) -> bool:
    """Whether an error came from printing: the disk behind standard output is full, or its reader has gone."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT)


def format_option(function: Any) -> Any:
    """`--output text|json`."""
    return click.option(
        "--output",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, or one JSON object.",
    )(function)
