"""Several runs beside each other: which board fits, at which accuracy, and which runs nothing else beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from mcuprune.report import units
from mcuprune.report.html import WIDE, page_environment
from mcuprune.report.model import Report
from mcuprune.report.svg import Scale, dot, line, nice_ticks, picture, polyline, text
from mcuprune.report.verdict import final_accuracy
from mcuprune.terminal import table

COSTS = ("flash", "ram", "latency")  # what is better when smaller; the accuracy is better when larger
HEADER = ("board", "budget", "method", "seeds", "accuracy", "flash", "RAM", "latency", "best", "result")
HEIGHT, MARGIN = 320.0, 56.0


@dataclass(frozen=True)
class Cell:
    """One run: what was asked for, and its report, or the error that ended it without one."""

    board: str
    budget: str
    method: str
    seed: int
    folder: str
    report: Report | None = None
    error: str = ""
    exit_code: int = 0  # of the error

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.board, self.budget, self.method)


@dataclass(frozen=True)
class Row:
    """The runs of one board, budget and method over all seeds: mean accuracy, the largest of every cost.

    ``failure`` says what any of them failed at, ``flag`` which saving the device sees less than half of;
    ``best``: no other row of the same board is as accurate and costs no more of anything.
    """

    board: str
    budget: str
    method: str
    seeds: tuple[int, ...]
    metric: str = "accuracy"
    accuracy: float | None = None
    lowest: float | None = None
    highest: float | None = None
    flash: float | None = None
    ram: float | None = None
    latency: float | None = None
    failure: str = ""
    flag: str = ""
    best: bool = False


def rows(cells: Sequence[Cell]) -> tuple[Row, ...]:
    """One row for every board, budget and method, in the order in which they were asked for."""
    keys = tuple(dict.fromkeys(cell.key for cell in cells))
    found = [_row([cell for cell in cells if cell.key == key]) for key in keys]
    return tuple(_marked(row, found) for row in found)


def _row(cells: Sequence[Cell]) -> Row:
    board, budget, method = cells[0].key
    seeds = tuple(cell.seed for cell in cells)
    failure = next((cell.error for cell in cells if cell.error), "")
    reports = [cell.report for cell in cells if cell.report is not None]
    if not reports:
        return Row(board, budget, method, seeds, failure=failure)
    scores = [final.value for report in reports if (final := final_accuracy(report)) is not None]
    return Row(
        board,
        budget,
        method,
        seeds,
        metric=reports[0].task.metric,
        accuracy=sum(scores) / len(scores) if scores else None,
        lowest=min(scores, default=None),
        highest=max(scores, default=None),
        flash=_largest(reports, "flash.total"),
        ram=_largest(reports, "ram.total"),
        latency=_largest(reports, "latency.total"),
        failure=failure,
        flag=_flag(reports),
    )


def _flag(reports: Sequence[Report]) -> str:
    """Savings that some run realised less than half of, in words."""
    pairs = [(s.realised.label, s.nominal.label) for r in reports for s in r.savings if s.flagged]
    return "; ".join(f"{a} saved under half of {b}" for a, b in dict.fromkeys(pairs))


def _largest(reports: Iterable[Report], key: str) -> float | None:
    found = [row.actual for report in reports if (row := report.resource(key)) is not None]
    return max((value for value in found if value is not None), default=None)


def _marked(row: Row, others: Sequence[Row]) -> Row:
    rivals = [other for other in others if other.board == row.board and not other.failure]
    usable = not row.failure and row.accuracy is not None
    return replace(row, best=usable and not any(_beats(rival, row) for rival in rivals))


def _beats(one: Row, other: Row) -> bool:
    """Whether ``one`` is nowhere worse and somewhere better."""
    pairs = [(one.accuracy, other.accuracy)]
    pairs += [(getattr(other, cost), getattr(one, cost)) for cost in COSTS]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return all(a >= b for a, b in known) and any(a > b for a, b in known)


def as_text(found: Sequence[Row]) -> str:
    """The rows as a table, and for every board the sentence that a reader came for."""
    return "\n".join([table(HEADER, [_shown(row) for row in found]), "", *conclusions(found)])


def _shown(row: Row) -> tuple[str, ...]:
    score = units.metric(row.metric, row.accuracy)
    if len(row.seeds) > 1 and row.accuracy is not None:
        ends = (units.metric(row.metric, end) for end in (row.lowest, row.highest))
        score = f"{score} ({' to '.join(ends)})"
    sizes = (units.kibi(row.flash), units.kibi(row.ram), units.seconds(row.latency))
    seeds = ",".join(map(str, row.seeds))
    mark = "*" if row.best else ""
    return (
        row.board,
        row.budget or "board",
        row.method,
        seeds,
        score,
        *sizes,
        mark,
        row.failure or row.flag or "ok",
    )


def conclusions(found: Sequence[Row]) -> tuple[str, ...]:
    """For every board: the most accurate run that succeeded, or what stood in the way."""
    return tuple(
        _conclusion(board, [row for row in found if row.board == board])
        for board in dict.fromkeys(row.board for row in found)
    )


def _conclusion(board: str, found: Sequence[Row]) -> str:
    usable = [row for row in found if not row.failure and row.accuracy is not None]
    if not usable:
        return f"{board}: no run succeeded; {found[0].failure}"
    row = max(usable, key=lambda r: r.accuracy or 0.0)
    where = f" within {row.budget}" if row.budget else ""
    score = units.metric(row.metric, row.accuracy)
    return (
        f"{board}: {score} with {row.method}{where}, {units.kibi(row.flash)} flash, {units.kibi(row.ram)} RAM"
    )


def write_html(found: Sequence[Row], title: str) -> str:
    """A page of its own, without scripts."""
    template = page_environment().get_template("pareto.html.j2")
    return template.render(
        title=title,
        header=HEADER,
        rows=[(row, _shown(row)) for row in found],
        conclusions=conclusions(found),
        drawing=Markup(draw(found, WIDE)),
    )


def draw(found: Sequence[Row], width: float) -> str:
    """Accuracy over flash, a line through each board's best rows; empty where there is nothing to draw."""
    shown = [row for row in found if row.accuracy is not None and row.flash]
    if not shown:
        return ""
    flashes, scores = [row.flash or 1.0 for row in shown], [row.accuracy or 0.0 for row in shown]
    ticks = nice_ticks(min(scores), max(scores))
    x = Scale(min(flashes) / 1.2, max(flashes) * 1.2, MARGIN, width - MARGIN, logarithmic=True)
    y = Scale(ticks[0], ticks[-1], HEIGHT - MARGIN, MARGIN / 2)
    parts = []
    for tick in ticks:
        parts.append(line(MARGIN, y(tick), width - MARGIN, y(tick), "grid"))
        parts.append(text(MARGIN - 6, y(tick) + 4, units.metric(shown[0].metric, tick), text_anchor="end"))
    for board in dict.fromkeys(row.board for row in shown):
        front = sorted(
            (row.flash or 1.0, row.accuracy or 0.0) for row in shown if row.board == board and row.best
        )
        parts.append(polyline(((x(a), y(b)) for a, b in front), "score curve"))
    for row in shown:
        words = " · ".join(part for part in _shown(row)[:8] if part)
        parts.append(
            dot(x(row.flash or 1.0), y(row.accuracy or 0.0), "score dot", words, 4.0 if row.best else 2.5)
        )
        if row.best:
            label = f"{row.board}, {units.kibi(row.flash)}"
            parts.append(text(x(row.flash or 1.0), y(row.accuracy or 0.0) - 8, label, text_anchor="middle"))
    parts.append(text(width / 2, HEIGHT - 12, "flash, logarithmic", text_anchor="middle"))
    return picture(width, HEIGHT, "accuracy over flash", parts)
