"""Flags that several verbs share, and how results are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mcuprune.budget import EXAMPLE
from mcuprune.errors import UsageError
from mcuprune.terminal import to_json

if TYPE_CHECKING:
    from mcuprune.report.model import Report, Times

T = TypeVar("T", str | None, list[str] | None)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
BoardName = Annotated[str, typer.Option("--board", "-b", help="Family, board name or board file.")]
ModelPath = Annotated[str, typer.Argument(help="file.py:Net, .onnx, .tflite or a Keras file.")]
Lossless = Annotated[
    bool, typer.Option(help="Fold channels that are constant or unread first; no output byte changes.")
]
RunFolder = Annotated[Path, typer.Argument(help="Folder that `compress` or `export` wrote.")]


def given_budget(text: T) -> T:
    """A budget as given; UsageError for "", which a variable that is not set leaves of it."""
    given = [text] if isinstance(text, str) else text or []
    if not all(part.strip(" ,") for part in given):
        raise UsageError(f"--budget is empty; leave it out for the board's own, or give e.g. {EXAMPLE}")
    return text


BudgetText = Annotated[str | None, typer.Option("--budget", help=f"E.g. {EXAMPLE}", callback=given_budget)]
OPTIMIZE = "speed, size, ram or balanced: what kernels are chosen for."
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]


def show(result: object, text: str, as_json: bool) -> None:
    typer.echo(to_json(result) if as_json else text)


def show_report(found: Report, times: Times | None, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(found))
        return
    from mcuprune.report.console import print_report

    print_report(found, times)
