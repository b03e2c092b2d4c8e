"""JSON Schemas of what authors write and of what a profile resolves to, from the same types that read them."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuaccept.data import Profile
from gpuaccept.profile.forms import HardwareForm, SiteForm

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def authored() -> dict[str, Any]:
    """For editors: a file of kind hardware or site. With `extends`, only what names the file is required."""
    forms, components = msgspec.json.schema_components((HardwareForm, SiteForm), ref_template="#/$defs/{name}")
    for name in ("HardwareForm", "SiteForm"):
        _relax(components[name])
    components["HardwareForm"]["properties"].pop("hardware")
    # A cohort may be complete, extend a hardware profile, or change a cohort of the site below: the reader decides.
    components["CohortForm"]["required"] = ["name"]
    return {"$schema": DIALECT, "title": "gpuaccept profile, as written", "oneOf": list(forms), "$defs": components}


def resolved() -> dict[str, Any]:
    """A resolved profile, as it stands in a record."""
    return {"$schema": DIALECT, **msgspec.json.schema(Profile)}


def _relax(component: dict[str, Any]) -> None:
    always = ["kind", "name"]
    rest = [name for name in component["required"] if name not in always]
    component["required"] = always
    component["if"] = {"not": {"required": ["extends"]}}
    component["then"] = {"required": rest}
