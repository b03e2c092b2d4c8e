"""The inlet temperature from the BMC: what is read, and what is said where there is none."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from stub_driver.host_tree import DCMI_INLET, bmc

from gpuaccept.check import Unavailable
from gpuaccept.device.nvidia import bmc as module
from gpuaccept.device.nvidia.bmc import inlet

SENSORS = """
PSU1 Inlet Temp  | 0Ah | ok  | 10.1 | 41 degrees C
Inlet Temp       | 04h | ok  |  7.1 | 19.500 degrees C
Exhaust Temp     | 01h | ok  |  7.1 | 36 degrees C
Ambient Temp     | 05h | ok  |  7.1 | 22 degrees C
CPU1 Temp        | 0Eh | ok  |  3.1 | 41 degrees C"""


@pytest.mark.parametrize(
    ("dcmi", "sensors", "value"),
    [
        (DCMI_INLET, SENSORS, 24.0),
        (DCMI_INLET.replace("(40h)", "(37h)").replace("+24", "-5"), "", -5.0),
        # three sensors of which one is not there
        (
            "".join(f"Inlet air temperature(40h)   {i}   {t} C\n" for i, t in enumerate(("+23", "-128", "+25"))),
            "",
            24.0,
        ),
        ("", SENSORS, 19.5),
        (DCMI_INLET.replace("+24", "+91"), SENSORS, 19.5),
        ("", SENSORS.replace("\nInlet Temp  ", "\nBoard Temp  "), 22.0),
        ("", SENSORS.replace("04h | ok ", "04h | ns "), 22.0),
    ],
)
def test_the_inlet_is_read(tmp_path: Path, dcmi: str, sensors: str, value: float) -> None:
    bmc(tmp_path, dcmi, sensors)
    assert inlet(tmp_path) == value


def test_each_program_is_announced_before_it_runs(tmp_path: Path) -> None:
    bmc(tmp_path, "", SENSORS)
    said: list[str] = []
    inlet(tmp_path, said.append)
    assert said == ["wait for the BMC", "ipmitool dcmi get_temp_reading", "ipmitool sdr type Temperature"]


def counting(root: Path) -> Path:
    """A BMC that takes its time, and the file in which it notes who asks."""
    asked = root / "asked"
    bmc(root).write_text(f"#!/bin/sh\necho once >> {asked}\nsleep 0.3\ncat <<'END'\n{DCMI_INLET}\nEND\n")
    return asked


def test_of_eight_workers_one_asks_and_all_are_told(tmp_path: Path) -> None:
    asked = counting(tmp_path)
    workers = []
    for _ in range(8):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = int(inlet(tmp_path) != 24.0)
            finally:  # whatever comes, this copy of the test process must not go on with the tests
                os._exit(code)
        workers.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in workers] == [0] * 8
    assert asked.read_text() == "once\n"


def test_an_answer_is_of_its_moment_and_of_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    asked = counting(tmp_path / "one")
    bmc(tmp_path / "two", DCMI_INLET.replace("+24", "+31"))
    assert [inlet(tmp_path / name) for name in ("one", "two", "one", "one")] == [24.0, 31.0, 24.0, 24.0]
    assert asked.read_text() == "once\n" * 2
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    assert inlet(tmp_path / "one") == 24.0
    assert asked.read_text() == "once\n" * 3


def test_a_worker_that_is_killed_while_it_asks_holds_nobody_up(tmp_path: Path) -> None:
    counting(tmp_path)
    pid = os.fork()
    if not pid:
        try:
            inlet(tmp_path)
        finally:
            os._exit(0)
    time.sleep(0.1)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    began = time.monotonic()
    assert inlet(tmp_path) == 24.0
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("dcmi", "sensors", "code", "said"),
    [
        ("", "", errno.ENXIO, "no sensor of the inlet"),
        ("", "PSU1 Inlet Temp | 0Ah | ok | 10.1 | 41 degrees C", errno.ENXIO, "no sensor of the inlet"),
        ("", "Inlet Temp | 04h | ns | 7.1 | No Reading", errno.ENXIO, "no sensor of the inlet"),
        (DCMI_INLET.replace("+24", "+61"), "", errno.ERANGE, "61 °C for the inlet"),
        (DCMI_INLET.replace("+24", "-11"), "", errno.ERANGE, "-11 °C for the inlet"),
    ],
)
def test_what_is_no_inlet_temperature_is_not_taken_for_one(
    tmp_path: Path, dcmi: str, sensors: str, code: int, said: str
) -> None:
    bmc(tmp_path, dcmi, sensors)
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and found.code == code
    assert said in found.reason and ": " in found.reason


def test_what_is_missing_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and "ipmitool is not installed" in found.reason and "install" in found.reason
    bmc(tmp_path)
    (tmp_path / "dev/ipmi0").unlink()
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and "no /dev/ipmi0" in found.reason and "modprobe" in found.reason
    bmc(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and found.code == errno.EACCES
    assert found.reason == "no permission for /dev/ipmi0: run as root"


@pytest.mark.parametrize("body", ["exec sleep 60", "while :; do :; done", "echo Inlet; exec sleep 60"])
def test_a_bmc_that_does_not_answer_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    bmc(tmp_path).write_text(f"#!/bin/sh\n{body}\n")
    began = time.monotonic()
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and "did not answer" in found.reason
    assert time.monotonic() - began < 10


def test_output_without_end_is_cut(tmp_path: Path) -> None:
    bmc(tmp_path).write_text("#!/bin/sh\nexec yes 'CPU1 Temp | 0Eh | ok | 3.1 | 41 degrees C'\n")
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and "no sensor" in found.reason


def test_a_program_that_can_not_run_is_no_inlet(tmp_path: Path) -> None:
    bmc(tmp_path).chmod(0o644)
    found = inlet(tmp_path)
    assert isinstance(found, Unavailable) and found.reason
