"""Checks x faults from a run of all faults: made once, stored with the checks, and shown only while it still holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from gpuaccept import __version__
from gpuaccept.bundled import bundled
from gpuaccept.device.fault import PULSES as PULSES_CHECK
from gpuaccept.device.open import DeviceSpec, Fault, simulated
from gpuaccept.errors import UsageError
from gpuaccept.profile.digest import digest as profile_digest
from gpuaccept.profile.load import LoadedProfile, load_profile
from gpuaccept.proof import SEED, Shown, can_have, show
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.plan import AGREED_BY

SETUPS = {"mock:hgx-b200": "de-industrial-ai-cloud", "mock:gb200-nvl72": "gb200-nvl72"}
"""Device and profile: a fault is tried on the first that can have it. The second has liquid, C2C and a Grace."""
PLAN = "acceptance"
PULSES = bundled("profiles") / "examples" / "power-pulses.yaml"
PULSES_DEVICE, PULSES_PLAN = "mock:hgx-b200", "pulses"
"""Power pulses are in no plan of `SETUPS`, since nobody agreed to them there. To simulated ones nobody need."""
AGREED_IN_SIMULATION = "nobody: simulated nodes alone, 2026"
STORED = bundled("checks") / "matrix.json"
AGAIN = "`gpuaccept checks matrix --run` makes it anew, in about a minute"


class Matrix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row a fault, and what it was made from."""

    gpuaccept_version: str
    plan: str
    seed: int
    digest: str
    """sha256 over what was tried: see `digest_of`."""
    rows: tuple[Shown, ...]

    def caught(self, check: str) -> tuple[str, ...]:
        """Faults that a check caught."""
        return tuple(row.fault for row in self.rows if check in row.caught_by)


def digest_of(checks: Mapping[str, LoadedCheck]) -> str:
    """sha256 over gpuaccept's version, the checks' sources, the profiles and the simulated hardware of a matrix."""
    parts = [__version__, PLAN, str(SEED)]
    parts += [f"{name} {one.sha256}" for name, one in sorted(checks.items())]
    for device, profile in SETUPS.items():
        found = simulated(DeviceSpec(device=device))
        parts.append(f"{device} {found.digest if found else ''} {profile_digest(load_profile(profile).profile)}")
    parts.append(f"{PULSES_PLAN} {profile_digest(pulses_profile().profile)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def pulses_profile() -> LoadedProfile:
    """The bundled example of a profile with power pulses, agreed to for simulated nodes."""
    loaded = load_profile(str(PULSES))
    (cohort,) = loaded.profile.cohorts
    plan = cohort.plans[PULSES_PLAN]
    steps = tuple(
        replace(step, parameters={**step.parameters, AGREED_BY: AGREED_IN_SIMULATION})
        if step.check == PULSES_CHECK
        else step
        for step in plan.steps
    )
    cohort = replace(cohort, plans={**cohort.plans, PULSES_PLAN: replace(plan, steps=steps)})
    return LoadedProfile(replace(loaded.profile, cohorts=(cohort,)), loaded.layers, loaded.places)


def try_one(fault: Fault) -> Shown:
    """One fault on the first hardware that can have it. Raises UsageError where none can."""
    if fault.needs_agreement:
        return show(pulses_profile(), fault, PULSES_DEVICE, PULSES_PLAN)
    for device, profile in SETUPS.items():
        if can_have(device, fault):
            return show(load_profile(profile), fault, device, PLAN)
    raise UsageError(f"no hardware of the matrix can have the fault {fault.name}", "add one that can to its set-ups")


def whole(rows: tuple[Shown, ...], checks: Mapping[str, LoadedCheck]) -> Matrix:
    """A matrix of rows that were just made."""
    return Matrix(gpuaccept_version=__version__, plan=PLAN, seed=SEED, digest=digest_of(checks), rows=rows)


def stored() -> Matrix:
    """The matrix that comes with gpuaccept. Raises UsageError where there is none that can be read."""
    try:
        return msgspec.json.decode(STORED.read_bytes(), type=Matrix)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{STORED}: no matrix is stored there: {error}", AGAIN) from error


def fitting(checks: Mapping[str, LoadedCheck]) -> Matrix:
    """The stored matrix. Raises UsageError where it was made with other checks, profiles or another version."""
    found = stored()
    if found.digest != digest_of(checks):
        raise UsageError(
            f"the stored matrix is of gpuaccept {found.gpuaccept_version} with other checks, profiles or hardware "
            f"(digest {found.digest[:12]}) than those here: it says nothing of them",
            AGAIN,
        )
    return found


def encoded(matrix: Matrix) -> bytes:
    """As it is stored."""
    return msgspec.json.format(msgspec.json.encode(matrix), indent=1) + b"\n"
