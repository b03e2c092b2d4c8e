"""cuBLASLt where it is installed (the wheel nvidia-cublas, or the CUDA toolkit): one product of square matrices.

By ctypes, since it takes ten calls, and the bindings that there are (nvmath-python) bring far more. Numbers are those
of cublasLt.h, cublas_api.h and library_types.h of CUDA 13.0.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from gpuaccept.check import DeviceError, Precision
from gpuaccept.device.nvidia.context import Context

_SONAMES = ("libcublasLt.so.13", "libcublasLt.so.12")
_FOLDERS = ("cu13/lib", "cublas/lib")
"""Where the wheels put them, below `nvidia` in site-packages."""
_TRANSA = 3
"""CUBLASLT_MATMUL_DESC_TRANSA; the product is D = transposed A times B, the only form that fp8 and int8 have."""
_WORKSPACE_BYTES, _MAX_WORKSPACE = 64 << 20, 1
"""Memory for split sums (NVIDIA advises 32 MiB on Hopper), and CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES."""
_R_32F, _R_64F, _R_16F, _R_8I, _R_32I, _R_16BF, _R_8F_E4M3 = 0, 1, 2, 3, 10, 14, 28
_NO_ALGORITHM = 15
"""CUBLAS_STATUS_NOT_SUPPORTED."""


class Kinds(NamedTuple):
    """Types of a product: of A and B, of C and D, and how it adds up (cudaDataType, cublasComputeType_t)."""

    operand: int
    result: int
    compute: int
    scale: int


KINDS: dict[Precision, Kinds] = {
    "fp64": Kinds(_R_64F, _R_64F, 70, _R_64F),
    "tf32": Kinds(_R_32F, _R_32F, 77, _R_32F),
    "fp16": Kinds(_R_16F, _R_32F, 68, _R_32F),
    "bf16": Kinds(_R_16BF, _R_32F, 68, _R_32F),
    "fp8": Kinds(_R_8F_E4M3, _R_32F, 68, _R_32F),
    "int8": Kinds(_R_8I, _R_32I, 72, _R_32I),
}
_SCALES: dict[int, Any] = {_R_64F: ctypes.c_double, _R_32F: ctypes.c_float, _R_32I: ctypes.c_int32}


class _Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it is not installed."""
    for name in _candidates():
        try:
            found = ctypes.CDLL(name)
        except OSError:
            continue
        for function in ("cublasLtGetVersion", "cublasLtGetCudartVersion"):
            getattr(found, function).restype = ctypes.c_size_t
        found.cublasLtGetStatusName.restype = ctypes.c_char_p
        return found
    return None


def needed(gpu: int) -> ctypes.CDLL:
    """The library. Raises DeviceError where it is not installed."""
    found = library()
    if found is None:
        reason = "cuBLASLt is not installed on this node: pip install nvidia-cublas"
        raise DeviceError("cublasLtCreate", 0, reason, gpu)
    return found


def _candidates() -> Iterator[str]:
    yield from _SONAMES
    wheels = importlib.util.find_spec("nvidia")
    for place in (wheels.submodule_search_locations or ()) if wheels else ():
        for folder in _FOLDERS:
            yield from (str(Path(place) / folder / name) for name in _SONAMES)


class Product:
    """D = transposed A times B, all of `size` by `size`, column by column, on the context's main stream."""

    def __init__(self, context: Context, precision: Precision, size: int) -> None:
        found = needed(context.index)
        self._library, self._context = found, context
        self._held: list[tuple[str, ctypes.c_void_p]] = []
        self._workspace = 0
        self._one = _SCALES[KINDS[precision].scale](1)
        self._zero = _SCALES[KINDS[precision].scale](0)
        self.implementation = f"cublasLt {_version(found.cublasLtGetVersion())} {precision}"
        context.enter()
        try:
            self._prepare(KINDS[precision], size)
        except DeviceError:
            self.close()
            raise

    def _prepare(self, kinds: Kinds, size: int) -> None:
        n, width, c_int = ctypes.c_uint64(size), ctypes.c_int64(size), ctypes.c_int
        self._handle = self._new("cublasLtDestroy", "cublasLtCreate")
        self._operation = self._new(
            "cublasLtMatmulDescDestroy", "cublasLtMatmulDescCreate", c_int(kinds.compute), c_int(kinds.scale)
        )
        transposed = c_int(1)
        self._call(
            "cublasLtMatmulDescSetAttribute", self._operation, c_int(_TRANSA), ctypes.byref(transposed), _size(4)
        )
        self._operand, self._result = (
            self._new("cublasLtMatrixLayoutDestroy", "cublasLtMatrixLayoutCreate", c_int(kind), n, n, width)
            for kind in (kinds.operand, kinds.result)
        )
        preference = self._new("cublasLtMatmulPreferenceDestroy", "cublasLtMatmulPreferenceCreate")
        room = ctypes.c_uint64(_WORKSPACE_BYTES)
        self._call(
            "cublasLtMatmulPreferenceSetAttribute", preference, c_int(_MAX_WORKSPACE), ctypes.byref(room), _size(8)
        )
        self._best, count = _Heuristic(), c_int(0)
        layouts = self._operand, self._operand, self._result, self._result
        self._call(
            "cublasLtMatmulAlgoGetHeuristic",
            *(self._handle, self._operation, *layouts, preference),
            *(c_int(1), ctypes.byref(self._best), ctypes.byref(count)),
        )
        if count.value != 1 or self._best.state != 0:
            reason = "cuBLASLt has no kernel for this product on this GPU"
            raise DeviceError("cublasLtMatmulAlgoGetHeuristic", _NO_ALGORITHM, reason, self._context.index)
        self._workspace = int(self._context.call("cuMemAlloc", _WORKSPACE_BYTES))

    def queue(self, a: int, b: int, d: int) -> None:
        """Queue one product."""
        pointer, address = ctypes.c_void_p, ctypes.byref
        self._call(
            "cublasLtMatmul",
            *(self._handle, self._operation, address(self._one)),
            *(pointer(a), self._operand, pointer(b), self._operand, address(self._zero)),
            *(pointer(d), self._result, pointer(d), self._result, address(self._best)),
            *(pointer(self._workspace), _size(_WORKSPACE_BYTES), pointer(int(self._context.stream.handle))),
        )

    def close(self) -> None:
        """Give everything back."""
        with suppress(DeviceError):
            self._context.enter()
        while self._held:
            destroy, handle = self._held.pop()
            with suppress(DeviceError):
                self._call(destroy, handle)
        workspace, self._workspace = self._workspace, 0
        if workspace:
            with suppress(DeviceError):
                self._context.call("cuMemFree", workspace)

    def _new(self, destroy: str, create: str, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(create, ctypes.byref(handle), *arguments)
        self._held.append((destroy, handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:
        self._context.cuda.announce(self._context.index, name)
        status = int(getattr(self._library, name)(*arguments))
        if status:
            text = (self._library.cublasLtGetStatusName(status) or b"unknown cuBLAS status").decode("ascii", "replace")
            raise DeviceError(name, status, text, self._context.index)


def _size(value: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)


def _version(number: int) -> str:
    """130002 is 13.0.2."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
