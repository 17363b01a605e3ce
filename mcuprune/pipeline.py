"""The whole flow, in order.  Read this first.

    model file or module -> Graph -> trained under budgets, smaller Graph -> QuantizedGraph -> plan
    -> C -> firmware -> run everywhere, compared, measured -> report

Each line of :func:`compress_problem` is one stage; the module that a stage lives in says the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from torch import nn

from mcuprune.board import Board, load_board
from mcuprune.budget import Budget
from mcuprune.config import RunConfig
from mcuprune.deploy import Deployment, Manifest, board_text, deploy
from mcuprune.errors import AccuracyError, BudgetError
from mcuprune.evidence import Evidence
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.problem import Problem, load_problem, make_problem
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.constrain import find_binding
from mcuprune.prune.experiment import ALL_CONTROLS, Outcome, run_experiment
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import Target, best_target
from mcuprune.quantize.convert import quantize
from mcuprune.report.html import write_html
from mcuprune.report.model import Phase, Report, Times
from mcuprune.report.serialize import to_json
from mcuprune.report.verdict import FAIL, accurate, fits
from mcuprune.resources.model import ResourceModel
from mcuprune.score import Scores, evaluate
from mcuprune.sound import add as add_sound
from mcuprune.sound import reserve
from mcuprune.summarize import make_report
from mcuprune.tasks.task import Task
from mcuprune.training.loop import Arrays, predict, threads_for
from mcuprune.verify.prove import SAMPLES, Proof, available, make_inputs, prove
from mcuprune.verify.toolchain import find_toolchain
from mcuprune.workspace import CONFIG, Workspace, open_workspace

# That all executors are compared on: Problem.real_inputs of the test set, the others random bytes.
INPUTS = 200
Finished = Callable[[Report, Times], object]


def compress(
    config: RunConfig, progress: Progress = SILENT, finished: Finished | None = None
) -> tuple[Report, Times]:
    """Compress what ``config`` names, write the run folder, return its report.

    Raises the errors of :mod:`mcuprune.errors`.  When only the result is at fault (accuracy, a measured
    budget) the folder is written and ``finished`` called before the error is raised.
    """
    board = ready_board(config)
    progress.stage("load model and data")
    return compress_problem(load_problem(config), board, config, progress, finished)


def compress_module(
    model: nn.Module | Graph,
    task: Task,
    board: str = "stm32f4",
    budget: Budget | str = "",
    progress: Progress = SILENT,
    **options: object,
) -> tuple[Report, Times]:
    """:func:`compress` for objects: what ``mcuprune.compress`` is.  ``options`` are fields of RunConfig."""
    config = RunConfig.model_validate({"board": board, "budget": budget, **options})
    board_found = ready_board(config)
    return compress_problem(make_problem(model, task, config), board_found, config, progress)


def ready_board(config: RunConfig) -> Board:
    """The board; compiler, emulator and oracle are looked for now: ToolchainError comes before training."""
    board = load_board(config.board)
    find_toolchain(board, config.toolchain)
    available(board)
    return board


def compress_problem(
    problem: Problem,
    board: Board,
    config: RunConfig,
    progress: Progress,
    finished: Finished | None = None,
) -> tuple[Report, Times]:
    clock = _Clock()
    folded = run_passes(problem.graph)
    models = [ResourceModel(folded, board.core, config.toolchain, o, board.flash) for o in config.objectives]
    budget = problem.budget.within(Budget(**_left(problem, board, config)))
    target = best_target(problem.graph, models, budget.limits(board.clock_hz))
    with open_workspace(config.out, config.to_toml(), config.resume) as space:
        outcome = _train(problem, target, config, space, progress)
        clock.lap("training and controls")
        progress.stage("quantize, generate, build")
        found, task = outcome.found, problem.task
        graph = quantize(found.graph, task.calibration(), ranges=found.ranges or None)
        manifest = Manifest(problem.name, config.toolchain, target.resources.objective)
        built = deploy(graph, board, manifest, space.build, board_text(config.board))
        front_end = task.front_end
        sound = None if front_end is None else add_sound(front_end, built, space.build)
        clock.lap("build")
        progress.stage("verify")
        proof, scores = _verify(problem, target, outcome, built, space)
        clock.lap("verification")
        report = make_report(
            Evidence(problem, config, board, target, budget, outcome, built, proof, scores, sound)
        )
        times = _times(outcome, clock)
        _write(report, times, config, space)
        space.publish()
    if finished is not None:
        finished(report, times)
    judge(report, proof)
    return report, times


def _left(problem: Problem, board: Board, config: RunConfig) -> dict[str, int]:
    """The board's default budget, less what an audio front end takes of its flash."""
    budget = dict(board.budget())
    if problem.task.front_end is not None:
        budget["flash"] -= reserve(problem.task.front_end, problem.name, board, config.toolchain).flash
    return budget


def _train(
    problem: Problem, target: Target, config: RunConfig, space: Workspace, progress: Progress
) -> Outcome:
    task = problem.task
    validation = task.validation

    def score(module: nn.Module) -> float:
        return task.score(predict(module, validation.x), validation.y)

    setting = Setting(
        Arrays(task.train.x, task.train.y, task.augment),
        task.loss_function,
        problem.recipe,
        score,
        task.calibration(),
        space.training,
        find_binding(config.binding) if config.binding else None,
        config.distill,
    )
    controls = ALL_CONTROLS if config.all_controls else config.controls
    method, work = find_method(config.method), target.resources.exact({})["macs"] * problem.recipe.batch_size
    with threads_for(work):
        return run_experiment(problem.graph, target, method, setting, controls, progress)


def _verify(
    problem: Problem, target: Target, outcome: Outcome, built: Deployment, space: Workspace
) -> tuple[Proof, Scores]:
    scores, real = evaluate(problem, target, outcome, built)
    samples = real[: problem.real_inputs]
    np.save(space.build / SAMPLES, samples)
    proof = prove(built.subject, make_inputs(built.subject.graph, INPUTS, samples))
    return proof, scores


def judge(report: Report, proof: Proof) -> None:
    """Raise what a finished run failed at, by its report's verdict: equality, then budget, then accuracy."""
    proof.require_equal()
    for answer, error in ((fits(report), BudgetError), (accurate(report), AccuracyError)):
        if answer.status == FAIL:
            raise error(f"not {answer.question}: {answer.detail}")


class _Clock:
    """Wall-clock time between stages; kept out of everything that must be reproducible."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.phases.append(Phase(name, now - self._last))
        self._last = now


def _times(outcome: Outcome, clock: _Clock) -> Times:
    dense = None if outcome.dense is None else outcome.dense.seconds
    parts = tuple(Phase(name, seconds) for name, seconds in outcome.parts.items())
    training = outcome.found.seconds + sum(part.seconds for part in parts)
    return Times(tuple(clock.phases), dense, training, parts)


def _write(report: Report, times: Times, config: RunConfig, space: Workspace) -> None:
    texts: Mapping[str, str] = {
        CONFIG: config.to_toml(),
        "report.json": to_json(report),
        "times.json": to_json(times),
        "report.html": write_html(report, times),
    }
    for name, text in texts.items():
        (space.build / name).write_text(text, encoding="utf-8")
