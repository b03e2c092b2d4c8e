"""Compiles the certificate's templates ahead of time into templates/compiled; run it after any change of a template."""

from __future__ import annotations

import shutil

from gpuaccept.bundled import bundled
from gpuaccept.certificate.templates import COMPILED, compile_into


def main() -> None:
    """Replace the compiled modules by new ones."""
    target = bundled("templates") / COMPILED
    shutil.rmtree(target, ignore_errors=True)
    compile_into(target)
    print(f"{len(list(target.glob('*.py')))} templates compiled into {target}")


if __name__ == "__main__":
    main()
