"""Memory of a GPU: how much of it can be had, region by region, and that each wrong word is found and told apart."""

from __future__ import annotations

from itertools import pairwise

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

MIB = 1 << 20
PAGE = 2 * MIB
KINDS = ("solid", "address", "random")
ARENA = 2
"""Number of the memory under test among the GPU's allocations: counters and results come before it."""


def begin(share: float = 0.9) -> str:
    return f"node.integrity_begin(0, {share})"


def step(expected: tuple[str, int] | None, write: tuple[str, int] | None) -> str:
    patterns = (f"Pattern({pattern[0]!r}, {pattern[1]})" if pattern else "None" for pattern in (expected, write))
    return f"node.integrity_step(0, {', '.join(patterns)})"


END = "node.integrity_end(0)"


@pytest.fixture
def small(machine: StubMachine) -> StubMachine:
    """A machine whose GPUs have 16 MiB."""
    machine.set("memory_mb=16")
    return machine


def set_more(machine: StubMachine, *lines: str) -> None:
    machine.set("memory_mb=16", *lines)


# --- how much ------------------------------------------------------------------------------------------------------


def test_all_memory_that_is_free_can_be_had(small: StubMachine) -> None:
    taken, *_ = small.ask(begin(1.0), END)
    assert taken == 14 * MIB  # counters and results take part of the last page
    assert small.left() == []


def test_a_thousandth_is_left_to_the_driver(machine: StubMachine) -> None:
    machine.set("memory_mb=4096")
    taken, *_ = machine.ask(begin(1.0), END)
    assert taken == 4090 * MIB


def test_a_share_is_of_all_memory(small: StubMachine) -> None:
    halves = small.ask(begin(0.5), END, begin(0.25), END)
    assert halves == [8 * MIB, None, 4 * MIB, None]


def test_memory_in_pieces_is_taken_in_pieces(machine: StubMachine) -> None:
    machine.set("memory_mb=1100")
    taken, *_ = machine.ask(begin(1.0), END)
    assert taken == 1098 * MIB
    assert machine.log.read_text().count("call cuMemMap\n") == 1 + 37  # one of 1 GiB, the rest of 2 MiB


def test_no_memory_at_all_is_an_error(machine: StubMachine) -> None:
    machine.set("memory_mb=1")
    (answer,) = machine.ask(begin())
    assert answer == {"error": ["cuMemCreate", 2, "less memory than one page was asked for", 0]}


def test_the_order_of_calls_is_held(small: StubMachine) -> None:
    early, _, twice, neither, _, late = small.ask(
        step(None, ("solid", 0)), begin(), begin(), step(None, None), END, END
    )
    assert "integrity_begin comes first" in early["error"][2]
    assert "under test already" in twice["error"][2]
    assert "a step reads, writes or does both" in neither["error"][2]
    assert "integrity_begin comes first" in late["error"][2]


# --- regions -------------------------------------------------------------------------------------------------------


def test_regions_cover_the_memory_and_the_last_is_what_is_left(small: StubMachine) -> None:
    (regions,) = small.ask("node.memory_regions(0, 4 * MIB, 3, 7)")
    assert [read // MIB for _, read, _, _ in regions] == [12, 12, 12, 6]
    assert all(elapsed > 0 and written == wrong == 0 for elapsed, _, written, wrong in regions)
    assert small.left() == []


def test_a_stuck_bit_is_found_in_its_region(machine: StubMachine) -> None:
    set_more(machine, f"stuck=1.{5 * MIB}.2.1")
    one = machine.ask("node.memory_regions(0, 4 * MIB, 1, 7)", "node.memory_regions(0, 4 * MIB, 1, 9)")
    set_more(machine, f"stuck=1.{5 * MIB}.2.0")
    zero = machine.ask("node.memory_regions(0, 4 * MIB, 1, 7)")
    wrong = [[region[3] for region in regions] for regions in (*one, *zero)]
    assert all(others == [0, 0] for others in (regions[2:] for regions in wrong))
    assert wrong[0][1] + wrong[2][1] == 1  # the pattern has a 0 or a 1 there


# --- march ---------------------------------------------------------------------------------------------------------


def test_every_element_of_a_march_passes_on_good_memory(small: StubMachine) -> None:
    patterns = [(kind, value) for kind in KINDS for value in (0, 0xFFFFFFFF, 0x12345678)]
    pairs = [(a, b) for a in patterns[::2] for b in patterns[1::2]]
    questions = [begin()]
    for a, b in pairs:
        questions += [step(None, a), step(a, b), step(b, None)]
    size, *steps = small.ask(*questions, timeout=120)
    for first, fused, last in zip(steps[0::3], steps[1::3], steps[2::3], strict=True):
        assert first[1:] == [0, size, 0, []]
        assert fused[1:] == [size, size, 0, []]
        assert last[1:] == [size, 0, 0, []]


def test_a_wrong_expectation_is_wrong_everywhere_and_lists_64(small: StubMachine) -> None:
    size, _, wrong = small.ask(begin(), step(None, ("random", 1)), step(("random", 2), None))
    assert wrong[3] == size // 4
    assert len(wrong[4]) == 64
    assert all(again == 0 for *_, again, _ in wrong[4])  # written anew, each is right


@pytest.mark.parametrize("kind", KINDS)
def test_a_stuck_bit_is_found_again_each_time(machine: StubMachine, kind: str) -> None:
    offset = 3 * MIB + 4096
    set_more(machine, f"stuck={ARENA}.{offset + 1}.3.1")
    patterns = [(kind, value) for value in (0, 0xFFFFFFFF, 1, 2, 3)]
    marches = [step(old, new) for old, new in pairwise([None, *patterns, None])]
    answers = machine.ask(begin(), *marches)
    found = [word for answer in answers[1:] for word in answer[4]]
    assert len(found) == sum(answer[3] for answer in answers[1:]) >= 1
    for at, expected, got, read_again, wrong_again, _ in found:
        assert at == offset
        assert got == read_again == expected | 1 << 11
        assert wrong_again == 8


def test_a_bit_that_flipped_once_is_not_found_again(machine: StubMachine) -> None:
    set_more(machine, f"flip.write_solid={ARENA}.{5 * MIB}.0")
    lift = "open(__import__('os').environ['STUB_STATE'], 'w').write('memory_mb=16\\n')"
    _, _, _, found, after = machine.ask(
        begin(), step(None, ("solid", 0)), lift, step(("solid", 0), ("solid", 5)), step(("solid", 5), None)
    )
    assert found[3] == 1
    (word,) = found[4]
    assert word[:5] == [5 * MIB, 0, 1, 1, 0]
    assert after[3] == 0  # the tests of the page left what the step had written


def test_every_wrong_word_is_counted_once_wherever_the_sweep_begins(machine: StubMachine) -> None:
    machine.set("memory_mb=1100", f"stuck={ARENA}.{600 * MIB}.0.1")
    questions = [begin(1.0), *(step(None, ("solid", 0)) for _ in range(2)), step(("solid", 0), None)]
    assert machine.ask(*questions, timeout=180)[3][3] == 1


def test_a_write_that_reached_no_memory_is_found(small: StubMachine) -> None:
    size, _, wrong = small.ask(begin(), step(None, ("solid", 1)), step(("solid", 0), None))
    assert wrong[3] == size // 4


# --- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    ["cuMemAddressReserve", "cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemAlloc_v2", "cuMemGetInfo_v2"],
)
def test_a_failure_in_the_middle_leaves_nothing_behind(machine: StubMachine, call: str) -> None:
    nth = {"cuMemCreate": 3, "cuMemMap": 3, "cuMemAlloc_v2": 2}.get(call, 1)
    set_more(machine, f"fault.{call}=1@{nth}")
    failed, again, _ = machine.ask(begin(), begin(), END)
    assert failed == {"error": [call.removesuffix("_v2"), 1, "CUDA_ERROR_INVALID_VALUE", 0]}
    assert again == 14 * MIB
    assert machine.left() == []


@pytest.mark.parametrize(("code", "name"), [(214, "CUDA_ERROR_ECC_UNCORRECTABLE"), (719, "CUDA_ERROR_LAUNCH_FAILED")])
def test_an_uncorrectable_error_is_never_a_pass(machine: StubMachine, code: int, name: str) -> None:
    _, _, answer = machine.ask(
        begin(),
        f"open(__import__('os').environ['STUB_STATE'], 'w').write('fault.cuStreamSynchronize={code}\\n')",
        step(None, ("solid", 0)),
    )
    assert answer == {"error": ["cuStreamSynchronize", code, name, 0]}


def test_memory_under_test_is_given_back_when_the_node_is_closed(small: StubMachine) -> None:
    small.ask(begin())
    assert small.left() == []
