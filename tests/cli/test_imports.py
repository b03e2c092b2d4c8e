"""A simulated run needs no driver: nothing of CUDA or NVML is loaded, in the supervisor or in a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import MOCK, SITE, gpuaccept

SPY = """\
import sys
from gpuaccept.check import Check, Metric, gpu_subject

def measure(node, visit):
    with open({file!r}, "w") as file:
        file.write("\\n".join(sorted(sys.modules)))
    for gpu in node.gpus:
        visit.measured("seen", gpu_subject(gpu), 1)

CHECK = Check(
    name="spy", purpose="what is loaded", scope="gpu",
    metrics=(Metric("seen", "", "always 1", kind="counted", better="higher"),),
    measure=measure, seconds=lambda parameters, gpus: 0.1,
)
"""
PROFILE = """\
kind: site
name: spying
version: "1"
title: t
cohorts:
  - name: c
    extends: hgx-b200
    limits:
      - {id: seen, metric: spy.seen, equals: 1, unit: "", effect: require, cause: tool, action: measure again,
         source: assumption, reference: none}
    plans:
      spy: {purpose: p, steps: [{check: inventory}, {check: nvlink, parameters: {copies: false}}, {check: spy}]}
"""
DRIVERS = {"cuda", "pynvml"}


def tops(names: list[str]) -> set[str]:
    return {name.strip().split(".")[0] for name in names}


def test_a_worker_loads_no_driver_and_no_numpy_before_sensors(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "spy.py").write_text(SPY.format(file=str(tmp_path / "modules")))
    (tmp_path / "spying.yaml").write_text(PROFILE)

    done = gpuaccept(
        "run", "--profile", "spying.yaml", "--checks", "checks", "--plan", "spy", "--device", MOCK, "--out", "out",
        cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    loaded = (tmp_path / "modules").read_text().splitlines()
    assert "gpuaccept.run.worker" in loaded or "gpuaccept.device.mock.node" in loaded
    assert not tops(loaded) & {*DRIVERS, "numpy"}
    assert "gpuaccept.device.nvidia" not in loaded


@pytest.mark.parametrize("plan", ["node", "quick"])
def test_the_supervisor_loads_no_driver_and_no_numpy(tmp_path: Path, plan: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gpuaccept", "run", "--profile", SITE, "--device", MOCK,
         "--plan", plan, "--out", "out", "--quiet", "--output", "json"],
        capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60,
    )  # fmt: skip
    loaded = [line.rsplit("|", 1)[1] for line in done.stderr.splitlines() if line.startswith("import time:")]

    assert json.loads(done.stdout)["decision"] == "accepted"
    assert "gpuaccept" in tops(loaded)
    assert not tops(loaded) & {*DRIVERS, "numpy"}
