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
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from gpuaccept.data import Evidence

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
"""What the bound of judging was set for; what came since is shown beside it."""


def of_checks(evidence: Evidence, checks: Collection[str]) -> Evidence:
    """The evidence of some checks, with their limits."""
    cohort = evidence.profile.cohorts[0]
    limits = tuple(limit for limit in cohort.limits if limit.metric.partition(".")[0] in checks)
    plans = {
        name: replace(plan, steps=tuple(step for step in plan.steps if step.check in checks))
        for name, plan in cohort.plans.items()
    }
    return replace(
        evidence,
        profile=replace(evidence.profile, cohorts=(replace(cohort, limits=limits, plans=plans),)),
        plan=replace(evidence.plan, steps=tuple(step for step in evidence.plan.steps if step.check in checks)),
        checks=tuple(check for check in evidence.checks if check.name in checks),
        columns=tuple(column for column in evidence.columns if column.metric.partition(".")[0] in checks),
        steps=tuple(step for step in evidence.steps if step.check in checks),
    )


def main() -> None:
    """Measure and print all figures."""
    import bench_card
    import bench_engine
    import msgspec

    from gpuaccept.acceptance import Request, judge_node
    from gpuaccept.data import Statement
    from gpuaccept.device.open import DeviceSpec
    from gpuaccept.judge import judge
    from gpuaccept.profile.load import load_profile
    from gpuaccept.record.envelope import open_record

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
        opened = open_record(record)
        payload = opened.payload
        evidence = opened.statement.predicate.evidence
        first = of_checks(evidence, FIRST_CHECKS)
        judged = call_s(lambda: judge(first), times=100)
        what = f"judge one node, {len(first.profile.cohorts[0].limits)} limits of the {len(FIRST_CHECKS)} first checks"
        line(what, f"{judged * 1e3:.1f} ms", "≤ 4 ms", judged <= 0.004)
        judged = call_s(lambda: judge(evidence), times=100)
        what = f"  {len(evidence.profile.cohorts[0].limits)} limits of all {len(evidence.checks)} checks"
        line(what, f"{judged * 1e3:.1f} ms", "", True)
        decoder = msgspec.json.Decoder(Statement)
        decoded = call_s(lambda: decoder.decode(payload))
        line("typed decode of one record", f"{decoded * 1e3:.1f} ms", "≤ 3 ms", decoded <= 0.003)
        line("payload", f"{len(payload) / 1e3:.0f} kB", "≤ 250 kB", len(payload) <= 250_000)
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
