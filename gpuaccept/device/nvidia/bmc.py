"""Temperature of the air that the node draws in, as its BMC tells it in-band: by `ipmitool`, for root only.

Asked first is DCMI's Get Temperature Readings (DCMI 1.5, 6.7.3), a standard command in which the inlet is entity 40h
(37h in DCMI 1.0), whatever the maker calls its sensor; then the sensor whose name says inlet, or ambient.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from gpuaccept.check import Reading, Unavailable

DCMI = ("dcmi", "get_temp_reading")
SENSORS = ("sdr", "type", "Temperature")
ANSWER_S = 5.0
"""A BMC answers within a second; one that is busy needs longer."""
FRESH_S = 5.0
"""Workers of one node that start a soak together share one answer; BMCs read their sensors every few seconds."""
LIMIT_BYTES = 64 << 10
"""A node has some 100 temperature sensors of 60 characters each."""
COLDEST_C, HOTTEST_C = -10.0, 60.0
"""What inlet air can be: beyond it, a sensor is not there or not of the air."""
_DEVICES = ("ipmi0", "ipmi/0", "ipmidev/0")
_ENTITY = re.compile(r"^\s*Inlet[^|]*\((?:40|37)h\)\s+\d+\s+([+-]?\d+)\s*C\s*$", re.IGNORECASE)
_SENSOR = re.compile(r"^([^|]+)\|[^|]*\|\s*ok\s*\|[^|]*\|\s*([+-]?\d+(?:\.\d+)?) degrees C\s*$", re.IGNORECASE)
_OTHER = re.compile(r"psu|\bps ?\d|power|liquid|coolant|water|gpu|nic|ocp|cdu|hgx", re.IGNORECASE)
"""Names of inlets that are not the node's: of a power supply, of the coolant, of a card."""


class Lack(NamedTuple):
    """What is missing, as errno and a sentence, and what to do."""

    code: int
    text: str
    remedy: str


def inlet(root: Path, announce: Callable[[str], None] = lambda call: None) -> Reading:
    """The inlet temperature, °C; `announce` is told of each program before it runs. Files are those below `root`."""
    found = ask(root, announce)
    if isinstance(found, Lack):
        return Unavailable("ipmitool", found.code, f"{found.text}: {found.remedy}")
    return found


def ask(root: Path, announce: Callable[[str], None] = lambda call: None) -> float | Lack:
    """The inlet temperature, °C, or what is missing for it."""
    program = _program(root)
    if program is None:
        return Lack(
            errno.ENOENT, "ipmitool is not installed, so the BMC can't be asked", "install the package ipmitool"
        )
    device = next((root / "dev" / name for name in _DEVICES if (root / "dev" / name).exists()), None)
    if device is None:
        return Lack(
            errno.ENODEV,
            "there is no /dev/ipmi0 to ask the BMC by",
            "modprobe ipmi_si ipmi_devintf; a container needs the device handed over",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        return Lack(errno.EACCES, f"no permission for /dev/{device.relative_to(root / 'dev')}", "run as root")
    return _shared.ask(program, announce)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    at_s: float
    """Monotonic clock, the same in all processes."""
    program: str
    found: float | Lack


class Shared:
    """One answer of the BMC for all processes that are forked from the one that makes this: the first of them asks, the
    others wait for what it is told."""

    _ROOM = 4096

    def __init__(self) -> None:
        self._fd = os.memfd_create("gpuaccept-bmc")
        os.ftruncate(self._fd, self._ROOM)

    def ask(self, program: str, announce: Callable[[str], None]) -> float | Lack:
        """What the BMC says, or said to another process within FRESH_S."""
        announce("wait for the BMC")
        fcntl.lockf(self._fd, fcntl.LOCK_EX)  # of processes, not of descriptors; the kernel frees it with its holder
        try:
            known = self._read()
            if known is not None and known.program == program and time.monotonic() - known.at_s < FRESH_S:
                return known.found
            found = _asked(program, announce)
            answer = msgspec.json.encode(_Answer(at_s=time.monotonic(), program=program, found=found))
            if len(answer) <= self._ROOM:
                os.pwrite(self._fd, answer.ljust(self._ROOM, b"\0"), 0)
            return found
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _read(self) -> _Answer | None:
        try:
            return msgspec.json.decode(os.pread(self._fd, self._ROOM, 0).rstrip(b"\0"), type=_Answer)
        except msgspec.MsgspecError:  # nobody has asked yet, or was killed while it wrote
            return None


_shared = Shared()
"""Made when the module is loaded: for workers, in the process that they are forked from (see preload)."""


def _asked(program: str, announce: Callable[[str], None]) -> float | Lack:
    beyond: list[float] = []
    silent = False
    for arguments, read in ((DCMI, _of_dcmi), (SENSORS, _of_sensors)):
        announce(f"ipmitool {' '.join(arguments)}")
        said = _said(program, arguments)
        silent |= said is None
        values = read((said or "").splitlines())
        if known := [value for value in values if COLDEST_C <= value <= HOTTEST_C]:
            return median(known)
        beyond += values
    if beyond:
        text = f"the BMC says {beyond[0]:g} °C for the inlet, which air in a hall is not"
        return Lack(errno.ERANGE, text, "look at the sensor in the BMC's own page")
    if silent:
        return Lack(errno.ETIMEDOUT, f"the BMC did not answer ipmitool within {ANSWER_S:g} s", "reset the BMC")
    return Lack(errno.ENXIO, "the BMC shows no sensor of the inlet", "ask the node's maker for a firmware with DCMI")


def _program(root: Path) -> str | None:
    own = next((root / place for place in ("usr/bin/ipmitool", "usr/sbin/ipmitool") if (root / place).is_file()), None)
    if own is not None:
        return str(own)
    return shutil.which("ipmitool") if root == Path("/") else None  # a tree that a test made has its own, or none


def _of_dcmi(lines: Iterable[str]) -> list[float]:
    return [float(match.group(1)) for match in map(_ENTITY.match, lines) if match]


def _of_sensors(lines: Iterable[str]) -> list[float]:
    """Of the sensors that are called inlet; where there are none, of those that are called ambient."""
    named = [(m.group(1).lower(), float(m.group(2))) for m in map(_SENSOR.match, lines) if m]
    named = [(name, value) for name, value in named if not _OTHER.search(name)]
    for word in ("inlet", "ambient"):
        if values := [value for name, value in named if word in name]:
            return values
    return []


def _said(program: str, arguments: tuple[str, ...]) -> str | None:
    """What the program prints within ANSWER_S, LIMIT_BYTES of it at most; None where it does not end."""
    try:
        child = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except OSError:
        return ""
    assert child.stdout is not None
    end = time.monotonic() + ANSWER_S
    said, ended = b"", False
    with child.stdout as stream:
        while len(said) < LIMIT_BYTES and (left := end - time.monotonic()) > 0:
            if not select.select([stream], [], [], left)[0]:
                break
            part = os.read(stream.fileno(), LIMIT_BYTES - len(said))
            if not part:
                ended = True
                break
            said += part
    if not ended:
        child.kill()
    with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel does not die: leave it
        child.wait(1.0)
    return said.decode("utf-8", "replace") if ended or len(said) >= LIMIT_BYTES else None
