"""A healthy node of which not all was measured: the findings say so, and blame neither the node nor its parts."""

from __future__ import annotations

from functools import cache

import pytest
from msgspec.structs import replace

from gpuaccept.acceptance import Request, judge_node
from gpuaccept.ambient import Fixed
from gpuaccept.data import Evidence, Judgement
from gpuaccept.device.open import DeviceSpec
from gpuaccept.judge import judge
from gpuaccept.profile.load import load_profile


@cache
def measured(*only: str) -> tuple[Evidence, Judgement]:
    spec = DeviceSpec(device="mock:hgx-b200", seed=1)
    request = Request(profile=load_profile("de-industrial-ai-cloud"), spec=spec, only=only, in_process=True)
    return judge_node(request, Fixed(seed=1))


def test_one_check_alone_asks_for_the_others_and_for_no_setting() -> None:
    _, judgement = measured("nvlink")
    lead = judgement.findings[0]

    assert (lead.result, lead.cause, lead.action) == ("inconclusive", "tool", "measure again")
    assert lead.title.endswith("does not count: host was left out")
    assert lead.reason.startswith("does not count: other_processes.alone was not measured (left out by --only)")
    assert {(one.part.subject, one.cause, one.action) for one in judgement.findings} == {
        ("node", "tool", "measure again")
    }
    memory = {"memory_bandwidth", "memory_integrity", "host_bandwidth"}
    assert len(judgement.findings) == 1 + len({"inventory", "ecc", "pcie", *memory}) + 2


@pytest.mark.parametrize("made", range(0, 32, 3))
def test_a_stop_at_any_step_is_one_finding(made: int) -> None:
    evidence, _ = measured()
    steps = tuple(
        one if place < made else replace(one, outcome="interrupted" if place == made else "not_reached", failures=())
        for place, one in enumerate(evidence.steps)
    )
    kept = {(one.check, one.visit, one.look) for one in steps[:made]}
    # what is derived from series is a column of the first visit, also of a soak that was cut short
    columns = tuple(c for c in evidence.columns if (c.metric.partition(".")[0], c.visit, c.look) in kept)
    why = "interrupted by Ctrl-C"
    judgement = judge(replace(evidence, steps=steps, columns=columns, complete=False, incomplete_reason=why))

    assert judgement.decision == "not decided"
    assert [(one.limit, one.value) for one in judgement.findings] == [("run.steps", float(made))]
