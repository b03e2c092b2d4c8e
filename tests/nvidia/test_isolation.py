"""What happens on one GPU stays there: eight stub GPUs, one hangs, another faults, the others are measured."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stub_driver.machine import StubMachine, make_machine

from gpuaccept.run.journal import fold, read

needs_gcc = pytest.mark.needs("gcc")

PROFILE = """
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
        purpose: Device memory, cold, in small buffers, then the links
        steps:
          - {check: inventory}
          - check: memory_bandwidth
            state: cold
            parameters: {paths: device, buffer_mib: 1, passes: 2, repeats: 3, warm_up_passes: 0}
          - {check: ecc}
          - check: memory_bandwidth
            state: cold
            parameters: {paths: device, buffer_mib: 1, passes: 2, repeats: 3, warm_up_passes: 0}
          - check: memory_bandwidth
            state: cold
            parameters: {paths: device, buffer_mib: 1, passes: 2, repeats: 3, warm_up_passes: 0}
          - {check: nvlink, parameters: {copies: false}}
          - {check: inventory}
"""
_QUICK_TO_NOTICE = """
import sys
from gpuaccept.device import open as device
real = device.traits
device.traits = lambda spec: real(spec)._replace(silence_s=3.0)
sys.argv[0] = "gpuaccept"
from gpuaccept.cli.main import main
main()
"""
"""The command line, with a limit of silence that a test can wait for: the supervisor alone knows it."""
OTHERS = {f"gpu/{gpu}" for gpu in range(8)} - {"gpu/3", "gpu/5"}


def arguments(machine: StubMachine) -> list[str]:
    profile = machine.root / "site.yaml"
    profile.write_text(PROFILE)
    run = ["run", "--profile", str(profile), "--plan", "small", "--out", str(machine.root / "out")]
    return ["-c", _QUICK_TO_NOTICE, *run]


def evidence(machine: StubMachine) -> dict[str, Any]:
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    predicate: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    found: dict[str, Any] = predicate["evidence"]
    return found


def measured(found: dict[str, Any], metric: str) -> list[set[str]]:
    """Subjects of each visit."""
    every = [f"gpu/{gpu}" for gpu in range(8)]
    return [
        set(every if column["subjects"] == "gpu" else column["subjects"])
        for column in found["columns"]
        if column["metric"] == metric
    ]


@needs_gcc
def test_a_hang_and_a_fault_cost_their_own_gpus_alone(machine: StubMachine) -> None:
    machine.set("gpu3.fault.cuStreamSynchronize=hang", "gpu5.fault.cuLaunchKernel=719")
    began = time.monotonic()
    done = machine.run(*arguments(machine), timeout=90.0)
    spent = time.monotonic() - began
    found = evidence(machine)

    assert done.returncode in (3, 5), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert measured(found, "memory_bandwidth.copy_sm_cold") == [OTHERS] * 3
    events = [(event["kind"], event["subject"]) for event in found["events"]]
    assert events.count(("hang", "gpu/3")) == 1, events
    assert ("worker_replaced", "gpu/5") in events
    assert {event[0] for event in events} == {"hang", "worker_replaced"}
    (hang,) = [event["text"] for event in found["events"] if event["kind"] == "hang"]
    assert hang == "no progress for 3 s in cuStreamSynchronize on GPU 3: process killed"
    counter = next(column["metric"] for column in found["columns"] if column["metric"].startswith("ecc."))
    assert measured(found, counter)[0] >= OTHERS | {"gpu/5"}
    reasons = [f["reason"] for step in found["steps"] for f in step.get("failures", ()) if f["subject"] == "gpu/5"]
    assert any("719" in reason for reason in reasons)
    assert spent < 60


@needs_gcc
def test_a_gpu_that_hangs_while_the_node_is_identified_costs_itself_alone(machine: StubMachine) -> None:
    machine.set("gpu3.fault.nvmlDeviceGetUUID=hang")
    impatient = "import gpuaccept.run.identify as identify\nidentify.OPEN_LIMIT_S = 3.0\n" + _QUICK_TO_NOTICE
    done = machine.run("-c", impatient, *arguments(machine)[2:], "--only", "inventory", "--only", "ecc", timeout=90.0)
    assert done.returncode in (3, 5), done.stdout + done.stderr
    found = evidence(machine)

    assert [gpu["index"] for gpu in found["node"]["gpus"]] == [0, 1, 2, 4, 5, 6, 7]
    assert [(event["kind"], event["subject"]) for event in found["events"]] == [("hang", "gpu/3")]
    assert "in nvmlDeviceGetUUID on GPU 3 for 3 s while the node was identified" in found["events"][0]["text"]
    others = {f"gpu/{gpu}" for gpu in range(8)} - {"gpu/3"}
    assert measured(found, "inventory.serial") == [others] * 2
    failures = [f for step in found["steps"] for f in step.get("failures", ()) if f["subject"] == "gpu/3"]
    assert failures and all("left out since" in failure["reason"] for failure in failures)
    assert "GPU 3" in (machine.root / "out" / "certificate.html").read_text()


@needs_gcc
def test_a_worker_that_was_replaced_still_knows_the_kernel_log_that_the_ring_has_lost(machine: StubMachine) -> None:
    log = machine.root / "dev/kmsg"
    log.write_text("4,10,5000000,-;NVRM: Xid (PCI:0000:43:00): 48, text\n4,11,6000000,-;a line\n")
    command = arguments(machine)
    profile = machine.root / "site.yaml"
    head, steps = PROFILE.split("        steps:\n")
    assert steps
    profile.write_text(head + "        steps: [{check: host}, {check: inventory}, {check: host}]\n")
    child = subprocess.Popen(
        [sys.executable, *command], env=machine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 30
    machine.set("gpu3.fault.nvmlDeviceGetPersistenceMode=hang")
    while '"check":"host"' not in text_of(machine.root / "out/journal.jsonl").partition("\n")[2]:
        assert time.monotonic() < until
        time.sleep(0.02)
    log.write_text("4,12,7000000,-;NVRM: Xid (PCI:0000:43:00): 13, text\n")
    child.communicate(timeout=60)
    found, _ = fold(read(machine.root / "out/journal.jsonl"))

    assert ("hang", "gpu/3") in [(event.kind, event.subject) for event in found.events]
    readings = [dict(zip(c.subjects, c.samples, strict=True)) for c in found.columns if c.metric == "host.xids"]
    assert [reading["gpu/1"] for reading in readings] == [("48",), ("48, 13",)]


IMPATIENT = """
import gpuaccept.run.identify as identify
identify.OPEN_LIMIT_S = 3.0
from gpuaccept.device import open as device
real = device.traits
device.traits = lambda spec: real(spec)._replace(silence_s=1.5)
import sys
sys.argv[0] = "gpuaccept"
from gpuaccept.cli.main import main
main()
"""


@needs_gcc
def test_any_number_of_gpus_may_hang_while_the_node_is_identified(machine: StubMachine) -> None:
    hanging = (1, 3, 4, 6)
    machine.set(*(f"gpu{gpu}.fault.nvmlDeviceGetUUID=hang" for gpu in hanging))
    done = machine.run("-c", IMPATIENT, *arguments(machine)[2:], "--only", "inventory", "--only", "ecc", timeout=90.0)
    assert done.returncode in (3, 5), done.stdout + done.stderr
    found = evidence(machine)

    assert [gpu["index"] for gpu in found["node"]["gpus"]] == [0, 2, 5, 7]
    assert [(event["kind"], event["subject"]) for event in found["events"]] == [
        ("hang", f"gpu/{gpu}") for gpu in hanging
    ]
    assert measured(found, "inventory.serial") == [{"gpu/0", "gpu/2", "gpu/5", "gpu/7"}] * 2


@needs_gcc
def test_a_node_on_which_every_gpu_hangs_is_not_measured_and_says_so(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, gpus=2)
    machine.set("gpus=2", *(f"gpu{gpu}.fault.nvmlDeviceGetUUID=hang" for gpu in range(2)))
    done = machine.run("-c", IMPATIENT, *arguments(machine)[2:], timeout=90.0)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "every GPU of this node hangs" in done.stderr


@needs_gcc
def test_where_cuda_hangs_the_rest_is_measured_and_nothing_of_cuda_is_blamed_on_a_gpu(machine: StubMachine) -> None:
    machine.set("fault.cuInit=hang")
    began = time.monotonic()
    done = machine.run("-c", IMPATIENT, *arguments(machine)[2:], timeout=90.0)
    assert done.returncode == 3, done.stdout + done.stderr
    assert time.monotonic() - began < 45
    found = evidence(machine)

    (hang,) = found["events"]
    assert (hang["kind"], hang.get("subject", "node")) == ("hang", "node")
    assert "no progress in cuInit for 3 s" in hang["text"]
    assert measured(found, "inventory.serial") == [{"gpu/0..7"}] * 2
    assert measured(found, "nvlink.state") and not measured(found, "inventory.gpu_count_cuda")
    assert not measured(found, "memory_bandwidth.copy_sm_cold")
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    judgement = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["judgement"]
    assert judgement["decision"] == "not decided"
    assert {finding["result"] for finding in judgement["findings"]} == {"error"}
    assert "an unknown number by CUDA" in (machine.root / "out" / "certificate.html").read_text()
    first = judgement["findings"][0]
    assert (first["cause"], first["action"]) == ("unknown", "reboot and re-run"), first


@needs_gcc
def test_a_gpu_lost_on_the_way_leaves_the_others_their_numbers(machine: StubMachine) -> None:
    machine.set()
    child = subprocess.Popen(
        [sys.executable, *arguments(machine)], env=machine.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 30
    while '"check":"inventory"' not in text_of(machine.root / "out/journal.jsonl").partition("\n")[2]:
        assert time.monotonic() < until
        time.sleep(0.02)
    machine.set("gpu2.lost=1")
    child.communicate(timeout=60)
    found = evidence(machine)

    for subjects in measured(found, "memory_bandwidth.copy_sm_cold"):
        assert subjects >= {f"gpu/{gpu}" for gpu in range(8)} - {"gpu/2"}
    lost = {f["subject"] for step in found["steps"] for f in step.get("failures", ()) if f.get("code") == 15}
    assert lost and all(subject.startswith("gpu/2") or ">gpu/2" in subject for subject in lost)
    assert child.returncode in (3, 5)


@needs_gcc
@pytest.mark.parametrize("call", ["cuStreamSynchronize", "cuMemAlloc_v2"])
def test_no_process_is_left_of_a_supervisor_that_was_killed_while_a_call_hangs(machine: StubMachine, call: str) -> None:
    machine.set(f"fault.{call}=hang")
    child = subprocess.Popen(
        [sys.executable, *arguments(machine)],
        env=machine.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while f"call {call}" not in text_of(machine.log) and time.monotonic() < until:
        time.sleep(0.02)
    workers = [*children(child.pid), *(pid for nursery in children(child.pid) for pid in children(nursery))]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    assert len(workers) >= 10
    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in workers if alive(pid)]


@needs_gcc
def test_the_supervisor_calls_no_driver_and_a_worker_opens_no_gpu_of_another(machine: StubMachine) -> None:
    script = (
        _QUICK_TO_NOTICE.replace("main()\n", "")
        + "try:\n    main()\nexcept SystemExit:\n    pass\n"
        + "print([line for line in open('/proc/self/maps') if 'libcuda.so' in line or 'libnvidia-ml' in line])\n"
        + "print(sorted({'pynvml', 'cuda'} & {name.split('.')[0] for name in sys.modules}))\n"
    )
    machine.set()
    done = machine.run("-c", script, *arguments(machine)[2:], timeout=90.0)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"], done.stderr


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


_PRELOADED = """
from gpuaccept.device.open import DeviceSpec, preload
preload(DeviceSpec(device="nvidia"))
from cuda.bindings import driver
from pathlib import Path
def loaded(): return [name for name in ("libcuda.so", "libnvidia-ml", "libnvrtc") if name in maps()]
def maps(): return Path("/proc/self/maps").read_text()
before = loaded(), len(list(Path("/proc/self/task").iterdir()))
driver.cuInit(0)
print(before, loaded())
"""


@needs_gcc
def test_what_workers_are_forked_from_has_loaded_no_driver_and_runs_one_thread(machine: StubMachine) -> None:
    machine.set()
    done = machine.run("-c", _PRELOADED)
    assert done.stdout.strip() == "([], 1) ['libcuda.so']", done.stderr


def text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
