"""Which code a GPU gets: the shipped CUBIN of its major revision, never a damaged or outdated one, else NVRTC's."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from stub_driver.machine import StubMachine

from gpuaccept.bundled import bundled
from gpuaccept.device.nvidia import cubins
from gpuaccept.device.nvidia.cubins import Shipped, code_for, is_shipped, read_digests, serving
from gpuaccept.device.nvidia.kernels import files_of, kernel_facts
from gpuaccept.errors import DeviceError

SOURCES = bundled("checks") / "kernels"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of checks/kernels, which is used in its place."""
    copy = tmp_path / "kernels"
    shutil.copytree(SOURCES, copy)
    monkeypatch.setattr(cubins, "_folder", lambda: copy)
    code_for.cache_clear()
    yield copy
    code_for.cache_clear()


@pytest.fixture
def without_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(cubins, "compiled", absent)


@pytest.mark.parametrize(
    ("gpu", "cubin"),
    [
        ("sm_80", "sm_80"),
        ("sm_86", "sm_80"),
        ("sm_89", "sm_80"),
        ("sm_90", "sm_90"),
        ("sm_100", "sm_100"),
        ("sm_103", "sm_103"),
        ("sm_107", "sm_103"),
        ("sm_120", "sm_120"),
        ("sm_121", "sm_120"),
        ("sm_75", None),
        ("sm_110", None),
    ],
)
def test_a_gpu_is_served_by_its_own_major_revision_and_no_newer_minor_one(gpu: str, cubin: str | None) -> None:
    found = serving(read_digests().cubins, "stream.cu", gpu)
    assert (found.architecture if found else None) == cubin


def test_a_newer_minor_revision_alone_serves_nobody_older() -> None:
    assert serving((Shipped("a.cu", "sm_103", "", ""),), "a.cu", "sm_100") is None


@pytest.mark.parametrize(
    ("gpu", "cubin"),
    [
        ("sm_90", "sm_90a"),
        ("sm_100", "sm_100a"),
        ("sm_103", "sm_103a"),
        ("sm_89", None),
        ("sm_101", None),
        ("sm_120", None),
    ],
)
def test_code_of_one_revision_serves_that_revision_alone(gpu: str, cubin: str | None) -> None:
    found = serving(read_digests().cubins, "soak_wide.cu", gpu)
    assert (found.architecture if found else None) == cubin


def test_code_of_one_revision_is_compiled_for_it(folder: Path) -> None:
    with (folder / "soak_wide.cu").open("a") as source:
        source.write("__device__ int one_more;\n")
    code = code_for("soak_wide.cu", "sm_90")
    assert (code.facts.made, code.facts.architecture) == ("nvrtc", "sm_90a")


@pytest.mark.parametrize("file", files_of("sm_89"))
def test_the_code_is_the_shipped_file_and_its_digest(folder: Path, without_nvrtc: None, file: str) -> None:
    code = code_for(file, "sm_89")
    assert code.cubin == (folder / "compiled" / file.replace(".cu", ".sm_80.cubin")).read_bytes()
    assert code.facts.sha256 == hashlib.sha256(code.cubin).hexdigest()
    assert (code.facts.file, code.facts.architecture, code.facts.made) == (file, "sm_80", "shipped")


@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_a_damaged_cubin_is_never_loaded(folder: Path, damage: str) -> None:
    path = folder / "compiled" / "soak.sm_90.cubin"
    good = path.read_bytes()
    path.write_bytes(good[:-9] if damage == "cut" else good[:500] + bytes([good[500] ^ 1]) + good[501:])
    if damage == "gone":
        path.unlink()

    with pytest.raises(DeviceError, match=r"soak\.sm_90\.cubin is not what was shipped: install gpuaccept again"):
        code_for("soak.cu", "sm_90")
    assert code_for("stream.cu", "sm_90").facts.made == "shipped"


@pytest.mark.parametrize("changed", ["stream.cu", "common.cuh"])
def test_a_source_that_changed_since_is_compiled_anew(folder: Path, changed: str) -> None:
    with (folder / changed).open("a") as source:
        source.write("__device__ int one_more;\n")

    code = code_for("stream.cu", "sm_90")

    assert not is_shipped("stream.cu", "sm_90")
    assert (code.facts.made, code.facts.architecture) == ("nvrtc", "sm_90")
    assert code.cubin != (folder / "compiled" / "stream.sm_90.cubin").read_bytes()
    assert is_shipped("soak.cu", "sm_90") == (changed == "stream.cu")


def test_another_architecture_is_compiled(folder: Path) -> None:
    code = code_for("soak.cu", "sm_110")
    assert (code.facts.made, code.facts.architecture) == ("nvrtc", "sm_110")
    assert code.facts.sha256 == hashlib.sha256(code.cubin).hexdigest()


def test_what_is_neither_shipped_nor_compiled_is_one_sentence(folder: Path, without_nvrtc: None) -> None:
    said = "{}, and NVRTC is not installed: pip install 'gpuaccept[nvrtc]'"
    with pytest.raises(DeviceError, match=re.escape(said.format("the kernels that are shipped do not serve sm_110"))):
        code_for("stream.cu", "sm_110")
    (folder / "stream.cu").write_text("// another\n")
    with pytest.raises(
        DeviceError, match=re.escape(said.format("the kernels that are shipped are not this version's"))
    ):
        code_for("stream.cu", "sm_90")


@pytest.mark.parametrize("text", ["", "{", '{"nvrtc": 1}', '{"nvrtc": "13", "cubins": [], "more": 1}'])
def test_digests_that_cannot_be_read_ship_nothing(folder: Path, text: str) -> None:
    (folder / "compiled" / "digests.json").write_text(text)
    assert read_digests().cubins == ()
    assert code_for("soak.cu", "sm_90").facts.made == "nvrtc"


def test_a_nodes_facts_name_each_file_once_for_each_kind_of_gpu(folder: Path, without_nvrtc: None) -> None:
    announced: list[str] = []
    facts = kernel_facts(["10.0", "10.0", None, "11.0"], lambda _, call: announced.append(call))

    assert [(one.file, one.architecture, one.made) for one in facts] == [
        (file, "sm_100", "shipped") for file in files_of("sm_100")
    ]
    assert announced == ["nvrtcCompileProgram"] * 3  # for 11.0: it may take a while


@pytest.mark.needs("gcc")
def test_the_node_loads_shipped_code_and_its_facts_say_so(machine: StubMachine) -> None:
    kernels, _, announced = machine.ask(
        "node.facts().kernels", "node.memory_sweep(0, 'copy', MIB, 1, 1)", "list(calls)"
    )

    known = {(one.file, one.architecture): one.sha256 for one in read_digests().cubins}
    assert [(one["file"], one["made"]) for one in kernels] == [(file, "shipped") for file in files_of("sm_100")]
    assert all(known[one["file"], "sm_100"] == one["sha256"] for one in kernels)
    assert "nvrtcCompileProgram" not in {call for _, call in announced}


@pytest.mark.needs("gcc")
def test_a_driver_that_does_not_take_the_code_is_one_sentence(machine: StubMachine) -> None:
    machine.set("fault.cuModuleLoadData=209")
    (answer,) = machine.ask("node.memory_sweep(0, 'copy', MIB, 1, 1)")
    call, code, text, gpu = answer["error"]
    assert (call, code, gpu) == ("cuModuleLoadData", 209, 0)
    assert text.endswith("the driver does not load stream.cu for sm_100; driver 580 or newer does")
