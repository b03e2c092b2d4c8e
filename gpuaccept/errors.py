"""The one exception tree: each error carries the fact, the place and the remedy, and knows its exit code.

GpuacceptError
├── UsageError            2   a command line or file that the user can correct
│   └── ProfileError      2   all problems of a profile, each with file:line:column
├── DeviceUnavailable     3   no driver, no GPU, no permission, no time
├── Interrupted         130   stopped before anything was measured
├── EvidenceError         4   a record or page that is not what it claims to be
└── DeviceError           -   one call of one device failed: becomes a measurement that was not made
"""

from __future__ import annotations

from typing import NamedTuple

EXIT_ACCEPTED = 0
EXIT_BROKEN = 1
EXIT_USAGE = 2
EXIT_NOT_DECIDED = 3
EXIT_EVIDENCE = 4
EXIT_REJECTED = 5
EXIT_INTERRUPTED = 130

CUDA_FATAL = frozenset({214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 720, 721, 999})
"""CUDA errors after which no call of that process can succeed ("the process must be terminated and relaunched",
CUDA driver API, CUresult): uncorrectable ECC, faults of a kernel, launch failures, unknown."""


class GpuacceptError(Exception):
    """An error for the person who reads it: `fact` says what is wrong and where, `remedy` what to do."""

    exit_code = EXIT_BROKEN

    def __init__(self, fact: str, remedy: str = "") -> None:
        super().__init__(fact)
        self.fact = fact
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.fact}\n  {self.remedy}" if self.remedy else self.fact


class UsageError(GpuacceptError):
    """The command line, or a file that it names, can't be used as it is."""

    exit_code = EXIT_USAGE


class Problem(NamedTuple):
    """One thing wrong with a file: where, which field, what."""

    file: str
    line: int
    column: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.text}" if self.path else f"{where}: {self.text}"


class ProfileError(UsageError):
    """Every problem of a profile (or another file that people write), in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class DeviceUnavailable(GpuacceptError):
    """Nothing can be measured on this machine as it is."""

    exit_code = EXIT_NOT_DECIDED


class Interrupted(GpuacceptError):
    """A run was stopped before anything was measured: there is nothing to leave a record of."""

    exit_code = EXIT_INTERRUPTED


class EvidenceError(GpuacceptError):
    """A record or page is damaged, altered, or not by whom it should be."""

    exit_code = EXIT_EVIDENCE


class DeviceError(GpuacceptError):
    """A driver call failed. `call` is its name, `code` the number that the driver returned, `name` its name.

    Raised by a device, caught by `Visit.part`: what could not be measured is recorded with this reason.
    """

    def __init__(self, call: str, code: int, name: str, gpu: int | None = None) -> None:
        where = f"GPU {gpu}: " if gpu is not None else ""
        super().__init__(f"{where}{call} returned {code} ({name})")
        self.call = call
        self.code = code
        self.name = name
        self.gpu = gpu
