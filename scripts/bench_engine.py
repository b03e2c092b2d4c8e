"""What the engine adds to a run on eight GPUs: the supervisor's time less the longest worker's in driver calls.

Run through the real NVIDIA code on the tests' stub driver, whose kernels work on buffers of 1 MiB in no time worth
naming: what is left is gpuaccept's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BOUND_S = 5.0
BANDWIDTH = (
    "{check: memory_bandwidth, state: cold, parameters: {buffer_mib: 1, passes: 1, repeats: 3, warm_up_passes: 0}}"
)
_HOST = "paths: host, host_buffer_mib: 1, passes: 1, repeats: 3, warm_up_passes: 0"
HOST = f"{{check: memory_bandwidth, state: cold, parameters: {{{_HOST}}}}}"
LINKS = "{check: nvlink, parameters: {buffer_mib: 1, passes: 1, repeats: 3}}"
PROFILE = """\
kind: site
name: engine-bench
version: "1"
title: Every check but the soak, in buffers that cost nothing
cohorts:
  - name: stub
    extends: hgx-b200
    plans:
      engine:
        purpose: the steps of the plan node without its soak
        steps:
"""
STEPS = (
    *("{check: inventory}", "{check: ecc}", "{check: pcie}", "{check: host}"),
    *(3 * (BANDWIDTH, HOST, LINKS)),
    *("{check: inventory}", "{check: ecc}", "{check: pcie}", "{check: host}"),
)


def figures() -> dict[str, Any] | None:
    """Wall time, longest worker's time in driver calls and waits, and the supervisor's phases, s; None without gcc."""
    if not shutil.which("gcc"):
        return None
    sys.path.insert(0, str(ROOT / "tests"))
    from stub_driver.machine import make_machine  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory(prefix="gpuaccept-bench-") as folder:
        root = Path(folder)
        machine = make_machine(root / "machine")
        times = root / "times"
        times.mkdir()
        profile = root / "engine.yaml"
        profile.write_text(PROFILE + "".join(f"          - {step}\n" for step in STEPS))
        environment = {
            **machine.environment,
            "PYTHONPATH": str(ROOT / "scripts" / "engine_times"),
            "GPUACCEPT_TIMES": str(times),
            "STUB_LOG": os.devnull,
            "PYTHONPYCACHEPREFIX": str(root / "pyc"),  # compiled once, as an installation has it
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            [sys.executable, "-m", "gpuaccept", "demo", "--out", str(root / "demo")],
            env=environment,
            capture_output=True,
            check=False,
        )
        imports = "import gpuaccept.run.worker, gpuaccept.device.nvidia.node"
        subprocess.run([sys.executable, "-c", imports], env=environment, check=False)
        shutil.rmtree(times)
        times.mkdir()
        run = [sys.executable, "-m", "gpuaccept", "run", "--profile", str(profile), "--plan", "engine", "--quiet"]
        began = time.monotonic()
        done = subprocess.run(
            [*run, "--out", str(root / "out")], env=environment, capture_output=True, text=True, check=False
        )
        wall = time.monotonic() - began
        told = [json.loads(path.read_text()) for path in times.glob("*.json")]
        workers = [one["spent"].get("driver", 0.0) for one in told if one["role"] == "worker"]
        supervisor: dict[str, float] = next((one["spent"] for one in told if one["role"] == "supervisor"), {})
        if not (root / "out" / "record.json").exists() or not workers:
            raise SystemExit(f"the run on the stub driver left no record:\n{done.stderr}")
        own_cpu = sum(one["own_cpu"] for one in told)
        return {
            "own_cpu": own_cpu,
            "wall": wall,
            "driver": max(workers),
            "workers": sorted(workers),
            "phases": supervisor,
        }


def show() -> bool:
    """Print the figure and where the time goes; whether it is within its bound."""
    found = figures()
    if found is None:
        print("engine overhead: not measured, the stub driver needs gcc")
        return True
    own = found["wall"] - found["driver"]
    good = bool(own <= BOUND_S)
    text = f"engine overhead, eight stub GPUs, {len(STEPS)} steps, {os.cpu_count()} cores"
    print(f"{text:<58} {own:>10.2f} s   {f'≤ {BOUND_S:g} s':<22} {'ok' if good else 'OVER'}")
    print(f"  wall {found['wall']:.2f} s, longest worker in driver calls and waits {found['driver']:.2f} s")
    print(
        f"  CPU time of all processes outside driver calls: {found['own_cpu']:.2f} s (what a busy machine can't blur)"
    )
    phases = found["phases"]
    for name, spent in sorted(phases.items(), key=lambda item: -item[1]):
        print(f"  {name:<20} {spent:6.2f} s")
    named = sum(spent for name, spent in phases.items() if name != "journal")
    print(f"  {'start and imports':<20} {found['wall'] - named:6.2f} s")
    return good


if __name__ == "__main__":
    sys.exit(0 if show() else 1)
