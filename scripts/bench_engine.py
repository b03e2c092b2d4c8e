"""What the engine adds to a run on eight GPUs: the supervisor's time less the longest worker's in driver calls.

Run through the real NVIDIA code on the tests' stub driver, with the steps and sizes of the plan `node` of an HGX B200
less its soak. The stub's kernels and copies do nothing and take no time (STUB_IDLE): what is left is gpuaccept's own.
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
from typing import Any, NamedTuple

import msgspec

ROOT = Path(__file__).parents[1]
BOUND_S = 5.0
MEMORY_MIB = 183359
"""Of a B200, so that buffers have their real sizes."""
PROFILE = """\
kind: site
name: engine-bench
version: "1"
title: The plan node without its soak
cohorts:
  - name: stub
    extends: hgx-b200
    plans:
      engine:
        purpose: the steps of the plan node without its soak
        steps:
"""


class StepTime(NamedTuple):
    """One step: seconds that the supervisor spent, and those of its workers' driver calls and waits that had to be one
    after the other: the longest worker's, or the sum of all where the plan lets one GPU go at a time."""

    what: str
    wall: float
    driver: float

    @property
    def own(self) -> float:
        """What gpuaccept added."""
        return self.wall - self.driver


class Figures(NamedTuple):
    """Seconds of one run. `longest`: the worker with most time in driver calls and waits, (calls, waits)."""

    wall: float
    longest: tuple[float, float]
    steps: tuple[StepTime, ...]
    phases: dict[str, float]
    open_after: float
    own_cpu: float


def steps() -> list[str]:
    """The plan's steps as YAML."""
    from gpuaccept.profile.load import load_profile

    plan = load_profile("hgx-b200").profile.cohorts[0].plans["node"]
    return [msgspec.json.encode(step).decode() for step in plan.steps if step.check != "thermal_soak"]


def figures() -> Figures | None:
    """Measure a run; None without gcc. Raises SystemExit where it leaves no record."""
    if not shutil.which("gcc"):
        return None
    sys.path.insert(0, str(ROOT / "tests"))
    from stub_driver.machine import make_machine  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory(prefix="gpuaccept-bench-") as folder:
        root = Path(folder)
        machine = make_machine(root / "machine")
        machine.set(f"memory_mb={MEMORY_MIB}")
        times = root / "times"
        times.mkdir()
        profile = root / "engine.yaml"
        profile.write_text(PROFILE + "".join(f"          - {step}\n" for step in steps()))
        environment = {
            **machine.environment,
            "PYTHONPATH": str(ROOT / "scripts" / "engine_times"),
            "GPUACCEPT_TIMES": str(times),
            "STUB_IDLE": "1",
            "PYTHONPYCACHEPREFIX": str(root / "pyc"),  # compiled once, as an installation has it
        }
        for name in ("PYTHONDONTWRITEBYTECODE", "STUB_LOG"):
            environment.pop(name, None)
        run = [sys.executable, "-m", "gpuaccept", "run", "--profile", str(profile), "--plan", "engine", "--quiet"]
        # Once before, in the shortest form: it compiles every module that the second run loads.
        warm_up = [*("--only", "inventory"), *("--only", "host"), *("--out", str(root / "first"))]
        subprocess.run([*run, *warm_up], env=environment, capture_output=True, check=False)
        if not (root / "first" / "record.json").exists():
            raise SystemExit("the first run on the stub driver left no record")
        shutil.rmtree(times)
        times.mkdir()
        began = time.monotonic()
        done = subprocess.run(
            [*run, "--out", str(root / "out")], env=environment, capture_output=True, text=True, check=False
        )
        wall = time.monotonic() - began
        told = [json.loads(path.read_text()) for path in times.glob("*.json")]
        if not (root / "out" / "record.json").exists():
            raise SystemExit(f"the run on the stub driver left no record:\n{done.stderr}")
    return _figures(began, wall, told)


def _figures(began: float, wall: float, told: list[dict[str, Any]]) -> Figures:
    supervisor = next(one for one in told if one["role"] == "supervisor")
    workers = [one for one in told if one["role"] == "worker"]
    spent = [(one["spent"].get("driver", 0.0), one["spent"].get("wait", 0.0)) for one in workers]
    parts = [step for one in workers for step in one["steps"]]
    found = []
    for step in supervisor["steps"]:
        inside = [
            part["driver"] + part["wait"]
            for part in parts
            if step["began"] <= part["began"] and part["ended"] <= step["ended"]
        ]
        critical = max(inside, default=0.0) if step["at_once"] else sum(inside)
        found.append(StepTime(step["check"].strip(), step["ended"] - step["began"], critical))
    return Figures(
        wall=wall,
        longest=max(spent, key=sum),
        steps=tuple(found),
        phases=supervisor["spent"],
        open_after=min(part["began"] for part in parts) - began,
        own_cpu=sum(one["own_cpu"] for one in told),
    )


def show() -> bool:
    """Print the figure and where the time goes; whether it is within its bound."""
    found = figures()
    if found is None:
        print("engine overhead: not measured, the stub driver needs gcc")
        return True
    own = found.wall - sum(found.longest)
    good = bool(own <= BOUND_S)
    text = f"engine overhead, eight stub GPUs, {len(found.steps)} steps, {os.cpu_count()} cores"
    print(f"{text:<58} {own:>10.2f} s   {f'≤ {BOUND_S:g} s':<22} {'ok' if good else 'OVER'}")
    calls, waits = found.longest
    print(
        f"  = wall {found.wall:.2f} s - longest worker's driver calls {calls:.2f} s and prescribed waits {waits:.2f} s"
    )
    floor = sum(step.driver for step in found.steps)
    print(
        f"  {found.wall - floor:.2f} s less each step's longest worker ({floor:.2f} s): steps that follow each other "
        "run in different workers"
    )
    print(f"  {found.own_cpu:.2f} s of CPU time in all processes outside driver calls (a busy machine can't blur it)")
    print(f"  {found.open_after:.2f} s until the first step begins to measure; phases of the supervisor:")
    named = {name: spent for name, spent in found.phases.items() if name not in ("journal", "driver", "wait")}
    named["start, imports, rest"] = found.wall - sum(named.values())
    for name, spent in sorted(named.items(), key=lambda item: -item[1]):
        print(f"    {name:<40} {spent:6.2f} s")
    print(f"    {'(journal, within the others)':<40} {found.phases.get('journal', 0.0):6.2f} s")
    print(f"  {'step':<42} {'wall':>8} {'driver':>8} {'own':>8}  (s; driver: calls and waits of the longest worker)")
    for step in found.steps:
        print(f"    {step.what:<40} {step.wall:8.2f} {step.driver:8.2f} {step.own:8.2f}")
    print("    not in it: matrix products and what the host verifies of them (the stub has no cuBLASLt)")
    return good


if __name__ == "__main__":
    sys.exit(0 if show() else 1)
