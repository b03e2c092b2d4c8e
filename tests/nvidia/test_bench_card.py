"""The bench of a card runs through every part of itself on the stub driver, whose figures mean nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from stub_driver.machine import StubMachine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import bench_card
import kernel_sass
import plain_copy

needs_gcc = pytest.mark.needs("gcc")
NVBANDWIDTH = """
Running device_local_copy.
memcpy local GPU(column) bandwidth (GB/s)
           0         1
 0   1519.07   1518.11

SUM device_local_copy 3037.18
"""
BABELSTREAM = """
Function    MBytes/sec  Min (sec)   Max         Average
Copy        2912345.600 0.00295     0.00297     0.00296
Mul         2901234.500 0.00296     0.00298     0.00297
"""


def test_other_tools_are_read_as_memory_traffic_in_both_directions() -> None:
    assert bench_card.nvbandwidth_rate(NVBANDWIDTH) == pytest.approx(3038.14)
    assert bench_card.nvbandwidth_rate(" 0   3312.50\n") == pytest.approx(6625.0)
    assert bench_card.babelstream_rate(BABELSTREAM) == pytest.approx(2912.3456)
    assert bench_card.nvbandwidth_rate("ERROR: no device") is None
    assert bench_card.babelstream_rate("") is None


@pytest.mark.skipif(not kernel_sass.TOOL.is_file(), reason="nvidia-cuda-cuobjdump is not installed")
def test_the_plain_copy_kernel_is_what_its_name_says(tmp_path: Path) -> None:
    cubin = tmp_path / "plain.cubin"
    cubin.write_bytes(plain_copy.compiled("sm_90"))
    kernel = kernel_sass.read_cubin(cubin)[plain_copy.KERNEL]
    assert (kernel.loads, kernel.stores, kernel.local_accesses) == ((), (), 0)  # none of 128 bits or more
    assert kernel.opcodes.count("LDG.E.64") == 1
    assert bench_card.plain_rate("4012.5\n") == 4012.5
    assert bench_card.plain_rate("") is None


@needs_gcc
@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("", "CUDA_ERROR_NOT_FOUND"),
        ("fault.cuMemAlloc_v2=2", "CUDA_ERROR_OUT_OF_MEMORY"),
        ("gpus=0", "CUDA finds no GPU"),
    ],
    ids=["the stub has no such kernel", "no memory", "no GPU"],
)
def test_a_plain_copy_that_can_not_be_made_says_why(machine: StubMachine, state: str, why: str) -> None:
    machine.set(state)
    done = machine.run(str(Path(plain_copy.__file__)), "64")
    assert done.returncode == 1 and done.stdout == ""
    assert why in done.stderr.splitlines()[-1]


@needs_gcc
def test_a_plain_copy_is_timed_and_verified(machine: StubMachine) -> None:
    """By a kernel that the stub has, whose block copies 16 KiB there; then by one that leaves out half."""
    setup = f"import sys; sys.path.insert(0, {str(Path(plain_copy.__file__).parent)!r}); import plain_copy"
    whole, part = (
        machine.run("-c", f"{setup} as p; p.KERNEL, p.THREADS, p.BLOCK_BYTES = 'bw_copy', 256, {size}; p.main(1 << 20)")
        for size in (16 << 10, 32 << 10)
    )
    assert bench_card.plain_rate(whole.stdout) is not None, whole.stderr
    assert "words were not copied" in part.stderr and part.stdout == ""


@needs_gcc
def test_without_a_card_it_says_why(machine: StubMachine) -> None:
    machine.set("gpus=0")
    assert bench_card.find_card(machine.environment) == (
        "CUDA finds no GPU on this machine: cuInit returned 100 (CUDA_ERROR_NO_DEVICE)"
    )


@needs_gcc
def test_every_figure_comes_from_the_record_of_a_run(machine: StubMachine) -> None:
    machine.set("gpus=1", "memory_mb=183359")
    for name, text in (("nvbandwidth", NVBANDWIDTH), ("cuda-stream", BABELSTREAM)):
        tool = machine.root / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\ncat <<'END'{text}END\n")
        tool.chmod(0o755)
    environment = {**machine.environment, "STUB_IDLE": "1", "PATH": f"{machine.root / 'bin'}:{os.environ['PATH']}"}

    facts = bench_card.find_card(environment)
    assert not isinstance(facts, str)
    only = ("inventory", "memory_bandwidth", "memory_integrity", "thermal_soak")
    figures = bench_card.measure(facts, environment, soak_s=1.0, only=only)

    lines = [figure.line() for figure in figures]
    assert all(figure.value is not None for figure in figures), lines
    assert [line.split(",")[0].split(":")[0].strip() for line in lines] == [
        "memory copy",
        *["memory integrity"] * 4,
        "soak",
        "node",
        "without soaks",
    ]
    assert "BabelStream" in lines[0] or "nvbandwidth 3038.1" in lines[0]
