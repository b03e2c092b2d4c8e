"""XIDs and SXids of the kernel log: from /dev/kmsg, and from the text that dmesg, syslog or journald make of it."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gpuaccept.check import KernelEvent, Unavailable

_CALL = "/dev/kmsg"
_RECORD = 8192
"""Bytes that hold any record: the kernel cuts longer ones (LOG_LINE_MAX and the escapes of its bytes)."""
_MAX_BYTES = 64 << 20
_MAX_TEXT = 200
_BURST_S = 1.0
"""Lines on the same fault within this are one event: the driver writes one for each channel or unit it stops."""
_UNKNOWN_TIME = -1.0
_JOURNAL_S = 5.0

_KMSG = re.compile(r"\d+,\d+,(\d+),[^;]*;(.*)")
_FIRST = re.compile(r"\d+,(\d+),(\d+),")
_UPTIME = re.compile(r"(?:^|(?<= ))\[ *(\d+(?:\.\d+)?)\] ")
_CONTINUED = re.compile(r"\s+(?:NVRM: )?")
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([^)]*)\): (\d+)")
_OF_LINK = re.compile(r", ?[A-Z][A-Z0-9_/]* +(Fatal|Nonfatal) +XC\d+ +i\d+ +Link (-?\d+)")
"""What an XID of NVLink 5 (144 to 150) says after its number: unit, severity, place (catalogue of XIDs)."""
_SXID = re.compile(
    r"nvidia-(nvswitch\d+): SXid \((?:PCI:)?([^)]*)\): (\d+), ?(?:(Data \{)|Severity (\d)|(Non-fatal|Fatal)\b)?"
)
_SEVERITIES = {"Fatal": "fatal", "1": "fatal", "Nonfatal": "non-fatal", "Non-fatal": "non-fatal", "0": "non-fatal"}
"""In words, or as the number that an NVSwitch's registers are told with (ctrl_dev_nvswitch.h of the open modules)."""
_LOSSES = (
    re.compile(r"NVRM: GPU at (?:PCI:)?([0-9a-f:.]+) has fallen off the bus", re.IGNORECASE),
    re.compile(r"NVRM: GPU ([0-9a-f:.]+): GPU has fallen off the bus", re.IGNORECASE),
    re.compile(r"NVRM: The NVIDIA GPU ([0-9a-f:.]+).*fallen off the bus", re.IGNORECASE | re.DOTALL),
)
_LOST = 79
"""XID of a GPU that has fallen off the bus: older drivers and the probe at boot say it without a number."""
_LINK = re.compile(r"\blink (-?\d{1,4})\b", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def read_kernel_log(root: Path) -> tuple[KernelEvent, ...] | Unavailable:
    """See KernelLog.read: the log of `root`, read for the first time."""
    return KernelLog(root).read()


class LogMemory(NamedTuple):
    """Sequence number of the youngest record that was read, and all events that were."""

    last: int | None
    events: tuple[KernelEvent, ...]


class KernelLog:
    """The kernel's ring buffer below `root`. What was read once stays known when the ring overwrites it: events that
    vanished would make room for new ones, and their difference would be zero."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: int | None = None
        """Sequence number of the youngest record that was read."""
        self._known: tuple[KernelEvent, ...] = ()

    def memory(self) -> LogMemory:
        """What it has read until now."""
        return LogMemory(self._last, self._known)

    def remember(self, before: LogMemory) -> None:
        """Go on where another process stopped."""
        self._last, self._known = before

    def read(self) -> tuple[KernelEvent, ...] | Unavailable:
        """The events since boot, oldest first: of the ring, and of what it has overwritten as far as this object has
        read it before or journald keeps a copy.

        Unavailable without permission (kernel.dmesg_restrict), in a container that has no /dev/kmsg, and where records
        were overwritten since the last reading that nobody kept.
        """
        try:
            text = _read_ring(self._root / "dev/kmsg")
        except PermissionError:
            return Unavailable(_CALL, errno.EACCES, "no permission to read the kernel log: run as root")
        except OSError as error:
            return Unavailable(_CALL, error.errno or 0, f"the kernel log can't be read: {error.strerror}")
        if not text.strip():
            reason = "the kernel log is empty here, which no running kernel's is: a container hides it"
            return Unavailable(_CALL, 0, reason)
        lines = text.splitlines()
        records = [(int(match[1]), int(match[2]) / 1e6) for match in map(_FIRST.match, lines) if match]
        events = events_of(lines)
        if records and records[0][0] > 0:  # the ring has overwritten its beginning
            first, begins = records[0]
            older = self._older(first, begins)
            if isinstance(older, Unavailable):
                return older
            events = (*older, *events)
        self._last = records[-1][0] if records else self._last
        self._known = events
        return events

    def _older(self, first: int, begins: float) -> tuple[KernelEvent, ...] | Unavailable:
        """The events before record `first`, at `begins` seconds. At the first reading of a run, those that nobody
        keeps do not matter: they are not new in it."""
        kept = tuple(event for event in self._known if event.at_s < begins)
        told = _journal(self._root)
        journal = tuple(event for event in told or () if 0.0 <= event.at_s < begins)
        if told is None and self._last is not None and first > self._last + 1:
            lost = first - self._last - 1
            reason = f"the kernel overwrote {lost} records of its log before they were read, and journald keeps no copy"
            return Unavailable(_CALL, 0, reason)
        return max(journal, kept, key=len)


def _journal(root: Path) -> tuple[KernelEvent, ...] | None:
    """The events that journald keeps of this boot; None where it does not run, or does not answer in time."""
    program = root / "usr/bin/journalctl"
    command = [str(program), "-k", "-b", "-q", "--no-pager", "-o", "short-monotonic", "-g", "Xid|fallen off the bus"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_JOURNAL_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if said.returncode and not said.stdout and said.stderr.strip():
        return None  # with no match it ends with 1, too, and says nothing
    return events_of(said.stdout.splitlines())


def _read_ring(path: Path) -> str:
    """All records that there are now: reading on would wait for the next. A file is read to its end."""
    parts: list[bytes] = []
    size = 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while size < _MAX_BYTES:
            try:
                part = os.read(descriptor, _RECORD)
            except BlockingIOError:
                break
            except BrokenPipeError:  # overwritten while we read: the next call goes on with the oldest that is left
                continue
            if not part:
                break
            parts.append(part)
            size += len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "replace")


def events_of(lines: Iterable[str]) -> tuple[KernelEvent, ...]:
    """The events that lines of a kernel log tell of. `at_s` is -1 where the line has no time since boot.

    Lines on the same device, number, link and severity within a second are one event. A GPU that fell off the bus
    without an XID is one event with its number, 79.
    """
    told: dict[tuple[str, str, int, int, str], float] = {}
    found: list[KernelEvent] = []
    losses: dict[str, KernelEvent] = {}
    switches: set[tuple[str, int]] = set()
    for at, text in _records(lines):
        event = _event(at, text, switches)
        if event is None:
            lost = _loss(at, text)
            if lost is not None:
                losses.setdefault(_device(lost.pci_address), lost)
            continue
        key = (event.kind, event.pci_address, event.number, event.link, event.severity)
        if key in told and at - told[key] <= _BURST_S:
            continue
        told[key] = at
        found.append(event)
    numbered = {_device(event.pci_address) for event in found if event.kind == "xid" and event.number == _LOST}
    found += [event for device, event in losses.items() if device not in numbered]
    return tuple(sorted(found, key=lambda event: event.at_s))


def _event(at: float, text: str, switches: set[tuple[str, int]]) -> KernelEvent | None:
    xid = _XID.search(text)
    if xid:
        place = _OF_LINK.search(text, xid.end())
        return KernelEvent(
            at,
            "xid",
            int(xid.group(2)),
            _address(xid.group(1)),
            _shown(text[xid.start() :]),
            _SEVERITIES[place.group(1)] if place else "",
            link=int(place.group(2)) if place else _link(text[xid.end() :]),
        )
    sxid = _SXID.search(text)
    if not sxid:
        return None
    switch, address, number, data, level, word = sxid.groups()
    of = (switch, int(number))
    if (data or level) and of in switches:  # registers of the event that was told before
        return None
    switches.add(of)
    severity = _SEVERITIES.get(word or level or "", "")
    link = _link(text[sxid.end() :])
    return KernelEvent(at, "sxid", of[1], _address(address), _shown(text[sxid.start() :]), severity, switch, link)


def _link(text: str) -> int:
    found = _LINK.search(text)
    return int(found.group(1)) if found else -1


def _loss(at: float, text: str) -> KernelEvent | None:
    match = next(filter(None, (pattern.search(text) for pattern in _LOSSES)), None)
    if match is None:
        return None
    return KernelEvent(at, "xid", _LOST, _address(match.group(1)), _shown(text[match.start() :]))


def _records(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """(seconds since boot, text) of each record; an indented line belongs to the one before it."""
    at, text = _UNKNOWN_TIME, ""
    for line in lines:
        raw = _KMSG.fullmatch(line)
        if not raw and line[:1].isspace():
            text += " " + line[_CONTINUED.match(line).end() :]  # type: ignore[union-attr]
            continue
        if text:
            yield at, text
        if raw:
            at, text = int(raw.group(1)) / 1e6, _ESCAPE.sub(lambda byte: chr(int(byte.group(1), 16)), raw.group(2))
        else:
            uptime = _UPTIME.search(line)
            at, text = float(uptime.group(1)) if uptime else _UNKNOWN_TIME, line
    if text:
        yield at, text


def _address(text: str) -> str:
    """As the kernel writes it, or empty where it is not an address."""
    return text.lower() if _ADDRESS.fullmatch(text) else ""


def _device(address: str) -> str:
    return address.split(".")[0]


def _shown(text: str) -> str:
    """On one line, printable, and not without end: names that users gave their programs stand in it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_MAX_TEXT].rstrip()
