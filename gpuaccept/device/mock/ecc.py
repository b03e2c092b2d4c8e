"""ECC counters and repair flags of one simulated GPU; most parts correct nothing, some do at a rate of their own."""

from __future__ import annotations

from math import exp

from gpuaccept.check import EccCounters, Unavailable, gpu_subject
from gpuaccept.device.mock import noise
from gpuaccept.device.mock.model import HardwareModel
from gpuaccept.device.mock.registers import NOT_SUPPORTED
from gpuaccept.device.mock.world import Holds, World

KINDS = ("dram_corrected", "dram_uncorrected", "sram_corrected", "sram_uncorrected")
_HEALTHY = "dram_corrected"
"""What a healthy part may count as well."""


class Ecc:
    """The registers of one GPU."""

    def __init__(self, world: World, seed: int, place: int) -> None:
        self._world, self._subject = world, gpu_subject(place)
        self._per_hour = _corrected_per_hour(world.model, seed, place)
        # a healthy GPU's first error comes at any part of its period; a fault counts from its beginning
        self._phase = noise.uniform(noise.key(seed, f"ecc {_HEALTHY}", place), 0) if self._per_hour else 0.0
        self._touched = any(name.startswith(("ecc.", "remap.", "repair.", "driver.")) for name in world.names)
        self._last: EccCounters | None = None

    def read(self, t: float, holds: Holds) -> EccCounters:
        """Error counters (volatile: since the run began) and repair flags at `t`."""
        last = self._last
        if last is None or self._touched or (self._per_hour and last.dram_corrected_volatile != self._healthy(t)):
            last = self._last = self._read(t, holds)
        return last

    def _healthy(self, t: float) -> int:
        """Errors that a part which no fault touches has corrected until `t`."""
        return int(self._per_hour * t / 3600.0 + self._phase * 0.999)

    def _read(self, t: float, holds: Holds) -> EccCounters:
        world, subject = self._world, self._subject

        def number(parameter: str, base: int = 0) -> int:
            return int(world.value(parameter, subject, float(base), t, holds))

        def flag(parameter: str) -> int:
            return int(world.value(parameter, subject, False, t, holds))

        def remap(value: int) -> int | Unavailable:
            return value if world.model.ecc.remap_readable else NOT_SUPPORTED

        def repair(value: int) -> int | Unavailable:
            return value if world.model.ecc.repair_readable else NOT_SUPPORTED

        since = world.anew(subject, t)
        counters = {}
        for kind in KINDS:
            per_hour, phase = (self._per_hour, self._phase) if kind == _HEALTHY else (0.0, 0.0)
            counted = world.integral(f"ecc.{kind}_per_hour", subject, per_hour, t, holds) / 3600.0
            new = number(f"ecc.{kind}_new") + int(counted + phase * 0.999)
            counters[f"{kind}_aggregate"] = number(f"ecc.{kind}") + new
            if since:
                before = world.integral(f"ecc.{kind}_per_hour", subject, per_hour, since, holds) / 3600.0
                new -= int(world.value(f"ecc.{kind}_new", subject, 0.0, since, holds)) + int(before + phase * 0.999)
            counters[f"{kind}_volatile"] = new
        rows = number("remap.rows_correctable"), number("remap.rows_uncorrectable")
        base = world.model.ecc.remap_banks
        none, low = number("remap.banks_none", base), number("remap.banks_low", base)
        partial, high = number("remap.banks_partial"), number("remap.banks_high", sum(rows))  # each row of another bank
        return EccCounters(
            **counters,
            sram_threshold_exceeded=(
                flag("ecc.sram_threshold_exceeded") if world.model.ecc.sram_threshold_readable else NOT_SUPPORTED
            ),
            remapped_rows_correctable=remap(rows[0]),
            remapped_rows_uncorrectable=remap(rows[1]),
            row_remapping_pending=remap(flag("remap.pending")),
            row_remapping_failure=remap(flag("remap.failure")),
            remap_banks_max=remap(max(0, world.model.ecc.banks - high - partial - low - none)),
            remap_banks_high=remap(high),
            remap_banks_partial=remap(partial),
            remap_banks_low=remap(low),
            remap_banks_none=remap(none),
            channel_repair_pending=repair(flag("repair.channel_pending")),
            tpc_repair_pending=repair(flag("repair.tpc_pending")),
        )


def with_corrected(counters: EccCounters, corrected: int) -> EccCounters:
    """The counters with DRAM errors that were corrected besides."""
    added = {
        name: value + corrected
        for name in ("dram_corrected_volatile", "dram_corrected_aggregate")
        if isinstance(value := getattr(counters, name), int)
    }
    return counters._replace(**added)


def _corrected_per_hour(model: HardwareModel, seed: int, place: int) -> float:
    """Corrected DRAM errors of a healthy part: none on most, log-normal on the others."""
    of = noise.key(seed, "ecc corrected rate", place)
    if noise.uniform(of, 0) >= model.ecc.share_with_corrected:
        return 0.0
    return model.ecc.corrected_per_hour_median * exp(model.ecc.corrected_per_hour_log_sigma * noise.normal(of, 1))
