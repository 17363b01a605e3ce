"""Several budgets from one run: one gated training, a branch for every budget, a package for every branch.

The budgets of the run shrink from the dense usage towards the tightest; where they pass a looser one, a copy
is frozen and trained on for it (:mod:`mcuprune.prune.family`).  Every member has the folder and the report of
a run of its own, and all of them the Pareto report of a sweep.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mcuprune.board import Board
from mcuprune.budget import Budget
from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.form import Compressed, Form, check_form
from mcuprune.identity import digests
from mcuprune.package import Clock, package
from mcuprune.pipeline import control_names, find_form, find_limits, find_target, ready_board
from mcuprune.problem import Problem, load_problem, make_setting
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.experiment import Outcome, Whole, control, prepare
from mcuprune.prune.family import family
from mcuprune.prune.method import Method
from mcuprune.prune.methods import find_method
from mcuprune.prune.target import Target
from mcuprune.report.model import Report, Times
from mcuprune.report.pareto import Cell, rows
from mcuprune.sweep import Sweep, judged, write
from mcuprune.training.loop import threads_for
from mcuprune.workspace import open_workspace

Finished = Callable[[Report, Times, Path], object]


def compress_family(
    config: RunConfig, progress: Progress = SILENT, finished: Finished | None = None
) -> Sweep:
    """A package for each of ``config.family`` in a folder of its own below ``config.out``.

    ``finished`` is called with every report.  A member that fails its verdict is a row that says so.  Raises
    UsageError for budgets that do not go from loose to tight, and for methods that cannot branch.
    """
    board = ready_board(config)
    method, marks = _gating(config.method), digests(config)
    members = [_member(config, budget) for budget in config.family]
    progress.stage("load model and data")
    problem = load_problem(config)
    limits = [find_limits(problem, budget, board, config, progress) for budget in config.family]
    _check_order(config.family, [limit.limits(board.clock_hz) for limit in limits])
    targets = [find_target(problem, board, config, limit) for limit in limits]
    check_form(problem, config)
    with open_workspace(config.out, config.to_toml() + marks, config.resume) as space:
        form = find_form(problem, targets[-1], limits[-1], board, config, space.training, progress)
        aims = targets
        if form.problem is not problem:
            aims = [find_target(form.problem, board, config, limit) for limit in limits]
        outcomes = _train(problem, targets, form, aims, method, config, space.training, progress)
        cells = []
        for member, aim, outcome in zip(members, aims, outcomes, strict=True):
            with open_workspace(member.out, member.to_toml() + marks) as own:
                compressed = Compressed(problem, form, aim, outcome)
                made = package(compressed, board, member, own.build, Clock(), progress)
                own.publish()
            if finished is not None:
                finished(made.report, made.times, member.out)
            cells.append(_cell(member, board, made.report))
        space.publish()
    result = Sweep(tuple(cells), rows(cells))
    write(result, config.out)
    return result


def _gating(name: str) -> Method:
    method = find_method(name)
    if not isinstance(method, Method) or method.kind != "channels":
        raise UsageError(
            f"--method {name} cannot give several budgets from one run, it has no gates on channels; "
            "choose another (`mcuprune methods`), or use `mcuprune sweep`"
        )
    return method


def _check_order(names: tuple[Budget, ...], limits: list[dict[str, float]]) -> None:
    if len(set(names)) < len(names):
        raise UsageError(f"--budget {max(names, key=names.count)} is given twice; give each budget once")
    pairs = zip(zip(names, limits, strict=True), zip(names[1:], limits[1:], strict=True), strict=False)
    for (loose, before), (tight, after) in pairs:
        if any(after.get(key, math.inf) > bound for key, bound in before.items()):
            raise UsageError(
                f"--budget {tight} after --budget {loose}: budgets of one run go from loose to tight, in "
                "every resource; reorder them, or use `mcuprune sweep` for runs of their own"
            )


def _train(
    problem: Problem,
    targets: list[Target],
    form: Form,
    aims: list[Target],
    method: Method,
    config: RunConfig,
    folder: Path,
    progress: Progress,
) -> list[Outcome]:
    setting, graph = make_setting(form.problem, config, folder), form.problem.graph
    given = make_setting(problem, config, folder)
    names = control_names(config)
    with threads_for(targets[-1].resources.exact({})["macs"] * setting.recipe.batch_size):
        whole = Whole(problem.graph, targets[-1], given)
        learning, dense, parts = prepare(graph, setting, whole, bool(names), progress)
        found = family(graph, aims, method, learning, progress)
        outcomes = []
        for number, (aim, target, member) in enumerate(zip(aims, targets, found, strict=True)):
            own = folder / f"controls-{number}"
            rest = (graph, aim, replace(setting, folder=own), member, progress)
            whole = Whole(problem.graph, target, replace(given, folder=own), common=given.folder)
            controls = {name: control(name, *rest, whole) for name in names}
            outcomes.append(Outcome(member, dense, controls, parts))
    return outcomes


def _member(config: RunConfig, budget: Budget) -> RunConfig:
    """The run of one budget, in a folder of its own."""
    folder = config.out / re.sub(r"[^A-Za-z0-9.]+", "_", str(budget) or "board")
    return config.model_copy(update={"budget": budget, "out": folder})


def _cell(member: RunConfig, board: Board, report: Report) -> Cell:
    cell = Cell(board.name, str(member.budget), member.method, member.seed, str(member.out))
    return judged(cell, report)
