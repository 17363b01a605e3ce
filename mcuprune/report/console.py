"""The last thing a run prints: resources, accuracies, verdict.  Plain text when the output is no terminal."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mcuprune.report import units
from mcuprune.report.model import DIFFERS, EQUAL, Report, Times
from mcuprune.report.verdict import FAIL, PASS, answers
from mcuprune.report.views import accuracy_views, resource_views

STYLE = {PASS: "green", FAIL: "bold red", EQUAL: "green", DIFFERS: "bold red"}
PLAIN_WIDTH = 110


def print_report(report: Report, times: Times | None = None, console: Console | None = None) -> None:
    """Writes the summary to ``console`` (default: standard output; colours only on a terminal)."""
    console = console or _console()
    console.print(summary(report, times))


def summary(report: Report, times: Times | None = None) -> Group:
    parts: list[Table | Text] = [_resources(report)]
    if report.savings:
        parts.append(_savings(report))
    parts.append(_accuracies(report))
    if report.equalities:
        parts.append(_equalities(report))
    parts.append(_verdict(report))
    words = times.training_words if times else ""
    if words:
        parts.append(Text(words))
    spaced: list[Table | Text] = []
    for part in parts:
        spaced += [part, Text("")]
    return Group(*spaced[:-1])


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH, no_color=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column(columns[0], header_style="dim", overflow="fold", min_width=13)
    for column in columns[1:]:
        table.add_column(column, justify="right", header_style="dim", no_wrap=True)
    return table


def _resources(report: Report) -> Table:
    title = f"{report.name} on {report.board.name} ({report.board.core})"
    table = _table(title, "resource", "unit", "budget", "dense", "predicted", "measured", "error", "used")
    for view in resource_views(report):
        row = view.row
        used = Text(units.percent(row.used), style="bold red" if view.over else "")
        figures = (
            units.quantity(value, row.unit) for value in (row.budget, row.dense, row.predicted, row.measured)
        )
        label = Text(("  " if view.part else "") + row.label, style="dim" if view.part else "bold")
        table.add_row(label, row.unit, *figures, units.signed_percent(row.error), used)
    return table


def _savings(report: Report) -> Table:
    table = _table(
        "saved", "on paper", "dense", "ours", "saved", "on the device", "dense", "ours", "saved", ""
    )
    for row in report.savings:
        cells = []
        for amount in (row.nominal, row.realised):
            figures = (units.quantity(value, amount.unit) for value in (amount.dense, amount.ours))
            cells += [amount.label, *figures, units.percent(amount.saved)]
        table.add_row(*cells, Text(units.FLAGGED, style="yellow") if row.flagged else "")
    return table


def _accuracies(report: Report) -> Table:
    task = report.task
    table = _table(
        f"{task.metric} on {task.name} ({task.label})",
        "model",
        task.metric,
        "95 %",
        "to dense",
        "samples",
        "flash",
    )
    for view in accuracy_views(report):
        row = view.row
        known = row.low is not None and row.high is not None
        interval = (
            f"{units.metric(task.metric, row.low)} to {units.metric(task.metric, row.high)}" if known else ""
        )
        label = Text(row.label, style={"control": "dim", "ours": "bold"}.get(row.kind, ""))
        value = units.metric(task.metric, row.value)
        table.add_row(label, value, interval, view.change, units.count(row.n), units.kibi(row.flash_bytes))
    return table


def _equalities(report: Report) -> Table:
    table = _table("equality, byte for byte", "compared", "inputs", "differing", "result")
    last = table.columns[-1]
    last.justify, last.no_wrap, last.overflow = "left", False, "fold"
    for row in report.equalities:
        result = Text(
            row.status + (f": {row.reason}" if row.reason else ""), style=STYLE.get(row.status, "yellow")
        )
        inputs = units.count(row.inputs) if row.inputs else units.DASH
        table.add_row(f"{row.left}, {row.right}", inputs, units.count(row.differing_bytes), result)
    return table


def _verdict(report: Report) -> Text:
    words = {PASS: "yes", FAIL: "NO "}
    lines = []
    for answer in answers(report):
        mark = (words.get(answer.status, "?  "), STYLE.get(answer.status, "yellow"))
        lines.append(Text.assemble(mark, f"  {answer.question}: {answer.detail}"))
    return Text("\n").join(lines)
