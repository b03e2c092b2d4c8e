"""The whole main job through the real NVIDIA code, on the stub driver: from the command line to the certificate."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stub_driver.machine import StubMachine

needs_gcc = pytest.mark.needs("gcc")

SMALL = """
kind: site
name: stub-site
version: "1"
title: Copies that fit a stub's memory
cohorts:
  - name: stub-b200
    extends: hgx-b200
    description: Eight GPUs of 256 MiB
    plans:
      small:
        purpose: Device memory, cold, in buffers of 1 MiB
        steps:
          - {check: inventory}
"""
VISIT = """
          - check: memory_bandwidth
            state: cold
            parameters: {paths: device, buffer_mib: 1, passes: 2, repeats: 3, warm_up_passes: 0}
"""


def gpuaccept(machine: StubMachine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return machine.run("-m", "gpuaccept", *arguments, timeout=120.0)


def run(machine: StubMachine, *arguments: str, profile: str = "hgx-b200") -> subprocess.CompletedProcess[str]:
    return gpuaccept(machine, "run", "--profile", profile, "--out", str(machine.root / "out"), *arguments)


def predicate(machine: StubMachine) -> dict[str, Any]:
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    body: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return body


@pytest.fixture
def small(machine: StubMachine) -> str:
    """A profile whose plan `small` runs the real kernels in 1 MiB."""
    path = machine.root / "small.yaml"
    path.write_text(SMALL + 3 * VISIT)
    return str(path)


@needs_gcc
def test_a_run_on_the_stub_never_looks_real(machine: StubMachine) -> None:
    done = run(machine, "--plan", "quick")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASSED  [SIMULATED]")
    evidence = predicate(machine)["evidence"]
    assert evidence["simulated"] == {"by": "stub"}
    assert sorted(Path(library["name"]).name for library in evidence["environment"]["libraries"]) == [
        "libcuda.so.1",
        "libnvidia-ml.so.1",
    ]
    page = str(machine.root / "out" / "certificate.html")
    assert gpuaccept(machine, "verify", "--integrity-only", page).returncode == 4
    assert gpuaccept(machine, "verify", "--integrity-only", "--allow-simulated", page).returncode == 0


@needs_gcc
def test_the_real_kernels_measure_every_gpu(machine: StubMachine, small: str) -> None:
    done = run(machine, "--plan", "small", profile=small)
    assert done.returncode == 0, done.stdout + done.stderr
    columns = {column["metric"]: column for column in predicate(machine)["evidence"]["columns"]}
    copies = columns["memory_bandwidth.copy_sm_cold"]
    assert sorted(copies["subjects"]) == [f"gpu/{gpu}" for gpu in range(8)]
    assert all(len(samples) == 3 and min(samples) > 0 for samples in copies["samples"])
    wrong = columns["memory_bandwidth.wrong_words_cold"]["samples"]
    assert {sample for samples in wrong for sample in samples} == {"0"}


@needs_gcc
def test_a_flipped_bit_rejects_the_node_and_names_the_gpu(machine: StubMachine, small: str) -> None:
    machine.set("gpu5.flip.bw_copy=1.528384.3")  # beyond the first steps, which one pass alone writes
    done = run(machine, "--plan", "small", profile=small)
    assert done.returncode == 5, done.stdout + done.stderr
    (finding,) = predicate(machine)["judgement"]["findings"]
    assert (finding["part"]["gpu"], finding["part"]["serial"], finding["metric"]) == (
        5,
        "1650000000005",
        "memory_bandwidth.wrong_words_cold",
    )


@needs_gcc
def test_a_gpu_without_memory_is_an_error_of_its_own(machine: StubMachine, small: str) -> None:
    machine.set("gpu2.memory_mb=1")
    done = run(machine, "--plan", "small", profile=small)
    assert done.returncode == 3, done.stdout + done.stderr
    assert {finding["part"]["gpu"] for finding in predicate(machine)["judgement"]["findings"]} == {2}


@needs_gcc
def test_a_missing_gpu_rejects_the_node(machine: StubMachine) -> None:
    machine.set("gpu2.lost=1")
    done = run(machine, "--plan", "quick")
    assert done.returncode == 5, done.stdout + done.stderr


@needs_gcc
def test_a_fabric_manager_that_is_down_is_one_sentence(machine: StubMachine) -> None:
    machine.set("fault.cuInit=802")
    done = run(machine)
    assert done.returncode == 3
    assert "systemctl start nvidia-fabricmanager" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(Path("/proc/driver/nvidia/version").exists(), reason="this machine has a driver")
def test_without_a_driver_one_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpuaccept", "run", "--profile", "hgx-b200", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "gpuaccept: no NVIDIA driver on this machine (libnvidia-ml.so.1 not found)"
    assert not (tmp_path / "out").exists()
