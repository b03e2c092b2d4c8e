"""Faults of the arithmetic."""

from __future__ import annotations

from gpuaccept.device.fault import FaultKey
from gpuaccept.device.mock.catalogue.entry import GPU, REPLACE, Entry, entry, gpu_of, value

FAULTS: tuple[Entry, ...] = (
    entry(
        "sm_silent_corruption",
        "One SM of a GPU computes wrongly, always in the same way: the GPU agrees with itself and with no other.",
        (GPU, FaultKey("sm", 17, "number of the SM")),
        "thermal_soak.digest",
        REPLACE,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "sm.wrong", float(v["sm"])),
            value(gpu_of(v), "sm.always_wrong", True),
        ),
    ),
    entry(
        "sm_silent_corruption_intermittent",
        "One SM of a GPU computes wrongly now and then, under load.",
        (GPU, FaultKey("sm", 17, "number of the SM"), FaultKey("per_hour", 30.0, "wrong results an hour")),
        "thermal_soak.mismatches",
        REPLACE,
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "sm.wrong", float(v["sm"])),
            value(gpu_of(v), "load.mismatches_per_hour", float(v["per_hour"])),
        ),
        "per_hour",
    ),
)
