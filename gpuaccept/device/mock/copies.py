"""How long copies take on a simulated node: rates by parameters, temperature, clock and links, with their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import inf

from gpuaccept.check import Engine, HostDirection, SweepKernel, pair_subject
from gpuaccept.device.mock import pcie, registers, surroundings
from gpuaccept.device.mock.machine import Machine
from gpuaccept.device.mock.model import HardwareModel
from gpuaccept.device.mock.scatter import Scatter, Subject, shared

HEAT_S = 0.1
"""Time that the memory's temperature is taken to stand still, s: far below every thermal time constant."""
VISIT_GAP_S = 1.0
"""Calls of one quantity without a longer pause than this are one visit and share its noise, s [judgement]."""
KERNELS = ("read", "write", "copy", "triad", "local_copy_ce")
HOST_COPIES = (("host_to_device", "ce"), ("device_to_host", "ce"), ("host_to_device", "sm"), ("device_to_host", "sm"))
OVER_PCIE = 0.75
"""What a copy between GPUs over PCIe reaches of a copy from the host [judgement]."""


class Path:
    """One way that bytes take: a kernel on a GPU, a direction of a host copy, an operation on a pair.

    `ask` gives its rate in GB/s without noise; it is asked anew with each generation of the parameters. `row` is its
    place among the subjects of its quantity.
    """

    __slots__ = ("_ask", "_asked", "_base", "_blocks", "_factors", "_last", "_row", "_scatter", "_visit")

    def __init__(self, ask: Callable[[], float], scatter: Scatter, row: int) -> None:
        self._ask, self._scatter, self._row = ask, scatter, row
        self._last, self._asked, self._base = -inf, -1, 1.0
        self._visit, self._blocks = -1, 0
        self._factors: list[float] = []
        """Of the next copies, the next one last."""

    def rate(self, now: float, generation: int) -> float:
        """GB/s of the next copy, at `now` (s)."""
        return self.rates((self,), now, generation)[0]

    @staticmethod
    def rates(paths: Iterable[Path], now: float, generation: int) -> list[float]:
        """GB/s of the next copies of several paths, all at `now` (s)."""
        out = []
        for path in paths:
            if not path._factors or now - path._last > VISIT_GAP_S or generation != path._asked:
                path._prepare(now, generation)
            path._last = now
            out.append(path._base * path._factors.pop())
        return out

    def _prepare(self, now: float, generation: int) -> None:
        """See to it that there is a next factor, and that the rate without noise is right."""
        if generation != self._asked:
            self._asked, self._base = generation, self._ask()
        if now - self._last > VISIT_GAP_S:
            self._visit, self._blocks, self._factors = self._visit + 1, 0, []
        if not self._factors:
            self._factors = self._scatter.factors(self._visit, self._blocks)[self._row][::-1]
            self._blocks += 1


def timer(machine: Machine, place: int) -> float:
    """What the timer of a GPU, which runs a little fast or slow, makes of every rate that it times."""
    return 1.0 + machine.model.noise.timer / 100.0 * shared(machine.seed, "timer", place)


def of_gpus(machine: Machine, kinds: int = 1) -> list[Subject]:
    """So many kinds of a quantity, of each place of the board."""
    places = range(machine.model.gpus)
    fixed = [(machine.spread(place), timer(machine, place)) for place in places]
    return [Subject(kind * len(places) + place, *fixed[place]) for kind in range(kinds) for place in places]


def heat_factor(model: HardwareModel, memory_c: float) -> float:
    """What the memory's temperature leaves of its rate: a slope, and a step where refresh doubles."""
    memory = model.memory
    factor = 1.0 + memory.percent_per_kelvin / 100.0 * (memory_c - memory.reference_c)
    if memory_c > memory.slower_above_c:
        return factor * (1.0 + memory.slower_percent / 100.0)
    if memory_c > memory.slow_above_c:
        return factor * (1.0 + memory.slow_percent / 100.0)
    return factor


class Paths:
    """All ways that bytes take on one machine, each made when it is first used."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._by_place: dict[tuple[int, str], Path] = {}
        self._by_pair: dict[tuple[str, int, int], Path] = {}
        self._hbm: Scatter | None = None
        self._host: dict[bool, Scatter] = {}
        """By whether the opposite direction runs."""
        self._peer: dict[str, Scatter] = {}
        """By operation."""
        self._heat: dict[int, tuple[float, float]] = {}

    def sweep(self, place: int, kernel: SweepKernel) -> float:
        """GB/s of the next sweep of a kernel; the copy engine's counts bytes once."""
        path = self._by_place.get((place, kernel)) or self._new_sweep(place, kernel)
        return self._now(path) * self.heat(place)

    def host(self, place: int, direction: HostDirection, engine: Engine = "ce", bidirectional: bool = False) -> float:
        """GB/s of the next host copy of a GPU that has its path to the host's memory to itself."""
        name = direction if engine == "ce" else f"{direction} sm"
        key = (place, f"{name} both ways" if bidirectional else name)
        return self._now(self._by_place.get(key) or self._new_host(key, direction, engine, bidirectional))

    def crowded(self, gpu: int, peer: int) -> float:
        """What the switch leaves of a copy from one GPU to another while all GPUs copy to all, as a share."""
        machine = self._machine
        ends = (machine.places[gpu], machine.places[peer])
        return min(
            registers.carried(machine.world, end, machine.time_s, machine.holds, "link.crowded")
            / max(1e-9, registers.carried(machine.world, end, machine.time_s, machine.holds))
            for end in ends
        )

    def pair(self, code: str, gpu: int, peer: int) -> Path:
        """The path of an operation (`read_ce`, `bidirectional_write_sm`, …) of a pair of GPUs."""
        return self._by_pair.get((code, gpu, peer)) or self._new_pair(code, gpu, peer)

    def forget(self) -> None:
        """Drop all paths."""
        self._by_place.clear()
        self._by_pair.clear()
        self._peer.clear()
        self._host.clear()
        self._hbm = None

    def _now(self, path: Path) -> float:
        machine = self._machine
        return path.rate(machine.time_s, machine.generation)

    def heat(self, place: int) -> float:
        """What the memory's temperature leaves of its rate now."""
        now = self._machine.time_s
        until, factor = self._heat.get(place, (-inf, 1.0))
        if now < until:
            return factor
        body = self._machine.bodies[place]
        body.advance(now)
        factor = heat_factor(self._machine.model, body.memory_temperature(now))
        self._heat[place] = (now + HEAT_S, factor)
        return factor

    def _new_sweep(self, place: int, kernel: SweepKernel) -> Path:
        machine, model = self._machine, self._machine.model

        def ask() -> float:
            now = machine.time_s
            rate = machine.number(f"hbm.{kernel}", place, getattr(model.memory, kernel), now)
            rate *= machine.number("hbm.bandwidth", place, 1.0, now)
            if kernel != "local_copy_ce":
                rate *= min(1.0, machine.number("clock.sm_lock_mhz", place, inf, now) / model.memory.sm_clock_knee_mhz)
            return rate

        if self._hbm is None:
            spread, slow = model.noise.hbm, model.noise.slow_repeat_share
            subjects = of_gpus(machine, len(KERNELS))
            self._hbm = Scatter(machine.seed, machine.start, spread, "hbm", subjects, slow_share=slow)
        row = KERNELS.index(kernel) * model.gpus + place
        path = self._by_place[(place, kernel)] = Path(ask, self._hbm, row)
        return path

    def _new_host(self, key: tuple[int, str], direction: HostDirection, engine: Engine, bidirectional: bool) -> Path:
        place, machine, host = key[0], self._machine, self._machine.model.host
        by_engine = getattr(host, f"{direction}_sm") if engine == "sm" else None
        base = float(by_engine or getattr(host, direction))
        shared = getattr(host, f"{direction}_bidirectional") / getattr(host, direction)

        def ask() -> float:
            now = machine.time_s
            rate = machine.number(f"host.{direction}", place, base, now)
            rate *= machine.number("host.bandwidth", place, 1.0, now)
            if bidirectional:
                rate *= shared * machine.number("host.both_ways", place, 1.0, now)
            rate *= pcie.share(machine.world, place, now, machine.holds)
            near = surroundings.numa_node(machine.world, place, now, machine.holds)
            far = near != surroundings.true_node(machine.world, place)
            return rate * (1.0 + host.far_percent / 100.0) if far else rate

        scatter = self._host.get(bidirectional)
        if scatter is None:
            subjects = of_gpus(machine, len(HOST_COPIES))
            quantity = "host both ways" if bidirectional else "host"
            scatter = Scatter(machine.seed, machine.start, machine.model.noise.host, quantity, subjects)
            self._host[bidirectional] = scatter
        row = HOST_COPIES.index((direction, engine)) * machine.model.gpus + place
        path = self._by_place[key] = Path(ask, scatter, row)
        return path

    def _new_pair(self, code: str, gpu: int, peer: int) -> Path:
        one, other = self._machine.places[gpu], self._machine.places[peer]
        row = one * self._machine.model.gpus + other
        scatter = self._peer.get(code) or self._of_pairs(code)
        path = self._by_pair[(code, gpu, peer)] = Path(partial(self._of_pair, code, one, other), scatter, row)
        return path

    def _of_pair(self, code: str, one: int, other: int) -> float:
        """GB/s of an operation of a pair of places, without noise."""
        machine, model = self._machine, self._machine.model
        rate = float(getattr(model.nvlink, code))
        if not machine.world.names:
            return rate
        source, target = (one, other) if "write" in code else (other, one)
        ways = [(source, "link.transmit"), (target, "link.receive")]
        both = code.startswith("bidirectional")
        if both:
            ways += [(target, "link.transmit"), (source, "link.receive")]
        world, now, holds = machine.world, machine.time_s, machine.holds
        share = world.value("pair.bandwidth", pair_subject(one, other), 1.0, now, holds)
        if world.value("pair.over_pcie", pair_subject(one, other), False, now, holds):
            over = min(model.host.host_to_device, model.host.device_to_host) * OVER_PCIE * (2 if both else 1)
            return over * share * min(pcie.share(world, end, now, holds) for end in (one, other))
        return rate * share * min(registers.carried(world, end, now, holds, way) for end, way in ways)

    def _of_pairs(self, code: str) -> Scatter:
        """The scatter of an operation of all pairs of places, those of a place with itself included."""
        machine, noise = self._machine, self._machine.model.noise
        fixed = of_gpus(machine)
        pairs = [(one, other) for one in fixed for other in fixed]
        subjects = [Subject(number, one.own * other.own, one.timer) for number, (one, other) in enumerate(pairs)]
        spread = noise.nvlink_ce if code.endswith("ce") else noise.nvlink_sm
        found = self._peer[code] = Scatter(machine.seed, machine.start, spread, f"nvlink {code}", subjects)
        return found
