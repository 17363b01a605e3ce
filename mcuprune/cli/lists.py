"""Verbs that list what there is: methods, layers, tools, boards, published data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcuprune import listing
from mcuprune.board import load_board
from mcuprune.cli.options import Json, show
from mcuprune.errors import ToolchainError

boards_app = typer.Typer(help="List, show or check boards.", invoke_without_command=True)


def methods(as_json: Json = False) -> None:
    """The pruning methods and how budgets bind them: papers and options."""
    entries = listing.methods()
    show(entries, listing.methods_text(entries), as_json)


def ops(as_json: Json = False) -> None:
    """The supported layers, with the C kernels of each."""
    entries = listing.ops()
    show(entries, listing.ops_text(entries), as_json)


def doctor(as_json: Json = False) -> None:
    """What a run needs, and whether it is installed; exit code 7 if something required is missing."""
    from mcuprune.doctor import examine, missing

    findings = examine()
    show(findings, listing.doctor_text(findings), as_json)
    if lacking := missing(findings):
        raise ToolchainError(f"missing: {', '.join(f.name for f in lacking)}; {lacking[0].install}")


def download(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist or cifar10.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for data sets: --data of a run.")] = Path(
        "data"
    ),
) -> None:
    """Fetch a published data set and check its checksums."""
    from mcuprune.tasks.download import download

    typer.echo(f"{name}: {download(name, out)}")


@boards_app.callback()
def boards(context: typer.Context, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        boards_list(as_json)


@boards_app.command("list")
def boards_list(as_json: Json = False) -> None:
    """All boards with their memories and default budgets."""
    entries = listing.boards()
    show(entries, listing.boards_text(entries), as_json)


@boards_app.command("show")
def boards_show(board: Annotated[str, typer.Argument(help="Name or file.")], as_json: Json = False) -> None:
    """One board: memory map, what is reserved for the application, and the source of every number."""
    found = load_board(board)
    show(found, listing.board_text(found), as_json)


@boards_app.command("check")
def boards_check(file: Annotated[Path, typer.Argument(help="Board file.")], as_json: Json = False) -> None:
    """Check a board file of your own."""
    found = load_board(file if file.suffix == ".toml" else f"{file}.toml")
    show(found, f"{file}: a valid board, {found.title}", as_json)
