"""Pieces of YAML that the strict reader reads back: for the programs that write profiles and scenarios."""

from __future__ import annotations

import yaml


def quoted(text: str) -> str:
    """Text as a double-quoted scalar in ASCII: what is no plain character is escaped, so nothing can end it early."""
    return str(yaml.safe_dump(text, default_style='"', width=2**31)).rstrip("\n")


def number(value: float) -> str:
    """A number in the shortest spelling that reads back as it; whole numbers without a point."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    spelled = repr(float(value))
    mantissa, exponent, power = spelled.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}" if exponent else spelled


def comment(text: str, limit: int = 200) -> str:
    """A comment on one line: characters that are not printable, line ends among them, are shown as escapes."""
    shown = "".join(c if c.isprintable() else f"\\u{{{ord(c):X}}}" for c in text[:limit])
    return f"# {shown}…" if len(text) > limit else f"# {shown}".rstrip()
