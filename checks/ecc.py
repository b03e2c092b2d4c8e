"""Memory errors and repairs of every GPU: ECC counters in life and in this run, row remapping, pending repairs."""

from gpuaccept.check import Check, Metric, Node, Visit, gpu_subject


def _counter(name: str, unit: str, description: str) -> Metric:
    return Metric(name, unit, description, kind="counted", better="lower")


# Metric -> the counter that NVML names so.
SOURCES = {
    "dram_corrected_aggregate": "dram_corrected_aggregate",
    "dram_uncorrected_aggregate": "dram_uncorrected_aggregate",
    "sram_corrected_aggregate": "sram_corrected_aggregate",
    "sram_uncorrected_aggregate": "sram_uncorrected_aggregate",
    "dram_uncorrected_new": "dram_uncorrected_volatile",
    "sram_uncorrected_new": "sram_uncorrected_volatile",
    "dram_corrected_new": "dram_corrected_volatile",
    "sram_corrected_new": "sram_corrected_volatile",
    "sram_threshold_exceeded": "sram_threshold_exceeded",
    "row_remapping_pending": "row_remapping_pending",
    "row_remapping_failure": "row_remapping_failure",
    "channel_repair_pending": "channel_repair_pending",
    "tpc_repair_pending": "tpc_repair_pending",
    "remapped_rows_correctable": "remapped_rows_correctable",
    "remapped_rows_uncorrectable": "remapped_rows_uncorrectable",
    "remap_banks_none": "remap_banks_none",
    "remap_banks_low": "remap_banks_low",
    "remap_banks_partial": "remap_banks_partial",
    "remap_banks_high": "remap_banks_high",
    "remap_banks_max": "remap_banks_max",
}

METRICS = (
    _counter("dram_corrected_aggregate", "errors", "Corrected DRAM errors in life"),
    _counter("dram_uncorrected_aggregate", "errors", "Uncorrectable DRAM errors in life"),
    _counter("sram_corrected_aggregate", "errors", "Corrected SRAM errors in life"),
    _counter("sram_uncorrected_aggregate", "errors", "Uncorrectable SRAM errors in life"),
    Metric("dram_uncorrected_new", "errors", "New uncorrectable DRAM errors", kind="difference", better="lower"),
    Metric("sram_uncorrected_new", "errors", "New uncorrectable SRAM errors", kind="difference", better="lower"),
    Metric("dram_corrected_new", "errors/h", "New corrected DRAM errors", kind="rate", better="lower"),
    Metric("sram_corrected_new", "errors/h", "New corrected SRAM errors", kind="rate", better="lower"),
    _counter("sram_threshold_exceeded", "", "SRAM error threshold exceeded (1 yes)"),
    _counter("row_remapping_pending", "", "Row remapping that waits for a reset (1 yes)"),
    _counter("row_remapping_failure", "", "Row remapping that failed (1 yes)"),
    _counter("channel_repair_pending", "", "HBM channel repair that waits for a reset (1 yes)"),
    _counter("tpc_repair_pending", "", "TPC repair that waits for a reset (1 yes)"),
    _counter("remapped_rows_correctable", "rows", "Rows remapped for corrected errors"),
    _counter("remapped_rows_uncorrectable", "rows", "Rows remapped for uncorrectable errors"),
    _counter("remap_banks_none", "banks", "Memory banks without a spare row"),
    _counter("remap_banks_low", "banks", "Memory banks with few spare rows"),
    _counter("remap_banks_partial", "banks", "Memory banks with some of their spare rows"),
    _counter("remap_banks_high", "banks", "Memory banks with many of their spare rows"),
    Metric("remap_banks_max", "banks", "Memory banks with all their spare rows", kind="counted", better="higher"),
)


def measure(node: Node, visit: Visit) -> None:
    """Read every counter of every GPU; what is new in the run is the change from the first visit to the last."""
    for gpu in node.gpus:
        subject = gpu_subject(gpu)
        with visit.part(subject):
            counters = node.ecc(gpu)
            for metric, source in SOURCES.items():
                visit.measured(metric, subject, getattr(counters, source))


CHECK = Check(
    name="ecc",
    purpose="ECC errors, row remapping and pending repairs, in life and in this run",
    scope="gpu",
    metrics=METRICS,
    measure=measure,
    seconds=lambda parameters, gpus: 0.5,
    detects=(
        "ecc_uncorrectable",
        "ecc_corrected_storm",
        "sram_threshold",
        "row_remap_pending",
        "row_remap_failed",
        "channel_repair_pending",
    ),
)
