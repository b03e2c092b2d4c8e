"""Whether every GPU's PCIe link keeps its generation and width under load, and how many errors it has to repair.

An idle link drops to generation 1 to save power, so the link is only ever read while a copy runs.
"""

from typing import Annotated

from msgspec import Meta

from gpuaccept.check import Check, Metric, Node, Parameters, Visit, gpu_subject


class Settings(Parameters, frozen=True, kw_only=True):
    """How often the link is read."""

    reads: Annotated[int, Meta(ge=1, le=100)] = 3
    """Each read runs a copy of its own: a link that goes down now and then is seen more often."""


COUNTERS = ("replays", "aer_correctable", "aer_nonfatal", "aer_fatal")


def measure(node: Node, visit: Visit) -> None:
    """Read each link under load; every reading is kept, and the counters of the last, when the copies have run."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    for gpu in node.gpus:
        subject = gpu_subject(gpu)
        with visit.part(subject):
            seen = [node.pcie(gpu, under_load=True) for _ in range(settings.reads)]
            visit.measured("generation_under_load", subject, *(link.generation for link in seen))
            visit.measured("width_under_load", subject, *(link.width for link in seen))
            for name in COUNTERS:
                visit.measured(f"{name}_new", subject, getattr(seen[-1], name))


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    return 0.5 + 0.1 * parameters.reads  # a copy of 20 ms or more and a few reads of NVML, all GPUs at once


CHECK = Check(
    name="pcie",
    purpose="Generation, width and errors of every GPU's PCIe link, under load",
    scope="gpu",
    metrics=(
        Metric("generation_under_load", "", "PCIe generation under load", "counted", "higher"),
        Metric("width_under_load", "lanes", "PCIe width under load", "counted", "higher"),
        Metric("replays_new", "replays", "New PCIe replays", "difference", "lower"),
        Metric("aer_correctable_new", "errors", "New corrected PCIe errors", "difference", "lower"),
        Metric("aer_nonfatal_new", "errors", "New uncorrected PCIe errors that were not fatal", "difference", "lower"),
        Metric("aer_fatal_new", "errors", "New fatal PCIe errors", "difference", "lower"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("pcie_width_reduced", "pcie_gen_down_under_load", "pcie_replays"),
)
