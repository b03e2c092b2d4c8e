"""Square waves of load on the stub driver: how many bursts, how long, and what comes of a GPU that fails."""

from __future__ import annotations

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

FEW_SMS = "attribute16=2"
PHASES = (True, False)


@pytest.fixture
def machine(machine: StubMachine) -> StubMachine:
    """A machine whose GPUs have few SMs: the host runs their threads one after the other."""
    machine.set(FEW_SMS)
    return machine


def waves(frequency: float, in_phase: bool = True, seconds: float = 0.3, gpus: tuple[int, ...] = (0, 1)) -> str:
    return f"node.load_waves({gpus}, {frequency}, {in_phase}, {seconds}, 5)"


@pytest.mark.parametrize("in_phase", PHASES)
@pytest.mark.parametrize(("frequency", "bursts"), [(1.0, 1), (10.0, 3), (100.0, 30)])
def test_every_gpu_runs_the_bursts_of_a_wave_and_all_results_are_right(
    machine: StubMachine, frequency: float, bursts: int, in_phase: bool
) -> None:
    (ran,) = machine.ask(waves(frequency, in_phase))
    assert [one[0] for one in ran] == [bursts] * 2
    assert [one[2] for one in ran] == [0, 0]
    assert {one[3] for one in ran} == {"gpuaccept soak_mma (mma.sync bf16) sm_100"}
    assert machine.left() == []


@pytest.mark.parametrize("in_phase", PHASES)
def test_a_wave_lasts_as_long_as_it_is_asked_to(machine: StubMachine, in_phase: bool) -> None:
    before, _, after = machine.ask("node.now()", waves(2.0, in_phase, 1.0), "node.now()")
    assert after - before > 0.5  # the last period ends with its load; a start of some GPUs comes later


def test_results_of_an_sm_that_computes_something_else_are_counted(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "odd.soak_mma=0.1.1")
    (ran,) = machine.ask(waves(20.0))
    assert [one[0] for one in ran] == [6, 6]
    assert all(one[2] >= 8 * 6 for one in ran)  # 8 warps of one block, each time


@pytest.mark.parametrize("in_phase", PHASES)
def test_a_gpu_that_fails_leaves_the_others_their_waves(machine: StubMachine, in_phase: bool) -> None:
    text = f"{FEW_SMS}\\ngpu1.fault.cuLaunchKernel=719\\n"
    fail = f"lambda: open(__import__('os').environ['STUB_STATE'], 'w').write('{text}')"
    later = f"[__import__('threading').Timer(0.5, {fail}).start() for _ in range(1)]"
    *_, ran = machine.ask(waves(50.0, in_phase, 0.1, (0, 1, 2)), later, waves(50.0, in_phase, 1.0, (0, 1, 2)))
    assert ran[1][:2] == ["cuLaunchKernel", 719]
    assert [(one[0], one[2]) for one in (ran[0], ran[2])] == [(50, 0)] * 2


def test_no_wave_runs_beside_a_load_or_of_no_frequency(machine: StubMachine) -> None:
    zero, _, beside, _ = machine.ask(waves(0.0), "node.load_begin(0, 1)", waves(10.0), "node.load_end(0)")
    assert zero["error"][0] == beside["error"][0] == "load_waves"
    assert "runs already" in beside["error"][2]
