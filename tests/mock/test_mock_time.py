"""A simulated node is a function of scenario, seed and virtual time: it repeats, goes on, and never hurries back."""

from __future__ import annotations

import time
from math import exp
from statistics import stdev

import pytest
from mock_raw import GIB, MakeNode, Soak, sweep

from gpuaccept.check import Node
from gpuaccept.device.open import DeviceSpec, open_node


def _everything(node: Node) -> list[object]:
    out: list[object] = [node.facts()]
    for gpu in node.gpus:
        out += [node.settings(gpu), node.ecc(gpu), node.links(gpu), node.fabric(gpu), node.pair(gpu, (gpu + 1) % 8)]
        out += [
            node.memory_sweep(gpu, "triad", GIB, 2, 1),
            node.host_copies((gpu,), "device_to_host", "ce", False, GIB, 1, 1),
        ]
    out.append(node.peer_copies([(0, 1), (2, 3)], "write", "sm", True, GIB, 2, 1))
    for gpu in node.gpus:
        node.load_begin(gpu, 1)
    out += list(node.sensors(node.gpus, 90, 1.0))
    out += [node.load_end(gpu) for gpu in node.gpus]
    return [*out, node.now()]


def test_the_same_seed_gives_the_same_values(make_node: MakeNode) -> None:
    assert _everything(make_node(seed=5)) == _everything(make_node(seed=5))


def test_another_seed_gives_another_node(make_node: MakeNode) -> None:
    one, other = make_node(seed=5), make_node(seed=6)
    assert one.facts() != other.facts()
    assert one.memory_sweep(0, "copy", GIB, 1, 1) != other.memory_sweep(0, "copy", GIB, 1, 1)


def test_a_fresh_call_has_fresh_noise(make_node: MakeNode) -> None:
    node = make_node()
    assert len({node.memory_sweep(0, "copy", 4 * GIB, 5, 1).elapsed_ns for _ in range(20)}) == 20


@pytest.mark.parametrize("block", [1.0, 7.0, 600.0])
def test_a_soak_in_pieces_is_the_same_soak(make_node: MakeNode, block: float) -> None:
    def soak(seconds: float) -> dict[float, tuple[float, ...]]:
        node = make_node(faults=("thermal_interface_bad:extra_percent=140",))
        for gpu in node.gpus:
            node.load_begin(gpu, 1)
        seen = {}
        for _ in range(int(630 / seconds)):
            for samples in node.sensors([2], seconds, 1.0):
                sensors = samples[2]
                for i, at in enumerate(sensors.at_s):  # type: ignore[union-attr]
                    seen[at] = tuple(column[i] for column in sensors[1:-1])  # type: ignore[index]
        return seen

    whole, pieces = soak(600.0), soak(block)
    assert all(whole[at] == pieces[at] for at in whole if at in pieces and at <= 600)


def test_a_node_that_is_opened_later_goes_on(make_node: MakeNode) -> None:
    faults = ("ecc_corrected_storm", "nvlink_errors", "ecc_uncorrectable:at_s=50")
    first = make_node(faults=faults)
    first.wait(700)
    second = make_node(faults=faults, start_s=700.0)
    assert second.now() == first.now()
    for gpu in first.gpus:
        assert second.ecc(gpu) == first.ecc(gpu)
        assert second.links(gpu) == first.links(gpu)
    assert second.facts() == first.facts()
    again, before = second.memory_sweep(3, "copy", GIB, 1, 1), first.memory_sweep(3, "copy", GIB, 1, 1)
    assert again.elapsed_ns == pytest.approx(before.elapsed_ns, rel=0.02)  # the same GPU, in a visit of its own


def test_counters_of_a_node_that_is_opened_later_are_not_below_those_before(make_node: MakeNode) -> None:
    first = make_node()
    before = Soak(first, 600)
    after = Soak(make_node(start_s=first.now()), 0.0, load=False)
    for gpu in range(8):
        for name in ("energy_mj", "sw_power_cap_ns", "hw_thermal_ns"):
            assert after.last(gpu, name) >= before.last(gpu, name)


def test_a_soak_samples_601_times_in_600_s(make_node: MakeNode) -> None:
    node = make_node()
    soak = Soak(node)
    assert soak.samples[0]["at_s"] == [float(i) for i in range(601)]
    assert node.now() == 600.0


def test_the_fast_stage_rises_as_its_time_constant_says(make_node: MakeNode) -> None:
    quiet = """
set:
  - {target: "gpu/*", parameter: thermal.inlet_c, value: 20}
"""
    soak = Soak(make_node(scenario=quiet), 40, 0.5)
    temperatures = soak.samples[0]["temperature_c"]
    rise = temperatures[-1] - temperatures[0]
    after = temperatures[16] - temperatures[0]  # 8 s: one time constant of the first stage
    assert 0.5 < after / rise < 0.8
    assert 1 - exp(-1) == pytest.approx(0.632, abs=0.001)


def test_the_card_cools_down_after_the_load(make_node: MakeNode) -> None:
    node = make_node()
    Soak(node)
    cooling = Soak(node, 600, load=False)
    assert cooling.samples[0]["temperature_c"][0] > 50
    assert cooling.last(0, "temperature_c") < 36
    assert cooling.settled(0, "power_w") < 220
    assert cooling.last(0, "event_reasons") == 1


def test_energy_is_power_over_time(make_node: MakeNode) -> None:
    soak = Soak(make_node())
    energy = (soak.last(0, "energy_mj") - soak.samples[0]["energy_mj"][0]) / 1000.0
    assert energy / 600.0 == pytest.approx(soak.settled(0, "power_w"), rel=0.003)


def test_a_clock_climbs_from_idle_and_work_and_energy_with_it(make_node: MakeNode) -> None:
    soak = Soak(make_node(), 20, 0.1)
    first = soak.samples[0]
    clocks, power, reasons = (first[name] for name in ("sm_clock_mhz", "power_w", "event_reasons"))
    steady = sum(clocks[100:]) / len(clocks[100:])
    assert clocks[0] == 120 and reasons[0] == 0  # an idle clock, which nothing holds down
    assert (clocks[3] - 120) / (steady - 120) == pytest.approx(0.632, abs=0.05)  # 0.3 s: one time constant
    assert power[0] < 220 and power[5] < 700 < 950 < power[20]  # a mean of the last second lags behind
    for name, late in (("iterations", 1150 * 0.3), ("energy_mj", 800e3 * 0.3)):
        rate = (first[name][-1] - first[name][100]) / 10.0
        behind = first[name][0] + rate * 10.0 - first[name][100]
        assert behind == pytest.approx(late, rel=0.2)


def test_the_climb_is_the_same_whenever_it_is_looked_at(make_node: MakeNode) -> None:
    often, once = Soak(make_node(), 20, 0.1), Soak(make_node(), 20, 20.0)
    for name in ("energy_mj", "iterations"):
        assert often.last(0, name) == once.last(0, name)
    assert often.results[0].iterations == once.results[0].iterations
    changing = "set: [{target: gpu/0, parameter: thermal.flow, factor: 1.0, from: 100ms}]"
    cut = Soak(make_node(scenario=changing), 20, 20.0)
    assert cut.last(0, "energy_mj") == pytest.approx(once.last(0, "energy_mj"), rel=1e-9)
    assert cut.results[0].iterations == once.results[0].iterations


def test_a_locked_clock_draws_more_when_it_is_hotter(make_node: MakeNode) -> None:
    """What leakage takes from the clock at the power limit: 0.05 % a kelvin of 1147 MHz, 1 W a kelvin."""
    locked = """
set:
  - {target: "gpu/*", parameter: clock.sm_lock_mhz, value: 900}
  - {target: "gpu/*", parameter: gpu.spread, value: 0}
  - {target: gpu/1, parameter: thermal.inlet_c, add: 15}
"""
    soak = Soak(make_node(scenario=locked))
    warmer = soak.settled(1, "temperature_c") - soak.settled(0, "temperature_c")
    assert (soak.settled(1, "power_w") - soak.settled(0, "power_w")) / warmer == pytest.approx(1.0, abs=0.4)
    power = soak.samples[0]["power_w"]
    assert sum(power[-60:]) / 60 - sum(power[10:20]) / 10 > 8  # and as it warms up


def test_a_power_sensor_that_looks_away_scatters_more(make_node: MakeNode) -> None:
    """25 of 100 ms on H100 and A100; the mean over a second hides most of it, which A100 does not have."""

    def scatter(model: str) -> float:
        power = Soak(make_node(model=model), 600).samples[0]["power_w"][60:]
        return stdev(power)

    assert 4.5 < scatter("hgx-b200") < 5.8  # 5 W of itself
    assert 5.8 < scatter("hgx-h100") < 8.0  # 4 W and 10 W x sqrt(3 x 0.1)
    assert 8.5 < scatter("hgx-a100") < 12.0  # 4 W and 6 W x sqrt(3), cut off at the peak


def test_iterations_follow_the_clock(make_node: MakeNode) -> None:
    fast, slow = Soak(make_node(), 120), Soak(make_node(faults=("power_limit_low:gpu=0,loss_percent=40",)), 120)
    clocks = slow.settled(0, "sm_clock_mhz") / fast.settled(0, "sm_clock_mhz")
    assert slow.results[0].iterations / fast.results[0].iterations == pytest.approx(clocks, rel=0.01)


def test_hot_memory_is_slower(make_node: MakeNode) -> None:
    hot = """
set:
  - {target: gpu/0, parameter: thermal.inlet_c, value: 83}
  - {target: gpu/1, parameter: thermal.inlet_c, value: 92}
"""
    node = make_node(scenario=hot)
    usual = sweep(node, 2)
    assert sweep(node, 0) / usual == pytest.approx(0.97, abs=0.012)
    assert sweep(node, 1) / usual == pytest.approx(0.92, abs=0.012)


def test_real_time_takes_its_time_and_gives_a_heartbeat() -> None:
    pulses: list[str] = []
    spec = DeviceSpec(device="mock:hgx-b200", real_time=True)
    node = open_node(spec, None, lambda gpu, call: pulses.append(call))
    before = time.monotonic()
    blocks = [len(block[0].at_s) for block in node.sensors([0], 1.2, 0.1)]  # type: ignore[union-attr]
    assert 1.1 < time.monotonic() - before < 3.0
    assert sum(blocks) == 13 and max(blocks) <= 10
    assert pulses.count("wait") >= 2
