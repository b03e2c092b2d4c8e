"""What all tests share: tools that may be absent, and the rule that an absent tool is said, never silent."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of the program.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TOOLS = {
    "gcc": ("gcc and g++", lambda: shutil.which("gcc") and shutil.which("g++")),
    "chromium": ("chromium", lambda: shutil.which("chromium")),
    "openssl": ("openssl", lambda: shutil.which("openssl")),
    "hatchling": ("hatchling", lambda: find_spec("hatchling")),
    "gpu": ("an NVIDIA GPU with its driver", lambda: Path("/proc/driver/nvidia/version").exists()),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    required = set(filter(None, os.environ.get("GPUACCEPT_REQUIRE", "").split(",")))
    for item in items:
        needs = [tool for mark in item.iter_markers("needs") for tool in mark.args]
        if item.get_closest_marker("gpu"):
            needs.append("gpu")
        for tool in needs:
            what, present = TOOLS[tool]
            if not present() and tool not in required:
                item.add_marker(pytest.mark.skip(reason=f"needs {what}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[reason.removeprefix("Skipped: ")] += 1
    for reason, count in skipped.items():
        terminalreporter.write_line(f"not run: {count} tests, {reason}")
