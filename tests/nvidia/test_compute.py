"""Sweeps and copies through the real kernels: what they count, and that data which did not move is found."""

from __future__ import annotations

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

MIB = 1 << 20
STEP_WORDS = 16384 // 4
"""By which each pass lands further on than the one before it."""
SWEEPS = ("read", "write", "copy", "triad", "local_copy_ce")
DIRECTIONS = ("host_to_device", "device_to_host")


def sweep(kernel: str, gpu: int = 0, size: str = "MIB", passes: int = 2, seed: int = 7) -> str:
    return f"node.memory_sweep({gpu}, {kernel!r}, {size}, {passes}, {seed})"


def host_copy(direction: str, gpu: int = 0, seed: int = 7) -> str:
    return f"node.host_copies(({gpu},), {direction!r}, 'ce', False, MIB, 2, {seed})[0]"


def test_each_kernel_counts_its_bytes_and_finds_nothing_wrong(machine: StubMachine) -> None:
    answers = machine.ask(*(sweep(kernel) for kernel in SWEEPS), *(host_copy(direction) for direction in DIRECTIONS))
    assert [(read // MIB, written // MIB) for _, read, written, _ in answers] == [
        (2, 0),
        (0, 2),
        (2, 2),
        (4, 2),
        (2, 2),
        (2, 2),
        (2, 2),
    ]
    assert all(elapsed > 0 and wrong == 0 for elapsed, _, _, wrong in answers)


def test_any_seed_will_do(machine: StubMachine) -> None:
    answers = machine.ask(*(sweep("copy", seed=seed) for seed in (0, -1, 2**63 - 1, 2**32)))
    assert [wrong for *_, wrong in answers] == [0, 0, 0, 0]


@pytest.mark.parametrize("kernel", ["bw_write", "bw_copy", "bw_triad"])
def test_one_flipped_bit_is_one_wrong_word(machine: StubMachine, kernel: str) -> None:
    machine.set(f"flip.{kernel}=1.528384.3")  # beyond the first steps, which one pass alone writes
    name = kernel.removeprefix("bw_")
    assert machine.ask(sweep(name))[0][3] == 1


def test_a_read_that_returned_something_else_is_found_where_memory_is_right(machine: StubMachine) -> None:
    machine.set("flip.bw_read=0.0.0")  # the sum that the reads make lies in the first allocation
    assert machine.ask(sweep("read", passes=1))[0][3] == 1


def test_a_bit_that_flipped_under_a_read_is_found(machine: StubMachine) -> None:
    machine.set("flip.bw_write=1.512.7")
    assert machine.ask(sweep("read"))[0][3] == 1


@pytest.mark.parametrize("fault", ["none", "displaced"])
def test_a_copy_that_did_not_copy_is_never_a_result(machine: StubMachine, fault: str) -> None:
    machine.set(f"copy={fault}")
    answers = machine.ask(sweep("local_copy_ce"), *(host_copy(direction) for direction in DIRECTIONS))
    assert all(wrong > MIB // 8 for *_, wrong in answers)


@pytest.mark.parametrize(
    ("question", "working"),
    [(sweep("local_copy_ce"), 1), (host_copy("host_to_device"), 2), (host_copy("device_to_host"), 1)],
)
def test_what_the_warm_up_copied_does_not_stand_in_for_what_was_timed(
    machine: StubMachine, question: str, working: int
) -> None:
    machine.set(f"copy_limit={working}")  # what comes before the warm-up, and the warm-up's first pass
    assert machine.ask(question)[0][3] == MIB // 4 + STEP_WORDS


WITHOUT_WARM_UP = "setattr(timing, 'IDLE_S', float('inf'))"


@pytest.mark.parametrize("passes", [2, 8])
@pytest.mark.parametrize("kernel", ["local_copy_ce", "host_to_device", "device_to_host"])
def test_one_pass_that_moved_nothing_is_found_among_those_that_did(
    machine: StubMachine, kernel: str, passes: int
) -> None:
    """Whichever it was: the last one moves nothing, then the last two, and so on."""
    question = (
        sweep(kernel, passes=passes)
        if kernel == "local_copy_ce"
        else host_copy(kernel).replace("MIB, 2", f"MIB, {passes}")
    )
    assert f"MIB, {passes}" in question
    before = {"local_copy_ce": 0, "host_to_device": 1, "device_to_host": 1}[kernel]  # copies that are not timed
    for moved in range(passes):
        machine.set(f"copy_limit={before + moved}")
        *_, wrong = machine.ask(WITHOUT_WARM_UP, question)[1]
        assert wrong > 0, f"{moved} of {passes} moved"
    machine.set(f"copy_limit={before + passes + 1}")
    assert machine.ask(WITHOUT_WARM_UP, question)[1][3] == 0


def test_a_stale_result_of_the_same_seed_does_not_pass(machine: StubMachine) -> None:
    """The destination is overwritten with another pattern before each copy."""
    question = (
        f"({host_copy('host_to_device')}, open(__import__('os').environ['STUB_STATE'], 'w').write('copy=none\\n'))"
    )
    first, second = machine.ask(question, host_copy("host_to_device"))
    assert first[0][3] == 0
    assert second[3] == MIB // 4 + STEP_WORDS


def test_out_of_memory_is_an_error_and_leaves_nothing_behind(machine: StubMachine) -> None:
    machine.set("memory_mb=3")
    triad, again, copy = machine.ask(sweep("triad"), sweep("triad"), sweep("copy"))
    assert triad == again == {"error": ["cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", 0]}
    assert copy[3] == 0


def test_a_buffer_that_is_not_whole_tiles_is_refused(machine: StubMachine) -> None:
    (answer,) = machine.ask(sweep("copy", size="MIB + 4"))
    assert answer["error"][2] == "a buffer is a multiple of 16384 bytes"


@pytest.mark.parametrize(("code", "name"), [(719, "CUDA_ERROR_LAUNCH_FAILED"), (214, "CUDA_ERROR_ECC_UNCORRECTABLE")])
def test_a_gpu_that_fails_takes_no_other_with_it(machine: StubMachine, code: int, name: str) -> None:
    machine.set(f"gpu1.fault.cuStreamSynchronize={code}")
    bad, good = machine.ask(sweep("copy", gpu=1), sweep("copy", gpu=0))
    assert bad == {"error": ["cuStreamSynchronize", code, name, 1]}
    assert good[3] == 0


def test_a_gpu_that_is_lost_in_mid_run_is_an_error_with_its_name(machine: StubMachine) -> None:
    lose = "open(__import__('os').environ['STUB_STATE'], 'w').write('gpu2.lost=1\\n')"
    before, _, after, ecc, other = machine.ask(
        sweep("copy", gpu=2), lose, sweep("copy", gpu=2), "node.ecc(2)", sweep("copy", gpu=3)
    )
    assert before[3] == other[3] == 0
    assert after["error"][1:] == [719, "CUDA_ERROR_LAUNCH_FAILED", 2]
    assert ecc["error"][1:] == [15, "NVML_ERROR_GPU_IS_LOST", 2]


def test_a_kernel_that_does_not_compile_is_an_error_with_the_compilers_words(machine: StubMachine) -> None:
    machine.set("attribute75=3")
    (answer,) = machine.ask(sweep("copy"))
    call, code, text, gpu = answer["error"]
    assert (call, code != 0, gpu) == ("nvrtcCompileProgram", True, 0)
    assert "sm_30" in text


def test_every_driver_call_is_announced_with_its_gpu(machine: StubMachine) -> None:
    _, announced = machine.ask(sweep("copy", gpu=5), "list(calls)")
    assert {gpu for gpu, call in announced if call.startswith(("cuMem", "cuLaunch", "cuStream"))} == {5}
    made = machine.log.read_text().split().count("cuLaunchKernel")
    assert made == sum(call == "cuLaunchKernel" for _, call in announced) > 5
