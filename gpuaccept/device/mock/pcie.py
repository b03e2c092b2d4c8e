"""The PCIe link of a simulated GPU: what NVML and the kernel tell of it, and what it leaves of a copy's rate."""

from __future__ import annotations

from math import inf

from gpuaccept.check import Pcie, gpu_subject
from gpuaccept.device.mock import noise
from gpuaccept.device.mock.world import Holds, World

GB_PER_S_A_LANE = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563, 7: 15.126}
"""By generation: transfers a second less the encoding (8b/10b, from 3 on 128b/130b, from 6 on flits) [PCIe]."""


def state(world: World, seed: int, place: int, t: float, holds: Holds, busy: bool) -> Pcie:
    """The link as it is read: a link that carries nothing goes down to the idle generation."""
    model, subject = world.model.pcie, gpu_subject(place)

    def number(parameter: str, base: float) -> int:
        return int(world.value(f"pcie.{parameter}", subject, float(base), t, holds))

    def counted(parameter: str, per_hour: float = 0.0, since: float = 0.0) -> int:
        # a healthy link's first event comes at any part of its period; a fault counts from its beginning
        phase = noise.uniform(noise.key(seed, f"pcie {parameter}", place), 0) if per_hour else 0.0
        events = world.integral(f"pcie.{parameter}", subject, per_hour, t, holds)
        if since:
            events -= world.integral(f"pcie.{parameter}", subject, per_hour, since, holds)
        return int(events / 3600.0 + phase * 0.999)

    since = world.anew(subject, t)
    replays = (0 if since else number("replays", 0)) + counted("replays_per_hour", model.replays_per_hour, since)
    if "pcie.replay_bits" in world.names and (full := 1 << min(64, number("replay_bits", 64))) <= replays:
        replays = full - 1 if world.value("pcie.replay_stops", subject, False, t, holds) else replays % full
    generation = number("generation", model.generation)
    return Pcie(
        generation=generation if busy else min(generation, model.generation_idle),
        generation_max=model.generation_max,
        width=number("width", model.width),
        width_max=model.width,
        replays=replays,
        aer_correctable=counted("aer_correctable_per_hour"),
        aer_nonfatal=number("aer_nonfatal_new", 0),
        aer_fatal=number("aer_fatal_new", 0),
        **_c2c(world, place, t, holds),
    )


def _c2c(world: World, place: int, t: float, holds: Holds) -> dict[str, int]:
    """Links to the memory of a Grace; nothing where the model has none, which is what NVML says then."""
    links, subject = world.model.pcie.c2c_links, gpu_subject(place)
    if not links:
        return {}
    active = int(world.value("c2c.links_active", subject, float(links), t, holds))
    errors = int(world.integral("c2c.errors_per_hour", subject, 0.0, t, holds) / 3600.0)
    return {"c2c_links": links, "c2c_links_active": active, "c2c_errors": errors}


def share(world: World, place: int, t: float, holds: Holds) -> float:
    """What the way to the host as it is trained carries, as a share of the model's: C2C where there is some."""
    model, subject = world.model.pcie, gpu_subject(place)
    if model.c2c_links:
        return _c2c(world, place, t, holds)["c2c_links_active"] / model.c2c_links
    generation = int(world.value("pcie.generation", subject, float(model.generation), t, holds))
    width = world.value("pcie.width", subject, float(model.width), t, holds)
    return GB_PER_S_A_LANE.get(generation, 0.0) / GB_PER_S_A_LANE[model.generation] * width / model.width


class Uplinks:
    """Up-links to the host that several GPUs share, while some copy: each gets the same part of what it asks for."""

    def __init__(self, world: World, t: float, holds: Holds) -> None:
        self._world, self._t, self._holds = world, t, holds
        self._there = "pcie.uplink" in world.names
        self._demand: dict[int, float] = {}

    def add(self, place: int, rate: float) -> None:
        """A GPU asks for a rate, GB/s."""
        if self._there and (uplink := self._of(place)):
            self._demand[uplink] = self._demand.get(uplink, 0.0) + rate

    def share(self, place: int) -> float:
        """What a GPU gets, as a share of what it asked for."""
        uplink = self._of(place) if self._there else 0
        if not uplink:
            return 1.0
        rate = self._world.value("pcie.uplink_rate", gpu_subject(place), inf, self._t, self._holds)
        return max(1e-6, min(1.0, rate / self._demand[uplink]))

    def _of(self, place: int) -> int:
        return int(self._world.value("pcie.uplink", gpu_subject(place), 0.0, self._t, self._holds))
