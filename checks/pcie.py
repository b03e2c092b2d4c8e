"""Whether every GPU's link to its host keeps generation and width under load, and how many errors it has to repair.

An idle PCIe link drops to generation 1 to save power, so it is only ever read while a copy runs. A GPU beside a Grace
reaches its host by C2C as well.
"""

from typing import Annotated

from gpuaccept.check import Check, Meta, Metric, Node, Parameters, Reading, Unavailable, Visit, gpu_subject


class Settings(Parameters, frozen=True, kw_only=True):
    """How often the link is read."""

    reads: Annotated[int, Meta(ge=1, le=100)] = 3
    """Each read runs a copy of its own: a link that goes down now and then is seen more often."""


C2C = ("c2c_links_inactive", "c2c_errors_new")
FULL = (0xFFFF, 0xFFFFFFFF)
"""Where counters of 16 and 32 bits end. One that stands there would show no more errors, however many there are."""
COUNTERS = ("replays", "aer_correctable", "aer_nonfatal", "aer_fatal")


def measure(node: Node, visit: Visit) -> None:
    """Read each link under load; every reading is kept, and the counters of the last, when the copies have run."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    without: Unavailable | None = None
    for gpu in node.gpus:
        subject = gpu_subject(gpu)
        with visit.part(subject):
            seen = [node.pcie(gpu, under_load=True) for _ in range(settings.reads)]
            visit.measured("generation_under_load", subject, *(link.generation for link in seen))
            visit.measured("width_under_load", subject, *(link.width for link in seen))
            for name in COUNTERS:
                visit.measured(f"{name}_new", subject, _counting(getattr(seen[-1], name)))
            links, active = seen[-1].c2c_links, seen[-1].c2c_links_active
            if isinstance(links, Unavailable):
                without = links
                continue
            visit.measured(
                "c2c_links_inactive", subject, active if isinstance(active, Unavailable) else int(links) - int(active)
            )
            visit.measured("c2c_errors_new", subject, seen[-1].c2c_errors)
    if without is not None:
        for name in C2C:
            visit.measured(name, "node", without)  # this model has none: said once


def _counting(count: Reading) -> Reading:
    """A counter that still can count."""
    return Unavailable("PCIe counter", 0, f"the counter is full at {count}") if count in FULL else count


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    return 0.5 + 0.1 * parameters.reads  # a copy of 20 ms or more and a few reads of NVML, all GPUs at once


CHECK = Check(
    name="pcie",
    purpose="Generation, width and errors of every GPU's link to its host, under load",
    scope="gpu",
    metrics=(
        Metric("generation_under_load", "", "PCIe generation under load", "counted", "higher"),
        Metric("width_under_load", "lanes", "PCIe lanes under load", "counted", "higher"),
        Metric("replays_new", "replays", "New PCIe replays", "difference", "lower"),
        Metric("aer_correctable_new", "errors", "New corrected PCIe errors", "difference", "lower"),
        Metric("aer_nonfatal_new", "errors", "New uncorrected PCIe errors that were not fatal", "difference", "lower"),
        Metric("aer_fatal_new", "errors", "New fatal PCIe errors", "difference", "lower"),
        Metric("c2c_links_inactive", "links", "C2C links that are not active", "counted", "lower"),
        Metric("c2c_errors_new", "errors", "New C2C errors", "difference", "lower"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("pcie_width_reduced", "pcie_gen_down_under_load", "pcie_replays", "c2c_down"),
)
