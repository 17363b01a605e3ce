"""Training on a GPU learns what the CPU learns; a run can be moved between the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import blobs
from torch import nn

from mcuprune.core import CORES
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.models.resnet import SmallResNet
from mcuprune.progress import SILENT
from mcuprune.prune import checkpoint
from mcuprune.prune.experiment import run_experiment
from mcuprune.prune.method import Method
from mcuprune.prune.methods import METHODS, find_method
from mcuprune.prune.search import Search
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import Target, make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.task import accuracy
from mcuprune.training.compute import Compute
from mcuprune.training.int8 import train_int8
from mcuprune.training.loop import Arrays, make_module, predict, train
from mcuprune.training.recipe import Recipe
from mcuprune.training.saved import load, save

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")

GPU = Recipe(epochs=6, batch_size=16, learning_rate=1e-2, compute=Compute("cuda"))
CPU = replace(GPU, compute=Compute("cpu"))
LOSS = nn.functional.cross_entropy


def problem() -> tuple[Graph, Target]:
    torch.manual_seed(0)
    graph = trace(SmallResNet((2, 8, 8), 3, width=8), (2, 8, 8), "net")
    resources = ResourceModel(run_passes(graph), CORES["cortex-m4"], objective="size")
    low, high = resources.exact({g: 1 for g in graph.widths if g not in graph.frozen}), resources.exact({})
    budgets = {k: low[k] + 0.4 * (high[k] - low[k]) for k in ("flash", "macs")}
    return graph, make_target(graph, resources, budgets)


def setting(data: Arrays, recipe: Recipe = GPU, distill: float = 0.0) -> Setting:
    def score(module: nn.Module) -> float:
        return accuracy(predict(module, data.x), data.y)

    return Setting(data, LOSS, recipe, score, data.x, distill=distill)


def assert_fits(target: Target, widths: dict[str, int]) -> None:
    figures = target.resources.exact(widths)
    assert all(figures[k] <= b for k, b in target.budgets.items())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_first_losses_are_those_of_the_cpu(precision: str) -> None:
    graph, _ = problem()
    data = blobs()
    recipes = [replace(r, compute=replace(r.compute, precision=precision)) for r in (CPU, GPU)]
    cpu, gpu = (train(graph, data, LOSS, r, setting(data, r).score) for r in recipes)
    assert gpu.history[0].loss == pytest.approx(cpu.history[0].loss, rel=0.05)
    assert min(cpu.history[-1].score, gpu.history[-1].score) > 0.9


def test_equal_weights_predict_alike() -> None:
    graph, _ = problem()
    x = blobs().x
    cpu, gpu = (predict(make_module(graph, recipe), x) for recipe in (CPU, GPU))
    np.testing.assert_allclose(gpu, cpu, rtol=1e-2, atol=1e-2)


def test_int8_training_learns() -> None:
    graph, _ = problem()
    data = blobs()
    dense = train(graph, data, LOSS, GPU, setting(data).score)
    fine, ranges = train_int8(dense.graph, data, LOSS, GPU, setting(data).score, SILENT)
    assert fine.history[-1].score > 0.9
    assert all(np.isfinite(ranges[name]).all() for name in fine.graph.tensors)


@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_every_method_compresses(name: str) -> None:
    graph, target = problem()
    data = blobs()
    found = run_experiment(graph, target, find_method(name), setting(data), controls=()).found
    assert_fits(target, {group: len(units) for group, units in found.keep.items()})
    assert found.history[-1].score > 0.6


def test_controls_and_a_teacher_learn() -> None:
    graph, target = problem()
    data = blobs()
    controls = ("uniform", "scratch", "magnitude")
    done = run_experiment(graph, target, find_method("taylor"), setting(data, distill=0.5), controls)
    assert done.dense is not None
    assert all(c.history[-1].score > 0.6 for c in (done.dense, *done.controls.values()))
    assert done.found.history[-1].score > 0.6


@pytest.mark.parametrize("name", ["taylor", "hard_concrete", "connectivity_elements", "rigl"])
@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("there", [GPU, CPU])
def test_a_run_goes_on_from_its_file(tmp_path: Path, name: str, at: int, there: Recipe) -> None:
    """Saved on the GPU before and after the freeze, read there or on the CPU: it goes on as it would have."""
    graph, target = problem()
    data, method = blobs(), find_method(name)
    assert isinstance(method, Method)
    search, other = (
        Search(target, method, data, LOSS, recipe, setting(data).score) for recipe in (GPU, there)
    )
    run = search.start(graph)
    while run.epoch < at:
        search.epoch(run)
    save(tmp_path / "run.pt", checkpoint.pack(run))
    again = checkpoint.unpack(other, graph, load(tmp_path / "run.pt"))
    search.epoch(run)
    other.epoch(again)
    assert again.history[-1].loss == pytest.approx(run.history[-1].loss, rel=0.05)
    while again.epoch < GPU.epochs:
        other.epoch(again)
    found = other.finish(again)
    assert_fits(target, {group: len(units) for group, units in found.keep.items()})
