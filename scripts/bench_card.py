"""What `make bench` measures on a GPU, each beside its bound: through `gpuaccept run` and the record that it leaves.

On every machine it also says what the shipped machine code promises: wide accesses, bytes in flight, no local memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from card_floors import Rates, floor_s

from gpuaccept.bundled import bundled
from gpuaccept.data import NodeFacts
from gpuaccept.profile.load import load_profile
from gpuaccept.record.envelope import open_record

SOAK_S = 60.0
TESTED_MIB = 4096
"""Of a buffer, in the other tools too: 512 MiB, nvbandwidth's own choice, are 4 times the L2 of a B200."""
PLAIN = "plain copy kernel (as BabelStream's)"
_FALLBACK = "hgx-h100"
"""Whose plan is run on a card of no shipped profile."""
_ASK = """
import sys, msgspec
from gpuaccept.device.nvidia import open_nvidia
from gpuaccept.errors import GpuacceptError
try:
    node = open_nvidia(None, lambda gpu, call: None)
except GpuacceptError as error:
    sys.exit(error.fact)
print(msgspec.json.encode(node.facts()).decode())
node.close()
"""


class Figure(NamedTuple):
    """One figure with its bound; `value` None: not measured, and `text` says why."""

    what: str
    value: float | None
    text: str
    bound: str = ""
    good: bool = True

    def line(self) -> str:
        """As `make bench` prints it."""
        if self.value is None:
            return f"  {self.what}: not measured, {self.text}"
        verdict = ("ok" if self.good else "OVER") if self.bound else ""
        return f"  {self.what:<56} {self.text:>12}   {self.bound:<22} {verdict}".rstrip()


def show() -> bool:
    """Print all figures; whether each is within its bound, or could not be measured."""
    sass()
    facts = find_card(os.environ)
    if isinstance(facts, str):
        print(f"on a card: not measured, {facts}")
        return True
    print(f"on a card: {len(facts.gpus)} x {facts.gpus[0].name}, driver {facts.driver_version}")
    found = measure(facts, os.environ)
    for figure in found:
        print(figure.line())
    return all(figure.good for figure in found)


def sass() -> None:
    """What the CUBINs hold, read from their SASS: no GPU is needed."""
    import kernel_sass

    if not kernel_sass.TOOL.is_file():
        print("SASS: not read, the wheel nvidia-cuda-cuobjdump is not installed")
        return
    local: dict[str, int] = {}
    copies: dict[str, str] = {}
    for one, kernels in kernel_sass.shipped():
        local[one.architecture] = local.get(one.architecture, 0) + sum(k.local_accesses for k in kernels.values())
        if "bw_copy" in kernels:
            copy = kernels["bw_copy"]
            bits, kib = max(copy.loads, default=0), copy.kib_per_sm(one.architecture)
            copies[one.architecture] = f"{bits}-bit loads, {kib} KiB in flight an SM"
    for architecture, text in copies.items():
        print(f"SASS {architecture}: bw_copy {text}; {local[architecture]} accesses to local memory in all kernels")


def find_card(environment: Mapping[str, str]) -> NodeFacts | str:
    """The node's facts, or why there is no card."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK], env=dict(environment), capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return said[-1] if said else f"the driver ended the program (exit {done.returncode})"
    return msgspec.json.decode(done.stdout, type=NodeFacts)


def measure(
    facts: NodeFacts, environment: Mapping[str, str], soak_s: float = SOAK_S, only: tuple[str, ...] = ()
) -> list[Figure]:
    """Run the plan `node` of the card's hardware (or the checks `only` of it) and compare its figures."""
    with tempfile.TemporaryDirectory(prefix="gpuaccept-bench-card-") as folder:
        profile = Path(folder) / "card.yaml"
        profile.write_text(_profile(facts, soak_s, only))
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "gpuaccept", "run", "--profile", str(profile), "--plan", "card", "--quiet"]
        own = {**environment, "XDG_STATE_HOME": folder}  # no key and no ledger of this node's own
        began = time.monotonic()
        done = subprocess.run([*command, "--out", str(out)], env=own, capture_output=True, text=True, check=False)
        wall = time.monotonic() - began
        if not (out / "record.json").is_file():
            said = done.stderr.strip().splitlines()
            return [Figure("all figures", None, said[0] if said else f"exit {done.returncode}", good=False)]
        evidence = open_record((out / "record.json").read_bytes()).statement.predicate.evidence
    rates = Rates(evidence)
    best = _others(environment)
    return [_copy(rates, best), *_integrity(rates), *_power(rates), *_whole(rates, wall)]


def _profile(facts: NodeFacts, soak_s: float, only: tuple[str, ...]) -> str:
    """A site whose one cohort is this card, with the plan `node` of its hardware as plan `card`.

    It asks for as many GPUs as that hardware has: those that a lone card lacks are errors, and no figure here.
    """
    card = facts.gpus[0].pci_device_id
    names = sorted(path.stem for path in (bundled("profiles") / "hardware").glob("*.yaml"))
    name = next((one for one in names if card in load_profile(one).profile.cohorts[0].pci_device_ids), _FALLBACK)
    steps = []
    for step in load_profile(name).profile.cohorts[0].plans["node"].steps:
        if only and step.check not in only:
            continue
        if step.check == "thermal_soak":
            step = msgspec.structs.replace(step, parameters={**step.parameters, "duration_s": soak_s})
        steps.append(step)
    plan = {"purpose": "what the bench measures on a card", "steps": steps}
    cohort = {
        "name": "card",
        "extends": name,
        "pci_device_ids": [card],
        "plans": {"card": plan},
    }
    site = {"kind": "site", "name": "card-bench", "version": "1", "title": "The bench on a card", "cohorts": [cohort]}
    return msgspec.json.encode(site).decode()


# --- figures ---------------------------------------------------------------------------------------------------------


def _copy(rates: Rates, best: dict[str, float]) -> Figure:
    """Ours on GPU 0 beside the best of the other tools' on it."""
    copy = rates.median("memory_bandwidth.copy_sm_cold", "gpu/0")
    what = "memory copy, GPU 0, read + written"
    if copy is None:
        return Figure(what, None, "the run left no figure", good=False)
    if not best:
        return Figure(f"{what}: {copy:.1f} GB/s beside others", None, "none of them gave a figure")
    name = max(best, key=lambda one: best[one])
    share = copy / best[name]
    return Figure(f"{what}: {copy:.1f} GB/s / {name} {best[name]:.1f}", share, f"{share:.3f}", "≥ 0.97", share >= 0.97)


def _integrity(rates: Rates) -> list[Figure]:
    """Each march's seconds over those of reading and writing as many bytes at the copy's rate; the worst GPU's."""
    figures = []
    for run, step in rates.steps():
        if run.check != "memory_integrity":
            continue
        what = f"memory integrity, {step.parameters.get('march', 'full')} march {run.visit}, over its floor"
        floor = floor_s(rates, run, step)
        if not floor:
            figures.append(Figure(what, None, run.reason or "no GPU was measured", good=False))
            continue
        ratio = (run.ended_s - run.started_s) / floor
        figures.append(Figure(what, ratio, f"{ratio:.3f}", "≤ 1.15", ratio <= 1.15))
    return figures


def _power(rates: Rates) -> list[Figure]:
    """Mean power of the soaks over the enforced limit; the lowest GPU's."""
    what = "soak, mean power / enforced limit, lowest GPU"
    means = {gpu: rates.median("thermal_soak.power_mean", gpu) for gpu in rates.subjects("thermal_soak.power_mean")}
    limits = {gpu: rates.median("inventory.power_limit_enforced", gpu) for gpu in means}
    shares = [mean / limit for gpu, mean in means.items() if mean and (limit := limits[gpu])]
    if not shares:
        return [Figure(what, None, "the run left no power or no limit", good=False)]
    lowest = min(shares)
    return [Figure(what, lowest, f"{lowest:.3f}", "≥ 0.95", lowest >= 0.95)]


def _whole(rates: Rates, wall: float) -> list[Figure]:
    """The whole run over what its steps' bytes, operations and soaks need at the measured rates; without soaks, too."""
    floors = [(floor_s(rates, run, step), run) for run, step in rates.steps()]
    floor = sum(one for one, _ in floors)
    soak = sum(one for one, run in floors if run.check == "thermal_soak")
    soaked = sum(run.ended_s - run.started_s for _, run in floors if run.check == "thermal_soak")
    what = f"node: {wall:.1f} s over floors of its {len(floors)} steps, {floor:.1f} s"
    if not floor:
        return [Figure(what, None, "no step was measured", good=False)]
    figures = [Figure(what, wall / floor, f"{wall / floor:.2f}", "≤ 2", wall <= 2 * floor)]
    if floor > soak:
        rest = (wall - soaked) / (floor - soak)
        figures.append(Figure(f"  without soaks: {wall - soaked:.1f} s over {floor - soak:.1f} s", rest, f"{rest:.2f}"))
    return figures


# --- other tools -----------------------------------------------------------------------------------------------------


def _others(environment: Mapping[str, str]) -> dict[str, float]:
    """GB/s, read and written, that others copy with on GPU 0: tools that are in PATH, and a kernel of their kind."""
    found = {}
    plain = [sys.executable, str(Path(__file__).with_name("plain_copy.py")), str(TESTED_MIB)]
    for name, command, read in (
        (PLAIN, plain, plain_rate),
        ("nvbandwidth", ["nvbandwidth", "-t", "device_local_copy", "-b", str(TESTED_MIB)], nvbandwidth_rate),
        ("BabelStream", ["cuda-stream", "--arraysize", str(TESTED_MIB << 17), "--numtimes", "50"], babelstream_rate),
    ):
        rate = _ask(command, read, environment)
        if isinstance(rate, str):
            print(f"  {name}: not measured, {rate}")
        else:
            found[name] = rate
    return found


def _ask(command: list[str], read: Callable[[str], float | None], environment: Mapping[str, str]) -> float | str:
    """GB/s, or why there is none."""
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        return f"{command[0]} is not in PATH"
    ordered = {**environment, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    try:
        done = subprocess.run(command, env=ordered, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    rate = read(done.stdout)
    said = done.stderr.strip().splitlines()
    return (said[-1] if said else f"{command[0]} printed no figure") if rate is None else rate


def plain_rate(said: str) -> float | None:
    """GB/s from what plain_copy.py prints."""
    return float(said) if re.fullmatch(r"\d+\.\d+\n", said) else None


def nvbandwidth_rate(said: str) -> float | None:
    """GB/s of GPU 0 from what nvbandwidth prints: it counts a local copy once, and memory carries it twice."""
    row = re.search(r"^ *0 +(\d+\.\d+)", said, re.MULTILINE)  # the row above names GPUs by whole numbers
    return 2 * float(row.group(1)) if row else None


def babelstream_rate(said: str) -> float | None:
    """GB/s of the copy kernel from BabelStream's table, which is in MB/s (10^6) and counts both ways."""
    row = re.search(r"^Copy\s+(\d+(?:\.\d+)?)", said, re.MULTILINE)
    return float(row.group(1)) / 1e3 if row else None


if __name__ == "__main__":
    sys.exit(0 if show() else 1)
