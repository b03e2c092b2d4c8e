"""A node that is set up for something else is rejected for its setting, which whoever set it up corrects: no GPU of it
is ever taken for a broken or a missing one."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from stub_driver import host_tree
from stub_driver.machine import BUSES, StubMachine

from gpuaccept.device.nvidia.hidden import hidden_gpus
from gpuaccept.device.nvidia.host import Host

pytestmark = pytest.mark.needs("gcc")


def run(machine: StubMachine) -> subprocess.CompletedProcess[str]:
    out = str(machine.root / "out")
    return machine.run("-m", "gpuaccept", "run", "--profile", "hgx-b200", "--plan", "quick", "--out", out, timeout=120)


def findings(machine: StubMachine) -> list[dict[str, Any]]:
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    found: list[dict[str, Any]] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["judgement"][
        "findings"
    ]
    return found


@pytest.mark.parametrize(
    ("state", "metric", "sentence"),
    [
        (["mig=1"], "mig_mode", "The node: MIG mode is enabled, not disabled"),
        (["gpu3.mig=1"], "mig_mode", "GPU 3 (slot SXM 1): MIG mode is enabled, not disabled"),
        (["gpu3.mig=1", "mig_instances=1"], "mig_mode", "GPU 3 (slot SXM 1): MIG mode is enabled, not disabled"),
        (["persistence=0"], "persistence_mode", "The node: persistence mode is disabled, not enabled"),
        (["cc=1"], "cc_mode", "The node: confidential computing mode is on, not off"),
    ],
)
def test_a_mode_that_is_not_asked_for_is_the_first_finding_and_no_hardware_is_blamed(
    machine: StubMachine, state: list[str], metric: str, sentence: str
) -> None:
    machine.set(*state)
    done = run(machine)
    assert done.returncode == 5, done.stderr
    assert done.stdout.splitlines()[1].startswith(f"{sentence}. ")
    first, *others = findings(machine)
    assert (first["metric"], first["result"]) == (f"inventory.{metric}", "fail")
    assert (first["cause"], first["action"]) == ("configuration", "correct the setting")
    assert {one["result"] for one in others} <= {"error"}
    assert "hardware" not in {one["cause"] for one in others}


def test_how_many_gpus_cuda_finds_is_not_told_where_mig_is_on_and_that_is_said(machine: StubMachine) -> None:
    machine.set("gpu3.mig=1", "mig_instances=1")
    run(machine)
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    evidence = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["evidence"]
    assert "CUDA does not see a GPU in MIG mode: how many it finds tells nothing" in json.dumps(evidence)
    assert "CUDA does not answer" not in json.dumps(evidence)


def served(machine: StubMachine) -> None:
    """All eight GPUs are the nvidia driver's."""
    for bus in BUSES:
        host_tree.serve(machine.root, f"0000:{bus}:00.0")


def nodes(machine: StubMachine, count: int) -> None:
    for name in ("nvidiactl", "nvidia-uvm", *(f"nvidia{number}" for number in range(count))):
        (machine.root / "dev" / name).touch()


def test_a_container_that_hides_gpus_is_refused_before_they_look_missing(machine: StubMachine) -> None:
    served(machine)
    nodes(machine, 2)
    machine.set("gpus=2")
    done = run(machine)
    assert done.returncode == 3
    assert done.stderr.splitlines()[:1] == [
        "gpuaccept: this container hides GPUs: 2 of the 8 that the driver serves are in /dev"
    ]
    assert "--gpus all" in done.stderr
    assert not (machine.root / "out").exists()


def test_a_gpu_that_fell_off_the_bus_is_missing_and_not_hidden(machine: StubMachine) -> None:
    served(machine)
    nodes(machine, 8)
    machine.set("gpu3.lost=1")
    assert run(machine).returncode == 5
    first = findings(machine)[0]
    assert (first["metric"], first["cause"]) == ("inventory.gpu_count_nvml", "hardware")


def test_a_gpu_that_the_driver_would_not_take_is_missing_and_not_hidden(machine: StubMachine) -> None:
    served(machine)
    nodes(machine, 7)
    (machine.root / f"sys/bus/pci/devices/0000:{BUSES[7]}:00.0/driver").unlink()
    machine.set("gpus=7")
    assert run(machine).returncode == 5
    assert findings(machine)[0]["title"] == "A GPU is missing from slot SXM 5"


def test_a_gpu_that_a_cgroup_refuses_is_hidden(machine: StubMachine) -> None:
    served(machine)
    nodes(machine, 8)
    host, asked = Host(machine.root), []

    def refused(folder: Path, _: object) -> tuple[str, ...]:
        asked.append(folder)
        return ("nvidia7",)

    said = hidden_gpus(host, 7, lambda *_: None, refused)
    assert said == "this container hides GPUs: the kernel refuses /dev/nvidia7 to this process (a cgroup)"
    assert hidden_gpus(host, 8, lambda *_: None, refused) == ""
    assert len(asked) == 1  # nothing is opened where no GPU lacks
