"""The example files of docs/reference are read by the readers that they are examples for."""

from __future__ import annotations

from pathlib import Path

from docs_pages import DOCS

from gpuaccept.device.open import DeviceSpec, check_spec
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import load_profile
from gpuaccept.record.trust import read_trust
from gpuaccept.run.loading import declarations, load_checks

EXAMPLES = DOCS / "reference" / "examples"


def test_the_scenario_can_be_simulated() -> None:
    check_spec(DeviceSpec(device=f"mock:{EXAMPLES / 'scenario.yaml'}"))


def test_the_trust_file_names_its_keys() -> None:
    trust = read_trust(EXAMPLES / "trust.yaml")

    assert {entry.person for entry in trust.by_keyid.values()} == {"node signer of rack 07", "E. Engineer"}


def test_the_site_profile_is_without_problems() -> None:
    checks = load_checks()
    loaded = load_profile(str(EXAMPLES / "site-profile.yaml"))

    assert lint(loaded, declarations(checks), {name: one.check.parameters for name, one in checks.items()}) == ()


def test_there_is_no_other_example() -> None:
    assert {path.name for path in Path(EXAMPLES).iterdir()} == {"scenario.yaml", "trust.yaml", "site-profile.yaml"}
