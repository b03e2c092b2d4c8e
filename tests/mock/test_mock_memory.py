"""Simulated memory under test, its map, and matrix products: what faults show, and to whom."""

from __future__ import annotations

import pytest
from mock_raw import MakeNode

from gpuaccept.check import DeviceError, Pattern, gpu_subject
from gpuaccept.device.mock.integrity import usable_bytes, word
from gpuaccept.device.mock.node import MockNode

GIB = 1 << 30
ZERO, ONES = Pattern("solid", 0), Pattern("solid", 0xFFFFFFFF)
ADDRESS, RANDOM = Pattern("address", 0), Pattern("random", 7)


def wrong(node: MockNode, pattern: Pattern, gpu: int = 2) -> int:
    """Wrong words of a pattern that was written just before."""
    node.integrity_step(gpu, None, pattern)
    return node.integrity_step(gpu, pattern, None).wrong_words


@pytest.mark.parametrize("model", ["hgx-b200", "hgx-h100"])
def test_a_step_takes_as_long_as_the_memory_needs(make_node: MakeNode, model: str) -> None:
    node = make_node(model=model)
    taken = node.integrity_begin(0, 1.0)
    before = node.now()
    step = node.integrity_step(0, None, ZERO)
    fused = node.integrity_step(0, ZERO, ONES)
    assert taken == usable_bytes(node, 0) and step.bytes_read == 0 and step.bytes_written == taken
    assert (2 * taken) / fused.elapsed_ns == pytest.approx(node.model.memory.copy, rel=0.01)
    assert node.now() - before == pytest.approx((step.elapsed_ns + fused.elapsed_ns) * 1e-9, rel=0.01)


def test_what_nobody_wrote_is_wrong_everywhere(make_node: MakeNode) -> None:
    node = make_node()
    taken = node.integrity_begin(0, 0.5)
    node.integrity_step(0, None, ZERO)
    assert node.integrity_step(0, ONES, None).wrong_words == taken // 4


def test_memory_is_taken_once_and_given_back_once(make_node: MakeNode) -> None:
    node = make_node()
    with pytest.raises(DeviceError):
        node.integrity_step(0, None, ZERO)
    node.integrity_begin(0, 0.5)
    with pytest.raises(DeviceError):
        node.integrity_begin(0, 0.5)
    node.integrity_end(0)
    with pytest.raises(DeviceError):
        node.integrity_end(0)


def test_a_stuck_bit_is_counted_by_ecc_and_seen_without_it(make_node: MakeNode) -> None:
    node = make_node(faults=("hbm_stuck_bit",))
    node.integrity_begin(2, 1.0)
    before = node.ecc(2).dram_corrected_volatile
    assert wrong(node, ZERO) == wrong(node, ONES) == 0
    assert node.ecc(2).dram_corrected_volatile == before + 1  # only where the pattern has the other value
    bare = make_node(faults=("hbm_stuck_bit", "ecc_off"))
    bare.integrity_begin(2, 1.0)
    assert (wrong(bare, ZERO), wrong(bare, ONES)) == (1, 0)


def test_an_alias_shows_only_to_patterns_that_know_their_place(make_node: MakeNode) -> None:
    node = make_node(faults=("hbm_address_alias:offset_gib=1,size_gib=0.5",))
    node.integrity_begin(2, 1.0)
    assert wrong(node, ZERO) == wrong(node, ONES) == 0
    assert wrong(node, ADDRESS) == wrong(node, RANDOM) == GIB // 8
    node.integrity_step(2, None, ADDRESS)
    first = node.integrity_step(2, ADDRESS, None).first[0]
    assert first.offset_bytes == GIB and first.expected == word(ADDRESS, GIB // 4)
    assert first.got == first.read_again == word(ADDRESS, GIB // 4 + GIB // 8) and first.wrong_again == 8


def test_a_flip_behind_the_memory_is_gone_when_read_again(make_node: MakeNode) -> None:
    node = make_node(faults=("l2_transient:per_terabyte=20",))
    node.integrity_begin(2, 1.0)
    node.integrity_step(2, None, ZERO)
    step = node.integrity_step(2, ZERO, None)
    assert step.wrong_words == len(step.first) == 3  # 20 in 0.187 TB
    assert all(one.read_again == one.expected != one.got and not one.wrong_again for one in step.first)
    node.integrity_begin(3, 1.0)
    assert wrong(node, ZERO, gpu=3) == 0


def test_a_slow_region_is_slow_where_it_is(make_node: MakeNode) -> None:
    spans = make_node(faults=("hbm_region_slow:first_gib=10,size_gib=2,loss_percent=20",)).memory_regions(2, GIB, 40, 1)
    rates = [span.bytes_read / span.elapsed_ns for span in spans]
    middle = sorted(rates)[len(rates) // 2]
    assert [i for i, rate in enumerate(rates) if rate < 0.9 * middle] == [10, 11]
    assert rates[10] / middle == pytest.approx(0.8, abs=0.01)
    assert len(spans) == usable_bytes(make_node(), 2) // GIB


def test_products_slow_down_with_the_clock_and_precisions_a_model_lacks_fail(make_node: MakeNode) -> None:
    fast, slow = (make_node(faults=faults).gemm(2, "bf16", 8192, 60, 1) for faults in ((), ("clock_capped",)))
    assert fast.operations == slow.operations == 2 * 8192**3 * 60
    assert slow.elapsed_ns > 1.2 * fast.elapsed_ns
    with pytest.raises(DeviceError):
        make_node(model="hgx-a100").gemm(0, "fp8", 8192, 60, 1)


def test_an_sm_that_is_always_wrong_agrees_with_itself_alone(make_node: MakeNode) -> None:
    node = make_node(faults=("sm_silent_corruption:sm=17",))
    for gpu in node.gpus:
        node.load_begin(gpu, 1)
    node.wait(60)
    results = {gpu_subject(gpu): node.load_end(gpu) for gpu in node.gpus}
    assert [result.mismatches for result in results.values()] == [0] * 8
    assert results["gpu/2"].odd_sms == (17,) and results["gpu/3"].odd_sms == ()
    others = {result.digest for subject, result in results.items() if subject != "gpu/2"}
    assert len(others) == 1 and results["gpu/2"].digest not in others
    assert node.gemm(2, "bf16", 8192, 1, 1).wrong_elements > 0 == node.gemm(3, "bf16", 8192, 1, 1).wrong_elements
