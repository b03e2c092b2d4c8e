"""The page's templates: compiled ahead of time where that fits this jinja2, else from their source.

Compiling takes longer than all the rest of a page. The compiled modules are made by scripts/compile_templates.py and
used only where their stamp names this very version of jinja2 and these very templates, so that a page has the same
bytes either way.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from gpuaccept.bundled import bundled
from gpuaccept.certificate.words import visible

COMPILED = "compiled"
"""Folder of the compiled modules, beside the templates."""
STAMP = "stamp.txt"


@cache
def environment(ahead: bool = True) -> jinja2.Environment:
    """The environment that all pages are rendered in; with `ahead` False from the templates' source in any case."""
    folder = bundled("templates")
    fits = ahead and _stamped(folder) == stamp(folder)
    return _environment(jinja2.ModuleLoader(folder / COMPILED) if fits else jinja2.FileSystemLoader(folder))


def compile_into(target: Path) -> None:
    """Write the compiled modules and their stamp into a folder."""
    folder = bundled("templates")
    source = _environment(jinja2.FileSystemLoader(folder))
    source.compile_templates(target, zip=None, filter_func=lambda name: name.endswith(".j2"), ignore_errors=False)
    (target / STAMP).write_text(stamp(folder), encoding="utf-8")


def stamp(folder: Path) -> str:
    """Version of jinja2 and digest of the templates, on one line."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.j2")):
        source = path.read_bytes()
        digest.update(f"{path.name} {len(source)}\n".encode() + source)
    return f"jinja2 {jinja2.__version__} sha256:{digest.hexdigest()}\n"


def _stamped(folder: Path) -> str:
    try:
        return (folder / COMPILED / STAMP).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _shown(value: object) -> object:
    """What an expression in a template may print: text made safe, whole numbers, and what charts drew."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, jinja2.Undefined):
        return value
    raise TypeError(f"a template prints {type(value).__name__}: views hold only text and whole numbers")


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    return jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        newline_sequence="\n",
        keep_trailing_newline=True,
    )
