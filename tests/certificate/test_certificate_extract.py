"""What `extract` takes out of a page, and what it refuses."""

from __future__ import annotations

import certificate_samples as samples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept.certificate import html
from gpuaccept.errors import EvidenceError

OPEN = b'<script type="application/vnd.gpuaccept.record+json" id="gpuaccept-record">\n'


@pytest.fixture(scope="module")
def made() -> tuple[bytes, bytes]:
    statement = samples.interrupted()
    envelope = samples.envelope(statement)
    return html.render(statement, envelope), envelope


def test_a_page_gives_back_the_very_bytes_of_its_record(made: tuple[bytes, bytes]) -> None:
    page, envelope = made
    assert html.extract(page) == (envelope, html.TEMPLATE, "en")


def test_a_page_without_a_record_is_refused(made: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="0 record blocks"):
        html.extract(made[0].replace(OPEN, b"<script>"))


def test_a_page_with_two_records_is_refused(made: tuple[bytes, bytes]) -> None:
    page = made[0]
    block = page[page.index(OPEN) : page.rindex(b"</script>") + 9]
    with pytest.raises(EvidenceError, match="2 record blocks"):
        html.extract(page + block)


def test_a_second_block_in_another_spelling_is_refused(made: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="2 record blocks"):
        html.extract(made[0] + b'<SCRIPT TYPE=x id="gpuaccept-record">AAAA</SCRIPT>')


@pytest.mark.parametrize("spoilt", [b"", b"{}\n", b"{}\n{}", b"<", b'{"a":"<b>"}', b"\x00", b"\t", "ÄÄÄÄ".encode()])
def test_a_block_that_is_no_line_of_a_record_is_refused(made: tuple[bytes, bytes], spoilt: bytes) -> None:
    page = made[0]
    start, end = page.index(OPEN) + len(OPEN), page.rindex(b"\n</script>")
    with pytest.raises(EvidenceError, match="not one line"):
        html.extract(page[:start] + spoilt + page[end:])


def test_a_page_cut_short_is_refused(made: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="cut short"):
        html.extract(made[0][: made[0].index(OPEN) + len(OPEN) + 100])


def test_a_page_without_template_version_is_refused(made: tuple[bytes, bytes]) -> None:
    with pytest.raises(EvidenceError, match="template"):
        html.extract(made[0].replace(b'"gpuaccept-template"', b'"template"'))


def test_a_page_that_is_too_large_is_refused() -> None:
    with pytest.raises(EvidenceError, match="larger"):
        html.extract(bytes(html.PAGE_LIMIT_BYTES + 1))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        html.extract(data)
