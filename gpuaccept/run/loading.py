"""Check files become checks: the bundled folder, and a folder that the site names, by the same loader."""

from __future__ import annotations

import hashlib
import importlib
import sys
import types
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpuaccept.bundled import bundled
from gpuaccept.check import Check, full_name
from gpuaccept.data import CheckFacts, MetricDeclaration
from gpuaccept.errors import UsageError

STATES = ("cold", "hot")


@dataclass(frozen=True)
class LoadedCheck:
    """A check, the file it came from, and its metrics in every state."""

    check: Check
    path: Path
    sha256: str
    declarations: tuple[MetricDeclaration, ...]

    def facts(self) -> CheckFacts:
        """What the record keeps of it."""
        return CheckFacts(
            name=self.check.name,
            purpose=self.check.purpose,
            source_sha256=self.sha256,
            metrics=self.declarations,
            series={f"{self.check.name}.{name}": unit for name, unit in self.check.series},
        )


def load_checks(extra: Path | None = None) -> dict[str, LoadedCheck]:
    """All checks by name: the bundled ones, then those of `extra`, which may add names but not replace any.

    Raises UsageError for a folder that is missing, a file that does not import, has no CHECK, or whose name is taken.
    """
    loaded = {one.check.name: one for one in _folder(bundled("checks"))}
    if extra is not None:
        if not extra.is_dir():
            raise UsageError(f"--checks {extra}: no such directory", "name a directory that holds check files")
        own = _folder(extra.resolve())
        if not own:
            raise UsageError(
                f"--checks {extra}: holds no check", "a check is a file NAME.py; one that begins with _ is none"
            )
        for one in own:
            if one.check.name in loaded:
                raise UsageError(
                    f"{one.path}: a check named {one.check.name} already exists at {loaded[one.check.name].path}",
                    "give the site's check another name",
                )
            loaded[one.check.name] = one
    return loaded


def declarations(checks: dict[str, LoadedCheck]) -> dict[str, MetricDeclaration]:
    """Every metric of every check by its complete name."""
    return {metric.name: metric for one in checks.values() for metric in one.declarations}


def _folder(folder: Path) -> list[LoadedCheck]:
    package = "gpuaccept_checks_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    if package not in sys.modules:
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    return [_file(package, path) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


@cache
def _file(package: str, path: Path) -> LoadedCheck:
    """Once in a process, as modules are: the digest is of what runs, also where the file is changed meanwhile."""
    try:
        module = importlib.import_module(f"{package}.{path.stem}")
    except (Exception, SystemExit) as error:  # any exception of a site's own file must be named with that file
        raise UsageError(
            f"{path}: can't be loaded as a check: {type(error).__name__}: {error}",
            "run `python FILE` to see where; docs/how-to/write-a-check.md has a working example",
        ) from error
    check = getattr(module, "CHECK", None)
    if not isinstance(check, Check):
        raise UsageError(f"{path}: has no CHECK", "end the file with CHECK = Check(...), or begin its name with _")
    return LoadedCheck(
        check=check,
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        declarations=_declare(check, path),
    )


def _declare(check: Check, path: Path) -> tuple[MetricDeclaration, ...]:
    units = dict(check.series)
    out = []
    for metric in check.metrics:
        if metric.reduction is not None and metric.series not in units:
            raise UsageError(
                f"{path}: metric {metric.name} is derived from {metric.series}, which is no series of the check",
                "add it to CHECK.series",
            )
        for state in STATES if metric.by_state else ("",):
            out.append(
                MetricDeclaration(
                    name=full_name(check.name, metric, state),
                    unit=metric.unit,
                    kind=metric.kind,
                    better=metric.better,
                    subject=metric.subject,
                    description=metric.description,
                    series=f"{check.name}.{metric.series}" if metric.series else "",
                    reduction=metric.reduction,
                    named_by=f"{check.name}.{metric.named_by}" if metric.named_by else "",
                    remedy=check.remedies.get(metric.name, ""),
                )
            )
    unknown = sorted(check.remedies.keys() - {metric.name for metric in check.metrics})
    if unknown:
        raise UsageError(f"{path}: remedies of {', '.join(unknown)}: no such metric", "name a metric of the check")
    names = [one.name for one in out]
    if len(names) != len(set(names)):
        raise UsageError(f"{path}: two metrics have one name", "metric names must differ")
    return tuple(out)
