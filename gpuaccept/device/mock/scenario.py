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
from gpuaccept.reading.convert import Places, convert
from gpuaccept.reading.yaml import MappingNode, Node, ScalarNode, parse

_MODEL = re.compile(rb"^kind:\s*model\b", re.MULTILINE)
LIMIT_BYTES = 1 << 20
"""Largest file of this kind that is read."""
LIMIT_LAYERS = 8
"""Models that extend one another."""


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
        model, files = _model(path, data)
        return model, Scenario(hardware=path.stem), {}, hashlib.sha256(b"\0".join(files)).hexdigest()
    scenario, places = convert(parse(_text(data, path), str(path)), Scenario)
    try:
        under = find(scenario.hardware)
    except UsageError as error:
        raise ProfileError((places["hardware"].problem("hardware", error.fact),)) from None
    below = _bytes(under)
    if not _MODEL.search(below):
        raise ProfileError((places["hardware"].problem("hardware", f"{scenario.hardware} is not a hardware model"),))
    model, files = _model(under, below)
    return model, scenario, places, hashlib.sha256(b"\0".join((data, *files))).hexdigest()


def _model(path: Path, data: bytes) -> tuple[HardwareModel, tuple[bytes, ...]]:
    """A hardware model, and the bytes of each file that it was made of, its own first."""
    tree, files = _layers(path, data, ())
    model = convert(tree, HardwareModel)[0]
    if len(model.gpu.module_ids) != model.gpus or not model.gpus:
        text = f"{model.gpus} PCI bus ids and {len(model.gpu.module_ids)} module ids: give each GPU one of each"
        raise ProfileError((Problem(str(path), 0, 0, "gpu", text),))
    return model, files


def _layers(path: Path, data: bytes, above: tuple[Path, ...]) -> tuple[Node, tuple[bytes, ...]]:
    """The tree of a model on that of the model that it extends: mappings key by key, everything else whole."""
    tree = parse(_text(data, path), str(path))
    written = tree.get("extends") if isinstance(tree, MappingNode) else None
    if not isinstance(tree, MappingNode) or written is None:
        return tree, (data,)
    chain = (*above, path.resolve())
    if not isinstance(written, ScalarNode) or not isinstance(written.value, str):
        raise ProfileError((written.place.problem("extends", "must be the name or path of a hardware model"),))
    try:
        under = find(written.value)
    except UsageError as error:
        raise ProfileError((written.place.problem("extends", error.fact),)) from None
    if under.resolve() in chain or len(chain) > LIMIT_LAYERS:
        raise ProfileError((written.place.problem("extends", "the models extend each other in a loop"),))
    below, files = _layers(under, _bytes(under), chain)
    own = MappingNode(tree.place, {key: entry for key, entry in tree.items.items() if key != "extends"})
    return (_merged(below, own) if isinstance(below, MappingNode) else own), (data, *files)


def _merged(below: MappingNode, above: MappingNode) -> MappingNode:
    items = dict(below.items)
    for key, (place, node) in above.items.items():
        under = below.get(key)
        both = isinstance(under, MappingNode) and isinstance(node, MappingNode)
        items[key] = (place, _merged(under, node) if both else node)  # type: ignore[arg-type]
    return MappingNode(above.place, items)


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
