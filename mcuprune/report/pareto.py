"""Several runs beside each other: which board fits, at which accuracy, and which runs nothing else beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from mcuprune.report import units
from mcuprune.report.model import Report
from mcuprune.report.verdict import final_accuracy
from mcuprune.terminal import table

COSTS = ("flash", "ram", "latency")  # what is better when smaller; the accuracy is better when larger
HEADER = ("board", "budget", "method", "seeds", "accuracy", "flash", "RAM", "latency", "best", "result")
SAME = 1.01  # times a cost: within a percent of a budget, widths that are whole numbers end by chance


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

    ``folders`` are the names of those that ended with a report, ``None`` for the others.  ``failure`` says
    what any of them failed at, ``flag`` which saving the device sees less than half of; ``best``: no other
    row of the same board is as accurate and costs no more of anything, give or take a percent.
    """

    board: str
    budget: str
    method: str
    seeds: tuple[int, ...]
    folders: tuple[str | None, ...] = ()
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

    @property
    def usable(self) -> bool:
        """Whether every run of it succeeded, and was judged."""
        return not self.failure and self.accuracy is not None

    @property
    def mean(self) -> str:
        """The mean accuracy, in words."""
        return units.metric(self.metric, self.accuracy)

    @property
    def score(self) -> str:
        """The mean accuracy, and its range where there are several seeds."""
        if len(self.seeds) == 1 or self.accuracy is None:
            return self.mean
        ends = (units.metric(self.metric, end) for end in (self.lowest, self.highest))
        return f"{self.mean} ({' to '.join(ends)})"


def rows(cells: Sequence[Cell]) -> tuple[Row, ...]:
    """One row for every board, budget and method, in the order in which they were asked for."""
    keys = tuple(dict.fromkeys(cell.key for cell in cells))
    found = [_row([cell for cell in cells if cell.key == key]) for key in keys]
    return tuple(_marked(row, found) for row in found)


def _row(cells: Sequence[Cell]) -> Row:
    board, budget, method = cells[0].key
    seeds = tuple(cell.seed for cell in cells)
    failure = next((cell.error for cell in cells if cell.error), "")
    folders = tuple(None if cell.report is None else PurePath(cell.folder).name for cell in cells)
    reports = [cell.report for cell in cells if cell.report is not None]
    if not reports:
        return Row(board, budget, method, seeds, folders, failure=failure)
    scores = [final.value for report in reports if (final := final_accuracy(report)) is not None]
    return Row(
        board,
        budget,
        method,
        seeds,
        folders,
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
    rivals = [other for other in others if other.board == row.board and other.usable]
    return replace(row, best=row.usable and not any(_beats(rival, row) for rival in rivals))


def _beats(one: Row, other: Row) -> bool:
    """Whether ``one`` is nowhere worse and somewhere better; costs are the same within a percent."""
    assert one.accuracy is not None
    assert other.accuracy is not None
    pairs = [(getattr(one, cost), getattr(other, cost)) for cost in COSTS]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if one.accuracy < other.accuracy or any(a > SAME * b for a, b in known):
        return False
    return one.accuracy > other.accuracy or any(b > SAME * a for a, b in known)


def as_text(found: Sequence[Row]) -> str:
    """The rows as a table, and for every board the sentence that a reader came for."""
    return "\n".join([table(HEADER, [_shown(row) for row in found]), "", *conclusions(found)])


def _shown(row: Row) -> tuple[str, ...]:
    sizes = (units.kibi(row.flash), units.kibi(row.ram), units.seconds(row.latency))
    seeds, mark = ",".join(map(str, row.seeds)), "*" if row.best else ""
    named = (row.board, row.budget or "board", row.method)
    return (*named, seeds, row.score, *sizes, mark, row.failure or row.flag or "ok")


def by_board(found: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of every board, in the order in which they were asked for."""
    return {
        board: [row for row in found if row.board == board] for board in dict.fromkeys(r.board for r in found)
    }


def most_accurate(found: Sequence[Row]) -> Row | None:
    """The usable row with the highest accuracy, the first of equals."""
    return max((row for row in found if row.usable), key=lambda row: row.accuracy or 0.0, default=None)


def conclusions(found: Sequence[Row]) -> tuple[str, ...]:
    """For every board: the most accurate run that succeeded, or what stood in the way."""
    return tuple(_conclusion(board, some) for board, some in by_board(found).items())


def _conclusion(board: str, found: Sequence[Row]) -> str:
    row = most_accurate(found)
    if row is None:
        return f"{board}: no run succeeded; {found[0].failure}"
    where = f" within {row.budget}" if row.budget else ""
    sizes = f"{units.kibi(row.flash)} flash, {units.kibi(row.ram)} RAM"
    return f"{board}: {row.mean} with {row.method}{where}, {sizes}"
