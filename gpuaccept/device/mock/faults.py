"""The catalogue of named faults: what each one changes in the model, and what must be concluded from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from gpuaccept.check import gpu_subject, link_subject, pair_subject
from gpuaccept.data import Action, Cause, Result
from gpuaccept.device.fault import Fault, FaultKey, FaultValue, FaultValues
from gpuaccept.device.mock.model import Deviation, HardwareModel
from gpuaccept.errors import UsageError

Expand = Callable[[FaultValues, HardwareModel], tuple[Deviation, ...]]

GPU = FaultKey("gpu", 2, "place of the GPU on the complete board, in PCI order")
LINK = FaultKey("link", 11, "number of the NVLink")
AT = FaultKey("at_s", 60.0, "seconds after the start of the run")
LOSS = "percent of the typical value that is lost"


class FaultSet(NamedTuple):
    """Faults as they were asked for: what they change, and each with its values."""

    deviations: tuple[Deviation, ...]
    given: tuple[tuple[Fault, dict[str, FaultValue]], ...]


@dataclass(frozen=True)
class _Entry:
    fault: Fault
    expand: Expand


def _gpu(values: FaultValues) -> str:
    return gpu_subject(int(values["gpu"]))


def _link(values: FaultValues) -> str:
    return link_subject(int(values["gpu"]), int(values["link"]))


def _node(values: FaultValues) -> str:
    return "node"


def _left(values: FaultValues, key: str = "loss_percent") -> float:
    return 1.0 - float(values[key]) / 100.0


def _from(values: FaultValues) -> str:
    return f"{float(values['at_s']):.6f}s"


def _value(target: str, parameter: str, value: float | bool | str, from_: str = "0s") -> Deviation:
    return Deviation(target=target, parameter=parameter, value=value, from_=from_)


def _typical(target: str) -> Deviation:
    """A loss is counted from a typical part: the victim's own luck neither hides it nor adds to it."""
    return Deviation(target=target, parameter="gpu.spread", value=0.0)


def _factor(target: str, parameter: str, factor: float) -> Deviation:
    return Deviation(target=target, parameter=parameter, factor=factor)


def _entry(
    name: str,
    summary: str,
    keys: tuple[FaultKey, ...],
    detects: str,
    expected: tuple[Result, Cause, Action],
    victim: Callable[[FaultValues], str],
    expand: Expand,
    severity: str | None = None,
) -> _Entry:
    check, metric = detects.split(".")
    return _Entry(Fault(name, summary, keys, severity, (check, metric), *expected, victim), expand)


_REPLACE: tuple[Result, Cause, Action] = ("fail", "hardware", "replace")
_SETTING: tuple[Result, Cause, Action] = ("fail", "configuration", "correct the setting")
_FACILITY: tuple[Result, Cause, Action] = ("fail", "facility", "call the facility")

_CATALOGUE: tuple[_Entry, ...] = (
    _entry(
        "gpu_missing",
        "A GPU is not on the bus: PCI, NVML and CUDA see one fewer, and the indices of later ones move up.",
        (GPU,),
        "inventory.gpu_count_pci",
        _REPLACE,
        _node,
        lambda v, m: (_value(_gpu(v), "gpu.present", False),),
    ),
    _entry(
        "gpu_wrong_model",
        "One GPU is of another model than ordered.",
        (GPU,),
        "inventory.pci_device_id",
        _REPLACE,
        _gpu,
        lambda v, m: (
            _value(_gpu(v), "gpu.name", "NVIDIA A100-SXM4-80GB"),
            _value(_gpu(v), "pci.device_id", "20B2"),
            _value(_gpu(v), "pci.subsystem_id", "1463"),
        ),
    ),
    _entry(
        "gpu_fallen_off_bus",
        "A GPU falls off the bus in mid-run: NVML says it is lost, CUDA launches fail.",
        (GPU, AT),
        "thermal_soak.duration",
        ("error", "hardware", "reboot and re-run"),
        _gpu,
        lambda v, m: (_value(_gpu(v), "gpu.lost", True, _from(v)),),
    ),
    _entry(
        "hbm_bandwidth_low",
        "The device memory of one GPU is slow in every kernel.",
        (GPU, FaultKey("loss_percent", 10.0, LOSS, 0.0, 99.0)),
        "memory_bandwidth.copy_sm_hot",
        _REPLACE,
        _gpu,
        lambda v, m: (_factor(_gpu(v), "hbm.bandwidth", _left(v)), _typical(_gpu(v))),
        "loss_percent",
    ),
    _entry(
        "straggler",
        "One GPU is slow in the memory copy kernel only, within every absolute limit.",
        (GPU, FaultKey("loss_percent", 3.0, LOSS, 0.0, 99.0)),
        "memory_bandwidth.copy_sm_hot",
        _REPLACE,
        _gpu,
        lambda v, m: (_factor(_gpu(v), "hbm.copy", _left(v)), _typical(_gpu(v))),
        "loss_percent",
    ),
    _entry(
        "memory_alloc_fails",
        "Every allocation on one GPU is refused as out of memory.",
        (GPU,),
        "memory_bandwidth.copy_sm_hot",
        ("error", "unknown", "measure again"),
        _gpu,
        lambda v, m: (_value(_gpu(v), "memory.allocation_fails", True),),
    ),
    _entry(
        "nvlink_link_down",
        "One NVLink does not train.",
        (GPU, LINK),
        "nvlink.links_active",
        _REPLACE,
        _link,
        lambda v, m: (_value(_link(v), "link.state", "off"),),
    ),
    _entry(
        "nvlink_slow",
        "All NVLinks of one GPU carry less than they should.",
        (GPU, FaultKey("loss_percent", 8.0, LOSS, 0.0, 99.0)),
        "nvlink.device_to_device_memcpy_read_ce_hot",
        _REPLACE,
        _gpu,
        lambda v, m: (_factor(f"{_gpu(v)}/link/*", "link.bandwidth", _left(v)), _typical(_gpu(v))),
        "loss_percent",
    ),
    _entry(
        "nvlink_errors",
        "One NVLink recovers again and again, with errors that its generation counts.",
        (GPU, LINK, FaultKey("per_hour", 120.0, "events an hour", 0.0, 1e9)),
        "nvlink.recovery_new",
        _REPLACE,
        _link,
        lambda v, m: tuple(
            _value(_link(v), f"link.{name}_per_hour", float(v["per_hour"]))
            for name in m.nvlink.counters
            if name != "recovery_failed"
        ),
        "per_hour",
    ),
    _entry(
        "nvlink_remote_wrong_type",
        "One NVLink ends at something else than a switch.",
        (GPU, LINK, FaultKey("type", "gpu", "what NVML sees at the other end")),
        "nvlink.remote_type",
        _REPLACE,
        _link,
        lambda v, m: (_value(_link(v), "link.remote_type", str(v["type"])),),
    ),
    _entry(
        "p2p_disabled",
        "Peer access between two GPUs is refused, in both directions.",
        (GPU, FaultKey("peer", 5, "the other GPU")),
        "nvlink.p2p_read",
        _SETTING,
        lambda v: pair_subject(int(v["gpu"]), int(v["peer"])),
        lambda v, m: tuple(
            _value(pair_subject(int(v[a]), int(v[b])), f"pair.p2p_{way}", "disabled by regkey")
            for a, b in (("gpu", "peer"), ("peer", "gpu"))
            for way in ("read", "write")
        ),
    ),
    _entry(
        "fabric_not_ready",
        "The fabric is not configured: registration does not complete, and CUDA says that the system is not ready.",
        (),
        "nvlink.fabric_state",
        _SETTING,
        _node,
        lambda v, m: (
            _value("gpu/*", "fabric.state", "in progress"),
            _value("gpu/*", "cuda.not_ready", True),
        ),
    ),
    _entry(
        "ecc_off",
        "ECC is switched off on one GPU.",
        (GPU,),
        "inventory.ecc_mode",
        _SETTING,
        _gpu,
        lambda v, m: (
            _value(_gpu(v), "ecc.mode", "disabled"),
            _value(_gpu(v), "ecc.mode_pending", "disabled"),
        ),
    ),
    _entry(
        "ecc_uncorrectable",
        "An uncorrectable DRAM error happens in the run.",
        (GPU, AT, FaultKey("count", 1, "errors", 1)),
        "ecc.dram_uncorrected_new",
        _REPLACE,
        _gpu,
        lambda v, m: (
            Deviation(target=_gpu(v), parameter="ecc.dram_uncorrected_new", add=float(v["count"]), from_=_from(v)),
        ),
    ),
    _entry(
        "ecc_corrected_storm",
        "Corrected DRAM errors come by the thousand.",
        (GPU, FaultKey("per_hour", 60000.0, "errors an hour")),
        "ecc.dram_corrected_new",
        _REPLACE,
        _gpu,
        lambda v, m: (Deviation(target=_gpu(v), parameter="ecc.dram_corrected_per_hour", add=float(v["per_hour"])),),
        "per_hour",
    ),
    _entry(
        "row_remap_pending",
        "A row remapping waits for a reset.",
        (GPU,),
        "ecc.row_remapping_pending",
        ("inconclusive", "hardware", "reset and re-run"),
        _gpu,
        lambda v, m: (
            _value(_gpu(v), "remap.pending", True),
            _value(_gpu(v), "remap.rows_correctable", 1.0),
        ),
    ),
    _entry(
        "row_remap_failed",
        "A row could not be remapped.",
        (GPU,),
        "ecc.row_remapping_failure",
        _REPLACE,
        _gpu,
        lambda v, m: (_value(_gpu(v), "remap.failure", True),),
    ),
    _entry(
        "thermal_interface_bad",
        "Heat leaves one GPU badly: paste or mounting.",
        (GPU, FaultKey("extra_percent", 100.0, "percent more thermal resistance")),
        "thermal_soak.margin_min",
        _REPLACE,
        _gpu,
        lambda v, m: (
            _factor(_gpu(v), "thermal.resistance", 1.0 + float(v["extra_percent"]) / 100.0),
            _typical(_gpu(v)),
        ),
        "extra_percent",
    ),
    _entry(
        "cooling_flow_low",
        "The whole node gets too little coolant: air on an air-cooled model.",
        (FaultKey("loss_percent", 80.0, "percent of the flow that is lost", 0.0, 99.0),),
        "thermal_soak.sw_thermal_share",
        _FACILITY,
        _node,
        lambda v, m: (_factor("gpu/*", "thermal.flow", _left(v)), _typical("gpu/*")),
        "loss_percent",
    ),
    _entry(
        "power_brake",
        "The supply asks all GPUs to brake, again and again.",
        (FaultKey("share_percent", 5.0, "percent of the time", 0.0, 100.0),),
        "thermal_soak.hw_power_brake_share",
        _FACILITY,
        _node,
        lambda v, m: (_value("gpu/*", "power.brake_share", float(v["share_percent"]) / 100.0),),
        "share_percent",
    ),
    _entry(
        "clock_capped",
        "The SM clock of one GPU is locked low: no event reason says so.",
        (GPU, FaultKey("loss_percent", 62.0, "percent below the highest clock", 0.0, 95.0)),
        "thermal_soak.unexplained_clock_share",
        _SETTING,
        _gpu,
        lambda v, m: (_value(_gpu(v), "clock.sm_lock_mhz", round(m.clock.sm_max_mhz * _left(v))), _typical(_gpu(v))),
        "loss_percent",
    ),
    _entry(
        "power_limit_low",
        "The power limit of one GPU is set low.",
        (GPU, FaultKey("loss_percent", 20.0, "percent below the board's limit", 0.0, 80.0)),
        "inventory.power_limit_enforced",
        _SETTING,
        _gpu,
        lambda v, m: (_factor(_gpu(v), "power.limit_w", _left(v)),),
    ),
    _entry(
        "driver_wrong_version",
        "The driver is of another version than the fabric manager.",
        (FaultKey("version", "575.57.08", "driver version"),),
        "inventory.fabric_manager_matches_driver",
        _SETTING,
        _node,
        lambda v, m: (_value("node", "driver.version", str(v["version"])),),
    ),
)
_BY_NAME = {entry.fault.name: entry for entry in _CATALOGUE}


def catalogue() -> tuple[Fault, ...]:
    """Every named fault."""
    return tuple(entry.fault for entry in _CATALOGUE)


def parse(text: str, model: HardwareModel) -> tuple[Fault, dict[str, FaultValue]]:
    """A fault and its values from `NAME[:key=value,…]`. Raises UsageError, in one sentence."""
    name, _, rest = text.partition(":")
    entry = _BY_NAME.get(name)
    if entry is None:
        near = get_close_matches(name, _BY_NAME, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"known faults: {', '.join(_BY_NAME)}"
        raise UsageError(f"unknown fault {name!r}: {hint}", "`gpuaccept checks matrix` lists all faults")
    arguments = {key.name: key for key in entry.fault.keys}
    values: dict[str, FaultValue] = dict(entry.fault.defaults)
    for pair in rest.split(",") if rest else ():
        key, equals, given = pair.partition("=")
        if not equals or key not in arguments:
            listed = ", ".join(arguments) or "none"
            raise UsageError(f"fault {name}: {pair!r} is not one of its keys with a value (its keys: {listed})")
        values[key] = _converted(name, arguments[key], given, model)
    if "peer" in values and values["peer"] == values["gpu"]:
        raise UsageError(f"fault {name}: gpu and peer are both {values['gpu']}, but must differ")
    return entry.fault, values


def expand(texts: tuple[str, ...], model: HardwareModel) -> FaultSet:
    """All faults as deviations of a model. Raises UsageError."""
    given = tuple(parse(text, model) for text in texts)
    deviations = tuple(deviation for fault, values in given for deviation in _BY_NAME[fault.name].expand(values, model))
    return FaultSet(deviations, given)


def _converted(fault: str, key: FaultKey, text: str, model: HardwareModel) -> FaultValue:
    if isinstance(key.default, str):
        return text
    try:
        number = int(text) if isinstance(key.default, int) else float(text)
    except ValueError:
        kind = "a whole number" if isinstance(key.default, int) else "a number"
        raise UsageError(f"fault {fault}: {key.name}={text} is not {kind}") from None
    if key.name in ("gpu", "peer") and number not in range(model.gpus):
        raise UsageError(f"fault {fault}: there is no GPU {text}: this model has GPUs 0 to {model.gpus - 1}")
    if key.name == "link" and number not in range(model.nvlink.links):
        raise UsageError(f"fault {fault}: there is no link {text}: this model has links 0 to {model.nvlink.links - 1}")
    if not key.minimum <= number <= key.maximum:
        raise UsageError(f"fault {fault}: {key.name}={text} is not between {key.minimum:g} and {key.maximum:g}")
    return number
