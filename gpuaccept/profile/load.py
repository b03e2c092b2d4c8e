"""A profile by name or path: read, its layers merged, typed, and digested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gpuaccept.data import Cohort, Layer, Profile
from gpuaccept.errors import ProfileError
from gpuaccept.profile.forms import CohortForm, HardwareForm, SiteForm
from gpuaccept.profile.layers import Resolver, find, names
from gpuaccept.reading.convert import Places, convert, in_file_order
from gpuaccept.reading.yaml import Place

__all__ = ["LoadedProfile", "load_profile", "names"]


@dataclass(frozen=True, eq=False)
class LoadedProfile:
    """A resolved profile, the files it was resolved from (base first), and where each of its values was written.

    Each is itself alone, so what was found out about one can be kept by it.
    `places` maps a path such as `cohorts[0].limits[3].minimum` to its place. A path that is missing is a default.
    """

    profile: Profile
    layers: tuple[Layer, ...]
    places: Mapping[str, Place]

    @property
    def origins(self) -> dict[str, str]:
        """Path to `file:line`."""
        return {path: str(place) for path, place in self.places.items()}


def load_profile(name_or_path: str) -> LoadedProfile:
    """The resolved profile. With a `/` or .yaml it is a file, else the name of one that comes with gpuaccept.

    Raises ProfileError with every problem, each with file:line:column where there is one.
    """
    source = find(name_or_path)
    resolver = Resolver()
    tree = resolver.resolve(source)
    problems = list(resolver.problems)
    hardware = tree.text("kind") == "hardware"
    form: HardwareForm | SiteForm
    try:
        form, places = convert(tree, HardwareForm) if hardware else convert(tree, SiteForm)
    except ProfileError as error:
        raise ProfileError(in_file_order([*problems, *error.problems])) from None
    if problems:
        raise ProfileError(in_file_order(problems))
    if isinstance(form, HardwareForm):
        profile = Profile(
            name=form.name,
            version=form.version,
            title=form.title,
            notes=(*form.notes, *_removals(form)),
            cohorts=(_cohort(form, form.name),),
        )
        places = _below_cohort(places)
    else:
        profile = Profile(
            name=form.name,
            version=form.version,
            title=form.title,
            site=form.site,
            operator=form.operator,
            country=form.country,
            notes=(*form.notes, *(note for cohort in form.cohorts for note in _removals(cohort))),
            cohorts=tuple(_cohort(cohort, cohort.hardware) for cohort in form.cohorts),
        )
    return LoadedProfile(profile, tuple(resolver.layers.values()), places)


def _cohort(form: CohortForm, hardware: str) -> Cohort:
    fields = {name: getattr(form, name) for name in Cohort.__struct_fields__}
    return Cohort(**{**fields, "hardware": hardware})


def _removals(form: CohortForm) -> tuple[str, ...]:
    return tuple(f"{form.name}: the limit {one.limit} was removed: {one.reason}" for one in form.remove)


def _below_cohort(places: Places) -> Places:
    """Paths of a hardware file as those of the one cohort of its profile."""
    own = {"kind", "version", "title", "notes", "name"}
    out = {}
    for path, place in places.items():
        first = re.split(r"[.\[]", path, maxsplit=1)[0]
        if not first or first in own:
            out[path] = place
        if first and first not in own - {"name"}:
            out[f"cohorts[0].{path}"] = place
    if "name" in places:
        out["cohorts[0].hardware"] = places["name"]
    return out
