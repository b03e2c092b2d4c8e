"""What any device must do, whoever wrote it: the protocol of gpuaccept.check.Node, in the terms of its users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from gpuaccept.check import (
    DeviceError,
    EccCounters,
    Fabric,
    Link,
    Node,
    PairStatus,
    Reading,
    Sensors,
    Settings,
    SweepKernel,
    Transfer,
    Unavailable,
)

SMALL = 1 << 20
"""Buffer of the copies here, bytes: small enough for a stub whose GPU is host memory."""
ONE_WAY: dict[SweepKernel, tuple[int, int]] = {
    "read": (1, 0),
    "write": (0, 1),
    "copy": (1, 1),
    "triad": (2, 1),
    "local_copy_ce": (1, 1),
}


def _is(reading: Reading, *kinds: type) -> bool:
    return isinstance(reading, (*kinds, Unavailable))


def _rises(values: Sequence[float]) -> bool:
    return all(a <= b for a, b in pairwise(values))


# --- identity ------------------------------------------------------------------------------------------------------


def test_gpus_are_indices_in_order(node: Node) -> None:
    assert node.gpus
    assert list(node.gpus) == sorted(set(node.gpus))


def test_facts_describe_every_gpu_that_is_measured(node: Node) -> None:
    facts = node.facts()
    assert set(node.gpus) <= {gpu.index for gpu in facts.gpus}
    assert facts.gpu_count_nvml == len(facts.gpus)
    assert min(facts.gpu_count_pci, facts.gpu_count_cuda, facts.numa_nodes) >= 1
    assert all((facts.host, facts.boot_id, facts.kernel, facts.driver_version, facts.nvml_version))
    assert len({gpu.uuid for gpu in facts.gpus}) == len({gpu.pci_bus_id for gpu in facts.gpus}) == len(facts.gpus)
    for gpu in facts.gpus:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.memory_total_bytes > 0
        assert len(gpu.pci_device_id) == 4
        assert gpu.pci_device_id == gpu.pci_device_id.upper()


def test_facts_do_not_change_from_one_reading_to_the_next(node: Node) -> None:
    assert node.facts() == node.facts()


# --- clock ---------------------------------------------------------------------------------------------------------


def test_the_clock_never_goes_back_and_waiting_takes_its_time(node: Node) -> None:
    before = node.now()
    node.wait(0.05)
    between = node.now()
    node.memory_sweep(node.gpus[0], "read", SMALL, 1, 1)
    assert between - before >= 0.049
    assert node.now() >= between


# --- registers -----------------------------------------------------------------------------------------------------


def test_settings_are_words_and_numbers(node: Node) -> None:
    for gpu in node.gpus:
        settings = node.settings(gpu)
        assert isinstance(settings, Settings)
        words = (*settings[:7], settings.recovery_action)
        assert all(_is(word, str) and (isinstance(word, Unavailable) or word == word.lower()) for word in words)  # type: ignore[union-attr]
        for number in (settings.power_limit_enforced_mw, settings.sm_clock_max_mhz, settings.memory_clock_max_mhz):
            assert isinstance(number, Unavailable) or (isinstance(number, int) and number > 0)


def test_ecc_counters_are_integers_that_never_fall(node: Node) -> None:
    for gpu in node.gpus:
        first, second = node.ecc(gpu), node.ecc(gpu)
        assert isinstance(first, EccCounters)
        for one, other in zip(first, second, strict=True):
            assert _is(one, int)
            assert isinstance(one, Unavailable) or isinstance(other, Unavailable) or 0 <= one <= other  # type: ignore[operator]
        for name in ("dram_corrected", "dram_uncorrected", "sram_corrected", "sram_uncorrected"):
            volatile, aggregate = getattr(first, f"{name}_volatile"), getattr(first, f"{name}_aggregate")
            if isinstance(volatile, int) and isinstance(aggregate, int):
                assert volatile <= aggregate


def test_the_buckets_of_the_row_remapper_add_up_to_the_banks_of_every_gpu(node: Node) -> None:
    totals = set()
    for gpu in node.gpus:
        ecc = node.ecc(gpu)
        banks = (ecc.remap_banks_max, ecc.remap_banks_high, ecc.remap_banks_partial, ecc.remap_banks_low)
        known = [count for count in (*banks, ecc.remap_banks_none) if isinstance(count, int)]
        assert len(known) in (0, 5)  # one call tells all five
        totals.add(sum(known))
    assert len(totals) == 1


def test_links_are_numbered_from_zero_and_say_their_state(node: Node) -> None:
    for gpu in node.gpus:
        links = node.links(gpu)
        assert [link.number for link in links] == list(range(len(links)))
        for link in links:
            assert isinstance(link, Link)
            assert isinstance(link.state, Unavailable) or link.state in ("off", "on", "sleep", "traffic disabled")
            assert all(_is(word, str) for word in (link.version, link.remote_type, link.remote_pci_id))
            assert all(_is(counter, int) for counter in link[5:])


def test_the_fabric_answers_in_words(node: Node) -> None:
    for gpu in node.gpus:
        fabric = node.fabric(gpu)
        assert isinstance(fabric, Fabric)
        assert all(_is(word, str) for word in fabric)


def test_a_pair_answers_in_words(node: Node) -> None:
    if len(node.gpus) < 2:
        pytest.skip("one GPU has no peer")
    status = node.pair(node.gpus[0], node.gpus[1])
    assert isinstance(status, PairStatus)
    assert all(_is(word, str) for word in status)


# --- copies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ONE_WAY)
def test_a_sweep_counts_each_byte_as_its_kernel_moves_it(node: Node, kernel: SweepKernel) -> None:
    transfer = node.memory_sweep(node.gpus[0], kernel, SMALL, 3, 11)
    reads, writes = ONE_WAY[kernel]
    assert isinstance(transfer, Transfer)
    assert (transfer.bytes_read, transfer.bytes_written) == (3 * reads * SMALL, 3 * writes * SMALL)
    assert isinstance(transfer.elapsed_ns, int) and transfer.elapsed_ns > 0
    assert transfer.wrong_words == 0


@pytest.mark.parametrize("direction", ["host_to_device", "device_to_host"])
def test_a_host_copy_counts_both_ends(node: Node, direction: str) -> None:
    (transfer,) = node.host_copies(node.gpus[-1:], direction, "ce", False, SMALL, 2, 12)  # type: ignore[arg-type]
    assert isinstance(transfer, Transfer)
    assert (transfer.bytes_read, transfer.bytes_written) == (2 * SMALL, 2 * SMALL)
    assert transfer.elapsed_ns > 0
    assert transfer.wrong_words == 0


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("operation", ["read", "write"])
@pytest.mark.parametrize("engine", ["ce", "sm"])
def test_peer_copies_answer_for_each_pair_in_order(
    node: Node, operation: str, engine: str, bidirectional: bool
) -> None:
    gpus = node.gpus
    if len(gpus) < 2:
        pytest.skip("one GPU has no peer")
    pairs = list(zip(gpus[0::2], gpus[1::2], strict=False))
    results = node.peer_copies(pairs, operation, engine, bidirectional, SMALL, 2, 13)  # type: ignore[arg-type]
    assert len(results) == len(pairs)
    for result in results:
        if not isinstance(result, Unavailable):
            moved = SMALL * 2 * (2 if bidirectional else 1)
            assert (result.bytes_read, result.bytes_written, result.wrong_words) == (moved, moved, 0)
            assert result.elapsed_ns > 0


def test_no_pairs_give_no_results(node: Node) -> None:
    assert node.peer_copies([], "read", "ce", False, SMALL, 1, 1) == ()


def test_a_pair_with_a_gpu_that_does_not_exist_spoils_no_other(node: Node) -> None:
    if len(node.gpus) < 2:
        pytest.skip("one GPU has no peer")
    good, bad = (node.gpus[0], node.gpus[1]), (node.gpus[0], 99)
    results = node.peer_copies([good, bad], "read", "ce", False, SMALL, 1, 1)
    assert isinstance(results[1], Unavailable)
    alone = node.peer_copies([good], "read", "ce", False, SMALL, 1, 1)
    assert isinstance(results[0], type(alone[0]))


def test_more_memory_than_there_is_is_refused(node: Node) -> None:
    with pytest.raises(DeviceError) as refused:
        node.memory_sweep(node.gpus[0], "copy", 1 << 50, 1, 1)
    assert refused.value.code == 2


def test_after_a_refused_allocation_the_gpu_still_measures(node: Node) -> None:
    with pytest.raises(DeviceError):
        node.memory_sweep(node.gpus[0], "copy", 1 << 50, 1, 1)
    assert node.memory_sweep(node.gpus[0], "copy", SMALL, 1, 1).elapsed_ns > 0


# --- sensors and load ----------------------------------------------------------------------------------------------


def _collect(node: Node, seconds: float, interval: float) -> dict[int, list[Sensors]]:
    out: dict[int, list[Sensors]] = {gpu: [] for gpu in node.gpus}
    for block in node.sensors(node.gpus, seconds, interval):
        assert set(block) == set(node.gpus)
        for gpu, sensors in block.items():
            assert isinstance(sensors, Sensors)
            out[gpu].append(sensors)
    return out


def _column(blocks: list[Sensors], name: str) -> list[float] | None:
    parts = [getattr(block, name) for block in blocks]
    return None if any(isinstance(part, Unavailable) for part in parts) else [v for part in parts for v in part]


def test_sensors_sample_from_now_until_the_end(node: Node) -> None:
    before = node.now()
    for blocks in _collect(node, 0.4, 0.1).values():
        at = _column(blocks, "at_s")
        assert at is not None and len(at) == 5
        assert all(a < b for a, b in pairwise(at))
        assert at[0] - before < 0.09
        assert 0.35 <= at[-1] - at[0] <= 0.6
    assert node.now() - before >= 0.39


def test_sensor_columns_have_the_length_of_their_times(node: Node) -> None:
    for blocks in _collect(node, 0.2, 0.1).values():
        for block in blocks:
            for column in block[1:]:
                assert isinstance(column, Unavailable) or len(column) == len(block.at_s)


def test_sensors_stay_within_what_a_gpu_can_be(node: Node) -> None:
    bounds = {
        "power_w": (1, 3000),
        "temperature_c": (0, 130),
        "memory_temperature_c": (0, 130),
        "margin_k": (-50, 130),
        "sm_clock_mhz": (1, 5000),
        "memory_clock_mhz": (1, 10000),
        "event_reasons": (0, 1 << 12),
    }
    for blocks in _collect(node, 0.2, 0.1).values():
        for name, (low, high) in bounds.items():
            column = _column(blocks, name)
            assert column is None or all(low <= value <= high for value in column), name


def test_counters_of_the_sensors_never_fall(node: Node) -> None:
    for blocks in _collect(node, 0.3, 0.1).values():
        for name in ("sw_power_cap_ns", "sw_thermal_ns", "hw_thermal_ns", "hw_power_brake_ns", "energy_mj"):
            column = _column(blocks, name)
            assert column is None or _rises(column), name


def test_the_load_does_iterations_that_the_sensors_show(node: Node) -> None:
    gpu = node.gpus[0]
    try:
        node.load_begin(gpu, 5)
    except DeviceError as error:
        assert "not measured by this version" in str(error)
        pytest.skip("this device has no load yet")
    shown = _column(_collect(node, 0.4, 0.1)[gpu], "iterations")
    result = node.load_end(gpu)
    assert shown is not None and _rises(shown) and 0 < shown[-1] <= result.iterations
    assert result.mismatches == 0
    assert result.implementation
    after = _column(_collect(node, 0.1, 0.1)[gpu], "iterations")
    assert after is not None and set(after) == {0}


def test_ending_a_load_that_was_not_begun_is_an_error(node: Node) -> None:
    with pytest.raises(DeviceError):
        node.load_end(node.gpus[0])


# --- errors, heartbeat, end ----------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Node, int], object]] = {
    "settings": lambda node, gpu: node.settings(gpu),
    "ecc": lambda node, gpu: node.ecc(gpu),
    "links": lambda node, gpu: node.links(gpu),
    "fabric": lambda node, gpu: node.fabric(gpu),
    "pair": lambda node, gpu: node.pair(gpu, node.gpus[0]),
    "memory_sweep": lambda node, gpu: node.memory_sweep(gpu, "read", SMALL, 1, 1),
    "load_begin": lambda node, gpu: node.load_begin(gpu, 1),
    "sensors": lambda node, gpu: list(node.sensors([gpu], 0.0, 0.1)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("gpu", [99, -1])
def test_a_gpu_that_does_not_exist_is_a_device_error(node: Node, call: str, gpu: int) -> None:
    with pytest.raises(DeviceError) as refused:
        CALLS[call](node, gpu)
    assert refused.value.call
    assert refused.value.name


@pytest.mark.parametrize("call", [name for name in CALLS if name != "load_begin"])
def test_a_heartbeat_comes_with_each_call(node: Node, pulses: list[tuple[int | None, str]], call: str) -> None:
    gpu = node.gpus[-1]
    pulses.clear()
    CALLS[call](node, gpu)
    assert pulses
    assert all(isinstance(name, str) and name for _, name in pulses)
    assert {number for number, _ in pulses} <= {None, gpu, node.gpus[0]}


def test_a_host_copy_of_a_gpu_that_does_not_exist_fails_alone(node: Node) -> None:
    (failed,) = node.host_copies((99,), "host_to_device", "ce", False, SMALL, 1, 1)
    assert isinstance(failed, Unavailable)


def test_closing_twice_is_closing_once(node: Node) -> None:
    node.close()
    node.close()


@pytest.mark.parametrize("call", [name for name in CALLS if name not in ("load_begin",)])
def test_a_closed_node_measures_nothing(node: Node, call: str) -> None:
    node.close()
    with pytest.raises(DeviceError):
        CALLS[call](node, node.gpus[0])
