"""The drawn map of device memory: it reads the check's own letters, and marks what is slow where it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpuaccept.acceptance import Request, run_node
from gpuaccept.certificate import regions
from gpuaccept.device.open import DeviceSpec
from gpuaccept.profile.load import load_profile
from gpuaccept.run.loading import load_checks


def test_the_letters_are_those_that_the_check_writes() -> None:
    check = load_checks()["memory_bandwidth"]
    module = check.check.measure.__globals__
    assert regions.MAP.endswith(".region_map")
    assert (module["MAP_STEPS"], module["MAP_ABOVE"]) == (regions.STEPS, regions.MIDDLE)
    assert pytest.approx(100 * module["MAP_STEP"]) == regions.STEP_PERCENT


@pytest.mark.parametrize(
    ("text", "tones"),
    [
        ("IIIHIJKG", {}),
        ("IIRIII", {}),  # 0.9 % slower
        ("IISI", {1: [2]}),
        ("cIIw/I", {2: [0], 3: [3, 4]}),
    ],
)
def test_a_region_is_marked_by_how_slow_it_is(text: str, tones: dict[int, list[int]]) -> None:
    row = regions._row(3, regions._levels(text))
    found = {tone: [int(place) for place in re.findall(r"M(\d+) ", path)] for tone, path in row.tones}
    assert found == tones
    assert row.width == len(text)
    assert ("none slow" in row.words) == (not tones)


@pytest.mark.parametrize("value", ["", "not a map", 3.0, "<b>", "II II"])
def test_what_is_no_map_is_not_drawn(value: str | float) -> None:
    assert regions._levels(value) == ()
    assert regions._row(2, ()).words == "no map that this page can draw"


def test_the_page_marks_the_slow_regions_of_the_gpu_that_has_them(tmp_path: Path) -> None:
    spec = DeviceSpec(device="mock:hgx-b200", faults=("hbm_region_slow:gpu=5",))
    out = tmp_path / "out"
    run_node(Request(profile=load_profile("de-industrial-ai-cloud"), spec=spec, plan="node", in_process=True, out=out))
    page = (out / "certificate.html").read_text()
    rows = re.findall(r"<div><b>(\d)</b><svg[^>]*>(.*?)</svg><span class=\"quiet\">([^<]*)", page)
    assert [gpu for gpu, paths, _ in rows if paths] == ["5"]
    assert len(rows) == 8 and "none slow" in rows[0][2] and "slow" in rows[5][2]
    assert "region_map" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
