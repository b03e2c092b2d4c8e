"""What the tests of documents share: the pages, and the code blocks in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"`([\w.-]+\.(?:yaml|py))`:\s*$")
_EXPECTED = re.compile(r"\s+# exit code (\d+)$")


class Block(NamedTuple):
    """A code block: its language, its text, and the file that the sentence before it says it is."""

    language: str
    text: str
    file: str


class Line(NamedTuple):
    """A command of a page: as it is typed, the exit code that the page says (None: not run), what it is to print."""

    command: str
    code: int | None
    output: str


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    out = []
    for match in _FENCE.finditer(text):
        named = _NAMED.search(text[: match.start()])
        out.append(Block(match[1], match[2], named[1] if named else ""))
    return out


def lines(page: Path) -> list[Line]:
    """Every command line; the block of language `text` that follows a block belongs to its last line."""
    out: list[Line] = []
    listed = blocks(page)
    for number, block in enumerate(listed):
        if block.language not in ("", "sh") or block.file:
            continue
        after = listed[number + 1] if number + 1 < len(listed) else None
        output = after.text if after and after.language == "text" else ""
        commands = [line.strip() for line in block.text.splitlines() if line.strip()]
        for place, line in enumerate(commands):
            expected = _EXPECTED.search(line)
            command = re.split(r"\s+# ", line)[0]
            code = int(expected[1]) if expected else None
            out.append(Line(command, code, output if place == len(commands) - 1 else ""))
    return out
