"""The machine code that is shipped: made of these sources, wide accesses, enough of them in flight, no local memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))

import kernel_sass
from kernel_sass import Instruction, Kernel, loads_before_use, registers

from gpuaccept.device.nvidia.cubins import COMPILED, SPECIFIC, read_digests
from gpuaccept.device.nvidia.kernels import KERNELS

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "checks" / "kernels" / COMPILED
WIDTH = {"sm_80": 128, "sm_90": 128, "sm_100": 256, "sm_103": 256, "sm_120": 256}
KIB_PER_SM = {"sm_80": 16, "sm_90": 48, "sm_100": 64, "sm_103": 64, "sm_120": 16}
"""Bytes in flight that an SM needs for full bandwidth: CUB's tuned minima (CCCL, cc_to_min_bytes_in_flight) for A100,
H200 and B200. GDDR7 (1.8 TB/s over 188 SMs) needs less than an A100's SM does."""
TENSOR = {"sm_90a": "HGMMA.64x256x16.F32.BF16", "sm_100a": "UTCHMMA", "sm_103a": "UTCHMMA"}
"""The instruction of the tensor cores' full rate."""
TIMED = (
    "bw_read",
    "bw_copy",
    "bw_triad",
    *(name for name in KERNELS["memtest.cu"] if name.startswith(("step", "check"))),
)
STORING = ("bw_write", "bw_copy", "bw_triad", *(n for n in KERNELS["memtest.cu"] if n.startswith(("step", "write"))))
CASES = [(architecture, name) for architecture in WIDTH for name in dict.fromkeys((*TIMED, *STORING))]


@pytest.fixture(scope="module")
def kernels() -> dict[tuple[str, str], Kernel]:
    """Every kernel that is shipped, by architecture and name."""
    return {(one.architecture, name): kernel for one, found in kernel_sass.shipped() for name, kernel in found.items()}


def problems(folder: Path) -> list[str]:
    """What a rebuild, in a process of its own, finds of the folder."""
    script = ROOT / "scripts" / "build_kernels.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check", str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    found = done.stderr.splitlines()
    assert done.stdout.startswith("18 CUBINs") or folder != FOLDER, done.stdout
    assert done.returncode == bool(found)
    return found


def test_the_shipped_bytes_are_those_of_a_rebuild() -> None:
    assert problems(FOLDER) == []


def test_a_byte_that_differs_is_found(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    soak = tmp_path / "soak.sm_90.cubin"
    soak.write_bytes(soak.read_bytes()[:-1] + b"?")
    (tmp_path / "soak.sm_75.cubin").touch()

    assert problems(tmp_path) == [
        "soak.sm_90.cubin differs from a rebuild",
        "soak.sm_75.cubin is not built by this script",
    ]


def test_every_kernel_that_is_called_is_shipped_for_every_architecture(kernels: dict[tuple[str, str], Kernel]) -> None:
    everywhere = {name for file, names in KERNELS.items() for name in names if file not in SPECIFIC}
    assert kernels.keys() == {(arch, name) for arch in WIDTH for name in everywhere} | {
        (arch, "soak_wide") for arch in TENSOR
    }
    assert len(read_digests().cubins) == 3 * len(WIDTH) + len(TENSOR)


def test_no_kernel_touches_local_memory(kernels: dict[tuple[str, str], Kernel]) -> None:
    assert {key for key, one in kernels.items() if one.local_accesses or one.stack_bytes} == set()


@pytest.mark.parametrize(("architecture", "name"), CASES)
def test_accesses_are_as_wide_as_the_architecture_has_them(
    kernels: dict[tuple[str, str], Kernel], architecture: str, name: str
) -> None:
    kernel = kernels[architecture, name]
    assert set(kernel.loads + kernel.stores) == {WIDTH[architecture]}
    assert len(kernel.loads) == (0 if name not in TIMED else 8 if name == "bw_triad" else 4)
    assert len(kernel.stores) == (4 if name in STORING else 0)


@pytest.mark.parametrize("architecture", WIDTH)
def test_enough_bytes_are_in_flight_before_the_first_wait(
    kernels: dict[tuple[str, str], Kernel], architecture: str
) -> None:
    least = {name: kernels[architecture, name].kib_per_sm(architecture) for name in TIMED}
    assert {name: kib for name, kib in least.items() if kib < KIB_PER_SM[architecture]} == {}
    assert all(kernels[architecture, name].in_flight >= 3 for name in TIMED)


@pytest.mark.parametrize("architecture", WIDTH)
def test_the_soak_runs_on_tensor_cores_with_memory_traffic_beside_them(
    kernels: dict[tuple[str, str], Kernel], architecture: str
) -> None:
    soak = kernels[architecture, "soak_mma"]
    assert "HMMA.16816.F32.BF16" in soak.opcodes
    assert soak.loads == soak.stores == (WIDTH[architecture],)


@pytest.mark.parametrize("architecture", TENSOR)
def test_the_wide_soak_queues_a_whole_chunk_of_products_at_a_time(
    kernels: dict[tuple[str, str], Kernel], architecture: str
) -> None:
    wide, product = kernels[architecture, "soak_wide"], TENSOR[architecture]
    places = [place for place, opcode in enumerate(wide.opcodes) if opcode == product]
    between = set(wide.opcodes[places[0] : places[-1]])
    assert len(places) == 16
    assert not [
        one for one in between if one.startswith(("WARPGROUP", "SYNCS", "BAR", "BRA", "ELECT", "LD", "ST", "MOV"))
    ]
    assert set(wide.loads) == set(wide.stores) == {WIDTH[architecture.removesuffix("a")]}
    assert len(wide.loads) == len(wide.stores) == 2
    assert wide.registers * 128 * 2 <= kernel_sass.REGISTERS_PER_SM  # two blocks on an SM


def test_a_product_of_wgmma_is_touched_by_nothing_else_before_the_last_wait(
    kernels: dict[tuple[str, str], Kernel],
) -> None:
    code = kernels["sm_90a", "soak_wide"].code
    waits = [place for place, one in enumerate(code) if one.opcode == "WARPGROUP.DEPBAR.LE"]
    assert [code[place].operands for place in waits] == [("gsb0", "0x1"), ("gsb0", "0x0")]
    back = next(one for one in code[waits[0] : waits[1]] if one.opcode == "BRA")
    head = next(place for place, one in enumerate(code) if one.address == int(back.operands[-1], 16))
    product = set(range(24, 24 + 128))  # R24 and up: what HGMMA R24 fills

    assert {one.operands[0] for one in code if one.opcode.startswith("HGMMA")} == {"R24"}
    assert {one.opcode for one in code[head : waits[1]] if registers(one) & product} == {TENSOR["sm_90a"]}
    assert len({register for one in code[waits[1] :] for register in registers(one)} & product) == 128


@pytest.mark.parametrize("architecture", ["sm_100a", "sm_103a"])
def test_a_product_of_tcgen05_is_read_after_all_of_it_is_there(
    kernels: dict[tuple[str, str], Kernel], architecture: str
) -> None:
    code = kernels[architecture, "soak_wide"].code
    last = max(place for place, one in enumerate(code) if one.opcode == TENSOR[architecture])
    (load,) = (place for place, one in enumerate(code) if one.opcode == "LDTM.x8")
    first = int(code[load].operands[0].removeprefix("R"))
    read = next(place for place in range(load + 1, len(code)) if registers(code[place]) & set(range(first, first + 8)))

    # After the products, a thread waits for their barrier; after the load, for the load's scoreboard.
    assert any(one.opcode.startswith("SYNCS.PHASECHK") for one in code[last:load])
    assert code[read].opcode.startswith("F2I")
    assert code[load].sets < 6
    assert any(one.waits >> code[load].sets & 1 for one in code[load + 1 : read + 1])


def test_the_page_shows_the_machine_code_that_is_shipped() -> None:
    page = (ROOT / "docs" / "reference" / "kernels.md").read_text(encoding="utf-8")
    assert page == kernel_sass.page(), "docs/reference/kernels.md is out of date: run scripts/make_docs.py"


@pytest.mark.parametrize(
    ("code", "before"),
    [
        (["LDG.E.NA.128 R4, [R2.64]", "LDG.E.NA.128 R8, [R2.64+0x10]", "IADD3 R0, R4, R8, RZ"], 2),
        (["LDG.E.NA.128 R4, [R2.64]", "IADD3 R0, R1, R7, RZ", "LDG.E.NA.128 R8, [R2.64]"], 1),
        (["LDG.E.NA.EFL2.256 R12, R16, desc[UR4][R2.64]", "FADD R0, R19, R1", "LDG.E.NA.EFL2.256 R8, R4, [R2.64]"], 1),
        (["LDG.E.NA.EFL2.256 R12, R16, desc[UR4][R2.64]", "FADD R0, R20, R1", "LDG.E.NA.EFL2.256 R8, R4, [R2.64]"], 2),
        (["LDG.E.NA.128 R4, [R2.64]", "STG.E.EF.128 desc[UR4][R30.64], R4", "LDG.E.NA.128 R8, [R2.64]"], 1),
        (["LDG.E.NA.128 R4, [R2.64]", "LDG.E.NA.128 R8, [R6.64]"], 1),
        (["LDG.E R4, [R2.64]", "IADD3 R0, R4, R8, RZ"], 0),
    ],
)
def test_a_load_is_waited_for_where_any_of_its_registers_is_read(code: list[str], before: int) -> None:
    lines = [line.split(" ", 1) for line in code]
    instructions = [Instruction(opcode, tuple(rest.split(", "))) for opcode, rest in lines]

    assert len(loads_before_use(instructions)) == before
