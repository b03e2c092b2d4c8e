"""The command `gpuaccept`: a table of commands that are imported when they are called."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from gpuaccept import __version__
from gpuaccept.errors import EXIT_BROKEN, EXIT_INTERRUPTED, EXIT_USAGE, GpuacceptError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

COMMANDS = {
    "run": "Measure this node, judge it, and issue a signed record and certificate.",
    "verify": "Check a record or certificate: signature, judgement, page.",
    "render": "Write another view of a record.",
    "profile": "List, show, check and compare profiles.",
    "checks": "List, show and prove checks, and the faults that each detects.",
    "doctor": "Say what this node lacks for a run.",
    "key": "Make and show signing keys.",
    "demo": "Accept a simulated node, from start to verified certificate.",
}
"""Name to one-line help. A test holds it equal to each command's own first line."""
_EXIT_PIPE = 141
"""As of a program that SIGPIPE ends: `gpuaccept profile show X | head` is no accident."""


class _ReaderGone(Exception):
    def __init__(self, error: BrokenPipeError) -> None:
        super().__init__(str(error))
        self.error = error


class LazyGroup(click.Group):
    """Lists commands from the table, so that `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"gpuaccept.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """As click does, but a reader that has gone is for `main` to answer: click would end with 1, our own fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone(error) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            ctx.fail(f"no such command: {name}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gpuaccept")
@click.option("--debug", is_flag=True, help="Show tracebacks, and what measuring processes print.")
def cli(debug: bool) -> None:
    """Accept GPU hardware with evidence: is this node what was ordered, and does it work?

    Exit codes: 0 accepted, 1 gpuaccept itself broke, 2 usage or profile error, 3 not decided, 4 evidence not valid,
    5 rejected, 130 interrupted.
    """
    if debug:
        os.environ["GPUACCEPT_DEBUG"] = "1"


def main() -> None:
    """Run the command line; every error becomes a sentence and an exit code."""
    _standard_streams()
    gc.set_threshold(100_000)  # a command makes few cycles, and what it has read stays until its end
    try:
        code = cli.main(prog_name="gpuaccept", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        code = _complain("interrupted", EXIT_INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        code = EXIT_USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "gpuaccept"
        code = _complain(f"{error.format_message()}\n  `{where} --help` lists what it takes", EXIT_USAGE)
    except click.ClickException as error:
        code = _complain(error.format_message(), EXIT_USAGE)
    except KeyboardInterrupt:
        code = _complain("interrupted", EXIT_INTERRUPTED)
    except GpuacceptError as error:
        if os.environ.get("GPUACCEPT_DEBUG"):
            raise
        code = _complain(str(error), error.exit_code)
    except _ReaderGone as gone:
        code = _system_refused(gone.error)
    except OSError as error:
        code = _system_refused(error)
    except Exception as error:  # the last resort: the user gets a sentence, --debug the traceback
        code = _broke(error)
    gc.freeze()  # a last collection would look through everything, and all of it goes with the process
    sys.exit(code if isinstance(code, int) else 0)


def _system_refused(error: OSError) -> int:
    from gpuaccept.cli.output import is_of_standard_output, silence

    if not is_of_standard_output(error):
        return _broke(error)
    silence()
    if isinstance(error, BrokenPipeError):  # whoever read has gone, and knows it
        return _EXIT_PIPE
    return _complain(f"standard output can't be written: {error.strerror}", EXIT_BROKEN)


def _broke(error: Exception) -> int:
    if os.environ.get("GPUACCEPT_DEBUG"):
        raise error
    return _complain(
        f"gpuaccept itself broke: {type(error).__name__}: {error}\n"
        "  this says nothing about the hardware; run again with `gpuaccept --debug …` and report what it prints",
        EXIT_BROKEN,
    )


class _BestEffort(io.FileIO):
    """Standard error: when nobody reads it any more, or its disk is full, it goes quiet; a run goes on without it."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes


def _standard_streams() -> None:
    """A stream that is closed becomes /dev/null, or the next file opened would take its number; `≤` fits in any."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
    if type(sys.stderr) is io.TextIOWrapper:  # and no stand-in of a test
        raw = io.BufferedWriter(_BestEffort(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, encoding=sys.stderr.encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(text: str, code: int) -> int:
    from gpuaccept.cli.output import safe

    print(f"gpuaccept: {safe(text)}", file=sys.stderr)
    return code
