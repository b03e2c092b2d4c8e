"""The wheel holds what a node needs: the kernels' code with its digests, checks, profiles, templates; and no tests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from gpuaccept.device.nvidia.cubins import DIGESTS, Digests

ROOT = Path(__file__).resolve().parent.parent
COMPILED = "gpuaccept/checks/kernels/compiled"

pytestmark = pytest.mark.needs("hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built offline, from the files as they are."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def test_every_cubin_is_in_the_wheel_with_the_bytes_that_its_digest_names(wheel: zipfile.ZipFile) -> None:
    digests = msgspec.json.decode(wheel.read(f"{COMPILED}/{DIGESTS}"), type=Digests)
    inside = {Path(name).name for name in wheel.namelist() if name.endswith(".cubin")}
    assert len(digests.cubins) == 18
    assert inside == {one.path for one in digests.cubins}
    for one in digests.cubins:
        assert hashlib.sha256(wheel.read(f"{COMPILED}/{one.path}")).hexdigest() == one.sha256


@pytest.mark.parametrize("folder", ["checks", "profiles", "templates"])
def test_what_comes_with_gpuaccept_is_in_the_wheel(wheel: zipfile.ZipFile, folder: str) -> None:
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    files = listed.stdout.split()
    assert files
    assert {f"gpuaccept/{file}" for file in files} <= set(wheel.namelist())


def test_nothing_of_the_tests_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gpuaccept"}
    assert not [name for name in wheel.namelist() if "stub_driver" in name or "__pycache__" in name]
