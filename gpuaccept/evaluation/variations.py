"""Scenarios that differ from a model in what nobody has measured: judged numbers halved and doubled, other tails."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from gpuaccept.device.open import DeviceSpec, check_spec, model
from gpuaccept.errors import GpuacceptError
from gpuaccept.reading.yaml import ListNode, MappingNode, Node, ScalarNode, parse

JUDGED = "[J]"
"""How a model file marks, on its line, a number that is judgement: neither published nor measured."""
IDENTITY = "gpu"
"""The part of a model that says which GPU is which: bus ids, module ids, versions."""
COPIES = ("hbm", "host", "nvlink_ce", "nvlink_sm", "iterations")
"""Noise with repeats and visits that is drawn by copies and matrix products."""
SHARED = 0.8
"""Correlation of GPUs of one node in that variation, and of neighbouring repeats in the other."""


class Variation(NamedTuple):
    """A file that holds one changed model, and what was changed: the parameter that a difference hangs on."""

    label: str
    device: str


class Refused(NamedTuple):
    """A variation that the simulator can't have."""

    label: str
    why: str


def judged(path: Path) -> dict[str, float | int]:
    """Every number of a model file whose line is marked as judgement, by its dotted path, an item of a list by its
    place in it. What tells one GPU from another (`IDENTITY`) is no quantity, and left out."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    out: dict[str, float | int] = {}

    def walk(node: Node, at: str) -> None:
        if isinstance(node, ScalarNode):
            number = node.value
            judgement = JUDGED in lines[node.place.line - 1]
            if judgement and isinstance(number, int | float) and not isinstance(number, bool) and number:
                out[at] = number
            return
        for name, value in _children(node):
            if name != IDENTITY or at:
                walk(value, f"{at}.{name}" if at else name)

    walk(parse(text, str(path)), "")
    return out


def _children(node: MappingNode | ListNode) -> list[tuple[str, Node]]:
    if isinstance(node, ListNode):
        return [(str(place), item) for place, item in enumerate(node.items)]
    return [(name, value) for name, (_, value) in node.items.items()]


def _changed(tree: Node, parameter: str, number: float) -> dict[str, Any]:
    """What a model that extends this one must say for one number to be another: a list is written whole."""
    node, above = tree, ""
    *path, last = parameter.split(".")
    for name in path:
        if isinstance(node, ListNode):
            break
        assert isinstance(node, MappingNode)
        node, above = node.items[name][1], f"{above}.{name}" if above else name
    if not isinstance(node, ListNode):
        return {parameter: number}
    whole = _plain(node)
    place = whole
    for name in parameter.removeprefix(f"{above}.").split(".")[:-1]:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[int(last) if isinstance(place, list) else last] = number
    return {above: whole}


def _plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    return {name: _plain(value) for name, value in _children(node)}


def write_variations(name: str, path: Path, folder: Path) -> tuple[list[Variation], list[Refused]]:
    """Write every variation of the model `name` (its file: `path`) into a folder."""
    made: list[Variation] = []
    refused: list[Refused] = []

    def add(label: str, text: str) -> None:
        device = _written(folder, label, text)
        try:
            check_spec(DeviceSpec(device=device))
        except GpuacceptError as error:
            refused.append(Refused(label, str(error).split(": ", 1)[-1][:120]))
        else:
            made.append(Variation(label, device))

    tree = parse(path.read_text(encoding="utf-8"), str(path))
    for parameter, number in judged(path).items():
        for word, factor in (("halved", 0.5), ("doubled", 2.0)):
            changed = number * factor
            changed = int(changed) if isinstance(number, int) and changed == int(changed) else changed
            add(f"{parameter} {word} ({number:g} → {changed:g})", overlay(name, _changed(tree, parameter, changed)))
    noise = model(DeviceSpec(device=f"mock:{name}")).noise
    for tails, words in (("t3", "Student t with 3 degrees of freedom"), ("normal", "normal")):
        add(f"noise.*.tails {words}", overlay(name, {f"noise.{what}.tails": tails for what in COPIES}))
    add(
        f"noise.*.correlation {SHARED} between neighbouring repeats",
        overlay(name, {f"noise.{what}.correlation": SHARED for what in COPIES}),
    )
    add(f"noise.*.gpu correlated by {SHARED} within a node", overlay(name, _correlated(noise)))
    two_lots = {"target": "gpu/[0-3]", "parameter": "hbm.bandwidth", "factor": 0.995}
    add("hbm.bandwidth: four GPUs of another lot, 0.5 % slower", f"hardware: {name}\nset: {json.dumps([two_lots])}\n")
    return made, refused


def write_scaled(name: str, sigma: float, folder: Path) -> str:
    """A device whose scatter of memory bandwidth (repeat, visit and GPU) is `sigma` times the model's."""
    hbm = model(DeviceSpec(device=f"mock:{name}")).noise.hbm
    changes = {f"noise.hbm.{level}": getattr(hbm, level) * sigma for level in ("repeat", "visit", "gpu")}
    return _written(folder, f"hbm sigma {sigma:g}", overlay(name, changes))


def write_twin(name: str, folder: Path) -> str:
    """A device with the same GPUs as the model, whose copies do not scatter and timers are right: the true rates."""
    noise = model(DeviceSpec(device=f"mock:{name}")).noise
    changes: dict[str, Any] = {"noise.slow_repeat_share": 0.0, "noise.timer": 0.0}
    for what in COPIES:
        spread = getattr(noise, what)
        # The scatter from GPU to GPU is declared with that of one visit in it.
        apart = math.sqrt(max(0.0, spread.gpu**2 - spread.visit**2))
        changes |= {f"noise.{what}.repeat": 0.0, f"noise.{what}.visit": 0.0, f"noise.{what}.gpu": apart}
    return _written(folder, "twin", overlay(name, changes))


def write_shapes(name: str, shapes: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Devices whose copies scatter by repeat and visit in another shape: other tails, or repeats that hang together."""
    out = {}
    for shape in shapes:
        key, value = ("correlation", SHARED) if shape == "correlated" else ("tails", shape)
        changes: dict[str, Any] = {f"noise.{what}.{key}": value for what in COPIES}
        out[shape] = _written(folder, f"shape {shape}", overlay(name, changes))
    return out


def overlay(name: str, changes: dict[str, Any]) -> str:
    """A model that extends another by these dotted paths, as YAML."""
    tree: dict[str, Any] = {}
    for path, value in changes.items():
        *above, last = path.split(".")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return f"kind: model\nextends: {name}\n" + "".join(f"{key}: {json.dumps(tree[key])}\n" for key in tree)


def _correlated(noise: Any) -> dict[str, float]:
    """The part of the GPUs' variance that they share moves to the node; the sum stays."""
    out = {}
    for what in COPIES:
        spread = getattr(noise, what)
        out[f"noise.{what}.gpu"] = spread.gpu * math.sqrt(1 - SHARED)
        out[f"noise.{what}.node"] = math.sqrt(spread.node**2 + SHARED * spread.gpu**2)
    return out


def _written(folder: Path, label: str, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in ".-" else "_" for c in label.split(" (")[0])
    path = folder / f"{name}.yaml"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return f"mock:{path}"
