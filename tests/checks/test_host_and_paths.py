"""PCIe, host and paths on the simulated node: what the checks tell apart, and what they never take for a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuaccept.check import KernelEvent, Visit
from gpuaccept.data import Column, Failure
from gpuaccept.device.open import DeviceSpec, open_node
from gpuaccept.run.loading import load_checks
from gpuaccept.run.plan import parameters_of

CHECKS = load_checks(None)


class Seen:
    """The last samples of every metric and subject after some visits, and the failures of all."""

    def __init__(
        self,
        check: str,
        *faults: str,
        device: str = "hgx-b200",
        visits: int = 1,
        events: tuple[KernelEvent, ...] = (),
        heard: tuple[int, ...] = (),
        **parameters: Any,
    ) -> None:
        """`events` are added to the kernel log; NVML told of XIDs `heard` on GPU 0."""
        node = open_node(DeviceSpec(device=f"mock:{device}", seed=3, faults=faults), None, lambda gpu, call: None)
        if events or heard:
            state = node.host()
            node.host = lambda: state._replace(kernel_events=events)  # type: ignore[method-assign]
            node.xids = lambda gpu: heard if gpu == 0 else ()  # type: ignore[method-assign]
        self.columns: list[Column] = []
        self.failures: list[Failure] = []
        one = CHECKS[check].check
        for number in range(1, visits + 1):
            given = parameters_of(one, parameters)
            visit = Visit(check=one, parameters=given, state="hot", visit=number, seed=number, clock=node.now)
            one.measure(node, visit)
            self.columns += visit.columns()
            self.failures += visit.failures
            node.wait(600.0)
        node.close()

    def of(self, metric: str) -> dict[str, tuple[Any, ...]]:
        """Subject -> samples of the last visit."""
        return next(
            dict(zip(column.subjects, column.samples, strict=True))
            for column in reversed(self.columns)
            if column.metric.split(".")[1].removesuffix("_hot") == metric
        )


def odd(samples: dict[str, tuple[Any, ...]], usual: tuple[Any, ...]) -> set[str]:
    return {subject for subject, found in samples.items() if found != usual}


def test_a_link_that_sleeps_when_idle_is_read_awake() -> None:
    node = open_node(DeviceSpec(device="mock:hgx-b200"), None, lambda gpu, call: None)
    assert node.pcie(0, under_load=False).generation == 1
    assert set(Seen("pcie").of("generation_under_load").values()) == {("5", "5", "5")}


def test_a_reduced_link_is_of_its_gpu_alone() -> None:
    assert odd(Seen("pcie", "pcie_width_reduced:gpu=3").of("width_under_load"), ("16",) * 3) == {"gpu/3"}
    assert odd(Seen("pcie", "pcie_gen_down_under_load:gpu=4").of("generation_under_load"), ("5",) * 3) == {"gpu/4"}


def test_c2c_is_measured_where_there_is_a_grace_and_said_once_where_there_is_none() -> None:
    grace = Seen("pcie", "c2c_down:gpu=1,links=2", device="gb200-nvl72")
    assert grace.of("c2c_links_inactive") == {f"gpu/{gpu}": ("2" if gpu == 1 else "0",) for gpu in range(4)}
    assert not grace.failures
    none = Seen("pcie").failures
    assert {(failure.metric, failure.subject) for failure in none} == {
        ("pcie.c2c_links_inactive", "node"),
        ("pcie.c2c_errors_new", "node"),
    }


CLASSES = ("fatal", "lost", "link", "reset", "contained", "repair", "unclear")


@pytest.mark.parametrize(
    ("number", "kind", "shown"),
    [
        (48, "fatal", "48"),
        (95, "fatal", "95"),
        (79, "lost", "79"),
        (74, "link", "74"),
        (149, "link", "149 fatal link 8"),
        (119, "reset", "119"),
        (120, "reset", "120"),
        (143, "reset", "143"),
        (94, "contained", "94"),
        (63, "repair", "63"),
        (154, "repair", "154"),
        (31, "unclear", "31"),
        (43, "unclear", "43"),
        (45, "unclear", "45"),
        (92, "unclear", "92"),
        (999, "unclear", "999"),
    ],
)
def test_an_xid_counts_in_one_class_of_its_gpu(number: int, kind: str, shown: str, tmp_path: Any) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"hardware: hgx-b200\nset: [{{target: gpu/5, parameter: gpu.xid, value: {number}, from: 5m}}]\n")
    seen = Seen("host", device=str(path), visits=2)
    for name in CLASSES:
        counted = seen.of(f"xid_{name}_new")
        assert counted["gpu/5"] == ("1" if name == kind else "0",)
        assert odd(counted, ("0",)) <= {"gpu/5"}
    assert seen.of("xids")["gpu/5"] == (shown,)
    assert seen.of("xid_elsewhere_new") == {"node": ("0",)}


def test_the_xid_of_a_gpu_that_no_longer_answers_is_still_its_own() -> None:
    seen = Seen("host", "xid_79:gpu=6", visits=2)
    assert seen.of("xid_lost_new")["gpu/6"] == ("1",)
    assert seen.of("xid_elsewhere_new") == {"node": ("0",)}


@pytest.mark.parametrize(
    ("severity", "kind"), [("fatal", "link"), ("non-fatal", "unclear"), ("", "unclear")], ids=lambda word: word or "-"
)
def test_an_nvlink_that_goes_on_has_not_failed(severity: str, kind: str) -> None:
    event = KernelEvent(9.0, "xid", 145, "0000:1b:00", "text", severity, link=3)
    seen = Seen("host", events=(event,))
    assert {name for name in CLASSES if odd(seen.of(f"xid_{name}_new"), ("0",))} == {kind}
    assert seen.of("xids")["gpu/0"] == (f"145 {severity}".strip() + " link 3",)


def test_what_nvml_told_of_an_nvlink_is_as_grave_as_the_log_says() -> None:
    event = KernelEvent(9.0, "xid", 149, "0000:1b:00", "text", "fatal", link=3)
    for events, kind in (((event,), "link"), ((), "unclear")):
        seen = Seen("host", events=events, heard=(149,))
        assert {name for name in CLASSES if odd(seen.of(f"xid_{name}_new"), ("0",))} == {kind}


def test_fatal_errors_of_switches_are_told_from_others_with_switch_and_link() -> None:
    events = (
        KernelEvent(1.0, "sxid", 20009, "", "text", "non-fatal", "nvswitch1", 4),
        KernelEvent(2.0, "sxid", 20009, "", "text", "non-fatal", "nvswitch1", 4),
        KernelEvent(3.0, "sxid", 20034, "", "text", "fatal", "nvswitch0", 30),
        KernelEvent(4.0, "sxid", 26006, "", "text", "", "nvswitch0"),
    )
    seen = Seen("host", events=events)
    assert seen.of("sxid_nonfatal_new") == {"node": ("2",)}
    assert seen.of("sxid_fatal_new") == {"node": ("2",)}  # what does not say how grave it is, may be
    listed = "nvswitch1 link 4: 20009 non-fatal ×2, nvswitch0 link 30: 20034 fatal, nvswitch0: 26006"
    assert seen.of("sxids") == {"node": (listed,)}


def test_a_storm_of_events_does_not_fill_the_record() -> None:
    events = tuple(KernelEvent(float(n), "sxid", n, "", "text", "fatal", "nvswitch0") for n in range(1, 1000))
    (listed,) = Seen("host", events=events).of("sxids")["node"]
    assert listed.split(", ") == [f"nvswitch0: {n} fatal" for n in range(980, 1000)]


def test_what_is_plugged_in_is_counted_and_named() -> None:
    healthy, seen = Seen("host"), Seen("host", "nvme_missing:count=2", "dimm_missing", "nic_port_slow:port=1")
    assert (healthy.of("nvme_count")["node"], seen.of("nvme_count")["node"]) == (("10",), ("8",))
    assert (healthy.of("dimms_count")["node"], seen.of("dimms_count")["node"]) == (("32",), ("31",))
    assert seen.of("port_rate_lowest")["node"] == (200.0,)
    assert "mlx5_1 200" in seen.of("ports")["node"][0] and "mlx5_2 400" in seen.of("ports")["node"][0]
    assert set(seen.of("nvme")["node"][0].split(", ")) < set(healthy.of("nvme")["node"][0].split(", "))


TOGETHER = ("host_to_all_memcpy_ce", "all_to_host_memcpy_ce")


def test_an_up_link_that_two_gpus_share_shows_only_while_all_copy() -> None:
    fault = "pcie_uplink_shared:gpu=2,peer=3,loss_percent=40"
    for name in ("host_to_device_memcpy_ce", "device_to_host_memcpy_ce"):
        assert min(min(v) for v in Seen("memory_bandwidth", fault, paths="host").of(name).values()) > 54
    healthy, seen = Seen("host_bandwidth"), Seen("host_bandwidth", fault)
    for name in TOGETHER:
        assert min(min(v) for v in healthy.of(name).values()) > 54
        slow = {gpu: v for gpu, v in seen.of(name).items() if min(v) < 50}
        assert set(slow) == {"gpu/2", "gpu/3"}
        assert all(sample == pytest.approx(0.6 * 55.4, rel=0.03) for v in slow.values() for sample in v)
    assert set(seen.of("wrong_words").values()) == {("0",)}


def test_the_memory_of_a_socket_limits_its_gpus_together(tmp_path: Any) -> None:
    file = tmp_path / "slow-memory.yaml"
    file.write_text("kind: model\nextends: hgx-b200\nhost: {memory_per_numa_node: 160}\n")
    alone = Seen("memory_bandwidth", device=str(file), paths="host").of("host_to_device_memcpy_ce")
    assert min(min(v) for v in alone.values()) > 54
    seen = Seen("host_bandwidth", device=str(file))
    for name in TOGETHER:
        assert all(v[0] == pytest.approx(40, rel=0.02) for v in seen.of(name).values())


def test_a_gpu_that_can_not_copy_leaves_the_others_their_figures() -> None:
    seen = Seen("host_bandwidth", "memory_alloc_fails:gpu=5")
    assert {(f.metric, f.subject) for f in seen.failures} == {
        (f"host_bandwidth.{name}", "gpu/5") for name in (*TOGETHER, "wrong_words")
    }
    assert len(seen.of("host_to_all_memcpy_ce")) == len(seen.of("wrong_words")) == 7


def test_copies_over_pcie_show_no_bytes_on_the_links_and_do_not_touch_other_pairs() -> None:
    seen = Seen("nvlink", "p2p_over_pcie_silently:gpu=1,peer=6", states=False)
    assert odd(seen.of("link_bytes_share"), (100.0,)) == {"gpu/1>gpu/6", "gpu/6>gpu/1"}
    assert seen.of("link_bytes_share")["gpu/1>gpu/6"] == (0.0,)
    assert max(seen.of("device_to_device_memcpy_read_ce")["gpu/1>gpu/6"]) < 100
    for name in ("one_to_all_write_ce", "all_to_one_write_ce", "all_to_all_write_ce"):
        assert all(min(samples) > 760 for samples in seen.of(name).values())


def test_a_link_that_is_down_leaves_the_path_proven() -> None:
    seen = Seen("nvlink", "nvlink_link_down", states=False)
    assert set(seen.of("link_bytes_share").values()) == {(100.0,)}
    assert set(seen.of("together_bytes_share").values()) == {(100.0,)}


def test_copies_of_many_that_leave_their_links_are_no_proof_whatever_pairs_did() -> None:
    """As where a driver takes another way once an engine is short: pairs alone stay on their links."""
    node = open_node(DeviceSpec(device="mock:hgx-b200"), None, lambda gpu, call: None)
    copies, read, hidden = node.peer_copies, node.link_traffic, dict.fromkeys(range(8), 0)

    def peer_copies(pairs: Any, *rest: Any) -> Any:
        spans = copies(pairs, *rest)
        for pair, span in zip(pairs, spans, strict=True):
            if len(pairs) > 4 and 3 in pair:
                for gpu in pair:
                    hidden[gpu] += span.bytes_written  # type: ignore[union-attr]
        return spans

    def link_traffic(gpu: int) -> Any:
        links = read(gpu)
        return (links[0]._replace(received_bytes=int(links[0].received_bytes) - hidden[gpu]), *links[1:])

    node.peer_copies, node.link_traffic = peer_copies, link_traffic  # type: ignore[assignment]
    check = CHECKS["nvlink"].check
    visit = Visit(check=check, parameters=parameters_of(check, {"states": False}), state="hot", clock=node.now)
    check.measure(node, visit)
    shares = {c.metric: dict(zip(c.subjects, c.samples, strict=True)) for c in visit.columns()}
    assert set(shares["nvlink.link_bytes_share_hot"].values()) == {(100.0,)}
    assert shares["nvlink.together_bytes_share_hot"]["gpu/3"] == (0.0,)
    assert all(share < (98.0,) for share in shares["nvlink.together_bytes_share_hot"].values())


def test_a_weak_port_shows_in_all_to_all_alone() -> None:
    seen = Seen("nvlink", "nvswitch_port_weak:gpu=2,link=4", states=False)
    assert odd({s: (v[0] < 760,) for s, v in seen.of("all_to_all_write_ce").items()}, (False,)) == {"gpu/2"}
    for name in ("one_to_all_write_ce", "all_to_one_write_ce", "device_to_device_memcpy_write_ce"):
        assert all(min(samples) > 760 for samples in seen.of(name).values())


def test_one_direction_of_a_link_slows_what_leaves_its_gpu() -> None:
    seen = Seen("nvlink", "nvlink_one_direction_slow:gpu=2,loss_percent=60", states=False)
    slow = {subject for subject, v in seen.of("device_to_device_memcpy_write_ce").items() if v[0] < 760}
    assert slow == {f"gpu/2>gpu/{peer}" for peer in range(8) if peer != 2}
    slow = {subject for subject, v in seen.of("device_to_device_memcpy_read_ce").items() if v[0] < 750}
    assert slow == {f"gpu/{peer}>gpu/2" for peer in range(8) if peer != 2}


def test_links_whose_counters_can_not_be_read_prove_nothing() -> None:
    node = open_node(DeviceSpec(device="mock:hgx-b200"), None, lambda gpu, call: None)
    read = node.link_traffic
    node.link_traffic = lambda gpu: tuple(  # type: ignore[method-assign]
        link._replace(transmitted_bytes=node.links(0)[0].crc_errors) for link in read(gpu)
    )
    check = CHECKS["nvlink"].check
    visit = Visit(check=check, parameters=parameters_of(check, {"states": False}), state="hot", clock=node.now)
    check.measure(node, visit)
    assert "nvlink.link_bytes_share_hot" not in {column.metric for column in visit.columns()}
    assert len([f for f in visit.failures if f.metric == "nvlink.link_bytes_share_hot"]) == 56
    assert len([f for f in visit.failures if f.metric == "nvlink.together_bytes_share_hot"]) == 8


def test_both_ways_at_once_each_is_slower_than_alone_and_a_link_that_is_worse_than_that_is_its_gpus_own() -> None:
    alone, both = Seen("memory_bandwidth", paths="host"), Seen("memory_bandwidth", paths="host_both_ways")
    fault = "pcie_both_ways_slow:gpu=5,loss_percent=30"
    slow = Seen("memory_bandwidth", fault, paths="host_both_ways")
    for way in ("host_to_device", "device_to_host"):
        rates = {subject: min(samples) for subject, samples in both.of(f"{way}_bidirectional_memcpy_ce").items()}
        assert all(rates[gpu] < 0.95 * min(found) for gpu, found in alone.of(f"{way}_memcpy_ce").items())
        worse = slow.of(f"{way}_bidirectional_memcpy_ce")
        assert {gpu for gpu, found in worse.items() if max(found) < 0.8 * rates[gpu]} == {"gpu/5"}
        now = Seen("memory_bandwidth", fault, paths="host").of(f"{way}_memcpy_ce")
        assert all(min(now[gpu]) > 0.95 * min(found) for gpu, found in alone.of(f"{way}_memcpy_ce").items())


def test_kernels_copy_from_and_to_the_host_as_well() -> None:
    by_kernel = Seen("memory_bandwidth", device="hgx-h100", paths="host_sm")
    assert all(30 < min(samples) < 40 for samples in by_kernel.of("host_to_device_memcpy_sm").values())
    assert all(45 < min(samples) < 55 for samples in by_kernel.of("device_to_host_memcpy_sm").values())


@pytest.mark.parametrize("paths", ["host", "host_both_ways", "host_sm"])
def test_every_way_from_and_to_the_host_counts_wrong_words(tmp_path: Path, paths: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("hardware: hgx-b200\nset: [{target: gpu/1, parameter: host.wrong_words, value: 2}]\n")
    words = Seen("memory_bandwidth", device=str(path), paths=paths, repeats=3).of("host_wrong_words")
    assert words == {f"gpu/{gpu}": ("12" if gpu == 1 else "0",) for gpu in range(8)}
