"""Compiles checks/kernels/*.cu by NVRTC into checks/kernels/compiled; run it after any change of a kernel.

Needs no GPU, no driver and no CUDA toolkit: NVRTC comes from a wheel (`nvrtc_12`). The same source, options and
version of that wheel give the same bytes; `--check` proves it: it compiles all anew and compares with what is there.
It is to be a process of its own: two majors of NVRTC in one take symbols from each other.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec
import nvrtc_12

from gpuaccept.bundled import bundled
from gpuaccept.device.nvidia.cubins import (
    COMPILED,
    DIGESTS,
    Digests,
    Shipped,
    compiled,
    read_digests,
    source_digest,
)

ARCHITECTURES = ("sm_80", "sm_90", "sm_100", "sm_103", "sm_120")
"""A100 (and, as 8.9, L40S); H100, H200; B200; B300; RTX PRO. Others by the rule of `cubins.serving`, or by NVRTC."""
FILES = ("memtest.cu", "soak.cu", "stream.cu")
SPECIFIC_ARCHITECTURES = ("sm_90a", "sm_100a", "sm_103a")
"""Of soak_wide.cu: code for one revision alone, H100 and H200; B200; B300."""
TARGETS = (
    *((file, architecture) for file in FILES for architecture in ARCHITECTURES),
    *(("soak_wide.cu", architecture) for architecture in SPECIFIC_ARCHITECTURES),
)


def build() -> tuple[Digests, dict[str, bytes]]:
    """What should lie in checks/kernels/compiled: the digests, and each CUBIN by its name."""
    nvrtc = nvrtc_12.Nvrtc()
    made: list[Shipped] = []
    cubins: dict[str, bytes] = {}
    for file, architecture in TARGETS:
        cubin = compiled(nvrtc, file, architecture)
        made.append(Shipped(file, architecture, source_digest(file), hashlib.sha256(cubin).hexdigest()))
        cubins[made[-1].path] = cubin
    return Digests(nvrtc_12.version(), tuple(made)), cubins


def encoded(digests: Digests) -> bytes:
    """digests.json, so that a change shows line by line in a review."""
    return msgspec.json.format(msgspec.json.encode(digests), indent=1) + b"\n"


def problems(target: Path) -> list[str]:
    """How the folder differs from a rebuild; empty where it does not."""
    known = read_digests().nvrtc
    if known != nvrtc_12.version():
        here = nvrtc_12.version() or "none"
        return [f"made by NVRTC {known or 'unknown'}, here is {here}: pip install {nvrtc_12.WHEEL}=={known}"]
    digests, cubins = build()
    wanted = {**cubins, DIGESTS: encoded(digests)}
    there = {path.name: path.read_bytes() for path in target.iterdir()}
    return [f"{name} differs from a rebuild" for name in sorted(wanted) if there.get(name) != wanted[name]] + [
        f"{name} is not built by this script" for name in sorted(there.keys() - wanted.keys())
    ]


def main() -> None:
    """Write the folder, or with --check compare it, or another one that is named."""
    target = bundled("checks") / "kernels" / COMPILED
    if sys.argv[1:2] == ["--check"]:
        target = Path(sys.argv[2]) if len(sys.argv) > 2 else target
        found = problems(target)
        for problem in found:
            print(problem, file=sys.stderr)
        print(f"{len(list(target.glob('*.cubin')))} CUBINs, NVRTC {read_digests().nvrtc}: {len(found)} differences")
        sys.exit(bool(found))
    if not nvrtc_12.version():
        sys.exit(f"NVRTC of CUDA 12 is not installed: pip install {nvrtc_12.WHEEL}=={read_digests().nvrtc}")
    digests, cubins = build()
    target.mkdir(exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    for name, cubin in cubins.items():
        (target / name).write_bytes(cubin)
    (target / DIGESTS).write_bytes(encoded(digests))
    print(f"{len(cubins)} CUBINs, {sum(map(len, cubins.values())) // 1000} kB, by NVRTC {digests.nvrtc}, in {target}")


if __name__ == "__main__":
    main()
