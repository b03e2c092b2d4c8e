"""Copies between simulated GPUs, of many pairs at the same time: what fails, how long the others take."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from gpuaccept.check import CopyOperation, Engine, Transfer, Unavailable, pair_subject
from gpuaccept.device.mock import registers
from gpuaccept.device.mock.copies import Path, Paths
from gpuaccept.device.mock.integrity import allocate
from gpuaccept.device.mock.machine import CALL_S, Machine, made
from gpuaccept.device.mock.traffic import Traffic
from gpuaccept.errors import DeviceError

STANDSTILL_GB_PER_S = 1e-3
"""A copy slower than this never ends, as far as the driver's time-out is concerned [judgement]."""
Pair = tuple[int, int]


class Crossing(NamedTuple):
    """Pairs that copy at the same time, by one operation."""

    paths: tuple[Path, ...]
    ends: tuple[Pair, ...]
    """The places of each pair."""
    crowd: int
    """How many copies the busiest GPU takes part in on the same side: they share its links."""
    meshed: bool
    """Whether each GPU that sends also receives, so that all of them load the switch."""
    reachable: bool
    """Whether each pair can copy as far as the model goes, and the GPUs that this process has."""


class Peers:
    """Copies between the GPUs of one machine."""

    def __init__(self, machine: Machine, paths: Paths, traffic: Traffic) -> None:
        self._machine, self._paths, self._traffic = machine, paths, traffic
        self._crossings: dict[tuple[str, tuple[Pair, ...]], Crossing] = {}

    def copies(
        self,
        pairs: tuple[Pair, ...],
        operation: CopyOperation,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        """Timed copies of all pairs (gpu, peer) at the same time."""
        if not pairs:
            return ()
        machine = self._machine
        machine.pulse(pairs[0][0], "peer_copies")
        machine.refresh()
        code = f"bidirectional_{operation}_{engine}" if bidirectional else f"{operation}_{engine}"
        crossing = self._crossings.get((code, pairs)) or self._meet(code, pairs)
        moved = buffer_bytes * passes * (2 if bidirectional else 1)
        if machine.world.names or machine.closed or not crossing.reachable:
            return self._deviating(pairs, crossing, code, operation, buffer_bytes, passes, moved)
        rates = Path.rates(crossing.paths, machine.time_s, machine.generation)
        load, slowest = moved * crossing.crowd, min(rates)
        if slowest < STANDSTILL_GB_PER_S:
            return self._deviating(pairs, crossing, code, operation, buffer_bytes, passes, moved)
        self._traffic.add(crossing.ends, code, moved, machine.time_s, machine.holds)
        machine.pass_time(CALL_S + (int(load / slowest) or 1) * 1e-9)
        return tuple([made(Transfer, (int(load / rate) or 1, moved, moved, 0)) for rate in rates])

    def forget(self) -> None:
        """Drop all paths."""
        self._crossings.clear()

    def _deviating(
        self,
        pairs: tuple[Pair, ...],
        crossing: Crossing,
        code: str,
        operation: CopyOperation,
        buffer_bytes: int,
        passes: int,
        moved: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        """As `copies`, where any of it may differ from the model."""
        machine = self._machine
        failures = [self._failure(*pair, operation, buffer_bytes, passes) for pair in pairs]
        going = [pair for pair, failure in zip(pairs, failures, strict=True) if failure is None]
        paths = [self._paths.pair(code, *pair) for pair in going]
        rates = Path.rates(paths, machine.time_s, machine.generation)
        spans = [self._span(pair, rate, crossing, moved) for pair, rate in zip(going, rates, strict=True)]
        ended = [(pair, one.elapsed_ns) for pair, one in zip(going, spans, strict=True) if isinstance(one, Transfer)]
        ends = tuple([self._ends(pair) for pair, _ in ended])
        self._traffic.add(ends, code, moved, machine.time_s, machine.holds)
        machine.pass_time(CALL_S + max([elapsed_ns for _, elapsed_ns in ended], default=0) * 1e-9)
        rest = iter(spans)
        return tuple([failure or next(rest) for failure in failures])

    def _span(self, pair: Pair, rate: float, crossing: Crossing, moved: int) -> Transfer | Unavailable:
        """One of the copies, with what deviates from the model."""
        machine = self._machine
        if rate < STANDSTILL_GB_PER_S:
            return Unavailable("cuEventSynchronize", 702, "CUDA_ERROR_LAUNCH_TIMEOUT")
        if crossing.meshed and "link.crowded" in machine.world.names:
            rate *= self._paths.crowded(*pair)
        wrong = machine.world.value("pair.wrong_words", self._subject(pair), 0.0, machine.time_s, machine.holds)
        return Transfer(int(moved * crossing.crowd / rate) or 1, moved, moved, int(wrong))

    def _subject(self, pair: Pair) -> str:
        return pair_subject(*self._ends(pair))

    def _ends(self, pair: Pair) -> Pair:
        places = self._machine.places
        return places[pair[0]], places[pair[1]]

    def _meet(self, code: str, pairs: tuple[Pair, ...]) -> Crossing:
        machine, crowd = self._machine, 1
        if len({gpu for pair in pairs for gpu in pair}) < 2 * len(pairs):
            crowd = max(max(Counter(pair[side] for pair in pairs).values()) for side in (0, 1))
        meshed = crowd > 1 and {gpu for gpu, _ in pairs} == {peer for _, peer in pairs}
        own = all(gpu in machine.gpus and peer in machine.gpus and gpu != peer for gpu, peer in pairs)
        reachable = own and machine.model.nvlink.p2p == "ok"
        paths = tuple([self._paths.pair(code, *pair) for pair in pairs]) if reachable else ()
        ends = tuple(map(self._ends, pairs)) if reachable else ()
        found = self._crossings[code, pairs] = Crossing(paths, ends, crowd, meshed, reachable)
        return found

    def _failure(
        self, gpu: int, peer: int, operation: CopyOperation, buffer_bytes: int, passes: int
    ) -> Unavailable | None:
        """Why a pair can't copy: an ordinary error of either end, or no access between them."""
        machine = self._machine
        try:
            for end in (gpu, peer):
                allocate(machine, end, machine.place(end, "peer_copies"), buffer_bytes, passes)
        except DeviceError as error:
            return Unavailable(error.call, error.code, error.name)
        if gpu == peer:
            return Unavailable("cuCtxEnablePeerAccess", 101, "CUDA_ERROR_INVALID_DEVICE")
        places = machine.places
        status = registers.pair(machine.world, places[gpu], places[peer], machine.time_s, machine.holds)
        if (status.p2p_read if operation == "read" else status.p2p_write) != "ok":
            return Unavailable("cuCtxEnablePeerAccess", 217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED")
        return None
