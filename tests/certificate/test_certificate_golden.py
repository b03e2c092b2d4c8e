"""The bytes of a page stay what they are while its template version stays, and compiling ahead doesn't change them.

Old certificates are compared byte for byte with what this version renders, so a page of template N may never change
once a version with template N was released. Before the first release, and whenever TEMPLATE gets a new number, write
the digest that the failing test shows into golden/; after a release, give TEMPLATE the next number instead.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import certificate_samples as samples
import pytest

from gpuaccept.certificate import html, templates
from gpuaccept.data import Statement

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import compile_templates

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


def test_what_is_compiled_ahead_is_what_the_templates_say() -> None:
    made = compile_templates.compiled()
    assert compile_templates.TARGET.read_text(encoding="utf-8") == made, "run python scripts/compile_templates.py"


@pytest.mark.parametrize("name", STATEMENTS)
def test_jinja2_makes_the_same_page_of_the_templates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = rendered(STATEMENTS[name]())
    monkeypatch.setattr(templates.compiled, "DIGEST", "of other templates")
    monkeypatch.setattr(templates.compiled, "certificate", None)
    assert rendered(STATEMENTS[name]()) == ahead


@pytest.mark.parametrize(
    "text", ["{{ x|upper }}", "{% for a in x %}{% for a in a %}{% endfor %}{% endfor %}", "{% set a = 1 %}"]
)
def test_what_the_compiler_does_not_know_is_refused(text: str) -> None:
    body = templates.from_source().parse(text).body
    with pytest.raises(compile_templates.Unknown):
        compile_templates._statements(body, frozenset("x"), 0)
