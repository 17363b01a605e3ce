"""Data that go wrong in practice: 20 samples, one rare class, labels without relation; widths of 1 to 4."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_networks import make_module

from mcuprune.config import RunConfig
from mcuprune.core import CORES
from mcuprune.errors import UsageError
from mcuprune.graph.channels import prunable
from mcuprune.graph.passes import run_passes
from mcuprune.problem import Problem, make_problem
from mcuprune.prune.experiment import Outcome, run_experiment
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import make_target
from mcuprune.quantize.convert import dequantize_output, quantize_input, quantize_trained
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.load import make_task
from mcuprune.tasks.splits import Splits
from mcuprune.tasks.task import Split, Task
from mcuprune.training.loop import Arrays, predict

METHODS = ("taylor", "bernoulli", "imp")


def task_of(y: np.ndarray, signal: float = 3.0) -> Task:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(len(y), 8, 8, 2)).astype(np.float32)
    x[:, :4] += signal * (y == 1)[:, None, None, None]
    x[:, :, 4:] += signal * (y == 2)[:, None, None, None]
    return make_task("odd", Splits(Split(x, y.astype(np.int64))), 0)


def compressed(task: Task, method: str, share: float, epochs: int) -> tuple[Problem, Outcome]:
    torch.manual_seed(0)
    module, _ = make_module("residual")
    problem = make_problem(module, task, RunConfig(epochs=epochs, batch_size=16))
    resources = ResourceModel(run_passes(problem.graph), CORES["cortex-m4"], objective="size")
    low = resources.exact(dict.fromkeys(prunable(problem.graph), 1))
    high = resources.exact({})
    budgets = {k: low[k] + share * (high[k] - low[k]) for k in ("flash", "ram", "macs")}
    target = make_target(problem.graph, resources, budgets)

    def score(network: nn.Module) -> float:
        return task.score(predict(network, task.validation.x), task.validation.y)

    data = Arrays(task.train.x, task.train.y)
    setting = Setting(data, task.loss_function, problem.recipe, score, task.calibration())
    return problem, run_experiment(problem.graph, target, find_method(method), setting, controls=())


def int8_score(problem: Problem, outcome: Outcome) -> float:
    task = problem.task
    graph = quantize_trained(outcome.found.graph, task.calibration(), outcome.found.ranges)
    outputs = run_int8(graph, quantize_input(graph, task.test.x))
    assert isinstance(outputs, np.ndarray)
    return task.score(dequantize_output(graph, outputs), task.test.y)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.0, 0.15, 0.4])
def test_twenty_samples_and_widths_of_one_to_four(method: str, share: float) -> None:
    problem, outcome = compressed(task_of(np.arange(20) % 3), method, share, 30)
    widths = [len(units) for units in outcome.found.keep.values()]
    assert 1 <= min(widths) <= max(widths) <= 4
    assert all(np.isfinite(c.values).all() for c in outcome.found.graph.constants.values())
    assert 0.0 <= int8_score(problem, outcome) <= 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_rare_class_is_learned(method: str) -> None:
    """Two classes of one sample in twelve: guessing the third scores 10/12, and counts as chance."""
    y = np.select([np.arange(480) % 12 == 0, np.arange(480) % 12 == 6], [1, 2], 0)
    problem, outcome = compressed(task_of(y), method, 0.4, 16)
    assert problem.task.chance == pytest.approx(10 / 12, abs=0.02)
    assert int8_score(problem, outcome) > problem.task.chance


def test_a_collapsed_network_is_not_above_chance() -> None:
    """Whatever constant answer it collapses to, chance is at least as good: the run ends with code 5."""
    task = task_of((np.arange(480) % 12 == 0).astype(int))
    for label in range(task.classes):
        constant = np.eye(task.classes, dtype=np.float32)[np.full(len(task.test), label)]
        assert task.score(constant, task.test.y) <= task.chance


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="at least two classes"):
        task_of(np.zeros(20, int))
