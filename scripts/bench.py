"""`make bench`: what gpuaccept costs, each figure as a ratio against a floor or beside its bound, on this machine."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

if TYPE_CHECKING:
    from gpuaccept.profile.load import LoadedProfile

PYTHON = sys.executable
CACHE = tempfile.mkdtemp(prefix="gpuaccept-bench-pyc-")
ENVIRONMENT = {**os.environ, "PYTHONPYCACHEPREFIX": CACHE}
"""Modules are compiled once, as an installation has them."""
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
RUN = ["-m", "gpuaccept"]


def process_s(*arguments: str, times: int = 15) -> float:
    """Median wall time of a whole process, s."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([PYTHON, *arguments], check=False, capture_output=True, env=ENVIRONMENT)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def call_s(function: Callable[[], object], times: int = 30) -> float:
    """Median time of a call after one to warm up, s."""
    function()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def line(what: str, value: str, bound: str, good: bool) -> None:
    """One figure, its bound, and whether it is within."""
    print(f"{what:<58} {value:>12}   {bound:<22} {'ok' if good else 'OVER'}")


FIRST_CHECKS = frozenset({"inventory", "memory_bandwidth", "nvlink", "ecc", "thermal_soak"})
"""What the bounds of judging, decoding and the payload were set for; what came since is shown beside them."""


def of_checks(loaded: LoadedProfile, checks: Collection[str]) -> LoadedProfile:
    """The profile's first cohort with the limits and steps of some checks."""
    cohort = loaded.profile.cohorts[0]
    limits = tuple(limit for limit in cohort.limits if limit.metric.partition(".")[0] in checks)
    plans = {
        name: structs.replace(plan, steps=tuple(step for step in plan.steps if step.check in checks))
        for name, plan in cohort.plans.items()
    }
    reduced = structs.replace(cohort, limits=limits, plans=plans)
    return replace(loaded, profile=structs.replace(loaded.profile, cohorts=(reduced,)))


def show_record(what: str, envelope: bytes, bounded: bool) -> None:
    """What judging, decoding and keeping one node's record costs; `bounded` where the bounds were set for it."""
    from gpuaccept.data import Statement
    from gpuaccept.judge import judge
    from gpuaccept.record.envelope import open_record

    opened = open_record(envelope)
    evidence, payload = opened.statement.predicate.evidence, opened.payload
    decoder = msgspec.json.Decoder(Statement)
    judged_ms = call_s(lambda: judge(evidence), times=100) * 1e3
    decoded_ms = call_s(lambda: decoder.decode(payload)) * 1e3
    print(f"one node, {len(evidence.profile.cohorts[0].limits)} limits of {what} {len(evidence.checks)} checks")
    for name, value, unit, bound in (
        ("judge", judged_ms, "ms", 4),
        ("typed decode of its record", decoded_ms, "ms", 3),
        ("payload", len(payload) / 1e3, "kB", 250),
    ):
        line(f"  {name}", f"{value:.1f} {unit}", f"≤ {bound} {unit}" if bounded else "", not bounded or value <= bound)


def main() -> None:
    """Measure and print all figures."""
    import bench_card
    import bench_engine

    from gpuaccept.acceptance import Request, judge_node, run_node
    from gpuaccept.device.open import DeviceSpec
    from gpuaccept.profile.load import load_profile

    bench_engine.show()
    bench_card.show()
    built = f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})"
    print(f"{built}, {os.cpu_count()} cores; `make bench VENV=... PYTHON=...` measures another interpreter")
    base = process_s("-c", "import click")
    help_s = process_s(*RUN, "--help")
    line("gpuaccept --help / python -c 'import click'", f"{help_s / base:.2f}", "≤ 1.5", help_s <= 1.5 * base)

    folder = Path(tempfile.mkdtemp(prefix="gpuaccept-bench-"))
    try:
        profile = load_profile("de-industrial-ai-cloud")
        arguments = ["run", "--profile", "de-industrial-ai-cloud", "--device", "mock:hgx-b200", "--quiet", "--out"]
        spent = []
        for number in range(5):
            start = time.perf_counter()
            subprocess.run(
                [PYTHON, *RUN, *arguments, str(folder / f"run{number}")],
                check=False,
                capture_output=True,
                env=ENVIRONMENT,
            )
            spent.append(time.perf_counter() - start)
        whole = statistics.median(spent)
        line("simulated HGX B200, 30 min of soak, prompt to certificate", f"{whole:.2f} s", "≤ 2 s", whole <= 2)

        request = Request(profile=profile, spec=DeviceSpec(device="mock:hgx-b200"), in_process=True)
        node = call_s(lambda: judge_node(request), times=8)
        line("in process, one core: simulated nodes a second", f"{1 / node:.1f}", "≥ 10 (two cores)", 2 / node >= 10)

        record = (folder / "run0" / "record.json").read_bytes()
        page = (folder / "run0" / "certificate.html").read_bytes()
        first = run_node(replace(request, profile=of_checks(profile, FIRST_CHECKS), out=folder / "first"))
        show_record("the first", first.envelope, bounded=True)
        show_record("all", record, bounded=False)
        line("certificate", f"{len(page) / 1e3:.0f} kB", "≤ 600 kB", len(page) <= 600_000)

        flags = ["verify", "--integrity-only", "--allow-simulated"]
        lone = folder / "lone"
        lone.mkdir()
        for name in ("record.json", "certificate.html"):
            shutil.copy(folder / "run0" / name, lone / name)
        for name, bound in (("record.json", 0.2), ("certificate.html", 0.35)):
            base, took = process_s("-c", "import click"), process_s(*RUN, *flags, str(lone / name))
            what = f"verify {name} ({took / base:.1f} × python -c 'import click')"
            line(what, f"{took * 1e3:.0f} ms", f"≤ {bound * 1e3:.0f} ms", took <= bound)
            took = process_s(*RUN, *flags, str(folder / "run0" / name))
            line("  with series.json.gz beside it", f"{took * 1e3:.0f} ms", "", True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(CACHE, ignore_errors=True)


if __name__ == "__main__":
    main()
