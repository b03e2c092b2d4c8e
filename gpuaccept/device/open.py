"""Opens a device by its name: the only place that knows which kinds there are."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gpuaccept.check import Node, Pulse
from gpuaccept.data import Layer, Simulated
from gpuaccept.device.fault import Fault, FaultKey, check_text
from gpuaccept.device.learned import Learned
from gpuaccept.errors import UsageError

if TYPE_CHECKING:
    from gpuaccept.device.mock.model import HardwareModel

__all__ = [
    "DeviceSpec",
    "Fault",
    "FaultKey",
    "Learned",
    "Traits",
    "check_spec",
    "faults",
    "given",
    "libraries",
    "memory",
    "model",
    "open_node",
    "record_of",
    "scenarios",
    "simulated",
    "traits",
]


NOTHING_LEARNED = Learned()


class DeviceSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which device to measure: `nvidia`, or `mock:NAME|PATH` with seed and faults, in virtual or in real time.

    `replay:RECORD` names no device: see `record_of`.
    """

    device: str
    seed: int = 0
    faults: tuple[str, ...] = ()
    real_time: bool = False
    start_s: float = 0.0
    """Virtual time at which a mock is found, s: the same node on another day has the same parts and other noise."""


class Traits(NamedTuple):
    """How a device wants to be worked with: one worker for all GPUs, and the silence (s) that means a hang."""

    one_worker: bool
    silence_s: float


def record_of(spec: DeviceSpec) -> str | None:
    """The file of `replay:RECORD`, else None. A record holds samples, not calls: it can't be opened as a node."""
    kind, _, name = spec.device.partition(":")
    return name if kind == "replay" and name else None


def check_spec(spec: DeviceSpec) -> None:
    """Raise UsageError, in one sentence, where the device, scenario, a fault or one of its keys is not known."""
    if record_of(spec) is not None:
        if spec.faults:
            raise UsageError("faults can't be made in a record", "use --fault with --device mock:NAME")
        return
    name = _mock(spec)
    if name is None:
        if spec.faults:
            raise UsageError("faults can't be made on real hardware", "use --fault with --device mock:NAME")
        return
    from gpuaccept.device.mock.scenario import load

    if not 0 <= spec.seed < 2**63:
        raise UsageError(f"seed {spec.seed} is not between 0 and 2^63 - 1")
    for text in spec.faults:
        check_text(text, faults())
    load(name, spec.faults, spec.seed)


def open_node(
    spec: DeviceSpec,
    gpus: tuple[int, ...] | None,
    pulse: Pulse,
    start_s: float = 0.0,
    learned: Learned = NOTHING_LEARNED,
) -> Node:
    """Open a device for these GPUs (None: all). `start_s` is the virtual time to go on from, on the mock only.

    Raises UsageError as `check_spec`, DeviceUnavailable where nothing can be measured.
    """
    name = _mock(spec)
    if name is None:
        from gpuaccept.device.nvidia import open_nvidia

        return open_nvidia(gpus, pulse, learned)
    from gpuaccept.device.mock.node import MockNode
    from gpuaccept.device.mock.scenario import load
    from gpuaccept.device.mock.world import World

    simulation = load(name, spec.faults, spec.seed)
    world = World(simulation.model, simulation.deviations)
    return MockNode(world, simulation.seed, gpus, pulse, max(start_s, spec.start_s), spec.real_time)


def memory(spec: DeviceSpec, node: Node) -> bytes:
    """What a process that takes this one's place should know: events that are told once. Empty on the mock."""
    if _mock(spec) is not None:
        return b""
    from gpuaccept.device.nvidia import memory as of_node

    return of_node(node)


def preload(spec: DeviceSpec) -> None:
    """Import what opening this device needs, and load no driver: the process may fork afterwards."""
    if _mock(spec) is None:
        import gpuaccept.device.nvidia.preload
    else:
        import gpuaccept.device.mock.node
        import gpuaccept.device.mock.scenario
        import gpuaccept.device.mock.world  # noqa: F401


def simulated(spec: DeviceSpec) -> Simulated | None:
    """Why this device is not real, or None. For `nvidia` it loads the driver: ask in a worker."""
    name = _mock(spec)
    if name is None:
        from gpuaccept.device.nvidia import is_stub

        return Simulated(by="stub") if is_stub() else None
    from gpuaccept.device.mock.scenario import load

    simulation = load(name, spec.faults, spec.seed)
    return Simulated(
        by="mock",
        scenario=name.rsplit("/", 1)[-1],
        seed=simulation.seed,
        faults=simulation.faults,
        digest=simulation.digest,
    )


def libraries(spec: DeviceSpec) -> tuple[Layer, ...]:
    """Path and sha256 of each driver library that this process uses; none on the mock."""
    if _mock(spec) is not None:
        return ()
    from gpuaccept.device.nvidia import libraries as loaded

    return loaded()


def traits(spec: DeviceSpec) -> Traits:
    """How to work with this device. A mock call takes no time; a driver's may (module load, first context)."""
    return Traits(one_worker=True, silence_s=2.0) if _mock(spec) is not None else Traits(False, 30.0)


def model(spec: DeviceSpec) -> HardwareModel:
    """The simulated hardware's parameters, for whoever evaluates checks against them. Raises UsageError."""
    from gpuaccept.device.mock.scenario import load

    name = _mock(spec)
    if name is None:
        raise UsageError("real hardware has no model", "name a simulated one: mock:hgx-b200")
    return load(name, spec.faults, spec.seed).model


def scenarios() -> tuple[str, ...]:
    """Simulated hardware that comes with gpuaccept: what may follow `mock:`."""
    from gpuaccept.device.mock.scenario import names

    return names()


def faults() -> tuple[Fault, ...]:
    """Every named fault that a mock can have."""
    from gpuaccept.device.mock.faults import catalogue

    return catalogue()


def given(spec: DeviceSpec) -> tuple[tuple[Fault, dict[str, float | int | str]], ...]:
    """Each fault of a mock with its values on that hardware: defaults are counted round where it has fewer parts."""
    from gpuaccept.device.mock.faults import parse

    hardware = model(spec)
    return tuple(parse(text, hardware) for text in spec.faults)


def _mock(spec: DeviceSpec) -> str | None:
    """The scenario of a mock; None for nvidia. Raises UsageError for anything else."""
    kind, _, name = spec.device.partition(":")
    if kind == "mock" and name:
        return name
    if spec.device == "nvidia":
        return None
    if kind == "mock":
        raise UsageError("mock needs a scenario", "for example --device mock:hgx-b200")
    if kind == "replay":
        if name:
            raise UsageError("a record has no device that could be opened", "replay it with `gpuaccept run`")
        raise UsageError("replay needs a record", "for example --device replay:record.json")
    near = get_close_matches(kind, ("nvidia", "mock", "replay"), 1, 0.5)
    hint = f", did you mean {near[0]}{'' if near[0] == 'nvidia' else ':…'}?" if near else ""
    raise UsageError(f"unknown device {spec.device!r}{hint}", "devices are nvidia, mock:NAME|PATH and replay:RECORD")
