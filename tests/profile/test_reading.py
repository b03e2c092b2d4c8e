"""The strict YAML reader: core types, places, and a sentence for everything that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from gpuaccept import reading
from gpuaccept.errors import ProfileError
from gpuaccept.profile.forms import HardwareForm, SiteForm
from gpuaccept.reading.convert import convert
from gpuaccept.reading.yaml import ListNode, ScalarNode, parse, parse_bytes


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something nested."""

    unit: Literal["GB/s", "MHz"]
    value: Annotated[float, Meta(ge=0, le=100)] | None = None


class Outer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of each kind of field."""

    name: Annotated[str, Meta(max_length=8, pattern="^[a-z]+$")]
    count: Annotated[int, Meta(ge=1)] = 1
    on: bool = False
    mixed: float | int | str | bool = 0
    inner: tuple[Inner, ...] = ()
    named: dict[str, float] = {}


def problems(text: str, type: type = Outer) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        reading.read_text(text, "x.yaml", type)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("true", True),
        ("1e3", 1000.0),
        ("1.0e3", 1000.0),
        ("12:30:45", "12:30:45"),
        ("017", 17),
        ("0x10", 16),
        ("0o17", 15),
        ("2026-11-24", "2026-11-24"),
        ("1_000", "1_000"),
        ("~", None),
        ("-.5", -0.5),
        ('"8"', "8"),
        ("580.95.05", "580.95.05"),
    ],
)
def test_plain_values_have_the_types_of_yaml_1_2(written: str, value: object) -> None:
    root = parse(f"- {written}", "x.yaml")

    assert isinstance(root, ListNode)
    node = root.items[0]
    assert isinstance(node, ScalarNode)
    assert (type(node.value), node.value) == (type(value), value)


def test_a_whole_number_serves_as_a_number_and_nothing_else_is_converted() -> None:
    value = reading.read_text("name: a\nmixed: yes\ninner: [{unit: MHz, value: 3}]\nnamed: {1: 2}", "x.yaml", Outer)

    assert value == Outer(name="a", mixed="yes", inner=(Inner(unit="MHz", value=3.0),), named={"1": 2.0})
    assert type(value.inner[0].value) is float


def test_every_problem_is_found_at_once_in_file_order() -> None:
    found = problems(
        "nmae: abc\ncount: eight\non: yes\n"
        "inner:\n  - unit: GB/S\n    value: 101\n  - vlaue: 3\nnamed: [1]\nmixed: {}\n"
    )

    assert found == [
        "x.yaml:1:1: nmae: unknown key; did you mean name?",
        "x.yaml:1:1: the key name is missing",
        "x.yaml:2:8: count: must be a whole number; found 'eight'",
        "x.yaml:3:5: on: must be true or false; found 'yes'",
        "x.yaml:5:11: inner[0].unit: must be one of GB/s, MHz; found 'GB/S'; did you mean GB/s?",
        "x.yaml:6:12: inner[0].value: must be at most 100; found 101",
        "x.yaml:7:5: inner[1].vlaue: unknown key; did you mean value?",
        "x.yaml:7:5: inner[1]: the key unit is missing",
        "x.yaml:8:8: named: must be a mapping (key: value); found a list",
        "x.yaml:9:8: mixed: must be a number or a whole number or text or true or false; found a mapping",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x.yaml: is empty"),
        ("# only a comment\n", "x.yaml: is empty"),
        ("- 1\n", "x.yaml:1:1: must be a mapping (key: value); found a list"),
        ("just text", "x.yaml:1:1: must be a mapping (key: value); found 'just text'"),
        ("name: a\ncount: 1\nname: b\n", "x.yaml:3:1: name: given twice; first on line 1"),
        ("inner:\n\t- a\n", "x.yaml:2:1: a tab; YAML is indented with spaces"),
        ("name: a\tb\n", "x.yaml:1:8: a tab"),
        ("name: &a x\n", "x.yaml:1:7: the anchor &a"),
        ("name: *a\n", "x.yaml:1:7: the alias *a"),
        ("name: !!python/object/apply:os.system [ls]\n", "x.yaml:1:7: the tag '!!python/object/apply:os.system'"),
        ("name: !x a\n", "x.yaml:1:7: the tag '!x'"),
        ("name: !!str 1\n", "x.yaml:1:7: the tag '!!str'"),
        ("<<: {a: 1}\n", "x.yaml:1:1: the merge key <<"),
        ("count: .inf\n", "x.yaml:1:8: count: .inf is not a finite number"),
        ("count: .NaN\n", "x.yaml:1:8: count: .NaN is not a finite number"),
        ("named: {a: 1e999}\n", "named.a: is too large a number"),
        ("count: " + "9" * 30 + "\n", "count: is too large a whole number"),
        ("count: " + "9" * 5000 + "\n", "count: is too large a whole number"),
        ("name: a\n---\nname: b\n", "x.yaml:2:1: a second document"),
        ("%YAML 1.1\n---\nname: a\n", "a directive"),
        ("name: [a\n", "is not YAML here"),
        ("name: a: b\n", "x.yaml:1:8: is not YAML here"),
        ("{[1]: 2}\n", "a key must be a text"),
        ("? {a: 1}\n: 2\n", "a key must be a text"),
        ("name: " + "[" * 40 + "]" * 40, "is nested deeper than 32 levels"),
        ("[" * 100_000, "nest"),
        ("name: a\x00b", "the character U+0000, which can't stand in a text file"),
        ("name: a\x85b", "the character U+0085"),
        ("name: \ud800", "the character U+D800"),
        ("a" * 1_000_001, "is larger than 1 MB"),
        ("name: ABC\n", "name: must match ^[a-z]+$; found 'ABC'"),
        ("name: abcdefghi\n", "name: must have at most 8 characters; found 9"),
        ("name: 8\n", 'name: must be text; found 8; write it in quotes: "8"'),
        ("name: a\nname\u202e: 1\n", "'name\\u202e': unknown key"),
    ],
)
def test_what_is_refused_is_refused_in_a_sentence(text: str, said: str) -> None:
    assert said in "\n".join(problems(text))


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))

    assert problems(bomb) == ["x.yaml:1:4: the anchor &a; anchors are not used here, extends is the tool"]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is a directory; name a file"),
        (lambda path: path.write_bytes(b"\x7fELF\x02\x01\xff\xfe"), "is not UTF-8 text (byte 6 is 0xff)"),
        (lambda path: path.write_bytes(b"\x89PNG"), "is not UTF-8 text (byte 0 is 0x89)"),
        (lambda path: path.write_bytes(b"a" * 1_000_001), "is larger than 1 MB"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.symlink_to(path), "can't be read: Too many levels of symbolic links"),
    ],
)
def test_files_that_can_not_be_read(tmp_path: Path, prepare, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.yaml"
    prepare(path)

    with pytest.raises(ProfileError) as caught:
        reading.read_file(path, Outer)

    assert str(caught.value) == f"{path}: {said}"


def test_a_path_with_a_null_byte_is_an_error_of_the_user() -> None:
    with pytest.raises(ProfileError, match="null byte"):
        reading.read_file(Path("a\0b.yaml"), Outer)


def test_a_byte_order_mark_and_windows_lines_are_read() -> None:
    root = parse_bytes("\ufeffname: a\r\ncount: 3\r\n".encode(), "x.yaml")

    assert convert(root, Outer)[0] == Outer(name="a", count=3)


def test_every_value_knows_its_place() -> None:
    _, places = convert(parse("name: a\ninner:\n  - {unit: MHz,\n     value: 3}\n", "x.yaml"), Outer)

    assert str(places["inner[0].value"]) == "x.yaml:4"
    assert places["inner[0].value"].column == 13


WORDS = st.sampled_from(
    [
        "kind: site\n",
        "name: a\n",
        "limits:\n",
        "- ",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "&a ",
        "*a",
        "!!str ",
        "| \n",
        "? ",
    ]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map("".join))


@settings(max_examples=150)
@given(TEXTS)
def test_no_text_gives_anything_but_a_profile_error(text: str) -> None:
    for type in (Outer, SiteForm, HardwareForm):
        try:
            reading.read_text(text, "x.yaml", type)
        except ProfileError as error:
            assert error.problems


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_profile_error(data: bytes) -> None:
    try:
        convert(parse_bytes(data, "x.yaml"), SiteForm)
    except ProfileError as error:
        assert error.problems
