"""Runs a soak kernel on every GPU in turn, and prints a line of JSON for each: a child process of test_card_soak.py."""

from __future__ import annotations

import json
import sys

from gpuaccept.device.nvidia import open_nvidia
from gpuaccept.device.nvidia.compute import Compute
from gpuaccept.device.nvidia.kernels import WIDE_CONFIRMED
from gpuaccept.device.nvidia.load import Load
from gpuaccept.device.nvidia.soak_kernel import MMA, KernelSoak, wide


def main(which: str, seed: int, seconds: float) -> None:
    """`which` is mma or wide."""
    node = open_nvidia(None, lambda gpu, call: None)
    try:
        for gpu in range(len(node.facts().gpus)):
            context = Compute._context(node._compute, gpu)
            kernel = MMA if which == "mma" else wide(context.architecture)
            said: dict[str, object] = {"gpu": gpu, "architecture": context.architecture}
            if kernel is not None:
                load = Load(context, KernelSoak(context, seed, kernel))
                for _ in range(round(seconds * 10)):
                    node.wait(0.1)
                    load.feed()
                result = load.end()
                said |= {"iterations": result.iterations, "mismatches": result.mismatches, "odd": result.odd_sms}
                said |= {"ran": result.implementation, "confirmed": context.architecture in WIDE_CONFIRMED}
            print(json.dumps(said), flush=True)
    finally:
        node.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
