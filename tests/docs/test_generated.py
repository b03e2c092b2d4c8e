"""What is generated from the code is what the code says today."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from docs_pages import ROOT, shown

sys.path.insert(0, str(ROOT / "scripts"))
import make_docs

PAGES = make_docs.pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_generated_page_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], f"{shown(path)} is out of date: run scripts/make_docs.py"


@pytest.mark.parametrize(
    "path", [path for path in PAGES if path.name not in make_docs.WHOLE], ids=lambda path: path.name
)
def test_every_field_says_what_it_means(path: Path) -> None:
    bare = re.findall(r"^\| (`\w+`) \|.*\|  \|$", PAGES[path], re.MULTILINE)

    assert not bare, f"write the last column in {shown(path)}: {', '.join(bare)}"


def test_what_is_written_by_hand_stays() -> None:
    page = (
        "<!-- fields: gpuaccept.data.profile Layer -->\n| field | type | default | meaning |\n|---|---|---|---|\n"
        "| `name` | wrong | wrong | the file |\n| `gone` | text | none | no more |\n<!-- end -->"
    )
    mended = make_docs.with_tables(page)

    assert "| `name` | text | required | the file |" in mended
    assert "| `sha256` | text | required |  |" in mended
    assert "gone" not in mended
