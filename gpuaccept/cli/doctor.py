"""`gpuaccept doctor`: what does this node lack for a run?"""

from __future__ import annotations

import click

from gpuaccept.cli.output import emit, format_option, safe
from gpuaccept.errors import EXIT_ACCEPTED, EXIT_NOT_DECIDED


@click.command()
@format_option
def doctor(output: str) -> int:
    """Say what this node lacks for a run.

    Looks at packages, driver, device nodes, GPUs, their modes and processes, fabric manager and state directory, and
    changes nothing. Exit code: 0 ready, 3 not.
    """
    from gpuaccept.device.doctor import examine, ready
    from gpuaccept.record.node_key import default_directory

    examined = examine(default_directory())
    is_ready = ready(examined)
    if output == "json":
        emit("doctor", {"ready": is_ready, "examined": [one._asdict() for one in examined]})
    else:
        for one in examined:
            click.echo(safe(f"{one.status:8} {one.name}: {one.text}"))
            if one.remedy:
                click.echo(safe(f"         -> {one.remedy}"))
        click.echo("ready for a run" if is_ready else "not ready for a run")
    return EXIT_ACCEPTED if is_ready else EXIT_NOT_DECIDED
