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
  }).join(" ") + (matchMedia("(prefers-color-scheme: dark)").matches ? " dark" : " light");
}</script>"""


pytestmark = pytest.mark.needs("chromium")


def browse(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the browser once, without a screen and without a network."""
    return subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'user'}",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize(
    ("made", "scheme"),
    [(samples.faulty, "dark"), (samples.missing_gpu, "light"), (lambda: samples.hostile("W" * 300), "light")],
)
def test_no_console_message_and_no_overflow_on_phone_and_desktop(made, scheme: str, tmp_path: Path) -> None:
    statement = made()
    (tmp_path / "page.html").write_bytes(html.render(statement, samples.envelope(statement)))
    (tmp_path / "frames.html").write_text(FRAMES, encoding="utf-8")
    colours = f"--blink-settings=preferredColorScheme={['dark', 'light'].index(scheme)}"
    run = browse(tmp_path, colours, "--window-size=1700,900", "--dump-dom", str(tmp_path / "frames.html"))
    assert "CONSOLE" not in run.stderr
    assert re.search(r"<title>([^<]*)</title>", run.stdout)[1] == f"0:0 0:0 {scheme}"


def test_paper_is_a4_and_a_node_fits_on_few_sheets(tmp_path: Path) -> None:
    statement = samples.faulty()
    (tmp_path / "page.html").write_bytes(html.render(statement, samples.envelope(statement)))
    browse(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", str(tmp_path / "page.html"))
    printed = (tmp_path / "page.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox \[([^\]]*)", printed)
    sizes = {tuple(round(float(side)) for side in box.split()[2:]) for box in boxes}
    assert sizes == {(595, 842)}
    assert 2 <= len(boxes) <= 14
