"""The certificate as one HTML file: a view of a record that carries the record, rendered to the same bytes anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from markupsafe import Markup

from gpuaccept.bundled import bundled
from gpuaccept.certificate.findings import DETAILED
from gpuaccept.certificate.templates import fill
from gpuaccept.certificate.view import Page, page
from gpuaccept.data import Statement
from gpuaccept.errors import EvidenceError
from gpuaccept.judge import estimates

TEMPLATE = "1"
"""Version of templates, style and views. Any change of the bytes that they give needs a new one."""
PAGE_LIMIT_BYTES = 64 << 20
"""Largest page that `extract` reads."""

_OPEN = b'<script type="application/vnd.gpuaccept.record+json" id="gpuaccept-record">\n'
_CLOSE = b"\n</script>"
_INERT = bytes(byte for byte in range(ord(" "), ord("~") + 1) if byte != ord("<"))
"""Printable ASCII without `<`: an envelope is made of nothing else, and it can't end the block or begin another."""
_META_OPEN = b'<meta name="gpuaccept-template"'
_META = re.compile(rb' content="([0-9]{1,4})">\n<meta name="gpuaccept-language" content="([a-z]{2})">')


def render(statement: Statement, envelope: bytes) -> bytes:
    """The page of a record, UTF-8. The same record gives the same bytes, whatever the locale, time zone or machine.

    Raises EvidenceError for bytes that are no envelope.
    """
    if not _inert(envelope):
        raise EvidenceError("the record holds characters that no envelope has", "ask its sender for record.json")
    view = page(statement, envelope, estimates(statement.predicate.evidence))
    style, paper = _style(), _paper(view)
    text = fill(
        p=view,
        template=TEMPLATE,
        detailed=DETAILED,
        style=Markup(style),
        paper=Markup(paper),
        hashes=Markup(" ".join(f"'sha256-{_csp_hash(sheet)}'" for sheet in (style, paper))),
        envelope=Markup(envelope.decode("ascii")),
    )
    return text.encode("utf-8")


def extract(data: bytes) -> tuple[bytes, str, str]:
    """(envelope, template version, language) of a page, by exact byte markers. Raises EvidenceError.

    No HTML parser: two parsers can read one page in two ways, and then the one who looks sees another record.
    """
    if len(data) > PAGE_LIMIT_BYTES:
        raise EvidenceError("the page is larger than 64 MiB", "ask its sender for record.json")
    blocks, marks = data.count(_OPEN), data.count(b'id="gpuaccept-record"')
    if blocks != 1 or marks != 1:
        raise EvidenceError(
            f"the page holds {max(blocks, marks)} record blocks where exactly one is expected",
            "ask its sender for the page as it was written, or for record.json",
        )
    start = data.index(_OPEN) + len(_OPEN)
    end = data.find(_CLOSE, start)
    if end < 0:
        raise EvidenceError("the page is cut short: its record block has no end", "ask its sender for the whole file")
    envelope = data[start:end]
    if not _inert(envelope):
        raise EvidenceError("the page's record block is not one line of a record", "ask its sender for record.json")
    metas = [found for after in data.split(_META_OPEN)[1:] if (found := _META.match(after))]
    if len(metas) != 1:
        raise EvidenceError("the page does not name one template and language", "ask its sender for record.json")
    template, language = metas[0].groups()
    return envelope, template.decode("ascii"), language.decode("ascii")


def _inert(envelope: bytes) -> bool:
    return bool(envelope) and not envelope.translate(None, _INERT)


@cache
def _style() -> str:
    sheet = re.sub(r"/\*.*?\*/", "", (bundled("templates") / "style.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    return "".join(line.strip() for line in sheet.splitlines())


def _paper(view: Page) -> str:
    """Page boxes: `string()` is not supported by browsers, so title and id are written into the rule."""
    simulated = '"SIMULATED"' if view.simulated else "none"
    return (
        "@page{size:A4;margin:17mm 14mm 16mm;"
        f'@top-left{{content:"{_css(view.title)}"}}'
        f"@top-center{{content:{simulated};font-weight:bold;font-size:10pt;color:#15191d}}"
        f'@top-right{{content:"{_css(view.certificate_id)}"}}'
        '@bottom-left{content:"gpuaccept"}@bottom-right{content:"page " counter(page) " of " counter(pages)}}'
        "@page:first{margin-top:10mm;@top-left{content:none}@top-center{content:none}@top-right{content:none}}"
    )


def _css(text: str) -> str:
    """Only what can't end a CSS string or a style element."""
    return re.sub(r"[^A-Za-z0-9 ._·-]", "", text)[:80]


def _csp_hash(sheet: str) -> str:
    return base64.b64encode(hashlib.sha256(sheet.encode("utf-8")).digest()).decode("ascii")
