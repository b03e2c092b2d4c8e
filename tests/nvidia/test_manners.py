"""A run disturbs nobody who did not agree, and changes nothing on the cards."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from stub_driver.machine import StubMachine

import gpuaccept

needs_gcc = pytest.mark.needs("gcc")
_SETTERS = re.compile(
    r"\b(nvml(?:Device|System|GpuInstance|Unit|Vgpu)?\w*(?:Set(?!Get)|Reset|Clear|Create(?=Gpu)|Destroy(?=Gpu)"
    r"|Freeze|Modify|Register(?=.*Power)|Update|Remove|Power(?:Smoothing|Profile)\w*)\w*"
    r"|cu(?:CtxSetLimit|DevicePrimaryCtxSetFlags|DevicePrimaryCtxReset|CtxSetCacheConfig|DeviceSet\w*))\b"
)
_ALLOWED = {"nvmlEventSetCreate", "nvmlEventSetWait", "nvmlEventSetWait_v2", "nvmlEventSetFree"}
"""A set of events to listen to, in this process: no setter."""


def run(machine: StubMachine, *more: str):  # type: ignore[no-untyped-def]
    out = str(machine.root / "out")
    return machine.run("-m", "gpuaccept", "run", "--profile", "hgx-b200", "--plan", "quick", "--out", out, *more)


@needs_gcc
def test_a_node_in_use_is_refused_with_process_program_gpu_and_remedy(machine: StubMachine) -> None:
    machine.set("gpu6.pids=4242,4243", "process4242=/usr/bin/python3")
    done = run(machine)
    first, remedy = done.stderr.splitlines()[:2]

    assert done.returncode == 3
    assert first == (
        "gpuaccept: the node is in use: process 4242 (python3) computes on GPU 6, and 1 more on 1 GPU in all"
    )
    assert "--force-busy" in remedy
    assert not (machine.root / "out").exists()


@needs_gcc
def test_a_run_that_was_forced_on_a_busy_node_says_so_in_record_and_answer(machine: StubMachine) -> None:
    machine.set("gpu6.pids=4242", "process4242=/usr/bin/python3")
    done = run(machine, "--force-busy")

    assert "computes on GPU 6: measured all the same (--force-busy)" in done.stdout
    envelope = json.loads((machine.root / "out" / "record.json").read_bytes())
    events = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["evidence"]["events"]
    assert [(event["kind"], event["subject"]) for event in events] == [("other_process", "gpu/6")]
    assert "process 4242 (python3)" in (machine.root / "out" / "certificate.html").read_text()


def test_nothing_that_sets_a_clock_limit_or_mode_is_ever_named() -> None:
    named = {
        (path.name, name)
        for folder in (Path(gpuaccept.__file__).parent, Path(gpuaccept.__file__).parents[1] / "checks")
        for path in folder.rglob("*.py")
        for name in _SETTERS.findall(path.read_text())
        if name not in _ALLOWED
    }
    assert named == set()


@pytest.mark.parametrize(
    "name",
    [
        "nvmlDeviceSetPowerManagementLimit",
        "nvmlDeviceSetGpuLockedClocks",
        "nvmlDeviceResetGpuLockedClocks",
        "nvmlDeviceSetPersistenceMode",
        "nvmlDeviceSetMigMode",
        "nvmlDeviceClearEccErrorCounts",
        "nvmlDeviceResetNvLinkErrorCounters",
        "cuDevicePrimaryCtxReset",
        "cuCtxSetLimit",
    ],
)
def test_the_search_for_setters_finds_them(name: str) -> None:
    assert _SETTERS.findall(f'nvml.call(0, "{name}", 1)') == [name]
