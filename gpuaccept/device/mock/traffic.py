"""What the links of each simulated GPU have carried: their counters of bytes.

They count what this process copied on top of what was carried before it, so a difference never spans two processes.
"""

from __future__ import annotations

from gpuaccept.check import LinkTraffic, link_subject, pair_subject
from gpuaccept.device.mock.machine import made
from gpuaccept.device.mock.world import Holds, World

CARRIED_BEFORE = 1 << 40
"""Bytes of each link and direction before the run [judgement]."""
COUNTED_IN = 1 << 10
"""Bytes that the counters step by: NVML has them in KiB."""


class Traffic:
    """Bytes that left and reached each GPU of a board over NVLink."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sent = [0] * world.model.gpus
        self._received = [0] * world.model.gpus
        self._bypassed = "pair.over_pcie" in world.names
        self._waiting: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}
        """(operation, places of pairs) -> bytes of each pair, which were not counted yet."""

    def add(self, ends: tuple[tuple[int, int], ...], code: str, moved: int, t: float, holds: Holds) -> None:
        """Count copies of pairs by an operation (`read_ce`, `bidirectional_write_sm`, …), but for those that took
        another way; each moved `moved` bytes, of both directions."""
        if self._bypassed:
            ends = tuple(
                [end for end in ends if not self._world.value("pair.over_pcie", pair_subject(*end), False, t, holds)]
            )
        self._waiting[code, ends] = self._waiting.get((code, ends), 0) + moved

    def _count(self) -> None:
        for (code, ends), moved in self._waiting.items():
            both = code.startswith("bidirectional")
            one_way = moved // 2 if both else moved
            for place, peer in ends:
                # a read pulls from the peer, a write pushes to it
                source, target = (place, peer) if "write" in code else (peer, place)
                self._sent[source] += one_way
                self._received[target] += one_way
                if both:
                    self._sent[target] += one_way
                    self._received[source] += one_way
        self._waiting.clear()

    def read(self, place: int, t: float, holds: Holds) -> tuple[LinkTraffic, ...]:
        """The counters of a GPU's links: data is dealt out evenly to the links that are up."""
        self._count()
        nvlink = self._world.model.nvlink
        numbers = range(nvlink.links)
        down: set[int] = set()
        if "link.state" in self._world.names:
            up_now = (self._world.value("link.state", link_subject(place, n), "on", t, holds) for n in numbers)
            down = {n for n, state in zip(numbers, up_now, strict=True) if state == "off"}
        up = max(1, len(numbers) - len(down))
        sent = CARRIED_BEFORE + _stepped(self._sent[place] / up)
        received = CARRIED_BEFORE + _stepped(self._received[place] / up)
        if not down:
            return tuple([made(LinkTraffic, (n, sent, received)) for n in numbers])
        idle = (CARRIED_BEFORE, CARRIED_BEFORE)
        return tuple([LinkTraffic(n, *(idle if n in down else (sent, received))) for n in numbers])


def _stepped(total: float) -> int:
    return int(total // COUNTED_IN) * COUNTED_IN
