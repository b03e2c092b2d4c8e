"""YAML text to a tree of nodes that know their file, line and column.

YAML 1.2 core types only (`yes` is text, `1e3` a number). Refused, with their place: tabs, aliases and anchors, tags,
directives, duplicate keys, more than one document, numbers that are not finite, nesting beyond 32, more than 1 MB.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from gpuaccept.errors import Problem, ProfileError

LIMIT_BYTES = 1_000_000
LIMIT_DEPTH = 32
LIMIT_INTEGER = 2**63

Plain = None | bool | int | float | str

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
# Line breaks of YAML 1.1 other than CR and LF are refused too: editors count lines without them.
_CONTROL = re.compile("[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written. Line and column count from 1; line 0 means the file as a whole."""

    file: str
    line: int
    column: int

    def problem(self, path: str, text: str) -> Problem:
        """A problem at this place."""
        return Problem(file=self.file, line=self.line, column=self.column, path=path, text=text)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class ScalarNode:
    """A text, number, truth value or nothing. `raw` is what was written, without quotes."""

    place: Place
    value: Plain
    raw: str


@dataclass(slots=True)
class ListNode:
    """A sequence of nodes."""

    place: Place
    items: list[Node]


@dataclass(slots=True)
class MappingNode:
    """Key to (place of the key, value). Keys are text as written: `1:` and `"1":` are the same key."""

    place: Place
    items: dict[str, tuple[Place, Node]]

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        entry = self.items.get(key)
        return entry[1] if entry else None

    def text(self, key: str) -> str | None:
        """The value of a key where it is a text, else None."""
        node = self.get(key)
        return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else None


Node = ScalarNode | ListNode | MappingNode


def read_bytes(path: Path, file: str) -> bytes:
    """A file's bytes, at most LIMIT_BYTES. `file` is its name in messages. Raises ProfileError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise _whole(file, "there is no such file") from None
    except IsADirectoryError:
        raise _whole(file, "is a directory; name a file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _whole(file, f"can't be read: {reason}") from None
    if len(data) > LIMIT_BYTES:
        raise _whole(file, f"is larger than {LIMIT_BYTES // 1_000_000} MB")
    return data


def parse_bytes(data: bytes, file: str) -> Node:
    """The tree of a file's bytes. Raises ProfileError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _whole(file, f"is not UTF-8 text (byte {error.start} is 0x{data[error.start]:02x})") from None
    return parse(text, file)


def parse(text: str, file: str) -> Node:
    """The tree of one YAML document. Raises ProfileError with every problem that the reader could still find."""
    if len(text) > LIMIT_BYTES:
        raise _whole(file, f"is larger than {LIMIT_BYTES // 1_000_000} MB")
    text = text.removeprefix("\ufeff")
    _refuse_characters(text, file)
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 0, 0)
        said = " ".join(part for part in (error.context, error.problem) if part)
        builder.problems.append(place.problem("", f"is not YAML here: {said}"))
    except yaml.YAMLError as error:
        builder.problems.append(Place(file, 0, 0).problem("", f"is not YAML: {error}"))
    if builder.problems:
        raise ProfileError(tuple(builder.problems))
    if builder.root is None or (isinstance(builder.root, ScalarNode) and builder.root.value is None):
        raise _whole(file, "is empty")
    return builder.root


def _whole(file: str, text: str) -> ProfileError:
    return ProfileError((Problem(file=file, line=0, column=0, path="", text=text),))


def _refuse_characters(text: str, file: str) -> None:
    found = _CONTROL.search(text)
    if found is None:
        return
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
    if found.group() == "\t":
        said = "a tab; YAML is indented with spaces (inside a text write \\t in double quotes)"
    else:
        said = f"the character U+{ord(found.group()):04X}, which can't stand in a text file; is this a binary file?"
    raise ProfileError((Place(file, line, column).problem("", said),))


class _Builder:
    """Puts parser events together: a stack instead of recursion, so that no input can exhaust it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[ListNode | MappingNode] = []
        self._keys: list[tuple[str, Place] | None] = []
        self._paths: list[str] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file, 0, 0)
        if isinstance(event, yaml.AliasEvent):
            self._fatal(place, f"the alias *{event.anchor}; write the value out, or use extends")
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._fatal(place, f"the anchor &{event.anchor}; anchors are not used here, extends is the tool")
        tag = getattr(event, "tag", None)
        if tag:
            shown = tag.replace("tag:yaml.org,2002:", "!!", 1)
            self._fatal(place, f"the tag {shown[:60]!r}; tags are not read (put a text in quotes instead)")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._fatal(place, "a second document; one file holds one")
            if event.version or event.tags:
                self._fatal(place, "a directive; leave lines that start with % out")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin(ListNode(place, []))
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin(MappingNode(place, {}))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
            self._paths.pop()

    def _fatal(self, place: Place, text: str) -> None:
        raise ProfileError((*self.problems, place.problem("", text)))

    def _begin(self, node: ListNode | MappingNode) -> None:
        if len(self._open) >= LIMIT_DEPTH:
            self._fatal(node.place, f"is nested deeper than {LIMIT_DEPTH} levels")
        if self._open and isinstance(self._open[-1], MappingNode) and self._keys[-1] is None:
            self._fatal(node.place, "a key must be a text, not a list or a mapping")
        path = self._path()
        self._put(node)
        self._open.append(node)
        self._keys.append(None)
        self._paths.append(path)

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        top = self._open[-1] if self._open else None
        if isinstance(top, MappingNode) and self._keys[-1] is None:
            key = event.value
            if key == "<<" and event.implicit[0]:
                self._fatal(place, "the merge key <<; write the values out, or use extends")
            self._keys[-1] = (key, place)
            return
        plain = event.implicit[0]
        value: Plain = event.value
        if plain:
            try:
                value = _resolve(event.value)
            except ValueError as error:
                self.problems.append(place.problem(self._path(), str(error)))
        self._put(ScalarNode(place, value, event.value))

    def _put(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if isinstance(top, ListNode):
            top.items.append(node)
            return
        entry = self._keys[-1]
        assert entry is not None
        key, place = entry
        if key in top.items:
            first = top.items[key][0].line
            self.problems.append(place.problem(self._path(), f"given twice; first on line {first}"))
        else:
            top.items[key] = (place, node)
        self._keys[-1] = None

    def _path(self) -> str:
        """Of the value that comes next."""
        if not self._open:
            return ""
        top, entry = self._open[-1], self._keys[-1]
        if isinstance(top, ListNode):
            return f"{self._paths[-1]}[{len(top.items)}]"
        return join(self._paths[-1], entry[0]) if entry else self._paths[-1]


def join(path: str, key: str) -> str:
    """`path.key`, where a key that is no plain word is quoted and shortened: keys are as hostile as values."""
    shown = key if re.fullmatch(r"[A-Za-z0-9_.\-]{1,80}", key) else repr(key[:40])
    return f"{path}.{shown}" if path else shown


def _resolve(text: str) -> Plain:
    """A plain scalar by the core schema of YAML 1.2 (chapter 10.3.2)."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("is too large a number")
        return value
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    return text


def _integer(text: str) -> int:
    if len(text) > 40:
        raise ValueError("is too large a whole number")
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    value = int(text if base == 10 else text[2:], base)
    if not -LIMIT_INTEGER <= value < LIMIT_INTEGER:
        raise ValueError("is too large a whole number")
    return value
