"""Nodes to a msgspec Struct, or every problem that stands in the way, in file order."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as inspect

from gpuaccept.errors import Problem, ProfileError
from gpuaccept.reading.yaml import ListNode, MappingNode, Node, Place, ScalarNode, join

T = TypeVar("T")
_EXTENDS = "extends"
"""The key by which a file takes from another what it does not say itself."""
Places = dict[str, Place]
"""Path of a value (`limits[3].minimum`) to where it was written."""

_Number = inspect.IntType | inspect.FloatType
_Sequence = inspect.VarTupleType | inspect.ListType | inspect.SetType | inspect.FrozenSetType
_SCALARS: Mapping[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (float, int),
    inspect.NoneType: (type(None),),
}


def convert(node: Node, type: type[T]) -> tuple[T, Places]:
    """The value of type `type` that a tree describes, and where each part of it was written.

    A whole number is accepted where a float is wanted; nothing else is converted. Raises ProfileError with every
    problem: unknown keys (with the nearest known one), missing keys, wrong types, values outside their bounds.
    """
    walker = _Walker()
    kind: Any = type
    plain = walker.value(node, _type_info(kind), "")
    if walker.problems:
        raise ProfileError(in_file_order(walker.problems))
    try:
        return msgspec.convert(plain, type=type), walker.places
    except msgspec.ValidationError as error:
        raise ProfileError((node.place.problem("", str(error)),)) from error


def wrong(value: Any, type: Any) -> str:
    """What the reader would say of a plain value (no mapping) where `type` is wanted; empty where it fits."""
    try:
        convert(_as_node(value), type)
    except ProfileError as error:
        return error.problems[0].text
    return ""


def _as_node(value: Any) -> Node:
    place = Place("", 0, 0)
    if isinstance(value, list | tuple):
        return ListNode(place, [_as_node(item) for item in value])
    return ScalarNode(place, value, str(value).lower() if isinstance(value, bool) else str(value))


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems as a reader of the files comes to them; the files in the order in which they first appear."""
    listed = list(dict.fromkeys(problems))
    files = list(dict.fromkeys(problem.file for problem in listed))
    return tuple(sorted(listed, key=lambda p: (files.index(p.file), p.line, p.column)))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` where one of the known words is near, else nothing."""
    found = difflib.get_close_matches(word[:120], list(known), n=1, cutoff=0.6)
    return _meant(found[0]) if found else ""


def _meant(word: str) -> str:
    return f"; did you mean {word}?"


def shown(node: Node) -> str:
    """A value as it is repeated in a message: escaped and short."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    if node.value is None:
        return "nothing"
    text = repr(node.value) if isinstance(node.value, str) else node.raw
    return text if len(text) <= 60 else f"{text[:57]}..."


@functools.cache
def _type_info(type: Any) -> inspect.Type:
    return inspect.type_info(type)


@functools.cache
def _fields(cls: Any) -> dict[str, inspect.Field]:
    info = _type_info(cls)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field for field in info.fields}


class _Walker:
    """Goes through nodes and types side by side, and collects problems instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places: Places = {}

    def value(self, node: Node, wanted: inspect.Type, path: str) -> Any:
        """The plain value of a node. What is wrong with it is added to `problems`."""
        self.places[path] = node.place
        if isinstance(wanted, inspect.Metadata):
            return self.value(node, wanted.type, path)
        if isinstance(wanted, inspect.UnionType):
            return self._union(node, wanted, path)
        if isinstance(wanted, inspect.StructType):
            return self._struct(node, wanted, path)
        if isinstance(wanted, inspect.DictType):
            return self._dict(node, wanted, path)
        if isinstance(wanted, _Sequence | inspect.TupleType):
            return self._list(node, wanted, path)
        if isinstance(wanted, inspect.LiteralType | inspect.EnumType):
            return self._choice(node, wanted, path)
        if isinstance(wanted, inspect.AnyType):
            return self._any(node)
        return self._scalar(node, wanted, path)

    def _say(self, node: Node, path: str, text: str) -> None:
        self.problems.append(node.place.problem(path, text))

    def _struct(self, node: Node, wanted: inspect.StructType, path: str) -> Any:
        if not isinstance(node, MappingNode):
            self._say(node, path, f"must be a mapping (key: value); found {shown(node)}")
            return None
        fields = _fields(wanted.cls)
        out = {}
        misspelt = set()
        for key, (place, child) in node.items.items():
            below = join(path, key)
            field = fields.get(key)
            if field is None:
                hint = nearest(key, fields)
                misspelt.add(hint)
                self.problems.append(place.problem(below, f"unknown key{hint}"))
            else:
                out[key] = self.value(child, field.type, below)
        missing = [key for key, field in fields.items() if field.required and key not in node.items]
        # what a misspelt `extends` would have brought is not missing
        if missing and _meant(_EXTENDS) not in misspelt:
            said = f"the key {missing[0]} is" if len(missing) == 1 else f"the keys {', '.join(missing)} are"
            hint = f" (or {_EXTENDS}, which brings them)" if _EXTENDS in fields.keys() - node.items.keys() else ""
            self._say(node, path, f"{said} missing{hint if len(missing) > 1 else ''}")
        return out

    def _dict(self, node: Node, wanted: inspect.DictType, path: str) -> Any:
        if not isinstance(node, MappingNode):
            self._say(node, path, f"must be a mapping (key: value); found {shown(node)}")
            return None
        out = {}
        for key, (place, child) in node.items.items():
            below = join(path, key)
            self.value(ScalarNode(place, key, key), wanted.key_type, below)
            out[key] = self.value(child, wanted.value_type, below)
        return out

    def _list(self, node: Node, wanted: inspect.Type, path: str) -> Any:
        if not isinstance(node, ListNode):
            self._say(node, path, f"must be a list (- item); found {shown(node)}")
            return None
        count = len(node.items)
        if isinstance(wanted, inspect.TupleType):
            types: tuple[inspect.Type, ...] = wanted.item_types
            if len(types) != count:
                self._say(node, path, f"must have {_count(len(types), 'item')}; found {count}")
                return None
        else:
            assert isinstance(wanted, _Sequence)
            types = (wanted.item_type,) * count
            if wanted.min_length is not None and count < wanted.min_length:
                self._say(node, path, f"must have at least {_count(wanted.min_length, 'item')}; found {count}")
            if wanted.max_length is not None and count > wanted.max_length:
                self._say(node, path, f"must have at most {_count(wanted.max_length, 'item')}; found {count}")
        return [
            self.value(item, kind, f"{path}[{index}]")
            for index, (item, kind) in enumerate(zip(node.items, types, strict=True))
        ]

    def _choice(self, node: Node, wanted: inspect.LiteralType | inspect.EnumType, path: str) -> Any:
        values: list[Any] = (
            list(wanted.values) if isinstance(wanted, inspect.LiteralType) else [item.value for item in wanted.cls]
        )
        if isinstance(node, ScalarNode) and any(node.value == v and type(node.value) is type(v) for v in values):
            return node.value
        known = ", ".join('""' if v == "" else str(v) for v in values)
        hint = nearest(node.raw, [v for v in values if isinstance(v, str)]) if isinstance(node, ScalarNode) else ""
        one = f"must be {known}" if len(values) == 1 else f"must be one of {known}"
        self._say(node, path, f"{one}; found {shown(node)}{hint}")
        return None

    def _union(self, node: Node, wanted: inspect.UnionType, path: str) -> Any:
        options = [option.type if isinstance(option, inspect.Metadata) else option for option in wanted.types]
        for option in options:
            if self._fits(node, option, exact=True):
                return self.value(node, option, path)
        for option in options:
            if self._fits(node, option, exact=False):
                return self.value(node, option, path)
        known = list(dict.fromkeys(_words(option) for option in options if not isinstance(option, inspect.NoneType)))
        self._say(node, path, f"must be {' or '.join(known)}; found {shown(node)}")
        return None

    @staticmethod
    def _fits(node: Node, option: inspect.Type, exact: bool) -> bool:
        """Whether a node has the shape of one member of a union, so that its own problems are the ones to report."""
        if isinstance(option, inspect.AnyType):
            return True
        if isinstance(node, ListNode):
            return isinstance(option, _Sequence | inspect.TupleType)
        if isinstance(node, MappingNode):
            if isinstance(option, inspect.StructType) and option.tag_field is not None:
                return node.text(option.tag_field) == option.tag
            return isinstance(option, inspect.DictType | inspect.StructType)
        if isinstance(option, inspect.LiteralType):
            return node.value in option.values if exact else isinstance(node.value, str)
        allowed = _SCALARS.get(type(option), ())
        return type(node.value) in (allowed[:1] if exact else allowed)

    def _any(self, node: Node) -> Any:
        if isinstance(node, ListNode):
            return [self._any(item) for item in node.items]
        if isinstance(node, MappingNode):
            return {key: self._any(child) for key, (_, child) in node.items.items()}
        return node.value

    def _scalar(self, node: Node, wanted: inspect.Type, path: str) -> Any:
        allowed = _SCALARS.get(type(wanted), ())
        if not isinstance(node, ScalarNode) or type(node.value) not in allowed:
            hint = ""
            if isinstance(wanted, inspect.StrType) and isinstance(node, ScalarNode) and node.value is not None:
                hint = f'; write it in quotes: "{node.raw}"' if len(node.raw) <= 60 else "; write it in quotes"
            self._say(node, path, f"must be {_words(wanted)}; found {shown(node)}{hint}")
            return None
        if isinstance(wanted, _Number):
            return self._number(node, wanted, path)
        if isinstance(wanted, inspect.StrType):
            self._text(node, wanted, path)
        return node.value

    def _number(self, node: ScalarNode, wanted: _Number, path: str) -> Any:
        value = node.value
        assert isinstance(value, int | float)
        bounds = (
            ("at least", wanted.ge, wanted.ge is not None and value < wanted.ge),
            ("more than", wanted.gt, wanted.gt is not None and value <= wanted.gt),
            ("at most", wanted.le, wanted.le is not None and value > wanted.le),
            ("less than", wanted.lt, wanted.lt is not None and value >= wanted.lt),
        )
        missed = [f"{word} {bound:g}" for word, bound, broken in bounds if broken and bound is not None]
        if missed:
            self._say(node, path, f"must be {' and '.join(missed)}; found {shown(node)}")
        elif wanted.multiple_of is not None and value % wanted.multiple_of:
            self._say(node, path, f"must be a multiple of {wanted.multiple_of:g}; found {shown(node)}")
        return float(value) if isinstance(wanted, inspect.FloatType) else value

    def _text(self, node: ScalarNode, wanted: inspect.StrType, path: str) -> None:
        text = str(node.value)
        if wanted.min_length is not None and len(text) < wanted.min_length:
            self._say(node, path, f"must have at least {_count(wanted.min_length, 'character')}; found {shown(node)}")
        elif wanted.max_length is not None and len(text) > wanted.max_length:
            self._say(node, path, f"must have at most {_count(wanted.max_length, 'character')}; found {len(text)}")
        elif wanted.pattern is not None and not re.search(wanted.pattern, text):
            self._say(node, path, f"must match {wanted.pattern}; found {shown(node)}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _words(wanted: inspect.Type) -> str:
    """A type in words for people."""
    if isinstance(wanted, inspect.LiteralType):
        return f"one of {', '.join(str(value) for value in wanted.values)}"
    if isinstance(wanted, inspect.DictType | inspect.StructType):
        return "a mapping"
    if isinstance(wanted, _Sequence | inspect.TupleType):
        return "a list"
    return {
        inspect.StrType: "text",
        inspect.BoolType: "true or false",
        inspect.IntType: "a whole number",
        inspect.FloatType: "a number",
        inspect.NoneType: "nothing",
    }.get(type(wanted), "something else")
