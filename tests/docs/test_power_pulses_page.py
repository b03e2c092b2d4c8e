"""The page about power pulses shows the profile that comes with gpuaccept, filled in."""

from __future__ import annotations

import re

from docs_pages import DOCS, ROOT, blocks

EXAMPLE = ROOT / "profiles" / "examples" / "power-pulses.yaml"


def test_the_page_shows_the_bundled_profile_with_a_name_in_it() -> None:
    (block,) = (one for one in blocks(DOCS / "how-to" / "run-power-pulses.md") if one.file == EXAMPLE.name)

    assert re.sub('agreed_by: ".+"', 'agreed_by: ""', block.text) == EXAMPLE.read_text(encoding="utf-8")
    assert block.text != EXAMPLE.read_text(encoding="utf-8")
