"""Packing a record's columns loses nothing, has one form, and can't be used as a bomb."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept import columns
from gpuaccept.data import Column
from gpuaccept.errors import EvidenceError

scalars = st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
ranges = st.sampled_from(["gpu/0..7", "gpu/0..1", "gpu/0..7/link/0..17", "gpu/0..3>gpu/0..3", "gpu/0..71>gpu/0..71"])


@st.composite
def any_column(draw: st.DrawFn) -> Column:
    subjects = draw(st.just(("node",)) | ranges.map(columns.expand))
    subjects = draw(st.sampled_from([subjects, subjects[:3], subjects[::-1], subjects[1:] or subjects]))
    one = st.lists(scalars, min_size=1, max_size=3).map(tuple)
    same = draw(st.booleans())
    first = draw(one)
    samples = tuple(first if same else draw(one) if i < 20 else (float(i),) for i in range(len(subjects)))
    return Column(metric="a.b", visit=1, at_s=0.0, subjects=subjects, samples=samples)


@given(st.lists(any_column(), max_size=3))
def test_packing_loses_nothing(before: list[Column]) -> None:
    assert columns.unpack(columns.pack(before)) == tuple(before)


def test_all_links_of_a_node_are_one_word() -> None:
    subjects = tuple(f"gpu/{gpu}/link/{link}" for gpu in range(8) for link in range(18))
    [packed] = columns.pack([Column(metric="a.b", visit=1, at_s=0.0, subjects=subjects, samples=(("0",),) * 144)])

    assert packed.subjects == ("gpu/0..7/link/0..17",)
    assert packed.samples == (("0",),)


@pytest.mark.parametrize(
    ("subjects", "samples"),
    [
        (("gpu/0", "gpu/1"), ((1.0,), (2.0,))),  # must be written as a range
        (("gpu/0..1",), ((1.0,), (1.0,))),  # equal samples must be written once
        (("gpu/0..2",), ((1.0,), (2.0,))),
        (("node",), ()),
    ],
)
def test_a_second_spelling_is_refused(subjects: tuple[str, ...], samples: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(EvidenceError):
        columns.unpack([Column(metric="a.b", visit=1, at_s=0.0, subjects=subjects, samples=samples)])


@pytest.mark.parametrize("subject", ["gpu/0..999999", "gpu/0..07", "gpu/0..7/link/0..999", "gpu/1..7"])
def test_what_is_no_range_stands_for_itself(subject: str) -> None:
    assert columns.expand(subject) == (subject,)
