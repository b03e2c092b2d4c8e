"""The result directory of a run: made before anything is measured, and taken away again where nothing was."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gpuaccept.errors import UsageError


def prepare(out: Path) -> tuple[Path, ...]:
    """Make the result directory; those that were made, innermost first.

    Raises UsageError where it can't be written, or holds something.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file", "name a directory that is new or empty")
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            remedy = "name a directory that is new or empty, or go on with a run that was cut short: --resume"
            raise UsageError(f"--out {out}: is not empty", remedy)
        probe = out / ".write-test"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}", "name a directory that can be written") from error
    return tuple(missing)


def withdraw(made: tuple[Path, ...]) -> None:
    """Remove the directories that `prepare` made and that are still empty."""
    with suppress(OSError):
        for folder in made:
            folder.rmdir()
