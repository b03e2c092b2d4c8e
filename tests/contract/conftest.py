"""The devices that the contract suite runs against: add a factory to FACTORIES, and every test takes it too."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuaccept.check import Node, Pulse
from gpuaccept.device.open import DeviceSpec, open_node

NodeFactory = Callable[[Pulse], Node]


def _mock(name: str) -> NodeFactory:
    return lambda pulse: open_node(DeviceSpec(device=f"mock:{name}", seed=7), None, pulse)


@functools.cache
def _load_the_stub() -> tempfile.TemporaryDirectory[str]:
    """Make the stub this process's driver; the machine's files go when the process ends.

    Its GPUs have few SMs, and launches of the load are short and few: the host runs all threads one after the other.
    """
    from stub_driver.machine import make_machine

    from gpuaccept.device.nvidia import host_copies, load, soak_kernel, timing

    timing.WARM_MAXIMUM_S = 0.1
    host_copies.BUSY_S = 0.05
    load.AHEAD_S = 0.05
    soak_kernel.STEPS = 2000
    folder = tempfile.TemporaryDirectory(prefix="gpuaccept-stub-")
    machine = make_machine(Path(folder.name))
    machine.set("attribute16=2", "memory_mb=64")
    machine.load_here()
    return folder


def _nvidia_on_the_stub(pulse: Pulse) -> Node:
    """The real NVIDIA code over host memory, in this process."""
    _load_the_stub()
    return open_node(DeviceSpec(device="nvidia"), None, pulse)


def _nvidia(pulse: Pulse) -> Node:
    """Real hardware. A process that has loaded the stub has it for good."""
    from gpuaccept.device.nvidia import is_stub

    if is_stub():
        pytest.skip("this process has the stub driver loaded: run `pytest -n 0 -m gpu`")
    return open_node(DeviceSpec(device="nvidia"), None, pulse)


FACTORIES: dict[str, NodeFactory | Any] = {
    "mock:hgx-b200": _mock("hgx-b200"),
    "mock:hgx-h100": _mock("hgx-h100"),
    "nvidia:stub": pytest.param(_nvidia_on_the_stub, marks=pytest.mark.needs("gcc"), id="nvidia:stub"),
    "nvidia": pytest.param(_nvidia, marks=pytest.mark.gpu, id="nvidia"),
}
"""Name to factory; a value may be a `pytest.param(factory, marks=…)`."""


@pytest.fixture(
    params=[value if hasattr(value, "marks") else pytest.param(value, id=name) for name, value in FACTORIES.items()]
)
def node_factory(request: pytest.FixtureRequest) -> NodeFactory:
    """Opens a node of each kind of device."""
    return request.param  # type: ignore[no-any-return]


class Pulses(list[tuple[int | None, str]]):
    """Every heartbeat that a node gave."""

    def __call__(self, gpu: int | None, call: str) -> None:
        self.append((gpu, call))


@pytest.fixture
def pulses() -> Pulses:
    """The heartbeats of `node`."""
    return Pulses()


@pytest.fixture
def node(node_factory: NodeFactory, pulses: Pulses) -> Iterator[Node]:
    """An open node of each kind."""
    opened = node_factory(pulses)
    yield opened
    opened.close()
