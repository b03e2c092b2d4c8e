"""Memory modules and power supplies that the firmware's SMBIOS tables list (DSP0134)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gpuaccept.check import Unavailable

_CALL = "sysfs dmi/tables/DMI"
_MEMORY_DEVICE, _POWER_SUPPLY, _END = 17, 39, 127
_NOT_SERIALS = frozenset(
    {"", "none", "unknown", "not specified", "no dimm", "empty", "0", "default string", "to be filled by o.e.m."}
)
_MAX_TEXT = 60


class Structure(NamedTuple):
    """One structure of the table: its type, its formatted area (header included), and its texts."""

    kind: int
    area: bytes
    texts: tuple[str, ...]

    def text(self, offset: int) -> str:
        """The text that the number at `offset` points to, or empty."""
        number = self.area[offset] if offset < len(self.area) else 0
        return self.texts[number - 1] if 0 < number <= len(self.texts) else ""

    def word(self, offset: int) -> int:
        """The 16-bit number at `offset`, 0 where an older table ends before it."""
        return int.from_bytes(self.area[offset : offset + 2], "little")


def dimms(root: Path) -> tuple[str, ...] | Unavailable:
    """Serial numbers (or slot names where there are none) of the memory modules that are plugged in."""
    found = _table(root)
    if isinstance(found, Unavailable):
        return found
    plugged = [entry for entry in found if entry.kind == _MEMORY_DEVICE and entry.word(0x0C) != 0]  # 0: empty slot
    return _named([(entry.text(0x18), entry.text(0x10)) for entry in plugged])


def power_supplies(root: Path) -> tuple[str, ...] | Unavailable:
    """Serial numbers (or places where there are none) of the power supplies that are there."""
    found = _table(root)
    if isinstance(found, Unavailable):
        return found
    listed = [entry for entry in found if entry.kind == _POWER_SUPPLY]
    if not listed:
        return Unavailable(_CALL, 0, "the firmware lists no power supplies: ask the BMC")
    present = [entry for entry in listed if entry.word(0x0E) & 0x2]  # bit 1 of the characteristics
    return _named([(entry.text(0x08), entry.text(0x05)) for entry in present])


def _named(parts: list[tuple[str, str]]) -> tuple[str, ...]:
    names = []
    for serial, place in parts:
        names.append(serial if serial.lower() not in _NOT_SERIALS else place or "unnamed")
    return tuple(sorted(names))


def _table(root: Path) -> tuple[Structure, ...] | Unavailable:
    try:
        data = (root / "sys/firmware/dmi/tables/DMI").read_bytes()
    except PermissionError:
        return Unavailable(_CALL, errno.EACCES, "the firmware's tables can be read by root only: run as root")
    except OSError as error:
        return Unavailable(_CALL, error.errno or 0, "this machine shows no SMBIOS tables")
    return tuple(structures(data))


def structures(data: bytes) -> Iterator[Structure]:
    """The structures of a table; it ends at its end marker, or where it is cut off."""
    at = 0
    while at + 4 <= len(data):
        kind, length = data[at], data[at + 1]
        end = data.find(b"\0\0", at + length)
        if length < 4 or end < 0:
            return
        texts = data[at + length : end].split(b"\0")
        yield Structure(kind, data[at : at + length], tuple(_printable(text) for text in texts if text))
        if kind == _END:
            return
        at = end + 2


def _printable(text: bytes) -> str:
    letters = text.decode("ascii", "replace").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in letters)[:_MAX_TEXT]
