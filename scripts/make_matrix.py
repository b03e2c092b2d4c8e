"""Runs every fault of the catalogue through all checks and stores what was found as checks/matrix.json (a minute)."""

from __future__ import annotations

import sys
from multiprocessing import get_context

from gpuaccept.device.open import faults
from gpuaccept.matrix import STORED, encoded, try_one, whole
from gpuaccept.proof import Shown
from gpuaccept.run.loading import load_checks

PROCESSES = 2


def _one(name: str) -> Shown:
    return try_one(next(fault for fault in faults() if fault.name == name))


def main() -> int:
    """Write the matrix; 1 where a fault was not found as the catalogue states."""
    alone = [fault.name for fault in faults() if not fault.needs_workers]
    done: dict[str, Shown] = {}
    with get_context("spawn").Pool(PROCESSES) as pool:
        for shown in pool.imap_unordered(_one, alone):
            done[shown.fault] = shown
            print(f"{len(done):3} {shown.fault}", file=sys.stderr, flush=True)
    for fault in faults():  # those that end or block their process start workers, which a pool's process may not
        if fault.needs_workers:
            done[fault.name] = try_one(fault)
    rows = tuple(done[fault.name] for fault in faults())
    STORED.write_bytes(encoded(whole(rows, load_checks())))
    bad = [row.fault for row in rows if not (row.expected and row.named)]
    if bad:
        print("not found as the catalogue states: " + ", ".join(bad), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
