"""The soak kernels on the cards at hand (`pytest -m gpu`): what the tensor cores compute is what the host computes.

Where `soak_wide` passes here, its architecture may be added to `WIDE_CONFIRMED` (gpuaccept/device/nvidia/kernels.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from stub_driver.machine import StubMachine

CHILD = Path(__file__).with_name("card_soak.py")
DEADLINE_S = 300.0
"""For all GPUs of a node, a second each: a kernel that waits for itself never comes back."""
SEEDS = (1, 20251124, 2**32 - 9)
"""The last one's operands are of seeds that go on at 0."""


def soaked(command: list[str], log: Path, deadline_s: float = DEADLINE_S, **more: Any) -> list[dict[str, Any]]:
    """What the child said of each GPU. It is left behind where even a kill does not end it."""
    with log.open("w") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **more)
        try:
            code = child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.wait(5.0)
            pytest.fail(f"no end within {deadline_s:g} s, after: {log.read_text()}")
    assert code == 0, log.read_text()
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def right(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that came to the host's integers."""
    return [one for one in said if one["iterations"] > 0 and (one["mismatches"], one["odd"]) == (0, [])]


@pytest.mark.gpu
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("which", ["mma", "wide"])
def test_a_second_of_the_soak_gives_the_hosts_integers(tmp_path: Path, which: str, seed: int) -> None:
    said = soaked([sys.executable, str(CHILD), which, str(seed), "1"], tmp_path / "log")
    print(*said, sep="\n")
    ran = [one for one in said if "ran" in one]
    if not ran:
        pytest.skip("no GPU here has a wider instruction than mma.sync")
    assert right(ran) == ran


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("which", ["mma", "wide"])
def test_the_test_itself_looks_at_every_gpu_and_sees_a_wrong_one(
    machine: StubMachine, tmp_path: Path, which: str
) -> None:
    machine.set("gpus=3", "attribute16=2", f"gpu1.odd.soak_{which}=0.1.1")
    command = [sys.executable, str(CHILD), which, "1", "0.1"]
    said = soaked(command, tmp_path / "log", 60.0, env=machine.environment)
    assert [one["gpu"] for one in said] == [0, 1, 2]
    assert [one["gpu"] for one in right(said)] == [0, 2]


@pytest.mark.needs("gcc")
def test_a_gpu_that_hangs_ends_the_test_and_not_the_machine(machine: StubMachine, tmp_path: Path) -> None:
    machine.set("gpus=2", "attribute16=2", "gpu1.fault.cuStreamSynchronize=hang")
    command = [sys.executable, str(CHILD), "mma", "1", "0.1"]
    with pytest.raises(pytest.fail.Exception, match=r'no end within 4 s, after: \{"gpu": 0'):
        soaked(command, tmp_path / "log", 4.0, env=machine.environment)
