"""Whether a container keeps GPUs from this process: what it does not see must not look like a GPU that is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gpuaccept.check import Pulse
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.probe import device_nodes, refused_nodes

_GPU_NODE = re.compile(r"^nvidia\d+$")


def hidden_gpus(
    host: Host, found: int, pulse: Pulse, refused_of: Callable[[Path, Pulse], tuple[str, ...]] = refused_nodes
) -> str:
    """In one sentence, or empty. `found` is the number of GPUs that NVML opened.

    /sys shows all of the machine's GPUs and the driver that serves them, in a container too; /dev only what was handed
    to it. A GPU that was lost, or that the driver would not take, is not hidden: it has its device node, or no driver.
    """
    served = host.pci_gpus("nvidia")
    if found >= len(served):
        return ""
    nodes = [node for node in device_nodes(host.root / "dev") if _GPU_NODE.match(node)]
    if 0 < len(nodes) < len(served):
        return f"this container hides GPUs: {len(nodes)} of the {len(served)} that the driver serves are in /dev"
    refused = [node for node in refused_of(host.root / "dev", pulse) if _GPU_NODE.match(node)]
    if refused:
        return f"this container hides GPUs: the kernel refuses /dev/{refused[0]} to this process (a cgroup)"
    return ""
