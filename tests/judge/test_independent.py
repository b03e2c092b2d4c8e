"""The second implementation of the decision rule (scripts/verify_independent.py) agrees on any evidence."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import faulty, remove

from gpuaccept.data import Evidence
from gpuaccept.judge import judge


def _independent() -> ModuleType:
    file = Path(__file__).parents[2] / "scripts" / "verify_independent.py"
    spec = importlib.util.spec_from_file_location("verify_independent", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INDEPENDENT = _independent()
KINDS = ["column", "failure", "visit", "sample", "subject"]


@settings(max_examples=80, deadline=None)
@given(found=faulty, data=st.data())
def test_both_implementations_of_the_rule_agree(found: Evidence, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 3))):
        found = remove(found, data.draw(st.sampled_from(KINDS)), data)
    stored = json.loads(msgspec.json.encode(judge(found)))
    verdicts, not_in_plan, decision = INDEPENDENT.Judge(json.loads(msgspec.json.encode(found))).judge()
    assert INDEPENDENT.compare(stored, verdicts, not_in_plan, decision) == []
