"""The program: its verbs, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from mcuprune import __version__
from mcuprune.cli.lists import boards_app, doctor, download, methods, ops
from mcuprune.cli.models import analyze, export
from mcuprune.cli.results import check, diff, report, verify
from mcuprune.cli.training import compress, sweep
from mcuprune.errors import McupruneError

VERBS = (compress, sweep, download, analyze, export, verify, check, report, diff, methods, ops, doctor)

app = typer.Typer(
    name="mcuprune",
    help="Compress a CNN under a microcontroller's hard budgets and get verified C99 firmware.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(boards_app, name="boards")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Both options act before any verb: ``--version`` in its callback, ``--debug`` in :func:`main`."""


def main() -> None:
    """The ``mcuprune`` program; exit codes: 0 ok, 1 internal error, 2 to 7 as in :mod:`mcuprune.errors`."""
    # Waiting threads sleep: spinning ones would take the cores from whoever has work.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    debug = "--debug" in sys.argv
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except McupruneError as error:
        if debug:
            traceback.print_exc()
        _leave(f"mcuprune: {error}", error.exit_code)
    except SystemExit as leaving:
        if leaving.code == 130:
            resumable = "compress" in sys.argv
            hint = "; once training has begun, the same command with --resume continues" if resumable else ""
            _leave(f"mcuprune: interrupted{hint}", 130)
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        _leave(f"mcuprune: internal error: {type(error).__name__}: {error} (--debug shows where)", 1)


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)
