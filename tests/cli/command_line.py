"""The command line as a person meets it: a process of its own, its exit code, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "gpuaccept")
SITE = "de-industrial-ai-cloud"
MOCK = "mock:hgx-b200"
SOAK_PROFILE = """\
kind: site
name: soak-site
version: "1"
title: One soak, as long as a test likes
cohorts:
  - name: hgx-b200
    extends: hgx-b200
    plans:
      soak:
        purpose: a short soak between two readings
        steps:
          - {check: inventory}
          - {check: thermal_soak, parameters: {duration_s: 20, interval_s: 0.5}}
          - {check: inventory}
"""


def gpuaccept(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Whatever happens, nobody sees a traceback."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def start(*arguments: object, cwd: Path, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a command, to stop it on the way; `before` starts it (nohup)."""
    return subprocess.Popen(
        [*before, *COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=cwd,
    )


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
