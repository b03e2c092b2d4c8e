"""NVRTC of CUDA 12, which makes the CUBINs that are shipped, under the names that cuda.bindings gives its own.

The drivers of CUDA 12 run on many nodes, and what an older compiler made runs on newer drivers too (CUDA compatibility,
"Binary compatibility"). cuda.bindings of one major loads the NVRTC of that major only, and two can't be installed side
by side, so the few calls that are needed are made by ctypes (nvrtc.h).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

WHEEL = "nvidia-cuda-nvrtc-cu12"
_LIBRARY = "libnvrtc.so.12"


class Status(int):
    """nvrtcResult: 0, or what went wrong."""

    @property
    def name(self) -> str:
        """NVRTC's words."""
        library = _library()
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return str(library.nvrtcGetErrorString(int(self)).decode())


def version() -> str:
    """Version of the wheel, to the last digit; empty where it is not installed."""
    try:
        return metadata.version(WHEEL)
    except metadata.PackageNotFoundError:
        return ""


def _library() -> ctypes.CDLL:
    files = metadata.files(WHEEL) or []
    found: Path = next(Path(str(file.locate())) for file in files if file.name == _LIBRARY)
    return ctypes.CDLL(str(found))


class Nvrtc:
    """As the module cuda.bindings.nvrtc: every call returns its status, and after it what it yields."""

    def __init__(self) -> None:
        self._library = _library()

    def nvrtcCreateProgram(
        self, code: bytes, name: bytes, count: int, headers: Sequence[bytes], names: Sequence[bytes]
    ) -> tuple[Status, ctypes.c_void_p]:
        """A program of this source, which may include these headers."""
        program = ctypes.c_void_p()
        strings = ctypes.c_char_p * count
        given = code, name, count, strings(*headers), strings(*names)
        return Status(self._library.nvrtcCreateProgram(ctypes.byref(program), *given)), program

    def nvrtcCompileProgram(self, program: ctypes.c_void_p, count: int, options: Sequence[bytes]) -> tuple[Status]:
        """Compile it."""
        return (Status(self._library.nvrtcCompileProgram(program, count, (ctypes.c_char_p * count)(*options))),)

    def nvrtcGetProgramLogSize(self, program: ctypes.c_void_p) -> tuple[Status, int]:
        """Bytes of what the compiler said."""
        return self._size("nvrtcGetProgramLogSize", program)

    def nvrtcGetProgramLog(self, program: ctypes.c_void_p, into: bytearray) -> tuple[Status]:
        """What the compiler said."""
        return self._bytes("nvrtcGetProgramLog", program, into)

    def nvrtcGetCUBINSize(self, program: ctypes.c_void_p) -> tuple[Status, int]:
        """Bytes of the code."""
        return self._size("nvrtcGetCUBINSize", program)

    def nvrtcGetCUBIN(self, program: ctypes.c_void_p, into: bytearray) -> tuple[Status]:
        """The code."""
        return self._bytes("nvrtcGetCUBIN", program, into)

    def nvrtcDestroyProgram(self, program: ctypes.c_void_p) -> tuple[Status]:
        """Give it back."""
        return (Status(self._library.nvrtcDestroyProgram(ctypes.byref(program))),)

    def _size(self, call: str, program: ctypes.c_void_p) -> tuple[Status, int]:
        size = ctypes.c_size_t()
        return Status(getattr(self._library, call)(program, ctypes.byref(size))), size.value

    def _bytes(self, call: str, program: ctypes.c_void_p, into: bytearray) -> tuple[Status]:
        return (Status(getattr(self._library, call)(program, (ctypes.c_char * len(into)).from_buffer(into))),)
