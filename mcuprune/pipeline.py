"""The whole flow, in order.  Read this first.

    model file or module -> Graph -> trained under budgets, smaller Graph -> QuantizedGraph -> plan
    -> C -> firmware -> run everywhere, compared, measured -> report

Each line of :func:`compress_problem` is one stage; the module that a stage lives in says the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from mcuprune.board import Board, load_board
from mcuprune.budget import Budget
from mcuprune.config import RunConfig, load_config
from mcuprune.errors import UsageError
from mcuprune.form import Aims, Compressed, Form, check_form, choose_form
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.identity import identity, of_objects
from mcuprune.package import Clock, package
from mcuprune.problem import Problem, load_problem, make_problem, make_setting
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.constrain import find_binding
from mcuprune.prune.experiment import ALL_CONTROLS, CONTROLS, Outcome, Whole, run_experiment
from mcuprune.prune.method import Method
from mcuprune.prune.methods import find_method
from mcuprune.prune.target import Target, best_target
from mcuprune.report.model import Report, Times
from mcuprune.resources.model import ResourceModel
from mcuprune.sound import reserve
from mcuprune.tasks.task import Task
from mcuprune.training.loop import threads_for
from mcuprune.verify.prove import available
from mcuprune.verify.toolchain import find_toolchain
from mcuprune.workspace import open_workspace

Finished = Callable[[Report, Times], object]


def compress(
    config: RunConfig, progress: Progress = SILENT, finished: Finished | None = None
) -> tuple[Report, Times]:
    """Compress what ``config`` names, write the run folder, return its report.

    Raises the errors of :mod:`mcuprune.errors`.  When only the result is at fault (accuracy, a measured
    budget) the folder is written and ``finished`` called before the error is raised.
    """
    if config.family:
        raise UsageError("several budgets of one run: call mcuprune.family.compress_family")
    board, named = ready_board(config), identity(config)
    progress.stage("load model and data")
    return compress_problem(load_problem(config), board, config, progress, finished, named)


def compress_module(
    model: nn.Module | Graph,
    task: Task,
    board: str = "stm32f4",
    budget: Budget | str = "",
    progress: Progress = SILENT,
    **options: object,
) -> tuple[Report, Times]:
    """:func:`compress` for objects: what ``mcuprune.compress`` is.  ``options`` are fields of RunConfig.

    Raises UsageError also for options that only a command has a use for: places of data, several budgets.
    """
    if useless := {"data", "more_data", "family"} & options.keys():
        raise UsageError(
            f"mcuprune.compress has no use for {', '.join(sorted(useless))}: model and task are objects, "
            "and the budget is one; mcuprune.family.compress_family takes several"
        )
    config = load_config(None, {"board": board, "budget": budget, **options})
    board_found = ready_board(config)
    problem = make_problem(model, task, config)
    named = of_objects(config, problem.graph, problem.task)
    return compress_problem(problem, board_found, config, progress, named=named)


def ready_board(config: RunConfig) -> Board:
    """The board; what a run needs by name is looked for now, before anything is loaded or trained.

    Raises UsageError for an unknown board, method or binding, ToolchainError for a missing compiler, emulator
    or oracle.
    """
    board = load_board(config.board)
    check_names(config)
    find_toolchain(board, config.toolchain)
    available(board)
    return board


def check_names(config: RunConfig) -> None:
    """UsageError for a method or a binding that is not known, or a binding that the method has no use for."""
    method = find_method(config.method)
    if config.widths is not None and isinstance(method, Method) and method.kind != "channels":
        raise UsageError(f"--widths: method {config.method} does not try several; leave it out")
    if not config.binding:
        return
    find_binding(config.binding)
    if not isinstance(method, Method) or not method.is_pressed:
        raise UsageError(
            f"--binding {config.binding}: method {config.method} learns no gates that budgets press on; "
            "leave out --binding, or choose --method hard_concrete or bernoulli"
        )


def compress_problem(
    problem: Problem,
    board: Board,
    config: RunConfig,
    progress: Progress,
    finished: Finished | None = None,
    named: str | None = None,
) -> tuple[Report, Times]:
    """``named``: the identity of the run, taken before its files were read."""
    clock = Clock()
    limits = find_limits(problem, problem.budget, board, config, progress)
    target = find_target(problem, board, config, limits)
    check_form(problem, config)
    with open_workspace(config.out, named or identity(config), config.resume) as space:
        form = find_form(problem, target, limits, board, config, space.training, progress)
        aim = target if form.problem is problem else find_target(form.problem, board, config, limits)
        outcome = _train(problem, target, form, aim, config, space.training, progress)
        clock.lap("training and controls")
        found = package(Compressed(problem, form, aim, outcome), board, config, space.build, clock, progress)
        space.publish()
    if finished is not None:
        finished(found.report, found.times)
    found.judge()
    return found.report, found.times


def control_names(config: RunConfig) -> tuple[str, ...]:
    """What the result is compared with."""
    if not config.controls:
        return ()
    return ALL_CONTROLS if config.all_controls else CONTROLS


def find_target(problem: Problem, board: Board, config: RunConfig, limits: Budget) -> Target:
    """What the network must fit, and the kernels that it is counted with; BudgetError where it cannot."""
    folded = run_passes(problem.graph)
    models = [
        ResourceModel(folded, board.core, config.toolchain, objective, board.flash, board.clock_hz)
        for objective in config.objectives
    ]
    return best_target(problem.graph, models, limits.limits(board.clock_hz), problem.recipe.widths)


def find_form(
    problem: Problem,
    target: Target,
    limits: Budget,
    board: Board,
    config: RunConfig,
    folder: Path,
    progress: Progress,
) -> Form:
    """Inputs and layers, where there is something to choose."""
    objective = target.resources.objective

    def figures(graph: Graph) -> Mapping[str, float]:
        folded = run_passes(graph)
        return ResourceModel(folded, board.core, config.toolchain, objective, board.flash).exact({})

    def aim(graph: Graph) -> Target:
        return find_target(replace(problem, graph=graph), board, config, limits)

    work = target.resources.exact({})["macs"] * problem.recipe.batch_size
    with threads_for(work):
        return choose_form(problem, config, Aims(figures, aim), folder, progress)


def find_limits(
    problem: Problem, budget: Budget, board: Board, config: RunConfig, progress: Progress
) -> Budget:
    """``budget`` within the board's own, less what an audio front end takes of its flash."""
    own = dict(board.budget())
    if problem.task.front_end is not None:
        own["flash"] -= reserve(problem.task.front_end, problem.name, board, config.toolchain).flash
    limits = Budget(**own)
    given = budget == config.budget or budget in config.family  # not one of the demonstration's own
    for note in beyond(budget, limits, board) if given else ():
        progress.note(note)
    return budget.within(limits)


def beyond(budget: Budget, limits: Budget, board: Board) -> tuple[str, ...]:
    """A line for every part of a budget that the board's own limit is below."""
    return tuple(
        f"--budget {budget}: {part} is what {board.name} has for it, and holds"
        for part in budget.beyond(limits)
    )


def _train(
    problem: Problem,
    target: Target,
    form: Form,
    aim: Target,
    config: RunConfig,
    folder: Path,
    progress: Progress,
) -> Outcome:
    apart = folder if form.problem is problem else folder / "whole"
    whole = Whole(problem.graph, target, make_setting(problem, config, apart))
    setting = make_setting(form.problem, config, folder)
    method, controls = find_method(config.method), control_names(config)
    with threads_for(target.resources.exact({})["macs"] * problem.recipe.batch_size):
        return run_experiment(form.problem.graph, aim, method, setting, controls, progress, whole)
