"""Reads the machine code (SASS) of the shipped CUBINs, and writes docs/reference/kernels.md from it.

cuobjdump and nvdisasm come from the wheels nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm; no GPU is needed.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpuaccept.bundled import bundled
from gpuaccept.device.nvidia.cubins import COMPILED, OPTIONS, Shipped, read_digests
from gpuaccept.device.nvidia.kernels import BLOCK, KERNELS

TOOL = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "cuobjdump"
REGISTERS_PER_SM = 65536
THREADS_PER_SM = {"sm_80": 2048, "sm_90": 2048, "sm_100": 2048, "sm_103": 2048, "sm_120": 1536}
"""Limits of residency: CUDA programming guide, "Technical Specifications per Compute Capability"."""
_REGISTER_UNIT = 8
"""A thread's registers are allotted in eights (256 a warp)."""
_INSTRUCTION = re.compile(
    r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;\s*/\* 0x[0-9a-f]{16} \*/"
    r"\s*/\* 0x([0-9a-f]{16}) \*/"
)
"""Address, opcode, operands, and the upper half of the 128 bits, which stands on the next line."""
_CONTROL = 41
"""Bit of the upper half at which the control code begins: 4 bits of stall, yield, 3 bits of the barrier that says when
the result is there, 3 of that for operands, 6 bits of barriers to wait for (the layout since Volta: Jia et al.,
"Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking", 2018, 2.1)."""
_FUNCTION = re.compile(r"Function : (\w+)")
_USAGE = re.compile(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) .*?LOCAL:(\d+)")


class Instruction(NamedTuple):
    """One line of SASS: `LDG.E.NA.128`, and its operands as they are written."""

    opcode: str
    operands: tuple[str, ...]
    address: int = 0
    sets: int = 7
    """The scoreboard that tells when its result is there; 7 is none."""
    waits: int = 0
    """Scoreboards that it waits for, a bit each."""


class Kernel(NamedTuple):
    """What the SASS of one kernel says."""

    registers: int
    stack_bytes: int
    local_accesses: int
    """Loads and stores of local memory: spilled registers, or arrays indexed at run time."""
    loads: tuple[int, ...]
    """Bits of each load of 128 bits and more."""
    stores: tuple[int, ...]
    in_flight: int
    """How many of these loads are issued before the first instruction that waits for one of them."""
    in_flight_bytes: int
    code: tuple[Instruction, ...]
    """All, in their order."""

    @property
    def opcodes(self) -> tuple[str, ...]:
        """Of all instructions, in their order."""
        return tuple(one.opcode for one in self.code)

    def kib_per_sm(self, architecture: str) -> int:
        """KiB that an SM full of this kernel's blocks has asked for before it first waits."""
        allotted = -(-self.registers // _REGISTER_UNIT) * _REGISTER_UNIT
        blocks = min(THREADS_PER_SM[architecture] // BLOCK, REGISTERS_PER_SM // (allotted * BLOCK))
        return blocks * BLOCK * self.in_flight_bytes // 1024


@cache
def read_cubin(path: Path) -> dict[str, Kernel]:
    """Each kernel of a CUBIN."""
    dump = subprocess.run(
        [str(TOOL), "-res-usage", "-sass", str(path)], check=True, capture_output=True, text=True
    ).stdout
    usage = {name: tuple(map(int, numbers)) for name, *numbers in _USAGE.findall(dump)}
    return {
        name: _kernel(code, usage[name][0], usage[name][1] + usage[name][2]) for name, code in _functions(dump).items()
    }


def shipped() -> Iterator[tuple[Shipped, dict[str, Kernel]]]:
    """Every CUBIN that is shipped, with its kernels."""
    for one in read_digests().cubins:
        yield one, read_cubin(bundled("checks") / "kernels" / COMPILED / one.path)


def _functions(dump: str) -> dict[str, list[Instruction]]:
    parts = _FUNCTION.split(dump)[1:]
    return {
        name: [_instruction(*found) for found in _INSTRUCTION.findall(text)]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _instruction(address: str, opcode: str, operands: str, upper: str) -> Instruction:
    control = int(upper, 16) >> _CONTROL
    return Instruction(
        opcode=opcode,
        operands=tuple(part.strip() for part in operands.split(",") if part.strip()),
        address=int(address, 16),
        sets=control >> 5 & 7,
        waits=control >> 11 & 63,
    )


def _kernel(code: list[Instruction], registers: int, stack: int) -> Kernel:
    loads = [one for one in code if one.opcode.startswith("LDG") and bits(one) >= 128]
    waiting = loads_before_use(code)
    return Kernel(
        registers=registers,
        stack_bytes=stack,
        local_accesses=sum(one.opcode.startswith(("LDL", "STL")) for one in code),
        loads=tuple(bits(one) for one in loads),
        stores=tuple(bits(one) for one in code if one.opcode.startswith("STG") and bits(one) >= 128),
        in_flight=len(waiting),
        in_flight_bytes=sum(bits(one) for one in waiting) // 8,
        code=tuple(code),
    )


def bits(instruction: Instruction) -> int:
    """Width of a memory access: the number in its opcode, or 32."""
    sizes = [int(part) for part in instruction.opcode.split(".") if part in ("64", "128", "256")]
    return sizes[-1] if sizes else 32


def loads_before_use(code: list[Instruction]) -> list[Instruction]:
    """The wide loads before the first instruction that reads a register which one of them fills."""
    pending: set[int] = set()
    loads: list[Instruction] = []
    for one in code:
        if pending & _sources(one):
            break
        if one.opcode.startswith("LDG") and bits(one) >= 128:
            loads.append(one)
            pending |= _filled(one)
    return loads


def registers(one: Instruction) -> set[int]:
    """Registers that an instruction names, to read or to write."""
    return {int(number) for operand in one.operands for number in re.findall(r"\bR(\d+)", operand)}


def _filled(load: Instruction) -> set[int]:
    """Registers that a load fills: 256 bits go to two quads, which both are named."""
    quads = load.operands[: bits(load) // 128]
    return {int(quad[1:]) + word for quad in quads for word in range(4)}


def _sources(one: Instruction) -> set[int]:
    """Registers that an instruction reads; stores and the like write none, a load's own quads are written."""
    wide = one.opcode.startswith("LDG") and bits(one) == 256
    writes = 2 if wide else 1 if re.match(r"R\d", one.operands[0] if one.operands else "") else 0
    if one.opcode.startswith(("STG", "ST.", "RED", "BRA", "EXIT")):
        writes = 0
    text = " ".join(one.operands[writes:])
    singles = {int(number) for number in re.findall(r"\bR(\d+)", text)}
    return singles | {int(number) + 1 for number in re.findall(r"\bR(\d+)\.64", text)}


def page() -> str:
    """docs/reference/kernels.md."""
    digests = read_digests()
    read = {(one.file, one.architecture): kernels for one, kernels in shipped()}
    out = [
        "# Kernels",
        "",
        "Generated by `scripts/make_docs.py` from the machine code that is shipped; a test holds it equal.",
        "",
        f"Made by NVRTC {digests.nvrtc} (`scripts/build_kernels.py`, options `{' '.join(OPTIONS)}`), shipped in",
        "`checks/kernels/compiled`. A GPU runs the CUBIN of its own major revision with the nearest minor revision",
        'that is not above its own (CUDA programming guide, "Binary Compatibility"): sm_80 serves an L40S (8.9) too.',
        "For any other GPU, or after a change of a source, NVRTC compiles on the node",
        "(`pip install 'gpuaccept[nvrtc]'`). A record names the digest of the code that ran, and who made it.",
        "",
        "**None of these kernels has run on a GPU yet.** They run on the host in the tests, from the same source.",
        "",
        "A cell reads: wide loads × bits, how many of them are issued before the first wait, KiB that an SM has then",
        "asked for (with as many blocks as its registers hold), registers a thread. Kernels without wide loads show",
        "wide stores. No kernel uses local memory.",
        "",
        "`soak_wide.cu` has the full rate of the tensor cores (`wgmma` on Hopper, `tcgen05` on Blackwell); its code is",
        "for one revision of GPU alone (`sm_90a`). It stays off until a card has run it and come to the whole numbers",
        "that the host expects (`pytest -m gpu tests/nvidia/test_card_soak.py`, then `WIDE_CONFIRMED` in",
        "`gpuaccept/device/nvidia/kernels.py`); until then cuBLASLt or `soak.cu` makes the load.",
    ]
    for file, names in sorted(KERNELS.items()):
        architectures = [architecture for of, architecture in read if of == file]
        out += ["", f"## {file}", "", "| kernel | " + " | ".join(architectures) + " |"]
        out.append("|---" * (len(architectures) + 1) + "|")
        for name in names:
            cells = (_cell(read[file, architecture][name], architecture) for architecture in architectures)
            out.append(f"| `{name}` | " + " | ".join(cells) + " |")
    out += ["", "## Digests", "", "| CUBIN | sha256 |", "|---|---|"]
    out += [f"| `{one.path}` | `{one.sha256}` |" for one in digests.cubins]
    return "\n".join([*out, ""])


def _cell(kernel: Kernel, architecture: str) -> str:
    registers = f"{kernel.registers} registers"
    if kernel.loads:
        width = f"{len(kernel.loads)} × {max(kernel.loads)}"
        asked = "" if architecture not in THREADS_PER_SM else f"{kernel.kib_per_sm(architecture)} KiB, "
        return f"{width}, {kernel.in_flight} first, {asked}{registers}"
    return f"stores {len(kernel.stores)} × {max(kernel.stores)}, {registers}" if kernel.stores else registers
