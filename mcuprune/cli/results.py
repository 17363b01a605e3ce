"""Verbs on what `compress` and `export` wrote: prove, measure, show and compare it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcuprune.budget import parse_budget
from mcuprune.cli.options import BudgetText, Json, RunFolder, show, show_report


def verify(
    directory: RunFolder,
    inputs: Annotated[int, typer.Option("--inputs", "-n", min=1, help="Number of inputs.")] = 200,
    profile: Annotated[bool, typer.Option("--profile", help="Cycles per layer.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that specification, TensorFlow Lite Micro, host C and firmware agree byte for byte."""
    import mcuprune.recheck

    found = mcuprune.recheck.verify(directory, inputs=inputs, profile=profile)
    result = {"comparisons": found.proof.comparisons, "profile": found.profile, "latency": found.latency}
    show(result, found.text(), as_json)


def check(
    target: Annotated[Path, typer.Argument(help="Run folder, or the ELF file of your own firmware.")],
    budget: BudgetText = None,
    board: Annotated[str | None, typer.Option("--board", "-b", help="Of an ELF file.")] = None,
    name: Annotated[str | None, typer.Option(help="Which model, where an ELF file holds several.")] = None,
    package: Annotated[
        Path | None, typer.Option(help="The model's run folder: an ELF file's outputs are compared with it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model in its run folder, or in your own firmware, against the budget: a gate for CI."""
    limits = parse_budget(budget) if budget else None
    from mcuprune import check as checks

    result = checks.check(target, limits, board, name, package)
    show(result, result.text(), as_json)
    result.require()


def report(directory: RunFolder, as_json: Json = False) -> None:
    """Show a run's report again, and write its report.html anew."""
    from mcuprune.report.folder import read_report, rewrite_html

    show_report(*read_report(directory), as_json)
    rewrite_html(directory)


def diff(
    old: Annotated[Path, typer.Argument(help="Run folder or report.json.")],
    new: Annotated[Path, typer.Argument(help="Run folder or report.json.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request's comment.")] = False,
    as_json: Json = False,
) -> None:
    """What changed from one run to another: bytes, cycles, accuracy, layers."""
    from mcuprune.report.diff import as_markdown, as_text, changed
    from mcuprune.report.folder import read_report

    (before, _), (after, _) = read_report(old), read_report(new)
    text = (as_markdown if markdown else as_text)(before, after)
    show(changed(before, after), text, as_json)
