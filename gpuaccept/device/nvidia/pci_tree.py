"""What the kernel's PCI tree says of the way to a GPU: errors of its link, bridges above it, IOMMU."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpuaccept.ambient import first_line
from gpuaccept.check import Reading, Unavailable

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_AER_TOTALS = {"correctable": "TOTAL_ERR_COR", "nonfatal": "TOTAL_ERR_NONFATAL", "fatal": "TOTAL_ERR_FATAL"}
_EXTENDED = 0x100
"""Where the extended capabilities of PCI Express begin in configuration space (4096 bytes, the rest for root only)."""
_ACS_CAPABILITY, _ACS_CONTROL = 0x000D, 6
_ACS_REDIRECT = 0x0004 | 0x0008
"""ACS control bits P2P Request Redirect and P2P Completion Redirect (PCI Express Base Specification, 7.7.11)."""


class Aer(NamedTuple):
    """Totals of the kernel's AER counters since boot."""

    correctable: Reading
    nonfatal: Reading
    fatal: Reading


def aer(root: Path, pci_address: str) -> Aer:
    """Errors that both ends of a device's link have seen: the device, and the bridge's port right above it.

    A transfer that arrives broken is counted where it arrives, so each direction shows at one end alone. A port whose
    errors the kernel does not count (firmware may keep AER to itself) adds none.
    """
    ends = [_device(root, pci_address), *_bridges(root, pci_address)[:1]]
    return Aer(*(_aer_total(ends, kind) for kind in _AER_TOTALS))


def _aer_total(ends: list[Path], kind: str) -> Reading:
    own, *others = (_counter(end / f"aer_dev_{kind}", _AER_TOTALS[kind]) for end in ends)
    if isinstance(own, Unavailable):
        return own
    return own + sum(other for other in others if isinstance(other, int))


def _counter(path: Path, name: str) -> int | Unavailable:
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            word, _, count = line.partition(" ")
            if word == name and count.strip().isdigit():
                return int(count)
    except OSError as error:
        return Unavailable(f"sysfs {path.name}", error.errno or 0, "the kernel does not count AER of this device")
    return Unavailable(f"sysfs {path.name}", 0, f"{name} is missing")


def acs_redirect(root: Path, pci_addresses: Sequence[str]) -> Reading:
    """How many bridges above these devices send peer traffic up to the root: ACS redirects requests or answers."""
    missing = _missing(root, pci_addresses)
    if missing:
        return missing
    bridges = {bridge.name: bridge for address in pci_addresses for bridge in _bridges(root, address)}
    count = 0
    for bridge in bridges.values():
        try:
            space = (bridge / "config").read_bytes()
        except OSError as error:
            return Unavailable("sysfs config", error.errno or 0, f"the bridge {bridge.name} can't be read")
        if len(space) <= _EXTENDED:
            return Unavailable("sysfs config", errno.EACCES, "only root can read ACS of PCIe bridges: run as root")
        control = _acs_control(space)
        count += control is not None and control & _ACS_REDIRECT != 0
    return count


def _acs_control(space: bytes) -> int | None:
    """The ACS control register in a configuration space, or None where the bridge has no ACS."""
    at, seen = _EXTENDED, set()
    while _EXTENDED <= at <= len(space) - 8 and at not in seen:
        seen.add(at)
        header = int.from_bytes(space[at : at + 4], "little")
        if header & 0xFFFF == _ACS_CAPABILITY:
            return int.from_bytes(space[at + _ACS_CONTROL : at + _ACS_CONTROL + 2], "little")
        at = header >> 20
    return None


def iommu(root: Path, pci_addresses: Sequence[str]) -> Reading:
    """`off`, `passthrough` or `translated`: translated where the DMA of any of these devices is."""
    missing = _missing(root, pci_addresses)
    if missing:
        return missing
    words = set()
    for address in pci_addresses:
        group = _device(root, address) / "iommu_group"
        if not group.exists():
            words.add("off")
            continue
        kind = first_line(str(group / "type"))
        if kind is None:
            return Unavailable("sysfs iommu_group", errno.ENOENT, "the kernel does not tell the kind of IOMMU domain")
        words.add("passthrough" if kind == "identity" else "translated")
    return next(word for word in ("translated", "passthrough", "off") if word in words)


def _missing(root: Path, pci_addresses: Sequence[str]) -> Unavailable | None:
    """Why nothing can be said where the kernel shows no such device (or there is none to look at)."""
    for address in pci_addresses:
        if not _device(root, address).exists():
            return Unavailable("sysfs", errno.ENOENT, f"the kernel does not show the PCI device {address} here")
    return None if pci_addresses else Unavailable("sysfs", errno.ENOENT, "there is no GPU to look at")


def _device(root: Path, pci_address: str) -> Path:
    return root / "sys/bus/pci/devices" / pci_address


def _bridges(root: Path, pci_address: str) -> list[Path]:
    """The bridges above a device, nearest first: sysfs nests devices below the port that they hang on."""
    place = _device(root, pci_address).resolve()
    return [parent for parent in place.parents if _ADDRESS.fullmatch(parent.name)]
