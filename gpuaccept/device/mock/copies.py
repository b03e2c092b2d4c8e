"""How long copies take on a simulated node: rates by parameters, temperature, clock and links, with their noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import acos, cos, inf, sqrt

from gpuaccept.check import Engine, HostDirection, SweepKernel, pair_subject
from gpuaccept.device.mock import noise, pcie, registers, surroundings
from gpuaccept.device.mock.machine import Machine
from gpuaccept.device.mock.model import HardwareModel, Spread
from gpuaccept.device.mock.noise import GOLDEN, MASK, MIX_1, MIX_2, QUANTILES, key, normal, uniform

HEAT_S = 0.1
"""Time that the memory's temperature is taken to stand still, s: far below every thermal time constant."""
VISIT_GAP_S = 1.0
"""Calls of one quantity without a longer pause than this are one visit and share its noise, s [judgement]."""
OVER_PCIE = 0.75
"""What a copy between GPUs over PCIe reaches of a copy from the host [judgement]."""
_SQRT2 = sqrt(2.0)


class Path:
    """One way that bytes take (a kernel on a GPU, a direction of a host copy, an operation on a pair).

    `ask` gives its rate in GB/s without noise; it is asked anew with each generation of the parameters. `own` is how
    far the GPU is from a typical one (1: as its seed says), `timer` what the GPU's timer makes of a rate.
    """

    __slots__ = (
        "_ask",
        "_asked",
        "_base",
        "_before",
        "_correlation",
        "_factor",
        "_last",
        "_quantile",
        "_repeat",
        "_repeat_key",
        "_slow",
        "_steady",
        "_usual",
        "_visit",
        "_visit_key",
    )

    def __init__(
        self,
        ask: Callable[[], float],
        spread: Spread,
        seed: int,
        quantity: str,
        subject: int,
        own: float = 1.0,
        slow_share: float = 0.0,
        timer: float = 1.0,
    ) -> None:
        steady = timer * (1.0 + spread.node / 100.0 * _shared(seed, quantity.split(" ")[0]))
        # the scatter from GPU to GPU is published as seen in one visit, so that visit's scatter is part of it
        apart = own * sqrt(max(0.0, spread.gpu**2 - spread.visit**2)) / 100.0
        gpu, visit, repeat = _keys(seed, quantity)
        steady *= 1.0 + apart * normal(noise.of_subject(gpu, subject))
        self._ask, self._steady = ask, steady
        self._visit, self._repeat = spread.visit / 100.0, spread.repeat / 100.0
        self._visit_key = noise.of_subject(visit, subject)
        self._repeat_key = noise.of_subject(repeat, subject)
        self._slow = int(slow_share * 2048)
        self._last, self._asked = -inf, -1
        self._base = self._factor = 1.0
        self._correlation, self._before = spread.correlation, 0.0
        self._quantile, self._usual = QUANTILES[spread.tails], spread.tails == "t4"

    def rate(self, now: float, generation: int) -> float:
        """GB/s of the next copy, at `now` (s)."""
        return self.rates((self,), now, generation)[0]

    @staticmethod
    def rates(paths: Iterable[Path], now: float, generation: int) -> list[float]:
        """GB/s of the next copies of several paths, all at `now` (s).

        Written out (`noise.uniform` and `noise.student_of`, for the most part): nothing else is called as often.
        """
        tick = int(now * 1e9)
        step = tick * GOLDEN
        out = []
        for path in paths:
            if generation != path._asked:
                path._asked, path._base = generation, path._ask() * path._steady
            fresh = now - path._last > VISIT_GAP_S
            if fresh:
                path._factor = 1.0 + path._visit * path._quantile(uniform(path._visit_key, tick))
            path._last = now
            z = (path._repeat_key + step) & MASK
            z = ((z ^ (z >> 30)) * MIX_1) & MASK
            z = ((z ^ (z >> 27)) * MIX_2) & MASK
            z ^= z >> 31
            u = ((z >> 11) + 0.5) * 1.1102230246251565e-16
            if path._usual:
                root = sqrt(4.0 * u * (1.0 - u))
                excess = cos(acos(root if root < 1.0 else 1.0) / 3.0) / root - 1.0
                t = _SQRT2 * sqrt(excess) if excess > 0.0 else 0.0
                if u <= 0.5:
                    t = -t
            else:
                t = path._quantile(u)
            if path._correlation:
                if not fresh:
                    t = path._correlation * path._before + sqrt(1.0 - path._correlation**2) * t
                path._before = t
            rate = path._base * path._factor * (1.0 + path._repeat * t)
            if path._slow and z & 0x7FF < path._slow:
                rate *= 0.995 - 0.015 * u
            out.append(rate)
        return out


@lru_cache(maxsize=256)
def _keys(seed: int, quantity: str) -> tuple[int, int, int]:
    """A quantity's keys for its scatter from GPU to GPU, visit to visit and repeat to repeat."""
    gpu, visit, repeat = (noise.of_quantity(seed, f"{quantity} {level}") for level in ("gpu", "visit", "repeat"))
    return gpu, visit, repeat


@lru_cache(maxsize=1024)
def _shared(seed: int, quantity: str, place: int = 0) -> float:
    """How far a node, or one of its GPUs, is from a typical one in what many paths share, in standard deviations."""
    return normal(key(seed, quantity, place))


def timer(machine: Machine, place: int) -> float:
    """What the timer of a GPU, which runs a little fast or slow, makes of every rate that it times."""
    return 1.0 + machine.model.noise.timer / 100.0 * _shared(machine.seed, "timer", place)


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
        self._heat: dict[int, tuple[float, float]] = {}

    def sweep(self, place: int, kernel: SweepKernel) -> float:
        """GB/s of the next sweep of a kernel; the copy engine's counts bytes once."""
        path = self._by_place.get((place, kernel)) or self._new_sweep(place, kernel)
        return self._now(path) * self.heat(place)

    def host(self, place: int, direction: HostDirection, engine: Engine = "ce", bidirectional: bool = False) -> float:
        """GB/s of the next host copy of a GPU that has its path to the host's memory to itself."""
        name = direction if engine == "ce" else f"{direction} sm"
        rate = self._now(self._by_place.get((place, name)) or self._new_host(place, direction, engine, name))
        return rate * (1.0 + self._machine.model.host.bidirectional_percent / 100.0) if bidirectional else rate

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

        path = Path(
            ask,
            model.noise.hbm,
            machine.seed,
            f"hbm {kernel}",
            place,
            machine.spread(place),
            model.noise.slow_repeat_share,
            timer(machine, place),
        )
        self._by_place[(place, kernel)] = path
        return path

    def _new_host(self, place: int, direction: HostDirection, engine: Engine, name: str) -> Path:
        machine, host = self._machine, self._machine.model.host
        by_engine = getattr(host, f"{direction}_sm") if engine == "sm" else None
        base = float(by_engine or getattr(host, direction))

        def ask() -> float:
            now = machine.time_s
            rate = machine.number(f"host.{direction}", place, base, now)
            rate *= machine.number("host.bandwidth", place, 1.0, now)
            rate *= pcie.share(machine.world, place, now, machine.holds)
            near = surroundings.numa_node(machine.world, place, now, machine.holds)
            far = near != surroundings.true_node(machine.world, place)
            return rate * (1.0 + host.far_percent / 100.0) if far else rate

        path = Path(
            ask,
            machine.model.noise.host,
            machine.seed,
            f"host {name}",
            place,
            machine.spread(place),
            0.0,
            timer(machine, place),
        )
        self._by_place[(place, name)] = path
        return path

    def _new_pair(self, code: str, gpu: int, peer: int) -> Path:
        machine, model = self._machine, self._machine.model
        one, other = machine.places[gpu], machine.places[peer]

        source, target = (one, other) if "write" in code else (other, one)
        ways = [(source, "link.transmit"), (target, "link.receive")]
        both = code.startswith("bidirectional")
        if both:
            ways += [(target, "link.transmit"), (source, "link.receive")]

        def ask() -> float:
            world, now, holds = machine.world, machine.time_s, machine.holds
            share = world.value("pair.bandwidth", pair_subject(one, other), 1.0, now, holds)
            if world.value("pair.over_pcie", pair_subject(one, other), False, now, holds):
                over = min(model.host.host_to_device, model.host.device_to_host) * OVER_PCIE * (2 if both else 1)
                return over * share * min(pcie.share(world, end, now, holds) for end in (one, other))
            carried = min(registers.carried(world, end, now, holds, way) for end, way in ways)
            return float(getattr(model.nvlink, code)) * carried * share

        spread = model.noise.nvlink_ce if code.endswith("ce") else model.noise.nvlink_sm
        own = machine.spread(one) * machine.spread(other)
        path = Path(ask, spread, machine.seed, f"nvlink {code}", one * 64 + other, own, 0.0, timer(machine, one))
        self._by_pair[(code, gpu, peer)] = path
        return path
