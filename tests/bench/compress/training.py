"""Trains a cell, or finds it finished or half-finished in its folder, and makes its record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from mcuprune.board import Board, load_board
from mcuprune.config import load_config
from mcuprune.errors import BudgetError
from mcuprune.form import Aims, Form, choose_form
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.problem import OWN_MODELS, Problem, build_network, make_problem, make_setting
from mcuprune.progress import SILENT
from mcuprune.prune.density import MODEL, Density
from mcuprune.prune.experiment import Whole, control, run_experiment
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting, trained
from mcuprune.prune.target import Target, best_target, make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.load import load_task
from mcuprune.tasks.published import VARIABLE
from mcuprune.tasks.task import Task
from mcuprune.training.loop import EpochRecord
from tests.bench.compress.beside import Beside
from tests.bench.compress.cells import DENSE, METHOD, Cell, dense_cell
from tests.bench.compress.experiments import Bound
from tests.bench.compress.measure import accuracies, resources
from tests.bench.compress.records import Record
from tests.bench.compress.resources import Parts

BOARD = "stm32f4"
WHOLE = 1e6  # times the uniform widths: published densities start from all of the network
GATING = ("warm-up", "gated", "settle")  # phases in which masks still move


@dataclass(frozen=True)
class Result:
    """A trained network: ``ranges`` as int8 training left them, ``seconds`` of processor time, those of a
    teacher and of the choice of layers included, ``objective`` that its kernels are chosen for.
    ``dense_seconds``: what the dense network's training would have taken in the same minutes.
    """

    graph: Graph
    seconds: float
    history: Sequence[EpochRecord]
    objective: str
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    dense_seconds: float | None = None


def record(cell: Cell, work: Path) -> Record:
    """Trains what is not yet trained.

    Raises McupruneErrors for budgets out of reach, for divergence, and for a network that an earlier version
    trained and that does not fit any more.
    """
    problem, board = _problem(cell), load_board(BOARD)
    target = None if cell.bound is None else _target(problem, cell, board)
    result = _result(cell, problem, target, board, work)
    figures = resources(result.graph, problem.graph, board.core, result.objective)
    if target is not None:
        check_fits(figures, target.budgets, cell.folder(work))
    found = {
        "key": cell.key,
        "budget": cell.bound.name if cell.bound else "",
        "unit": cell.unit.name,
        "kind": cell.kind,
        "name": cell.name,
        "of": cell.of,
        **accuracies(problem.task, result.graph, result.ranges),
        **figures,
        "seconds": round(result.seconds, 2),
        "epochs": len(result.history) if cell.name == "scratch-b" else problem.recipe.epochs,
        "hardware": hardware(),
    }
    if result.dense_seconds is not None:
        found["dense_seconds"] = round(result.dense_seconds, 2)
    if target is not None:
        found["limits"] = dict(target.budgets)
        found["gates"] = _gates(result.history, target)
    return found


def check_fits(figures: Mapping[str, Any], budgets: Mapping[str, float], folder: Path) -> None:
    """BudgetError where a figure that was counted exceeds its budget."""
    over = [f"{k} {figures[k]} of {budget:g}" for k, budget in budgets.items() if figures.get(k, 0) > budget]
    if over:
        raise BudgetError(f"{', '.join(over)}: trained with other kernels? delete {folder} and run again")


def hardware() -> str:
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    version = torch.__version__.partition("+")[0]
    cores = f"{os.cpu_count()} processor cores, {torch.get_num_threads()} used"
    return f"{cores}, {torch.backends.cpu.get_cpu_capability()}, torch {version}{device}"


def _gates(history: Sequence[EpochRecord], target: Target) -> dict[str, float]:
    """What the method's own masks took, at the last epoch before the freeze, by limited resource."""
    moving = [epoch for epoch in history if epoch.phase in GATING and epoch.usage]
    return {k: round(u * target.budgets[k], 4) for k, u in moving[-1].usage.items()} if moving else {}


@lru_cache(maxsize=1)
def _task(name: str, seed: int, more: str | None) -> Task:
    folder = more and os.path.join(os.environ.get(VARIABLE, ""), more)
    return load_task(name, None, seed, folder)


def _problem(cell: Cell) -> Problem:
    experiment = cell.experiment
    given = {"seed": cell.unit.seed, "epochs": experiment.epochs, "augment": experiment.augment}
    return _built(cell.unit.task, experiment.model, experiment.more, tuple(given.items()))


@lru_cache(maxsize=1)
def _built(
    task_name: str, model: str | None, more: str | None, given: tuple[tuple[str, Any], ...]
) -> Problem:
    config = load_config(None, dict(given))
    task = _task(task_name, config.seed, more)
    network = build_network(model or OWN_MODELS.get(task.name, task.name), task, config.seed)
    return make_problem(network, task, config)


def _target(problem: Problem, cell: Cell, board: Board, limits: Mapping[str, float] | None = None) -> Target:
    """What the problem's network must fit: ``limits``, or those of the cell's bound."""
    assert cell.bound is not None
    folded, widths = run_passes(problem.graph), problem.recipe.widths
    if any(resource.startswith(MODEL) for resource, _ in cell.bound.limits):
        density = Density(folded, board.core)
        return make_target(problem.graph, density, dict(cell.bound.limits), (widths[0], WHOLE))
    models = [Parts(folded, board.core, objective=o) for o in cell.experiment.objectives]
    return best_target(problem.graph, models, limits or limits_of(cell.bound, models[0]), widths)


def limits_of(bound: Bound, resources: ResourceModel) -> dict[str, float]:
    """Limits by resource; a share is one of what the dense network takes."""
    shared = {} if bound.share is None else {bound.of: resources.exact({})[bound.of] * bound.share}
    return {**shared, **dict(bound.limits)}


def _result(cell: Cell, problem: Problem, target: Target | None, board: Board, work: Path) -> Result:
    folder = cell.folder(work)
    setting, unit = _setting(cell, problem, folder), dense_cell(cell.experiment, cell.unit).folder(work)
    if target is None:
        done = trained(DENSE, problem.graph, setting)
        return Result(done.graph, done.seconds, done.history, cell.experiment.objectives[0])
    if not cell.method:
        with _borrowed("one-shot-dense.pt", unit, folder):
            done = control(cell.name, problem.graph, target, setting)
        return Result(done.graph, done.seconds, done.history, target.resources.objective)
    form = _form(cell, problem, target, board, folder.parent)  # the same whatever the method
    aim = _target(form.problem, cell, board, target.budgets)
    teaching = replace(setting, distill=cell.experiment.distill)
    with _borrowed("dense.pt", unit, folder):
        whole = Whole(problem.graph, target, setting)
        method, beside = find_method(cell.method), Beside(problem.graph, setting)
        given = (form.problem.graph, aim, method, teaching)
        outcome = run_experiment(*given, controls=(), progress=beside, whole=whole)
    found, objective = outcome.found, aim.resources.objective
    if cell.kind == METHOD:
        seconds = found.seconds + sum(outcome.parts.values()) + sum(form.seconds.values())
        return Result(found.graph, seconds, found.history, objective, found.ranges, beside.seconds)
    done = control(cell.name, form.problem.graph, aim, setting, found)
    return Result(done.graph, done.seconds, done.history, objective)


def _form(cell: Cell, problem: Problem, target: Target, board: Board, folder: Path) -> Form:
    """The layers that a method starts from, as ``mcuprune compress`` chooses them."""
    objective = target.resources.objective

    def figures(graph: Graph) -> Mapping[str, float]:
        return Parts(run_passes(graph), board.core, objective=objective).exact({})

    def aim(graph: Graph) -> Target:
        return _target(replace(problem, graph=graph), cell, board, target.budgets)

    wanted = {"seed": cell.unit.seed, "epochs": cell.experiment.epochs}
    given = load_config(None, {**wanted, "drop_blocks": cell.experiment.drop_blocks})
    return choose_form(problem, given, Aims(figures, aim), folder, SILENT)


def _setting(cell: Cell, problem: Problem, folder: Path) -> Setting:
    given = load_config(None, {"binding": cell.experiment.binding})
    return make_setting(problem, given, folder)


@contextmanager
def _borrowed(name: str, home: Path, folder: Path) -> Iterator[None]:
    """A training that several folders need lies in ``home``, and is put there by the first."""
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = folder / name, home / name
    if theirs.exists() and not ours.exists():
        shutil.copy(theirs, ours)
    yield
    if ours.exists() and not theirs.exists():
        shutil.copy(ours, theirs)


def summary(found: Mapping[str, Any]) -> str:
    """One line of the log."""
    of = f" of {found['of']}" if found["of"] else ""
    return (
        f"{found['budget'] or 'dense'} {found['unit']} {found['name']}{of}: {100 * found['score']:.2f} % "
        f"(int8 {100 * found['int8']:.2f}), flash {found['flash']:,}, RAM {found['ram']:,}, "
        f"{found['macs']:,} MACs, {found['seconds']:.0f} s"
    )
