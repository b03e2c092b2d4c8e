"""The page in a browser: nothing is refused by its own policy, nothing is fetched, nothing is wider than the screen."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import certificate_samples as samples
import pytest

from gpuaccept.certificate import html

FRAMES = """<!doctype html><meta charset="utf-8"><title>waiting</title>
<iframe src="page.html" width="390" height="800"></iframe><iframe src="page.html" width="1280" height="800"></iframe>
<script>onload = () => {
  document.title = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument;
    const wide = [...page.querySelectorAll("body *")].filter(e =>
      e.getBoundingClientRect().right > page.documentElement.clientWidth + 1
      && !e.closest(".scroll,.tile-id,pre,.sr,.watermark"));
    return page.documentElement.scrollWidth - page.documentElement.clientWidth + ":" + wide.length;
  }).join(" ");
}</script>"""


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("made", [samples.faulty, samples.missing_gpu, lambda: samples.hostile("W" * 300)])
def test_no_console_message_and_no_overflow_on_phone_and_desktop(made, tmp_path: Path) -> None:
    statement = made()
    (tmp_path / "page.html").write_bytes(html.render(statement, samples.envelope(statement)))
    (tmp_path / "frames.html").write_text(FRAMES, encoding="utf-8")
    run = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'user'}",
            "--window-size=1700,900",
            "--dump-dom",
            str(tmp_path / "frames.html"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in run.stderr
    assert re.search(r"<title>([^<]*)</title>", run.stdout)[1] == "0:0 0:0"
