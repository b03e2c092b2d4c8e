"""What an author writes: the two kinds of profile file, before their layers are merged."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gpuaccept.data import Cohort, Name, Text, Value


class Removal(Value, frozen=True, kw_only=True):
    """An inherited `observe` limit that does not apply, and why; the reason is printed with the profile's notes."""

    limit: Name
    reason: Annotated[str, Meta(min_length=1, max_length=250)]


class CohortForm(Cohort, frozen=True, kw_only=True):
    """A cohort of a site. With `extends` (a hardware profile) only what differs is written."""

    extends: Text = ""
    remove: tuple[Removal, ...] = ()


class HardwareForm(CohortForm, frozen=True, kw_only=True):
    """A file of kind hardware: one cohort, complete (or extending another hardware file), and runnable by itself."""

    kind: Literal["hardware"]
    hardware: Literal[""] = ""
    """Not written: a hardware file is its own hardware."""
    version: Annotated[str, Meta(max_length=40)]
    title: Text
    notes: tuple[Text, ...] = ()


class SiteForm(Value, frozen=True, kw_only=True):
    """A file of kind site: who and where, and the cohorts. With `extends` (a site or hardware) only what differs."""

    kind: Literal["site"]
    name: Name
    version: Annotated[str, Meta(max_length=40)]
    title: Text
    extends: Text = ""
    site: Text = ""
    operator: Text = ""
    country: Annotated[str, Meta(max_length=2)] = ""
    notes: tuple[Text, ...] = ()
    cohorts: Annotated[tuple[CohortForm, ...], Meta(min_length=1)]
