"""The peer of `make bench` that needs no installing: a plain copy kernel as BabelStream's CUDA back-end has it.

One double a thread, 1024 threads a block, nothing unrolled and no hint to any cache: what a compiler makes of the
obvious. Compiled by NVRTC for the card at hand, timed on GPU 0, its copy verified. Prints GB/s, read and written.
"""

from __future__ import annotations

import sys
from typing import Any

from gpuaccept.check import DeviceError, Pulse
from gpuaccept.device.nvidia.context import POINTER, Context
from gpuaccept.device.nvidia.discovery import find_gpus
from gpuaccept.device.nvidia.drivers import open_cuda, open_nvml
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.timing import Lane, timed, warm_up
from gpuaccept.errors import GpuacceptError

KERNEL = "plain_copy"
SOURCE = f"""
extern "C" __global__ void {KERNEL}(const double* a, double* c) {{
    const unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    c[i] = a[i];
}}
"""
THREADS = 1024
BLOCK_BYTES = 8 * THREADS
PASSES, SPANS = 8, 5
SEED = 1


def compiled(architecture: str) -> bytes:
    """The kernel's CUBIN for `sm_NN`. Raises DeviceError where NVRTC is absent or refuses."""
    try:
        from cuda.bindings import nvrtc

        program = _value(nvrtc.nvrtcCreateProgram(SOURCE.encode(), b"plain_copy.cu", 0, [], []))
        option = f"--gpu-architecture={architecture}".encode()
        _value(nvrtc.nvrtcCompileProgram(program, 1, [option]))
        cubin = bytearray(_value(nvrtc.nvrtcGetCUBINSize(program)))
        _value(nvrtc.nvrtcGetCUBIN(program, cubin))
        return bytes(cubin)
    except (ImportError, RuntimeError):
        raise DeviceError("nvrtcCompileProgram", 0, "NVRTC is not installed: pip install 'gpuaccept[nvrtc]'") from None


def _value(result: tuple[Any, ...]) -> Any:
    if result[0] != 0:
        raise DeviceError("nvrtcCompileProgram", int(result[0]), result[0].name)
    return result[1] if len(result) > 1 else None


def best_rate(context: Context, size: int) -> float:
    """GB/s of the fastest of some spans: the peer's best is what ours is held against."""
    module = context.call("cuModuleLoadData", compiled(context.architecture))
    context.kernels.functions[KERNEL] = context.call("cuModuleGetFunction", module, KERNEL.encode())
    blocks = context.blocks(size)
    with context.buffers(size, 2) as (source, target):
        context.fill(source, blocks, SEED)

        def one_pass() -> None:
            context.launch(KERNEL, size // BLOCK_BYTES, (source, POINTER), (target, POINTER), threads=THREADS)

        lane = Lane(context, context.stream, one_pass, PASSES)
        warm_up([lane])
        context.fill(target, blocks, ~SEED)
        spans = []
        for _ in range(SPANS):
            timed([lane])
            if lane.error:
                raise lane.error
            spans.append(lane.elapsed_ns)
        wrong = context.wrong([(target, blocks)], SEED)
    if wrong:
        raise DeviceError(KERNEL, 0, f"{wrong} words were not copied", context.index)
    return 2 * PASSES * size / min(spans)


def main(size: int, pulse: Pulse = lambda gpu, call: None) -> None:
    """Print the rate, or end with the reason."""
    try:
        nvml = open_nvml(pulse)
        cuda = open_cuda(pulse, lambda: "")
        context = Context(cuda, find_gpus(nvml, cuda)[0], Host(), pulse)
        try:
            print(f"{best_rate(context, size):.1f}")
        finally:
            context.close()
    except GpuacceptError as error:
        sys.exit(error.fact)


if __name__ == "__main__":
    main(int(sys.argv[1]) << 20)
