"""What goes wrong in NVML, at the level of its calls, and what the protocol makes of it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import Any

import pytest
from stub_driver import host_tree
from stub_driver.machine import StubMachine, make_machine

pytestmark = pytest.mark.needs("gcc")


def then(*lines: str, anew: bool = False) -> str:
    """A question that changes the machine while the process under test runs; `anew`: what was set before goes."""
    text = "".join(f"{line}\n" for line in lines)
    return f"open(__import__('os').environ['STUB_STATE'], {'w' if anew else 'a'!r}).write({text!r})"


# --- single calls --------------------------------------------------------------------------------------------------

REASONS = {
    3: "not supported by this GPU",
    4: "no permission: run as root",
    13: "not in this driver",
    25: "this driver has another version of the call",
    999: "NVML_ERROR_UNKNOWN",
}


@pytest.mark.parametrize(("code", "why"), REASONS.items())
def test_every_reason_leaves_the_value_out_and_says_why(machine: StubMachine, code: int, why: str) -> None:
    machine.set(
        *(f"fault.{call}={code}" for call in ("nvmlDeviceGetRowRemapperHistogram", "nvmlDeviceGetEnforcedPowerLimit")),
        f"fielderror230={code}",
    )
    ecc, settings = machine.ask("node.ecc(0)._asdict()", "node.settings(0)._asdict()")
    for bucket in ("max", "high", "partial", "low", "none"):
        assert ecc[f"remap_banks_{bucket}"] == ["nvmlDeviceGetRowRemapperHistogram", code, why]
    assert ecc["row_remapping_failure"] == 0
    assert settings["power_limit_enforced_mw"] == ["nvmlDeviceGetEnforcedPowerLimit", code, why]
    assert settings["recovery_action"] == ["nvmlDeviceGetFieldValues 230", code, why]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ((), "valid"),
        (("gpu0.inforom_corrupt=1",), "corrupt"),
        (("fault.nvmlDeviceValidateInforom=3",), "readable"),
        (("fault.nvmlDeviceValidateInforom=4", "gpu0.inforom_corrupt=1"), "corrupt"),
        (
            ("fault.nvmlDeviceValidateInforom=13", "fault.nvmlDeviceGetInforomImageVersion=3"),
            ["nvmlDeviceGetInforomImageVersion", 3, "not supported by this GPU"],
        ),
    ],
    ids=("valid", "corrupt", "readable", "corrupt and unchecked", "unknown"),
)
def test_a_corrupt_inforom_is_told_from_one_that_can_not_be_asked(
    machine: StubMachine, said: tuple[str, ...], state: Any
) -> None:
    machine.set(*said)
    assert machine.ask("node.settings(0).inforom") == [state]


def test_an_error_on_the_third_call_is_an_error_of_the_third_gpu(machine: StubMachine) -> None:
    machine.set("fault.nvmlDeviceGetRemappedRows=999@3")
    (failures,) = machine.ask("[node.ecc(gpu).row_remapping_failure for gpu in range(5)]")
    assert [failure != 0 for failure in failures] == [False, False, True, False, False]


@pytest.mark.parametrize("code", [15, 16])
def test_a_gpu_that_is_lost_or_needs_a_reset_is_an_error_and_no_reading(machine: StubMachine, code: int) -> None:
    machine.set(f"gpu1.fault.nvmlDeviceGetEccMode={code}", f"fielderror94={code}")
    name = {15: "NVML_ERROR_GPU_IS_LOST", 16: "NVML_ERROR_RESET_REQUIRED"}[code]
    settings, pcie, other = machine.ask("node.settings(1)", "node.pcie(1, False)", "node.settings(0).ecc_mode")
    assert settings == {"error": ["nvmlDeviceGetEccMode", code, name, 1]}
    assert pcie == {"error": ["nvmlDeviceGetFieldValues 94", code, name, 1]}
    assert other == "enabled"


def test_a_gpu_that_falls_off_the_bus_on_the_way(machine: StubMachine) -> None:
    calls = ("ecc", "settings", "links", "fabric", "pcie", "link_traffic", "processes")
    questions = [f"node.{call}(2{', False' if call == 'pcie' else ''})" for call in calls]
    _, *lost, others = machine.ask(then("gpu2.lost=1"), *questions, "[node.ecc(gpu)[0] for gpu in (1, 3)]")
    assert all(answer["error"][1:] == [15, "NVML_ERROR_GPU_IS_LOST", 2] for answer in lost)
    assert others == [0, 0]


def test_a_gpu_that_is_lost_after_some_calls_takes_the_rest_of_a_reading_with_it(machine: StubMachine) -> None:
    machine.set("gpu2.lost_after=40")
    (counts,) = machine.ask("[len(node.links(gpu)) if gpu != 2 else answer('node.links(2)') for gpu in (1, 2, 3)]")
    assert (counts[0], counts[2]) == (18, 18)
    assert counts[1]["error"][1] == 15


@pytest.mark.parametrize("call", ["nvmlDeviceGetFieldValues", "nvmlDeviceRegisterEvents", "nvmlDeviceGetClockInfo"])
def test_a_call_that_hangs_was_announced_before_it_began(machine: StubMachine, call: str) -> None:
    machine.set(f"gpu1.fault.{call}=hang")
    script = (
        "from gpuaccept.device.nvidia import open_nvidia\n"
        "node = open_nvidia(None, lambda gpu, call: print(gpu, call, flush=True))\n"
        "list(node.sensors((1,), 0.0, 1.0))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], env=machine.environment, stdout=subprocess.PIPE, bufsize=0)
    try:
        assert child.stdout is not None
        assert any(line == f"1 {call}\n".encode() for line in child.stdout)
        more, _, _ = select.select([child.stdout], [], [], 0.3)
        assert not more, "the call returned"
    finally:
        child.kill()
        child.communicate()


# --- the faults of the catalogue that NVML shows --------------------------------------------------------------------

SETTINGS = "node.settings(3)._asdict()"
ECC = "node.ecc(3)._asdict()"
FABRIC = "node.fabric(3)._asdict()"
PAIR = "node.pair(3, 5)._asdict()"
LINK = "node.links(3)[11]._asdict()"
PCIE = "node.pcie(3, True)._asdict()"
FACTS = "node.facts().gpus[3]"
SENSORS = "next(iter(node.sensors((3,), 0.0, 1.0)))[3]._asdict()"
CATALOGUE: dict[str, tuple[tuple[str, ...], str, dict[str, object]]] = {
    "gpu_wrong_model": (("name=NVIDIA B300 SXM6 AC",), FACTS, {"name": "NVIDIA B300 SXM6 AC"}),
    "vbios_mixed": (("vbios=97.00.B9.00.70",), FACTS, {"vbios": "97.00.B9.00.70"}),
    "gpu_swapped": (("module=8",), FACTS, {"module_id": 8}),
    "serial_duplicate": (("serial=1650000000005",), FACTS, {"serial": "1650000000005"}),
    "nvlink_link_down": (("field165.11=0", "field164.11=0"), LINK, {"state": "off", "raw_rate_mbps": 0}),
    "nvlink_errors": (
        ("field219.11=9", "field215.11=2", "field208.11=4"),
        LINK,
        {"effective_errors": 9, "recovery": 2, "packet_errors": 4},
    ),
    "nvlink_remote_wrong_type": (("link11.remote_type=0",), LINK, {"remote_type": "gpu"}),
    "p2p_disabled": (("p2p5=4",), PAIR, {"p2p_read": "disabled by regkey", "p2p_write": "disabled by regkey"}),
    "fabric_not_ready": (("fabric.state=2",), FABRIC, {"state": "in progress"}),
    "fabric_unhealthy": (("fabric.health=0x04A9",), FABRIC, {"health": "degraded bandwidth,no partition"}),
    "ecc_off": (("ecc=0", "ecc_pending=0"), SETTINGS, {"ecc_mode": "disabled", "ecc_mode_pending": "disabled"}),
    "ecc_uncorrectable": (("ecc.1.0.2=1", "ecc.1.1.2=1"), ECC, {"dram_uncorrected_volatile": 1}),
    "ecc_corrected_storm": (("ecc.0.0.2=100000", "ecc.0.1.2=100000"), ECC, {"dram_corrected_volatile": 100000}),
    "sram_threshold": (("sram_threshold_exceeded=1",), ECC, {"sram_threshold_exceeded": 1}),
    "row_remap_pending": (
        ("rows.pending=1", "rows.uncorrected=1"),
        ECC,
        {"row_remapping_pending": 1, "remapped_rows_uncorrectable": 1},
    ),
    "row_remap_failed": (
        ("rows.failure=1", "histogram.none=1"),
        ECC,
        {"row_remapping_failure": 1, "remap_banks_none": 1},
    ),
    "channel_repair_pending": (("repair.channel=1",), ECC, {"channel_repair_pending": 1}),
    "recovery_action": (("field230=1",), SETTINGS, {"recovery_action": "gpu reset"}),
    "power_brake": (
        ("field271=7000000000", "clocks_event_reasons=0x80"),
        SENSORS,
        {"hw_power_brake_ns": [7000000000], "event_reasons": [128]},
    ),
    "clock_capped": (("clock1=1200", "max_clock1=1200"), SENSORS, {"sm_clock_mhz": [1200.0]}),
    "thermal_interface_bad": (("temperature=86", "margin=-1"), SENSORS, {"temperature_c": [86.0], "margin_k": [-1.0]}),
    "power_limit_low": (("power_limit_mw=800000",), SETTINGS, {"power_limit_enforced_mw": 800000}),
    "persistence_off": (("persistence=0",), SETTINGS, {"persistence_mode": "disabled"}),
    "mig_left_on": (("mig=1",), SETTINGS, {"mig_mode": "enabled", "mig_mode_pending": "enabled"}),
    "pcie_width_reduced": (("pcie.width=8",), PCIE, {"width": 8, "width_max": 16}),
    "pcie_gen_down_under_load": (("pcie.gen=4",), PCIE, {"generation": 4, "generation_max": 5}),
    "pcie_replays": (("field94=4000",), PCIE, {"replays": 4000}),
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What GPU 3, which has the fault, and GPU 4 say of each fault, in one process."""
    machine = make_machine(tmp_path_factory.mktemp("faults"))
    questions = []
    for lines, question, _ in CATALOGUE.values():
        elsewhere = question.replace("[3]", "[4]").replace("(3", "(4")
        questions += [then(*(f"gpu3.{line}" for line in lines), anew=True), question, elsewhere]
    answers = machine.ask(*questions)
    return {fault: answers[3 * number + 1 : 3 * number + 3] for number, fault in enumerate(CATALOGUE)}


@pytest.mark.parametrize("fault", CATALOGUE)
def test_a_fault_of_one_gpu_shows_where_it_is_and_nowhere_else(shown: dict[str, Any], fault: str) -> None:
    here, elsewhere = shown[fault]
    wanted = CATALOGUE[fault][2]
    assert {name: here[name] for name in wanted} == wanted
    assert {name: elsewhere[name] for name in wanted} != wanted


def test_confidential_computing_is_read(machine: StubMachine) -> None:
    machine.set("cc=1")
    assert machine.ask("node.settings(0).cc_mode") == ["on"]
    machine.set("fault.nvmlSystemGetConfComputeState=3")
    assert machine.ask("node.settings(0).cc_mode")[0][1] == 3


def test_remapped_rows_can_not_be_read_while_mig_is_on(machine: StubMachine) -> None:
    machine.set("mig=1")
    (ecc,) = machine.ask("node.ecc(0)._asdict()")
    assert ecc["row_remapping_pending"] == ["nvmlDeviceGetRemappedRows", 3, "not supported by this GPU"]


def test_volatile_counters_restart_when_the_last_client_has_left(machine: StubMachine) -> None:
    counters = "[node.ecc(0).dram_corrected_volatile, node.ecc(0).dram_corrected_aggregate]"
    machine.set("ecc.0.0.2=5", "ecc.0.1.2=5", "persistence=0")
    assert machine.ask(counters) == [[5, 5]]
    holder = subprocess.Popen(
        [sys.executable, "-c", "import pynvml; pynvml.nvmlInit(); print(flush=True); input()"],
        env=machine.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        (machine.root / "state.restarted").unlink()  # that was the holder, after the first process had left
        assert machine.ask(counters) == [[5, 5]], "while somebody holds the GPUs the driver stays"
    finally:
        holder.kill()
        holder.communicate()
    assert machine.ask(counters) == [[0, 5]]


# --- events and processes -------------------------------------------------------------------------------------------


def test_xids_are_those_since_the_device_was_opened(machine: StubMachine) -> None:
    machine.set("gpu1.xid=13")
    before, _, after, again, other = machine.ask(
        "node.xids(1)", then("gpu1.xid=13,48,94"), "node.xids(1)", "node.xids(1)", "node.xids(2)"
    )
    assert (before, after, again, other) == ([], [48, 94], [48, 94], [])


_REPLACED = """
import json, os, sys
from gpuaccept.device.learned import Learned
from gpuaccept.device.nvidia import memory, open_nvidia
before = open_nvidia(None, lambda gpu, call: None)
def said(node): return [node.xids(1), [event.number for event in node.host().kernel_events]]
first = said(before)
exec(sys.argv[1])
second = said(before)
learned = Learned(memory=memory(before))
before.close()
exec(sys.argv[2])
after = [said(open_nvidia(None, lambda gpu, call: None, one)) for one in (learned, Learned())]
print(json.dumps([first, second, *after]))
"""


def test_a_worker_that_takes_anothers_place_knows_what_that_one_was_told(machine: StubMachine) -> None:
    log = f"open({str(machine.root / 'dev/kmsg')!r}, 'w').write"
    first = "4,10,5000000,-;NVRM: Xid (PCI:0000:43:00): 48, text\n4,11,6000000,-;a line\n"
    later = "4,12,7000000,-;NVRM: Xid (PCI:0000:43:00): 13, text\n"
    machine.set()
    done = machine.run("-c", _REPLACED, f"{then('gpu1.xid=13')}; {log}({first!r})", f"{log}({later!r})")
    assert done.returncode == 0, done.stderr
    nothing, told, replaced, forgetful = json.loads(done.stdout)
    assert (nothing, told) == ([[], []], [[13], [48]])
    assert replaced == [[13], [48, 13]]  # the ring has overwritten 48 since, and NVML tells an XID once
    assert forgetful == [[], [13]]


def test_xids_of_a_gpu_that_is_lost_stay_heard(machine: StubMachine) -> None:
    _, heard, quiet = machine.ask(then("gpu1.xid=79", "gpu1.lost=1", "gpu2.lost=1"), "node.xids(1)", "node.xids(2)")
    assert heard == [79]
    assert quiet == ["nvmlEventSetWait", 15, "NVML_ERROR_GPU_IS_LOST"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("gpu1.event_types=16", ["nvmlDeviceGetSupportedEventTypes", 3, "not supported by this GPU"]),
        ("gpu1.fault.nvmlDeviceRegisterEvents=4", ["nvmlDeviceRegisterEvents", 4, "no permission: run as root"]),
        (
            "gpu1.fault.nvmlDeviceGetSupportedEventTypes=13",
            ["nvmlDeviceGetSupportedEventTypes", 13, "not in this driver"],
        ),
    ],
)
def test_a_gpu_that_can_not_be_listened_to_says_why(machine: StubMachine, line: str, reason: list[Any]) -> None:
    machine.set(line)
    assert machine.ask("node.xids(1)", "node.xids(0)") == [reason, []]


def test_processes_of_others_have_names(machine: StubMachine) -> None:
    host_tree.process(machine.root, 4242, "python3")
    machine.set("gpu1.pids=4243,4242,4244", "process4244=/usr/bin/trainer", "gpu1.process_bytes=1073741824")
    found, none = machine.ask("node.processes(1)", "node.processes(0)")
    assert found == [[4242, "python3", 1 << 30], [4243, "", 1 << 30], [4244, "trainer", 1 << 30]]
    assert none == []


def test_this_runs_own_processes_are_left_out(machine: StubMachine) -> None:
    write = "open(__import__('os').environ['STUB_STATE'], 'a').write('pids=%d,4242\\n' % __import__('os').getpid())"
    _, found = machine.ask(write, "node.processes(0)")
    assert [process[0] for process in found] == [4242]


def test_memory_that_the_driver_does_not_tell_is_not_measured(machine: StubMachine) -> None:
    machine.set("pids=4242", f"process_bytes={-1}")
    ((process,),) = machine.ask("node.processes(0)")
    assert process[2][2] == "the driver does not tell how much memory"


def test_in_a_container_a_process_that_is_not_seen_may_be_our_own(machine: StubMachine) -> None:
    namespace = machine.root / "proc/self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to("pid:[4026532999]")
    machine.set("gpu1.pids=4242")
    hidden, none = machine.ask("node.processes(1)", "node.processes(0)")
    assert "can't be seen from here" in hidden[2]
    assert none == []


def test_an_old_driver_is_read_by_its_older_calls(machine: StubMachine) -> None:
    newer = ("TemperatureV", "MarginTemperature", "SramEccErrorStatus", "RepairStatus", "PlatformInfo")
    without = ("94", "165", "185", "186")
    machine.set(
        *(f"fault.nvmlDeviceGet{name}=13" for name in newer),
        *(f"fielderror{field}=3" for field in without),
        *("fabric.old=1", "temperature=51", "power_mw=90000"),
    )
    sensors, ecc, fabric, pcie, link = machine.ask(SENSORS, ECC, FABRIC, PCIE, LINK)
    called = {line.split()[1] for line in machine.log.read_text().splitlines()}
    older = ("Temperature", "PowerUsage", "NvLinkState", "PcieReplayCounter")
    assert {f"nvmlDeviceGet{name}" for name in older} <= called
    assert (sensors["power_w"], pcie["replays"], link["state"]) == ([90.0], 0, "on")
    assert sensors["temperature_c"] == [51.0]
    assert sensors["margin_k"] == ["nvmlDeviceGetMarginTemperature", 13, "not in this driver"]
    assert (ecc["sram_corrected_volatile"], ecc["sram_threshold_exceeded"][1]) == (0, 13)
    assert fabric == {"state": "completed", "status": "success", "health": "healthy"}


def test_a_gpu_in_a_rack_says_where_it_sits(machine: StubMachine) -> None:
    question = "node.facts().gpus[0]"
    (without,) = machine.ask(question)
    assert "platform" not in without
    machine.set("platform=1", "fault.nvmlDeviceGetModuleId=3", "platform.module=2")
    (gpu,) = machine.ask(question)
    assert gpu["module_id"] == 2
    assert gpu["platform"] == {"chassis_serial": "1820000000001", "slot": 14, "tray": 4}


def test_one_sample_asks_for_all_fields_in_one_call(machine: StubMachine) -> None:
    names = "[call for gpu, call in calls if gpu == 5]"
    sample = "list(node.sensors((5,), 0.0, 1.0))"  # the first also asks for what stays as it is
    _, before, _, after = machine.ask(sample, names, sample, names)
    assert after[len(before) :].count("nvmlDeviceGetFieldValues") == 1
    assert len(after) - len(before) <= 7


def test_sensors_tell_how_far_the_load_is(machine: StubMachine) -> None:
    _, first, _, second, _ = machine.ask(
        "node.load_begin(0, 1)",
        "next(iter(node.sensors((0,), 0.0, 1.0)))[0].iterations",
        "node.wait(0.2)",
        "next(iter(node.sensors((0, 1), 0.0, 1.0)))",
        "node.load_end(0)",
        timeout=120.0,
    )
    assert second["0"][-1][-1] > first[0]
    assert second["1"][-1] == [0]
