"""A fitted model behaves as its captures do: quantiles at each level lie within their bootstrap interval."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import profile_records as records
import pytest

from gpuaccept.data import Evidence
from gpuaccept.device.open import DeviceSpec, check_spec, model
from gpuaccept.errors import UsageError
from gpuaccept.fit import Capture, fit, yaml_of
from gpuaccept.fit.capture import tree
from gpuaccept.fit.levels import levels
from gpuaccept.fit.write import model_yaml
from gpuaccept.judge.statistics import median
from gpuaccept.profile.load import load_profile

KNOWN = {
    "memory.read": 6900.0,
    "host.host_to_device": 50.0,
    "nvlink.read_ce": 700.0,
    "power.capped_share": 0.9,
    "clock.load_mhz": 1250.0,
    "noise.hbm.repeat": 0.2,
    "noise.hbm.visit": 0.3,
    "noise.hbm.gpu": 0.6,
    "noise.hbm.node": 0.8,
    "noise.hbm.correlation": 0.6,
    "noise.nvlink_ce.visit": 0.2,
    "noise.nvlink_ce.gpu": 0.3,
}
NODES = 14
METRICS = (
    "memory_bandwidth.read_sm_hot",
    "memory_bandwidth.host_to_device_memcpy_ce_cold",
    "nvlink.device_to_device_memcpy_read_ce_hot",
)


def get(values: object, path: str) -> float:
    for part in path.split("."):
        values = values[part]  # type: ignore[index]
    assert isinstance(values, float | int)
    return float(values)


def known(folder: Path) -> Path:
    """A model with parameters that are not the base's."""
    values = msgspec.to_builtins(model(DeviceSpec(device="mock:hgx-b200")))
    for path, value in KNOWN.items():
        *parents, last = path.split(".")
        room = values
        for part in parents:
            room = room[part]
        room[last] = value
    file = folder / "known.yaml"
    file.write_text(model_yaml(values, {}), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def captured(folder: Path) -> tuple[Capture, ...]:
    file = known(folder)
    return tuple(Capture(f"{seed}", records.measured(seed, str(file))) for seed in range(1, NODES + 1))


@pytest.fixture(scope="module")
def fitted(captured: tuple[Capture, ...], folder: Path) -> Path:
    file = folder / "fitted.yaml"
    file.write_text(yaml_of(fit(captured), "fitted"), encoding="utf-8")
    return file


def test_known_parameters_are_found_again(fitted: Path) -> None:
    found = msgspec.to_builtins(model(DeviceSpec(device=f"mock:{fitted}")))

    for path, value in KNOWN.items():
        near = 0.45 if path.endswith(".node") else 0.2 if path.startswith("noise.") else 0.02
        assert get(found, path) == pytest.approx(value, rel=near), path


Deviations = dict[str, list[list[float]]]
"""Level -> node -> values."""


def numbered(evidence: list[Evidence]) -> list[Capture]:
    return [Capture(str(number), one) for number, one in enumerate(evidence)]


def deviations(evidence: list[Evidence], metric: str) -> Deviations:
    out: Deviations = {"subject": [], "within node": [], "visit": [], "repeat": []}
    for of in tree(numbered(evidence), metric).values():
        middles = {subject: median([median(visit) for visit in row]) for subject, row in of.items()}
        node = median(list(middles.values()))
        out["subject"].append(list(middles.values()))
        out["within node"].append([value / node - 1 for value in middles.values()])
        out["visit"].append([median(visit) / middles[s] - 1 for s, row in of.items() for visit in row])
        out["repeat"].append([v / median(visit) - 1 for row in of.values() for visit in row for v in visit])
    return out


HBM = tuple(f"memory_bandwidth.{name}_hot" for name in ("read_sm", "write_sm", "copy_sm", "triad_sm"))
"""They share one scatter, so what is told of it is told from all of them."""
QUANTILES = (0.1, 0.5, 0.9)


def differences(one: list[list[float]], other: list[list[float]], draw: np.random.Generator) -> np.ndarray:
    """Differences of QUANTILES between two sets of nodes, over 600 resamples of each."""

    def resampled(nodes: list[np.ndarray]) -> np.ndarray:
        return np.quantile(np.concatenate([nodes[i] for i in draw.integers(len(nodes), size=len(nodes))]), QUANTILES)

    first, second = list(map(np.array, one)), list(map(np.array, other))
    return np.array([resampled(first) - resampled(second) for _ in range(600)])


def test_quantiles_of_model_and_captures_differ_by_no_more_than_their_bootstrap_interval(
    captured: tuple[Capture, ...], fitted: Path
) -> None:
    """99.7 % each, of 36 quantiles. A node is resampled whole, since what it holds hangs together."""
    simulated = [records.measured(seed, str(fitted)) for seed in range(101, 101 + NODES)]
    draw = np.random.default_rng(7)
    outside = []
    for metric in METRICS:
        seen, again = deviations([one.evidence for one in captured], metric), deviations(simulated, metric)
        for level, nodes in seen.items():
            low, high = np.quantile(differences(nodes, again[level], draw), (0.0015, 0.9985), axis=0)
            outside += [(metric, level, q) for q, a, b in zip(QUANTILES, low, high, strict=True) if not a <= 0 <= b]
    assert not outside
    for names in (HBM, METRICS[1:2], METRICS[2:]):
        one, other = (
            levels([tree(group, metric) for metric in names]).correlation or 0.0
            for group in (captured, numbered(simulated))
        )
        # From a few repeats a visit the estimate runs high by 0.1 and more, and once more in what was fitted to it.
        assert one == pytest.approx(other, abs=0.2), names


def test_the_bootstrap_interval_tells_another_model_apart(captured: tuple[Capture, ...]) -> None:
    """What the test above rests on: the model beneath, which was not fitted, is not within the interval."""
    simulated = [records.measured(seed) for seed in range(101, 101 + NODES)]
    draw = np.random.default_rng(7)
    seen = deviations([one.evidence for one in captured], METRICS[0])
    again = deviations(simulated, METRICS[0])

    for level, nodes in seen.items():
        low, high = np.quantile(differences(nodes, again[level], draw), (0.0015, 0.9985), axis=0)
        assert any(not a <= 0 <= b for a, b in zip(low, high, strict=True)), level


def test_medians_agree_after_heat_clocks_and_paths(captured: tuple[Capture, ...]) -> None:
    found = fit(captured)

    assert {one.metric for one in found.agreement} > {*METRICS, "thermal_soak.temperature_max"}
    for one in found.agreement:
        near = 0.03 if one.metric == "thermal_soak.temperature_max" else 0.001  # its sensor reads whole degrees
        assert one.simulated == pytest.approx(one.captured, rel=near), one.metric


def test_the_file_says_what_was_fitted_and_what_was_not(fitted: Path) -> None:
    lines = fitted.read_text(encoding="utf-8").splitlines()
    text = "\n".join(lines)

    assert "Captures of simulated nodes are among them" in text
    assert f"fitted to {NODES} captured nodes" in lines[0].replace("Fitted by `gpuaccept profile fit`", "fitted")
    assert next(line for line in lines if line.strip().startswith("read:")).endswith(
        "# fitted to memory_bandwidth.read_sm_hot"
    )
    assert "#" not in next(line for line in lines if line.strip().startswith("peak:"))
    assert "correlation: fitted, neighbouring repeats of one visit" in text
    assert "#   noise of the soak, time constants" in text
    check_spec(DeviceSpec(device=f"mock:{fitted}"))


def test_one_capture_leaves_the_scatter_from_node_to_node(captured: tuple[Capture, ...]) -> None:
    found = fit(captured[:1])

    assert "noise.hbm.node" not in found.reasons
    assert any(line.startswith("noise.hbm.node: three nodes or more") for line in found.not_fitted)
    assert found.model.noise.hbm.node == model(DeviceSpec(device="mock:hgx-b200")).noise.hbm.node
    assert "noise.hbm.visit" in found.reasons


def test_what_a_plan_does_not_measure_is_the_base_models() -> None:
    with pytest.raises(UsageError, match="no figure that a model can be fitted to"):
        fit((Capture("quick", records.measured(1, plan="quick", profile=load_profile("hgx-b200"))),))


def test_identity_is_read_and_hostile_text_is_only_text(captured: tuple[Capture, ...], tmp_path: Path) -> None:
    evil = '1.0"\nkind: scenario\u202e # \x1b[2J'
    node = msgspec.structs.replace(captured[0].evidence.node, driver_version=evil, kernel="6.8.0-hostile")
    changed = Capture("evil", msgspec.structs.replace(captured[0].evidence, node=node))
    file = tmp_path / "evil.yaml"
    file.write_text(yaml_of(fit((changed,)), "evil"), encoding="utf-8")

    found = model(DeviceSpec(device=f"mock:{file}"))
    assert found.node.kernel == "6.8.0-hostile"
    assert found.node.driver_version.startswith('1.0"\\u{A}kind: scenario\\u{202E}')
    assert "\x1b" not in file.read_text(encoding="utf-8")


def test_the_base_fits_the_gpus_or_is_named(captured: tuple[Capture, ...]) -> None:
    first = captured[0].evidence
    other = tuple(msgspec.structs.replace(gpu, pci_device_id="FFFF") for gpu in first.node.gpus)
    unknown = msgspec.structs.replace(first, node=msgspec.structs.replace(first.node, gpus=other))

    with pytest.raises(UsageError, match="8 GPUs of PCI device id FFFF"):
        fit((Capture("x", unknown),))
    with pytest.raises(UsageError, match="unknown scenario"):
        fit(captured, "hgx-b2000")
    few = msgspec.structs.replace(first, node=msgspec.structs.replace(first.node, gpus=first.node.gpus[:7]))
    with pytest.raises(UsageError, match="7 GPUs"):
        fit((Capture("x", few),))
    with pytest.raises(UsageError, match="has 8 GPUs, the captured nodes have 7"):
        fit((Capture("x", few),), "hgx-b200")
