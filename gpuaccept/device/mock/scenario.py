"""From a device name to a simulated node: which files it means, and whether they and the faults can be used."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from gpuaccept.bundled import bundled
from gpuaccept.device.mock.faults import expand
from gpuaccept.device.mock.model import Deviation, HardwareModel, Scenario
from gpuaccept.device.mock.world import problems
from gpuaccept.errors import Problem, ProfileError, UsageError
from gpuaccept.reading import read_text
from gpuaccept.reading.convert import Places, convert
from gpuaccept.reading.yaml import parse

_MODEL = re.compile(rb"^kind:\s*model\b", re.MULTILINE)
LIMIT_BYTES = 1 << 20
"""Largest file of this kind that is read."""


class Simulation(NamedTuple):
    """A hardware model with everything that deviates from it."""

    name: str
    model: HardwareModel
    deviations: tuple[Deviation, ...]
    faults: tuple[str, ...]
    seed: int
    digest: str
    """sha256 over the files that it came from, scenario first."""


def names() -> tuple[str, ...]:
    """Scenarios that come with gpuaccept."""
    return tuple(sorted(path.stem for path in (bundled("profiles") / "scenarios").glob("*.yaml")))


def load(name: str, faults: tuple[str, ...] = (), seed: int = 0) -> Simulation:
    """The simulation of `mock:NAME|PATH` with faults. A seed of 0 means the scenario's own.

    Raises UsageError for an unknown name or fault, ProfileError with every problem of a file.
    """
    return _load(name, *_stamp(find(name)), faults, seed)


def find(name: str) -> Path:
    """The file that a name or path means. Raises UsageError."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "does not exist"
            raise UsageError(f"scenario {name} {what}", f"name a file, or one of: {', '.join(names())}")
        return path
    if name not in names():
        from difflib import get_close_matches

        near = get_close_matches(name, names(), 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"known scenarios: {', '.join(names())}"
        raise UsageError(f"unknown scenario {name!r}: {hint}", "give `mock:` one of these names, or the path of a file")
    return bundled("profiles") / "scenarios" / f"{name}.yaml"


def _stamp(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=64)
def _load(name: str, path: Path, time_ns: int, size: int, faults: tuple[str, ...], seed: int) -> Simulation:
    model, scenario, places, digest = _read(path, time_ns, size)
    all_faults = scenario.faults + faults
    found = problems(scenario.set, model, str(path)) if scenario.set else []
    if found:
        raise ProfileError(tuple(places[one.path].problem(one.path, one.text) for one in found))
    deviations = scenario.set + expand(all_faults, model).deviations
    return Simulation(name, model, deviations, all_faults, seed or scenario.seed, digest)


@lru_cache(maxsize=16)
def _read(path: Path, time_ns: int, size: int) -> tuple[HardwareModel, Scenario, Places, str]:
    """A model alone, or a scenario and its model; and where each part of the scenario was written."""
    data = _bytes(path)
    if _MODEL.search(data):
        return _model(path, data), Scenario(hardware=path.stem), {}, hashlib.sha256(data).hexdigest()
    scenario, places = convert(parse(_text(data, path), str(path)), Scenario)
    try:
        under = find(scenario.hardware)
    except UsageError as error:
        raise ProfileError((places["hardware"].problem("hardware", error.fact),)) from None
    below = _bytes(under)
    if not _MODEL.search(below):
        raise ProfileError((places["hardware"].problem("hardware", f"{scenario.hardware} is not a hardware model"),))
    return _model(under, below), scenario, places, hashlib.sha256(data + b"\0" + below).hexdigest()


def _model(path: Path, data: bytes) -> HardwareModel:
    model = read_text(_text(data, path), str(path), HardwareModel)
    if len(model.gpu.module_ids) != model.gpus or not model.gpus:
        text = f"{model.gpus} PCI bus ids and {len(model.gpu.module_ids)} module ids: give each GPU one of each"
        raise ProfileError((Problem(str(path), 0, 0, "gpu", text),))
    return model


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LIMIT_BYTES + 1)
    if len(data) > LIMIT_BYTES:
        raise ProfileError((Problem(str(path), 0, 0, "", f"larger than {LIMIT_BYTES} bytes"),))
    return data


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError((Problem(str(path), 0, 0, "", f"not text in UTF-8 (byte {error.start})"),)) from None
