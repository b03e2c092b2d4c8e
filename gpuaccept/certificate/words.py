"""Text from a record made safe to show: identifiers and names are hostile until they were here."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from markupsafe import Markup, escape

from gpuaccept.data import Cause

LIMIT = 400
"""Characters of one piece of text that are shown; the record holds the whole."""

CHECKS = {
    "inventory": "Inventory",
    "ecc": "ECC and memory repair",
    "nvlink": "NVLink",
    "memory_bandwidth": "Memory bandwidth",
    "thermal_soak": "Thermal soak",
}

WHO = {
    "hardware": "the supplier",
    "configuration": "whoever sets up the node",
    "facility": "whoever runs power and cooling",
    "tool": "whoever runs gpuaccept",
    "unknown": "not known yet: whoever runs the test looks first",
}
"""Who has to act, by cause. Only hardware is a case for the supplier."""


def acts(cause: Cause) -> str:
    """Who acts, as a sentence: `the supplier acts`."""
    return "whoever runs the test looks first" if cause == "unknown" else f"{WHO[cause]} acts"


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories that a reader can't see: control, format (bidi, zero width), surrogate, private, unassigned, breaks."""

TAILS = {"normal": "that is normal", "t4": "with the tails of Student's t (ν = 4)"}
"""Shapes of scatter, in words."""


def visible(text: str, limit: int = LIMIT) -> str:
    """The text after NFC, every character that can't be seen written as \\u{202E}, cut after `limit` characters."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else f"{text[:limit]}…"
    text = unicodedata.normalize("NFC", text[: 2 * limit])
    shown = [f"\\u{{{ord(c):04X}}}" if unicodedata.category(c) in _HIDDEN else c for c in text[:limit]]
    return "".join(shown) + ("…" if len(text) > limit else "")


def shown(value: object) -> Markup:
    """What an expression in a template may print, escaped: text made safe, whole numbers, and what charts drew."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Markup(value)
    raise TypeError(f"a template prints {type(value).__name__}: views hold only text and whole numbers")


@lru_cache(maxsize=4096)
def _escaped(text: str) -> Markup:
    return escape(visible(text))


def decided(decision: str, acceptance: bool) -> str:
    """The decision in a word: a plan that is no acceptance accepts nothing, so what passes it is only passed."""
    return "passed" if decision == "accepted" and not acceptance else decision


def plural(count: int, one: str, many: str = "") -> str:
    """`1 part`, `3 parts`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def check_title(check: str) -> str:
    """How a check is called on the page; a site's own check by its name."""
    return CHECKS.get(check, check.replace("_", " ").capitalize())
