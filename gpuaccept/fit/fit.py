"""Parameters of a hardware model from captures: read, estimated by level, or found by simulating until medians agree.

Medians are not set by hand to what was measured, since heat, clocks and paths lie between a parameter and a figure.
The capture's own plan is run on the model without noise, and each parameter corrected by what is still missing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gpuaccept.acceptance import Request, judge_node
from gpuaccept.data import Evidence, GpuFacts
from gpuaccept.device.open import DeviceSpec, model, scenarios
from gpuaccept.errors import UsageError
from gpuaccept.fit.capture import Capture, middle, tree
from gpuaccept.fit.fitted import Agreement, Fitted
from gpuaccept.fit.levels import Level, Levels, levels
from gpuaccept.fit.write import model_yaml
from gpuaccept.profile.load import LoadedProfile
from gpuaccept.record.envelope import printable

if TYPE_CHECKING:
    from gpuaccept.device.mock.model import HardwareModel

ROUNDS = 4
"""Corrections; each leaves some percent of what was missing, and medians agree to 1e-4 after two."""
DIGITS = 6
_BANDWIDTH, _NVLINK, _SOAK = "memory_bandwidth", "nvlink.device_to_device", "thermal_soak"
RATES = {
    f"{_BANDWIDTH}.read_sm": "memory.read",
    f"{_BANDWIDTH}.write_sm": "memory.write",
    f"{_BANDWIDTH}.copy_sm": "memory.copy",
    f"{_BANDWIDTH}.triad_sm": "memory.triad",
    f"{_BANDWIDTH}.device_local_copy": "memory.local_copy_ce",
    f"{_BANDWIDTH}.host_to_device_memcpy_ce": "host.host_to_device",
    f"{_BANDWIDTH}.device_to_host_memcpy_ce": "host.device_to_host",
    f"{_BANDWIDTH}.host_to_device_bidirectional_memcpy_ce": "host.host_to_device_bidirectional",
    f"{_BANDWIDTH}.device_to_host_bidirectional_memcpy_ce": "host.device_to_host_bidirectional",
    f"{_NVLINK}_memcpy_read_ce": "nvlink.read_ce",
    f"{_NVLINK}_memcpy_write_ce": "nvlink.write_ce",
    f"{_NVLINK}_bidirectional_memcpy_read_ce": "nvlink.bidirectional_read_ce",
    f"{_NVLINK}_bidirectional_memcpy_write_ce": "nvlink.bidirectional_write_ce",
    f"{_NVLINK}_memcpy_read_sm": "nvlink.read_sm",
    f"{_NVLINK}_memcpy_write_sm": "nvlink.write_sm",
}
"""Metric without its state -> the parameter that it hangs on."""
NOISE = {
    "hbm": ("memory.read", "memory.write", "memory.copy", "memory.triad", "memory.local_copy_ce"),
    "host": (
        "host.host_to_device",
        "host.device_to_host",
        "host.host_to_device_bidirectional",
        "host.device_to_host_bidirectional",
    ),
    "nvlink_ce": (
        "nvlink.read_ce",
        "nvlink.write_ce",
        "nvlink.bidirectional_read_ce",
        "nvlink.bidirectional_write_ce",
    ),
    "nvlink_sm": ("nvlink.read_sm", "nvlink.write_sm"),
}
"""Group of the model's noise -> the parameters whose figures scatter by it."""
READINGS = {
    "inventory.power_limit_enforced": "power.limit_w",
    "inventory.sm_clock_max": "clock.sm_max_mhz",
    "inventory.memory_clock_max": "clock.memory_mhz",
}
LOADED = {f"{_SOAK}.power_mean": "power.capped_share", f"{_SOAK}.sm_clock_mean": "clock.load_mhz"}
TEMPERATURE = f"{_SOAK}.temperature_max"


def fit(captures: Sequence[Capture], base: str | None = None) -> Fitted:
    """A model whose healthy values agree with the captures; `base` names the model that gives all other values.

    Raises UsageError where there is no such model, or the captures hold nothing that can be fitted.
    """
    first = captures[0].evidence
    name, under = _base(first, base)
    values: dict[str, Any] = msgspec.to_builtins(under)
    reasons: dict[str, str] = {}
    not_fitted: list[str] = []
    _identity(values, first, reasons)
    _read(values, captures, reasons, not_fitted)
    targets = _targets(captures)
    if not targets:
        raise UsageError(
            "the records hold no figure that a model can be fitted to",
            "fit records of a plan that measures copies, such as node or acceptance",
        )
    not_fitted += [f"{path}: no metric of it was measured" for path in _paths() if path not in targets.values()]
    found = _levels(captures, targets)
    _noise(values, found, reasons, not_fitted)
    agreement = _agree(values, captures, targets, reasons)
    not_fitted.append(
        "noise of the soak, time constants, slot effects, slow repeats: the plan does not tell them apart"
    )
    made = _typed(values, under)
    simulated = any(one.evidence.simulated is not None for one in captures)
    return Fitted(made, name, reasons, agreement, tuple(not_fitted), len(captures), simulated)


def _base(evidence: Evidence, wanted: str | None) -> tuple[str, HardwareModel]:
    device, gpus = evidence.node.gpus[0].pci_device_id, len(evidence.node.gpus)
    for name in (wanted,) if wanted else scenarios():
        found = model(DeviceSpec(device=f"mock:{name}"))
        if wanted or (found.gpu.pci_device_id, found.gpus) == (device, gpus):
            if found.gpus != gpus:
                said = f"the base {name} has {found.gpus} GPUs, the captured nodes have {gpus}"
                raise UsageError(said, "name another --base, or fit complete nodes")
            return name, found
    raise UsageError(
        f"no model that comes with gpuaccept has {gpus} GPUs of PCI device id {printable(device, 12)}",
        f"name the nearest with --base: {', '.join(scenarios())}",
    )


def _identity(values: dict[str, Any], evidence: Evidence, reasons: dict[str, str]) -> None:
    """What the node says of itself, where it says it: so that a simulated node reads like the captured ones."""
    node, gpu = evidence.node, evidence.node.gpus[0]
    said: dict[str, object] = {
        "node.driver_version": node.driver_version,
        "node.fabric_manager_version": node.fabric_manager_version,
        "node.nvml_version": node.nvml_version,
        "node.cuda_driver_version": node.cuda_driver_version,
        "node.kernel": node.kernel,
        "node.operating_system": node.operating_system,
        "gpu.name": gpu.name,
        "gpu.pci_device_id": gpu.pci_device_id,
        "gpu.pci_subsystem_id": gpu.pci_subsystem_id,
        "gpu.board_part_number": gpu.board_part_number,
        "gpu.vbios": gpu.vbios,
        "gpu.inforom_image": gpu.inforom_image,
        "gpu.compute_capability": gpu.compute_capability,
        "gpu.memory_total_mib": gpu.memory_total_bytes >> 20,
        "gpu.sm_count": gpu.sm_count,
        "gpu.module_ids": _all(node.gpus, lambda one: one.module_id),
        "gpu.pci_bus_ids": _all(node.gpus, _bus),
    }
    for path, value in said.items():
        if isinstance(value, str):
            value = printable(value, 80) if value else None
        if value is not None and value != _get(values, path):
            _set(values, path, value)
            reasons[path] = "read from the captures"


def _all(gpus: Sequence[GpuFacts], ask: Callable[[GpuFacts], Any]) -> list[Any] | None:
    found = [ask(gpu) for gpu in gpus]
    return found if None not in found and len(set(found)) == len(found) else None


def _bus(gpu: GpuFacts) -> str | None:
    match = re.fullmatch(r"0*:?([0-9A-Fa-f]{2}):00\.0", gpu.pci_bus_id)
    return match[1].upper() if match else None


def _read(values: dict[str, Any], captures: Sequence[Capture], reasons: dict[str, str], not_fitted: list[str]) -> None:
    for metric, path in READINGS.items():
        found = middle(tree(captures, metric))
        if found is None or found <= 0:
            not_fitted.append(f"{path}: the captures do not hold {metric}")
        elif found != _get(values, path):
            _set(values, path, found)
            reasons[path] = f"read from the captures ({metric})"


def _paths() -> tuple[str, ...]:
    return (*RATES.values(), *LOADED.values())


def _targets(captures: Sequence[Capture]) -> dict[str, str]:
    """Metric -> parameter, for what was measured: hot where it was, else cold."""
    measured = {column.metric for one in captures for column in one.evidence.columns}
    out = {}
    for bare, path in RATES.items():
        name = next((f"{bare}_{state}" for state in ("hot", "cold") if f"{bare}_{state}" in measured), None)
        if name is not None and middle(tree(captures, name)):
            out[name] = path
    return out | {metric: path for metric, path in LOADED.items() if middle(tree(captures, metric))}


def _levels(captures: Sequence[Capture], targets: Mapping[str, str]) -> dict[str, Levels]:
    by_path = {path: metric for metric, path in targets.items()}
    return {
        group: levels([tree(captures, by_path[path]) for path in paths if path in by_path])
        for group, paths in NOISE.items()
        if any(path in by_path for path in paths)
    }


def _noise(values: dict[str, Any], found: Mapping[str, Levels], reasons: dict[str, str], not_fitted: list[str]) -> None:
    for group in NOISE:
        if group not in found:
            not_fitted.append(f"noise.{group}: none of its metrics was measured")
            continue
        for name in ("repeat", "visit", "gpu", "node"):
            level: Level | None = getattr(found[group], name)
            if level is None:
                few = "three nodes or more are needed" if name == "node" else "not enough values at this level"
                not_fitted.append(f"noise.{group}.{name}: {few}")
                continue
            _set(values, f"noise.{group}.{name}", _rounded(level.sigma_percent, 4))
            reasons[f"noise.{group}.{name}"] = f"fitted, from {level.values} {'nodes' if name == 'node' else 'values'}"
        rho = found[group].correlation
        if rho is not None:
            _set(values, f"noise.{group}.correlation", _rounded(rho, 3))
            reasons[f"noise.{group}.correlation"] = "fitted, neighbouring repeats of one visit"
        else:
            not_fitted.append(f"noise.{group}.correlation: three repeats a visit or more are needed")


def _agree(
    values: dict[str, Any], captures: Sequence[Capture], targets: Mapping[str, str], reasons: dict[str, str]
) -> tuple[Agreement, ...]:
    """Simulate without noise, correct, and again."""
    wanted = {metric: middle(tree(captures, metric)) or 0.0 for metric in targets}
    heat = middle(tree(captures, TEMPERATURE))
    for _ in range(ROUNDS):
        seen = _simulated(values, captures[0].evidence)
        for metric, path in targets.items():
            if now := middle(tree([seen], metric)):
                _set(values, path, _rounded(_get(values, path) * wanted[metric] / now, DIGITS))
                reasons[path] = f"fitted to {metric}"
        now, inlet = middle(tree([seen], TEMPERATURE)), values["thermal"]["inlet_c"]
        if heat is not None and now is not None and min(heat, now) > inlet:
            for stage in values["thermal"]["stages"]:
                stage["resistance_k_per_kw"] = _rounded(
                    stage["resistance_k_per_kw"] * (heat - inlet) / (now - inlet), 5
                )
            reasons["thermal.stages"] = f"resistances fitted to {TEMPERATURE} at the base's inlet of {inlet:g} °C"
    seen = _simulated(values, captures[0].evidence)
    compared = {**wanted, **({TEMPERATURE: heat} if heat is not None else {})}
    return tuple(
        Agreement(metric, value, now)
        for metric, value in compared.items()
        if (now := middle(tree([seen], metric))) is not None
    )


def _simulated(values: dict[str, Any], like: Evidence) -> Capture:
    """The captures' plan on the model with every noise at zero."""
    quiet = msgspec.json.decode(msgspec.json.encode(values))
    quiet["noise"] = {
        key: {name: one if isinstance(one, str) else 0.0 for name, one in spread.items()}
        if isinstance(spread, dict)
        else 0.0
        for key, spread in quiet["noise"].items()
    }
    if isinstance(quiet["thermal"].get("inlet_wander_k"), float | int):
        quiet["thermal"]["inlet_wander_k"] = 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quiet.yaml"
        file.write_text(model_yaml(quiet, {}), encoding="utf-8")
        profile = LoadedProfile(like.profile, like.profile_layers, {})
        spec = DeviceSpec(device=f"mock:{file}", seed=1)
        evidence, _ = judge_node(Request(profile=profile, spec=spec, plan=like.plan.name, in_process=True))
    return Capture("simulated", evidence)


def _typed(values: dict[str, Any], like: HardwareModel) -> HardwareModel:
    return msgspec.convert(values, type=type(like))


def _get(values: Mapping[str, Any], path: str) -> Any:
    for part in path.split("."):
        values = values[part]
    return values


def _set(values: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for part in parents:
        values = values[part]
    values[last] = value


def _rounded(value: float, digits: int) -> float:
    return round(value, digits - 1 - floor(log10(abs(value)))) if value else 0.0
