"""Copies of many GPUs at once, between them and to and from the host: what they count, and that each fault is found."""

from __future__ import annotations

import os
from typing import Any

import pytest
from stub_driver.machine import StubMachine

pytestmark = pytest.mark.needs("gcc")

MIB = 1 << 20
WORDS = MIB // 4
OPERATIONS = ("read", "write")
ENGINES = ("ce", "sm")
DIRECTIONS = ("host_to_device", "device_to_host")
SPOILT_COPIES = ("none", "displaced", "partial", "repeated")
ALL_PAIRS = [(gpu, peer) for gpu in range(8) for peer in range(8) if gpu != peer]


def peers(
    pairs: object = ((0, 1),), operation: str = "read", engine: str = "ce", both: bool = False, seed: int = 7
) -> str:
    return f"node.peer_copies({pairs!r}, {operation!r}, {engine!r}, {both}, MIB, 2, {seed})"


def hosts(
    gpus: object = (0,), direction: str = "host_to_device", engine: str = "ce", both: bool = False, seed: int = 7
) -> str:
    return f"node.host_copies({gpus!r}, {direction!r}, {engine!r}, {both}, MIB, 2, {seed})"


def assert_good(transfer: list[Any], moved: int) -> None:
    elapsed, read, written, wrong = transfer
    assert elapsed > 0
    assert (read, written, wrong) == (moved, moved, 0)


# --- healthy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_all_pairs_of_a_node_copy_at_the_same_time(machine: StubMachine, engine: str) -> None:
    one_way, both = machine.ask(peers(ALL_PAIRS, "write", engine), peers([(0, 1), (3, 2)], "read", engine, both=True))
    assert len(one_way) == 56
    for transfer in one_way:
        assert_good(transfer, 2 * MIB)
    for transfer in both:
        assert_good(transfer, 4 * MIB)
    assert "staged" not in machine.log.read_text()  # none was carried through the host


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_gpus_copy_to_the_host_at_the_same_time(machine: StubMachine, direction: str, engine: str) -> None:
    alone, together = machine.ask(hosts(range(8), direction, engine), hosts(range(8), direction, engine, both=True))
    for transfer in (*alone, *together):  # the opposite direction is not counted
        assert_good(transfer, 2 * MIB)


def test_every_stream_is_held_until_all_is_queued(machine: StubMachine) -> None:
    """The 12 copies that are made last are those of the measurement: 4 routes, each 2 passes and 1 beyond."""
    _, calls = machine.ask(peers([(0, 1), (2, 3)], both=True), "[call for _, call in calls]")
    copies = [index for index, call in enumerate(calls) if call == "cuMemcpyPeerAsync"]
    assert "cuStreamSynchronize" not in calls[copies[-12] : copies[-1]]


def test_the_opposite_direction_goes_on_for_longer(machine: StubMachine) -> None:
    """Three copies a route, of which two are timed."""
    script = "(calls.clear(), {}, sum(call == 'cuMemcpyPeerAsync' for _, call in calls))[2]"
    warm, one_way, both = machine.ask(peers(both=True), script.format(peers()), script.format(peers(both=True)))
    assert_good(warm[0], 4 * MIB)
    assert (one_way, both) == (2, 6)


# --- faults of copies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SPOILT_COPIES)
def test_a_copy_engine_that_does_not_copy_is_never_a_result(machine: StubMachine, fault: str) -> None:
    machine.set(f"copy={fault}")
    questions = [
        *(peers(operation=operation, both=both) for operation in OPERATIONS for both in (False, True)),
        *(hosts(direction=direction, both=both) for direction in DIRECTIONS for both in (False, True)),
    ]
    for (transfer,) in machine.ask(*questions):
        assert transfer[3] > WORDS // 4


@pytest.mark.parametrize("moved", range(3))
def test_one_pass_between_peers_that_moved_nothing_is_found_among_those_that_did(
    machine: StubMachine, moved: int
) -> None:
    question = peers().replace("MIB, 2", "MIB, 3")
    no_warm_up = "setattr(timing, 'IDLE_S', float('inf'))"
    machine.set(f"copy_limit={moved}")
    assert machine.ask(no_warm_up, question)[1][0][3] > 0
    machine.set("copy_limit=3")
    assert machine.ask(no_warm_up, question)[1][0][3] == 0


@pytest.mark.parametrize("question", [peers, hosts])
def test_a_copy_of_what_was_there_long_ago_is_found(machine: StubMachine, question: Any) -> None:
    machine.set("copy=stale")
    _, second = machine.ask(question(seed=7), question(seed=8))
    assert second[0][3] == WORDS + 16384 // 4  # the step by which the second pass lands further on than the first


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bit_that_flips_on_the_way_to_a_peer_is_found(machine: StubMachine, operation: str, engine: str) -> None:
    machine.set("gpu1.p2p=corrupt")
    pairs = [(0, 2), (1, 3)]
    for passes in (2, 3):
        (transfers,) = machine.ask(peers(pairs, operation, engine).replace("MIB, 2", f"MIB, {passes}"))
        # the stub spoils the copy kernel's first words, which each pass leaves for good, and the copy engine's middle
        assert [transfer[3] for transfer in transfers] == [0, passes if engine == "sm" else 1]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_bit_that_flips_on_the_way_to_or_from_the_host_is_found(machine: StubMachine, direction: str) -> None:
    machine.set("flip.bw_copy=2.528384.3" if direction == "host_to_device" else "flip_host.bw_copy=1.528384.3")
    assert machine.ask(hosts(direction=direction, engine="sm"))[0][0][3] == 1


# --- failures are one's own ----------------------------------------------------------------------------------------


def test_a_gpu_that_reaches_no_other_is_not_carried_through_the_host(machine: StubMachine) -> None:
    machine.set("gpu2.can_access=0")
    good, bad, other = machine.ask(peers([(0, 1), (2, 3), (4, 5)]))[0]
    assert_good(good, 2 * MIB)
    assert_good(other, 2 * MIB)
    assert bad == ["cuDeviceCanAccessPeer", 0, "GPU 2 can't reach the memory of GPU 3"]
    assert "staged" not in machine.log.read_text()


def test_peer_access_that_is_refused_is_said(machine: StubMachine) -> None:
    machine.set("gpu3.fault.cuCtxEnablePeerAccess=217")
    good, bad = machine.ask(peers([(0, 1), (2, 3)]))[0]
    assert_good(good, 2 * MIB)
    assert bad == ["cuCtxEnablePeerAccess", 217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("cuMemAlloc_v2", 2),
        ("cuMemcpyPeerAsync", 719),
        ("cuStreamSynchronize", 214),
        ("cuEventElapsedTime_v2", 400),
        ("cuLaunchKernel", 999),
    ],
)
def test_one_pair_that_fails_leaves_the_others_their_results(machine: StubMachine, call: str, code: int) -> None:
    lines = f"gpu2.fault.{call}={code}\\n"
    contexts = peers([(0, 1), (2, 3), (4, 5)])  # made while all is well
    break_it = f"open(__import__('os').environ['STUB_STATE'], 'w').write('{lines}')"
    before, _, after = machine.ask(contexts, break_it, peers([(0, 1), (2, 3), (4, 5)], both=True))
    assert all(len(transfer) == 4 for transfer in before)
    assert_good(after[0], 4 * MIB)
    assert after[1][:2] == [call.removesuffix("_v2"), code]
    assert_good(after[2], 4 * MIB)


@pytest.mark.parametrize("code", [1, 999])
def test_a_gpu_that_is_lost_spoils_no_other_hosts_copy(machine: StubMachine, code: int) -> None:
    lose = f"open(__import__('os').environ['STUB_STATE'], 'w').write('gpu1.lost={code}\\n')"
    _, _, after = machine.ask(hosts((0, 1, 2)), lose, hosts((0, 1, 2), both=True))
    assert_good(after[0], 2 * MIB)
    assert after[1][1] == (719 if code == 1 else 999)
    assert_good(after[2], 2 * MIB)


def test_what_is_not_there_is_its_own_failure(machine: StubMachine) -> None:
    between, host = machine.ask(peers([(0, 99), (0, 1), (1, 1)]), hosts((99, 0)))
    assert [len(result) for result in between] == [3, 4, 3]
    assert [len(result) for result in host] == [3, 4]


def test_nothing_is_left_behind(machine: StubMachine) -> None:
    machine.set("gpu2.memory_mb=1")
    machine.ask(peers([(0, 1), (2, 3)], both=True), hosts((0, 1, 2), both=True), "node.pcie(0, True)")
    assert machine.left() == []


def test_pinned_memory_is_taken_on_the_cpus_of_the_gpus_numa_node_and_the_affinity_is_given_back(
    machine: StubMachine,
) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if not 2 <= len(allowed) <= allowed[-1] + 1 <= 64:
        pytest.skip("needs two CPUs to tell nodes apart")
    near, far = allowed[0], allowed[1]
    for node, cpu in enumerate((near, far)):
        (machine.root / f"sys/devices/system/node/node{node}/cpulist").write_text(f"{cpu}\n")
    copy = "node.host_copies(({},), 'host_to_device', 'ce', False, MIB, 1, 1)"
    affinity = "sorted(__import__('os').sched_getaffinity(0))"
    machine.set("gpu4.fault.cuMemHostAlloc=2")
    *_, after, failed, after_failure = machine.ask(copy.format(3), copy.format(7), affinity, copy.format(4), affinity)

    logged = [line.split()[1:] for line in machine.log.read_text().splitlines() if line.startswith("pinned ")]
    cpus = {gpu: {int(mask, 16) for one, mask in logged if one == gpu} for gpu in ("3", "7")}
    assert cpus == {"3": {1 << near}, "7": {1 << far}}  # GPUs 0 to 3 are on node 0 (machine.py)
    assert after == after_failure == allowed
    assert "cuMemHostAlloc" in str(failed)
