"""Ports of the RDMA network cards, as the kernel's InfiniBand class has them (RoCE cards too)."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from gpuaccept.ambient import first_line
from gpuaccept.check import Port, Reading, Unavailable

_CLASS = "sys/class/infiniband"
_BOARDS_OWN = b"SMDL=SW_MNG"
"""In the vital product data of the cards through which an HGX baseboard's NVSwitches are managed (B200 on): no network.
"""


def ports(root: Path) -> tuple[Port, ...] | Unavailable:
    """All ports by name (`mlx5_0`, or `mlx5_0/2` on a card with several), those of the GPU baseboard left out.

    Unavailable where a card's vital product data is there and can't be read: its ports may be the baseboard's.
    """
    found: list[Port] = []
    for card in sorted((root / _CLASS).glob("*"), key=_natural):
        own = _is_the_boards(card)
        if isinstance(own, Unavailable):
            return own
        if not own:
            found += _ports(card)
    return tuple(found)


def _natural(path: Path) -> tuple[str | int, ...]:
    """mlx5_2 before mlx5_10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name))


def _is_the_boards(card: Path) -> bool | Unavailable:
    try:
        return _BOARDS_OWN in (card / "device/vpd").read_bytes()
    except PermissionError:
        return Unavailable(
            "sysfs vpd",
            errno.EACCES,
            "network ports can't be told from the GPU baseboard's own without permission: run as root",
        )
    except OSError:  # a virtual function has none, and the baseboard's cards are no virtual functions
        return False


def _ports(card: Path) -> list[Port]:
    folders = sorted((card / "ports").glob("*"), key=_natural)
    device = (card / "device").resolve()
    return [
        Port(
            name=card.name if len(folders) == 1 else f"{card.name}/{folder.name}",
            pci_address=device.name if ":" in device.name else "",
            state=_state(folder / "state"),
            rate_gbps=_rate(folder / "rate"),
            pcie_width=_number(device / "current_link_width"),
            firmware=_text(card / "fw_ver"),
            numa_node=_number(device / "numa_node"),
            symbol_errors=_number(folder / "counters/symbol_error"),
            link_downed=_number(folder / "counters/link_downed"),
        )
        for folder in folders
    ]


def _state(path: Path) -> Reading:
    """`4: ACTIVE` as `active`."""
    text = _text(path)
    return text if isinstance(text, Unavailable) else str(text).rpartition(":")[2].strip().lower()


def _rate(path: Path) -> Reading:
    """`400 Gb/sec (4X NDR)` as 400."""
    text = _text(path)
    if isinstance(text, Unavailable):
        return text
    number = str(text).split(" ")[0]
    try:
        return float(number)
    except ValueError:
        return Unavailable(f"sysfs {path.name}", 0, f"{str(text)[:40]!r} is no rate")


def _number(path: Path) -> Reading:
    text = _text(path)
    if isinstance(text, Unavailable):
        return text
    try:
        return int(str(text))
    except ValueError:
        return Unavailable(f"sysfs {path.name}", 0, f"{str(text)[:40]!r} is no number")


def _text(path: Path) -> Reading:
    line = first_line(str(path))
    if line is None:
        return Unavailable(f"sysfs {path.name}", errno.ENOENT, "the kernel does not tell")
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:80]
