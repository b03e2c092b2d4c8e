"""The page's templates: as Python where that was made from these very templates, else from their source by jinja2.

To import jinja2 and compile takes longer than all the rest of a page; a page has the same bytes either way.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from gpuaccept.bundled import bundled
from gpuaccept.certificate import compiled
from gpuaccept.certificate.words import shown

if TYPE_CHECKING:
    from jinja2 import Environment


def fill(**values: Any) -> str:
    """The page that the templates make of these values."""
    if digest() == compiled.DIGEST:
        return compiled.certificate(**values)
    return from_source().get_template("certificate.html.j2").render(**values)


@cache
def digest() -> str:
    """sha256 over all templates."""
    whole = hashlib.sha256()
    for path in sorted(bundled("templates").glob("*.j2")):
        source = path.read_bytes()
        whole.update(f"{path.name} {len(source)}\n".encode() + source)
    return whole.hexdigest()


@cache
def from_source() -> Environment:
    """jinja2's environment for the templates as they are written."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundled("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        newline_sequence="\n",
        keep_trailing_newline=True,
    )
