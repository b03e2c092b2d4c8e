"""`gpuaccept checks prove`: a site's profile and checks against the faults that they must find."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

CHECK = """\
from gpuaccept.check import Check, Metric, gpu_subject

def measure(node, visit):
    for gpu in node.gpus:
        visit.measured("value", gpu_subject(gpu), VALUE)

CHECK = Check(
    name="NAME", purpose="to be tried", scope="gpu",
    metrics=(Metric("value", "", "1 where it is good", kind="counted", better="higher"),),
    measure=measure, seconds=lambda parameters, gpus: 0.1, detects=DETECTS,
)
"""
PROFILE = """\
kind: site
name: tried
version: "1"
title: A site with its own checks
cohorts:
  - name: hgx-b200
    extends: hgx-b200
    limits:
      - {id: own, metric: own.value, equals: 1, unit: "", effect: require, cause: hardware, action: replace,
         source: assumption, reference: none}
    plans:
      short:
        purpose: states, and the site's own
        steps:
          - {check: own}
          - {check: MORE}
"""


def prove(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuaccept", "checks", "prove", "--profile", "tried.yaml", "--plan", "short", *more],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def site(folder: Path, detects: str, more: str = "own", value: str = "1") -> tuple[str, ...]:
    (folder / "checks").mkdir()
    text = CHECK.replace("NAME", "own").replace("DETECTS", detects).replace("VALUE", value)
    (folder / "checks" / "own.py").write_text(text)
    (folder / "tried.yaml").write_text(PROFILE.replace("MORE", more))
    return ("--checks", "checks")


def body(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_all_faults_of_a_plan_are_found_and_a_check_without_faults_is_named(tmp_path: Path) -> None:
    done = prove(tmp_path, *site(tmp_path, "()", more="memory_integrity"), "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = body(done)
    assert (said["passed"], said["simulated"], said["checks_without_fault"]) == (True, True, ["own"])
    found = {row["fault"] for row in said["faults"]}
    assert "hbm_stuck_bit" in found
    assert "nvlink_slow" in said["not_in_plan"]
    assert not found & set(said["not_in_plan"])


def test_a_claim_that_does_not_hold_is_named(tmp_path: Path) -> None:
    done = prove(tmp_path, *site(tmp_path, '("vbios_mixed",)', more="inventory"))
    assert done.returncode == 3
    assert "own says that it detects vbios_mixed, and did not" in done.stdout
    assert "passed" not in done.stdout
    assert "hardware was tested" in done.stdout


def test_a_fault_for_which_the_profile_has_no_limit_is_named_and_no_failure(tmp_path: Path) -> None:
    options = site(tmp_path, "()", more="host")
    done = prove(tmp_path, *options, "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = body(done)
    assert said["passed"] and "nic_port_slow" in said["without_limit"]
    assert {row["fault"] for row in said["faults"] if not row["found"]} == set(said["without_limit"])
    assert "xid_94" in said["not_in_plan"]  # one visit shows no change
    shown = prove(tmp_path, *options).stdout
    assert "--  nic_port_slow" in shown and "NO  " not in shown
    assert "no limit in this profile, so nothing decides on them: " in shown


def test_a_plan_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    done = prove(tmp_path, *site(tmp_path, "()"))
    assert (done.returncode, "no check in it detects a fault" in done.stderr) == (2, True)


def test_hardware_that_nothing_simulates_is_refused(tmp_path: Path) -> None:
    options = site(tmp_path, "()")
    text = (
        (tmp_path / "tried.yaml").read_text().replace("    extends: hgx-b200", "    extends: hgx-b200\n    hardware: x")
    )
    (tmp_path / "tried.yaml").write_text(text)
    done = prove(tmp_path, *options)
    assert (done.returncode, "nothing simulates x" in done.stderr) == (2, True), done.stderr


def test_ctrl_c_ends_it_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpuaccept", "checks", "prove", "--profile", "hgx-b200"]
    # a shell starts what runs in its background with SIGINT ignored, and so would this be
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heard
    ) as running:
        assert running.stderr is not None
        assert "gpu_missing" in running.stderr.readline()
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGINT)
        said = running.stderr.read()
        assert running.wait(30) == 130
    assert said.strip().endswith("interrupted") and "Traceback" not in said
