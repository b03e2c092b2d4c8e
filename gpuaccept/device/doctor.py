"""What a node lacks for a run: one line a thing, each with its remedy. Calls no driver itself: a child process does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from gpuaccept import ambient
from gpuaccept.check import Unavailable
from gpuaccept.device.nvidia import bmc
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.probe import Probed, device_nodes
from gpuaccept.device.nvidia.programs import Programs

PROBE_SECONDS = 30.0
"""A driver that needs longer to answer the simplest questions hangs."""
_OLDEST_CUDA = 12080
_PACKAGES = (
    ("pynvml", "nvidia-ml-py", "pip install nvidia-ml-py"),
    ("cuda.bindings.driver", "cuda-bindings", "pip install 'cuda-bindings>=13,<14'"),
)
_GPU_NODE = re.compile(r"^nvidia\d+$")
_ALL_DEVICES = "hand all GPUs to the container (--gpus all; in Slurm all of the node's GPUs), or run outside of it"


class Examined(NamedTuple):
    """One thing that was looked at. `unknown`: could not be found out; the text says why."""

    name: str
    status: Literal["ok", "problem", "unknown"]
    text: str
    remedy: str = ""


def examine(state_directory: Path, host: Host | None = None, seconds: float = PROBE_SECONDS) -> tuple[Examined, ...]:
    """Everything that a run on this node needs, in the order in which one would repair it."""
    host = host or Host()
    probed, silence = _ask(seconds, host.root)
    return (
        *_packages(),
        _compiler(probed),
        _kernel_module(host, probed),
        _device_nodes(host, probed),
        *_driver(host, probed, silence),
        *(_gpus(host, probed) if probed and not probed.nvml_error else ()),
        _other_readers(host),
        _inlet(host),
        _state_directory(state_directory),
    )


def ready(examined: tuple[Examined, ...]) -> bool:
    """Whether nothing stands in the way of a run."""
    return all(one.status != "problem" for one in examined)


def _ask(seconds: float, root: Path) -> tuple[Probed | None, str]:
    """The probe's findings, or why there are none (which call hung, or how it died)."""
    command = [sys.executable, "-m", "gpuaccept.device.nvidia.probe", str(root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    try:
        said, _ = child.communicate(timeout=seconds)
        silence = f"the process that asks the driver ended with code {child.returncode}"
    except subprocess.TimeoutExpired as late:
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # a process in the driver may not die: leave it
            child.wait(1.0)
        partial = late.stdout or b""
        said = partial.decode("utf-8", "replace") if isinstance(partial, bytes) else partial
        silence = f"no answer within {seconds:.0f} s"
    calls = [line.removeprefix("call ") for line in said.splitlines() if line.startswith("call ")]
    found = next((line.removeprefix("found ") for line in said.splitlines() if line.startswith("found ")), None)
    if found is not None:
        return msgspec.json.decode(found, type=Probed), ""
    return None, f"{silence}, in {calls[-1]}" if calls else silence


def _packages() -> Iterator[Examined]:
    for module, name, remedy in _PACKAGES:
        try:
            present = find_spec(module) is not None
        except ModuleNotFoundError:
            present = False
        if present:
            yield Examined(f"package {name}", "ok", "installed")
        else:
            yield Examined(f"package {name}", "problem", "not installed", remedy)


def _compiler(probed: Probed | None) -> Examined:
    name = "kernels"
    if probed is None:
        return Examined(name, "unknown", "the process that looks for them was stopped")
    others = probed.uncompiled
    if not others:
        return Examined(name, "ok", "shipped for these GPUs" if probed.gpus else "shipped")
    if probed.nvrtc_version:
        return Examined(name, "ok", f"NVRTC {probed.nvrtc_version} compiles them for {', '.join(others)}")
    return Examined(
        name,
        "problem",
        f"none are shipped for {', '.join(others)}, and NVRTC, which compiles them, is not installed",
        "pip install 'gpuaccept[nvrtc]'",
    )


def _kernel_module(host: Host, probed: Probed | None) -> Examined:
    name = "kernel module"
    version = host.driver_version()
    if version:
        return Examined(name, "ok", f"nvidia {version}")
    if probed and probed.stub:
        return Examined(name, "problem", "a stub driver of tests is loaded: every run is simulated", "use a real node")
    return Examined(
        name,
        "problem",
        "the NVIDIA kernel module is not loaded (/proc/driver/nvidia/version is missing)",
        "install the NVIDIA driver 570 or newer, then: modprobe nvidia",
    )


def _device_nodes(host: Host, probed: Probed | None) -> Examined:
    name = "device nodes"
    folder = host.root / "dev"
    nodes = device_nodes(folder)
    if not nodes:
        if probed and probed.stub:
            return Examined(name, "unknown", "a stub driver has none")
        return Examined(name, "problem", "no /dev/nvidia* here", f"load the driver; in a container, {_ALL_DEVICES}")
    closed = [node for node in nodes if not os.access(folder / node, os.R_OK | os.W_OK)]
    if closed:
        return Examined(
            name, "problem", f"no permission for /dev/{closed[0]}", "run as root, or as a member of its group"
        )
    if probed and probed.nodes_refused:
        return Examined(
            name,
            "problem",
            f"the kernel refuses /dev/{probed.nodes_refused[0]} to this process, though its mode allows it (a cgroup)",
            _ALL_DEVICES,
        )
    served, inside = len(host.pci_gpus("nvidia")), sum(bool(_GPU_NODE.match(node)) for node in nodes)
    if inside < served:
        return Examined(
            name,
            "problem",
            f"{inside} of the {served} GPUs that the driver serves are in /dev: a container hides the others, or "
            "nobody made their nodes",
            f"in a container, {_ALL_DEVICES}; else nvidia-modprobe -c N makes the node of GPU N",
        )
    return Examined(name, "ok", ", ".join(nodes))


def _driver(host: Host, probed: Probed | None, silence: str) -> Iterator[Examined]:
    if probed is None:
        yield Examined(
            "driver answers",
            "problem",
            f"the driver does not answer: {silence}",
            "look for XIDs in the kernel log (dmesg); reboot the node",
        )
        return
    for missing in probed.libraries_missing:
        yield Examined(f"library {missing}", "problem", "not found", "install the driver's user-space libraries")
    if not probed.libraries_missing:
        yield Examined("driver libraries", "ok", "libnvidia-ml.so.1, libcuda.so.1")
    if probed.nvml_error:
        if not probed.libraries_missing:
            yield Examined("NVML", "problem", probed.nvml_error, _nvml_remedy(probed.nvml_error))
    else:
        yield _same_version(host, probed)
    if probed.cuda_error:
        if not probed.libraries_missing:
            yield Examined("CUDA", "problem", probed.cuda_error, _cuda_remedy(probed.cuda_error))
    elif probed.cuda_version < _OLDEST_CUDA:
        yield Examined("CUDA", "problem", f"driver supports CUDA {_cuda(probed)}", "install driver 570 or newer")
    else:
        yield Examined("CUDA", "ok", f"driver supports CUDA {_cuda(probed)}")


def _same_version(host: Host, probed: Probed) -> Examined:
    loaded, said = host.driver_version(), probed.nvml_driver_version
    if loaded and loaded != said:
        return Examined(
            "NVML",
            "problem",
            f"NVML is of driver {said}, the loaded kernel module of {loaded}",
            "reboot the node, or unload and load the driver",
        )
    return Examined("NVML", "ok", f"driver {said}")


def _nvml_remedy(error: str) -> str:
    if "NO_PERMISSION" in error:
        return "run as root, or as a member of the group that owns /dev/nvidia*"
    return "modprobe nvidia; dmesg says why where that fails"


def _cuda_remedy(error: str) -> str:
    if " 802 " in error:
        return "start the fabric manager: systemctl start nvidia-fabricmanager"
    return "dmesg says why; reinstall the driver where libraries and kernel module differ"


def _cuda(probed: Probed) -> str:
    return f"{probed.cuda_version // 1000}.{probed.cuda_version % 1000 // 10}"


def _gpus(host: Host, probed: Probed) -> Iterator[Examined]:
    pci, nvml = len(host.pci_gpus()), len(probed.gpus)
    text = f"PCI {pci}, NVML {nvml}, CUDA {probed.cuda_gpus}"
    if nvml and pci == nvml == probed.cuda_gpus and not probed.lost:
        yield Examined("GPUs", "ok", text)
    else:
        lost = f"; {probed.lost} lost" if probed.lost else ""
        yield Examined(
            "GPUs", "problem", text + lost, "dmesg (XID 79) tells of a lost GPU; a container or MIG may hide GPUs"
        )
    yield _mode(
        "persistence mode",
        [gpu.persistence_mode for gpu in probed.gpus],
        "enabled",
        "systemctl enable --now nvidia-persistenced (or nvidia-smi -pm 1)",
    )
    yield _mode("MIG mode", [gpu.mig_mode for gpu in probed.gpus], "disabled", "nvidia-smi -mig 0, then reset the GPUs")
    yield _mode(
        "confidential computing",
        [gpu.cc_mode for gpu in probed.gpus],
        "off",
        "expect other limits (transfers are encrypted), or turn CC mode off with NVIDIA's gpu-admin-tools and reset "
        "the GPUs",
    )
    yield _processes(probed)
    yield _fabric_manager(host, probed)


def _mode(name: str, modes: list[str], wanted: str, remedy: str) -> Examined:
    wrong = [number for number, mode in enumerate(modes) if mode not in (wanted, "")]
    if wrong:
        return Examined(name, "problem", f"{modes[wrong[0]]}: {_numbers(wrong)} (NVML order)", remedy)
    if "" in modes:
        return Examined(name, "unknown", "not supported by these GPUs")
    return Examined(name, "ok", f"{wanted} on all GPUs")


def _processes(probed: Probed) -> Examined:
    name = "compute processes"
    busy = [number for number, gpu in enumerate(probed.gpus) if gpu.processes]
    if busy:
        first = (probed.gpus[busy[0]].processes or ("",))[0]
        return Examined(
            name,
            "problem",
            f"process {first} on {_numbers(busy)} (NVML order)",
            "end it, or wait for it; `run --force-busy` measures all the same, and the record says so",
        )
    unknown = next((gpu.processes_unknown for gpu in probed.gpus if gpu.processes is None), None)
    if unknown is not None:
        return Examined(name, "unknown", unknown)
    return Examined(name, "ok", "none")


def _other_readers(host: Host) -> Examined:
    name = "other readers"
    readers = Programs(host.root).telemetry_readers()
    if isinstance(readers, Unavailable):
        return Examined(name, "unknown", readers.reason)
    if readers:
        return Examined(
            name,
            "problem",
            f"{', '.join(readers)} reads the GPUs: it wakes them, and may hold their counters",
            "stop it while the run goes on (for example systemctl stop nvidia-dcgm)",
        )
    return Examined(name, "ok", "none: no DCGM, no exporter")


def _inlet(host: Host) -> Examined:
    """Optional: without it a run lacks thermal resistance, and nothing that decides."""
    name, found = "inlet temperature", bmc.ask(host.root)
    if isinstance(found, bmc.Lack):
        text = f"{found.text}; thermal resistance (observed only) is not measured"
        return Examined(name, "unknown", text, found.remedy)
    return Examined(name, "ok", f"{found:g} °C, from the BMC")


def _fabric_manager(host: Host, probed: Probed) -> Examined:
    name = "fabric manager"
    states = {gpu.fabric_state for gpu in probed.gpus}
    if states <= {"not supported", ""}:
        return Examined(name, "ok", "not needed: no NVSwitch fabric")
    version = host.fabric_manager_version()
    if states != {"completed"}:
        state = sorted(states - {"completed"})[0] or "unknown"
        return Examined(
            name,
            "problem",
            f"fabric registration is {state} on some GPUs",
            "systemctl restart nvidia-fabricmanager, and read its log",
        )
    if version is None:
        return Examined(
            name, "unknown", "fabric is up; nv-fabricmanager is not installed here, so its version is unknown"
        )
    if version != probed.nvml_driver_version:
        return Examined(
            name,
            "problem",
            f"fabric manager {version}, driver {probed.nvml_driver_version}",
            "install the fabric manager of exactly the driver's version",
        )
    return Examined(name, "ok", f"{version}, fabric is up")


def _state_directory(directory: Path) -> Examined:
    name = "state directory"
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    if os.access(existing, os.W_OK | os.X_OK) and existing.is_dir():
        return Examined(name, "ok", f"{directory} is writable" if existing == directory else f"{directory} can be made")
    remedy = "" if ambient.is_root() else "run as root, or set XDG_STATE_HOME to a directory of yours"
    return Examined(name, "problem", f"{existing} is not writable: node key and ledger lie below it", remedy)


def _numbers(numbers: list[int]) -> str:
    return f"GPU {', '.join(map(str, numbers))}"
