"""What any device must do where it computes: regions, copies of many GPUs, integrity, products, and their paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gpuaccept.check import (
    DeviceError,
    Gemm,
    HostState,
    LinkTraffic,
    MarchStep,
    Node,
    Pattern,
    Pcie,
    Process,
    Transfer,
    Unavailable,
)

SMALL = 1 << 20
REGION = 16 << 20
NOT_YET = ("not simulated by this version", "not measured by this version")
PATTERNS = [Pattern("solid", 0), Pattern("address", 0xFFFFFFFF), Pattern("random", 3)]


@contextmanager
def measured() -> Iterator[None]:
    """Skips what this device does not do in this version, and says so."""
    try:
        yield
    except DeviceError as error:
        if error.name in NOT_YET:
            pytest.skip(error.name)
        raise


def _or_skip(*results: object) -> None:
    for result in results:
        if isinstance(result, Unavailable) and result.reason in NOT_YET:
            pytest.skip(result.reason)


# --- copies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("engine", ["ce", "sm"])
@pytest.mark.parametrize("direction", ["host_to_device", "device_to_host"])
def test_host_copies_of_all_gpus_count_one_direction(
    node: Node, direction: str, engine: str, bidirectional: bool
) -> None:
    results = node.host_copies(node.gpus, direction, engine, bidirectional, SMALL, 2, 12)  # type: ignore[arg-type]
    assert len(results) == len(node.gpus)
    _or_skip(*results)
    for result in results:
        assert isinstance(result, Transfer)
        assert (result.bytes_read, result.bytes_written, result.wrong_words) == (2 * SMALL, 2 * SMALL, 0)
        assert result.elapsed_ns > 0


def test_regions_are_of_one_size_but_the_last(node: Node) -> None:
    total = next(gpu.memory_total_bytes for gpu in node.facts().gpus if gpu.index == node.gpus[0])
    region = REGION if total < 1 << 33 else 1 << 30
    with measured():
        regions = node.memory_regions(node.gpus[0], region, 2, 5)
    assert all(isinstance(one, Transfer) and one.elapsed_ns > 0 and one.wrong_words == 0 for one in regions)
    assert {one.bytes_read for one in regions[:-1]} <= {2 * region}
    assert 0 < regions[-1].bytes_read <= 2 * region
    assert all(one.bytes_written == 0 for one in regions)


def test_a_product_is_exact_and_counts_its_operations(node: Node) -> None:
    try:
        with measured():
            product = node.gemm(node.gpus[0], "bf16", 1024, 2, 3)
    except DeviceError as error:
        assert "cuBLASLt" in error.name  # it is not installed everywhere
        pytest.skip(error.name)
    assert isinstance(product, Gemm)
    assert product.operations == 2 * 2 * 1024**3
    assert (product.elapsed_ns > 0, product.wrong_elements) == (True, 0)
    assert product.implementation


# --- integrity -----------------------------------------------------------------------------------------------------


def test_a_march_finds_what_it_wrote(node: Node) -> None:
    gpu = node.gpus[0]
    with measured():
        size = node.integrity_begin(gpu, 0.5)
    assert size > 0
    steps = [(None, PATTERNS[0]), *zip(PATTERNS, [*PATTERNS[1:], None], strict=True)]
    for expected, write in steps:
        step = node.integrity_step(gpu, expected, write)
        assert isinstance(step, MarchStep)
        assert (step.bytes_read, step.bytes_written) == (size * (expected is not None), size * (write is not None))
        assert (step.wrong_words, step.first) == (0, ())
        assert step.elapsed_ns > 0
    node.integrity_end(gpu)
    assert node.memory_sweep(gpu, "copy", SMALL, 1, 1).wrong_words == 0


def test_a_march_notices_what_it_did_not_write(node: Node) -> None:
    gpu = node.gpus[0]
    with measured():
        size = node.integrity_begin(gpu, 0.5)
    node.integrity_step(gpu, None, Pattern("solid", 1))
    step = node.integrity_step(gpu, Pattern("solid", 0), None)
    assert step.wrong_words == size // 4
    assert len(step.first) <= 64
    for word in step.first:
        assert (word.expected, word.got) == (0, 1)
        assert 0 <= word.offset_bytes < size and word.offset_bytes % 4 == 0
        assert 0 <= word.wrong_again <= 8
    node.integrity_end(gpu)


def test_integrity_is_begun_before_it_is_stepped_or_ended(node: Node) -> None:
    for call in (
        lambda: node.integrity_step(node.gpus[0], None, PATTERNS[0]),
        lambda: node.integrity_end(node.gpus[0]),
    ):
        with pytest.raises(DeviceError), measured():
            call()


# --- paths, processes, host ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("under_load", [False, True])
def test_a_pcie_link_is_no_wider_than_it_can_be(node: Node, under_load: bool) -> None:
    for gpu in node.gpus[:2]:
        with measured():
            link = node.pcie(gpu, under_load)
        assert isinstance(link, Pcie)
        for now, most in ((link.generation, link.generation_max), (link.width, link.width_max)):
            if isinstance(now, int) and isinstance(most, int):
                assert 1 <= now <= most


def test_links_count_what_copies_carried(node: Node) -> None:
    def moved(gpu: int) -> int:
        links = node.link_traffic(gpu)
        assert all(isinstance(link, LinkTraffic) for link in links)
        return sum(link.received_bytes for link in links if isinstance(link.received_bytes, int))

    if len(node.gpus) < 2:
        pytest.skip("one GPU has no peer")
    gpu, peer = node.gpus[:2]
    with measured():
        before = moved(gpu)
    node.peer_copies([(gpu, peer)], "read", "ce", False, SMALL, 2, 1)
    assert moved(gpu) >= before


def test_nobody_elses_processes_and_no_xids_are_known_of_a_quiet_node(node: Node) -> None:
    processes, xids = node.processes(node.gpus[0]), node.xids(node.gpus[0])
    _or_skip(processes, xids)
    assert isinstance(processes, Unavailable) or all(isinstance(one, Process) for one in processes)
    assert isinstance(xids, Unavailable) or all(isinstance(xid, int) for xid in xids)


def test_the_host_tells_of_each_part_or_says_why_not(node: Node) -> None:
    with measured():
        host = node.host()
    assert isinstance(host, HostState)
    for part in (host.kernel_events, host.ports, host.nvme, host.dimms, host.power_supplies, host.gpu_numa_nodes):
        assert isinstance(part, (tuple, Unavailable))
        assert not isinstance(part, Unavailable) or part.reason


def test_the_inlet_is_the_temperature_of_air_or_says_why_it_is_not_known(
    node: Node, pulses: list[tuple[int | None, str]]
) -> None:
    pulses.clear()
    inlet = node.inlet()
    if isinstance(inlet, Unavailable):
        assert inlet.call and inlet.reason
    else:
        assert isinstance(inlet, float) and -10 <= inlet <= 60
        assert pulses and {gpu for gpu, _ in pulses} == {None}
    node.close()
    with pytest.raises(DeviceError):
        node.inlet()


@pytest.mark.parametrize("call", ["memory_regions", "gemm", "integrity_begin", "pcie", "link_traffic", "load_begin"])
def test_a_gpu_that_does_not_exist_computes_nothing(node: Node, call: str) -> None:
    arguments = {
        "memory_regions": (REGION, 1, 1),
        "gemm": ("bf16", 1024, 1, 1),
        "integrity_begin": (0.5,),
        "pcie": (False,),
        "link_traffic": (),
        "load_begin": (1,),
    }
    with pytest.raises(DeviceError) as refused:
        getattr(node, call)(99, *arguments[call])
    assert refused.value.call
