"""The soak load and matrix products: exact results, whichever library or kernel gives them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stub_driver.machine import StubMachine

from gpuaccept.device.nvidia.kernels import WIDE_CONFIRMED
from gpuaccept.device.nvidia.soak_kernel import MMA, WIDE_ROWS, idle_sms, kernel_for, wide
from gpuaccept.device.nvidia.soak_reference import signature

pytestmark = pytest.mark.needs("gcc")

FEW_SMS = "attribute16=3"
SAMPLE = "[n for block in node.sensors((0,), 0.3, 0.1) for n in block[0].iterations]"
END = "node.load_end(0)"
PRECISIONS = ("fp64", "tf32", "fp16", "bf16", "fp8", "int8")


@pytest.fixture
def machine(machine: StubMachine) -> StubMachine:
    """A machine whose GPUs have few SMs: the host runs their threads one after the other."""
    machine.set(FEW_SMS)
    return machine


@pytest.fixture
def cublaslt(machine: StubMachine) -> StubMachine:
    """The same with cuBLASLt installed."""
    return replace(machine, cublaslt=True)


def gemm(precision: str = "bf16", size: int = 128, passes: int = 2, seed: int = 3) -> str:
    return f"node.gemm(0, {precision!r}, {size}, {passes}, {seed})"


# --- soak ----------------------------------------------------------------------------------------------------------


def test_the_load_runs_while_sensors_are_read_and_ends_when_told(machine: StubMachine) -> None:
    _, shown, result, after = machine.ask("node.load_begin(0, 5)", SAMPLE, END, SAMPLE)
    iterations, mismatches, implementation, digest, odd, idle = result
    assert shown == sorted(shown)
    assert 0 < shown[-1] <= iterations
    assert (mismatches, odd, idle) == (0, [], [])
    assert implementation == "gpuaccept soak_mma (mma.sync bf16) sm_100"
    assert len(digest) == 64
    assert set(after) == {0}
    assert machine.left() == []


def test_every_gpu_is_held_against_the_same_result(machine: StubMachine) -> None:
    begin = [f"node.load_begin({gpu}, {seed})" for gpu, seed in ((0, 5), (3, 5), (6, 6))]
    *_, one, two, other = machine.ask(*begin, "node.wait(0.2)", *(f"node.load_end({gpu})" for gpu in (0, 3, 6)))
    assert one[3] == two[3] != other[3]
    assert one[1] == two[1] == other[1] == 0


def test_the_hosts_integers_do_not_depend_on_the_kernel(machine: StubMachine) -> None:
    """The signature grows with the steps as the sums do, and differs for each seed."""
    assert len({signature(seed, steps) for seed in range(8) for steps in (2, 4, 100_000)}) == 24


def test_one_sm_that_computes_something_else_has_its_name(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "odd.soak_mma=0.1.4")
    *_, result = machine.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)
    assert result[4] == [4]
    assert result[1] >= 8 * result[0]  # all 8 warps of one block, each time


def test_an_sm_that_is_given_nothing_to_do_has_its_name(machine: StubMachine) -> None:
    machine.set("attribute16=4", "resident=1", "moved.soak_mma=2.1")
    *_, result = machine.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)
    assert (result[1], result[4], result[5]) == (0, [], [2])


@pytest.mark.parametrize(
    ("done", "sms", "idle"),
    [([8, 8, 8, 0], 3, ()), ([8, 0, 8, 0], 3, (1,)), ([8, 0, 8, 8], 3, ()), ([0, 0, 8, 8], 4, (0, 1))],
    ids=["all", "one is idle", "numbers with a hole", "two are idle"],
)
def test_sms_are_idle_only_where_fewer_worked_than_there_are(done: list[int], sms: int, idle: tuple[int, ...]) -> None:
    assert idle_sms(done, sms) == idle


def test_memory_that_changes_under_the_load_is_a_mismatch(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "stuck=1.4096.3.1")
    ones = machine.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)[2]
    machine.set(FEW_SMS, "stuck=1.4096.3.0")
    zeros = machine.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)[2]
    assert sorted((ones[1], zeros[1])) == [0, 2]  # one of the two is what is there; the copy has it too
    assert ones[4] == zeros[4] == []


def test_launches_that_are_not_done_are_not_counted_before_the_end(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "fault.cuEventQuery=600")
    _, shown, result = machine.ask("node.load_begin(0, 5)", SAMPLE, END)
    assert set(shown) == {0}
    assert result[0] > 0


@pytest.mark.parametrize(("call", "code"), [("cuLaunchKernel", 719), ("cuEventQuery", 214), ("cuEventRecord", 999)])
def test_a_gpu_that_fails_under_load_is_told_at_the_end_and_the_others_go_on(
    machine: StubMachine, call: str, code: int
) -> None:
    text = f"{FEW_SMS}\\ngpu1.fault.{call}={code}\\n"
    fail = f"open(__import__('os').environ['STUB_STATE'], 'w').write('{text}')"
    sample = "[list(block) for block in node.sensors((0, 1), 0.2, 0.1)]"
    *_, sampled, bad, good = machine.ask(
        "node.load_begin(0, 5)", "node.load_begin(1, 5)", fail, sample, "node.load_end(1)", "node.load_end(0)"
    )
    assert sampled == [[0, 1]] * len(sampled)
    assert bad["error"][0::3] == [call, 1] and bad["error"][1] == code
    assert good[1] == 0 and good[0] > 0


def test_loads_begin_and_end_in_turn(machine: StubMachine) -> None:
    early, _, twice, _, late = machine.ask(END, "node.load_begin(0, 1)", "node.load_begin(0, 1)", END, END)
    assert "load_begin comes first" in early["error"][2]
    assert "runs already" in twice["error"][2]
    assert "load_begin comes first" in late["error"][2]


@pytest.mark.parametrize(
    "fault", ["cuEventCreate=2@4", "cuMemAlloc_v2=2@4", "cuOccupancyMaxActiveBlocksPerMultiprocessor=1@1"]
)
def test_a_load_that_can_not_begin_leaves_nothing_behind(machine: StubMachine, fault: str) -> None:
    machine.set(FEW_SMS, f"fault.{fault}")
    failed, _, result = machine.ask("node.load_begin(0, 1)", "node.load_begin(0, 1)", END)
    assert failed["error"][0] == fault.split("=")[0].removesuffix("_v2")
    assert result[1] == 0
    assert machine.left() == []


def test_a_load_that_was_never_ended_is_given_back_with_the_node(machine: StubMachine) -> None:
    machine.ask("node.load_begin(0, 1)", "node.wait(0.1)")
    assert machine.left() == []


# --- at the tensor cores' full rate ---------------------------------------------------------------------------------

WIDE = "setattr(__import__('gpuaccept.device.nvidia.kernels').device.nvidia.kernels, 'WIDE_CONFIRMED', {'sm_100'})"


def test_the_wide_soak_is_off_until_a_card_has_confirmed_it(machine: StubMachine) -> None:
    assert frozenset() == WIDE_CONFIRMED
    facts, *_ = machine.ask("node.facts().kernels")
    assert {one["file"] for one in facts} == {"stream.cu", "memtest.cu", "soak.cu"}


def test_the_wide_soak_runs_where_it_is_confirmed_and_the_facts_say_so(machine: StubMachine) -> None:
    _, facts, _, shown, result = machine.ask(WIDE, "node.facts().kernels", "node.load_begin(0, 5)", SAMPLE, END)
    assert [(one["file"], one["architecture"], one["made"]) for one in facts][2:] == [
        ("soak.cu", "sm_100", "shipped"),
        ("soak_wide.cu", "sm_100a", "shipped"),
    ]
    iterations, mismatches, implementation, digest, odd, _ = result
    assert 0 < shown[-1] <= iterations
    assert (mismatches, odd) == (0, [])
    assert implementation == "gpuaccept soak_wide (tcgen05 bf16) sm_100"
    assert len(digest) == 64
    assert machine.left() == []


def test_one_sm_that_is_wrong_under_the_wide_soak_has_its_name(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "odd.soak_wide=0.1.4")
    *_, result = machine.ask(WIDE, "node.load_begin(0, 5)", "node.wait(0.1)", END)
    assert result[4] == [4]
    assert result[1] >= result[0]


NEITHER_SHIPPED_NOR_COMPILED = """[__import__('sys').modules.update({'cuda.bindings.nvrtc': None}),
    setattr(__import__('sys').modules['gpuaccept.device.nvidia.cubins'], 'serving', lambda known, file, wanted: None
    if file == 'soak_wide.cu' else next(one for one in known if (one.file, one.architecture) == (file, wanted)))]"""


@pytest.mark.parametrize(
    ("before", "state"),
    [
        ("None", ["fault.cuModuleLoadData=209@2"]),  # an old driver; stream.cu is the first that it loads
        ("None", ["fault.cuModuleLoadData=200@2"]),
        (NEITHER_SHIPPED_NOR_COMPILED, []),
    ],
)
def test_a_wide_soak_that_does_not_load_leaves_the_work_to_the_other(
    machine: StubMachine, before: str, state: list[str]
) -> None:
    machine.set(FEW_SMS, *state)
    *_, result = machine.ask(WIDE, before, "node.load_begin(0, 5)", SAMPLE, END)
    assert result[1:3] == [0, "gpuaccept soak_mma (mma.sync bf16) sm_100"]
    assert machine.left() == []


def test_a_wide_soak_that_fails_on_the_gpu_is_the_gpus_failure(machine: StubMachine) -> None:
    machine.set(FEW_SMS, "fault.cuModuleLoadData=719@2")
    *_, failed, _ = machine.ask(WIDE, "node.load_begin(0, 5)", END)
    assert failed["error"][:2] == ["cuModuleLoadData", 719]


@pytest.mark.parametrize("architecture", [one for one in WIDE_ROWS if one != "sm_90"])
def test_no_third_block_fits_where_tensor_memory_has_room_for_two(architecture: str) -> None:
    kernel = wide(architecture)
    own, reserved = 17436, 1 << 10  # what cuobjdump says of the kernel, and what CUDA takes a block
    assert kernel is not None
    assert (228 << 10) // (kernel.shared + own + reserved) == kernel.blocks == 2


def test_an_architecture_without_wider_instructions_keeps_its_soak() -> None:
    assert wide("sm_120") is None
    assert kernel_for("sm_120") == kernel_for("sm_90") == MMA


# --- cuBLASLt ------------------------------------------------------------------------------------------------------


def test_cublaslt_drives_the_soak_where_it_is_installed(cublaslt: StubMachine) -> None:
    _, shown, result = cublaslt.ask("node.load_begin(0, 5)", SAMPLE, END)
    assert 0 < shown[-1] <= result[0]
    assert result[1:3] == [0, "cublasLt 13.0.2 bf16 128 beside copies"]
    assert result[4] is None  # which SM it was, a library does not tell
    assert cublaslt.left() == []


def test_memory_is_copied_beside_the_products_and_neither_gets_ahead(cublaslt: StubMachine) -> None:
    *_, result = cublaslt.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)
    log = cublaslt.log.read_text().splitlines()
    waits = [line.split()[1:] for line in log if line.startswith("waits ")]
    products, copies = set(map(tuple, waits[1::2])), set(map(tuple, waits[::2]))
    ((main, beside),) = products
    assert copies == {(beside, main)} and main != beside
    assert len(waits) == 2 * result[0]
    assert log.count("call cuMemcpyDtoDAsync_v2") >= result[0]


def test_memory_that_changes_beside_the_products_is_a_mismatch(cublaslt: StubMachine) -> None:
    found = []
    for value in (0, 1):
        cublaslt.set(FEW_SMS, f"stuck=6.4096.3.{value}")
        found.append(cublaslt.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)[2])
    assert sorted(result[1] for result in found) == [0, 2]  # one of the two is what is there; the copy has it too
    assert all(result[0] > 0 for result in found)


@pytest.mark.parametrize("fault", ["none", "wrong"])
def test_a_product_that_is_wrong_under_load_is_a_mismatch(cublaslt: StubMachine, fault: str) -> None:
    cublaslt.set(FEW_SMS, f"cublaslt={fault}")
    *_, result = cublaslt.ask("node.load_begin(0, 5)", "node.wait(0.1)", END)
    assert result[1] == result[0] > 0


def test_cublaslt_that_does_not_work_leaves_the_soak_to_our_kernel(cublaslt: StubMachine) -> None:
    cublaslt.set(FEW_SMS, "cublaslt.no_kernel=1")
    *_, result = cublaslt.ask("node.load_begin(0, 5)", END)
    assert result[2].startswith("gpuaccept soak_mma")
    assert cublaslt.left() == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_products_are_right_in_every_element(cublaslt: StubMachine, precision: str) -> None:
    elapsed, operations, wrong, implementation = cublaslt.ask(gemm(precision))[0]
    assert elapsed > 0
    assert operations == 2 * 2 * 128**3
    assert wrong == 0
    assert implementation == f"cublasLt 13.0.2 {precision}"
    assert cublaslt.left() == []


def test_one_wrong_element_is_counted(cublaslt: StubMachine) -> None:
    cublaslt.set("cublaslt=wrong")
    assert [answer[2] for answer in cublaslt.ask(gemm("bf16"), gemm("fp64"))] == [1, 1]


def test_a_product_that_was_not_timed_is_not_taken_for_one_that_was(cublaslt: StubMachine) -> None:
    """The result is overwritten after the warm-up."""
    cublaslt.set("cublaslt_limit=1")
    assert cublaslt.ask(gemm())[0][2] == 128**2


def test_sizes_that_would_not_be_exact_are_refused(cublaslt: StubMachine) -> None:
    odd, large = cublaslt.ask(gemm(size=100), gemm("fp8", 16384))
    assert odd["error"] == ["gemm", 0, "the size of a bf16 product is a multiple of 128 up to 32768", 0]
    assert large["error"] == ["gemm", 0, "the size of a fp8 product is a multiple of 128 up to 8192", 0]


def test_without_cublaslt_a_product_says_so(machine: StubMachine) -> None:
    reason = "cuBLASLt is not installed on this node: pip install nvidia-cublas"
    assert machine.ask(gemm())[0] == {"error": ["cublasLtCreate", 0, reason, 0]}


@pytest.mark.parametrize("call", ["cublasLtCreate", "cublasLtMatmulDescCreate", "cublasLtMatmul"])
def test_an_error_of_cublaslt_has_its_name_and_leaves_nothing_behind(cublaslt: StubMachine, call: str) -> None:
    cublaslt.set(f"fault.{call}=13@1")
    failed, again = cublaslt.ask(gemm(), gemm())
    assert failed == {"error": [call, 13, "CUBLAS_STATUS_EXECUTION_FAILED", 0]}
    assert again[2] == 0
    assert cublaslt.left() == []
