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


class _Meeting(NamedTuple):
    """What pairs that copy at the same time have in common."""

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
        self._meetings: dict[tuple[Pair, ...], _Meeting] = {}

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
        now, generation, deviating = machine.time_s, machine.generation, bool(machine.world.names)
        meeting = self._meetings.get(pairs) or self._meet(pairs)
        failures: dict[Pair, Unavailable] = {}
        if deviating or machine.closed or not meeting.reachable:
            found = ((pair, self._failure(*pair, operation, buffer_bytes, passes)) for pair in pairs)
            failures = {pair: failure for pair, failure in found if failure is not None}
        going = tuple([pair for pair in pairs if pair not in failures]) if failures else pairs
        together = self._paths.together(f"{'bidirectional_' if bidirectional else ''}{operation}_{engine}", going)
        rates = Path.rates(together.paths, now, generation)
        moved = buffer_bytes * passes * (2 if bidirectional else 1)
        load, ends = moved * meeting.crowd, together.ends
        out: list[Transfer | Unavailable]
        slowest = min(rates, default=0.0)
        if deviating or slowest < STANDSTILL_GB_PER_S:
            out = [self._span(pair, rate, meeting, moved) for pair, rate in zip(going, rates, strict=True)]
            ends = tuple([end for end, span in zip(ends, out, strict=True) if isinstance(span, Transfer)])
            longest = max([span.elapsed_ns for span in out if isinstance(span, Transfer)], default=0)
        else:
            out = [made(Transfer, (int(load / rate) or 1, moved, moved, 0)) for rate in rates]
            longest = int(load / slowest) or 1
        self._traffic.add(ends, operation, bidirectional, moved, now, machine.holds)
        machine.pass_time(CALL_S + longest * 1e-9)
        if not failures:
            return tuple(out)
        rest = iter(out)
        return tuple([failures.get(pair) or next(rest) for pair in pairs])

    def _span(self, pair: Pair, rate: float, meeting: _Meeting, moved: int) -> Transfer | Unavailable:
        """One of the copies, with what deviates from the model."""
        machine = self._machine
        if rate < STANDSTILL_GB_PER_S:
            return Unavailable("cuEventSynchronize", 702, "CUDA_ERROR_LAUNCH_TIMEOUT")
        if meeting.meshed and "link.crowded" in machine.world.names:
            rate *= self._paths.crowded(*pair)
        wrong = machine.world.value("pair.wrong_words", self._subject(pair), 0.0, machine.time_s, machine.holds)
        return Transfer(int(moved * meeting.crowd / rate) or 1, moved, moved, int(wrong))

    def _subject(self, pair: Pair) -> str:
        places = self._machine.places
        return pair_subject(places[pair[0]], places[pair[1]])

    def _meet(self, pairs: tuple[Pair, ...]) -> _Meeting:
        machine, crowd = self._machine, 1
        if len({gpu for pair in pairs for gpu in pair}) < 2 * len(pairs):
            crowd = max(max(Counter(pair[side] for pair in pairs).values()) for side in (0, 1))
        meshed = crowd > 1 and {gpu for gpu, _ in pairs} == {peer for _, peer in pairs}
        own = all(gpu in machine.gpus and peer in machine.gpus and gpu != peer for gpu, peer in pairs)
        meeting = self._meetings[pairs] = _Meeting(crowd, meshed, own and machine.model.nvlink.p2p == "ok")
        return meeting

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
