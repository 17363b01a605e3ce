"""Many runs from one command: every board with every budget, method and seed, each in a folder of its own.

A run is :func:`mcuprune.pipeline.compress` with its own output folder, so a sweep that was interrupted goes
on where it stopped: finished folders are read, half-finished runs resume.  Runs are independent of each
other: :mod:`mcuprune.engine` spreads them over local processes, or over a Dask or Ray cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

from mcuprune.board import load_board
from mcuprune.budget import Budget, parse_budget
from mcuprune.config import RunConfig, load_config
from mcuprune.engine import spread
from mcuprune.errors import McupruneError, UsageError, error_of
from mcuprune.identity import identity
from mcuprune.pipeline import beyond, check_names, compress
from mcuprune.problem import usual_budget
from mcuprune.report.folder import SWEEP, read_report
from mcuprune.report.model import Report
from mcuprune.report.pareto import Cell, Row, as_text, rows
from mcuprune.report.pareto_page import write_html
from mcuprune.report.verdict import judge
from mcuprune.terminal import to_json
from mcuprune.workspace import CONFIG, TRAINING

FILES = (SWEEP, "sweep.html", "sweep.txt")


@dataclass(frozen=True)
class Grid:
    """What is combined; an empty part stands for what the configuration says."""

    boards: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sweep:
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]

    def text(self) -> str:
        return as_text(self.rows)

    def require(self) -> None:
        """Raises the first run's error when not a single run succeeded."""
        if all(row.failure for row in self.rows):
            self._raise("no run of the sweep succeeded; the first: ")

    def require_all(self) -> None:
        """Raises the error of the first run that failed."""
        if any(row.failure for row in self.rows):
            self._raise("")

    def _raise(self, before: str) -> None:
        first = next(cell for cell in self.cells if cell.error)
        where = f"budget {first.budget}: " if first.budget and not before else ""
        raise error_of(first.exit_code)(f"{before}{where}{first.error}")


def configurations(base: RunConfig, grid: Grid) -> tuple[RunConfig, ...]:
    """``base`` with every combination of the grid, each writing a folder of its own below ``base.out``."""
    boards = dict.fromkeys(grid.boards or (base.board,))
    given = grid.budgets or (str(base.budget if base.budget != Budget() else usual_budget(base)),)
    budgets: dict[Budget, str] = {}
    for text in given:
        budgets.setdefault(parse_budget(text), text)  # 64K and 65536 are one
    methods, seeds = dict.fromkeys(grid.methods or (base.method,)), dict.fromkeys(grid.seeds or (base.seed,))
    named: dict[str, str] = {}
    for board in boards:  # misspelt names are found before hours of training
        name = load_board(board).name
        if name in named:
            raise UsageError(f"'{named[name]}' and '{board}' are both called '{name}'; rename one")
        named[name] = board
    found = []
    for board, budget, method, seed in product(boards, budgets.values(), methods, seeds):
        values = base.model_dump() | {"board": board, "budget": budget, "method": method, "seed": seed}
        words = (Path(board).stem, budget, method, f"seed{seed}")
        folder = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word) for word in words if word)
        found.append(load_config(None, values | {"out": base.out / folder}))
        check_names(found[-1])
    folders = [config.out for config in found]
    if twice := next((f for f in folders if folders.count(f) > 1), None):
        raise UsageError(f"two runs of the sweep would write to '{twice}'; rename one of the board files")
    return tuple(found)


def sweep(
    base: RunConfig,
    grid: Grid,
    jobs: int | None = None,
    engine: str = "local",
    tell: Callable[[str], object] = lambda text: None,
) -> Sweep:
    """Run everything that is not finished yet; write :data:`FILES` into ``base.out``.

    ``jobs`` and ``engine`` as for :func:`mcuprune.engine.spread`; ``tell`` is called with a line for every
    budget beyond its board, and when a run ends.  A run that fails is a row that says why, and stops nothing.
    """
    wanted = configurations(base, grid)
    for note in dict.fromkeys(note for config in wanted for note in _beyond(config)):
        tell(note)
    cells = []
    for cell in spread(run, wanted, jobs, engine):
        cells.append(cell)
        tell(f"{len(cells)}/{len(wanted)}  {Path(cell.folder).name}: {cell.error or 'done'}")
    result = Sweep(tuple(cells), rows(cells))
    write(result, base.out)
    return result


def _beyond(config: RunConfig) -> tuple[str, ...]:
    board = load_board(config.board)
    return beyond(config.budget, Budget(**board.budget()), board)


def run(config: RunConfig) -> Cell:
    """One run, or what an earlier one of the same configuration left."""
    name = load_board(config.board).name
    cell = Cell(name, str(config.budget), config.method, config.seed, str(config.out))
    wanted = identity(config)
    if finished(config.out, wanted) is None:
        try:
            compress(config.model_copy(update={"resume": _holds(config.out / TRAINING / CONFIG, wanted)}))
        except McupruneError as failure:
            cell = replace(cell, error=str(failure), exit_code=failure.exit_code)
        except Exception as failure:  # not foreseen, such as memory that ran out: the other runs go on
            cell = replace(cell, error=f"{type(failure).__name__}: {failure}", exit_code=1)
    if (report := finished(config.out, wanted)) is not None:
        return judged(cell, report)
    changed = "its model, data or board file changed while it ran; run the sweep again"
    return cell if cell.error else replace(cell, error=changed, exit_code=UsageError.exit_code)


def judged(cell: Cell, report: Report) -> Cell:
    """The cell with its report, and with what that says the run failed at, whether it ran now or before."""
    try:
        judge(report)
    except McupruneError as failure:
        return replace(cell, report=report, error=str(failure), exit_code=failure.exit_code)
    return replace(cell, report=report, error="", exit_code=0)


def finished(out: Path, wanted: str) -> Report | None:
    """The report in the folder, if it can be read and is of exactly the run that ``wanted`` identifies."""
    if not (out / "report.json").is_file() or not _holds(out / CONFIG, wanted):
        return None
    try:
        return read_report(out)[0]
    except UsageError:
        return None


def _holds(file: Path, wanted: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == wanted


def write(result: Sweep, out: Path) -> None:
    """The Pareto report of some runs, as :data:`FILES`."""
    cells = [
        {key: value for key, value in asdict(cell).items() if key not in ("report", "folder", "exit_code")}
        | {"folder": Path(cell.folder).name}
        for cell in result.cells
    ]
    report = next((cell.report for cell in result.cells if cell.report is not None), None)
    title = out.name if report is None else ": ".join(dict.fromkeys((report.name, report.task.name)))
    texts = (
        to_json({"rows": result.rows, "runs": cells}) + "\n",
        write_html(result.rows, title),
        result.text() + "\n",
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, texts, strict=True):
        (out / name).write_text(text, encoding="utf-8")
