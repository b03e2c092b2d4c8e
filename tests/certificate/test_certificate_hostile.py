"""Names, serials and reasons from a hostile node do nothing on the page and on the terminal but stand there."""

from __future__ import annotations

import re
import unicodedata

import certificate_samples as samples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaccept.certificate import html, text
from gpuaccept.certificate.words import visible

ATTACKS = {
    "markup": "</script></style><img src=x onerror=alert(1)>",
    "template": "{{7*7}}{% include 'x' %}",
    "bidi": "abc\u202edef\u2066\u2069\u200f",
    "invisible": "a\u200bb\u00adc\ufeffd\u2060",
    "terminal": "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n",
    "private": "\ue000\U000f0000",
    "attribute": '" onmouseover="alert(1)" x="',
    "entity": "&lt;script&gt;&#x202e;",
    "css": '"}body{display:none}@import "x";</style>',
    "second record": (
        'x</p><script type="application/vnd.gpuaccept.record+json" id="gpuaccept-record">\nAAAA\n</script>'
    ),
    "long": "A" * 4000,
    "combining": "e" + "\u0301" * 50,
}


@pytest.fixture(scope="module", params=ATTACKS)
def attack(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    made = samples.hostile(ATTACKS[request.param])
    return ATTACKS[request.param], html.render(made, samples.envelope(made)).decode(), text.summary(made)


def test_the_page_keeps_its_tags(attack: tuple[str, str, str]) -> None:
    page = attack[1]
    calm = samples.hostile("calm")
    expected = html.render(calm, samples.envelope(calm)).decode()

    def tags(source: str) -> list[str]:
        return re.findall(r"</?[a-zA-Z][^\s/>]*", source)

    assert tags(page) == tags(expected)
    assert page.count("<script") == 1 and "<img" not in page and "onerror=alert(1)>" not in page
    assert not re.search(r"<[^>]*\son[a-z]+=", re.sub(r'"[^"]*"', '""', page))


def test_its_record_is_still_the_only_one(attack: tuple[str, str, str]) -> None:
    made = samples.hostile(attack[0])
    assert html.extract(attack[1].encode())[0] == samples.envelope(made)


def test_no_character_hides_or_turns_the_text(attack: tuple[str, str, str]) -> None:
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    for shown in attack[1:]:
        assert not {c for c in shown.replace("\n", "") if unicodedata.category(c) in hidden}


def test_nothing_is_computed_from_it(attack: tuple[str, str, str]) -> None:
    if "7*7" in attack[0]:
        assert "{{7*7}}" in attack[1]


def test_no_text_is_longer_than_its_limit(attack: tuple[str, str, str]) -> None:
    assert "A" * 500 not in attack[1] and "A" * 500 not in attack[2]


@settings(max_examples=300)
@given(st.text())
def test_visible_text_is_visible_and_stays_so(raw: str) -> None:
    shown = visible(raw)
    assert len(shown) <= 12 * 401
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    assert unicodedata.is_normalized("NFC", shown) or len(raw) > 300


def test_what_is_hidden_is_named() -> None:
    assert visible("a\u202eb\x1b") == "a\\u{202E}b\\u{001B}"
