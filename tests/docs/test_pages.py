"""Links lead somewhere, and no page names the machine that it was written on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_pages import DOCS, PAGES, ROOT, blocks, shown

_LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
_MENTIONED = re.compile(r"`((?:docs|scripts|profiles|checks|gpuaccept|tests|templates)/[\w./-]+\.\w+)`")
_HERE = [re.escape(f"{folder}/") for folder in (ROOT, ROOT.parent, Path.home()) if len(folder.parts) > 1]
_MACHINE = re.compile("|".join([*_HERE, r"/(?:root|tmp|mnt)/", r"/(?:home|Users)/\w"]))


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_prose(page)):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_files_that_are_named_exist(page: Path) -> None:
    assert not [name for name in _MENTIONED.findall(page.read_text(encoding="utf-8")) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", [*PAGES, *sorted(DOCS.rglob("*.yaml"))], ids=shown)
def test_no_page_names_a_path_of_the_machine_it_was_written_on(page: Path) -> None:
    found = [line for line in page.read_text(encoding="utf-8").splitlines() if _MACHINE.search(line)]

    assert not found


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(_prose(page))]
    assert not [shown(page) for page in DOCS.rglob("*.md") if page not in reached]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_code_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"", "sh", "text", "yaml", "python", "json"}
