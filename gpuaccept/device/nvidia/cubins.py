"""Where the GPU's code comes from: the CUBINs that are shipped, or NVRTC for what they don't serve.

checks/kernels/compiled holds a CUBIN of each kernel file for each architecture, made by scripts/build_kernels.py, and
digests.json, which says of what source each was made. A CUBIN is used only where that source is the one at hand and
its own bytes are those that were made, so that a record's digests name the code that ran.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gpuaccept.bundled import bundled
from gpuaccept.check import DeviceError
from gpuaccept.data import KernelCode

HEADER = "common.cuh"
OPTIONS = ("--std=c++17",)
"""For NVRTC, beside the architecture."""
SPECIFIC = frozenset({"soak_wide.cu"})
"""Files of instructions that one revision of GPU has alone: their code is for `sm_90a`, and runs on 9.0 only (CUDA
programming guide, "Architecture-Specific Features")."""
COMPILED = "compiled"
"""Folder of the CUBINs, beside the sources."""
DIGESTS = "digests.json"


class Shipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One CUBIN: its kernel file, `sm_NN` or `sm_NNa`, the digest of what it was made of, and its own."""

    file: str
    architecture: str
    source_sha256: str
    sha256: str

    @property
    def path(self) -> str:
        """Its name in the folder of CUBINs."""
        return f"{self.file.removesuffix('.cu')}.{self.architecture}.cubin"


class Digests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """digests.json: the version of the NVRTC that made the CUBINs, and each of them."""

    nvrtc: str
    cubins: tuple[Shipped, ...]


class Code(NamedTuple):
    """A CUBIN, and what a record says of it."""

    cubin: bytes
    facts: KernelCode


@functools.cache
def code_for(file: str, architecture: str) -> Code:
    """The code of a kernel file for a GPU of `sm_NN`: the shipped CUBIN where one serves, else NVRTC's.

    Raises DeviceError where a shipped CUBIN is damaged, or where there is none and NVRTC can't make one.
    """
    found = serving(read_digests().cubins, file, architecture)
    if found is None or found.source_sha256 != source_digest(file):
        target = target_of(file, architecture)
        cubin = compile_cubin(file, target)
        return Code(cubin, KernelCode(file=file, architecture=target, sha256=_sha256(cubin), made="nvrtc"))
    try:
        cubin = (_folder() / COMPILED / found.path).read_bytes()
    except OSError:
        cubin = b""
    if _sha256(cubin) != found.sha256:
        raise DeviceError("cuModuleLoadData", 0, f"{found.path} is not what was shipped: install gpuaccept again")
    return Code(cubin, KernelCode(file=file, architecture=found.architecture, sha256=found.sha256, made="shipped"))


def is_shipped(file: str, architecture: str) -> bool:
    """Whether a shipped CUBIN serves, so that NVRTC is not needed."""
    found = serving(read_digests().cubins, file, architecture)
    return found is not None and found.source_sha256 == source_digest(file)


def serving(cubins: tuple[Shipped, ...], file: str, architecture: str) -> Shipped | None:
    """The CUBIN that a GPU of `sm_NN` can run: same major revision, minor not above the GPU's, the nearest one.

    That is NVIDIA's rule of binary compatibility (CUDA programming guide, "Binary Compatibility"). So sm_80 serves an
    L40S (8.9) too, with 128-bit accesses as that GPU needs them. Code for `sm_NNa` serves that revision alone.
    """
    if file in SPECIFIC:
        target = target_of(file, architecture)
        return next((one for one in cubins if (one.file, one.architecture) == (file, target)), None)
    major, minor = _revision(architecture)
    usable = [
        (_revision(one.architecture)[1], one)
        for one in cubins
        if one.file == file and _revision(one.architecture)[0] == major and _revision(one.architecture)[1] <= minor
    ]
    return max(usable, key=lambda each: each[0])[1] if usable else None


def target_of(file: str, architecture: str) -> str:
    """What a file is compiled for, to run on a GPU of `sm_NN`."""
    specific = file in SPECIFIC and not architecture.endswith("a")
    return f"{architecture}a" if specific else architecture


def _revision(architecture: str) -> tuple[int, int]:
    """(major, minor) of `sm_NN`: the last digit is the minor revision."""
    return divmod(int(architecture.removeprefix("sm_")), 10)


def read_digests() -> Digests:
    """What is shipped; nothing where the folder is missing or unreadable."""
    try:
        return msgspec.json.decode((_folder() / COMPILED / DIGESTS).read_bytes(), type=Digests)
    except (OSError, msgspec.DecodeError):
        return Digests("", ())


def source_digest(file: str) -> str:
    """Of everything that goes into a CUBIN but compiler and architecture: the file, the header, the options."""
    digest = hashlib.sha256()
    for name in (file, HEADER):
        source = (_folder() / name).read_bytes()
        digest.update(f"{name} {len(source)}\n".encode() + source)
    digest.update(" ".join(OPTIONS).encode())
    return digest.hexdigest()


def compile_cubin(file: str, architecture: str) -> bytes:
    """The CUBIN of a kernel file for `sm_NN` or `sm_NNa`.

    Raises DeviceError with the compiler's words, or if NVRTC is absent.
    """
    try:
        from cuda.bindings import nvrtc

        return compiled(nvrtc, file, architecture)
    except (ImportError, RuntimeError):
        known = read_digests().cubins
        why = "are not this version's" if serving(known, file, architecture) else f"do not serve {architecture}"
        raise DeviceError(
            "nvrtcCreateProgram",
            0,
            f"the kernels that are shipped {why}, and NVRTC is not installed: pip install 'gpuaccept[nvrtc]'",
        ) from None


def compiled(nvrtc: Any, file: str, architecture: str) -> bytes:
    """As `compile_cubin`, by an NVRTC that has the calls of cuda.bindings.nvrtc."""
    code, header = (_folder() / file).read_bytes(), (_folder() / HEADER).read_bytes()

    def checked(call: str, result: tuple[Any, ...]) -> Any:
        if result[0] != 0:
            raise DeviceError(call, int(result[0]), result[0].name)
        return result[1] if len(result) > 1 else None

    program = checked(
        "nvrtcCreateProgram", nvrtc.nvrtcCreateProgram(code, file.encode(), 1, [header], [HEADER.encode()])
    )
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *OPTIONS)]
    outcome = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if outcome[0] != 0:
        log = bytearray(checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, log)
        first = bytes(log).decode("utf-8", "replace").strip("\0\n ").split("\n", 1)[0][:200]
        raise DeviceError("nvrtcCompileProgram", int(outcome[0]), f"{outcome[0].name} for {architecture}: {first}")
    cubin = bytearray(checked("nvrtcGetCUBINSize", nvrtc.nvrtcGetCUBINSize(program)))
    checked("nvrtcGetCUBIN", nvrtc.nvrtcGetCUBIN(program, cubin))
    nvrtc.nvrtcDestroyProgram(program)
    return bytes(cubin)


def _folder() -> Path:
    return bundled("checks") / "kernels"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
