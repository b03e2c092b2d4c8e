"""The bytes of a page stay what they are while its template version stays, and compiling ahead doesn't change them.

Old certificates are compared byte for byte with what this version renders, so a page of template N may never change
once a version with template N was released. Before the first release, and whenever TEMPLATE gets a new number, write
the digest that the failing test shows into golden/; after a release, give TEMPLATE the next number instead.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import certificate_samples as samples
import jinja2
import pytest

from gpuaccept.bundled import bundled
from gpuaccept.certificate import html, templates
from gpuaccept.data import Statement

GOLDEN = Path(__file__).parent / "golden"
STATEMENTS = {"faulty": samples.faulty, "missing_gpu": samples.missing_gpu, "interrupted": samples.interrupted}
REMEDY = "if template {} was never released, the line is `{}`; if it was, give html.TEMPLATE the next number"


def without_record(page: bytes) -> bytes:
    """The page less its record block, which is not the template's doing."""
    start = page.index(b'id="gpuaccept-record">')
    return page[:start] + page[page.index(b"\n</script>", start) :]


def rendered(made: Statement) -> bytes:
    return html.render(made, b"the envelope has no part in this")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_page_of_this_template_has_the_bytes_that_it_always_had(name: str) -> None:
    digest = hashlib.sha256(without_record(rendered(STATEMENTS[name]()))).hexdigest()
    golden = (GOLDEN / f"template-{html.TEMPLATE}.txt").read_text(encoding="utf-8").splitlines()
    assert f"{name} {digest}" in golden, REMEDY.format(html.TEMPLATE, f"{name} {digest}")


def test_what_is_compiled_ahead_is_what_the_templates_say(tmp_path: Path) -> None:
    templates.compile_into(tmp_path)
    folder = bundled("templates") / templates.COMPILED
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    digest = there[templates.STAMP].split()[-1]
    assert digest == made[templates.STAMP].split()[-1], "templates changed: run python scripts/compile_templates.py"
    if there[templates.STAMP] == made[templates.STAMP]:
        assert there == made


def test_a_page_is_the_same_with_templates_from_their_source(monkeypatch: pytest.MonkeyPatch) -> None:
    made = samples.faulty()
    ahead = rendered(made)
    source = templates.environment(ahead=False)
    assert isinstance(source.loader, jinja2.FileSystemLoader)
    monkeypatch.setattr(html, "environment", lambda: source)
    assert rendered(made) == ahead


def test_another_jinja_takes_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja2, "__version__", "99.0")
    templates.environment.cache_clear()
    try:
        assert isinstance(templates.environment().loader, jinja2.FileSystemLoader)
    finally:
        templates.environment.cache_clear()
