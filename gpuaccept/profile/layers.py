"""`extends`: layers of profile files, merged as trees, so that every value still knows the file and line it came from.

A layer replaces `limits` by id, `metrics` and `plans` by name, `cohorts` by name (each of them merged in turn), and
everything else whole. A required limit can be replaced, also by one that only observes, but never removed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from gpuaccept.bundled import bundled
from gpuaccept.data import Layer
from gpuaccept.errors import Problem, ProfileError
from gpuaccept.reading.convert import nearest, shown
from gpuaccept.reading.yaml import ListNode, MappingNode, Node, Place, ScalarNode, parse_bytes, read_bytes

FOLDERS = ("hardware", "sites")
LIMIT_LAYERS = 16

_BY_NAME = ("metrics", "plans")
_OF_THE_FILE = ("kind", "version", "title", "notes", "extends")


@dataclass(frozen=True)
class Source:
    """One file to read: where it is, and what it is called in messages."""

    path: Path
    shown: str


@dataclass
class Resolver:
    """Reads a file and all that it extends. `layers` lists each file once, the base first."""

    layers: dict[str, Layer] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def resolve(self, source: Source, chain: tuple[Source, ...] = ()) -> MappingNode:
        """The merged tree of a file. Raises ProfileError where nothing can be merged at all."""
        data = read_bytes(source.path, source.shown)
        root = parse_bytes(data, source.shown)
        if not isinstance(root, MappingNode):
            raise _stop(root.place, "", f"a profile is a mapping (kind: …, name: …); found {shown(root)}")
        kind = root.text("kind")
        if kind not in ("hardware", "site"):
            kind_node = root.get("kind")
            said = f"must be hardware or site; found {shown(kind_node)}" if kind_node else "the key kind is missing"
            hint = nearest(kind, ("hardware", "site")) if kind else ""
            raise _stop((kind_node or root).place, "kind" if kind_node else "", said + hint)
        chain = (*chain, source)
        self._unique(root, "limits", "id")
        self._unique(root, "cohorts", "name")
        base = self._base(root, source, chain, ("hardware",) if kind == "hardware" else ("hardware", "site"))
        if kind == "hardware":
            merged = self._merge_cohort(base, root) if base else root
        else:
            merged = self._site(base, root, source, chain)
        name = Path(source.shown).name
        self.layers.setdefault(source.shown, Layer(name=name, sha256=hashlib.sha256(data).hexdigest()))
        return merged

    def _base(
        self, node: MappingNode, source: Source, chain: tuple[Source, ...], kinds: tuple[str, ...]
    ) -> MappingNode | None:
        """What a file or cohort extends, or None where it extends nothing."""
        written = node.get("extends")
        if written is None:
            return None
        if not isinstance(written, ScalarNode) or not isinstance(written.value, str) or not written.value:
            raise _stop(written.place, "extends", f"must be the name or path of a profile; found {shown(written)}")
        target = _target(written.value, source, written.place)
        known = [one.path.resolve() for one in chain]
        if target.path.resolve() in known:
            loop = " → ".join(Path(one.shown).name for one in (*chain, target))
            raise _stop(written.place, "extends", f"the profiles extend each other in a loop: {loop}")
        if len(chain) >= LIMIT_LAYERS:
            raise _stop(written.place, "extends", f"more than {LIMIT_LAYERS} layers")
        try:
            base = self.resolve(target, chain)
        except ProfileError as error:
            if all(problem.line == 0 for problem in error.problems):
                said = "; ".join(f"{problem.file} {problem.text}" for problem in error.problems)
                raise _stop(written.place, "extends", said) from None
            raise
        if base.text("kind") not in kinds:
            raise _stop(written.place, "extends", f"{written.value} is not a {' or '.join(kinds)} profile")
        return base

    def _site(
        self, base: MappingNode | None, root: MappingNode, source: Source, chain: tuple[Source, ...]
    ) -> MappingNode:
        if base is not None and base.text("kind") == "hardware":
            base = _as_site(base)
        inherited = {name: one for one in _entries(base, "cohorts") if (name := one.text("name"))}
        written = root.get("cohorts")
        if written is not None and not isinstance(written, ListNode):
            return _overlay(base, root)
        cohorts: dict[str, Node] = dict(inherited)
        notes: list[Node] = list(_list(base, "notes")) + list(_list(root, "notes"))
        for index, entry in enumerate(written.items if written else ()):
            if not isinstance(entry, MappingNode):
                cohorts[f"[{index}]"] = entry
                continue
            name = entry.text("name")
            hardware = self._base(entry, source, chain, ("hardware",))
            if hardware is not None:
                below = _as_cohort(hardware)
                below.items.pop("name", None)  # a cohort has its own, or an error
                cohorts[name or f"[{index}]"] = self._merge_cohort(below, entry)
                notes += _list(hardware, "notes")
            elif name is None:
                cohorts[f"[{index}]"] = entry
            elif name in inherited:
                cohorts[name] = self._merge_cohort(inherited[name], entry)
            elif base is not None:
                place = entry.items["name"][0]
                said = f"{base.text('name')} has no cohort {name}{nearest(name, inherited)}"
                self.problems.append(place.problem(f"cohorts[{index}].name", f"{said} A new cohort needs extends"))
            else:
                cohorts[name] = entry
        merged = _overlay(base, root)
        place = written.place if written else merged.place
        if written or cohorts:
            merged.items["cohorts"] = (place, ListNode(place, list(cohorts.values())))
        if notes and all(isinstance(_get(layer, "notes"), ListNode | None) for layer in (base, root)):
            merged.items["notes"] = (notes[0].place, ListNode(notes[0].place, _distinct(notes)))
        return merged

    def _merge_cohort(self, base: MappingNode, over: MappingNode) -> MappingNode:
        """`over` on `base`: limits by id, metrics and plans by name, the rest whole."""
        merged = _overlay(base, over)
        for key in _BY_NAME:
            below, above = base.get(key), over.get(key)
            if isinstance(below, MappingNode) and isinstance(above, MappingNode):
                merged.items[key] = (over.items[key][0], MappingNode(above.place, {**below.items, **above.items}))
        below, above = base.get("limits"), over.get("limits")
        removed = self._removed(base, over)
        if isinstance(below, ListNode) and isinstance(above, ListNode | None):
            limits: dict[str, Node] = {}
            for index, item in enumerate([*below.items, *(above.items if above else ())]):
                name = item.text("id") if isinstance(item, MappingNode) else None
                limits[name or f"[{index}]"] = item
            place = (above or below).place
            merged.items["limits"] = (place, ListNode(place, [v for k, v in limits.items() if k not in removed]))
        both = [*_list(base, "remove"), *_list(over, "remove")]
        if both and isinstance(over.get("remove"), ListNode | None):
            merged.items["remove"] = (both[0].place, ListNode(both[0].place, both))
        return merged

    def _removed(self, base: MappingNode, over: MappingNode) -> set[str]:
        known = {name: one for one in _entries(base, "limits") if (name := one.text("id"))}
        removed = set()
        for index, entry in enumerate(_entries(over, "remove")):
            name, path = entry.text("limit"), f"remove[{index}].limit"
            if name is None:
                continue
            if name not in known:
                said = f"no limit of this id is inherited{nearest(name, known)}"
                self.problems.append(entry.place.problem(path, said))
            elif known[name].text("effect") != "observe":
                said = "only an observe limit can be removed; replace this one by the same id with effect: observe"
                self.problems.append(entry.place.problem(path, f"{said}, so that its misses are still shown"))
            else:
                removed.add(name)
        return removed

    def _unique(self, node: MappingNode, key: str, identity: str) -> None:
        """Entries of a list must differ in their id or name; cohorts are looked into as well."""
        seen: dict[str, int] = {}
        for index, entry in enumerate(_list(node, key)):
            if not isinstance(entry, MappingNode):
                continue
            name = entry.text(identity)
            if name is not None and name in seen:
                said = f"{shown(entry.items[identity][1])} is given twice; first on line {seen[name]}"
                self.problems.append(entry.items[identity][1].place.problem(f"{key}[{index}].{identity}", said))
            elif name is not None:
                seen[name] = entry.items[identity][1].place.line
            if key == "cohorts":
                self._unique(entry, "limits", "id")


def names() -> tuple[str, ...]:
    """Names of all profiles that come with gpuaccept: hardware first, then sites."""
    return tuple(path.stem for folder in FOLDERS for path in sorted((bundled("profiles") / folder).glob("*.yaml")))


def find(name_or_path: str, beside: Path | None = None, shown_beside: str = "") -> Source:
    """The file that a name or path means. A path has a `/` or ends in .yaml; it is relative to `beside`.

    Raises ProfileError for a name that no bundled profile has.
    """
    if "/" in name_or_path or name_or_path.endswith(".yaml"):
        path = Path(name_or_path)
        if beside is None or path.is_absolute():
            return Source(path, name_or_path)
        return Source(beside / path, str(Path(shown_beside) / path))
    for folder in FOLDERS:
        path = bundled("profiles") / folder / f"{name_or_path}.yaml"
        if "\0" not in name_or_path and path.is_file():
            return Source(path, f"profiles/{folder}/{path.name}")
    known = ", ".join(names())
    said = f"no profile of this name comes with gpuaccept{nearest(name_or_path, names())}"
    said += f"; known: {known}; a file is named with a / or .yaml"
    raise ProfileError((Problem(file=repr(name_or_path[:80]), line=0, column=0, path="", text=said),))


def _target(written: str, source: Source, place: Place) -> Source:
    try:
        return find(written, source.path.parent, str(Path(source.shown).parent))
    except ProfileError as error:
        raise _stop(place, "extends", error.problems[0].text) from None


def _stop(place: Place, path: str, text: str) -> ProfileError:
    return ProfileError((place.problem(path, text),))


def _overlay(base: MappingNode | None, over: MappingNode) -> MappingNode:
    """A new mapping: the keys of `over`, then those of `base` that it lacks, in the order of `base`."""
    below = base.items if base else {}
    return MappingNode(over.place, {**{k: v for k, v in below.items() if k != "extends"}, **over.items})


def _as_cohort(hardware: MappingNode) -> MappingNode:
    """A hardware file as the base of a cohort: its name becomes the cohort's `hardware`."""
    items = {key: entry for key, entry in hardware.items.items() if key not in _OF_THE_FILE}
    if "name" in items:
        items["hardware"] = items["name"]
    return MappingNode(hardware.place, items)


def _as_site(hardware: MappingNode) -> MappingNode:
    """A hardware file as a site of one cohort, so that a layer can extend either."""
    cohort = _as_cohort(hardware)
    items = {key: entry for key, entry in hardware.items.items() if key in (*_OF_THE_FILE, "name")}
    items["cohorts"] = (hardware.place, ListNode(hardware.place, [cohort]))
    return MappingNode(hardware.place, items)


def _get(node: MappingNode | None, key: str) -> Node | None:
    return node.get(key) if node else None


def _list(node: MappingNode | None, key: str) -> list[Node]:
    value = _get(node, key)
    return value.items if isinstance(value, ListNode) else []


def _entries(node: MappingNode | None, key: str) -> list[MappingNode]:
    return [entry for entry in _list(node, key) if isinstance(entry, MappingNode)]


def _distinct(nodes: list[Node]) -> list[Node]:
    seen: dict[object, Node] = {}
    for index, node in enumerate(nodes):
        seen.setdefault(node.value if isinstance(node, ScalarNode) else index, node)
    return list(seen.values())
