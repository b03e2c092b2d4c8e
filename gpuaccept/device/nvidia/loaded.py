"""Which driver libraries this process uses, and whether they are the tests' stub (CONTRACT: simulated)."""

from __future__ import annotations

import ctypes
import hashlib
from contextlib import suppress
from pathlib import Path

from gpuaccept.data import Layer

STUB_SYMBOL = "gpuaccept_stub"
STUB_UUID = "GPU-57ab57ab"
_NAMES = ("libcuda.so", "libnvidia-ml.so")
_SONAMES = ("libcuda.so.1", "libnvidia-ml.so.1")


def libraries(maps: Path = Path("/proc/self/maps")) -> tuple[Layer, ...]:
    """Path and sha256 of each driver library that is mapped into this process."""
    return tuple(Layer(name=str(path), sha256=_sha256(path)) for path in _mapped(maps))


_seen: list[str] = []
"""UUIDs of the GPUs that this process has opened. Asking anew would ask GPUs that hang, too."""


def is_stub(uuids: tuple[str, ...] | None = None) -> bool:
    """True where a driver library exports the stub's symbol, or a GPU's UUID has the stub's pattern.

    `uuids` saves asking NVML for them; so does whoever asked before with UUIDs of this process's GPUs.
    """
    if any(_exports_symbol(name) for name in _SONAMES):
        return True
    if uuids:
        _seen[:] = uuids
    return any(uuid.startswith(STUB_UUID) for uuid in (uuids if uuids is not None else _seen or _uuids()))


def _exports_symbol(soname: str) -> bool:
    """A library that is loaded already is found by its soname; loading one runs no driver call."""
    try:
        return hasattr(ctypes.CDLL(soname), STUB_SYMBOL)
    except OSError:
        return False


def _uuids() -> tuple[str, ...]:
    import pynvml

    found: list[str] = []
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                with suppress(pynvml.NVMLError):
                    found.append(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))
        finally:
            pynvml.nvmlShutdown()
    return tuple(found)


def _mapped(maps: Path) -> list[Path]:
    paths = set()
    for line in maps.read_text().splitlines():
        path = line.partition("/")[2]
        if path and path.rsplit("/", 1)[-1].startswith(_NAMES):
            paths.add(Path("/" + path))
    return sorted(paths)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
