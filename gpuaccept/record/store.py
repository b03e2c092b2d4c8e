"""Writing files so that each is either whole or absent, and none is lost when the power goes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gpuaccept.errors import GpuacceptError, UsageError


def write_new(directory: Path, files: Mapping[str, bytes], again: bool = False) -> None:
    """Write files of a result directory, in order; refuses all where one exists. Raises UsageError, GpuacceptError.

    With `again`, only the last of them must not exist: the others may be what an earlier try left.
    """
    for name in list(files)[-1:] if again else files:
        if (directory / name).exists():
            raise UsageError(f"{directory / name} is there already", "name another directory with --out")
    for name, data in files.items():
        replace(directory / name, data)


def replace(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file beside `path`, force it to disk, and put it in the place of `path`. Raises GpuacceptError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise GpuacceptError(
            f"{path} can't be written: {error.strerror}", "what was measured is in journal.jsonl; free some space"
        ) from error


def sync_directory(directory: Path) -> None:
    """Force a directory's entries to disk: without it a new file may be gone after a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
