"""The only reader of wall clock, randomness and host facts: everything else is handed an Ambient."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct


class Ambient(Struct, frozen=True):
    """What the world says: replace it in a test to make a run repeat byte for byte."""

    def utc(self) -> str:
        """Now, RFC 3339 with seconds, UTC."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def random_bytes(self, n: int) -> bytes:
        """`n` unpredictable bytes."""
        return os.urandom(n)

    def hostname(self) -> str:
        """The host's name as the kernel knows it."""
        return os.uname().nodename

    def python_version(self) -> str:
        """Of the interpreter that runs."""
        return platform.python_version()


class Fixed(Ambient, frozen=True):
    """An ambient whose clock and randomness are set: runs with it are byte-identical."""

    at: str = "2026-01-01T00:00:00Z"
    seed: int = 0

    def utc(self) -> str:
        return self.at

    def random_bytes(self, n: int) -> bytes:
        import hashlib

        return hashlib.shake_256(f"gpuaccept fixed {self.seed}".encode()).digest(n)

    def hostname(self) -> str:
        return "fixed"

    def python_version(self) -> str:
        return "3"


def first_line(path: str) -> str | None:
    """The first line of a small system file, or None where it can't be read."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.readline(400).strip() or None
    except OSError:
        return None


def operating_system() -> str:
    """PRETTY_NAME of /etc/os-release."""
    try:
        for line in Path("/etc/os-release").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.split("=", 1)[1].strip().strip('"')[:120]
    except OSError:
        pass
    return platform.system()


def kernel() -> str:
    """Release of the running kernel."""
    return platform.release()


def boot_id() -> str:
    """Changes at every boot: a counter that spans two boots is not measured."""
    return first_line("/proc/sys/kernel/random/boot_id") or "unknown"


SUPERVISOR_VARIABLE = "GPUACCEPT_SUPERVISOR"
"""Set for worker processes: the process number of the run's supervisor."""


def supervisor() -> int | None:
    """The process that started this worker process; None outside of a run's workers."""
    number = os.environ.get(SUPERVISOR_VARIABLE, "")
    return int(number) if number.isdigit() else None


def is_root() -> bool:
    """Whether the process may read and write everything."""
    return os.geteuid() == 0
