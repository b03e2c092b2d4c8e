"""The devices that the contract suite runs against: add a factory to FACTORIES, and every test takes it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gpuaccept.check import Node, Pulse
from gpuaccept.device.open import DeviceSpec, open_node

NodeFactory = Callable[[Pulse], Node]


def _mock(name: str) -> NodeFactory:
    return lambda pulse: open_node(DeviceSpec(device=f"mock:{name}", seed=7), None, pulse)


FACTORIES: dict[str, NodeFactory | Any] = {
    "mock:hgx-b200": _mock("hgx-b200"),
    "mock:hgx-h100": _mock("hgx-h100"),
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
