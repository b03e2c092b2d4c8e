"""What happens on a node while it is measured reaches the verdict, through real workers on the stub driver."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time

import pytest
from stub_driver.host_tree import write
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

PROFILE = """
kind: site
name: stub-site
version: "1"
title: The host and the links to it
cohorts:
  - name: stub-b200
    extends: hgx-b200
    description: Eight GPUs of a stub
    plans:
      small:
        purpose: What is around the GPUs, twice
        steps:
          - {check: inventory}
          - {check: host}
          - {check: pcie, parameters: {reads: 1}}
          - {check: host}
"""


def test_an_xid_in_mid_run_and_a_narrow_link_reject_the_node_and_name_the_gpus(machine: StubMachine) -> None:
    machine.set("gpu6.pcie.width=8", "pcie.gen_idle=1", "gpu4.inforom_corrupt=1")
    profile, out = machine.root / "profile.yaml", machine.root / "out"
    write(profile, PROFILE)
    command = [sys.executable, "-m", "gpuaccept", "run", "--profile", str(profile), "--plan", "small"]
    child = subprocess.Popen(
        [*command, "--out", str(out)],
        env=machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    journal, end = out / "journal.jsonl", time.monotonic() + 60.0
    while child.poll() is None and time.monotonic() < end:
        if journal.exists() and '"check":"host"' in journal.read_text().partition("\n")[2]:
            break  # the first visit of host is on disk
        time.sleep(0.02)
    with (machine.root / "dev/kmsg").open("a") as log:
        log.write("4,999,99000000,-;NVRM: Xid (PCI:0000:61:00): 94, pid=7, name=python3, Contained: SM (0x1)\n")
        log.write("4,1000,99000001,-;nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 30 LTSSM Fault Up\n")
    said, _ = child.communicate(timeout=120.0)
    assert child.returncode == 5, said
    envelope = json.loads((out / "record.json").read_bytes())
    findings = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["judgement"]["findings"]
    assert {(finding["part"].get("gpu"), finding["metric"]) for finding in findings} == {
        (3, "host.xid_contained_new"),
        (6, "pcie.width_under_load"),
        (None, "host.sxid_fatal_new"),
        (4, "inventory.inforom"),
    }
    (corrupt,) = [finding for finding in findings if finding["metric"] == "inventory.inforom"]
    assert (corrupt["result"], corrupt["cause"], corrupt["action"]) == ("fail", "hardware", "replace")
    titles = [finding["title"] for finding in findings]
    assert "The node: too many new fatal errors of NVSwitches (nvswitch0 link 30: 20034 fatal)" in titles
    assert "GPU 3: too many new XIDs of contained memory errors (94)" in titles
