"""Which optimizer trains which network, at which rate, and what changes once batch norms are folded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from blobs import blobs
from torch import nn
from torch_networks import make_module

from mcuprune.config import load_config
from mcuprune.core import CORES
from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.passes import run_passes
from mcuprune.models import build_model
from mcuprune.problem import make_problem
from mcuprune.prune import checkpoint
from mcuprune.prune.methods import find_method
from mcuprune.prune.search import Search
from mcuprune.prune.target import make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.task import Split, classification
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import train
from mcuprune.training.recipe import SGD_DECAY, SGD_RATE, Recipe, is_normalized, make_optimizer
from mcuprune.training.saved import load, save
from mcuprune.training.schedules import Phases, run_rate

NORMALIZED = {
    "small_resnet": True,
    "ds_cnn": True,
    "small_mobilenet": True,
    "pool_cnn": True,
    "lenet": False,
    "mlp": False,
}


@pytest.mark.parametrize("model", NORMALIZED)
def test_networks_with_batch_norms_are_told(model: str) -> None:
    graph = trace(build_model(model, (3, 32, 32), 10), (3, 32, 32), "net")
    assert is_normalized(graph) == NORMALIZED[model]
    assert not is_normalized(run_passes(graph))


@pytest.mark.parametrize("model", ["pool_cnn", "mlp"])
@pytest.mark.parametrize("optimizer", [None, "adamw", "sgd"])
@pytest.mark.parametrize("rate", [None, 0.07])
@pytest.mark.parametrize("batch_size", [None, 16])
def test_the_network_and_the_user_choose(
    model: str, optimizer: str | None, rate: float | None, batch_size: int | None
) -> None:
    split = Split(np.zeros((20, 12, 12, 1), np.float32), np.arange(20) % 2)
    task = classification("own", split, split)
    flags = {"optimizer": optimizer, "learning_rate": rate, "batch_size": batch_size}
    recipe = make_problem(build_model(model, (1, 12, 12), 2), task, load_config(None, flags)).recipe
    chosen = optimizer or ("sgd" if NORMALIZED[model] else "adamw")
    assert recipe.optimizer == chosen
    assert recipe.batch_size == (batch_size or 32)
    usual = SGD_RATE * recipe.batch_size / 64 if chosen == "sgd" else Recipe.learning_rate
    assert recipe.learning_rate == pytest.approx(rate or usual)
    assert recipe.weight_decay == (SGD_DECAY if chosen == "sgd" else Recipe.weight_decay)


@pytest.mark.parametrize(("epochs", "decay"), [(1, 5e-4), (16, 3e-4), (40, 1e-4), (60, 7e-5)])
def test_long_runs_decay_less(epochs: int, decay: float) -> None:
    """By what a run takes of its weights: 45,000 photographs in batches of 128."""
    recipe = Recipe(epochs=epochs, batch_size=128).with_sgd(45_000)
    assert recipe.weight_decay == pytest.approx(decay)
    assert (
        Recipe(epochs=epochs, batch_size=128).with_sgd(45_000, 6.0).weight_decay < 0.2 * decay or epochs == 1
    )


def test_only_weights_decay() -> None:
    module = GraphModule(trace(*make_module("residual"), "net"))
    for name, kind in (("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)):
        optimizer = make_optimizer(module, replace(Recipe(), optimizer=name, weight_decay=0.1))
        assert isinstance(optimizer, kind)
        for group in optimizer.param_groups:
            wanted = 0.1 if group["params"][0].dim() > 1 else 0.0
            assert group["weight_decay"] == wanted
        learning = [p for p in module.parameters() if p.requires_grad]
        assert sum(len(g["params"]) for g in optimizer.param_groups) == len(learning)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'adam'; use adamw or sgd"):
        make_optimizer(nn.Linear(1, 1), Recipe(optimizer="adam"))


def test_a_step_of_sgd_is_nesterovs() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]]))
    module = nn.ParameterList([weight])
    optimizer = make_optimizer(module, Recipe(optimizer="sgd", learning_rate=0.1, weight_decay=0.5))
    value, velocity = 2.0, 0.0
    for _ in range(3):
        weight.grad = torch.tensor([[1.0]])
        optimizer.step()
        slope = 1.0 + 0.5 * value
        velocity = 0.9 * velocity + slope
        value -= 0.1 * (slope + 0.9 * velocity)
        assert float(weight.detach()) == pytest.approx(value)


def test_int8_training_leaves_sgd_and_resumes_there(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = blobs()
    graph = trace(*make_module("residual"), "net")
    resources = ResourceModel(run_passes(graph), CORES["cortex-m4"], objective="size")
    target = make_target(graph, resources, {"macs": resources.exact({})["macs"] * 0.5})
    recipe = replace(Recipe(epochs=40, batch_size=16).with_sgd(64), seed=1)
    search = Search(target, find_method("taylor"), data, F.cross_entropy, recipe, lambda module: 0.0)
    run = search.start(graph)
    assert isinstance(run.optimizer, torch.optim.SGD)
    while run.epoch < 39:
        search.epoch(run)
    assert run.quantizer is not None
    assert isinstance(run.optimizer, torch.optim.AdamW)
    assert 0.0 < run.optimizer.param_groups[0]["lr"] < 0.2 * Recipe.learning_rate
    save(tmp_path / "run.pt", checkpoint.pack(run))
    resumed = checkpoint.unpack(search, graph, load(tmp_path / "run.pt"))
    for each in (run, resumed):
        search.epoch(each)
    for name, constant in search.finish(run).graph.constants.items():
        np.testing.assert_array_equal(constant.values, search.finish(resumed).graph.constants[name].values)


def test_sgd_learns() -> None:
    graph = trace(*make_module("residual"), "net")
    recipe = Recipe(epochs=8, batch_size=16).with_sgd(256)
    found = train(graph, blobs(256), F.cross_entropy, recipe, lambda module: 0.0)
    assert found.history[-1].loss < 0.2


@pytest.mark.parametrize("steps", [1, 500, 8_333, 8_334, 20_000, 10**6])
def test_long_runs_spend_no_more_steps_on_masks_and_rounding(steps: int) -> None:
    phases, usual = Phases.of(steps), Phases()
    assert phases.freeze * steps == pytest.approx(min(usual.freeze * steps, 3_000))
    assert (1 - phases.int8) * steps == pytest.approx(min((1 - usual.int8) * steps, 1_000))
    assert phases.gated / phases.freeze == pytest.approx(usual.gated / usual.freeze)
    assert 0 < phases.warmup < phases.gated < phases.freeze < phases.int8 < 1


@pytest.mark.parametrize("steps", [100, 8_000, 100_000, 10**6])
def test_the_rate_rises_before_masks_are_decided_and_never_after(steps: int) -> None:
    phases = Phases.of(steps)
    ends = np.linspace(0, phases.int8, 1001)
    rates = np.array([run_rate(share, 1.0, 0.6, phases) for share in ends])
    assert rates[ends <= phases.freeze].max() == 1.0
    assert rates[ends >= phases.freeze].max() <= 0.6
    assert (np.diff(rates[ends >= phases.warmup]) <= 0).all()
    assert rates[-1] == 0.0
