"""Spare channels change nothing but the order of sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_networks import NETWORKS, make_module

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import constant_indices, prunable
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.prune.shrink import carry_optimizer, shrink
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import FakeQuantizer
from mcuprune.training.lanes import LANES, NO_LANES, Lanes
from mcuprune.training.recipe import Recipe, make_optimizer

GRAPHS = {name: trace(*make_module(name), name) for name in NETWORKS}
WIDENED = [name for name in NETWORKS if name != "chain"]  # behind a sigmoid zero is not zero


def narrowed(graph: Graph, seed: int) -> Graph:
    """With widths from one up."""
    random = np.random.default_rng(seed)
    widths = {group: int(random.integers(1, graph.widths[group] + 1)) for group in prunable(graph)}
    return shrink(graph, {group: np.arange(width) for group, width in widths.items()})


def steps(module: GraphModule, optimizer: torch.optim.Optimizer, x: torch.Tensor, **seen: object) -> None:
    for _ in range(4):
        optimizer.zero_grad(set_to_none=True)
        (module(x, **seen) - 1.0).square().mean().backward()
        optimizer.step()


def spare(module: GraphModule) -> list[np.ndarray]:
    """What the constants hold beside the graph's own values."""
    parameters, statistics = module.state()
    found = []
    for name, value in (parameters | statistics).items():
        own = module.lanes.widened(name, torch.ones(module.graph.constants[name].values.shape))
        found.append(value.detach()[own == 0].numpy())
    return found


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(WIDENED), st.integers(0, 99), st.sampled_from(["adamw", "sgd"]), st.booleans())
def test_a_network_trains_the_same_with_spare_channels(name, seed, optimizer, int8):
    graph = narrowed(GRAPHS[name], seed)
    if int8:
        graph = run_passes(graph)
    recipe = Recipe(optimizer=optimizer, learning_rate=1e-2)
    x = torch.randn(6, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(seed))
    plain, wide = GraphModule(graph).train(), GraphModule(graph, lanes=Lanes.of(graph)).train()
    for module in (plain, wide):
        seen = {}
        if int8:
            quantizer = FakeQuantizer(graph)
            quantizer.calibrate(module, x.numpy())
            quantizer.observing = False
            seen = {"weight": quantizer.weight, "activation": quantizer.activation}
        steps(module, make_optimizer(module, recipe), x, **seen)
    assert all(not values.any() for values in spare(wide))
    if not int8:  # a value half-way between two steps goes the other way with another order of sums
        torch.testing.assert_close(wide(x), plain(x), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(GraphModule(wide.to_graph()).train()(x), plain(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", WIDENED)
def test_all_widths_but_those_of_inputs_and_outputs_are_rounded_up(name):
    graph = narrowed(GRAPHS[name], 3)
    wide = GraphModule(graph, lanes=Lanes.of(graph))
    widths = {node.name: None for node in graph.nodes}

    def look(key: str, value: torch.Tensor) -> torch.Tensor:
        widths[key] = value.shape[1]
        return value

    x = torch.zeros(2, *graph.shape(graph.inputs[0]))
    assert wide(x, activation=look).shape == GraphModule(graph)(x).shape
    groups = {block.group for tensor in graph.tensors.values() for block in tensor.channels}
    assert any(graph.widths[g] % LANES for g in groups - graph.frozen)
    for key, tensor in graph.tensors.items():
        if not {block.group for block in tensor.channels} & graph.frozen:
            assert widths[key] % LANES == 0


def test_nothing_is_spare_where_zero_does_not_stay_zero():
    graph = GRAPHS["chain"]
    assert Lanes.of(graph) == NO_LANES
    assert GraphModule(graph, lanes=Lanes.of(graph)).state()[0].keys() == GraphModule(graph).state()[0].keys()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_cut_hands_momentum_on_among_zeros(optimizer):
    graph, recipe = GRAPHS["residual"], Recipe(optimizer=optimizer)
    module = GraphModule(graph).train()
    whole = make_optimizer(module, recipe)
    x = torch.randn(6, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(0))
    steps(module, whole, x)
    small = shrink(module.to_graph(), {"stem": np.arange(3)})
    outputs = []
    for lanes in (NO_LANES, Lanes.of(small)):
        narrow = GraphModule(small, lanes=lanes).train()
        own = make_optimizer(narrow, replace(recipe, learning_rate=1e-2))
        carry_optimizer(module, whole, narrow, own, constant_indices(graph, {"stem": np.arange(3)}))
        steps(narrow, own, x)
        outputs.append(narrow(x))
    assert sum(values.size for values in spare(narrow)) > 0
    assert all(not values.any() for values in spare(narrow))
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
