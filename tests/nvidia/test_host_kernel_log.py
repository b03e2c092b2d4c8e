"""What the kernel log tells of GPUs and switches, on real lines from many drivers and tools (tests/data/kernel_log)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from gpuaccept.check import KernelEvent, Unavailable
from gpuaccept.device.nvidia.kernel_log import KernelLog, events_of, read_kernel_log

CAPTURES = Path(__file__).resolve().parent.parent / "data" / "kernel_log"
EXPECTED: dict[str, list[tuple[str, int, str]]] = {
    "aer_correctable_message_received.log": [],
    "aer_uncorrected_fatal_nvidia_no_recovery.log": [],
    "dev_kmsg_peermem_invalid_context.log": [],
    "dev_kmsg_raw_boot.log": [],
    "dmesg_T_xid119_gsp_timeout.log": [("xid", 119, "0000:9b:00")],
    "dmesg_decode_iso_xid13_43_oom.log": [("xid", 13, "0000:38:00"), ("xid", 43, "0000:38:00")],
    "dmesg_iso_xid48_63_94.log": [("xid", 48, "0000:19:00"), ("xid", 63, "0000:19:00"), ("xid", 94, "0000:19:00")],
    "fallen_off_bus_2014_wording.log": [("xid", 79, "0000:01:00.0")],
    "fallen_off_bus_without_xid_multiline.log": [("xid", 79, "0000:b3:00.0")],
    "gb200_xid149_154_cascade.log": [
        *(("xid", 149, "0009:01:00"), ("xid", 154, "0009:01:00"), ("xid", 149, "0008:01:00")),
        *(("xid", 154, "0019:01:00"), ("xid", 149, "0009:01:00"), ("xid", 149, "0009:01:00")),
        *(("xid", 149, "0008:01:00"), ("xid", 154, "0018:01:00"), ("xid", 154, "0008:01:00")),
    ],
    "nhc_wrapped_xid119.log": [("xid", 119, "0002:00:00")],
    "nvlink5_xid144_150_catalogue.log": [
        ("xid", number, "0000:04:00") for number in (144, 144, 145, 145, 146, 146, 147, 148, 149, 149, 150)
    ],
    "nvswitch_soe_halt.log": [("sxid", number, "0004:00:00.0") for number in (26006, 26007, 26008)],
    "pci_bandwidth_limited_by_gen4_switch.log": [],
    "rminit_osinitnvmapping_cmp40hx.log": [],
    "syslog_rminit_dbe48_xid64.log": [("xid", 48, "0000:07:00"), ("xid", 64, "0000:07:00")],
    "xid119_kgsplog_banner.log": [("xid", 119, "0001:6c:00"), ("xid", 119, "0001:96:00")],
    "xid13_109_dmesg_ctime.log": [("xid", 13, "0000:cb:00"), ("xid", 109, "0000:cb:00")],
    "xid145_137_redacted_address.log": [("xid", 145, ""), ("xid", 137, "")],
    "xid31_32_2015_no_pid.log": [("xid", 32, "0000:01:00"), ("xid", 31, "0000:01:00")],
    "xid45_caused_by_previous.log": [("xid", 45, f"0000:{bus}:00") for bus in ("dc", "ed", "ba", "97")],
    "xid63_no_name_field.log": [("xid", 63, "0000:10:1c")],
    "xid74_a100_after_xid45_talos.log": [("xid", number, "0000:48:00") for number in (45, 74, 154)],
    "xid79_rtx5090_serial_zero.log": [("xid", 79, "0000:06:00")],
}
"""Kind, number and device of each event, in order. The two files that are missing here have their own tests."""


def events(name: str) -> tuple[KernelEvent, ...]:
    return events_of((CAPTURES / name).read_text().splitlines())


def test_every_capture_is_read_and_says_where_it_is_from() -> None:
    index = yaml.safe_load((CAPTURES / "INDEX.yaml").read_text())["samples"]
    files = {path.name for path in CAPTURES.glob("*.log")}
    own = {"sxid_selection.log", "nvlink5_xid145_149_units.log"}
    assert {sample["file"] for sample in index} == files == EXPECTED.keys() | own
    assert all(sample["source"] and sample["licence"] for sample in index)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_log(name: str) -> None:
    assert [(event.kind, event.number, event.pci_address) for event in events(name)] == EXPECTED[name]


def test_fatal_is_told_from_non_fatal_with_switch_and_link() -> None:
    found = {(e.switch, e.number, e.severity, e.link) for e in events("sxid_selection.log")}
    assert found == {
        ("nvswitch0", 24007, "fatal", 28),
        ("nvswitch0", 20034, "fatal", 30),
        ("nvswitch0", 12033, "fatal", -1),  # "Severity 1" is how its registers begin: the line before is lost
        ("nvswitch3", 28006, "non-fatal", 46),
        ("nvswitch0", 20009, "non-fatal", 4),
        ("nvswitch3", 12028, "non-fatal", 32),
        ("nvswitch1", 22013, "non-fatal", 57),
    }
    assert {event.severity for event in events("nvswitch_soe_halt.log")} == {""}
    nvlink = {(e.number, e.severity, e.link) for e in events("nvlink5_xid145_149_units.log")}
    assert {(145, "non-fatal", 13), (149, "fatal", -1), (149, "fatal", 8), (149, "non-fatal", 3)} <= nvlink
    assert not [one for one in nvlink if not one[1]]


def test_a_fatal_error_after_a_non_fatal_one_is_an_event_of_its_own() -> None:
    line = "4,{},{},-;nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, {}, Link 30 LTSSM Fault Up"
    lines = [line.format(n, 5_000_000 + n, word) for n, word in enumerate(("Non-fatal", "Fatal", "Fatal"))]
    assert [event.severity for event in events_of(lines)] == ["non-fatal", "fatal"]


def test_a_program_does_not_choose_how_grave_its_xid_is() -> None:
    (event,) = events_of(["NVRM: Xid (PCI:0000:1b:00): 31, pid=7, name=Fatal, Link 3, Ch 00000001"])
    assert event.severity == ""


def test_registers_of_a_switch_belong_to_the_event_that_was_told_before() -> None:
    found = sorted(event.number for event in events("sxid_selection.log"))
    assert found == [12028, 12033, 20009, 20034, 22013, 24007, 28006]


def test_each_link_of_a_burst_is_an_event_of_its_own() -> None:
    found = events("nvlink5_xid145_149_units.log")
    assert {event.number for event in found} == {145, 149}
    assert sum("Link -1" in event.text for event in found) == 3


def test_times_are_seconds_since_boot_or_unknown() -> None:
    assert events("gb200_xid149_154_cascade.log")[0].at_s == 171167.620236
    assert events("syslog_rminit_dbe48_xid64.log")[0].at_s == 219.470994
    assert events("dmesg_T_xid119_gsp_timeout.log")[0].at_s == -1.0
    (event,) = events_of(["4,9071,3606832215,-;NVRM: Xid (PCI:0000:1b:00): 79, GPU has fallen off the bus."])
    assert event == KernelEvent(
        3606.832215, "xid", 79, "0000:1b:00", "NVRM: Xid (PCI:0000:1b:00): 79, GPU has fallen off the bus."
    )


def test_the_same_fault_later_is_another_event() -> None:
    line = "4,{},{},-;NVRM: Xid (PCI:0000:1b:00): 94, pid=1, name=python3, Ch 0000000{}"
    lines = [line.format(number, at, number) for number, at in enumerate((5_000_000, 5_400_000, 9_000_000))]
    assert [event.at_s for event in events_of(lines)] == [5.0, 9.0]


def test_names_of_programs_are_cut_and_made_printable() -> None:
    hostile = "NVRM: Xid (PCI:0000:1b:00): 13, name=\u202e\x1b[31m" + "x" * 5000
    (event,) = events_of([f"4,1,1,-;{hostile}"])
    assert event.text.isprintable()
    assert len(event.text) == 200


def test_a_record_over_three_lines_is_one(tmp_path: Path) -> None:
    log = tmp_path / "dev/kmsg"
    log.parent.mkdir()
    text = "NVRM: The NVIDIA GPU 0000:b3:00.0\\x0aNVRM: (PCI ID: 10de:26b5)\\x0aNVRM: fallen off the bus and is lost"
    log.write_text(f"4,900,1843308145,-;{text}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:b3:00.0\n")
    found = read_kernel_log(tmp_path)
    assert not isinstance(found, Unavailable)
    assert [(event.number, event.at_s, event.pci_address) for event in found] == [(79, 1843.308145, "0000:b3:00.0")]


def test_what_the_ring_has_overwritten_is_journalds(tmp_path: Path) -> None:
    journal = tmp_path / "usr/bin/journalctl"
    journal.parent.mkdir(parents=True)
    lines = "".join(
        f"[{at:5}.000001] node kernel: NVRM: Xid (PCI:0000:1b:00): {number}, text\\n"
        for at, number in ((7, 48), (90, 13))
    )
    journal.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    journal.chmod(0o755)
    (tmp_path / "dev").mkdir()
    ring = "4,{},50000000,-;first that is left\n4,{},90000001,-;NVRM: Xid (PCI:0000:1b:00): 13, text\n"
    found = {}
    for sequence in (0, 4000):
        (tmp_path / "dev/kmsg").write_text(ring.format(sequence, sequence + 1))
        events = read_kernel_log(tmp_path)
        assert not isinstance(events, Unavailable)
        found[sequence] = [event.number for event in events]
    assert found == {0: [13], 4000: [48, 13]}


RING = {
    "before": "4,10,5000000,-;NVRM: Xid (PCI:0000:1b:00): 48, text\n4,11,6000000,-;a line\n",
    "goes on": "4,12,7000000,-;another line\n4,13,90000000,-;NVRM: Xid (PCI:0000:1b:00): 13, text\n",
    "with a gap": "4,40,80000000,-;another line\n4,41,90000000,-;NVRM: Xid (PCI:0000:1b:00): 13, text\n",
}


def test_what_was_read_stays_known_when_the_ring_overwrites_it(tmp_path: Path) -> None:
    assert read_twice(tmp_path, "goes on") == [48, 13]


def test_records_that_were_overwritten_unread_are_no_clean_log(tmp_path: Path) -> None:
    lost = read_twice(tmp_path, "with a gap")
    assert lost == "the kernel overwrote 28 records of its log before they were read, and journald keeps no copy"

    journal = tmp_path / "usr/bin/journalctl"
    journal.parent.mkdir(parents=True)
    journal.write_text("#!/bin/sh\nexit 1\n")
    journal.chmod(0o755)
    assert read_twice(tmp_path, "with a gap") == [48, 13]
    journal.write_text("#!/bin/sh\necho 'no journal files were found' >&2\nexit 1\n")
    assert read_twice(tmp_path, "with a gap") == lost


def read_twice(root: Path, then: str) -> list[int] | str:
    (root / "dev").mkdir(exist_ok=True)
    log = KernelLog(root)
    for ring in ("before", then):
        (root / "dev/kmsg").write_text(RING[ring])
        events = log.read()
    return events.reason if isinstance(events, Unavailable) else [event.number for event in events]


def test_a_log_that_is_not_there_or_empty_is_not_measured(tmp_path: Path) -> None:
    missing = read_kernel_log(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kmsg").write_text("")
    empty = read_kernel_log(tmp_path)
    assert isinstance(missing, Unavailable)
    assert "can't be read" in missing.reason
    assert isinstance(empty, Unavailable)
    assert "empty" in empty.reason


def test_without_permission_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", refuse)
    refused = read_kernel_log(tmp_path)
    assert isinstance(refused, Unavailable)
    assert "run as root" in refused.reason
