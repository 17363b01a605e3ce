"""Removing channels equals masking them, for networks, costs and optimiser state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_networks import NETWORKS, make_module

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import constant_indices, prunable
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.prune.shrink import carry_optimizer, shrink
from mcuprune.training.graph_module import GraphModule, fold_gates
from mcuprune.training.lanes import take
from mcuprune.training.recipe import Recipe, make_optimizer

GRAPHS: dict[str, Graph] = {}


def graph_of(name: str) -> Graph:
    if name not in GRAPHS:
        GRAPHS[name] = trace(*make_module(name), name)
    return GRAPHS[name]


def random_keep(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    chosen = {}
    for group in prunable(graph):
        width = graph.widths[group]
        chosen[group] = np.sort(rng.permutation(width)[: rng.integers(1, width + 1)])
    return chosen


@given(name=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 10_000), training=st.booleans())
@settings(max_examples=40, deadline=None)
def test_shrunk_network_equals_masked_network(name: str, seed: int, training: bool) -> None:
    graph = graph_of(name)
    keep = random_keep(graph, seed)
    gates = {g: torch.zeros(graph.widths[g]).index_fill(0, torch.from_numpy(k), 1.0) for g, k in keep.items()}
    x = torch.randn(4, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(seed))
    masked = GraphModule(graph).train(training)(x, gates=gates)
    narrow = GraphModule(shrink(graph, keep)).train(training)(x)
    scale = float(masked.abs().max()) + 1e-3
    assert float((masked - narrow).abs().max()) < 1e-4 * scale


@given(name=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_passes_and_shrinking_commute(name: str, seed: int) -> None:
    graph = graph_of(name)
    keep = random_keep(graph, seed)
    first, second = run_passes(shrink(graph, keep)), shrink(run_passes(graph), keep)
    assert first.nodes == second.nodes
    assert first.widths == second.widths
    for constant in first.constants:
        np.testing.assert_allclose(
            first.constants[constant].values, second.constants[constant].values, rtol=1e-6
        )


def test_optimizer_state_is_cut_like_its_parameter(network: tuple[nn.Module, Graph]) -> None:
    _, graph = network
    keep = random_keep(graph, 1)
    narrow = shrink(graph, keep)
    for name, index in constant_indices(graph, keep).items():
        momentum = torch.from_numpy(graph.constants[name].values.astype(np.float32) * 2 + 1)
        cut = take(momentum, index)
        np.testing.assert_array_equal(cut.numpy(), narrow.constants[name].values * 2 + 1)


def test_one_channel_is_enough_for_every_network() -> None:
    for name in NETWORKS:
        graph = graph_of(name)
        keep = {g: np.array([0]) for g in prunable(graph)}
        x = torch.zeros(2, *graph.shape(graph.inputs[0]))
        assert GraphModule(shrink(graph, keep)).eval()(x).isfinite().all()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_gate_gradients_reach_masked_units(name: str) -> None:
    graph = graph_of(name)
    gates = {g: torch.zeros(graph.widths[g], requires_grad=True) for g in prunable(graph)}
    for gate in gates.values():
        gate.data[0] = 1.0
    x = torch.randn(8, *graph.shape(graph.inputs[0]))
    GraphModule(graph).train()(x, gates=gates).square().sum().backward()
    for gate in gates.values():
        assert gate.grad is not None
        assert (gate.grad[1:] != 0).any()


def test_networks_cut_from_one_share_no_optimizer_state() -> None:
    """AdamW counts its steps in place: networks of several budgets would count together."""
    graph = graph_of("residual")
    module = GraphModule(graph)
    optimizer = make_optimizer(module, Recipe())
    x = torch.randn(4, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(0))

    def step(of: GraphModule, by: torch.optim.Optimizer) -> set[float]:
        by.zero_grad()
        of(x).square().mean().backward()
        by.step()
        return {float(state["step"]) for state in by.state.values()}

    step(module, optimizer)
    keep = random_keep(graph, 1)
    cuts = []
    for _ in range(2):
        narrow = GraphModule(shrink(graph, keep))
        own = make_optimizer(narrow, Recipe())
        carry_optimizer(module, optimizer, narrow, own, constant_indices(graph, keep))
        cuts.append((narrow, own))
    assert [step(*cut) for cut in cuts] == [{2.0}, {2.0}]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_gates_fold_into_the_weights_behind_them(name: str) -> None:
    """What was learned behind half-open gates is what is cut."""
    graph = graph_of(name)
    random = torch.Generator().manual_seed(3)
    gates = {g: torch.rand(graph.widths[g], generator=random) for g in prunable(graph)}
    x = torch.randn(4, *graph.shape(graph.inputs[0]), generator=random)
    gated = GraphModule(graph).eval()(x, gates=gates).detach()
    folded = GraphModule(fold_gates(graph, gates)).eval()(x).detach()
    assert float((gated - folded).abs().max()) < 1e-4 * (float(gated.abs().max()) + 1e-3)
