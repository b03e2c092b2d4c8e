"""The page: what stands on it, in which order, and that the same record gives the same bytes everywhere."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import certificate_samples as samples
import msgspec
import pytest

from gpuaccept.certificate import html, templates
from gpuaccept.data import KernelCode, NodeFacts, Statement
from gpuaccept.judge import judge

HERE = Path(__file__).parent


def page_of(made: Statement) -> str:
    return html.render(made, samples.envelope(made)).decode("utf-8")


@pytest.fixture(scope="module")
def healthy() -> str:
    return page_of(samples.healthy())


@pytest.fixture(scope="module")
def faulty() -> str:
    return page_of(samples.faulty())


def test_the_same_record_gives_the_same_bytes_in_another_locale_time_zone_and_hash_seed() -> None:
    script = (
        "import hashlib, certificate_samples as s; from gpuaccept.certificate import html; m = s.faulty(); "
        "print(hashlib.sha256(html.render(m, s.envelope(m))).hexdigest())"
    )
    digests = set()
    for change in (
        {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"},
        {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "2", "PYTHONUTF8": "0"},
    ):
        env = {**os.environ, **change, "PYTHONPATH": str(HERE)}
        run = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        digests.add(run.stdout)
    assert len(digests) == 1


def test_the_verdict_stands_first_then_failures_then_how_sure_then_what_is_not_proven(faulty: str) -> None:
    marks = ['id="verdict"', 'id="fs"', 'class="sure"', 'id="s1"', 'id="s2"', 'id="s3"', 'id="s4"', 'id="s5"']
    marks += ['id="s6"', 'id="s7"', 'id="sa"', 'id="gpuaccept-record"']
    places = [faulty.index(mark) for mark in marks]
    assert places == sorted(places)


def test_an_accepted_node_has_no_failure_sheet(healthy: str) -> None:
    assert 'id="fs"' not in healthy and "Accepted" in healthy


def test_every_finding_names_slot_serial_value_limit_cause_and_next_step(faulty: str) -> None:
    sheet = faulty[faulty.index('id="fs"') : faulty.index('class="s-sure"')]
    for text in ("SXM 4", "1654525100003", "5661", "≥ 5900 GB/s", "SXM 6", "1654525100005", "the supplier", "RMA"):
        assert text in sheet, text


def test_a_simulated_run_says_so_in_the_verdict_the_title_and_on_paper(healthy: str) -> None:
    assert "<small>SIMULATED</small>" in healthy
    assert '<body class="simulated">' in healthy and "<title>SIMULATED" in healthy
    assert '@top-center{content:"SIMULATED"' in healthy


def test_a_real_run_does_not_say_simulated() -> None:
    page = page_of(samples.healthy(simulated=False))
    body = page[page.index("<body") :]
    assert "SIMULATED" not in body and 'class="simulated"' not in body and "S1 of S4" in body


def test_only_an_acceptance_plan_issues_an_acceptance_certificate() -> None:
    assert "Acceptance certificate" in page_of(samples.healthy())
    page = page_of(samples.healthy(acceptance=False))
    assert "Acceptance certificate" not in page and "Test report · plan node" in page


def test_what_could_not_be_measured_is_shown() -> None:
    page = page_of(samples.missing_gpu())
    gaps = page[page.index("Planned and not measured") : page.index("Could be there")]
    assert "GPU is lost" in gaps and "no answer for 2 s" in gaps
    assert "no GPU found" in page and "SXM 5" in page


def test_a_run_that_measured_nothing_still_has_a_page() -> None:
    page = page_of(samples.interrupted())
    assert "Not decided" in page and "interrupted by Ctrl-C" in page and "not reached" in page


def test_a_run_that_was_stopped_shows_how_far_it_came() -> None:
    made = samples.interrupted()
    judgement = judge(made.predicate.evidence)
    assert [finding.limit for finding in judgement.findings] == ["run.steps"]
    page = page_of(
        msgspec.structs.replace(made, predicate=msgspec.structs.replace(made.predicate, judgement=judgement))
    )
    steps = len(made.predicate.evidence.plan.steps)
    assert f"0 of {steps} steps were made" in page and f"= {steps} steps" in page and "run.steps" in page


@pytest.mark.parametrize("gpus", [1, 2, 3, 4, 5, 7])
def test_nodes_of_any_size_have_a_page(gpus: int) -> None:
    page = page_of(samples.healthy(gpus=gpus))
    assert page.count('<li class="tile ') == gpus


def test_many_findings_are_listed_and_the_first_twelve_written_out() -> None:
    made = samples.faulty()
    findings = made.predicate.judgement.findings * 10
    judgement = msgspec.structs.replace(made.predicate.judgement, findings=findings)
    page = page_of(
        msgspec.structs.replace(made, predicate=msgspec.structs.replace(made.predicate, judgement=judgement))
    )
    assert page.count("<article") == 12 and "The other 8 findings" in page


def test_nothing_runs_nothing_is_fetched_and_no_style_attribute(faulty: str) -> None:
    assert len(re.findall(r"<script", faulty)) == 1
    assert not re.search(r"<[^>]*\sstyle\s*=", faulty)
    assert not re.search(r"<[^>]*\s(?:src|srcset|action|data|poster|background)\s*=", faulty)
    assert all(
        re.fullmatch("#(?:[gcsl]-[a-z0-9]+|r[0-9]+|s2)", target) for target in re.findall(r'\shref="([^"]*)"', faulty)
    )
    assert not re.search(r"<(?:link|iframe|object|embed|img|form|base)\b", faulty)
    assert "url(" not in faulty and "@import" not in faulty


def test_the_policy_names_the_hash_of_each_style(faulty: str) -> None:
    allowed = re.findall(r"'sha256-([^']+)'", faulty[: faulty.index("<style>")])
    sheets = re.findall(r"<style>(.*?)</style>", faulty, re.DOTALL)
    assert allowed == [base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode() for sheet in sheets]


def test_a_page_of_eight_gpus_is_small_and_quick(healthy: str) -> None:
    made = samples.faulty()
    envelope = samples.envelope(made)
    html.render(made, envelope)
    began = time.process_time()
    page = html.render(made, envelope)
    took = time.process_time() - began
    carried = len(base64.b64encode(envelope))
    assert len(page) - carried < 600_000 - 4 * (4 * 250_000 // 3) // 3  # what remains beside a payload of 250 kB
    assert took < 0.15


def test_every_template_text_goes_through_one_door() -> None:
    with pytest.raises(TypeError, match="float"):
        templates.from_source().from_string("{{ x }}").render(x=1.5)
    with pytest.raises(TypeError, match="float"):
        templates.compiled._ident(1.5)


@pytest.mark.needs("openssl")
def test_the_page_alone_is_enough_to_check_it_with_openssl(tmp_path: Path) -> None:
    """The recipe as the page prints it, run by a shell."""
    made = samples.faulty()
    envelope = samples.envelope(made)
    page = html.render(made, envelope)
    (tmp_path / "certificate.html").write_bytes(page)
    (tmp_path / "node.pub").write_text(samples.KEY.public.pem)
    block = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page.decode(), re.DOTALL)[1]
    commands = block.replace("&lt;", "<").replace("&gt;", ">")
    run = subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Signature Verified Successfully" in run.stdout
    assert hashlib.sha256(envelope).hexdigest() in run.stdout
    assert (tmp_path / "record.json").read_bytes() == envelope


def test_the_page_names_the_code_that_ran_on_the_gpus_and_a_record_without_it_stays_as_it_was(healthy: str) -> None:
    made = samples.healthy()
    codes = (
        KernelCode(file="stream.cu", architecture="sm_100", sha256="ab" * 32, made="shipped"),
        KernelCode(file="soak.cu", architecture="sm_110", sha256="cd" * 32, made="nvrtc"),
    )
    node = msgspec.structs.replace(made.predicate.evidence.node, kernels=codes)
    evidence = msgspec.structs.replace(made.predicate.evidence, node=node)
    page = page_of(msgspec.structs.replace(made, predicate=msgspec.structs.replace(made.predicate, evidence=evidence)))

    assert "stream.cu for sm_100, shipped" in page
    assert "soak.cu for sm_110, compiled on the node" in page
    assert "sha256 " + 8 * "ab" + "…" in page
    assert "GPU code" not in healthy
    assert b'"kernels"' not in msgspec.json.encode(made.predicate.evidence.node)
    assert msgspec.json.decode(msgspec.json.encode(node), type=NodeFacts) == node
