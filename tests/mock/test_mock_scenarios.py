"""Scenarios: any parameter may deviate, at any time and under conditions, and what can't be meant is refused."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import isfinite
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mock_raw import GIB, MakeNode, Soak, peer, sweep

from gpuaccept.check import DeviceError, Sensors, Unavailable
from gpuaccept.device.mock.model import Deviation
from gpuaccept.device.mock.node import MockNode
from gpuaccept.device.mock.parameters import PARAMETERS
from gpuaccept.device.mock.scenario import load
from gpuaccept.device.mock.world import World, problems
from gpuaccept.device.open import DeviceSpec, check_spec, simulated, traits
from gpuaccept.errors import GpuacceptError, ProfileError, UsageError


def test_a_deviation_holds_from_and_until(make_node: MakeNode) -> None:
    node = make_node(scenario="set: [{target: gpu/1, parameter: hbm.copy, factor: 0.5, from: 1m, until: 2m}]")
    before = sweep(node, 1)
    node.wait(60)
    during = sweep(node, 1)
    node.wait(60)
    after = sweep(node, 1)
    assert during / before == pytest.approx(0.5, abs=0.01)
    assert after / before == pytest.approx(1.0, abs=0.01)


def test_a_counter_has_a_width_and_begins_anew_or_stands_still_when_it_is_full(make_node: MakeNode) -> None:
    node = make_node(
        scenario="""
set:
  - {target: "gpu/[12]", parameter: pcie.replays_per_hour, value: 3600}
  - {target: "gpu/[12]", parameter: pcie.replay_bits, value: 8}
  - {target: gpu/2, parameter: pcie.replay_stops, value: true}
"""
    )
    assert node.pcie(1, under_load=True).replays == node.pcie(2, under_load=True).replays == 0
    node.wait(300)
    assert node.pcie(1, under_load=True).replays == 300 - 256
    assert node.pcie(2, under_load=True).replays == 255


def test_a_driver_that_lets_go_of_a_gpu_forgets_what_it_counted_but_not_what_the_gpu_did(make_node: MakeNode) -> None:
    node = make_node(
        scenario="""
set:
  - {target: gpu/1, parameter: driver.reload, value: true, from: 10m}
  - {target: "gpu/[12]", parameter: pcie.replays, value: 7}
  - {target: "gpu/[12]", parameter: pcie.replays_per_hour, value: 60}
  - {target: "gpu/[12]", parameter: ecc.sram_corrected_per_hour, value: 60}
"""
    )
    about = partial(pytest.approx, abs=1)  # the first comes at any part of its period
    node.wait(590)
    assert [node.pcie(gpu, under_load=True).replays for gpu in (1, 2)] == about([7 + 10, 7 + 10])
    node.wait(310)
    assert [node.pcie(gpu, under_load=True).replays for gpu in (1, 2)] == about([5, 7 + 15])
    counted = [(ecc.sram_corrected_volatile, ecc.sram_corrected_aggregate) for ecc in (node.ecc(1), node.ecc(2))]
    assert counted == [(5, 15), (15, 15)]


def test_a_deviation_that_depends_on_load_comes_and_goes_with_it(make_node: MakeNode) -> None:
    node = make_node(
        scenario="set: [{target: gpu/*, parameter: power.limit_w, value: 700, when: {gpus_active_above: 4}}]"
    )
    for gpu in range(4):
        node.load_begin(gpu, 1)
    few = Soak(node, 60, load=False)
    for gpu in range(4, 8):
        node.load_begin(gpu, 1)
    many = Soak(node, 60, load=False)
    assert few.settled(0, "power_w") == pytest.approx(991, abs=15)
    assert many.settled(0, "power_w") == pytest.approx(694, abs=15)


def test_errors_that_come_with_heat_are_counted_while_it_is_hot(make_node: MakeNode) -> None:
    node = make_node(
        scenario="""
set:
  - {target: gpu/3, parameter: ecc.dram_corrected_per_hour, add: 36000, when: {memory_temperature_above: 45}}
"""
    )
    node.wait(100)
    assert node.ecc(3).dram_corrected_volatile <= 1
    Soak(node, 120)
    first = node.ecc(3).dram_corrected_volatile
    assert 300 < first < 1300  # type: ignore[operator]
    node.wait(900)
    cold = node.ecc(3).dram_corrected_volatile
    node.wait(100)
    assert node.ecc(3).dram_corrected_volatile == cold


@pytest.mark.parametrize(("above_c", "wrong"), [(40, True), (200, False)])
def test_a_gpu_that_computes_wrongly_only_when_hot_does_so_in_soak_and_products(
    make_node: MakeNode, above_c: int, wrong: bool
) -> None:
    rate = f"parameter: load.mismatches_per_hour, value: 36e6, when: {{temperature_above: {above_c}}}"
    node = make_node(scenario=f"set: [{{target: gpu/5, {rate}}}]")
    assert node.gemm(5, "bf16", 8192, 100, 1).wrong_elements == 0
    for gpu in (4, 5):
        node.load_begin(gpu, 1)
    node.wait(300)
    assert (node.gemm(5, "bf16", 8192, 100, 1).wrong_elements > 0) is wrong
    assert node.load_end(4).mismatches == 0
    assert (node.load_end(5).mismatches > 0) is wrong


def test_a_single_direction_of_a_pair_can_be_slow(make_node: MakeNode) -> None:
    node = make_node(scenario='set: [{target: "gpu/2>gpu/5", parameter: pair.bandwidth, factor: 0.8}]')
    assert peer(node, 2, 5) / peer(node, 5, 2) == pytest.approx(0.8, abs=0.01)


def test_a_sensor_can_be_wrong_or_absent(make_node: MakeNode) -> None:
    node = make_node(
        scenario="""
set:
  - {target: gpu/1, parameter: sensor.power_w, factor: 1.1}
  - {target: gpu/2, parameter: sensor.memory_temperature_c, value: unavailable}
"""
    )
    block = next(iter(node.sensors(node.gpus, 10, 1.0)))
    right, wrong, absent = (block[gpu] for gpu in (0, 1, 2))
    assert isinstance(absent.memory_temperature_c, Unavailable)  # type: ignore[union-attr]
    assert not isinstance(right.memory_temperature_c, Unavailable)  # type: ignore[union-attr]
    assert wrong.power_w[0] > 195 * 1.05  # type: ignore[union-attr]


def test_wrong_words_are_counted(make_node: MakeNode) -> None:
    node = make_node(
        scenario="""
set:
  - {target: gpu/1, parameter: memory.wrong_words, value: 3}
  - {target: "gpu/0>gpu/1", parameter: pair.wrong_words, value: 9}
"""
    )
    assert node.memory_sweep(1, "copy", GIB, 1, 1).wrong_words == 3
    result = node.peer_copies([(0, 1)], "read", "ce", False, GIB, 1, 1)[0]
    assert not isinstance(result, Unavailable) and result.wrong_words == 9


def test_a_scenario_may_name_faults_and_a_seed(make_node: MakeNode) -> None:
    node = make_node(seed=0, scenario="seed: 42\nfaults: [ecc_off, 'gpu_missing:gpu=7']")
    assert node.facts().host == "mock-hgx-b200-42"
    assert len(node.gpus) == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set: [{target: gpu/1, parameter: hbm.bandwith, factor: 0.5}]", "did you mean hbm.bandwidth?"),
        ("set: [{target: gpu/9, parameter: hbm.bandwidth, factor: 0.5}]", "GPUs 0 to 7"),
        ("set: [{target: gpu/1, parameter: hbm.bandwidth}]", "exactly one of factor, value and add"),
        ("set: [{target: gpu/1, parameter: hbm.bandwidth, factor: 2, add: 1}]", "exactly one of factor, value and add"),
        ("set: [{target: gpu/1, parameter: ecc.mode, value: 3}]", "takes a value, a text"),
        ("set: [{target: gpu/1, parameter: gpu.lost, factor: 3}]", "true or false"),
        ("set: [{target: gpu/1, parameter: hbm.copy, value: fast}]", "takes a number"),
        ("set: [{target: gpu/1, parameter: hbm.copy, factor: 1, from: 2m, until: 60s}]", "is not after"),
        ("set: [{target: gpu/1, parameter: gpu.present, value: false, from: 2m}]", "whole run"),
        ("set: [{target: gpu/1, parameter: hbm.copy, factor: 1, from: soon}]", "from"),
        ("sets: []", "sets"),
        ("faults: [ecc_of]", "did you mean ecc_off?"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_a_sentence(make_node: MakeNode, text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_node(scenario=text)
    assert says in str(refused.value)


def test_all_problems_of_a_scenario_are_told_at_once(make_node: MakeNode) -> None:
    with pytest.raises(ProfileError) as refused:
        make_node(scenario="set: [{target: gpu/9, parameter: hbm.copy, add: 1}, {target: x, parameter: y, add: 1}]")
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("mock:hgx-b20", "did you mean hgx-b200?"),
        ("mock:", "mock needs a scenario"),
        ("mok:hgx-b200", "did you mean mock"),
        ("mock:no/such.yaml", "does not exist"),
        ("mock:/", "is a directory"),
        ("cpu", "unknown device"),
    ],
)
def test_an_unknown_device_names_the_nearest(device: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_spec(DeviceSpec(device=device))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("straggle", "did you mean straggler?"),
        ("straggler:gpu=99", "this model has GPUs 0 to 7"),
        ("straggler:gpu=-1", "this model has GPUs 0 to 7"),
        ("straggler:gpu=two", "not a whole number"),
        ("straggler:gp=2", "its keys: gpu, loss_percent"),
        ("straggler:gpu", "its keys: gpu, loss_percent"),
        ("straggler:loss_percent=nan", "is not between"),
        ("nvlink_link_down:link=18", "links 0 to 17"),
        ("p2p_disabled:gpu=5,peer=5", "must differ"),
        ("hbm_bandwidth_low:loss_percent=120", "is not between 0 and 99"),
        ("fabric_not_ready:gpu=1", "its keys: none"),
    ],
)
def test_a_fault_that_can_not_be_is_refused_in_a_sentence(fault: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_spec(DeviceSpec(device="mock:hgx-b200", faults=(fault,)))
    assert says in str(refused.value)


def test_faults_are_for_the_mock_alone() -> None:
    with pytest.raises(UsageError):
        check_spec(DeviceSpec(device="nvidia", faults=("ecc_off",)))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"- a\n- b\n", b"hardware: x\n", b"kind: model\n", b"a: &b c\n"]
)
def test_a_damaged_scenario_file_is_a_usage_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(GpuacceptError) as refused:
        check_spec(DeviceSpec(device=f"mock:{path}"))
    assert refused.value.exit_code == 2


def test_a_mock_says_what_it_is() -> None:
    spec = DeviceSpec(device="mock:hgx-h100", seed=9, faults=("ecc_off",))
    said = simulated(spec)
    assert said is not None
    assert (said.by, said.scenario, said.seed, said.faults) == ("mock", "hgx-h100", 9, ("ecc_off",))
    assert len(said.digest) == 64
    assert traits(spec) == (True, 2.0)


def test_no_uuid_is_the_stubs(make_node: MakeNode) -> None:
    assert all(
        not gpu.uuid.startswith("GPU-57ab57ab") for seed in range(50) for gpu in make_node(seed=seed).facts().gpus
    )


NUMBERS = sorted(name for name, parameter in PARAMETERS.items() if parameter.type in ("number", "sensor"))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NUMBERS),
            st.sampled_from(["factor", "value", "add"]),
            st.floats(-1e4, 1e4) | st.sampled_from([0.0, -1.0, 1e9]),
            st.sampled_from(["0s", "30s"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_deviation_breaks_the_simulator(changes: list[tuple[str, str, float, str]]) -> None:
    """Faults that nobody thought of are answered as a driver would: with values, or with its errors."""
    model = load("hgx-b200").model
    deviations = tuple(
        Deviation(
            target={"gpu": "gpu/2", "link": "gpu/2/link/*", "pair": "gpu/2>*", "port": "host/nic/*", "node": "node"}[
                PARAMETERS[name].kind
            ],
            parameter=name,
            from_="0s" if PARAMETERS[name].fixed else start,
            **{how: value},
        )
        for name, how, value, start in changes
    )
    assert not problems(deviations, model, "test")
    node = MockNode(World(model, deviations), 1, None, lambda gpu, call: None)
    assert len(node.facts().gpus) == 8
    for gpu in (2, 3):
        node.settings(gpu), node.ecc(gpu), node.links(gpu)
        with suppress(DeviceError):
            assert node.memory_sweep(gpu, "copy", GIB, 1, 1).elapsed_ns > 0
        (copied,) = node.host_copies((gpu,), "host_to_device", "ce", False, GIB, 1, 1)
        assert isinstance(copied, Unavailable) or copied.elapsed_ns > 0
        node.pcie(gpu, under_load=True), node.link_traffic(gpu), node.xids(gpu), node.processes(gpu)
    node.host()
    node.peer_copies([(2, 3)], "read", "ce", False, GIB, 1, 1)
    node.load_begin(2, 1)
    for block in node.sensors([2], 60, 1.0):
        sensors = block[2]
        assert isinstance(sensors, Sensors)
        assert all(isfinite(value) for column in sensors for value in column if not isinstance(column, Unavailable))
    assert node.load_end(2).iterations >= 0
