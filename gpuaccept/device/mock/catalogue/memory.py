"""Faults of device memory: its rate, its contents, its error counters and repairs."""

from __future__ import annotations

from gpuaccept.device.fault import FaultKey
from gpuaccept.device.mock.catalogue.entry import (
    AT,
    GPU,
    LOSS,
    REPLACE,
    Entry,
    entry,
    factor,
    from_of,
    gpu_of,
    left,
    typical,
    value,
)
from gpuaccept.device.mock.model import Deviation

FAULTS: tuple[Entry, ...] = (
    entry(
        "hbm_bandwidth_low",
        "The device memory of one GPU is slow in every kernel.",
        (GPU, FaultKey("loss_percent", 10.0, LOSS, 0.0, 99.0)),
        "memory_bandwidth.copy_sm_hot",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(gpu_of(v), "hbm.bandwidth", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "straggler",
        "One GPU is slow in the memory copy kernel only, within every absolute limit.",
        (GPU, FaultKey("loss_percent", 3.0, LOSS, 0.0, 99.0)),
        "memory_bandwidth.copy_sm_hot",
        REPLACE,
        gpu_of,
        lambda v, m: (factor(gpu_of(v), "hbm.copy", left(v)), typical(gpu_of(v))),
        "loss_percent",
    ),
    entry(
        "memory_alloc_fails",
        "Every allocation on one GPU is refused as out of memory.",
        (GPU,),
        "memory_bandwidth.copy_sm_hot",
        ("error", "unknown", "measure again"),
        gpu_of,
        lambda v, m: (value(gpu_of(v), "memory.allocation_fails", True),),
    ),
    entry(
        "ecc_uncorrectable",
        "An uncorrectable DRAM error happens in the run.",
        (GPU, AT, FaultKey("count", 1, "errors", 1)),
        "ecc.dram_uncorrected_new",
        REPLACE,
        gpu_of,
        lambda v, m: (
            Deviation(target=gpu_of(v), parameter="ecc.dram_uncorrected_new", add=float(v["count"]), from_=from_of(v)),
        ),
    ),
    entry(
        "ecc_corrected_storm",
        "Corrected DRAM errors come by the thousand.",
        (GPU, FaultKey("per_hour", 60000.0, "errors an hour")),
        "ecc.dram_corrected_new",
        REPLACE,
        gpu_of,
        lambda v, m: (Deviation(target=gpu_of(v), parameter="ecc.dram_corrected_per_hour", add=float(v["per_hour"])),),
        "per_hour",
    ),
    entry(
        "row_remap_pending",
        "A row remapping waits for a reset.",
        (GPU,),
        "ecc.row_remapping_pending",
        ("inconclusive", "hardware", "reset and re-run"),
        gpu_of,
        lambda v, m: (
            value(gpu_of(v), "remap.pending", True),
            value(gpu_of(v), "remap.rows_correctable", 1.0),
        ),
    ),
    entry(
        "row_remap_failed",
        "A row could not be remapped.",
        (GPU,),
        "ecc.row_remapping_failure",
        REPLACE,
        gpu_of,
        lambda v, m: (value(gpu_of(v), "remap.failure", True),),
    ),
)
