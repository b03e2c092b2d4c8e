"""A stub machine for each test that asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from stub_driver.machine import StubMachine, make_machine


@pytest.fixture
def machine(tmp_path: Path) -> StubMachine:
    """A healthy HGX B200 with the stub driver."""
    return make_machine(tmp_path)
