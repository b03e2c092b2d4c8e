"""Real NVIDIA GPUs: telemetry by nvidia-ml-py, compute by cuda.bindings, each imported only when a node is opened.

cuda.bindings is used without cuda.core: every driver call is then one Python call, which can be announced before it
begins (so that a hang has a name) and whose return code is known exactly; cuda.core hides both.
"""

from __future__ import annotations

from gpuaccept.check import Node, Pulse
from gpuaccept.data import Layer
from gpuaccept.device.learned import Learned

__all__ = ["is_stub", "libraries", "memory", "open_nvidia"]

NOTHING_LEARNED = Learned()


def open_nvidia(gpus: tuple[int, ...] | None, pulse: Pulse, learned: Learned = NOTHING_LEARNED) -> Node:
    """The GPUs of this machine, or those of them with these indices (PCI order).

    Raises DeviceUnavailable, one sentence and a remedy, where nothing can be measured; UsageError for an index that
    does not exist.
    """
    from gpuaccept.device.nvidia.node import open_node

    return open_node(gpus, pulse, learned)


def memory(node: Node) -> bytes:
    """What a process that takes this one's place should know: what the kernel's log and NVML told of events."""
    from gpuaccept.device.nvidia.node import NvidiaNode

    return node.memory() if isinstance(node, NvidiaNode) else b""


def is_stub() -> bool:
    """Whether the driver that this process would use is the tests' stub: what it measures is simulated."""
    from gpuaccept.device.nvidia.loaded import is_stub

    return is_stub()


def libraries() -> tuple[Layer, ...]:
    """Path and sha256 of each driver library that is loaded in this process."""
    from gpuaccept.device.nvidia.loaded import libraries

    return libraries()
