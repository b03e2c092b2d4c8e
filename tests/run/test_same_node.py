"""Whether a node is still the one that a run began on."""

from __future__ import annotations

import msgspec
import pytest

from gpuaccept.acceptance import Request, run_node
from gpuaccept.data import NodeFacts
from gpuaccept.device.open import DeviceSpec
from gpuaccept.errors import UsageError
from gpuaccept.profile.load import load_profile
from gpuaccept.run.journal import Begin
from gpuaccept.run.resume import check_same


@pytest.fixture(scope="module")
def begin() -> Begin:
    """The first entry of a run, without a journal."""
    spec = DeviceSpec(device="mock:hgx-b200")
    request = Request(profile=load_profile("hgx-b200"), spec=spec, plan="quick", in_process=True)
    evidence = run_node(request).statement.predicate.evidence
    return Begin(
        run_id=evidence.run_id,
        started_at=evidence.started_at,
        simulated=evidence.simulated,
        profile=evidence.profile,
        profile_layers=evidence.profile_layers,
        plan=evidence.plan,
        node=evidence.node,
        environment=evidence.environment,
        checks=evidence.checks,
    )


def with_node(begin: Begin, **changes: object) -> Begin:
    return msgspec.structs.replace(begin, node=msgspec.structs.replace(begin.node, **changes))


def test_the_same_node_goes_on(begin: Begin) -> None:
    check_same(begin, msgspec.structs.replace(begin, run_id="another", started_at="2027-01-01T00:00:00Z"))


def swapped(node: NodeFacts) -> tuple[object, ...]:
    first, second, *rest = node.gpus
    return (
        msgspec.structs.replace(first, uuid=second.uuid),
        msgspec.structs.replace(second, uuid=first.uuid),
        *rest,
    )


def test_the_same_node_goes_on_after_a_boot(begin: Begin) -> None:
    check_same(begin, with_node(begin, boot_id="new"))


def test_another_node_and_another_gpu_are_refused(begin: Begin) -> None:
    for changes, why in (
        ({"serial": "CH-1"}, "this is .*serial CH-1"),
        ({"host": "other"}, "this is other"),
        ({"driver_version": "999.1"}, "this is 999.1"),
        ({"gpus": swapped(begin.node)}, "GPU 0 was .* when the run began, and is"),
        ({"gpus": (msgspec.structs.replace(begin.node.gpus[0], serial="1"), *begin.node.gpus[1:])}, "GPU 0 .* is 1"),
        ({"gpus": begin.node.gpus[:7]}, "began with 8 GPUs, 7 are found now"),
    ):
        with pytest.raises(UsageError, match=why):
            check_same(begin, with_node(begin, **changes))
