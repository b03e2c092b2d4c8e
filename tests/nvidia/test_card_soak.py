"""The soak kernels on the card at hand (`pytest -m gpu`): what the tensor cores compute is what the host computes.

Where `soak_wide` passes here, its architecture may be added to `WIDE_CONFIRMED` (gpuaccept/device/nvidia/kernels.py).
"""

from __future__ import annotations

import pytest

from gpuaccept.device.nvidia.kernels import WIDE_CONFIRMED
from gpuaccept.device.nvidia.soak_kernel import MMA, wide

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("which", ["mma", "wide"])
def test_a_second_of_the_soak_gives_the_hosts_integers(which: str) -> None:
    from gpuaccept.device.nvidia import open_nvidia
    from gpuaccept.device.nvidia.compute import Compute
    from gpuaccept.device.nvidia.load import Load
    from gpuaccept.device.nvidia.soak_kernel import KernelSoak

    node = open_nvidia((0,), lambda gpu, call: None)
    try:
        context = Compute._context(node._compute, 0)
        kernel = MMA if which == "mma" else wide(context.architecture)
        if kernel is None:
            pytest.skip(f"{context.architecture} has no wider instruction than mma.sync")
        load = Load(context, KernelSoak(context, 1, kernel))
        for _ in range(10):
            node.wait(0.1)
            load.feed()
        result = load.end()
        print(result, "confirmed" if context.architecture in WIDE_CONFIRMED else "not confirmed yet")
    finally:
        node.close()
    assert result.iterations > 0
    assert (result.mismatches, result.odd_sms) == (0, ())
