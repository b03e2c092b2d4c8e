"""Every module, and every public class and function of a module, says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from docs_pages import ROOT, shown

MODULES = sorted(path for folder in ("gpuaccept", "checks") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_everything_public_says_what_it_is_for(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    public = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]

    assert ast.get_docstring(module)
    assert [node.name for node in public if ast.get_docstring(node) is None] == []
