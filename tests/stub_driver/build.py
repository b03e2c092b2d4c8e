"""Builds the stub driver and the host version of the kernels, once for each state of the sources."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LIBRARIES = {"libcuda.so.1": "cuda_stub.c", "libnvidia-ml.so.1": "nvml_stub.c"}
CUBLASLT = "cublaslt/libcublasLt.so.13"
"""In a folder of its own: most nodes have none."""
KERNELS = tuple(REPOSITORY / "checks" / "kernels" / f"{name}.cu" for name in ("stream", "memtest", "soak", "soak_wide"))
_KERNEL = re.compile(
    r"(?:__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?|^KERNEL )(?!__)(\w+)\s*\(", re.MULTILINE
)


def build() -> Path:
    """The folder with libcuda.so.1, libnvidia-ml.so.1 and libkernels.so; compiles them if the sources are new."""
    folder = REPOSITORY / "build" / "stub_driver" / _digest()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    _compile(fresh)
    try:
        fresh.rename(folder)
    except OSError:  # another test process was faster
        shutil.rmtree(fresh)
    return folder


def _compile(out: Path) -> None:
    (out / CUBLASLT).parent.mkdir()
    for name, source in (*LIBRARIES.items(), (CUBLASLT, "cublaslt_stub.c")):
        _run(
            *("gcc", "-std=gnu11", "-O2", "-g", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unused-function"),
            *(f"-I{_wheel_headers()}", f"-Wl,-soname,{Path(name).name}", HERE / source, "-o", out / name, "-ldl"),
        )
    lines = ['#include "cuda_shim.h"']
    for source in KERNELS:
        lines.append(f'#include "{source}"')
        lines += [f'static stub::Register register_{k}("{k}", {k});' for k in _KERNEL.findall(source.read_text())]
    generated = out / "kernels.cpp"
    generated.write_text("\n".join(lines) + "\n")
    _run(
        *("g++", "-std=c++17", "-O2", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing"),
        *("-Wno-unknown-pragmas", f"-I{HERE}", generated, "-o", out / "libkernels.so"),
    )


def _wheel_headers() -> Path:
    """cuda.h and nvml.h, from the wheels nvidia-cuda-runtime and nvidia-nvml-dev: they check our signatures."""
    return Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "include"


def _digest() -> str:
    sources = [*sorted(HERE.glob("*.[ch]")), HERE / "build.py", *KERNELS, *sorted(KERNELS[0].parent.glob("*.cuh"))]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]


def _run(*command: str | os.PathLike[str]) -> None:
    subprocess.run([str(part) for part in command], check=True)
